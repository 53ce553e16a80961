# SPDX-License-Identifier: BSD-2-Clause
"""The systemd unit as `make install` leaves it. (There is no systemd here to run it: scripts/confine does what it says for
the lab's mxlbd, so every test of the lab is one of the unit.)"""
import os
import re
import subprocess
from pathlib import Path

import pytest

from lab import ROOT, command, wait_until

EXPOSURE = 2.3
KEPT = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_BPF": 39}
FOR_THE_START = {"CAP_SETPCAP", "CAP_PERFMON"}
CAP_PERFMON = 1 << 38
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.fixture(scope="module")
def installed(build, tmp_path_factory):
    """The prefix of an installation."""
    if "MXLB_INSTALLED" in os.environ:
        return Path("/usr")  # the package's
    prefix = tmp_path_factory.mktemp("prefix")
    command("make", "-s", f"B={build.relative_to(ROOT)}", f"PREFIX={prefix}", "install", cwd=ROOT)
    return prefix


@pytest.fixture
def unit(installed):
    return installed / "lib/systemd/system/mxlb.service"


def setting(unit, name):
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.M)


def test_its_exposure_is_small(unit):
    said = command("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    assert float(re.search(r"Overall exposure level for mxlb.service: ([\d.]+)", said)[1]) <= EXPOSURE


def test_systemd_understands_every_line_of_it(unit):
    assert command("systemd-analyze", "verify", "--man=no", str(unit), str(unit.with_name("sys-fs-bpf-mxlb.mount"))) == ""


def test_it_runs_what_is_installed_as_its_own_user_with_five_capabilities(installed, unit):
    binary = setting(unit, "ExecStart")[0].split()[0]
    assert binary == str(installed / "sbin/mxlbd") and Path(binary).is_file()
    assert "@PREFIX@" not in unit.read_text()
    user, = setting(unit, "User")
    sysusers = (installed / "lib/sysusers.d/mxlb.conf").read_text()
    assert re.search(rf"^u {user} ", sysusers, re.M)
    for name in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert set(setting(unit, name)[0].split()) == {*KEPT} | FOR_THE_START


def test_the_mxlbd_that_all_other_tests_run_has_its_walls(unit, lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    has = status(balancer.process.pid)
    assert (has["NoNewPrivs"], has["Seccomp"], has["Groups"].split()) == ("1", "2", [])
    assert "0" not in has["Uid"].split() + has["Gid"].split()
    assert {each.split()[3].split(",")[0] for each in Path(f"/proc/{balancer.process.pid}/mounts").read_text().splitlines()
            if each.split()[1] in ("/", "/etc", "/usr", "/sys", "/proc")} == {"ro"}


def status(pid):
    return dict(re.findall(r"^(\w+):\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M))


def children(pid):
    return [int(each.name) for each in Path("/proc").iterdir()
            if each.name.isdigit() and (has := vanishing(each.name)) and int(has["PPid"]) == pid]


def vanishing(pid):
    try:
        return status(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None


def held(pid):
    """{capability set: its mask}."""
    return {each: int(status(pid)[each], 16) for each in SETS}


def test_what_the_load_needs_is_given_up_before_the_network_is_read_and_no_child_gets_it(lab, balancer):
    """CAP_PERFMON is in no capability set of mxlbd or its probe child. Neither is CAP_SETPCAP, which is used to drop it
    from the bounding set."""
    balancer.start()
    balancer.wait_all_up()
    kept = sum(1 << number for number in KEPT.values())
    assert held(balancer.process.pid) == dict.fromkeys(SETS, kept)
    probing = children(balancer.process.pid)
    assert probing
    for child in probing:
        assert held(child) == dict.fromkeys(SETS, 0) | {"CapBnd": kept}


def test_without_cap_setpcap_it_leaves_the_other_sets(lab, balancer):
    """Only with CAP_SETPCAP can the bounding set be changed. NoNewPrivileges= makes that set irrelevant, so there is no
    warning."""
    lab("mxlbd", "--help")  # has the binaries copied
    granted = " ".join([*KEPT, "CAP_PERFMON"])
    balancer.start("run", "-o", f"CapabilityBoundingSet={granted}", "-o", f"AmbientCapabilities={granted}",
                   str(lab.run / "bin/mxlbd"), "-c", str(lab.config_file))
    kept = sum(1 << number for number in KEPT.values())
    assert held(balancer.process.pid) == dict.fromkeys(SETS, kept) | {"CapBnd": kept | CAP_PERFMON}
    assert "capability_kept" not in balancer.log()


def test_root_gives_up_cap_perfmon_too(build, lab, balancer):
    """Without the unit, CAP_PERFMON is the only one of root's capabilities that is dropped."""
    before = held("self")
    assert before["CapEff"] & CAP_PERFMON and before["CapBnd"] & CAP_PERFMON, "the test runs as root"
    with balancer.log_file.open("w") as log:
        balancer.process = subprocess.Popen([*lab.nsenter("lb"), str(build / "mxlbd"), "-c", str(lab.config_file)],
                                            stdin=subprocess.DEVNULL, stderr=log)
    wait_until(balancer.answers, 20, "mxlbd answers")
    assert held(balancer.process.pid) == {each: mask & ~CAP_PERFMON for each, mask in before.items()}
    assert balancer.ask("detach").strip() == "", "nothing of root's is left for the other tests"


def test_a_stop_does_not_detach_and_pins_outlive_it(unit):
    """A file system that a service mounts is in its own mount namespace and disappears with it, even with
    ExecStartPre=+ (systemd 252)."""
    pins = unit.with_name("sys-fs-bpf-mxlb.mount")
    assert "detach" not in "".join(setting(unit, "Exec(?:Stop|StopPost|Reload)"))
    assert "mount" not in "".join(setting(unit, "ExecStartPre"))
    assert setting(pins, "Type") == ["bpf"]
    assert setting(unit, "RequiresMountsFor") == setting(pins, "Where") == setting(unit, "BindPaths")


def test_systemd_never_gives_up_starting_it(unit):
    """By default systemd gives up after five starts in ten seconds: an interface that comes late at boot, or many
    restarts, would stop mxlbd permanently."""
    section = unit.read_text().split("[Service]")[0]  # systemd passes over it elsewhere
    assert re.findall(r"^StartLimitIntervalSec=(.*)$", section, re.M) == ["0"]
    assert setting(unit, "Restart") == ["on-failure"]
    assert set(setting(unit, "RestartPreventExitStatus")[0].split()) == {"1", "3"}, "mxlbd(8), EXIT STATUS"
