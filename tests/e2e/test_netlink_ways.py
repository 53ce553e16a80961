# SPDX-License-Identifier: BSD-2-Clause
"""The netlink part alone: the route of a server's tunnel, its source and MTU."""

import re
import subprocess
import time

import pytest

from netlink_net import (A4, A6, BEHIND, BEHIND6, LB4, LB6, MAC, OUTER, SNIFFER, TOO_BIG, VIP4, VIP6, frames,
                         driver_built, net, repeat, wait_for)  # noqa: F401 (fixtures)


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
    d.expect(f"way 5 routed source={source} mtu=1400", seconds=1)  # docs/conformance.md D11
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
    """Behind a, a link with MTU 1400 leads to the addresses of BEHIND."""
    net.run("a", "ip link add narrow0 type veth peer name worran0")
    for line in ("ip link set narrow0 mtu 1400 up", "ip link set worran0 mtu 1400 up",
                 "ip addr add 198.51.100.1/24 dev narrow0", "ip addr add 2001:db8:51::1/64 dev narrow0 nodad",
                 "sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv6.conf.all.forwarding=1"):
        net.run("a", line)
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    net.run("lb", f"ip route add {BEHIND6}/128 via {A6}")
    for family in ("ipv4", "ipv6"):
        net.run("lb", f"sysctl -qw net.{family}.route.mtu_expires=3")


def learn(net, target, mtu, *sender):
    """Sends what causes or is an error about a packet to the target, until the kernel has learned the MTU from it."""
    family = "-6" if ":" in target else "-4"

    def learned():
        return re.search(rf"\bmtu {mtu}\b", net.run("lb", f"ip {family} route get {target}"))
    repeat(lambda: net.start(*sender), lambda: wait_for(learned, 2))


@pytest.mark.parametrize("protocol, source, target", TUNNELS)
def test_a_too_big_error_about_an_outer_packet_lowers_the_mtu_until_it_expires(net, protocol, source, target):
    narrow(net)
    d = net.driver()
    assert d.do("mtu 1") == 0
    assert d.do(f"watch 5 {target}") == 0
    d.expect(f"way 5 routed source={source} mtu=1500")
    for _ in range(2):  # the second is learned as the first was
        learn(net, target, 1400, "lb", OUTER, str(protocol), source, target)
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
    repeat(lambda: net.start("lb", OUTER, str(protocol), source, target), lambda: d.expect("unreachable 5", 5))


def raw_sockets(net):
    """The tunnel protocols of each family that have a raw socket."""
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
    repeat(lambda: net.start("lb", OUTER, "4", LB4, BEHIND),
           lambda: next(frames(sniffer, lambda f: f[23:24] == b"\x01" and f[34:36] == b"\x03\x04", 5)))  # the error has come
    assert "1400" not in net.run("lb", f"ip route get {BEHIND}")  # and nobody told the kernel
    assert d.do("mtu 1") == 0
    repeat(lambda: net.start("lb", OUTER, "4", LB4, BEHIND), lambda: d.expect("way 5 routed .* mtu=1400", 5))


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
    learn(net, BEHIND, 1300, "a", TOO_BIG, LB4, BEHIND, "1300", "1")
    d.expect("way 5 routed .* mtu=1300", seconds=1.5)


def test_a_forged_error_lowers_the_mtu_no_further_than_mail_can_live_with(net):
    net.run("lb", f"ip route add {BEHIND}/32 via {A4}")
    d = net.driver()
    assert d.do("mtu 1") == 0
    assert d.do(f"watch 5 {BEHIND}") == 0
    d.expect("way 5 routed .* mtu=1500")
    repeat(lambda: net.start("a", TOO_BIG, LB4, BEHIND, "68", "1"), lambda: d.expect("way 5 routed .* mtu=572", 5))
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
