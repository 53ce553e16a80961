# SPDX-License-Identifier: BSD-2-Clause
"""Servers behind a router or a tunnel, and a box that is only the far end of tunnels."""
import json

import pytest

from games import Sessions, verdict_times
from lab import CLIENT, VIP, VIP6, wait_until
from netlink_net import OUTER, repeat

# oxford-a has an address of another network, which the balancer reaches by oxford-a's address in its own.
BEHIND = {"hybrid-mail": ("203.0.113.11", "192.0.2.11", 32, VIP), "hybrid-mail6": ("2001:db8:113::11", "2001:db8:2::11", 128, VIP6)}
FAMILIES = pytest.mark.parametrize("service", BEHIND, ids=["IPv4", "IPv6"])
CONFIRMED_S = 0.9  # the second probe begins when the first has failed, and waits for its connect timeout of 1 s


@pytest.fixture
def routed(lab, balancer):
    """Makes oxford-a of a service a routed server. Returns a function that silences all its addresses at once."""
    def address(word, where, length):
        lab.within("oxford-a", "ip", "address", word, f"{where}/{length}", "dev", "lo", *(["nodad"] if ":" in where else []))

    def begin(service):
        near, behind, length, vip = BEHIND[service]
        address("replace", behind, length)
        lab.undo.callback(lab.within, "oxford-a", "ip", "address", "del", f"{behind}/{length}", "dev", "lo", status=None)
        lab.within("lb", "ip", "route", "replace", f"{behind}/{length}", "via", near)
        lab.undo.callback(lab.within, "lb", "ip", "route", "del", f"{behind}/{length}")
        balancer.configure(replace={f'oxford-a: {{address: "{near}"}}': f'oxford-a: {{address: "{behind}"}}'})

        def silence():
            lab.undo.callback(address, "replace", vip, length)
            for each in (behind, vip):
                lab.within("oxford-a", "ip", "address", "del", f"{each}/{length}", "dev", "lo")
        return silence
    return begin


def test_a_server_behind_a_router_is_warned_of_once_where_the_router_would_send_its_packets_back(balancer, routed):
    routed("hybrid-mail")
    balancer.start()
    balancer.wait_all_up()  # the router is the server itself: this one sends nothing back
    assert balancer.backend("oxford-a")["neighbour"]["routed"]
    assert not balancer.backend("oxford-b")["neighbour"]["routed"]
    assert balancer.log().count("event=server_not_reachable service=hybrid-mail backend=oxford-a ") == 1
    assert balancer.log().count("event=server_not_reachable") == 1


@FAMILIES
def test_a_routed_server_that_falls_silent_is_unreachable_and_a_second_probe_resets_its_sessions(
        lab, balancer, measured, routed, service):
    silence = routed(service)
    balancer.start()
    balancer.wait_all_up()
    with Sessions(lab, BEHIND[service][3]) as sessions:
        sessions.open(30, 0)
        silence()
        lost = {s.port for s in sessions.report() if s.server == "oxford-a"}
        assert lost and len(lost) < 30
        wait_until(lambda: {s.port for s in sessions.report() if s.error is not None} == lost, 20,
                   "oxford-a's sessions are reset, and no others: " + balancer.log())
        ended = [s for s in sessions.report() if s.port in lost]
    backend = balancer.backend("oxford-a", service)
    assert (backend["verdict"], backend["reason"]) == ("down", "unreachable")
    assert backend["neighbour"]["state"] == "resolved", "the router answers, and that says nothing"
    assert {s.error for s in ended} == {"ConnectionResetError"}
    after = [s.at - verdict_times(balancer, service)["oxford-a"] for s in ended]
    assert min(after) >= CONFIRMED_S
    measured(f"{len(lost)} resets {min(after):.2f} to {max(after):.2f} s after the verdict")


def test_a_tunnel_is_as_narrow_as_the_narrowest_link_that_a_router_tells_of(lab, balancer):
    """A raw socket sends the datapath's outer packet here; the kernel assigns the router's error to neither."""
    def listeners():
        protocols = (int(line.split()[1].rpartition(":")[2], 16) for f in ("raw", "raw6")
                     for line in lab.within("lb", "cat", f"/proc/self/net/{f}").splitlines()[1:])
        return sorted(p for p in protocols if p in (4, 41))  # the others forge SYNs

    balancer.start()
    balancer.wait_all_up()
    assert listeners() == [], "there is no tunnel"
    balancer.configure(replace={'nuneaton: {address: "203.0.113.13"}': f'nuneaton: {{address: "{CLIENT}", forward: ipip}}'})
    lab("ctl", "reload")
    wait_until(lambda: listeners() == [4, 4, 41, 41], 5, "it listens for errors")
    way = {"source": "203.0.113.5", "target": CLIENT, "mtu": 1500}
    wait_until(lambda: balancer.backend("nuneaton")["tunnel"] == way, 5, f"{way}: {balancer.backend('nuneaton')}")
    assert balancer.backend("oxford-a")["tunnel"] is None

    lab.undo.callback(lab.within, "lb", "ip", "route", "flush", "cache")
    lab.undo.callback(lab.within, "router", "ip", "link", "set", "dev", "wan", "mtu", "1500")
    lab.within("router", "ip", "link", "set", "dev", "wan", "mtu", "1400")
    repeat(lambda: lab.within("lb", "/usr/bin/python3", "-c", OUTER, "4", way["source"], CLIENT),
           lambda: wait_until(lambda: balancer.backend("nuneaton")["tunnel"] == {**way, "mtu": 1400}, 5,
                              "the router's word is taken"))
    wait_until(lambda: "source 203.0.113.5, mtu 1400" in balancer.log(), 5, "it is in the log")
    assert f"from 203.0.113.5 to {CLIENT}, MTU 1400" in lab("ctl", "show", "hybrid-mail/nuneaton")

    balancer.configure()
    lab("ctl", "reload")
    wait_until(lambda: listeners() == [], 5, "it no longer listens")


def test_a_far_end_that_only_decapsulates_runs_without_services_and_accepts_some_later(lab, balancer):
    whole = lab.config_file.read_text()
    bare = whole[:whole.index("services:")] + "decap: {from: [203.0.113.1]}\n"
    lab.config_file.write_text(bare)
    balancer.start()
    assert balancer.status()["services"] == []
    assert json.loads(lab("ctl", "--json", "status"))["services"] == []
    assert lab.xdp() in ("native", "generic")
    lab.config_file.write_text(whole)
    lab("ctl", "reload")
    balancer.wait_all_up()
    lab.config_file.write_text(bare)
    lab("ctl", "reload")
    assert balancer.status()["services"] == []
    assert balancer.stop() == 0
