# SPDX-License-Identifier: BSD-2-Clause
"""Helpers of test_flows.py: open sessions, a ring that changes all the time, forged packets, and a record of resets."""
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab import CLIENT, CLIENT6, HERE, OXFORD, SERVERS, SLOW, command, wait_until
from pinned import BPF

REPLY_S = 120 * SLOW  # of the session holder: quitting under a flood takes its time


@dataclass
class Session:
    busy: bool
    port: int  # the client's
    server: str  # who greeted
    noops: int
    mails: int
    error: str  # None: it lives; "": ended by QUIT
    at: float  # wall clock, when it broke


def forget_probes(lab):
    """Removes what killed balancers left on the servers. Not while one runs: a probe that is reset makes a server down."""
    for server in SERVERS:
        lab.within(server, "ss", "-KHtn", "sport", "=", ":25")


def forget_connections(lab):
    """Removes what earlier tests left: a server does not notice that the balancer reset a client, and a client
    retransmits its FIN to a dead server. A new session could get the same port and then seem to be on two servers.
    Only the client's: probes that are reset make a server down, and what one of two balancers then places elsewhere is
    unknown to the other."""
    lab.within("client", "ss", "-KHtn", "dport", "=", ":25")
    for server in SERVERS:
        lab.within(server, "ss", "-KHtn", "sport", "=", ":25", "and", "(", "dst", CLIENT, "or", "dst", f"[{CLIENT6}]", ")")


class Sessions:
    """SMTP sessions from the client, kept open by smtp_sessions.py."""

    def __init__(self, lab, address, seed=1):
        forget_connections(lab)
        self.process = subprocess.Popen(
            [*lab.nsenter("client"), "/usr/bin/python3", "-B", str(HERE / "smtp_sessions.py"), address, str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lab, self.address = lab, address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10 * SLOW)
        self.process.stdout.close()

    def ask(self, line):
        timer = threading.Timer(REPLY_S, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline()
        finally:
            timer.cancel()
        assert reply, f"the session holder did not answer {line!r} within {REPLY_S} s"
        return [Session(**s) for s in json.loads(reply)]

    def open(self, idle, busy, mail_every=50):
        sessions = self.ask(f"open {idle} {busy} {mail_every}")
        assert_alive(sessions)
        return sessions

    def report(self):
        return self.ask("report")

    def noop(self):
        return self.ask("noop")

    def quit(self, *ports):
        return self.ask(f"quit {' '.join(map(str, ports))}")

    def owners(self):
        """{client port: {servers}} from the servers' own lists of the client's connections. The balancer's probes use
        the VIP, too, and may have the port of a session."""
        owners = {}
        vip, client = (f"[{self.address}]", f"[{CLIENT6}]") if ":" in self.address else (self.address, CLIENT)
        for host in SERVERS:
            listed = self.lab.within(host, "ss", "-Htn", "state", "established", "sport", "=", ":25", "and", "src", vip,
                                     "and", "dst", client)
            for port in re.findall(r":(\d+)\s*$", listed, re.M):
                owners.setdefault(int(port), set()).add(host)
        return owners

    def assert_one_server_each(self):
        owners = self.owners()
        wrong = [(s, owners.get(s.port)) for s in self.report() if owners.get(s.port) != {s.server}]
        assert not wrong, f"{len(wrong)} sessions are not just where they were greeted: {wrong[:3]}"


def assert_alive(sessions):
    broken = [s for s in sessions if s.error is not None]
    assert not broken, f"{len(broken)} of {len(sessions)} sessions broke: {broken[:3]}"


def assert_ended_well(sessions):
    broken = [s for s in sessions if s.error != ""]
    assert not broken, f"{len(broken)} of {len(sessions)} sessions did not end by QUIT: {broken[:3]}"


class RingChanges:
    """Changes the ring of a service every 10 ms over one connection: {b}, {nuneaton}, {a}, {a, b} and round again.
    Sometimes it asks which server a new client would get, to check that the latest ring is in force (unless a flood
    made a probe fail, so that verdicts change the ring, too)."""

    EVERY_S = 0.01
    ASK_EVERY = 25
    STEPS = ((OXFORD[0], "drain", {OXFORD[1]}), (OXFORD[1], "drain", {"nuneaton"}),
             (OXFORD[0], "ready", {OXFORD[0]}), (OXFORD[1], "ready", set(OXFORD)))

    def __init__(self, balancer, service, client, seed=1):
        self.path = str(balancer.lab.run / "mxlb.sock")
        self.service, self.client = service, f"[{client}]" if ":" in client else client
        self.random = random.Random(seed)
        self.thread = threading.Thread(target=self.run)
        self.stop = threading.Event()
        self.changes = self.asked = 0
        self.failure = None

    def __enter__(self):
        self.began = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.seconds = time.monotonic() - self.began

    def wait(self, changes):
        """Until so many more were made; they may take three times as long as they should."""
        goal = self.changes + changes
        wait_until(lambda: self.failure or self.changes >= goal, changes * self.EVERY_S * 3 + 5,
                   f"{goal} ring changes")
        assert not self.failure, self.failure

    def command(self, text):
        self.socket.sendall(text.encode() + b"\n")
        reply = b""
        while not reply.endswith(b"> "):
            more = self.socket.recv(65536)
            assert more, f"mxlbd hung up at {text!r}"
            reply += more
        return reply.decode()[:-2].strip()

    def change(self, step):
        host, state, ring = self.STEPS[step % len(self.STEPS)]
        reply = self.command(f"set server {self.service}/{host} state {state}")
        assert not reply, f"{host} {state}: {reply!r}"
        self.changes += 1
        if self.changes % self.ASK_EVERY:
            return
        told = json.loads(self.command(f"explain {self.service} {self.client}:{self.random.randint(1, 65535)} json"))
        if all(b["verdict"] == "up" for b in told["servers"]):
            assert told["new_connection"]["server"] in ring, f"{host} {state}: {told['new_connection']}"
            self.asked += 1

    def run(self):
        try:
            with socket.socket(socket.AF_UNIX) as self.socket:
                self.socket.settimeout(20)
                self.socket.connect(self.path)
                self.command("prompt")
                step = 0
                while not self.stop.is_set() or step % len(self.STEPS):  # ends with all of them ready
                    self.change(step)
                    step += 1
                    due = self.began + step * self.EVERY_S
                    late = time.monotonic() - due
                    if late > 1:
                        self.began += late  # a stall is not made up for
                    self.stop.wait(max(-late, 0)) or time.sleep(0)
        except (AssertionError, OSError, ValueError) as failed:
            self.failure = f"ring changes: {type(failed).__name__} {failed}"


class Resets:
    """The RSTs from port 25 of the VIP that the client received."""

    def __init__(self, lab, vip):
        self.lab, self.file = lab, lab.run / "resets.txt"
        self.filter = (f"ip6 src {vip} and tcp src port 25 and ip6[53] & 4 != 0" if ":" in vip else
                       f"ip src {vip} and tcp src port 25 and tcp[tcpflags] & tcp-rst != 0")

    def __enter__(self):
        with self.file.open("w") as out:
            self.process = subprocess.Popen(
                [*self.lab.nsenter("client"), "tcpdump", "-Z", "root", "-Q", "in", "-i", "eth0", "-nn", "-q", "-l",
                 self.filter], stdout=out, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "listening on" in line:
                return self
        raise AssertionError("tcpdump did not start")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        summary = self.process.stderr.read()
        self.process.wait(10)
        assert re.search(r"^0 packets dropped by kernel", summary, re.M), summary

    def ports(self):
        """The client's ports that got one."""
        return [int(port) for port in re.findall(r" > \S+\.(\d+): ", self.file.read_text())]


class Capture:
    """Captures the packets that match a filter on a host and counts them afterwards: tcpdump's own count includes
    packets from before its filter was set.

    The kernel holds packets back for up to a second, and those are lost at the end; with at_once none are, and each packet costs
    a wake-up.
    """

    def __init__(self, lab, host, interface, folder, expression, direction="in", at_once=False):
        self.lab, self.filter = lab, expression
        self.file = folder / f"{host}-{abs(hash(expression)):x}.pcap"
        self.argv = [*lab.nsenter(host), "tcpdump", "-Z", "root", "-Q", direction, "-i", interface, "-s", "80", "-B", "16384",
                     "-nn", "-w", self.file, *(["--immediate-mode"] if at_once else []), expression]

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stderr=subprocess.PIPE, text=True)
        assert any("listening on" in line for line in self.process.stderr), "tcpdump did not start"
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=10)
        counted = command("tcpdump", "-nn", "--count", "-r", self.file, self.filter)
        self.count = int(re.search(r"^(\d+) packets?", counted, re.M)[1])

    def times(self):
        """The wall-clock time of each. The file is read here because tcpdump takes minutes for a million packets."""
        data, at, times = self.file.read_bytes(), 24, []
        while at + 16 <= len(data):
            seconds, fraction, length = struct.unpack_from("<III", data, at)
            times.append(seconds + fraction / 1e6)
            at += 16 + length
        return times


class Forgery:
    """Forged packets to the VIP from the router: SYNs from unused addresses, or all kinds on the tuples of open
    sessions."""

    def __init__(self, lab, build, vip, client=None, ports=(), seed=1, rate=0, syn="syn", packets=None):
        what = [client, *map(str, ports)] if client else [*syn.split(), *([str(packets)] if packets else [])]
        self.argv = [*lab.nsenter("router"), str(build / "forge-packets"), "lan", lab.mac("lb"), vip, "25", str(seed),
                     str(rate), *what]
        self.done = None

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.end(20)

    def wait(self, seconds):
        """Until all packets are sent."""
        self.end(seconds)
        return self

    def end(self, seconds):
        if self.done:
            return
        out, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0 and out, "the forger failed"
        self.done = json.loads(out)

    def text(self):
        return f"{self.done['sent']} forged packets, {self.done['sent'] / self.done['seconds']:.0f} a second"


BPF_ENABLE_STATS = 32


class Meter:
    """The cost meanwhile: CPU time of mxlbd, CPU time of the program per packet (measured by the kernel), and the
    number of lines that mxlbd logs."""

    def __init__(self, balancer):
        self.balancer = balancer

    def cpu(self):
        fields = Path(f"/proc/{self.balancer.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def program(self):
        """(ns, runs) since the program was loaded, while the kernel measures."""
        shown = json.loads(self.balancer.lab.within("lb", "ip", "-json", "link", "show", "dev", "eth0"))
        bpftool = shutil.which("bpftool", path="/usr/sbin:" + os.environ["PATH"])
        about = json.loads(command(bpftool, "-j", "prog", "show", "id", str(shown[0]["xdp"]["prog"]["id"])))
        return about.get("run_time_ns", 0), about.get("run_cnt", 0)

    def lines(self):
        return self.balancer.log().count("\n")

    def __enter__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        self.stats = libc.syscall(BPF, BPF_ENABLE_STATS, (ctypes.c_uint64 * 2)(0, 0), 4)
        self.began = time.monotonic(), self.cpu(), self.program(), self.lines()
        return self

    def __exit__(self, *_):
        at, cpu, (ns, runs), lines = self.began
        self.seconds = time.monotonic() - at
        self.cpu_s = self.cpu() - cpu
        now_ns, now_runs = self.program()
        self.runs, self.ns = now_runs - runs, (now_ns - ns) / max(now_runs - runs, 1)
        self.logged = self.lines() - lines
        if self.stats >= 0:
            os.close(self.stats)

    def text(self):
        return (f"mxlbd {100 * self.cpu_s / self.seconds:.1f} % of a processor, the program {self.ns:.0f} ns a packet "
                f"({self.runs} of them), {self.logged} lines logged")


def swallow_forged_sources(lab):
    """Removes the servers' routes to the sources of a flood, because the test is not about the servers' capacity."""
    for host in SERVERS:
        for prefix in ("100.64.0.0/10", "2001:db8:64::/64"):
            family = "-6" if ":" in prefix else "-4"
            lab.undo.callback(lab.within, host, "ip", family, "route", "del", "blackhole", prefix)
            lab.within(host, "ip", family, "route", "add", "blackhole", prefix)


def challenges(lab):
    """The number of challenge ACKs (RFC 5961) that the servers have sent since the lab was set up."""
    return sum(int(n) for host in SERVERS
               for n in re.findall(r"^Tcp\S+ +(\d+)", lab.within(host, "nstat", "-asz", "TcpExtTCPSYNChallenge"), re.M))


def verdict_times(balancer, service, verdict="down"):
    """{backend: wall-clock time of its latest verdict of this kind}."""
    times = {}
    for line in balancer.ask("show events").splitlines():
        found = re.match(rf"\d+ (\S+) event=backend_verdict service={service} backend=(\S+) from=\S+ to={verdict}\b", line)
        if found:
            times[found[2]] = datetime.fromisoformat(found[1].replace("Z", "+00:00")).timestamp()
    return times


def flows(balancer, service):
    """{backend: number of flows}."""
    return {b["name"]: b["flows"] for tier in balancer.service(service)["tiers"] for b in tier["servers"]}


def queue_per_cpu(lab):
    """Gives the balancer's cable two queues, so that a frame sent on CPU n (the softirq stays on the sender's CPU)
    arrives on queue n. It is done in steps: no end may send on a queue that the other end, with a program, does not
    receive on."""
    def channels(*steps):
        for host, device, what, n in steps:
            lab.within(host, "ethtool", "-L", device, what, n)
    both = ("lb", "eth0"), ("switch", "lb")
    lab.undo.callback(channels, *((*end, what, "1") for what in ("tx", "rx") for end in both))
    channels(*((*end, what, "2") for what in ("rx", "tx") for end in both))
    lab.within("switch", "unshare", "-m", "sh", "-ec", "mount -t sysfs none /sys; cd /sys/class/net/lb/queues; "
               "echo 1 >tx-0/xps_cpus; echo 2 >tx-1/xps_cpus")


def received(lab):
    """The frames that the program received, by queue."""
    lines = lab.within("lb", "ethtool", "-S", "eth0")
    return [int(n) for _, n in sorted(re.findall(r"rx_queue_(\d+)_xdp_packets: (\d+)", lines))]


def forwarded(lab):
    """The packets that the program forwarded to servers, by CPU."""
    bpftool = shutil.which("bpftool", path="/usr/sbin:" + os.environ["PATH"])
    cpus = {}
    for backend in json.loads(command(bpftool, "-j", "map", "dump", "pinned", str(next(lab.pin.glob("v*/traffic"))))):
        for each in backend["values"]:
            packets = int.from_bytes(bytes(int(byte, 16) for byte in each["value"][:8]), "little")
            cpus[each["cpu"]] = cpus.get(each["cpu"], 0) + packets
    return cpus
