# SPDX-License-Identifier: BSD-2-Clause
"""Two balancers of the lab (`scripts/lab up --pair`), each with mxlbd and a real keepalived."""
import contextlib
import json
import os
import signal
import subprocess

from lab import Lab, children, command, wait_until

BOXES = ("lb", "lb-b")
START_S = 20
MARKER = "169.254.25.25/32"  # keepalived's: what was killed leaves it


class Box:
    """One box of the pair: mxlbd by `lab box`, keepalived by `lab keepalived`."""

    def __init__(self, lab, host):
        self.lab, self.host = lab, host
        self.dir = lab.run / f"box-{host}"
        self.log_file = lab.run / f"{host}.log"
        self.keepalived_log = lab.run / f"{host}-keepalived.log"
        self.mxlbd = self.keepalived = None

    def start(self):
        with self.log_file.open("a") as log:
            self.mxlbd = self.lab.popen("box", self.host, stdin=subprocess.DEVNULL, stderr=log)
        wait_until(self.answers, START_S, f"mxlbd answers on {self.host}\n{self.log()}")

    def start_keepalived(self):
        with self.keepalived_log.open("a") as log:
            self.keepalived = self.lab.popen("keepalived", self.host, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

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
        return status and all(s["state"] == "up" and all(b["verdict"] == "up" for t in s["tiers"] for b in t["backends"])
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

    def end(self):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in (self.keepalived, self.mxlbd):
            if process:
                process.wait(10)
        wait_until(lambda: not self.pids(), 10, f"nothing runs on {self.host}")
        self.lab.within(self.host, "ip", "address", "del", MARKER, "dev", "lo", status=None)
        for file in (self.log_file, self.keepalived_log):
            file.unlink(missing_ok=True)


class Pair:
    """The two boxes in a lab of their own."""

    def __init__(self, name, build):
        self.lab = Lab(name, build)
        self.lab.env["MXLB_LAB_PAIR"] = "1"
        self.lab("down")
        self.lab("up", "--pair")
        self.boxes = {host: Box(self.lab, host) for host in BOXES}

    def __getitem__(self, host):
        return self.boxes[host]

    def start(self):
        """Starts both; lb becomes active."""
        for host in BOXES:
            self[host].start()
        for host in BOXES:
            wait_until(self[host].is_ready, START_S, f"every server is up for {host}\n{self[host].log()}")
        self["lb"].start_keepalived()
        wait_until(self["lb"].is_active, START_S, f"lb is active\n{self['lb'].log()}")
        self["lb-b"].start_keepalived()
        wait_until(lambda: self["lb-b"].ha()["source"] == "keepalived", START_S, "lb-b hears keepalived")
        wait_until(lambda: self["lb"].priority() == 10 and self["lb-b"].priority() == 0, START_S, "both are without a fault")
        assert self.active() == ["lb"]

    def active(self):
        return [host for host in BOXES if self[host].is_active()]

    def end_boxes(self):
        for host in BOXES:
            self[host].end()
            for pin in self.lab.pin.parent.glob(f"{self.lab.pin.name}{'' if host == 'lb' else '-' + host}/v*"):
                for path in pin.iterdir():
                    path.unlink()
                pin.rmdir()
        self.lab.mend()

    def down(self):
        self.lab("down")
