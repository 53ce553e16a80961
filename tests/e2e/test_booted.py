# SPDX-License-Identifier: BSD-2-Clause
"""The package under a real systemd, on a clean Debian: what systemctl does is what the manual says. MXLB_DEBOOTSTRAP=1, as make
deb-check has it."""
import os
import re
import shutil

import pytest

from booted import Booted
from games import Sessions, assert_alive, assert_ended_well
from lab import SERVERS, VIP, Balancer, Traffic, wait_until
from leftovers import EVERYTHING, left
from packages import build_package, field
from system import debootstrap
from test_deb import SESSIONS, all_up, configure, pins

pytestmark = pytest.mark.skipif(not os.environ.get("MXLB_DEBOOTSTRAP"), reason="a clean Debian of its own: make deb-check")


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    folder = tmp_path_factory.mktemp("debian")
    debootstrap(folder, "systemd-sysv", "dbus")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def system(lab, debian, tmp_path):
    own = Booted(debian, tmp_path, f"/run/netns/{lab.name}-lb")
    yield own
    own.end()
    Balancer(lab).end()


def wait_all_up(system):
    try:
        return wait_until(lambda: all_up(system), 20, "every server is up")
    except AssertionError as late:
        raise AssertionError(f"{late}\n{system.journal()}") from None


def more(traffic, what):
    wait_until(lambda n=len(traffic.attempts()): len(traffic.attempts()) > n + 20, 30, what)


def is_active(system):
    return system("systemctl", "is-active", "mxlb", status=None).strip()


def main_pid(system):
    return int(system("systemctl", "show", "-P", "MainPID", "mxlb"))


def test_a_life_under_systemd(lab, system, tmp_path_factory, measured):
    folder = tmp_path_factory.mktemp("deb")
    first = build_package(folder)
    second = build_package(folder, field(first, "Version") + ".1")
    system("apt-get", "update", netns=None)
    system.install(first)
    assert is_active(system) == "inactive"
    system("systemctl", "start", "mxlb", status=1)
    assert "interfaces: is required" in system.journal()
    system("systemctl", "reset-failed", "mxlb")
    configure(lab, system)
    system("systemctl", "enable", "--now", "mxlb")
    wait_all_up(system)
    with Sessions(lab, VIP) as sessions, Traffic(lab) as traffic:
        sessions.open(*SESSIONS)
        more(traffic, "connections")
        before = main_pid(system)
        system.install(second)
        assert main_pid(system) != before and is_active(system) == "active", system.journal()
        assert wait_all_up(system)["build"] == field(second, "Version")
        system("systemctl", "stop", "mxlb")
        more(traffic, "connections without an mxlbd")
        system("systemctl", "start", "mxlb")
        wait_all_up(system)
        before = main_pid(system)
        system("systemctl", "kill", "--signal=KILL", "mxlb")
        wait_until(lambda: main_pid(system) not in (0, before), 20, "systemd starts it again")
        wait_all_up(system)
        for _ in range(7):  # by default systemd refuses the sixth in ten seconds
            system("systemctl", "restart", "mxlb")
        system("systemctl", "reload", "mxlb")
        good = system.file("/etc/mxlb/mxlb.yaml").read_text()
        system.file("/etc/mxlb/mxlb.yaml").write_text(good + "x: 1\n")
        system("systemctl", "reload", "mxlb", status=1)
        assert re.search(r"refused: /etc/mxlb/mxlb.yaml:\d+:1: x: unknown key", system.journal())
        system.file("/etc/mxlb/mxlb.yaml").write_text(good)
        more(traffic, "connections after all that")
        sessions.noop()
        assert_alive(sessions.report())
        assert_ended_well(sessions.quit())
    attempts = traffic.attempts()
    assert [a for a in attempts if a.server not in SERVERS] == []
    measured(f"{sum(SESSIONS)} sessions and {len(attempts)} new connections over upgrade, stop, start, SIGKILL, reloads: 0 broken")
    assert left(lab) | {"pins"} == EVERYTHING
    system("apt-get", "-y", "--autoremove", "purge", "mxlb")
    assert left(lab) == set() and pins(system) == []
    assert not system("getent", "passwd", "mxlb", status=None) and not system.file("/run/mxlb").exists()
    assert {name for name in system.changed() if "mxlb" in name} == set()
    assert "mxlb" not in system("systemctl", "list-units", "--all", "--no-pager", "--plain", "--no-legend")
