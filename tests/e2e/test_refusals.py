# SPDX-License-Identifier: BSD-2-Clause
"""What mxlbd refuses to start with: bad configurations (exit 1), faults of the system that may pass (exit 2) or not
(exit 3)."""
import re
import shutil

import pytest

from booted import Booted
from lab import ROOT, VIP, Balancer, command, wait_until

GOOD = """\
interfaces:
  eth0: {mode: auto}
probes:
  exo: {tls: none}
services:
  mail:
    address: 203.0.113.25
    interface: eth0
    probe: exo
    tiers:
      10:
        oxford-a: {address: 203.0.113.11}
"""


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


# What is wrong, the file, and the lines in which an error must be reported.
BAD = {
    "an unknown key": (changed("probe: exo", "prode: exo"), [9]),
    "a repeated key": (changed("    probe: exo\n", "    probe: exo\n    probe: exo\n"), [10]),
    "a wrong type": (changed("{mode: auto}", "[auto]"), [2]),
    "a bad address": (changed("203.0.113.11", "203.0.113.256"), [12]),
    "port 70000": (changed("    probe: exo", "    port: 70000\n    probe: exo"), [9]),
    "port 025": (changed("    probe: exo", "    port: 025\n    probe: exo"), [9]),
    "a probe that is not there": (changed("probe: exo", "probe: eox"), [9]),
    "a backend that is a VIP": (changed("203.0.113.11", "203.0.113.25"), [12]),
    "a tier without servers": (changed("\n        oxford-a: {address: 203.0.113.11}", " {}"), [11]),
    "a service without tiers": (GOOD[:GOOD.index("    tiers:")], [None]),
    "an alias": (changed("eth0: {mode: auto}", "eth0: &x {mode: auto}\n  eth1: *x"), [None]),
    "an end too soon": (GOOD[:-3], [None]),
    "three errors at once": (changed("probe: exo", "prode: exo").replace("113.11", "113.999")
                             .replace("tls: none", "tls: perhaps"), [4, 9, 12]),
}


@pytest.fixture
def check(build, tmp_path):
    """check(path) expects exit status 1 of mxlbd -t and returns its output."""
    return lambda path: command(str(build / "mxlbd"), "-t", "-c", str(path), status=1, cwd=tmp_path)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_configuration_is_refused_with_the_place_of_every_error(check, tmp_path, what):
    text, lines = BAD[what]
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    output = check(file)
    places = [int(line) for line in re.findall(rf"^{re.escape(str(file))}:(\d+):\d+: \S", output, re.M)]
    assert places, output
    assert {line for line in lines if line} <= set(places), output


def test_the_good_configuration_passes_the_check_with_no_privilege_at_all(build, tmp_path):
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    command(str(build / "mxlbd"), "-t", "-c", str(file))


def test_a_directory_and_a_file_of_10_mb_are_no_configuration(check, tmp_path):
    assert str(tmp_path) in check(tmp_path)
    file = tmp_path / "big.yaml"
    file.write_text(GOOD + "# filler\n" * (10 * 1024 * 1024 // 9))
    assert str(file) in check(file)


def test_a_bad_configuration_starts_nothing(lab, balancer):
    balancer.configure(replace={"probe: exo": "prode: exo"})
    output = lab("mxlbd", status=1)
    assert output.count("prode") == 2, "one error for each service"
    assert not (lab.run / "mxlb.sock").exists()
    assert not lab.pinned()
    assert no_program(lab)


def refused(output, names):
    """Asserts that one line of the output names the problem and the remedy."""
    assert [line for line in output.splitlines()
            if re.search(names, line) and re.search(r'advice="[^"]+"', line)], output


def no_program(lab):
    return "xdp" not in command("ip", "-n", f"{lab.name}-lb", "link", "show", "eth0")


@pytest.mark.parametrize("left, missing", [
    ("", "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN"),
    ("CAP_NET_ADMIN CAP_NET_RAW CAP_PERFMON", "CAP_BPF"),
    ("CAP_BPF CAP_NET_ADMIN CAP_NET_RAW", "CAP_PERFMON"),
], ids=["without all", "without CAP_BPF", "without CAP_PERFMON"])
def test_without_the_privileges_mxlbd_names_the_missing_capabilities(lab, balancer, left, missing):
    """U6: waiting would not help, so systemd does not restart the service on this exit status."""
    lab("mxlbd", "--help", status=None)  # has the binaries copied to where anybody may run them
    output = lab("run", "-o", f"CapabilityBoundingSet={left}", "-o", f"AmbientCapabilities={left}",
                 str(lab.run / "bin/mxlbd"), "-c", str(lab.config_file), status=3)
    refused(output, f'error="{missing} missing"')
    assert "RLIMIT_MEMLOCK" not in output, "libbpf's wrong guess"
    assert no_program(lab)


def test_an_interface_that_is_missing_is_named(lab, balancer):
    balancer.configure(replace={"  eth0:": "  eth7:", "interface: eth0": "interface: eth7"})
    refused(lab("mxlbd", status=2), "eth7")


def test_a_control_socket_without_a_place_is_refused(lab, balancer):
    balancer.configure(replace={f"socket: {lab.run}/mxlb.sock": f"socket: {lab.run}/no/such/mxlb.sock"})
    refused(lab("mxlbd", status=2), f"{lab.run}/no/such")
    assert no_program(lab)


def test_a_vip_that_is_an_address_of_this_box_is_refused(lab, balancer):
    address = ("address", "add", f"{VIP}/32", "dev", "lo")
    lab.within("lb", "ip", *address)
    try:
        refused(lab("mxlbd", status=2), re.escape(VIP))
    finally:
        lab.within("lb", "ip", "address", "del", *address[2:])
    assert no_program(lab)


@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"], ids=["native", "generic"])
def test_another_xdp_program_on_the_interface_is_left_alone(lab, balancer, mode):
    lab.within("lb", "bpftool", "net", "attach", mode, "pinned", f"{lab.pin}-pass", "dev", "eth0")
    try:
        refused(lab("mxlbd", status=2), "XDP")
        assert not no_program(lab), "the other program is still there"
    finally:
        lab.within("lb", "bpftool", "net", "detach", mode, "dev", "eth0")


def test_a_second_mxlbd_is_refused_and_the_first_one_goes_on(lab, balancer):
    """K8: by a lock on the directory of pins."""
    balancer.start()
    balancer.wait_all_up()
    refused(lab("mxlbd", status=2), "another mxlbd")
    assert balancer.answers()
    lab("send", "20")
    wait_until(lambda: balancer.verdicts()["oxford-a"] == "up", 5, "still up")


@pytest.fixture(scope="module")
def unloadable(build):
    """The directory of an mxlbd with a BPF program that every verifier rejects."""
    command("make", "-s", f"B={build.relative_to(ROOT)}", "refused", cwd=ROOT)
    return build / "refused"


@pytest.mark.parametrize("script", ["load.sh", "refused.sh"])
def test_the_kernel_loads_the_program_or_mxlbd_reports_why_it_cannot(build, unloadable, script):
    """make check-kernels runs these in VMs; here they run on the kernel of this machine."""
    assert unloadable.is_dir()
    command(str(ROOT / "tests/kernels" / script), str(build))


def test_systemd_does_not_start_it_again_when_waiting_does_not_help(build, unloadable, lab, tmp_path):
    """A real systemd runs the unit: after exit status 3 the service stays failed; after 2 it is started again."""
    system = Booted("/", tmp_path, f"/run/netns/{lab.name}-lb")
    try:
        install(system, unloadable / "mxlbd")
        system("systemctl", "start", "mxlb", status=1)
        assert shown(system, "ExecMainStatus", "Result", "SubState", "NRestarts") == ["3", "exit-code", "failed", "0"]
        system("systemctl", "reset-failed", "mxlb")
        install(system, build / "mxlbd", interface="eth7")
        system("systemctl", "start", "--no-block", "mxlb")
        wait_until(lambda: int(shown(system, "NRestarts")[0]) > 1, 30, "systemd starts it again after status 2")
    finally:
        system.end()


def test_systemd_starts_it_where_only_root_may_enter_the_directory_of_pins(build, lab, tmp_path):
    """As systemd mounts /sys/fs/bpf on a real machine: with mode 0700."""
    system = Booted("/", tmp_path, f"/run/netns/{lab.name}-lb")
    try:
        install(system, build / "mxlbd")
        system("systemctl", "start", "mxlb")
        assert shown(system, "SubState", "NRestarts") == ["running", "0"]
        system("systemctl", "restart", "mxlb")
        wait_until(lambda: "event=adopted" in system("journalctl", "-u", "mxlb", "-o", "cat"), 20, "the journal has it")
    finally:
        system.end()
        Balancer(lab).end()  # what it leaves in the lab


def install(system, mxlbd, interface="eth0"):
    """Does what `make install` does, as far as the unit needs it."""
    shutil.copy(mxlbd, system.file("/usr/sbin/mxlbd"))
    unit = (ROOT / "scripts/mxlb.service").read_text().replace("@PREFIX@", "/usr")
    system.file("/etc/systemd/system/mxlb.service").write_text(unit)
    shutil.copy(ROOT / "scripts/sys-fs-bpf-mxlb.mount", system.file("/etc/systemd/system"))
    shutil.copy(ROOT / "scripts/mxlb.sysusers", system.file("/usr/lib/sysusers.d/mxlb.conf"))
    system.file("/etc/mxlb").mkdir(exist_ok=True)
    system.file("/etc/mxlb/mxlb.yaml").write_text(GOOD.replace("eth0", interface))
    system("systemd-sysusers")
    system("systemctl", "daemon-reload")


def shown(system, *names):
    return [system("systemctl", "show", "-P", name, "mxlb").strip() for name in names]
