# SPDX-License-Identifier: BSD-2-Clause
"""ICMP to the VIP: pings, which the balancer answers, and routers' errors about servers' replies. C10 and C11 of
docs/conformance.md, on cables."""
import re

import pytest

from lab import CLIENT, CLIENT6, OXFORD, SERVERS, VIP, VIP6

NARROW = 1400
CONNECTIONS = 32
WAYS = pytest.mark.parametrize("mode, forward", [("native", "l2"), ("generic", "l2"), ("native", "ipip"), ("generic", "ipip6")],
                               indirect=["forward"])
FAMILIES = pytest.mark.parametrize("vip, client", [(VIP, CLIENT), (VIP6, CLIENT6)], ids=["IPv4", "IPv6"])
# Through the kernel's ping sockets, which know their own answers and check their sums.
PING = """
import socket, sys
v6 = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM, 58 if v6 else 1)
s.settimeout(2)
s.connect((sys.argv[1], 0))

lost = 0
for n in range(20):
    question = bytes([128 if v6 else 8, 0, 0, 0, 0, 0, 0, n]) + bytes([n]) * 1000
    answer = None
    while not answer:
        s.send(question)
        try:
            answer = s.recv(2000)
        except TimeoutError:  # a busy machine may drop a frame, but hardly three
            lost += 1
            assert lost < 3, "lost"
    assert answer[0] == (129 if v6 else 0) and answer[6:] == question[6:], answer
"""
# Asks so much at once that the answer fills segments. Prints who answered; fails if not all of it comes.
ASK = """
import socket, sys
s = socket.create_connection((sys.argv[1], 25), 15)
replies = s.makefile("rb")
print(replies.readline().split()[1].decode().partition(".")[0])
s.sendall(b"EHLO client.example.net\\r\\n" * 30)
for _ in range(30):
    while not replies.readline().startswith(b"250 "):
        pass
"""


@pytest.fixture
def running(lab, balancer, mode):
    balancer.configure(mode)
    balancer.start()
    balancer.wait_all_up()
    return balancer


def echoes(lab, host):
    """The number of echo requests that a host has received."""
    v4 = [line.split() for line in lab.within(host, "cat", "/proc/self/net/snmp").splitlines() if line.startswith("Icmp:")]
    v6 = re.search(r"^Icmp6InEchos\s+(\d+)", lab.within(host, "cat", "/proc/self/net/snmp6"), re.M)
    return int(v4[1][v4[0].index("InEchos")]) + int(v6[1])


@WAYS
@FAMILIES
def test_C10_the_vip_answers_pings_and_the_servers_hear_none(lab, running, vip, client):
    before = {host: echoes(lab, host) for host in ("lb", *SERVERS)}
    lab.within("client", "sysctl", "-qw", "net.ipv4.ping_group_range=0 0")  # both families; by default nobody
    lab.within("client", "/usr/bin/python3", "-c", PING, vip)
    assert {host: echoes(lab, host) for host in ("lb", *SERVERS)} == before, "nor does the balancer's own kernel"


def forget_mtus(lab):
    for host in SERVERS:
        for family in ("-4", "-6"):
            lab.within(host, "ip", family, "route", "flush", "cache")


def told(lab, client):
    """The servers that have learned of a smaller MTU on their path to the client."""
    return {host for host in SERVERS
            if f"mtu {NARROW}" in lab.within(host, "ip", "route", "get", client)}


@WAYS
@FAMILIES
def test_C11_a_routers_error_about_a_servers_reply_reaches_only_that_server(lab, running, vip, client):
    lab.undo.callback(forget_mtus, lab)
    lab.undo.callback(lab.within, "router", "ip", "link", "set", "dev", "wan", "mtu", "1500")
    lab.within("router", "ip", "link", "set", "dev", "wan", "mtu", str(NARROW))
    servers = set()
    for _ in range(CONNECTIONS):  # until each was met: once in 2^31 runs that is too few
        forget_mtus(lab)
        assert told(lab, client) == set()
        server = lab.within("client", "/usr/bin/python3", "-c", ASK, vip).strip()
        assert told(lab, client) == {server}, "its reply came, so it was told; and nobody else"
        servers.add(server)
        if servers == set(OXFORD):
            break
    assert servers == set(OXFORD)
