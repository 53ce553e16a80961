# SPDX-License-Identifier: BSD-2-Clause
"""Which servers take new connections when servers stop, disappear, return or lose the VIP. The limits hold for
interval 1s, fast-interval 250ms, connect-timeout 1s, fall 2, rise 2, failback-hold 0s: the lab's configuration."""
import itertools
import time

import pytest

from evidence import Told
from lab import OXFORD, SERVERS, SLOW, VIP, Traffic, wait_until


def time_of_last(attempts, bad, since):
    return max((a.at - since for a in attempts if bad(a)), default=0.0)


def has_settled(traffic, bad, since):
    """The last 30 connections were as they must be: no chance of the hash."""
    last = traffic.attempts(since)[-30:]
    return len(last) == 30 and not any(map(bad, last))


def fault(traffic, act, allowed, limit):
    """Does act() and fails unless all connections begun more than `limit` seconds later are greeted by `allowed`.
    Returns the seconds until the last failed connection. An emulated machine may be slower by any factor: there, all
    connections after 30 in a row that are greeted by `allowed`."""
    def bad(a):
        return a.server not in allowed
    since = time.monotonic()
    act()
    limit_at = since + limit
    if SLOW != 1:
        wait_until(lambda: has_settled(traffic, bad, since), 30, f"only {allowed} greets")
        limit_at = time.monotonic()
    wait_until(lambda: traffic.attempts(limit_at + 1), limit + 20, "connections after the limit")
    last = time_of_last(traffic.attempts(since), bad, since)
    late = [a for a in traffic.attempts(limit_at) if bad(a)]
    assert not late, f"still at {last:.2f} s: {late[:3]}"
    return last


def comeback(traffic, act, host, limit):
    """Does act() and returns the seconds until the first later connection that `host` greets."""
    since = time.monotonic()
    act()
    first = wait_until(lambda: next((a for a in traffic.attempts(since) if a.server == host), None), limit + 20,
                       f"{host} greets again")
    assert first.at <= since + limit or SLOW != 1
    return first.at - since


@pytest.mark.parametrize("mode, forward", [pytest.param("native", "l2", marks=pytest.mark.kernels), ("generic", "l2"),
                                           ("native", "ipip6")], indirect=["forward"])
def test_C40_stopped_servers_leave_the_ring_and_the_tier_fails_over_and_back_in_time(lab, balancer, measured, mode):
    balancer.configure(mode)
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        one = fault(traffic, lambda: lab.stop("oxford-a"), {"oxford-b"}, 1.5)
        both = fault(traffic, lambda: lab.stop("oxford-b"), {"nuneaton"}, 1.5)
        assert balancer.service()["active_tier"] == 20
        assert balancer.backend("oxford-a")["reason"] == "refused"
        back = comeback(traffic, lambda: lab.start("oxford-a"), "oxford-a", 4)
        traffic.wait_seen({"oxford-a"})
    measured(f"one stopped: out after {one:.2f} s; both: {both:.2f} s; one back after {back:.2f} s")


def test_a_server_whose_cable_is_cut_leaves_the_ring_in_time_as_unreachable(lab, balancer, measured):
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        out = fault(traffic, lambda: lab.cut("oxford-a"), {"oxford-b"}, 4)
        assert balancer.backend("oxford-a")["verdict"] == "down"
        assert balancer.backend("oxford-a")["reason"] == "unreachable"
        back = comeback(traffic, lambda: lab.join("oxford-a"), "oxford-a", 20)
        traffic.wait_seen(OXFORD)
    measured(f"out after {out:.2f} s, back after {back:.2f} s")


def test_a_server_that_lost_the_vip_is_down_with_this_reason(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    lab.remove_vip("oxford-a")
    balancer.wait_for({"oxford-a": "down", "oxford-b": "up"}, 15)
    backend = balancer.backend("oxford-a")
    assert backend["reason"] == "vip_missing"
    assert backend["address"] in backend["text"], "its own address answers, and that is said"
    assert balancer.verdicts("hybrid-mail6")["oxford-a"] == "up", "the IPv6 VIP is still there"
    with Traffic(lab) as traffic:
        traffic.wait_seen({"oxford-b"})
    lab.add_vip("oxford-a")
    balancer.wait_for({"oxford-a": "up"})


def test_a_server_that_vanishes_in_the_middle_of_a_probe_is_down_long_before_the_probe_times_out(lab, balancer, measured):
    """The probe hangs in EHLO, and `timeout` is a minute. The server's Ethernet answers, so that ARP says nothing."""
    balancer.configure(replace={f" timeout: {10 * int(SLOW)}s": " timeout: 60s", "tls: encryption-only": "tls: none"})
    with Told(lab, ["oxford-a"]) as told:
        balancer.start()
        balancer.wait_all_up()
        told.tell(["oxford-a"], {"all": {"ehlo": ""}})
        wait_until(lambda: connections(lab, "oxford-a"), 10, "a probe hangs")
        since = time.monotonic()
        lab.remove_vip("oxford-a")
        balancer.wait_for({"oxford-a": "down"}, 20)
        measured(f"down after {time.monotonic() - since:.1f} s of a timeout of 60 s")
    assert balancer.backend("oxford-a")["reason"] == "vip_missing"


def connections(lab, host):
    """TCP connections to the VIP that have been open for a while: the second look still finds them."""
    def look():
        return set(lab.within(host, "ss", "-Htn", "state", "established", f"src {VIP}").splitlines())
    first = look()
    time.sleep(0.5)
    return first & look()


PORTS = itertools.count(40025)  # each once: what vanished is still open at the server
# Who greets a connection from this port. Then the socket goes without a word (tcp(7): TCP_REPAIR is 19).
VANISH = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.settimeout(5)
s.bind(("", int(sys.argv[2])))
s.connect((sys.argv[1], 25))
print(s.recv(1000).split()[1].decode().partition(".")[0])
s.setsockopt(socket.IPPROTO_TCP, 19, 1)
"""


@pytest.mark.parametrize("mode, forward", [("native", "l2"), ("generic", "l2"), ("native", "ipip")], indirect=["forward"])
def test_C25_a_new_connection_by_the_same_port_as_a_flow_to_a_server_that_is_down_goes_to_another(lab, balancer, mode):
    port = str(next(PORTS))
    def greeted():
        return lab.within("client", "/usr/bin/python3", "-c", VANISH, VIP, port).strip()
    balancer.configure(mode)
    balancer.start()
    balancer.wait_all_up()
    server = greeted()
    assert greeted() == server, "the ring is a function of the port"
    lab.remove_vip(server)
    balancer.wait_for({server: "down"})
    wait_until(lambda: balancer.backend(server)["flows"] == 1, 5, "the first flow was never closed")
    assert greeted() in set(OXFORD) - {server}
    assert balancer.backend(server)["flows"] == 1, "and stands"


def test_senders_are_refused_at_once_when_no_server_is_up_and_served_again_afterwards(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    for host in SERVERS:
        lab.stop(host)
    wait_until(lambda: balancer.service()["state"] == "down", 10, "the service is down")
    with Traffic(lab) as traffic:
        wait_until(lambda: len(traffic.attempts()) > 12, 10, "a dozen connections")
    assert {a.error for a in traffic.attempts()} == {"ConnectionRefusedError"}
    lab.start("nuneaton")
    with Traffic(lab) as traffic:
        wait_until(lambda: "nuneaton" in traffic.seen(), 5, "nuneaton serves")


def test_started_before_any_server_mxlbd_refuses_no_sender_and_mail_flows_once_one_is_up(lab, balancer, measured):
    for host in SERVERS:
        lab.stop(host)
    balancer.start()
    # The VIP does not answer ARP yet, but a router that has it in its cache sends here all the same.
    lab.router_knows_vip()
    with Traffic(lab) as traffic:
        begun = time.monotonic()
        wait_until(lambda: traffic.attempts(begun + 3), 10, "three seconds of connections")
        assert {a.error for a in traffic.attempts()} == {"TimeoutError"}, "dropped, not refused"
        assert balancer.service()["state"] == "not-ready"
        assert balancer.status()["drops"]["not_ready"] > 50
        first = comeback(traffic, lambda: lab.start("oxford-b"), "oxford-b", 4)
        traffic.wait_seen({"oxford-b"})
    assert balancer.service()["state"] == "up"
    measured(f"first mail {first:.2f} s after the first server's start")


def test_a_waiting_sender_gets_through_when_the_first_server_comes_up(lab, balancer):
    for host in SERVERS:
        lab.stop(host)
    balancer.start()
    sender = lab.popen("exec", "client", "bash", "-c", f"exec 3<>/dev/tcp/{VIP}/25 && read -r line <&3 && echo $line",
                       stdout=-1, text=True)
    lab.start("oxford-a")
    out, _ = sender.communicate(timeout=30)
    assert out.startswith("220 oxford-a"), out


def test_the_servers_answer_no_arp_for_the_vip_and_the_balancer_does(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    lab.within("router", "ip", "neigh", "flush", "dev", "lan")
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
    seen = lab.within("router", "ip", "neigh", "show", VIP, "dev", "lan").split()
    assert seen[seen.index("lladdr") + 1] == lab.mac("lb")
