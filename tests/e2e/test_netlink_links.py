# SPDX-License-Identifier: BSD-2-Clause
"""The netlink part alone: interfaces, with tags too, and announcements on them."""

import socket
import struct
import subprocess
import time

import pytest

from netlink_net import (A4, A6, BEHIND, LB4, LB6, MAC, SNIFFER, VIP4, VIP6, driver_built, frames, net,
                         repeat, wait_for)  # noqa: F401 (fixtures)


# Links


def test_an_interface_that_goes_down_and_up_is_reported_with_the_time_it_came_up(net):
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
    wait_for(lambda: "ff02::1:ff00:25" in net.run("lb", "ip maddr show dev eth0"))
    wait_for(lambda: net.run("lb", "sysctl -n net.ipv4.neigh.eth0.retrans_time_ms").strip() == "200")


def test_an_interface_that_is_missing_at_the_start_is_reported_when_it_appears(net):
    d = net.driver("eth0", "late0")
    d.do("link 1")
    d.expect("link late0 ifindex=0 .*")
    net.run("lb", "ip link add late0 type veth peer name etal0")
    d.expect("link late0 ifindex=[1-9].*")


def test_a_renamed_interface_is_followed_until_it_is_deleted_and_then_its_name(net):
    net.run("lb", "ip link add late0 type veth peer name etal0")
    d = net.driver("eth0", "late0")
    d.do("link 1")
    first = d.expect(r"link late0 ifindex=(\d+) .*")[1]
    net.run("lb", "ip link set late0 name renamed0")
    d.expect("renamed late0 renamed0")
    assert d.expect(r"link late0 ifindex=(\d+) .*")[1] == first
    net.run("lb", "ip link add late0 type veth peer name etal1")  # another one takes the name
    net.run("lb", "ip link set renamed0 mtu 1400")
    d.expect("renamed late0 renamed0")
    assert d.expect(r"link late0 ifindex=(\d+) .* mtu=1400 .*")[1] == first
    net.run("lb", "ip link del renamed0")
    second = d.expect(r"link late0 ifindex=([1-9]\d*) .* mtu=1500 .*", 1)[1]
    assert second != first
    net.run("lb", "ip link set late0 name renamed0")
    d.expect("renamed late0 renamed0")
    net.run("lb", "ip link set renamed0 name late0")
    d.expect("link late0 .*")
    assert d.expect(r"link late0 ifindex=(\d+) .*")[1] == second
    assert not d.waiting()


def test_an_interface_is_found_by_an_alternative_name(net):
    net.run("lb", "ip link add late0 type veth peer name etal0")
    net.run("lb", "ip link property add dev late0 altname other0 altname enp9s0f1np1")
    for name in ("other0", "enp9s0f1np1"):
        d = net.driver("eth0", name)
        d.do("link 1")
        assert int(d.expect(rf"link {name} ifindex=(\d+) .*")[1]) > 0
        net.run("lb", "ip link set late0 mtu 1400")
        d.expect(f"link {name} .* mtu=1400 .*")
        net.run("lb", f"ip link property del dev late0 altname {name}")
        net.run("lb", "ip link set late0 mtu 1500")
        d.expect(f"renamed {name} late0")
        d.stop()


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
    """A driver for eth0 with tag 7 and the index of the device that may become the device of that VLAN."""
    net.run("lb", "ip link add tagged0 link eth0 type macvlan mode bridge")
    net.run("lb", "ip link set tagged0 up")
    for address, length, extra in ((LB4, 24, ""), (LB6, 64, "nodad")):
        net.run("lb", f"ip addr del {address}/{length} dev eth0")
        net.run("lb", f"ip addr add {address}/{length} dev tagged0 {extra}")
    d = net.driver("eth0:7", stderr=subprocess.STDOUT)
    d.expect(".*event=no_vlan_device interface=eth0 vlan=7 advice=\"ip link add link eth0 name eth0.7 type vlan id 7.*")
    d.rest(1.1)  # a tick: it has looked once more, and at the real device
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
        mac, raw = bytes.fromhex(MAC["lb"].replace(":", "")), socket.inet_pton(
            socket.AF_INET6 if ":" in vip else socket.AF_INET, vip)
        announced(d, vip, sniffer, lambda f: f[6:12] == mac and raw in f)


# Announcements


def announced(d, vip, sniffer, wanted, number=1):
    """The frames of one announcement."""
    def send():
        assert d.do(f"announce 0 {vip}") == 0

    def heard():
        seen = frames(sniffer, wanted, 5)
        return [next(seen) for _ in range(number)]
    return repeat(send, heard)


def test_gratuitous_arp_is_a_request_and_a_reply_from_and_to_the_vip(net):
    sniffer = net.start("a", SNIFFER)
    d = net.driver()
    mac, vip = bytes.fromhex(MAC["lb"].replace(":", "")), bytes([203, 0, 113, 25])
    request, reply = announced(d, VIP4, sniffer, lambda f: f[12:14] == b"\x08\x06" and vip in f, 2)
    head = b"\xff" * 6 + mac + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04"
    assert request == head + b"\x00\x01" + mac + vip + b"\x00" * 6 + vip
    assert reply == head + b"\x00\x02" + mac + vip + mac + vip


def test_the_unsolicited_advertisement_overrides_and_has_a_right_checksum(net):
    sniffer = net.start("a", SNIFFER)
    d = net.driver()
    mac = bytes.fromhex(MAC["lb"].replace(":", ""))
    vip = bytes.fromhex("20010db8002500000000000000000025")
    f, = announced(d, VIP6, sniffer, lambda f: f[12:14] == b"\x86\xdd" and f[54:55] == b"\x88" and vip in f)
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
        def send():
            assert d.do(f"announce 0 {address}") == 0
        repeat(send, lambda: wait_for(lambda: MAC["lb"] in net.run("b", f"ip neigh show {address}"), 3))


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
