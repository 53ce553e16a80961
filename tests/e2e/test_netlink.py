# SPDX-License-Identifier: BSD-2-Clause
"""The netlink part alone: next hops, links, lost events, the probes' routes, announcements."""

import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

from netlink_net import (A4, A6, ARP_ANNOUNCEMENT, B4, B6, BEHIND, BEHIND6, BUILD, LB4, LB6, MAC, OUTER, PATIENCE,
                         ROOT, SERVER, SNIFFER, TOO_BIG, VIP4, VIP6, Net, wait_for)


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
    d.expect(f"nexthop 5 resolved {MAC['b']} eth0", seconds=1)  # conformance D11
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
    net.run("a", "ip link set eth0 address 02:00:00:00:00:99")
    d.expect("nexthop 5 resolved 02:00:00:00:00:99 eth0")


@pytest.mark.parametrize("address", [A4, A6])
def test_a_silent_change_of_mac_is_found_after_a_reprobe(net, address):
    d = net.driver()
    assert d.do("fast") == 0
    d.resolve(5, address, MAC["a"])
    net.run("a", "sysctl -qw net.ipv6.conf.eth0.ndisc_notify=0")
    net.run("a", "ip link set eth0 address 02:00:00:00:00:99")
    assert d.do("reprobe 5") == 0
    d.expect("nexthop 5 resolved 02:00:00:00:00:99 eth0", seconds=3)  # conformance D8


@pytest.mark.parametrize("address", [A4, A6])
def test_a_cut_link_is_failed_soon_keeps_the_mac_and_comes_back(net, address):
    d = net.driver()
    assert d.do("fast") == 0
    d.resolve(5, address, MAC["a"])
    net.run("sw", "ip link set p-a down")
    assert d.do("reprobe 5") == 0
    d.expect(f"nexthop 5 failed {MAC['a']} eth0", seconds=2)  # 0.7 s; 3.1 s if it were not fast
    assert d.do("reprobe 5") == 0  # from FAILED: resolved anew, with the same outcome
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


def test_a_reprobe_of_a_deleted_entry_resolves_it_anew(net):
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
    d = net.driver()
    d.resolve(5, A4, MAC["a"])
    net.run("a", "ip link set eth0 address 02:00:00:00:00:99")
    assert d.do("reprobe 5") == 0  # FAILED in 3 s, were it not for
    time.sleep(1.1)  # locktime
    net.start("a", ARP_ANNOUNCEMENT, "02:00:00:00:00:99", A4)
    d.expect("nexthop 5 resolved 02:00:00:00:00:99 eth0")  # what it says
    d.expect("nexthop 5 resolved 02:00:00:00:00:99 eth0", seconds=3)  # what the reprobe found


def test_watching_the_same_address_again_asks_anew_and_another_one_replaces_it(net):
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


def test_two_backends_behind_one_gateway_are_told_both_and_an_ended_one_no_more(net):
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


# The way of a tunnel


@pytest.mark.parametrize("address, source", [(A4, LB4), (A6, LB6)])
def test_the_way_on_the_link_has_this_boxs_address_and_the_links_mtu(net, address, source):
    d = net.driver()
    assert d.do(f"watch 5 {address}") == 0
    d.expect(f"way 5 direct source={source} mtu=1500")


@pytest.mark.parametrize("route, source", [(f"{BEHIND}/32 via {A4}", LB4), (f"{BEHIND6}/128 via {A6}", LB6),
                                           (f"{BEHIND}/32 via inet6 {A6}", LB4)])
def test_the_way_behind_a_gateway_is_routed_and_follows_the_route(net, route, source):
    address = route.partition("/")[0]
    net.run("lb", f"ip route add {route} mtu 1450")
    d = net.driver()
    assert d.do(f"watch 5 {address}") == 0
    d.expect(f"way 5 routed source={source} mtu=1450")
    net.run("lb", f"ip route replace {route} mtu 1400")
    d.expect(f"way 5 routed source={source} mtu=1400", seconds=1)  # conformance D11
    net.run("lb", f"ip route replace {route}")
    d.expect(f"way 5 routed source={source} mtu=1500", seconds=1)
    net.run("lb", f"ip route del {route.partition(' ')[0]}")
    if source == LB4:  # the other is covered by the prefix of the link
        d.expect(f"nexthop 5 unresolved {MAC['a']} eth0")
        assert f"way 5 routed source={source} mtu=1500" in d.seen  # the last one stays


@pytest.mark.parametrize("address", [A4, A6])
def test_the_links_mtu_is_followed(net, address):
    d = net.driver()
    assert d.do(f"watch 5 {address}") == 0
    d.expect("way 5 .* mtu=1500")
    net.run("lb", "ip link set eth0 mtu 1400")
    d.expect("way 5 .* mtu=1400", seconds=1)


def test_the_source_is_followed_when_the_box_changes_its_address(net):
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")  # no route event of the link's prefix is about these
    net.run("lb", f"ip route add {BEHIND6}/128 via {A6}")
    d = net.driver()
    for backend, address, source in ((5, BEHIND, LB4), (6, BEHIND6, LB6)):
        assert d.do(f"watch {backend} {address}") == 0
        d.expect(f"way {backend} routed source={source} .*")
    net.run("lb", "sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1")
    net.run("lb", "ip addr add 192.0.2.6/24 dev eth0")
    net.run("lb", f"ip addr del {LB4}/24 dev eth0")
    d.expect("way 5 routed source=192.0.2.6 .*", seconds=1)
    net.run("lb", "ip addr add 2001:db8::6/64 dev eth0 nodad")
    net.run("lb", f"ip addr change {LB6}/64 dev eth0 preferred_lft 0")
    d.expect("way 6 routed source=2001:db8::6 .*", seconds=1)


@pytest.mark.parametrize("address, via, vip, least", [(BEHIND, A4, VIP4, 572), (BEHIND, A4, VIP6, 1300),
                                                     (BEHIND6, A6, VIP4, 1280), (BEHIND6, A6, VIP6, 1320)])
def test_no_mtu_is_believed_that_the_inner_family_could_not_live_with(net, address, via, vip, least):
    family = "-6" if ":" in address else "-4"
    net.run("lb", f"ip {family} route add {address} via {via} mtu lock 100")
    d = net.driver()
    assert d.do(f"watch 5 {address}") == 0
    d.do(f"route 5 {vip}")
    d.expect(f"way 5 routed .* mtu={least}")
    net.run("lb", f"ip {family} route replace {address} via {via} mtu {least + 1}")
    d.expect(f"way 5 routed .* mtu={least + 1}")


TUNNELS = [(4, LB4, BEHIND), (41, LB4, BEHIND), (4, LB6, BEHIND6), (41, LB6, BEHIND6)]


def narrow(net):
    """Behind a, a link of MTU 1400 leads to what is BEHIND."""
    net.run("a", "ip link add narrow0 type veth peer name worran0")
    for line in ("ip link set narrow0 mtu 1400 up", "ip link set worran0 mtu 1400 up",
                 "ip addr add 198.51.100.1/24 dev narrow0", "ip addr add 2001:db8:51::1/64 dev narrow0 nodad",
                 "sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv6.conf.all.forwarding=1"):
        net.run("a", line)
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    net.run("lb", f"ip route add {BEHIND6}/128 via {A6}")
    for family in ("ipv4", "ipv6"):
        net.run("lb", f"sysctl -qw net.{family}.route.mtu_expires=3")


@pytest.mark.parametrize("protocol, source, target", TUNNELS)
def test_a_too_big_error_about_an_outer_packet_lowers_the_mtu_until_it_expires(net, protocol, source, target):
    narrow(net)
    d = net.driver()
    assert d.do("mtu 1") == 0
    assert d.do(f"watch 5 {target}") == 0
    d.expect(f"way 5 routed source={source} mtu=1500")
    for _ in range(2):  # the second is learned as the first was
        net.start("lb", OUTER, str(protocol), source, target)
        d.expect(f"way 5 routed source={source} mtu=1400", seconds=1.5)
        d.expect(f"way 5 routed source={source} mtu=1500")
        assert d.do("mtu 1") == 0


@pytest.mark.parametrize("protocol, source, target", TUNNELS)
def test_a_router_that_has_no_route_for_an_outer_packet_is_heard(net, protocol, source, target):
    narrow(net)
    family = "-6" if ":" in target else "-4"
    net.run("a", f"ip {family} route add unreachable {target}")
    d = net.driver()
    assert d.do("mtu 1") == 0
    assert d.do(f"watch 5 {target}") == 0
    d.expect("way 5 routed .* mtu=1500")
    net.start("lb", OUTER, str(protocol), source, target)
    d.expect("unreachable 5")


def raw_sockets(net):
    """Of each family, the protocols of its tunnels that somebody listens to."""
    return [sorted(int(line.split()[1].rpartition(":")[2], 16)
                   for line in net.run("lb", f"cat /proc/self/net/{f}").splitlines()[1:]) for f in ("raw", "raw6")]


def test_errors_are_listened_to_only_while_there_are_tunnels(net):
    narrow(net)
    d = net.driver()
    assert d.do("mtu 0") == 0
    assert raw_sockets(net) == [[], []]
    for _ in range(2):
        assert d.do("mtu 1") == 0
        assert raw_sockets(net) == [[4, 41], [4, 41]]
    assert d.do("mtu 0") == 0
    assert raw_sockets(net) == [[], []]
    assert d.do(f"watch 5 {BEHIND}") == 0
    d.expect("way 5 routed .* mtu=1500")
    sniffer = net.start("lb", SNIFFER)
    net.start("lb", OUTER, "4", LB4, BEHIND)
    next(frames(sniffer, lambda f: f[23:24] == b"\x01" and f[34:36] == b"\x03\x04"))  # the error has come
    assert "1400" not in net.run("lb", f"ip route get {BEHIND}")  # and nobody told the kernel
    assert d.do("mtu 1") == 0
    net.start("lb", OUTER, "4", LB4, BEHIND)
    d.expect("way 5 routed .* mtu=1400")


def wakeups(pid):
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", open(f"/proc/{pid}/status").read(), re.M)[1])


def test_a_flood_of_errors_is_listened_to_once_a_second(net):
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    d = net.driver()
    assert d.do("mtu 1") == 0
    assert d.do(f"watch 5 {BEHIND}") == 0
    d.expect("way 5 routed .* mtu=1500")
    before = wakeups(d.p.pid)
    net.start("a", TOO_BIG, LB4, BEHIND, "1400", "100000")
    d.expect("way 5 routed .* mtu=1400")
    assert wakeups(d.p.pid) - before < 200  # and not for each error
    net.start("a", TOO_BIG, LB4, BEHIND, "1300", "1")
    d.expect("way 5 routed .* mtu=1300", seconds=1.5)


def test_a_forged_error_lowers_the_mtu_no_further_than_mail_can_live_with(net):
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    d = net.driver()
    assert d.do("mtu 1") == 0
    assert d.do(f"watch 5 {BEHIND}") == 0
    d.expect("way 5 routed .* mtu=1500")
    net.start("a", TOO_BIG, LB4, BEHIND, "68", "1")
    d.expect("way 5 routed .* mtu=572")
    d.do(f"route 5 {VIP6}")
    assert d.do(f"watch 5 {BEHIND}") == 0
    d.expect("way 5 routed .* mtu=1300")


def test_without_the_right_to_raw_sockets_it_warns_and_goes_on(net):
    d = net.driver(caps="-all,+net_admin", stderr=subprocess.STDOUT)
    assert d.do("mtu 1") == 0
    d.expect(".*event=mtu_not_followed .*CAP_NET_RAW.*")
    d.resolve(5, A4, MAC["a"])
    time.sleep(1.5)
    assert not [line for line in d.waiting() if "mtu_not_followed" in line]  # once


# Links


def test_an_interface_that_goes_down_and_up_is_told_with_the_time_it_came_up(net):
    d = net.driver()
    d.do("link 0")
    d.expect(rf"link eth0 ifindex=\d+ up carrier mtu=1500 mac={MAC['lb']} since=0")
    net.run("sw", "ip link set p-lb down")
    d.expect("link eth0 .* up no-carrier .*")
    net.run("sw", "ip link set p-lb up")
    d.expect("link eth0 .* up carrier .* since=1")
    net.run("lb", "ip link set eth0 down")
    d.expect("link eth0 .* down no-carrier .*")


def test_an_interface_deleted_and_made_again_is_followed_with_its_groups_and_timers(net):
    d = net.driver()
    assert d.do("fast") == 0
    assert d.do(f"join 0 {VIP6}") == 0
    d.resolve(5, A4, MAC["a"])
    net.run("lb", "ip link del eth0")
    d.expect("link eth0 ifindex=0 down .*")
    net.plug("lb")
    net.run("lb", f"ip addr add {LB4}/24 dev eth0")
    d.expect("link eth0 ifindex=[1-9].* up carrier .* since=1")
    d.expect(f"nexthop 5 resolved {MAC['a']} eth0")
    assert "ff02::1:ff00:25" in net.run("lb", "ip maddr show dev eth0")
    assert net.run("lb", "sysctl -n net.ipv4.neigh.eth0.retrans_time_ms").strip() == "200"


def test_an_interface_that_is_not_there_at_the_start_is_told_when_it_comes(net):
    d = net.driver("eth0", "late0")
    d.do("link 1")
    d.expect("link late0 ifindex=0 .*")
    net.run("lb", "ip link add late0 type veth peer name etal0")
    d.expect("link late0 ifindex=[1-9].*")
    net.run("lb", "ip link set late0 name renamed0")
    d.expect("link late0 ifindex=0 .*")


def test_leaving_a_bridge_is_not_taken_for_deletion(net):
    d = net.driver()
    d.do("link 0")
    d.expect("link eth0 .*")
    net.run("lb", "ip link add br9 type bridge")
    net.run("lb", "ip link set eth0 master br9")
    net.run("lb", "ip link set eth0 nomaster")
    d.resolve(5, A4, MAC["a"])
    d.do("link 0")
    d.expect("link eth0 .* since=0")
    assert not [line for line in d.seen if "ifindex=0" in line]


# Tags. The kernel at hand may lack 8021q: a macvlan on eth0 is the device, and the driver is told that it is a VLAN's.


@pytest.fixture
def tagged(net):
    """A driver for eth0 with tag 7 and the number of the device that may become that VLAN's."""
    net.run("lb", "ip link add tagged0 link eth0 type macvlan mode bridge")
    net.run("lb", "ip link set tagged0 up")
    for address, length, extra in ((LB4, 24, ""), (LB6, 64, "nodad")):
        net.run("lb", f"ip addr del {address}/{length} dev eth0")
        net.run("lb", f"ip addr add {address}/{length} dev tagged0 {extra}")
    d = net.driver("eth0:7", stderr=subprocess.STDOUT)
    d.expect(".*event=no_vlan_device interface=eth0 vlan=7 advice=\"ip link add link eth0 name eth0.7 type vlan id 7.*")
    time.sleep(1.1)  # a tick: it has looked once more, and at the real device
    return d, int(net.run("lb", "ip -o link show tagged0").partition(":")[0])


def test_next_hops_of_a_tagged_interface_are_those_of_its_vlan_device(net, tagged):
    d, device = tagged
    d.do("link 0")
    d.expect("link eth0 ifindex=[1-9].* down no-carrier .*")
    for backend, address in ((5, A4), (6, A6)):
        assert d.do(f"watch {backend} {address}") == 0
        d.expect(f"nexthop {backend} unresolved - eth0")
    assert d.do(f"othervlan {device}") == 0  # another tag's
    assert d.do("reprobe 5") == -101
    assert d.do(f"vlan {device}") == 0
    d.expect(f"link eth0 .* up carrier .* mac={MAC['lb']} since=1")
    d.expect(f"way 5 direct source={LB4} mtu=1496")
    d.expect(f"nexthop 5 resolved {MAC['a']} eth0")
    d.expect(f"nexthop 6 resolved {MAC['a']} eth0")
    assert d.do(f"unvlan {device}") == 0
    d.expect("link eth0 .* down no-carrier .*")
    d.expect("nexthop 5 unresolved - eth0")


def test_a_next_hop_beside_the_tag_does_not_count(net, tagged):
    d, device = tagged
    assert d.do(f"vlan {device}") == 0
    net.run("lb", f"ip route add {BEHIND}/32 dev eth0")
    assert d.do(f"watch 5 {BEHIND}") == 0
    d.expect(".*reason=\"behind the interface itself, not behind the VLAN device of its tag\".*")
    d.expect("nexthop 5 unresolved - eth0")


def test_timers_groups_and_announcements_of_a_tagged_interface_are_its_vlan_devices(net, tagged):
    d, device = tagged
    assert d.do("fast") == 0
    assert d.do(f"join 0 {VIP6}") == 0  # before it is there
    assert d.do(f"announce 0 {VIP4}") == -19
    assert d.do(f"vlan {device}") == 0
    d.expect("link eth0 .* up carrier .*")
    wait_for(lambda: "ff02::1:ff00:25" in net.run("lb", "ip maddr show dev tagged0"))
    assert "ff02::1:ff00:25" not in net.run("lb", "ip maddr show dev eth0")
    assert net.run("lb", "sysctl -n net.ipv4.neigh.tagged0.retrans_time_ms").strip() == "200"
    assert net.run("lb", "sysctl -n net.ipv4.neigh.eth0.retrans_time_ms").strip() == "1000"
    for vip in (VIP4, VIP6):
        sniffer = net.start("lb", SNIFFER, "tagged0")
        assert d.do(f"announce 0 {vip}") == 0
        mac, raw = bytes.fromhex(MAC["lb"].replace(":", "")), socket.inet_pton(
            socket.AF_INET6 if ":" in vip else socket.AF_INET, vip)
        next(frames(sniffer, lambda f: f[6:12] == mac and raw in f))


# Lost events


def test_after_an_overflow_everything_is_asked_again_within_a_second(net):
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
    d.expect("link eth0 .* mtu=1400 .*", seconds=1)  # conformance K4
    d.expect("link gone0 ifindex=0 .*", seconds=1)
    d.expect(f"nexthop 5 resolved {MAC['b']} eth0", seconds=1)


# The probe's own way


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
    net.run("lb", "ip rule add fwmark 0x6d780007 lookup 27007 priority 27000")  # no protocol of ours
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


# Announcements


def frames(sniffer, wanted):
    """The first frames on the wire, as bytes, for which wanted() holds, until `None` of them is missing."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        frame = bytes.fromhex(sniffer.expect("[0-9a-f]+")[0])
        if wanted(frame):
            yield frame


def test_gratuitous_arp_is_a_request_and_a_reply_from_and_to_the_vip(net):
    sniffer = net.start("a", SNIFFER)
    d = net.driver()
    assert d.do(f"announce 0 {VIP4}") == 0
    mac, vip = bytes.fromhex(MAC["lb"].replace(":", "")), bytes([203, 0, 113, 25])
    seen = frames(sniffer, lambda f: f[12:14] == b"\x08\x06" and vip in f)
    head = b"\xff" * 6 + mac + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04"
    assert next(seen) == head + b"\x00\x01" + mac + vip + b"\x00" * 6 + vip
    assert next(seen) == head + b"\x00\x02" + mac + vip + mac + vip


def test_the_unsolicited_advertisement_overrides_and_has_a_right_checksum(net):
    sniffer = net.start("a", SNIFFER)
    d = net.driver()
    assert d.do(f"announce 0 {VIP6}") == 0
    mac = bytes.fromhex(MAC["lb"].replace(":", ""))
    vip = bytes.fromhex("20010db8002500000000000000000025")
    f = next(frames(sniffer, lambda f: f[12:14] == b"\x86\xdd" and f[54:55] == b"\x88" and vip in f))
    all_nodes = bytes.fromhex("ff020000000000000000000000000001")
    assert f[:14] == bytes.fromhex("333300000001") + mac + b"\x86\xdd"
    assert f[14:54] == b"\x60\0\0\0\0\x20\x3a\xff" + vip + all_nodes
    assert f[54:56] + f[58:] == b"\x88\0" + b"\x20\0\0\0" + vip + b"\x02\x01" + mac
    words = struct.unpack("!36H", vip + all_nodes + struct.pack("!II", 32, 58) + f[54:])
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_neighbours_believe_the_announcement(net):
    strangers = ("203.0.113.99", "2001:db8:25::99")  # to b, which has the other VIPs itself
    for address in strangers:
        net.run("b", f"ip neigh replace {address} lladdr 02:00:00:00:00:01 dev eth0 nud stale")
    time.sleep(1.1)  # locktime: the kernel believes no ARP within 1 s of the last change
    d = net.driver()
    for address in strangers:
        assert d.do(f"announce 0 {address}") == 0
        wait_for(lambda: MAC["lb"] in net.run("b", f"ip neigh show {address}"))


def test_a_solicited_node_group_is_left_with_the_last_vip_that_needs_it(net):
    d = net.driver()
    group = "ff02::1:ff00:25"
    twin = "2001:db8:26::25"  # the same last three bytes
    for vip in (VIP6, VIP6, twin):
        assert d.do(f"join 0 {vip}") == 0
    assert group in net.run("lb", "ip maddr show dev eth0")
    assert d.do(f"leave 0 {VIP6}") == 0
    assert group in net.run("lb", "ip maddr show dev eth0")
    assert d.do(f"leave 0 {twin}") == 0
    assert group not in net.run("lb", "ip maddr show dev eth0")
    assert d.do(f"leave 0 {twin}") == -2
