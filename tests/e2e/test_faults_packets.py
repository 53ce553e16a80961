# SPDX-License-Identifier: BSD-2-Clause
"""Overload of the balancer: floods of segments without a connection, frames that no host sends, five times as many
sessions as the flow table has entries, no CPU time to spare. Open sessions continue, and every packet is counted."""
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from games import Forgery, Sessions, assert_alive, assert_ended_well, forwarded, swallow_forged_sources
from lab import HERE, OXFORD, ROOT, VIP, command, wait_until
from mishaps import PATIENCE_S, Mail
from netlink_net import repeat

FLOOD_S = 3
NOOPS = 50  # of each busy session
EACH, BURST = 300, 50  # frames of each kind; so many at a time, because the kernel's queues are short
MANY, TABLE = 5000, 1024
DROPPED = {
    "fragment": ("first fragment", "later fragment", "tiny fragment", "overlapping fragment"),
    "martian": ("from the VIP itself", "from 127.0.0.1", "from 0.0.0.0", "from 224.0.0.1", "from 255.255.255.255"),
    "flags": ("no flags", "Xmas", "SYN and FIN"),
    "malformed": ("a TCP header of 16 bytes", "a TCP header beyond the packet", "an IP header of 16 bytes"),
}
SEND_FRAMES = """
import socket, struct, sys
device, to, vip = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), socket.inet_aton(sys.argv[3])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((device, 0))
own = s.getsockname()[4]

def ip(source="198.51.100.77", fragment=0, ihl=5, length=40):
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, 0, length, 77, fragment, 60, 6, 0, socket.inet_aton(source), vip)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + head[12:]

def tcp(flags=2, words=5):
    return struct.pack("!HHIIBBHHH", 40000, 25, 1, 0, words << 4, flags, 1024, 0, 0)
frames = {
    "first fragment": ip(fragment=0x2000) + tcp(), "later fragment": ip(fragment=100) + tcp(),
    "tiny fragment": ip(fragment=0x2000, length=28) + tcp()[:8], "overlapping fragment": ip(fragment=1) + tcp(),
    "from the VIP itself": ip(sys.argv[3]) + tcp(), "from 127.0.0.1": ip("127.0.0.1") + tcp(),
    "from 0.0.0.0": ip("0.0.0.0") + tcp(), "from 224.0.0.1": ip("224.0.0.1") + tcp(),
    "from 255.255.255.255": ip("255.255.255.255") + tcp(),
    "no flags": ip() + tcp(0), "Xmas": ip() + tcp(0x29), "SYN and FIN": ip() + tcp(3),
    "a TCP header of 16 bytes": ip() + tcp(words=4), "a TCP header beyond the packet": ip() + tcp(words=15),
    "an IP header of 16 bytes": ip(ihl=4) + tcp(),
}
for line in sys.stdin:
    number, name = line.rstrip("\\n").split(" ", 1)
    for _ in range(int(number)):
        s.send(to + own + b"\\x08\\0" + frames[name])
"""


@pytest.fixture
def running(balancer):
    balancer.start()
    balancer.wait_all_up()
    return balancer


@pytest.fixture
def forger(build):
    command("make", "-s", f"B={build.name}", f"{build.name}/forge-packets", cwd=ROOT)
    return build


def memory_kb(balancer):
    return int(re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{balancer.process.pid}/status").read_text(), re.M)[1])


def driver(lab):
    """The driver's counters of XDP_TX: frames sent, and frames lost."""
    counts = dict(re.findall(r"rx_queue_0_(\w+): (\d+)", lab.within("lb", "ethtool", "-S", "eth0")))
    return int(counts["xdp_tx"]), int(counts["xdp_tx_errors"]) + int(counts["drops"])


def test_a_flood_of_segments_of_no_session_breaks_none(lab, running, forger, measured):
    """N2: each segment goes where the ring leads and gets an entry if there is room; no other entry is replaced."""
    swallow_forged_sources(lab)
    with Mail(lab) as mail:
        with Forgery(lab, forger, VIP, syn="ack", rate=30000) as forgery:
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > FLOOD_S, FLOOD_S + 5, "")
        mail.traffic.wait_seen(OXFORD, PATIENCE_S)
        refused = [a for a in mail.traffic.attempts() if a.error not in ("", "TimeoutError")]
        assert not refused, refused[:3]
        mail.end()
    measured(f"{forgery.text()}: 0 sessions broken")


class Frames:
    """Frames of the kinds of SEND_FRAMES, from the router."""

    def __init__(self, lab, balancer):
        self.balancer, self.bursts, self.sends = balancer, 0, 0
        self.process = lab.popen("exec", "router", "/usr/bin/python3", "-c", SEND_FRAMES, "lan", lab.mac("lb"), VIP,
                                 stdin=subprocess.PIPE, text=True)
        lab.undo.callback(self.process.wait)
        lab.undo.callback(self.process.kill)

    def count(self, reason, name, number):
        """Sends until as many more are counted. What the kernel has lost is sent again, twice at most."""
        self.bursts += 1
        aim = self.balancer.status()["drops"][reason] + number

        def send():
            self.sends += 1
            self.process.stdin.write(f"{aim - self.balancer.status()['drops'][reason]} {name}\n")
            self.process.stdin.flush()
        repeat(send, lambda: wait_until(lambda: self.balancer.status()["drops"][reason] >= aim, PATIENCE_S / 3,
                                        f"{reason}: {number} times {name}"))


def test_frames_that_no_host_sends_are_dropped_each_with_its_reason(lab, running):
    """N4, N5: fragments of all kinds, invalid source addresses, contradictory flags, inconsistent headers."""
    with Mail(lab) as mail:
        sender, memory, before = Frames(lab, running), memory_kb(running), running.status()["drops"]
        for reason, names in DROPPED.items():
            for name in names * (EACH // BURST):
                sender.count(reason, name, BURST)
        assert sender.sends <= 1.1 * sender.bursts, "the kernel loses few frames, mxlb counts all others"
        after = running.status()["drops"]
        assert {r: after[r] - before[r] for r in DROPPED} == {r: EACH * len(names) for r, names in DROPPED.items()}
        assert memory_kb(running) - memory < 1024
        mail.end()


def test_five_times_as_many_sessions_as_the_table_has_entries_live_on_and_cost_no_memory(lab, balancer, measured):
    """N7, D16: a session without an entry follows the ring, which has not changed. Userspace stores nothing per
    session."""
    for host in OXFORD:
        server = lab.popen("exec", host, "/usr/bin/python3", "-B", str(HERE / "mute_server.py"), "2525", stdout=subprocess.PIPE)
        lab.undo.callback(server.wait)
        lab.undo.callback(server.kill)
        assert server.stdout.readline() == b"ready\n"
    balancer.configure(replace={"datapath:\n": f"datapath:\n  flows: {TABLE}\n", "services:\n": f"""  mute: {{interval: 1s, depth: connect}}
services:
  mute:
    address: {VIP}
    port: 2525
    interface: eth0
    probe: mute
    tiers:
      10:
        oxford-a: {{address: 203.0.113.11}}
        oxford-b: {{address: 203.0.113.12}}
"""})
    balancer.start()
    balancer.wait_for({"oxford-a": "up", "oxford-b": "up"}, PATIENCE_S, "mute")
    memory, files = memory_kb(balancer), balancer.descriptors()
    holder = lab.popen("exec", "client", "/usr/bin/python3", "-B", str(HERE / "hold_sessions.py"), VIP, "2525", str(MANY),
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(holder.stdout.readline()) == {"open": MANY, "ended": {}}
        for _ in range(2):
            holder.stdin.write("again\n")
            holder.stdin.flush()
            assert json.loads(holder.stdout.readline()) == {"open": MANY, "ended": {}}
        tiers = balancer.service("mute")["tiers"]
        flows = [b["flows"] for tier in tiers for b in tier["servers"]]
        evicted = sum(b["flow_table"]["evicted"] for tier in tiers for b in tier["servers"])
        assert evicted > MANY / 4
        assert all(flows) and sum(flows) <= 2 * TABLE
        wait_until(lambda: balancer.descriptors() - files <= 2, PATIENCE_S, "the descriptors are as before")
        grown = memory_kb(balancer) - memory
        assert grown < 1024, f"{grown} KiB"
    finally:
        holder.kill()
        holder.wait()
        lab.within("client", "ss", "-KHtn", "dport", "=", ":2525")  # nothing of them is sent again into the next test
    measured(f"{MANY} sessions, {TABLE} entries: {evicted} evicted, 0 broken, {grown} KiB more")


def test_without_a_processor_to_spare_no_packet_goes_astray_and_each_is_counted(lab, balancer, measured):
    """D20: two busy loops run on each CPU. The driver's number of sent frames equals mxlb's counters exactly."""
    lab.router_knows_vip()  # no frame is an answer to ARP
    balancer.configure("native")
    balancer.start()
    balancer.wait_all_up()
    loops = [subprocess.Popen(["nice", "taskset", "-c", str(cpu), "sh", "-c", "while :; do :; done"])
             for cpu in os.sched_getaffinity(0) for _ in range(2)]
    try:
        with Sessions(lab, VIP) as sessions:
            before, counted = driver(lab), sum(forwarded(lab).values())
            sessions.open(10, 20)
            wait_until(lambda: sum(s.noops for s in sessions.report()) > 20 * NOOPS, 60, "much talk")
            assert_alive(sessions.noop())
            sessions.assert_one_server_each()
            assert_ended_well(sessions.quit())
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    wait_until(lambda: driver(lab)[0] - before[0] == sum(forwarded(lab).values()) - counted, PATIENCE_S, "as many counted as sent")
    after = driver(lab)
    assert after[1] == before[1] and after[0] - before[0] > 20 * NOOPS
    assert set(balancer.verdicts().values()) <= {"up", "unknown"}
    measured(f"{after[0] - before[0]} packets under full load, all counted")
