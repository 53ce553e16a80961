# SPDX-License-Identifier: BSD-2-Clause
"""What is recorded during the game and judged afterwards: mxlbd's log lines with the time at which they were read, the
SYNs it forwarded, its descriptors and memory, the packets by outcome. Times are time.time()."""
import bisect
import json
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from lab import CLIENT, CLIENT6, ETHERNET, ROOT, VIP, Balancer, Capture, children, command, wait_until

FIELDS = "event", "service", "backend", "from", "to", "cause"
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@dataclass
class Event:
    at: float
    kind: str
    service: str
    backend: str
    was: str
    to: str
    cause: str

    @property
    def reason(self):
        return self.cause.partition(":")[0]


class Watched(Balancer):
    """mxlbd with a log that spans its restarts."""

    def __init__(self, lab):
        super().__init__(lab)
        self.lines = []  # (when, line)

    def start(self):
        self.process = subprocess.Popen([str(ROOT / "scripts/lab"), "mxlbd"], env=self.lab.env, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace")
        threading.Thread(target=self.read, args=[self.process.stderr], daemon=True).start()
        wait_until(self.answers, 30, "mxlbd answers on its socket")

    def read(self, stream):
        for line in stream:
            self.lines.append((time.time(), line.rstrip()))

    def log(self):
        return "\n".join(line for _, line in self.lines[-40:])

    def count(self, text):
        return sum(text in line for _, line in self.lines)

    def child(self):
        child, = wait_until(lambda: [pid for pid in children(self.process.pid) if Path(f"/proc/{pid}/exe").exists()], 10,
                            "a probe child")
        return child

    def events(self):
        found = [(at, dict(FIELD.findall(line))) for at, line in self.lines if "event=" in line]
        return [Event(at, *(fields.get(name, "").strip('"') for name in FIELDS)) for at, fields in found]


class Timeline:
    """A sequence of values over time: the value at a time, and whether a value held during an interval."""

    def __init__(self, first):
        self.times, self.values = [0.0], [first]

    def add(self, at, value):
        self.times.append(at)
        self.values.append(value)

    def at(self, when):
        return self.values[bisect.bisect_right(self.times, when) - 1]

    def during(self, begin, end):
        first, last = bisect.bisect_right(self.times, begin) - 1, bisect.bisect_right(self.times, end)
        return set(self.values[first:last])


@dataclass
class Syn:
    at: float
    mac: str  # of the server it was sent to
    service: str
    port: int
    again: bool  # by a port whose SYN was seen a short while ago


class Syns(Capture):
    """The client's SYNs from the balancer to a server, captured at the switch's end of the server's cable."""

    AGAIN_S = 30  # of a port for which a SYN may be a retransmission

    def __init__(self, lab):
        super().__init__(lab, VIP, CLIENT)
        syn = "(tcp[13] & 0x17 == 2)", "(ip6[6] == 6 and ip6[53] & 0x17 == 2)"
        self.expression = (f"ether src {lab.mac('lb')} and ((ip and src host {CLIENT} and {syn[0]}) or "
                           f"(ip6 and src host {CLIENT6} and {syn[1]}))")

    def seen(self):
        last, syns = {}, []
        for at, frame in self.frames():
            ip = frame[ETHERNET:]
            four = ip[0] >> 4 == 4
            port = int.from_bytes(ip[4 * (ip[0] & 15):][:2] if four else ip[40:42], "big")
            again = at - last.get((four, port), 0) < self.AGAIN_S
            last[four, port] = at
            syns.append(Syn(at, frame[:6].hex(":"), "hybrid-mail" if four else "hybrid-mail6", port, again))
        return syns


class Vitals(threading.Thread):
    """Once a second: (time, PID of mxlbd, open descriptors, private memory in kB) of mxlbd and its child. The flow
    table, which it reads by mmap, does not count."""

    def __init__(self, balancer):
        super().__init__(daemon=True)
        self.balancer, self.samples, self.done = balancer, [], threading.Event()

    def sample(self):
        parent = self.balancer.process.pid
        pids = [parent, *children(parent)]
        try:
            descriptors = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
            memory = [int(re.search(r"^RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1]) for pid in pids]
        except (OSError, TypeError):
            return  # one of them is just ending
        if len(pids) == 2:
            self.samples.append((time.time(), parent, descriptors, memory))

    def run(self):
        while not self.done.wait(1):
            self.sample()

    def end(self):
        self.done.set()
        self.join()

    def lives(self):
        """[[samples of one life of mxlbd], ...]"""
        pids = dict.fromkeys(sample[1] for sample in self.samples)
        return [[sample for sample in self.samples if sample[1] == pid] for pid in pids]


def packets(lab, bpftool):
    """The number of frames that the program ran for, and the number of those with a verdict: forwarded to a server, or
    counted under a reason."""
    layout = next(lab.pin.glob("v*"))
    ran = sum(int(n) for n in re.findall(r"rx_queue_\d+_xdp_packets: (\d+)", lab.within("lb", "ethtool", "-S", "eth0")))
    fates = 0
    for name in ("counts", "traffic"):
        for entry in json.loads(command(bpftool, "-j", "map", "dump", "pinned", str(layout / name))):
            fates += sum(int.from_bytes(bytes(int(byte, 16) for byte in cpu["value"][:8]), "little")
                         for cpu in entry["values"])
    return ran, fates
