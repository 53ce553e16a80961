# SPDX-License-Identifier: BSD-2-Clause
"""For test_netlink*.py: a balancer and two backends on one bridge, each a namespace, and tests/tools/netlink-drive.c
in the balancer's, with CAP_NET_ADMIN and CAP_NET_RAW and nothing else."""

import collections
import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab import patience, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MXLB_B", "build")
DRIVER = os.path.join(ROOT, BUILD, "netlink-drive")
PATIENCE = 15  # s; a test waits for a condition, this only ends it when the condition never comes

A4, B4, LB4, VIP4 = "192.0.2.11", "192.0.2.12", "192.0.2.5", "203.0.113.25"
A6, B6, LB6, VIP6 = "2001:db8::11", "2001:db8::12", "2001:db8::5", "2001:db8:25::25"
MAC = {"lb": "02:00:00:00:00:05", "a": "02:00:00:00:00:11", "b": "02:00:00:00:00:12"}
BEHIND, BEHIND6 = "198.51.100.7", "2001:db8:51::7"  # reached by a gateway

SERVER = """
import socket, sys
s = socket.create_server(("::", 2525), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(sys.argv[1].encode())
    c.close()
"""
CLIENT = """
import socket, sys
vip, mark = sys.argv[1], int(sys.argv[2], 0)
s = socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET)
s.settimeout(10)
s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
try:
    s.connect((vip, 2525))
    print(s.recv(16).decode())
except OSError as e:
    print(e.errno)
"""
SNIFFER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((sys.argv[1] if sys.argv[1:] else "eth0", 3))
print("ready", flush=True)
while True:
    print(s.recv(2048).hex(), flush=True)
"""
ARP_ANNOUNCEMENT = """
import socket, sys
mac, ip = bytes.fromhex(sys.argv[1].replace(":", "")), socket.inet_aton(sys.argv[2])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
s.send(b"\\xff" * 6 + mac + b"\\x08\\x06\\0\\1\\x08\\0\\6\\4\\0\\1" + mac + ip + b"\\0" * 6 + ip)
print("ready", flush=True)
"""


OUTER = """
import errno, socket, struct, sys
protocol, source, target = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if ":" in target:
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    header = struct.pack("!IHBB", 6 << 28, 1460, protocol, 64)
    header += socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 1500, 0, 0x4000, 64, protocol, 0)
    header += socket.inet_aton(source) + socket.inet_aton(target)
try:
    s.sendto(header.ljust(1500, b"E"), (target, 0))
except OSError as e:
    if e.errno != errno.EMSGSIZE:  # an earlier one has lowered the MTU
        raise
print("ready", flush=True)
"""
TOO_BIG = """
import socket, struct, sys
source, target, mtu, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
quoted = struct.pack("!BBHHHBBH", 0x45, 0, 1500, 0, 0x4000, 64, 4, 0)
quoted += socket.inet_aton(source) + socket.inet_aton(target) + b"E" * 8
message = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
total = sum(struct.unpack(f"!{len(message) // 2}H", message))
total = (total & 0xFFFF) + (total >> 16)
message = message[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + message[4:]
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
for _ in range(count):
    s.sendto(message, (source, 0))
print("ready", flush=True)
"""


class OwnTime:
    """The time in which a process could have run: while it waits for a CPU, the clock stands still. So a limit holds for what
    the process does, and not for when it gets its turn."""

    def __init__(self, pid):
        self.pid, self.began = pid, time.monotonic()
        self.waited = self._waited()

    def _waited(self):
        """schedstat: the time on a CPU, the time of waiting for one, in ns (Documentation/scheduler/sched-stats.rst)."""
        return sum(int(text.split()[1]) for text in self._threads(self.pid, "schedstat")) / 1e9

    @staticmethod
    def _threads(pid, file):
        """The text of this file for each thread, but not for the one that asks."""
        for task in Path(f"/proc/{pid}/task").glob("[0-9]*"):
            if task.name != str(threading.get_native_id()):
                with contextlib.suppress(OSError):  # it has ended
                    yield (task / file).read_text()

    def over(self, seconds):
        """Not while a thread, or a reader of lines here, has a CPU or waits for one: that wait is not counted yet."""
        passed = time.monotonic() - self.began
        if passed <= seconds or passed > seconds + PATIENCE * patience():
            return passed > seconds
        stats = [text for pid in (self.pid, os.getpid()) for text in self._threads(pid, "stat")]
        if any(text.rpartition(")")[2].split()[0] == "R" for text in stats):
            return False
        return passed - max(0.0, self._waited() - self.waited) > seconds


class Lines:
    """A child process with output to wait for, line by line."""

    def __init__(self, argv, stderr=None):
        self.lines, self.held, self.seen = queue.Queue(), collections.deque(), []
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                                  text=True, bufsize=1)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.p.stdout:
            self.lines.put(line.rstrip("\n"))

    def expect(self, pattern, seconds=PATIENCE):
        """The match of the next line that fits; lines before it are dropped."""
        own = OwnTime(self.p.pid)
        while True:
            late = own.over(seconds * patience())  # known before the last look
            try:
                line = self.held.popleft() if self.held else self.lines.get(timeout=0.01 if late else 0.05)
            except queue.Empty:
                assert not late, f"no line like {pattern!r} in {seconds} s; seen: {self.seen}"
                continue
            self.seen.append(line)
            m = re.fullmatch(pattern, line)
            if m:
                return m

    def waiting(self):
        """The lines that have arrived."""
        out = list(self.held)
        self.held.clear()
        while not self.lines.empty():
            out.append(self.lines.get())
        return out

    def wait_for(self, condition, seconds):
        """Until condition() holds, in this process's own time."""
        own = OwnTime(self.p.pid)
        while True:
            late = own.over(seconds * patience())  # known before the last look
            if condition():
                return
            assert not late, f"the condition does not hold in {seconds} s; seen: {self.seen}"
            time.sleep(0.02)

    def rest(self, seconds):
        """Lets the process have so much time of its own."""
        own = OwnTime(self.p.pid)
        while not own.over(seconds):
            time.sleep(0.02)

    def stop(self):
        if self.p.poll() is None:
            self.p.stdin.close()
            try:
                return self.p.wait(PATIENCE * patience())
            except subprocess.TimeoutExpired:
                self.p.kill()
        return self.p.wait()


class Driver(Lines):
    def do(self, command):
        self.say(command)
        return self.answer()

    def say(self, command):
        self.p.stdin.write(command + "\n")

    def answer(self):
        """The answer to a command. Events that come before it can still be expected, in their order."""
        while not (line := self.lines.get(timeout=PATIENCE * patience())).startswith("= "):
            self.held.append(line)
        return int(line[2:])

    def resolve(self, backend, address, mac):
        assert self.do(f"watch {backend} {address}") == 0
        self.expect(f"nexthop {backend} resolved {mac} eth0")


class Net:
    def __init__(self):
        self.prefix = f"mxnl{os.getpid()}"
        self.children = []

    def name(self, ns):
        return f"{self.prefix}-{ns}"

    def argv(self, ns, *command):
        return ["nsenter", f"--net=/run/netns/{self.name(ns)}", *command]

    def run(self, ns, command):
        r = subprocess.run(self.argv(ns, *command.split()), capture_output=True, text=True)
        assert r.returncode == 0, f"{command}: {r.stderr}"
        return r.stdout

    def python(self, ns, script, *args):
        return Lines(self.argv(ns, sys.executable, "-c", script, *args))

    def start(self, ns, script, *args):
        child = self.python(ns, script, *args)
        self.children.append(child)
        child.expect("ready")
        return child

    def driver(self, *interfaces, caps="-all,+net_admin,+net_raw", stderr=None):
        d = Driver(self.argv("lb", "setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", DRIVER,
                             *(interfaces or ("eth0",))), stderr)
        self.children.append(d)
        d.expect("= 0")
        return d

    def connect(self, vip, backend):
        """Which server answers a socket that has the server's mark, or the errno."""
        c = self.python("lb", CLIENT, vip, hex(0x6D780000 | backend))
        try:
            return c.expect(".+")[0]
        finally:
            c.stop()

    def up(self):
        for ns in ("sw", "lb", "a", "b"):
            subprocess.run(["ip", "netns", "add", self.name(ns)], check=True)
            self.run(ns, "ip link set lo up")
        self.run("sw", "ip link add br0 type bridge")
        self.run("sw", "ip link set br0 up")
        for ns, v4, v6 in (("lb", LB4, LB6), ("a", A4, A6), ("b", B4, B6)):
            self.plug(ns)
            self.run(ns, f"ip addr add {v4}/24 dev eth0")
            self.run(ns, f"ip addr add {v6}/64 dev eth0 nodad")
        for ns in ("a", "b"):
            self.run(ns, "sysctl -qw net.ipv4.conf.all.arp_ignore=1")
            self.run(ns, f"ip addr add {VIP4}/32 dev lo")
            self.run(ns, f"ip addr add {VIP6}/128 dev lo nodad")

    def plug(self, ns):
        self.run("sw", f"ip link add p-{ns} type veth peer name eth0 netns {self.name(ns)}")
        self.run("sw", f"ip link set p-{ns} master br0 up")
        self.run(ns, "sysctl -qw net.ipv6.conf.eth0.accept_dad=0")
        self.run(ns, f"ip link set eth0 address {MAC[ns]} up")

    def down(self):
        codes = [c.stop() for c in self.children if isinstance(c, Driver)]
        for c in self.children:
            if not isinstance(c, Driver):
                c.p.kill()
                c.p.wait()
        for ns in ("sw", "lb", "a", "b"):
            subprocess.run(["ip", "netns", "del", self.name(ns)], stderr=subprocess.DEVNULL)
        return codes


def wait_for(condition, seconds=PATIENCE):
    wait_until(condition, seconds, "the condition")


def frames(sniffer, wanted, seconds=PATIENCE):
    """The frames on the wire, as bytes, for which wanted() holds. Fails when the time is over."""
    end = time.monotonic() + seconds * patience()
    while time.monotonic() < end:
        frame = bytes.fromhex(sniffer.expect("[0-9a-f]+", seconds)[0])
        if wanted(frame):
            yield frame
    raise AssertionError(f"no such frame in {seconds} s")


def repeat(send, heard, tries=3):
    """What heard() returns after send(). Both are repeated if heard() fails, because a busy kernel may lose a single frame."""
    for left in reversed(range(tries)):
        send()
        try:
            return heard()
        except AssertionError:
            if not left:
                raise


@pytest.fixture(scope="session")
def driver_built():
    subprocess.run(["make", "-s", "-C", ROOT, f"B={BUILD}", f"{BUILD}/netlink-drive"], check=True)


@pytest.fixture
def net(driver_built):
    if os.geteuid():
        pytest.skip("needs root for network namespaces")
    n = Net()
    try:
        n.up()
        yield n
    finally:
        codes = n.down()
    assert all(c == 0 for c in codes), f"a driver ended badly (sanitizers?): {codes}"
