# SPDX-License-Identifier: BSD-2-Clause
"""Several balancers of the lab: two with keepalived (`scripts/lab up --pair`), or three whose VIPs are announced by BIRD or FRR
(`--ecmp`)."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from datetime import datetime

import pytest

from lab import Lab, ask, children, command, patience, wait_until

BOXES = ("lb", "lb-b")
START_S = 20
MARKER = "169.254.25.25/32"  # keepalived's: what was killed leaves it


class Box:
    """One balancer: mxlbd by `lab box`; keepalived, BIRD or FRR by the command of that name."""

    def __init__(self, lab, host):
        self.lab, self.host = lab, host
        self.dir = lab.run / f"box-{host}"
        self.log_file = lab.run / f"{host}.log"
        self.keepalived_log = lab.run / f"{host}-keepalived.log"
        self.mxlbd = self.keepalived = self.router = None

    def start(self):
        with self.log_file.open("a") as log:
            self.mxlbd = self.lab.popen("box", self.host, stdin=subprocess.DEVNULL, stderr=log)
        wait_until(self.answers, START_S, lambda: f"mxlbd answers on {self.host}\n{self.log()}")

    def start_keepalived(self):
        with self.keepalived_log.open("a") as log:
            self.keepalived = self.lab.popen("keepalived", self.host, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_router(self, program):
        """bird or frr"""
        with (self.lab.run / f"{self.host}-{program}.log").open("a") as log:
            self.router = self.lab.popen(program, self.host, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def configure(self, replace):
        """The configuration's text with pieces replaced; mxlbd is not told."""
        file = self.dir / "mxlb.yaml"
        text = file.read_text()
        for old, new in replace.items():
            assert old in text, f"the configuration has no {old!r}"
            text = text.replace(old, new)
        file.write_text(text)

    def ask(self, line):
        return ask(self.dir / "mxlb.sock", line)

    def doctor(self):
        """What it finds, within this host's network."""
        return json.loads(self.lab.within(self.host, str(self.lab.run / "bin/mxlbctl"), "-s", str(self.dir / "mxlb.sock"), "doctor", "--json",
                                          status=None))["findings"]

    def answers(self):
        with contextlib.suppress(AssertionError, json.JSONDecodeError):
            return self.status()
        return None

    def log(self):
        return self.log_file.read_text(errors="replace")

    def ctl(self, *words, **options):
        return self.lab("boxctl", self.host, *words, **options)

    def status(self):
        return json.loads(self.ctl("status", "--json"))

    def role(self):
        status = self.answers()
        return status and status["ha"]["role"]

    def ha(self):
        return self.status()["ha"]

    def is_active(self):
        return self.role() == "active"

    def priority(self):
        return int((self.dir / "ha/priority").read_text())

    def is_ready(self):
        status = self.answers()
        return status and all(s["state"] == "up" and all(b["verdict"] == "up" for t in s["tiers"] for b in t["servers"])
                              for s in status["services"])

    def signal_mxlbd(self, number):
        self.mxlbd.send_signal(number)

    def keepalived_pids(self):
        """keepalived's main process and its VRRP child."""
        return [self.keepalived.pid, *children(self.keepalived.pid)]

    def signal_keepalived(self, number):
        for pid in self.keepalived_pids():
            os.kill(pid, number)

    def pids(self):
        """All processes of this host: no other process is in its network namespace."""
        return [int(pid) for pid in command("ip", "netns", "pids", f"{self.lab.name}-{self.host}").split()]

    def became(self, role, since):
        """Seconds from this time of the wall clock until it took the role, by its own clock. (The test may see it late.)"""
        events = [json.loads(line) for line in self.ask("show events json").splitlines() if line]
        times = [datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp() - since for e in events
                 if e["event"] == "role" and e["to"] == role]
        return min(at for at in times if at > -0.01)  # it is shown in milliseconds

    def end(self):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in (self.keepalived, self.router, self.mxlbd):
            if process:
                process.wait(10 * patience())
        wait_until(lambda: not self.pids(), 10, f"nothing runs on {self.host}")
        self.lab.within(self.host, "ip", "address", "del", MARKER, "dev", "lo", status=None)
        for family in ("-4", "-6"):  # likewise mxlbd's and FRR's routes
            self.lab.within(self.host, "ip", family, "route", "flush", "table", "109", status=None)
        self.lab.within(self.host, "ip", "nexthop", "flush", status=None)
        for file in (self.log_file, self.keepalived_log):
            file.unlink(missing_ok=True)


class Boxes:
    """Several, in a lab of their own."""

    def __init__(self, name, build, how, hosts):
        self.lab, self.hosts = Lab(name, build), hosts
        self.lab("down")
        self.lab("up", how)
        self.boxes = {host: Box(self.lab, host) for host in hosts}

    def __getitem__(self, host):
        return self.boxes[host]

    def start_mxlbd(self, replace=None):
        """replace: in the configuration of each."""
        for host in self.hosts:
            if replace:
                self.lab("boxconfig", host)
                self[host].configure(replace)
            self[host].start()
        for host in self.hosts:
            wait_until(self[host].is_ready, START_S, lambda: f"every server is up for {host}\n{self[host].log()}")

    def active(self):
        return [host for host in self.hosts if self[host].is_active()]

    def end_boxes(self):
        for host in self.hosts:
            self[host].end()
            for pin in self.lab.pin.parent.glob(f"{self.lab.pin.name}{'' if host == 'lb' else '-' + host}/v*"):
                for path in pin.iterdir():
                    path.unlink()
                pin.rmdir()
            for file in ("mxlb.yaml", "ha/priority.role"):
                (self[host].dir / file).unlink(missing_ok=True)
            for file in (self.lab.run / f"state-{host}").glob("orders*"):
                file.unlink()
        self.lab.mend()

    def down(self):
        self.lab("down")


def drop(lab, device, *rules):
    """Frames that come in at the switch by this device, until the test ends or pass_again()."""
    lab.undo.callback(lab.within, "switch", "nft", "delete", "table", "netdev", f"drop-{device}", status=None)
    lines = (f'type filter hook ingress device "{device}" priority 0', *(f"{rule} drop" for rule in rules))
    lab.within("switch", "nft", "-f", "-", input=f"table netdev drop-{device} {{ chain in {{ {'; '.join(lines)}; }}; }}\n")


def pass_again(lab, device):
    lab.within("switch", "nft", "delete", "table", "netdev", f"drop-{device}")


SECOND = {"lb": 5, "lb-b": 6, "oxford-a": 11, "oxford-b": 12}


def second_cables(lab):
    """eth1 of the balancers and of Oxford's servers, at a switch of its own, until the test ends: 10.25.0.0/24, 2001:db8:2500::/64."""
    lab.undo.callback(lab.within, "switch", "ip", "link", "del", "br1")
    lab.within("switch", "ip", "link", "add", "br1", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
    lab.within("switch", "ip", "link", "set", "br1", "up")
    for host, number in SECOND.items():
        port = f"{host}-2"
        lab.undo.callback(lab.within, host, "ip", "link", "del", "eth1")
        lab.within(host, "ip", "link", "add", "eth1", "type", "veth", "peer", "name", port, "netns", f"{lab.name}-switch")
        lab.within(host, "sysctl", "-qw", "net.ipv4.conf.eth1.rp_filter=0")
        for at, device in ((host, "eth1"), ("switch", port)):
            lab.within(at, "ethtool", "-K", device, "tx", "off")
            lab.within(at, "ip", "link", "set", device, "up")
        lab.within(host, "ip", "address", "add", f"10.25.0.{number}/24", "dev", "eth1")
        lab.within(host, "ip", "address", "add", f"2001:db8:2500::{number}/64", "dev", "eth1", "nodad")
        lab.within("switch", "ip", "link", "set", port, "master", "br1")
        if host in BOXES:
            bpftool = shutil.which("bpftool", path="/usr/sbin:" + os.environ["PATH"])
            lab.within("switch", bpftool, "net", "attach", "xdpdrv", "pinned", f"/sys/fs/bpf/mxlb-{lab.name}-pass", "dev", port)


@contextlib.contextmanager
def three(build, letter):
    """Three, for BGP."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    boxes = Boxes(f"{os.environ.get('MXLB_LAB', 'mxlbtest')[:12]}{letter}", build, "--ecmp", (*BOXES, "lb-c"))
    try:
        yield boxes
    finally:
        boxes.down()


class Pair(Boxes):
    """Two, with keepalived."""

    def __init__(self, name, build):
        super().__init__(name, build, "--pair", BOXES)

    def start(self, replace=None):
        """lb becomes the active one."""
        self.start_mxlbd(replace)
        self["lb"].start_keepalived()
        wait_until(self["lb"].is_active, START_S, lambda: f"lb is active\n{self['lb'].log()}")
        self["lb-b"].start_keepalived()
        wait_until(lambda: self["lb-b"].ha()["source"] == "keepalived", START_S, "lb-b hears keepalived")
        wait_until(lambda: self["lb"].priority() == 10 and self["lb-b"].priority() == 0 and self.active() == ["lb"], START_S,
                   "both are without a fault, and lb is active")


class Router:
    """BIRD on the router, with a session to each box, and a record of what the kernel's table gets from it."""

    def __init__(self, lab):
        self.lab = lab
        self.file = lab.run / "router-routes.txt"

    def __enter__(self):
        with self.file.open("w") as out:
            self.monitor = subprocess.Popen([*self.lab.nsenter("router"), "ip", "-ts", "monitor", "route"], stdout=out)
        with (self.lab.run / "router-bird.log").open("a") as log:
            self.bird = self.lab.popen("bird", "router", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        for process in (self.bird, self.monitor):
            process.terminate()
            process.wait(10 * patience())

    def birdc(self, *words):
        control = str(self.lab.run / "bird-router/bird.ctl")
        unpacked = "/var/cache/mxlb-lab/bird2/usr/sbin/birdc"
        return command(unpacked if os.path.exists(unpacked) else "birdc", "-s", control, *words, status=None)

    def has_session(self, host, family):
        return "Established" in self.birdc("show", "protocols", f"{host.replace('-', '_')}_{family}")

    def next_hops(self, vip, protocol="all"):
        """Of the kernel's route to a VIP."""
        text = self.lab.within("router", "ip", "-6" if ":" in vip else "-4", "route", "show", vip, "proto", protocol, status=None)
        return set(re.findall(r"via (\S+)", text))

    def told(self, vip):
        """What the boxes' announcements say: {next hop: (local preference, asks for a graceful shutdown)}."""
        text = self.birdc("show", "route", "all", f"{vip}/{128 if ':' in vip else 32}")
        found = re.findall(r"via (\S+) on(.*?)(?=\n\S|unicast|\Z)", text, re.S)
        return {hop: (int(re.search(r"local_pref: (\d+)", rest)[1]), "(65535,0)" in rest) for hop, rest in found}

    def changes(self, vip, since=0.0):
        """[(wall clock, "added" or "deleted")]"""
        lines = re.findall(rf"^\[(\S+)\] (Deleted )?{re.escape(vip)} ", self.file.read_text(), re.M)
        times = [(datetime.fromisoformat(at).timestamp(), "deleted" if deleted else "added") for at, deleted in lines]
        return [(at, what) for at, what in times if at >= since]


def rewrite(box, change):
    file = box.dir / "mxlb.yaml"
    file.write_text(change(file.read_text()))
