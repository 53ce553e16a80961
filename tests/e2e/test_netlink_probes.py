# SPDX-License-Identifier: BSD-2-Clause
"""The netlink part alone: the routes of the probes."""

import os
import signal

import pytest

from netlink_net import (A4, A6, B4, B6, BEHIND, LB4, LB6, MAC, SERVER, VIP4, VIP6, driver_built, net,
                         wait_for)  # noqa: F401 (fixtures)


WHOLE, DISTURBED, VIP_LOCAL, ASTRAY = range(4)  # enum probe_way


def serve(net):
    for ns in ("a", "b"):
        net.start(ns, SERVER, ns)


def watch_both(net, d, v6=False):
    d.resolve(11, A6 if v6 else A4, MAC["a"])
    d.resolve(12, B6 if v6 else B4, MAC["b"])


@pytest.mark.parametrize("vip, v6", [(VIP4, False), (VIP6, True), (VIP4, True), (VIP6, False)])
def test_a_marked_connect_to_the_vip_reaches_exactly_the_backend_asked_for(net, vip, v6):
    serve(net)
    d = net.driver()
    watch_both(net, d, v6)
    assert d.do(f"route 11 {vip}") == 0
    assert d.do(f"route 12 {vip}") == 0
    for _ in range(5):
        assert net.connect(vip, 11) == "a"
        assert net.connect(vip, 12) == "b"


def test_a_probe_route_asked_for_before_the_next_hop_is_known_comes_with_it(net):
    serve(net)
    d = net.driver()
    assert d.do(f"watch 11 {BEHIND}") == 0
    assert d.do(f"route 11 {VIP6}") == -101
    d.expect("nexthop 11 unresolved .*")
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    d.expect(f"nexthop 11 resolved {MAC['a']} eth0")
    assert net.connect(VIP6, 11) == "a"


@pytest.mark.parametrize("vip, v6", [(VIP4, False), (VIP6, True)])
def test_a_probe_follows_its_backend_to_a_new_mac(net, vip, v6):
    serve(net)
    d = net.driver()
    assert d.do("fast") == 0
    watch_both(net, d, v6)
    assert d.do(f"route 11 {vip}") == 0
    net.run("a", "ip link set eth0 address 02:00:00:00:00:99")
    assert d.do("reprobe 11") == 0
    d.expect("nexthop 11 resolved 02:00:00:00:00:99 eth0")
    assert net.connect(vip, 11) == "a"


@pytest.mark.parametrize("vip, v6", [(VIP4, False), (VIP6, True)])
def test_probe_routes_survive_the_interface_going_down_and_never_stray_meanwhile(net, vip, v6):
    serve(net)
    d = net.driver()
    watch_both(net, d, v6)
    assert d.do(f"route 11 {vip}") == 0
    family = "-6" if v6 else "-4"
    net.run("lb", "ip link set eth0 down")
    d.expect("link eth0 .* down .*")
    assert net.connect(vip, 11) == "13"  # EACCES: prohibited, and not by another way
    net.run("lb", "ip link set eth0 up")
    if v6:
        net.run("lb", f"ip addr replace {LB6}/64 dev eth0 nodad")
    wait_for(lambda: "via" in net.run("lb", f"ip {family} route show table 27011"))
    wait_for(lambda: net.connect(vip, 11) == "a")


def test_probe_routes_survive_an_interface_that_is_up_again_before_anyone_looked(net):
    d = net.driver()
    watch_both(net, d)
    assert d.do(f"route 11 {VIP4}") == 0
    os.kill(d.p.pid, signal.SIGSTOP)
    net.run("lb", "ip link set eth0 down")
    net.run("lb", "ip link set eth0 up")
    assert A4 not in net.run("lb", "ip route show table 27011")  # the kernel took it, without an event
    os.kill(d.p.pid, signal.SIGCONT)
    wait_for(lambda: A4 in net.run("lb", "ip route show table 27011"))


def test_a_probe_follows_its_backend_to_another_gateway_on_the_same_host(net):
    net.run("a", "ip addr add 192.0.2.21/24 dev eth0")
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    d = net.driver()
    d.resolve(11, BEHIND, MAC["a"])
    assert d.do(f"route 11 {VIP4}") == 0
    net.run("lb", f"ip route replace {BEHIND}/32 via 192.0.2.21")
    wait_for(lambda: "via 192.0.2.21" in net.run("lb", "ip route show table 27011"))


def test_a_flushed_probe_route_is_put_back(net):
    d = net.driver()
    watch_both(net, d)
    assert d.do(f"route 11 {VIP4}") == 0
    net.run("lb", "ip route flush table 27011")
    wait_for(lambda: A4 in net.run("lb", "ip route show table 27011"))


TAKEN = {  # command, what is reported, for which VIPs
    "rule": ("ip {f} rule del pref 27000 fwmark 0x6d78000b lookup 27011 proto 157", "rules", (VIP4, VIP6)),
    "rules": ("ip {f} rule flush protocol 157", "rules", (VIP4, VIP6)),
    "table": ("ip {f} route flush table 27011", "routes", (VIP4, VIP6)),
    "stand-in": ("ip neigh del fe80::6d78:6c62:6d78:b dev eth0", "neighbours", (VIP6,)),
    "its MAC": ("ip neigh replace fe80::6d78:6c62:6d78:b lladdr 02:00:00:00:00:77 dev eth0 nud permanent", "neighbours", (VIP6,)),
    "its state": ("ip neigh change fe80::6d78:6c62:6d78:b lladdr 02:00:00:00:00:77 dev eth0 nud stale", "neighbours", (VIP6,)),
}
CASES = [(name, vip) for name, (_, _, vips) in TAKEN.items() for vip in vips]


@pytest.mark.parametrize("name, vip", CASES)
def test_what_is_taken_from_a_probes_way_is_put_back_at_once_and_reported(net, name, vip):
    take, kind, _ = TAKEN[name]
    serve(net)
    d = net.driver()
    watch_both(net, d, vip == VIP6)
    assert d.do(f"route 11 {vip}") == 0 and d.do(f"route 12 {vip}") == 0
    assert d.do("since 11") == WHOLE
    before = everything(net)
    net.run("lb", take.format(f="-6" if vip == VIP6 else "-4"))
    d.expect(rf"put back {kind} \d+", 1)
    d.wait_for(lambda: sorted("".join(everything(net)).splitlines()) == sorted("".join(before).splitlines()), 1)
    assert d.do("way 11") == WHOLE and d.do("since 11") == DISTURBED
    assert net.connect(vip, 11) == "a" and net.connect(vip, 12) == "b"


@pytest.mark.parametrize("vip", [VIP4, VIP6])
def test_a_check_finds_what_no_event_has_reported(net, vip):
    """Before a probe: the rule may be gone although no event has arrived."""
    d = net.driver()
    watch_both(net, d, vip == VIP6)
    assert d.do(f"route 11 {vip}") == 0
    family = "-6" if vip == VIP6 else "-4"
    for take in ("rule flush protocol 157", "route flush table 27011", f"route del {vip} table 27011 metric {2**32 - 1}"):
        os.kill(d.p.pid, signal.SIGSTOP)
        net.run("lb", f"ip {family} {take}")
        d.say("way 11")
        os.kill(d.p.pid, signal.SIGCONT)
        assert d.answer() == WHOLE
        assert d.do("since 11") == DISTURBED


@pytest.mark.parametrize("vip", [VIP4, VIP6])
def test_a_vip_that_becomes_an_address_of_this_box_is_known_until_it_goes(net, vip):
    d = net.driver()
    watch_both(net, d, vip == VIP6)
    assert d.do(f"route 11 {vip}") == 0
    for add, delete in (("addr add {} dev lo", "addr del {} dev lo"), ("route add local {} dev lo", "route del local {} dev lo")):
        net.run("lb", "ip " + add.format(f"{vip}/{128 if vip == VIP6 else 32}"))
        d.wait_for(lambda: d.do("known 11") == VIP_LOCAL, 1)
        assert d.do("way 11") == VIP_LOCAL
        net.run("lb", "ip " + delete.format(f"{vip}/{128 if vip == VIP6 else 32}"))
        d.wait_for(lambda: d.do("known 11") == WHOLE, 1)


@pytest.mark.parametrize("vip", [VIP4, VIP6])
def test_a_foreign_rule_in_front_of_the_probes_is_noticed_and_its_end_too(net, vip):
    d = net.driver()
    watch_both(net, d, vip == VIP6)
    assert d.do(f"route 11 {vip}") == 0
    family = "-6" if vip == VIP6 else "-4"
    net.run("lb", f"ip {family} route add default via {B6 if vip == VIP6 else B4} dev eth0 table 77")
    net.run("lb", f"ip {family} rule add pref 100 lookup 77")
    d.wait_for(lambda: d.do("known 11") == ASTRAY, 1)
    net.run("lb", f"ip {family} rule del pref 100")
    d.wait_for(lambda: d.do("known 11") == WHOLE, 1)


def test_a_link_that_goes_down_loses_its_routes_and_no_server_is_blamed(net):
    d = net.driver()
    watch_both(net, d, True)
    assert d.do(f"route 11 {VIP6}") == 0
    net.run("lb", "ip link set eth0 down")
    d.expect("link eth0 .* down .*")
    net.run("lb", "ip link set eth0 up")
    net.run("lb", f"ip addr replace {LB6}/64 dev eth0 nodad")
    wait_for(lambda: "via" in net.run("lb", "ip -6 route show table 27011"))
    assert d.do("way 11") == WHOLE
    lines = d.seen + d.waiting()
    assert not [line for line in lines if line.startswith("put back")], lines


def test_a_neighbour_timer_changed_by_another_process_is_restored(net):
    d = net.driver()
    assert d.do("fast") == 0
    for family in ("ipv4", "ipv6"):
        net.run("lb", f"sysctl -qw net.{family}.neigh.eth0.retrans_time_ms=1000")
        d.expect("put back timers 1", 2)
        assert net.run("lb", f"sysctl -n net.{family}.neigh.eth0.retrans_time_ms").strip() == "200"


def test_a_multicast_group_that_went_with_ipv6_itself_is_joined_again(net):
    """The kernel drops memberships when the MTU becomes too small for IPv6, and the socket that joined is not
    notified."""
    d = net.driver()
    assert d.do(f"join 0 {VIP6}") == 0
    assert "ff02::1:ff00:25" in net.run("lb", "ip -6 maddr show dev eth0")
    net.run("lb", "ip link set eth0 mtu 1000")
    net.run("lb", "ip link set eth0 mtu 1500")
    d.expect("put back groups 1", 2)
    assert "ff02::1:ff00:25" in net.run("lb", "ip -6 maddr show dev eth0")


def everything(net):
    shown = [net.run("lb", f"ip {f} {what}") for f in ("-4", "-6") for what in ("rule show", "route show table all")]
    return shown + [net.run("lb", "ip neigh show nud permanent")]


def test_a_second_process_adopts_and_duplicates_nothing(net):
    def ask(d):
        watch_both(net, d)
        for vip in (VIP4, VIP6):  # a new VIP for the same backend replaces the old one's routes
            assert d.do(f"route 11 {vip}") == 0
            assert d.do(f"route 12 {vip}") == 0
        assert d.do(f"route 11 {VIP6}") == 0

    d = net.driver()
    ask(d)
    first = everything(net)
    d.stop()
    assert everything(net) == first  # it goes, the ways stay
    ask(net.driver())
    assert everything(net) == first
    assert net.run("lb", "ip -6 rule show").count("0x6d78000b") == 1
    assert net.run("lb", "ip -4 route show table all").count(VIP4) == 0


def test_detach_leaves_rules_tables_and_neighbours_as_before_and_others_alone(net):
    net.run("lb", "ip rule add fwmark 0x6d780007 lookup 27007 priority 27000")  # not mxlb's protocol
    net.run("lb", f"ip route add {VIP4}/32 via {A4} table 27007")
    net.run("lb", "ip neigh add fe80::1234 lladdr 02:00:00:00:00:01 dev eth0 nud permanent")
    before = everything(net)
    d = net.driver()
    d.resolve(11, A4, MAC["a"])
    d.resolve(12, B6, MAC["b"])
    assert d.do(f"route 11 {VIP4}") == 0
    assert d.do(f"route 12 {VIP6}") == 0
    assert everything(net) != before
    d.stop()
    d = net.driver()  # another process than the one that made them
    assert d.do("detach") == 0
    assert everything(net) == before


def test_removing_one_probe_route_leaves_the_others(net):
    serve(net)
    d = net.driver()
    watch_both(net, d)
    for backend in (11, 12):
        assert d.do(f"route {backend} {VIP6}") == 0
    assert d.do("unroute 11") == 0
    assert d.do("unroute 11") == 0  # nothing there: fine
    assert "27011" not in "".join(everything(net))
    assert net.connect(VIP6, 12) == "b"


def test_an_address_of_the_box_is_known_as_local(net):
    d = net.driver()
    for address, local in ((LB4, 1), (LB6, 1), ("127.0.0.1", 1), (A4, 0), (VIP4, 0), (VIP6, 0)):
        assert d.do(f"local 0 {address}") == local, address
    net.run("lb", f"ip addr add {VIP4}/32 dev lo")
    assert d.do(f"local 0 {VIP4}") == 1
    net.run("lb", "ip route add blackhole 198.51.100.0/24")
    assert d.do("local 0 198.51.100.1") == 0


def test_a_backend_that_is_an_address_of_the_box_has_no_next_hop(net):
    d = net.driver()
    assert d.do(f"watch 5 {LB4}") == 0
    d.expect("nexthop 5 unresolved - eth0")
