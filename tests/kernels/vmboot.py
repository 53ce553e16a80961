# SPDX-License-Identifier: BSD-2-Clause
"""This machine's part of tests/kernels/booted: the Debian that scripts/vm boots, and the hosts around it, which are those of
scripts/lab on this machine. The balancer of the lab is replaced by the VM.

A line `mail WHEN` of the VM's output is a request for messages through the VIPs. The result is printed, and the VM is told by
a file in its file system that it can go on.
"""
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("linux-image-cloud-amd64", "systemd-sysv", "dbus", "ca-certificates")
LAB = os.environ.get("MXLB_LAB", "mxlb") + "-boot"
MESSAGES = 20
PATIENCE_S = 60
# The balancer's address in the lab. The name of the device: net.ifnames=0.
NETWORK = """[Match]
Name=eth0
[Network]
Address=203.0.113.5/24
Address=2001:db8:113::5/64
Gateway=203.0.113.1
Gateway=2001:db8:113::1
IPv6AcceptRA=no
"""


def depends(deb):
    """The names of the packages; of alternatives the first."""
    listed = subprocess.run(["dpkg-deb", "-f", str(deb), "Depends"], capture_output=True, text=True, check=True).stdout
    return sorted(re.match(r"\s*([\w.+-]+)", each)[1] for each in listed.split(","))


def lab(*words):
    """MXLB_SLOW: for the probes of the VM's mxlbd."""
    subprocess.run([ROOT / "scripts/lab", *words], check=True, timeout=300, stdin=subprocess.DEVNULL,
                   env={**os.environ, "MXLB_LAB": LAB, "MXLB_SLOW": "4"})


class Booted:
    """words: of scripts/vm."""

    def __init__(self, folder):
        self.deb, = (folder / "deb").glob("mxlb_*.deb")
        self.logs = Path("/var/lib/mxlb-lab") / LAB

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="mxlb-boot.")
        self.system = Path(self.temporary.name)
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make(self):
        subprocess.run([ROOT / "scripts/debian-root", "bookworm", self.system, *PACKAGES, *depends(self.deb)], check=True)
        units = self.system / "etc/systemd"
        (units / "network/eth0.network").write_text(NETWORK)
        wants = units / "system/multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")
        lab("up")
        subprocess.run(["ip", "-n", f"{LAB}-lb", "link", "delete", "eth0"], check=True)
        self.words = ("--boot", str(self.system), "--plug", f"{LAB}-switch:br0", "--append", "net.ifnames=0",
                      f"tests/kernels/booted {self.deb} {self.logs}/mxlb.yaml")

    def __exit__(self, *_):
        try:
            lab("down")
        finally:
            self.temporary.cleanup()

    def accepted(self):
        return sum(len(re.findall(r"qmgr\[.*from=<sender@example\.net>", log.read_text(errors="replace")))
                   for log in self.logs.glob("*/mail.log"))

    def answer(self, line):
        """Returns the line that is shown in place of this one."""
        asked = re.match(r"mail (.*)", line)
        if not asked:
            return line
        before = self.accepted()
        try:
            lab("send", str(MESSAGES // 2))
            lab("send", str(MESSAGES // 2), "2001:db8:113::25")
        except subprocess.SubprocessError as failure:
            print(failure)
        deadline = time.monotonic() + PATIENCE_S
        while self.accepted() < before + MESSAGES and time.monotonic() < deadline:
            time.sleep(0.1)
        got = self.accepted() - before
        (self.system / "var/tmp/mail-was-sent").touch()
        return f"{'ok' if got == MESSAGES else 'not ok'} boot: {got} of {MESSAGES} messages {asked[1]}\n"
