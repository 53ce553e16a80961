# SPDX-License-Identifier: BSD-2-Clause
"""The netlink part alone: next hops, and lost events."""

import os
import signal
import subprocess
import time

import pytest

from netlink_net import (A4, A6, ARP_ANNOUNCEMENT, B4, B6, BEHIND, MAC, driver_built, net, repeat)  # noqa: F401 (fixtures)


# Next hops


@pytest.mark.parametrize("address", [A4, A6])
def test_a_backend_on_the_link_is_its_own_next_hop(net, address):
    net.driver().resolve(5, address, MAC["a"])


def test_a_backend_behind_a_gateway_has_the_gateways_mac_and_no_entry_of_its_own(net):
    net.run("lb", f"ip route add {BEHIND}/32 via {B4}")
    net.driver().resolve(5, BEHIND, MAC["b"])
    assert BEHIND not in net.run("lb", "ip neigh show")


def test_an_ipv4_backend_behind_an_ipv6_gateway_is_found(net):
    net.run("lb", f"ip route add {BEHIND}/32 via inet6 {B6}")
    net.driver().resolve(5, BEHIND, MAC["b"])


def test_a_route_that_moves_to_another_gateway_is_followed(net):
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    d = net.driver()
    d.resolve(5, BEHIND, MAC["a"])
    net.run("lb", f"ip route replace {BEHIND}/32 via {B4}")
    d.expect(f"nexthop 5 resolved {MAC['b']} eth0", seconds=1)  # docs/conformance.md D11
    net.run("lb", f"ip route del {BEHIND}/32")
    d.expect(f"nexthop 5 unresolved {MAC['b']} eth0")


def test_a_backend_behind_an_undeclared_interface_is_unresolved_without_a_mac(net):
    net.run("lb", "ip link add other type veth peer name rehto")
    net.run("lb", "ip link set other up")
    net.run("lb", "ip link set rehto up")
    net.run("lb", f"ip route add {BEHIND}/32 dev other")
    d = net.driver()
    assert d.do(f"watch 5 {BEHIND}") == 0
    d.expect("nexthop 5 unresolved - eth0")
    assert BEHIND not in net.run("lb", "ip neigh show")
    net.run("lb", f"ip route replace {BEHIND}/32 via {A4}")
    d.expect(f"nexthop 5 resolved {MAC['a']} eth0")
    net.run("lb", f"ip route replace {BEHIND}/32 dev other")
    d.expect("nexthop 5 unresolved - eth0")


def test_a_backend_without_a_route_resolves_when_the_route_comes(net):
    d = net.driver()
    assert d.do(f"watch 5 {BEHIND}") == 0
    d.expect("nexthop 5 unresolved - eth0")
    assert d.do("reprobe 5") == -101
    net.run("lb", f"ip route add default via {A4}")
    d.expect(f"nexthop 5 resolved {MAC['a']} eth0")


def test_a_gratuitous_arp_with_a_new_mac_is_followed(net):
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    time.sleep(1.1)  # locktime: the kernel believes no second ARP within 1 s of the first
    net.run("a", "sysctl -qw net.ipv4.conf.eth0.arp_notify=1")
    repeat(lambda: net.run("a", "ip link set eth0 address 02:00:00:00:00:99"),  # each time it is set, the kernel announces it
           lambda: d.expect("nexthop 5 resolved 02:00:00:00:00:99 eth0", seconds=3))


@pytest.mark.parametrize("address", [A4, A6])
def test_a_silent_change_of_mac_is_found_after_a_reprobe(net, address):
    d = net.driver()
    assert d.do("fast") == 0
    d.resolve(5, address, MAC["a"])
    net.run("a", "sysctl -qw net.ipv6.conf.eth0.ndisc_notify=0")
    net.run("a", "ip link set eth0 address 02:00:00:00:00:99")
    assert d.do("reprobe 5") == 0
    d.expect("nexthop 5 resolved 02:00:00:00:00:99 eth0", seconds=3)  # docs/conformance.md D8


@pytest.mark.parametrize("address", [A4, A6])
def test_a_cut_link_is_failed_soon_keeps_the_mac_and_comes_back(net, address):
    d = net.driver()
    assert d.do("fast") == 0
    d.resolve(5, address, MAC["a"])
    net.run("sw", "ip link set p-a down")
    assert d.do("reprobe 5") == 0
    d.expect(f"nexthop 5 failed {MAC['a']} eth0", seconds=2)  # 0.7 s; 3.1 s if it were not fast
    assert d.do("reprobe 5") == 0  # from FAILED: resolved again, with the same outcome
    d.expect(f"nexthop 5 failed {MAC['a']} eth0")
    net.run("sw", "ip link set p-a up")
    d.expect(f"nexthop 5 resolved {MAC['a']} eth0")


def test_a_failed_next_hop_does_not_flap_while_it_is_retried(net):
    net.run("lb", "sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=400")  # so that a tick sees INCOMPLETE
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    net.run("sw", "ip link set p-a down")
    assert d.do("reprobe 5") == 0
    d.expect(f"nexthop 5 failed {MAC['a']} eth0")
    time.sleep(3)
    assert d.waiting() == []


def test_every_reprobe_leads_to_one_callback_though_nothing_changed(net):
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    for _ in range(20):
        assert d.do("reprobe 5") == 0
        d.expect(f"nexthop 5 resolved {MAC['a']} eth0")
    time.sleep(0.5)
    assert d.waiting() == []


def test_a_reprobe_of_a_deleted_entry_resolves_it_again(net):
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    net.run("lb", f"ip neigh del {A4} dev eth0")
    assert d.do("reprobe 5") == 0
    d.expect(f"nexthop 5 resolved {MAC['a']} eth0")


def test_the_outcome_of_a_reprobe_is_never_history(net):
    net.run("lb", "sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=200")
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    net.run("sw", "ip link set p-a down")
    os.kill(d.p.pid, signal.SIGSTOP)
    for state in ("failed", "reachable"):  # events that wait to be read when the reprobe is asked for
        net.run("lb", f"ip neigh replace {A4} lladdr {MAC['a']} dev eth0 nud {state}")
    d.p.stdin.write("reprobe 5\n")
    os.kill(d.p.pid, signal.SIGCONT)
    assert d.expect("nexthop 5 .*")[0] == f"nexthop 5 failed {MAC['a']} eth0"


def test_an_announcement_that_stops_a_reprobe_is_itself_probed(net):
    net.run("lb", "sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=2500")
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    net.run("a", "ip link set eth0 address 02:00:00:00:00:99")
    assert d.do("reprobe 5") == 0  # FAILED in 7.5 s, if no announcement came
    time.sleep(1.1)  # locktime
    repeat(lambda: net.start("a", ARP_ANNOUNCEMENT, "02:00:00:00:00:99", A4),
           lambda: d.expect("nexthop 5 resolved 02:00:00:00:00:99 eth0", seconds=0.5))  # what it says
    d.expect("nexthop 5 resolved 02:00:00:00:00:99 eth0", seconds=3)  # what the reprobe found


def test_watching_the_same_address_again_asks_again_and_another_one_replaces_it(net):
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    d.resolve(5, A4, MAC["a"])
    d.resolve(5, B4, MAC["b"])


def test_a_deleted_entry_keeps_its_last_mac_and_resolves_again(net):
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    net.run("sw", "ip link set p-a down")
    net.run("lb", f"ip neigh del {A4} dev eth0")
    d.expect(f"nexthop 5 (unresolved|failed) {MAC['a']} eth0")
    net.run("sw", "ip link set p-a up")
    d.expect(f"nexthop 5 resolved {MAC['a']} eth0")


def test_an_entry_set_by_hand_stays_permanent_and_a_reprobe_of_it_succeeds(net):
    net.run("lb", "ip neigh replace 192.0.2.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent")
    d = net.driver()
    d.resolve(5, "192.0.2.77", "02:00:00:00:00:77")
    assert d.do("reprobe 5") == 0
    d.expect("nexthop 5 resolved 02:00:00:00:00:77 eth0")
    time.sleep(5)  # a round of refreshing
    assert "PERMANENT" in net.run("lb", "ip neigh show 192.0.2.77")


def test_two_backends_behind_one_gateway_are_both_reported_and_a_removed_one_is_not(net):
    net.run("lb", f"ip route add 198.51.100.0/24 via {A4}")
    d = net.driver()
    d.resolve(5, "198.51.100.1", MAC["a"])
    d.resolve(6, "198.51.100.2", MAC["a"])
    d.do("unwatch 5")
    net.run("lb", f"ip route replace 198.51.100.0/24 via {B4}")
    d.expect(f"nexthop 6 resolved {MAC['b']} eth0")
    assert not [line for line in d.seen[2:] + d.waiting() if line.startswith("nexthop 5 ") and MAC["b"] in line]


def test_retrans_time_is_200_ms_while_attached_and_as_before_afterwards(net):
    def read(family):
        return net.run("lb", f"sysctl -n net.{family}.neigh.eth0.retrans_time_ms").strip()

    net.run("lb", "sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=700")
    d = net.driver()
    assert d.do("fast") == 0
    assert (read("ipv4"), read("ipv6")) == ("200", "200")
    assert d.do("detach") == 0
    assert (read("ipv4"), read("ipv6")) == ("700", "1000")


def test_retrans_time_of_an_earlier_process_goes_back_to_the_default(net):
    d = net.driver()
    assert d.do("fast") == 0
    d.stop()
    d = net.driver()
    assert d.do("fast") == 0
    assert d.do("detach") == 0
    assert net.run("lb", "sysctl -n net.ipv4.neigh.eth0.retrans_time_ms").strip() == "1000"


# Lost events


def test_after_an_overflow_everything_is_asked_again_within_a_second(net):
    """K4: links and next hops are requested again."""
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    net.run("lb", "ip link add gone0 type veth peer name eno0")
    d = net.driver("eth0", "gone0")
    d.resolve(5, BEHIND, MAC["a"])
    assert d.do("room 1") == 0
    os.kill(d.p.pid, signal.SIGSTOP)
    flood = "".join(f"addr {op} 10.9.{i // 250}.{i % 250 + 1}/32 dev lo\n"
                    for i in range(500) for op in ("add", "del"))
    subprocess.run(net.argv("lb", "ip", "-batch", "-"), input=flood, text=True, check=True)
    net.run("lb", f"ip route replace {BEHIND}/32 via {B4}")  # this event is lost
    net.run("lb", "ip link set eth0 mtu 1400")
    net.run("lb", "ip link del gone0")
    os.kill(d.p.pid, signal.SIGCONT)
    d.expect("link eth0 .* mtu=1400 .*", seconds=1)  # docs/conformance.md K4
    d.expect("link gone0 ifindex=0 .*", seconds=1)
    d.expect(f"nexthop 5 resolved {MAC['b']} eth0", seconds=1)
