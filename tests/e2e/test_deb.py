# SPDX-License-Identifier: BSD-2-Clause
"""The installed package: it does nothing by itself, an upgrade under traffic breaks no session, and a purge leaves
nothing. On this machine's own system, which is not changed; with MXLB_DEBOOTSTRAP=1 (make deb-check) on a clean
Debian, with all dependencies of the package."""
import os
import shutil

import pytest

from games import Sessions, assert_alive, assert_ended_well
from lab import SERVERS, VIP, Balancer, Traffic, command, wait_until
from leftovers import EVERYTHING, left, timers
from packages import build_package, field
from system import System, debootstrap

SESSIONS = (40, 20)  # idle and busy


@pytest.fixture(scope="module")
def lower(tmp_path_factory):
    if not os.environ.get("MXLB_DEBOOTSTRAP"):
        yield "/"
        return
    folder = tmp_path_factory.mktemp("debian")
    debootstrap(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    """Two packages, the second with a later version."""
    folder = tmp_path_factory.mktemp("deb")
    first = build_package(folder)
    return first, build_package(folder, field(first, "Version") + ".1")


@pytest.fixture
def system(lab, lower, tmp_path):
    Balancer(lab).end()  # what other tests have left: this one compares before and after
    own = System(lower, tmp_path)
    if own.is_clean:
        own("apt-get", "update")
    yield own
    own.end()
    Balancer(lab).end()  # what a test that failed has left


@pytest.fixture
def netns(lab):
    return f"/run/netns/{lab.name}-lb"


def configure(lab, system):
    """The lab's configuration with the package's own pins and socket."""
    text = lab("config")
    for section in ("datapath", "control"):
        before, _, rest = text.partition(f"{section}:\n")
        text = before + rest[rest.index("\n\n") + 2:]
    system.file("/etc/mxlb/mxlb.yaml").write_text(text)
    assert "valid" in system("mxlbd", "-t")


def all_up(system):
    status = system.status()
    return status and {b["verdict"] for s in status["services"] for tier in s["tiers"] for b in tier["servers"]} == {"up"} and status


def has_user(system):
    return "".join(system("getent", kind, name, status=None) for name in ("mxlb", "mxlb-fetch") for kind in ("passwd", "group"))


def test_installed_and_unconfigured_it_does_nothing_and_goes_as_it_came(system, debs, netns, lab):
    system.install(debs[0])
    assert has_user(system).startswith("mxlb:x:")
    assert "interfaces: is required" in system("mxlbd", netns=netns, status=1)
    assert left(lab) == set() and pins(system) == []
    purge(system, netns)
    assert_gone(system)


def pins(system):
    """The contents of the directory of all pins, without the kernel's own files."""
    return [path.name for path in system.file("/sys/fs/bpf").iterdir() if path.suffix != ".debug"]


def purge(system, netns):
    """With what came along, where it did; the lab's host has no way to a mirror, and needs none."""
    return system("apt-get", "-y", *(["--autoremove"] if system.is_clean else []), "purge", "mxlb", netns=netns)


def assert_gone(system):
    assert not has_user(system)
    assert system.changed() == set()
    assert not system.file("/run/mxlb").exists() and pins(system) == []


def test_an_upgrade_breaks_nothing_and_a_purge_leaves_nothing(lab, system, debs, netns, tmp_path, measured):
    before = timers(lab)
    system.install(debs[0])
    configure(lab, system)
    system.start(netns, lab.run / "mxlbd.log")
    wait_until(lambda: all_up(system), 20, "every server is up")
    with Sessions(lab, VIP) as sessions, Traffic(lab) as traffic:
        sessions.open(*SESSIONS)
        wait_until(lambda: len(traffic.attempts()) > 20, 20, "connections")
        system.install(debs[1])
        assert system.mxlbd.poll() is None and "mxlbd" in system("mxlbctl", "status")
        assert system.stop() == 0  # as postinst has systemd do it: try-restart
        wait_until(lambda n=len(traffic.attempts()): len(traffic.attempts()) > n + 20, 20, "connections without an mxlbd")
        system.start(netns, lab.run / "mxlbd.log")
        status = wait_until(lambda: all_up(system), 20, "every server is up")
        assert status["build"] == field(debs[1], "Version")
        wait_until(lambda n=len(traffic.attempts()): len(traffic.attempts()) > n + 20, 20, "connections after the upgrade")
        sessions.noop()
        assert_alive(sessions.report())
        assert_ended_well(sessions.quit())
    attempts = traffic.attempts()
    assert [a for a in attempts if a.server not in SERVERS] == []
    measured(f"{sum(SESSIONS)} sessions and {len(attempts)} new connections over the upgrade, 0 broken")
    assert left(lab) | {"pins"} == EVERYTHING
    said = purge(system, netns)
    assert system.mxlbd.wait(10) == 0, said
    shutil.rmtree(system.file("/run/mxlb"))  # systemd's RuntimeDirectory=
    assert left(lab) == set() and timers(lab) == before
    assert_gone(system)


def test_a_removal_detaches_what_a_dead_mxlbd_has_left_and_keeps_the_configuration(lab, system, debs, netns):
    system.install(debs[0])
    configure(lab, system)
    system.start(netns, lab.run / "mxlbd.log")
    wait_until(lambda: all_up(system), 20, "every server is up")
    system.mxlbd.kill()
    system.mxlbd.wait()
    assert left(lab) | {"pins"} == EVERYTHING
    system.file("/etc/mxlb/mxlb.yaml").write_text("mended: never\n")  # a detach needs no valid file
    system("apt-get", "-y", "remove", "mxlb", netns=netns)
    assert left(lab) == set() and pins(system) == []
    assert system.file("/etc/mxlb/mxlb.yaml").read_text() == "mended: never\n"
    assert command("dpkg-query", "--admindir", str(system.file("/var/lib/dpkg")), "-W", "-f", "${db:Status-Status}", "mxlb") == "config-files"
