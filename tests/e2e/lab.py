# SPDX-License-Identifier: BSD-2-Clause
"""The lab, mxlbd in it, and mail traffic, as objects for the tests. Times are time.monotonic(), in seconds."""
import contextlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
OXFORD = ("oxford-a", "oxford-b")
SERVERS = (*OXFORD, "nuneaton")
FAR = "far"  # of the far site
VIP, VIP6 = "203.0.113.25", "2001:db8:113::25"
CLIENT, CLIENT6 = "198.51.100.10", "2001:db8:100::10"
RETRANS_MS = 1000  # the kernel's own; a network namespace does not show its default (arp(7), ip-sysctl)
FORGET_PROBES = "rule flush proto 157\nroute flush table all proto 157\nneigh flush dev eth0 nud permanent proto 157\n"


SLOW = float(os.environ.get("MXLB_SLOW", "1"))  # time limits are multiplied by it: a machine may be emulated


def patience():
    """How many times as long as on a machine of its own a thing may take: processes that wait for a CPU delay all others."""
    return SLOW * max(1, os.getloadavg()[0] / os.cpu_count())


def wait_until(condition, seconds, what):
    """Returns the first true value of condition(), or fails with the name of what did not happen (a function is called
    then, so that it can describe what there is instead)."""
    began = time.monotonic()
    while True:
        if value := condition():
            return value
        if (waited := time.monotonic() - began) > seconds * patience():
            raise AssertionError(f"not within {waited:.1f} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def command(*argv, status=0, **options):
    """Runs a command and returns its output; fails unless its exit status is as expected."""
    options = {"text": True, "timeout": 120, **options}
    options["timeout"] *= patience()
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
    assert status in (None, done.returncode), f"{' '.join(argv)}: status {done.returncode}: {done.stdout}"
    return done.stdout


class Lab:
    """One lab of scripts/lab with a name of its own, so that a demo can run at the same time."""

    def __init__(self, name, build):
        self.name = name
        self.run = Path("/var/lib/mxlb-lab") / name
        self.pin = Path("/sys/fs/bpf") / f"mxlb-{name}"
        self.config_file = self.run / "mxlb.yaml"
        self.env = {**os.environ, "MXLB_LAB": name, "MXLB_BUILD": str(build)}
        self.undo = contextlib.ExitStack()

    def __call__(self, *words, **options):
        return command(str(ROOT / "scripts/lab"), *words, env=self.env, **options)

    def popen(self, *words, **options):
        """The process is the command itself, because scripts/lab execs it."""
        return subprocess.Popen([str(ROOT / "scripts/lab"), *words], env=self.env, **options)

    def within(self, host, *argv, **options):
        return command(*self.nsenter(host), *argv, **options)

    def nsenter(self, host):
        return "nsenter", f"--net=/run/netns/{self.name}-{host}", "--"

    def set_forward(self, how):
        """l2, ipip or ipip6: how the configuration forwards to the servers. Starts the far ends of tunnels where they
        are needed."""
        before = self.env.get("MXLB_LAB_FORWARD", "l2")
        self.env["MXLB_LAB_FORWARD"] = how
        if before == "l2" and how != "l2":
            for host in SERVERS:
                self("farend", "start", host)
        elif how == "l2" and before != "l2":
            for stop in [self.popen("farend", "stop", host) for host in SERVERS]:  # each takes a second or two
                assert stop.wait(30 * SLOW) == 0

    def add_farsite(self):
        """Runs once for all tests; it does not interfere with any."""
        if not Path(f"/run/netns/{self.name}-{FAR}").exists():
            self("farsite")

    # Whatever a test breaks is repaired when it ends, also if it fails.

    def farend(self, host, config=None):
        """mxlbd on a server, with this configuration or the one that only decapsulates."""
        self.undo.callback(self.restore_farend, host)
        file = self.run / host / "own.yaml"
        if config:
            file.write_text(config)
        self("farend", "start", host, *([str(file)] if config else []))

    def stop_farend(self, host):
        self.undo.callback(self.restore_farend, host)
        self("farend", "stop", host)

    def restore_farend(self, host):
        tunnels = host in SERVERS and self.env.get("MXLB_LAB_FORWARD", "l2") != "l2"
        self("farend", "start" if tunnels else "stop", host)

    def stop(self, host):
        self.undo.callback(self.start, host)
        self("server", "stop", host)

    def start(self, host):
        self("server", "start", host)

    def cut(self, host):
        self.undo.callback(self.join, host)
        self("cut", host)

    def join(self, host):
        self("join", host)

    def unplug(self, host):
        """Deletes the host's interface."""
        self.undo.callback(self.plug, host)
        self.within(host, "ip", "link", "del", "eth0")

    def plug(self, host):
        """Creates the host's interface if it has none."""
        if "does not exist" in self.within(host, "ip", "link", "show", "dev", "eth0", status=None):
            self("plug", host)

    def take_down(self, host):
        self.within(host, "sysctl", "-qw", "net.ipv6.conf.eth0.keep_addr_on_down=1")
        routes = [(family, self.within(host, "ip", family, "route", "show", "default").split()) for family in ("-4", "-6")]
        self.undo.callback(self.bring_up, host, routes)
        self.within(host, "ip", "link", "set", "dev", "eth0", "down")

    def bring_up(self, host, routes):
        self.within(host, "ip", "link", "set", "dev", "eth0", "up")
        for family, route in routes:  # an IPv6 network is there a moment after its interface
            wait_until(lambda: "rror" not in self.within(host, "ip", family, "route", "replace", *route, status=None),
                       5, f"{host} has its routes back")

    def remove_vip(self, host):
        self.undo.callback(self.add_vip, host)
        self.within(host, "ip", "address", "del", f"{VIP}/32", "dev", "lo")

    def add_vip(self, host):
        self.within(host, "ip", "address", "replace", f"{VIP}/32", "dev", "lo")

    def router_knows_vip(self):
        entry = (VIP, "lladdr", self.mac("lb"), "dev", "lan")
        self.undo.callback(self.within, "router", "ip", "neigh", "del", *entry)
        self.within("router", "ip", "neigh", "replace", *entry, "nud", "permanent")

    def mend(self):
        self.undo.close()

    def owner(self):
        """UID and GID of mxlbd."""
        return self.pin.stat().st_uid, self.pin.stat().st_gid

    def pinned(self):
        """The contents of the directory of pins, without the kernel's own files."""
        return [path for path in self.pin.iterdir() if path.suffix != ".debug"]

    def xdp(self, device="eth0"):
        """The mode of the XDP program on an interface of the balancer: "native", "generic", or None if there is
        none."""
        link, = json.loads(self.within("lb", "ip", "-json", "link", "show", "dev", device))
        return {1: "native", 2: "generic"}[link["xdp"]["mode"]] if "xdp" in link else None

    def mac(self, host):
        return re.search(r"link/ether (\S+)", self.within(host, "ip", "link", "show", "dev", "eth0"))[1]

    def log(self, host):
        return (self.run / host / "mail.log").read_text(errors="replace")

    def log_sizes(self):
        return {host: len(self.log(host)) for host in SERVERS}

    def connections(self, since, address=CLIENT):
        """The connections from that address in each server's log since log_sizes()."""
        line = re.compile(rf"smtpd\[\d+\]: connect from \S+\[{re.escape(address)}\]")
        return {host: len(line.findall(self.log(host)[since[host]:])) for host in SERVERS}

    def accepted(self, since):
        """The messages accepted by each server since log_sizes(), that is, in its queue on disk."""
        return {host: len(re.findall(r"qmgr\[\d+\]: \w+: from=<sender@example.net>", self.log(host)[since[host]:]))
                for host in SERVERS}


def ask(path, line):
    """The answer of mxlbd's socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5 * patience())
        s.connect(str(path))
        s.sendall(line.encode() + b"\n")
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


class Balancer:
    """mxlbd in the lab, with the restrictions of its systemd unit."""

    def __init__(self, lab):
        self.lab = lab
        self.process = None
        self.log_file = lab.run / "mxlbd.log"

    def configure(self, mode="auto", replace=None):
        """The lab's configuration with parts of its text replaced."""
        text = self.lab("config", mode)
        for old, new in (replace or {}).items():
            assert old in text, f"the lab's configuration has no {old!r}"
            text = text.replace(old, new)
        self.lab.config_file.write_text(text)

    def start(self, *words, **env):
        """Starts mxlbd (words: the command of scripts/lab, `mxlbd` by default) and waits for its socket."""
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen([str(ROOT / "scripts/lab"), *(words or ["mxlbd"])],
                                            env={**self.lab.env, **env}, stdin=subprocess.DEVNULL, stderr=log)
        wait_until(self.answers, 20, lambda: f"mxlbd answers on its socket\n{self.log()}")

    def answers(self):
        assert self.process.poll() is None, f"mxlbd ended with {self.process.returncode}:\n{self.log()}"
        try:
            return self.status()
        except (OSError, json.JSONDecodeError):
            return None

    def stop(self, seconds=10):
        """Returns the exit status."""
        self.process.terminate()
        return self.process.wait(seconds * patience())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Ends mxlbd by all means and removes the pins, so that the next test starts cold."""
        if self.process and self.process.poll() is None:
            orphans = children(self.process.pid)
            self.process.kill()
            self.process.wait()
            wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in orphans), 5,
                       "the probe child ends when mxlbd was killed")
        for path in self.lab.pinned():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.lab.run / "mxlb.sock").unlink(missing_ok=True)
        shutil.rmtree(self.lab.run / "state-lb", ignore_errors=True)  # copies of files, operators' orders
        self.lab.within("lb", "tc", "qdisc", "del", "dev", "eth0", "clsact", status=None)
        for family in ("-4", "-6"):
            self.lab.within("lb", "ip", family, "-batch", "-", input=FORGET_PROBES, status=None)
        for family in ("ipv4", "ipv6"):  # a killed mxlbd leaves its own value, which the next test would take for the host's
            self.lab.within("lb", "sysctl", "-qw", f"net.{family}.neigh.eth0.retrans_time_ms={RETRANS_MS}", status=None)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def ask(self, line):
        return ask(self.lab.run / "mxlb.sock", line)

    def status(self):
        return json.loads(self.ask("show status"))

    def service(self, name="hybrid-mail"):
        """In the documents of an earlier mxlbd, a tier's servers are "backends" only."""
        service = next(s for s in self.status()["services"] if s["name"] == name)
        for tier in service["tiers"]:
            tier.setdefault("servers", tier.get("backends"))
        return service

    def backend(self, name, service="hybrid-mail"):
        return next(b for tier in self.service(service)["tiers"] for b in tier["servers"] if b["name"] == name)

    def info(self, key):
        """A number from `show info`."""
        return int(re.search(rf"^{key}: (\d+)$", self.ask("show info"), re.M)[1])

    def verdicts(self, service="hybrid-mail"):
        return {b["name"]: b["verdict"] for tier in self.service(service)["tiers"] for b in tier["servers"]}

    def wait_for(self, expected, seconds=10, service="hybrid-mail"):
        """Waits until verdicts are as expected, for instance {"oxford-a": "down"}."""
        def met():
            return expected.items() <= self.verdicts(service).items()
        try:
            wait_until(met, seconds, f"verdicts {expected}")
        except AssertionError as late:
            shown = "name", "verdict", "reason", "text", "warning", "last_probe", "flows", "flow_table"
            found = [self.backend(host, service) for host in expected]
            backends = "\n".join(str({key: backend[key] for key in shown}) for backend in found)
            raise AssertionError(f"{late}: {self.verdicts(service)}\n{backends}\n{self.log()}") from None

    def wait_all_up(self, services=("hybrid-mail", "hybrid-mail6")):
        for service in services:
            self.wait_for({host: "up" for host in SERVERS}, 15, service)

    def descriptors(self):
        """The number of open files of mxlbd and its children; 0 for a process that is just ending."""
        return len(self.open_files())

    def fewest_files(self, seconds, enough=0):
        """The open files when they were fewest: running probes hold sockets. Ends early once there are `enough`."""
        least, end = self.open_files(), time.monotonic() + seconds
        while len(least) > enough and time.monotonic() < end:
            self.ask("show info")  # takes its time, too
            least = min(least, self.open_files(), key=len)
        return least

    def open_files(self):
        """The kind of each open file of mxlbd and its children, sorted: "tcp socket", "anon_inode:[eventpoll]", a
        path."""
        files = []
        for pid in (self.process.pid, *children(self.process.pid)):
            with contextlib.suppress(FileNotFoundError):  # the process has ended
                links = []
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
                        links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                tables = {kind: Path(f"/proc/{pid}/net/{kind}").read_text() for kind in SOCKET_KINDS} \
                    if any(link.startswith("socket:") for link in links) else {}
                files += [socket_kind(tables, link) if link.startswith("socket:") else re.sub(r"^pipe:.*", "pipe", link)
                          for link in links]
        return sorted(files)


SOCKET_KINDS = ("unix", "netlink", "packet", "tcp", "tcp6", "raw", "raw6", "udp", "udp6")


def socket_kind(tables, link):
    inode = link.removeprefix("socket:[").removesuffix("]")
    return next((f"{kind} socket" for kind, text in tables.items() if re.search(rf"\b{inode}\b", text)), "socket")


def children(pid):
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@dataclass
class Attempt:
    at: float  # when the connection was begun
    server: str  # who greeted; None: nobody
    error: str
    stage: str = ""  # where the error came: connect, greeting or quit


def failures_of(attempts):
    """Those that nobody greeted, in words: what failed, when, and whether the client itself stood still."""
    failed = sorted((a for a in attempts if not a.server), key=lambda a: a.at)
    began = sorted(a.at for a in attempts)
    pause = max((b - a for a, b in zip(began, began[1:])), default=0)
    kinds = ", ".join(f"{n} at {stage}: {error}" for (stage, error), n in Counter((a.stage, a.error) for a in failed).most_common())
    return f"{len(failed)} of {len(attempts)} connections ({kinds}), begun {failed[0].at - began[0]:.1f} to {failed[-1].at - began[0]:.1f} s " \
           f"after the first of all; the client's longest pause was {pause:.1f} s" if failed else ""


class Traffic:
    """New connections to the VIP from the client (or another host), one every 25 ms or at the given interval and
    timeout. Records which server greets each."""

    def __init__(self, lab, address=VIP, pace=(), host="client"):
        self.lab, self.address, self.pace, self.host = lab, address, pace, host
        self.file = lab.run / "traffic.jsonl"

    def __enter__(self):
        with self.file.open("w") as out:
            self.process = subprocess.Popen(
                [*self.lab.nsenter(self.host), "/usr/bin/python3", "-B", str(HERE / "connect.py"), self.address,
                 *map(str, self.pace)],
                stdout=out)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)  # it still waits for the connections it has begun
        self.process.wait(30 * SLOW)

    def attempts(self, since=0.0):
        with self.file.open() as lines:
            done = [Attempt(**json.loads(line)) for line in lines if line.endswith("\n")]
        return [a for a in done if a.at >= since]

    def seen(self, since=0.0):
        return {a.server for a in self.attempts(since)}

    def wait_seen(self, servers, seconds=10):
        """Waits until exactly these servers greet all of a dozen new connections; one SYN may be lost. In an emulated machine a probe
        may fail because it is late, and another server take mail for a while: there, the last 30 are looked at."""
        since = time.monotonic()
        def met():
            attempts = self.attempts(since)[-30 if SLOW != 1 else 0:]
            greeted = [a.server for a in attempts if a.server]
            return len(greeted) > 12 and len(attempts) - len(greeted) <= 1 and set(greeted) == set(servers)
        wait_until(met, seconds, f"greetings from {servers} and no others")


class Capture:
    """TCP packets to and from the VIP on the balancer's cable, captured at the switch's end of it."""

    def __init__(self, lab, vip, client):
        self.lab, self.vip, self.client = lab, vip, client
        self.file = lab.run / "capture.pcap"
        self.expression = f"tcp and host {vip} and host {client}"

    def __enter__(self):
        self.process = subprocess.Popen(
            [*self.lab.nsenter("switch"), "tcpdump", "-Z", "root", "-i", "lb", "-nn", "-s", "96", "-B", "16384", "-U", "-w",
             self.file, self.expression], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "listening on" in line:
                return self
        raise AssertionError("tcpdump did not start")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        summary = self.process.stderr.read()
        self.process.wait(10 * SLOW)
        assert re.search(r"^0 packets dropped by kernel", summary, re.M), summary

    def count(self, source):
        return sum(address == ipaddress.ip_address(source) for address, _ in self.packets())

    def wait_ends(self, source, number):
        """Waits for all ends of connections: tcpdump writes with a delay, and loses what is in its ring when it is
        stopped."""
        wait_until(lambda: sum(address == ipaddress.ip_address(source) and flags & TCP_ENDS for address, flags in self.packets())
                   >= 2 * number, 30, f"{number} connections ended by {source} in the capture, on their way in and out")

    def frames(self):
        """The time and the first bytes of each packet."""
        data, at = self.file.read_bytes(), PCAP_HEADER
        while at + PCAP_RECORD <= len(data):
            seconds, fraction, length = struct.unpack_from("<III", data, at)
            frame = data[at + PCAP_RECORD:at + PCAP_RECORD + length]
            at += PCAP_RECORD + length
            if at > len(data):
                return  # being written
            yield seconds + fraction / 1e6, frame

    def packets(self):
        """The source and the TCP flags of each packet."""
        for _, frame in self.frames():
            ip = frame[ETHERNET:]
            source, tcp = (ip[12:16], 4 * (ip[0] & 15)) if ip[0] >> 4 == 4 else (ip[8:24], 40)
            yield ipaddress.ip_address(source), ip[tcp + 13]


PCAP_HEADER, PCAP_RECORD, ETHERNET, TCP_ENDS = 24, 16, 14, 1 | 4
