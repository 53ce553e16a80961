# SPDX-License-Identifier: BSD-2-Clause
"""Floods of forged connections: idle sessions keep their entries, only clients that have sent data are reset, and the
VIP floods nobody.

By default the table is small and the flood is as much smaller; `make games` has the default table and 4 million packets.
"""
import bisect
import json
import os

import pytest

from games import (Capture, Forgery, Meter, Resets, Sessions, assert_alive, assert_ended_well, flows, swallow_forged_sources)
from lab import CLIENT, CLIENT6, HERE, OXFORD, ROOT, SERVERS, VIP, VIP6, Traffic, command, wait_until

GAMES = float(os.environ.get("MXLB_GAMES_S", 0)) > 0
TABLE = 262144 if GAMES else 16384
PACKETS = 4_000_000 if GAMES else 250_000
RATE = 110_000 if GAMES else 40_000
IDLE = 120 if GAMES else 40  # so few that three of them hardly ever share a line of the table, where only two are safe
RESETS_A_SECOND = 5000
FORGED = {VIP: "100.64.0.0/10", VIP6: "2001:db8:64::/64"}


@pytest.fixture(scope="module")
def forger(build):
    """The forger of this tree; mxlbd may be of another (make floods-of)."""
    directory = os.environ.get("MXLB_B", "build")
    command("make", "-s", f"B={directory}", f"{directory}/forge-packets", cwd=ROOT)
    return ROOT / directory


@pytest.fixture
def running(lab, balancer):
    balancer.configure(replace={"datapath:\n": f"datapath:\n  flows: {TABLE}\n"})
    balancer.start()
    balancer.wait_all_up()
    return balancer


def flood(lab, build, vip, kind, packets=PACKETS):
    with Forgery(lab, build, vip, syn=kind, rate=RATE, packets=packets) as forgery:
        forgery.wait(packets / RATE * 10 + 30)
    return forgery


def entries_lost(running, vip, service, sessions):
    """The number of these sessions that are no longer in the flow table."""
    client = f"[{CLIENT6}]" if ":" in vip else CLIENT
    return sum(json.loads(running.ask(f"explain {service} {client}:{s.port} json"))["entry"] is None for s in sessions)


def broken(sessions):
    return [s for s in sessions.noop() if s.error is not None]


@pytest.mark.parametrize("kind, vip, service", [
    ("pairs", VIP, "hybrid-mail"), ("pairs-again", VIP, "hybrid-mail"), ("pairs-data", VIP, "hybrid-mail"),
    ("data", VIP, "hybrid-mail"), ("mails", VIP, "hybrid-mail"), ("pairs-data", VIP6, "hybrid-mail6")])
def test_no_flood_of_forged_connections_costs_an_idle_session_its_server(
        lab, running, forger, measured, tmp_path, kind, vip, service):
    swallow_forged_sources(lab)
    with Sessions(lab, vip) as sessions, Capture(lab, "router", "lan", tmp_path, f"src host {vip} and dst net {FORGED[vip]}") as sent:
        known = sessions.open(IDLE, 0)
        with Meter(running) as meter:
            forgery = flood(lab, forger, vip, kind)
        lost = entries_lost(running, vip, service, known)
        lab_servers = {s.server for s in sessions.report()}
        assert lab_servers == set(OXFORD)
        running.ask(f"set server {service}/oxford-a state drain")
        drained = broken(sessions)
        running.ask(f"set server {service}/oxford-b state drain")  # the mail fails over to the other site
        moved = broken(sessions)
        sessions.assert_one_server_each()
        ended = sessions.quit()
    measured(f"{forgery.text()} ({kind}), {IDLE} idle sessions: {lost} entries lost, {len(drained)} broken by a drain, {len(moved)} "
             f"after the failover; {sent.count} packets from the VIP to forged addresses; {meter.text()}")
    assert not lost and not drained and not moved
    assert meter.logged < 50
    assert sent.count == 0 or " to=down" in running.log(), "where no server is left SYNs are answered with RST"
    assert_ended_well(ended)


@pytest.mark.parametrize("kind", ["pairs", "pairs-data"])
def test_idle_sessions_of_a_dead_server_are_reset_whatever_was_forged_and_the_vip_is_no_reflector(
        lab, running, forger, measured, tmp_path, kind):
    swallow_forged_sources(lab)
    syns = f"src host {VIP} and dst net {FORGED[VIP]} and tcp[tcpflags] & 0x12 = 2"
    with Sessions(lab, VIP) as sessions, Resets(lab, VIP) as resets:
        sessions.open(60, 0)
        forgery = flood(lab, forger, VIP, kind)
        theirs = {s.port for s in sessions.report() if s.server == "oxford-a"}
        assert len(theirs) > 10
        with Capture(lab, "router", "lan", tmp_path, syns) as told:
            lab.cut("oxford-a")
            running.wait_for({"oxford-a": "down"})
            wait_until(lambda: theirs <= set(resets.ports()), 60, "each of its sessions is reset: " + running.log())
            wait_until(lambda: "event=resets_ended" in running.log(), 120, "the rounds are over: " + running.log())
        assert_alive([s for s in sessions.report() if s.server != "oxford-a"])
    times = sorted(told.times())
    most = max((bisect.bisect(times, t + 1) - i for i, t in enumerate(times)), default=0)
    measured(f"{forgery.text()} ({kind}): {len(theirs)} of {len(theirs)} sessions reset; {told.count} SYNs from the VIP to forged "
             f"addresses, at most {most} in a second")
    if kind == "pairs":
        assert told.count == 0, "nobody who sent no data is told anything"
    else:
        assert told.count > 0 and most <= RESETS_A_SECOND * 1.2


LIMIT = 3
NET = CLIENT.rpartition(".")[0] + ".0 24"
SYN_FLOODS = {"from everywhere": (VIP, "syn", 30_000),  # the VIP, with what, how many a second
              "to the other VIP, from an IPv6 /32": (VIP6, "syn-from 2001:db8:: 32", 30_000),
              "to the other VIP, from the client's own /64": (VIP6, f"syn-from {CLIENT6} 64", 1000),
              "from the client's own /24": (VIP, f"syn-from {NET}", 1000),
              "from the client's own /24, each twice": (VIP, f"syn-from {NET} 2", 1000)}
ALWAYS = {"from everywhere", "from the client's own /24"}  # the others by make games


@pytest.mark.parametrize("limit", [LIMIT, 0], ids=["limited", "unlimited"])
@pytest.mark.parametrize("which", SYN_FLOODS)
def test_a_service_with_a_SYN_limit_is_no_easier_to_shut(lab, balancer, forger, measured, which, limit):
    """A connection every half second, which may retransmit its SYN, as TCP does after 1 and 3 s."""
    if (not limit or which not in ALWAYS) and not GAMES:
        pytest.skip("takes its time: make games")
    vip, kind, rate = SYN_FLOODS[which]
    swallow_forged_sources(lab)
    if limit:
        balancer.configure(replace={"    tiers:\n": f"    syn-limit: {limit}\n    tiers:\n"})
    balancer.start()
    balancer.wait_all_up()
    limited = limit and "own" in which  # the others send few from one prefix
    with Forgery(lab, forger, vip, rate=rate, syn=kind):
        wait_until(lambda: not limited or balancer.status()["drops"]["syn_limit"] > rate, 20, "the limit is at work")
        with Traffic(lab, VIP, pace=(0.5, 20)) as traffic:
            wait_until(lambda: len(traffic.attempts()) >= 12, 60, "a dozen connections are made")
    attempts = traffic.attempts()
    failed = [a for a in attempts if a.server is None]
    measured(f"{rate} SYNs a second {which}, {f'limit {limit}' if limit else 'no limit'}: {len(failed)} of {len(attempts)} connections failed")
    assert not failed


LB4, LB6 = "203.0.113.5", "2001:db8:113::5"
SERVER_ADDRESSES = {"oxford-a": "203.0.113.11", "oxford-b": "203.0.113.12", "nuneaton": "203.0.113.13"}


def chatter(lab, kind, address, *others):
    """From the servers' network, more addresses than the kernel's neighbour tables have room for (1,024)."""
    return int(lab.within("router", "/usr/bin/python3", "-B", str(HERE / "chatter.py"), kind, "15" if GAMES else "4", "3000",
                          lab.mac("lb"), address, *others))


def forget_neighbours(lab, *addresses):
    for family in ("-4", "-6"):
        lab.within("lb", "ip", family, "neigh", "flush", "dev", "eth0", status=None)
    for address in addresses:
        lab.within("lb", "ip", "neigh", "del", address, "dev", "eth0", status=None)


def keep_neighbours_elsewhere(lab):
    """Until the test ends, for all hosts but the balancer: the kernel has one table for all network namespaces (the limits are
    sysctls of the first one), so the senders' packets and the servers' replies would end with it, too."""
    for host in ("client", "router", *SERVERS):
        for family in ("-4", "-6"):
            for entry in json.loads(lab.within(host, "ip", family, "-json", "neigh", "show") or "[]"):
                if "lladdr" not in entry or "PERMANENT" in entry["state"]:
                    continue
                where = entry["dst"], "dev", entry["dev"]
                lab.undo.callback(lab.within, host, "ip", family, "neigh", "del", *where, status=None)
                lab.within(host, "ip", family, "neigh", "replace", *where, "lladdr", entry["lladdr"], "nud", "permanent")


@pytest.mark.alone  # the kernel has one neighbour table of each family for all network namespaces
@pytest.mark.parametrize("kind, address, vip", [("arp", LB4, VIP), ("nd", LB6, VIP6)])
def test_a_neighbour_that_fills_the_kernels_tables_moves_no_mail(lab, running, measured, kind, address, vip):
    lab.undo.callback(forget_neighbours, lab)
    with Traffic(lab, vip) as traffic, Meter(running) as meter:
        traffic.wait_seen(OXFORD)
        keep_neighbours_elsewhere(lab)
        sent = chatter(lab, kind, address)
        traffic.wait_seen(OXFORD)
    lost = [a for a in traffic.attempts() if a.server not in OXFORD]
    measured(f"{sent} frames ({kind}), each from another host: {len(lost)} of {len(traffic.attempts())} connections lost; {meter.text()}")
    assert sent > 3000 and not lost
    assert " to=down" not in running.log(), running.log()


def test_a_neighbour_that_claims_a_servers_address_moves_no_mail_where_its_entry_is_permanent(lab, balancer, measured):
    """Else it gets the mail, as with any host: SECURITY.md."""
    lab.undo.callback(forget_neighbours, lab, *SERVER_ADDRESSES.values())
    for host, address in SERVER_ADDRESSES.items():
        lab.within("lb", "ip", "neigh", "replace", address, "lladdr", lab.mac(host), "dev", "eth0", "nud", "permanent")
    balancer.start()
    balancer.wait_all_up()
    lab.cut("oxford-a")  # mxlbd asks for it again
    balancer.wait_for({"oxford-a": "down"}, 20)
    lab.join("oxford-a")
    balancer.wait_for({"oxford-a": "up"}, 20)
    with Traffic(lab) as traffic:
        sent = chatter(lab, "spoof", LB4, *SERVER_ADDRESSES.values())
        traffic.wait_seen(OXFORD)
    lost = [a for a in traffic.attempts() if a.server not in OXFORD]
    measured(f"{sent} claims of servers' addresses: {len(lost)} of {len(traffic.attempts())} connections lost")
    assert not lost


def test_top_shows_an_attack_as_what_it_is_and_is_quiet_without_one(lab, running, forger):
    swallow_forged_sources(lab)
    assert "attack?" not in lab("ctl", "top", "-n", "2", "-d", "1s")
    with Forgery(lab, forger, VIP, rate=5000, syn="data"):
        said = lab("ctl", "top", "-n", "3", "-d", "1s")
    line, = {line.split(":")[0] for line in said.splitlines() if "attack?" in line}
    assert line == "  attack? per second" and " stray" in said
    assert "attack?" not in said.split("hybrid-mail6:")[-1], "the other service is not attacked"
    with Forgery(lab, forger, VIP, rate=5000, syn="data", seed=2):  # of other connections
        looks = [json.loads(line) for line in lab("ctl", "top", "--json", "-n", "4", "-d", "1s").splitlines()]
    assert looks[0]["attacks"] == {"hybrid-mail": {}, "hybrid-mail6": {}}, "a rate needs two looks"
    assert looks[3]["attacks"]["hybrid-mail"]["stray_per_s"] > 1000
    assert looks[3]["attacks"]["hybrid-mail6"]["stray_per_s"] < 10


def test_what_is_forged_after_a_drain_does_not_count_for_it(lab, running, forger, measured):
    swallow_forged_sources(lab)
    with Sessions(lab, VIP) as sessions:
        sessions.open(20, 0)
        mine = [s for s in sessions.report() if s.server == "oxford-a"]
        wait_until(lambda: flows(running, "hybrid-mail")["oxford-a"] >= len(mine) > 0, 10, "they count")
        running.ask("set server hybrid-mail/oxford-a state drain")
        before = flows(running, "hybrid-mail")
        with Forgery(lab, forger, VIP, rate=5000, syn="pairs-data"):
            wait_until(lambda: flows(running, "hybrid-mail")["oxford-b"] > before["oxford-b"] + 1000, 20, "what is forged counts elsewhere")
        after = flows(running, "hybrid-mail")
        assert after["oxford-a"] <= before["oxford-a"]
        assert_ended_well(sessions.quit())
    measured(f"oxford-a, drained: {before['oxford-a']} connections before the flood, {after['oxford-a']} during it; "
             f"oxford-b: {before['oxford-b']}, {after['oxford-b']}")


@pytest.mark.skipif(not GAMES, reason="takes more than a minute: make games")
def test_a_drain_ends_when_the_clients_that_send_mail_have_gone(lab, running, forger):
    swallow_forged_sources(lab)
    with Sessions(lab, VIP) as sessions:
        sessions.open(10, 0)
        flood(lab, forger, VIP, "pairs", 20_000)
        mine = [s.port for s in sessions.report() if s.server == "oxford-a"]
        assert mine
        wait_until(lambda: flows(running, "hybrid-mail")["oxford-a"] > 100, 5, "what was just forged counts for a minute")
        waiting = lab.popen("ctl", "drain", "hybrid-mail/oxford-a", "--wait", "--timeout", "100s")
        sessions.quit(*mine)
        assert waiting.wait(100) == 0
    table = running.backend("oxford-a")
    assert table["flows"] == 0 and table["flow_table"]["without_data"] > 100, "and then it is only reported"
