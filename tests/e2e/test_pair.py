# SPDX-License-Identifier: BSD-2-Clause
"""Two balancers and keepalived: each row of the table of faults in docs/high-availability.md, with new connections and
open sessions. `make games` holds more sessions open, and runs each three times, again by IPv6, and again through
tunnels."""
import contextlib
import os
import signal
import time

import pytest

from games import Capture, Sessions, assert_alive, assert_ended_well
from lab import OXFORD, VIP, VIP6, Traffic, patience, wait_until
from pair import BOXES, Pair, drop, pass_again, rewrite, second_cables

ROUNDS = int(os.environ.get("MXLB_PAIR_ROUNDS", 3 if "MXLB_GAMES_S" in os.environ else 1))
IDLE, BUSY = (150, 50) if ROUNDS > 1 else (30, 10)


@pytest.fixture(scope="module")
def site(build):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    one = Pair(f"{os.environ.get('MXLB_LAB', 'mxlbtest')[:12]}p", build)
    yield one
    one.down()


PLAYED = ["l2"] if ROUNDS == 1 else [f"{way}-{i}" for way in ("l2", "ipip") for i in range(1, ROUNDS + 1)]
in_games_by_both = pytest.mark.parametrize("vip", [VIP] if ROUNDS == 1 else [VIP, VIP6], ids=lambda vip: "IPv6" if ":" in vip else "IPv4")


@pytest.fixture(params=PLAYED)
def pair(request, site):
    site.lab.set_forward(request.param.partition("-")[0])
    try:
        site.start()
        yield site
    finally:
        site.end_boxes()
        site.lab.set_forward("l2")


MAY_FAIL_S = 2  # keepalived's script, by the shipped configuration


def stop_keepalived(pair):
    pair["lb"].keepalived.terminate()


def kill_keepalived(pair):
    pair["lb"].signal_keepalived(signal.SIGKILL)


def freeze_keepalived(pair):
    pair["lb"].signal_keepalived(signal.SIGSTOP)


def cut_the_cable(pair):
    pair.lab.cut("lb")


def lose_power(pair):
    """Kills everything at once: no process sends a last message."""
    pair.lab.cut("lb")
    pair["lb"].signal_keepalived(signal.SIGKILL)
    pair["lb"].signal_mxlbd(signal.SIGKILL)


def kill_both(pair):
    pair["lb"].signal_keepalived(signal.SIGKILL)
    pair["lb"].signal_mxlbd(signal.SIGKILL)


def kill_mxlbd_for_good(pair):
    pair["lb"].signal_mxlbd(signal.SIGKILL)


def freeze_mxlbd(pair):
    pair["lb"].signal_mxlbd(signal.SIGSTOP)


def order_standby(pair):
    pair["lb"].ctl("role", "standby")


# What happens, the longest gap for new connections in seconds, and by when lb-b is active.
FAULTS = {
    "keepalived-is-stopped": (stop_keepalived, 0.5, 2),
    "keepalived-is-killed": (kill_keepalived, 1.0, 3),
    "keepalived-stands-still": (freeze_keepalived, 1.0, 3),
    "the-cable-is-cut": (cut_the_cable, 1.0, 3),
    "the-power-fails": (lose_power, 1.0, 3),
    "mxlbd-and-keepalived-are-killed": (kill_both, 1.0, 3),
    "mxlbd-is-dead-for-good": (kill_mxlbd_for_good, 1.0, 14),
    "mxlbd-stands-still": (freeze_mxlbd, 1.0, 14),
    "an-operator-orders-standby": (order_standby, 0.5, 3),
}


def last_failure(traffic, since):
    return max((a.at - since for a in traffic.attempts(since) if not a.server), default=0.0)


@pytest.mark.parametrize("vip", [VIP, VIP6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_other_box_takes_over_and_no_open_session_breaks(pair, measured, fault, vip):
    act, gap, moved = FAULTS[fault]
    with Sessions(pair.lab, vip) as sessions, Traffic(pair.lab, vip) as traffic:
        sessions.open(IDLE, BUSY)
        traffic.wait_seen(OXFORD)
        since, at = time.monotonic(), time.time()
        act(pair)
        wait_until(pair["lb-b"].is_active, moved + 5, lambda: f"lb-b is active\n{pair['lb-b'].log()}")
        took = pair["lb-b"].became("active", at)
        wait_until(lambda: len(traffic.attempts(time.monotonic() - 1)) > 10, 10, "connections go on")
        traffic.wait_seen(OXFORD)
        assert_alive(sessions.noop())
        assert_ended_well(sessions.quit())
    failed = last_failure(traffic, since)
    assert took <= moved, f"lb-b was active only after {took:.2f} s"
    assert failed <= gap, f"a connection failed {failed:.2f} s after the fault"
    assert "event=role from=standby to=active" in pair["lb-b"].log()
    measured(f"lb-b active after {took:.2f} s, last refused connection at {failed:.2f} s, {IDLE + BUSY} sessions: 0 broken")


def stop_and_start(box):
    box.mxlbd.terminate()
    assert box.mxlbd.wait(10 * patience()) == 0
    box.start()


def crash_and_start(box):
    box.signal_mxlbd(signal.SIGKILL)
    box.mxlbd.wait(10 * patience())
    box.start()


@pytest.mark.parametrize("how", [stop_and_start, crash_and_start], ids=["stopped", "killed"])
@in_games_by_both
def test_a_restart_of_mxlbd_moves_nothing_and_the_role_is_kept(pair, measured, vip, how):
    """If it takes longer than keepalived's script may fail, the role moves: then only the sessions and connections count."""
    with Sessions(pair.lab, vip) as sessions, Traffic(pair.lab, vip) as traffic:
        sessions.open(IDLE, BUSY)
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        how(pair["lb"])
        took = time.monotonic() - since
        assert took > MAY_FAIL_S or pair.active() == ["lb"]
        wait_until(pair["lb"].is_ready, 20, "every server is up again")
        wait_until(lambda: pair["lb"].priority() == (10 if pair["lb"].is_active() else 0), 20, "and has no fault")
        traffic.wait_seen(OXFORD)
        assert_alive(sessions.noop())
        assert_ended_well(sessions.quit())
    assert [a for a in traffic.attempts(since) if not a.server] == []
    moved = "event=role from" in pair["lb-b"].log()
    assert took > MAY_FAIL_S or not moved, "lb-b stayed standby"
    measured(f"restarted in {took:.2f} s, the role {'moved' if moved else 'stayed'}; 0 broken, 0 refused")


@in_games_by_both
def test_without_a_peer_a_box_without_keepalived_stays_active_and_its_stop_is_reported(pair, vip):
    """A stop of keepalived is an order: the box then yields, also to nobody."""
    pair["lb-b"].end()
    kill_keepalived(pair)
    pair["lb"].keepalived.wait(5 * patience())
    wait_until(lambda: pair["lb"].ha()["keepalived_lost"], 5, "lb knows that keepalived is gone")
    with under_load(pair, vip) as traffic:
        assert pair["lb"].role() == "active"
        wait_until(lambda: len(traffic.attempts()) > 10, 10, "connections go on")
    assert failures(traffic) == []
    assert "keepalived does not run" in pair["lb"].ctl("check", status=1)
    pair["lb"].start_keepalived()
    wait_until(lambda: not pair["lb"].ha()["keepalived_lost"] and pair["lb"].is_active(), 10, "keepalived is back")
    stop_keepalived(pair)
    wait_until(lambda: pair["lb"].role() == "standby", 5, "lb yields")


def troubles(box):
    return {f["check"] for f in box.doctor() if f["level"] in ("error", "warning")}


@in_games_by_both
def test_the_repaired_box_stays_standby(pair, vip):
    kill_keepalived(pair)
    wait_until(pair["lb-b"].is_active, 5, "lb-b is active")
    pair["lb"].keepalived.wait(5 * patience())
    wait_until(lambda: pair["lb"].ha()["keepalived_lost"], 5, "lb knows that keepalived is gone")
    wait_until(lambda: "event=role_source from=keepalived to=lost" in pair["lb"].log(), 5, "it is logged")
    pair["lb"].start_keepalived()
    wait_until(lambda: (ha := pair["lb"].ha())["role"] == "standby" and not ha["keepalived_lost"], 10, "lb yields")
    wait_until(lambda: "event=role_source from=lost to=keepalived" in pair["lb"].log(), 5, "it is logged")
    for host in BOXES:
        box = pair[host]
        wait_until(lambda box=box: box.ctl("check", status=None).startswith("MXLB OK"), 20,
                   lambda box=box: f"nothing is left of it: {box.ctl('check', status=None)}")
        usual = {"clock", "socket"}  # the machine's clock, and that the lab's group has no name
        wait_until(lambda box=box, usual=usual: troubles(box) <= usual, 30, lambda box=box: troubles(box))
    with Traffic(pair.lab, vip) as traffic:
        traffic.wait_seen(OXFORD)
        assert pair.active() == ["lb-b"]
    assert [a for a in traffic.attempts() if not a.server] == []


@in_games_by_both
def test_two_active_boxes_do_no_harm(pair, measured, vip):
    """The router gets announcements of both boxes in turn, every 100 ms. Both have the same ring."""
    freeze_keepalived(pair)
    wait_until(lambda: pair.active() == ["lb", "lb-b"], 5, "both are active")
    macs = [pair.lab.mac(host) for host in ("lb", "lb-b")]
    with Sessions(pair.lab, vip) as sessions, Traffic(pair.lab, vip) as traffic:
        sessions.open(IDLE, BUSY)
        flips, end = 0, time.monotonic() + (30 if ROUNDS > 1 else 5)
        while time.monotonic() < end:
            pair.lab.within("router", "ip", "neigh", "replace", vip, "lladdr", macs[flips % 2], "dev", "lan", "nud", "permanent")
            flips += 1
            time.sleep(0.1)
        pair.lab.within("router", "ip", "neigh", "del", vip, "dev", "lan")
        assert_alive(sessions.noop())
        assert_ended_well(sessions.quit())
    bad = [a for a in traffic.attempts() if not a.server]
    assert not bad, bad[:3]
    measured(f"{flips} changes of the router's entry, {IDLE + BUSY} sessions and {len(traffic.attempts())} new connections: 0 broken")


def test_a_standby_box_does_not_answer_for_the_vip_but_forwards_its_packets(pair):
    asked = pair.lab.within("router", "arping", "-c", "3", "-w", "3", "-I", "lan", VIP, status=None) \
        if os.path.exists("/usr/sbin/arping") or os.path.exists("/usr/bin/arping") else None
    if asked is not None:
        assert pair.lab.mac("lb-b").upper() not in asked.upper()
    pair.lab.within("router", "ip", "neigh", "replace", VIP, "lladdr", pair.lab.mac("lb-b"), "dev", "lan", "nud", "permanent")
    try:
        with Traffic(pair.lab) as traffic:
            traffic.wait_seen(OXFORD)
    finally:
        pair.lab.within("router", "ip", "neigh", "del", VIP, "dev", "lan")
    assert [a for a in traffic.attempts() if not a.server] == []
    assert pair["lb-b"].role() == "standby"


def test_an_order_expires_and_status_names_its_author(pair):
    pair["lb"].ctl("role", "standby", "--for", "10s")
    order = pair["lb"].ha()["order"]
    assert (order["role"], order["who"]) == ("standby", "root")
    wait_until(pair["lb-b"].is_active, 5, "lb-b is active")
    wait_until(lambda: pair["lb"].ha()["order"] is None, 20, "the order has ended")
    assert pair.active() == ["lb-b"], "and lb-b stays"


def test_health_is_what_keepalived_asks(pair):
    assert pair["lb"].ctl("health") == ""
    pair["lb"].signal_mxlbd(signal.SIGSTOP)
    try:
        assert "did not answer" in pair["lb"].ctl("health", status=3)
    finally:
        pair["lb"].signal_mxlbd(signal.SIGCONT)


@contextlib.contextmanager
def under_load(pair, vip=VIP):
    """Open sessions and new connections; none breaks, and the caller's part of what failed is in .failed."""
    with Sessions(pair.lab, vip) as sessions, Traffic(pair.lab, vip) as traffic:
        sessions.open(IDLE, BUSY)
        traffic.wait_seen(OXFORD)
        yield traffic
        traffic.wait_seen(OXFORD)
        assert_alive(sessions.noop())
        assert_ended_well(sessions.quit())


def failures(traffic, since=0.0):
    return [a for a in traffic.attempts(since) if not a.server]


def the_active_one(pair):
    """None if both or neither are, or if one does not answer at the moment."""
    roles = {pair[host].role(): host for host in BOXES}
    return roles["active"] if set(roles) == {"active", "standby"} else None


def gratuitous(pair, host, folder):
    """The router's view of the announcements that this box sends."""
    return Capture(pair.lab, "router", "lan", folder, f"arp and ether src {pair.lab.mac(host)} and arp[14:4] = arp[24:4]")


@in_games_by_both
def test_both_are_active_while_vrrp_is_blocked_and_one_after_the_heal(pair, measured, tmp_path, vip):
    captures = {host: gratuitous(pair, host, tmp_path) for host in BOXES}
    with captures["lb"], captures["lb-b"], under_load(pair, vip) as traffic:
        for host in BOXES:
            drop(pair.lab, host, "ip protocol 112")
        began = time.monotonic()
        wait_until(lambda: pair.active() == list(BOXES), 5, "both are active")
        both = time.monotonic() - began
        wait_until(lambda: any("event=vip_conflict" in pair[host].log() for host in BOXES), 40, "the second owner is reported")
        began, healed = time.monotonic(), time.time()
        for host in BOXES:
            pass_again(pair.lab, host)
        winner = wait_until(lambda: the_active_one(pair), 5, "one is active")
        one, quiet = time.monotonic() - began, time.monotonic() + 3
        wait_until(lambda: time.monotonic() > quiet, 10, "three seconds of announcements")
    assert failures(traffic) == []
    assert [at for at in captures[winner].times() if healed <= at < healed + one + 3], f"{winner} announces the VIP again"
    measured(f"{winner} announces after the heal; both active {both:.2f} s after the block, one {one:.2f} s after the heal, {IDLE + BUSY} sessions and "
             f"{len(traffic.attempts())} new connections: 0 broken")


@in_games_by_both
def test_a_box_that_was_paused_yields_or_makes_the_other_yield(pair, measured, vip):
    with under_load(pair, vip) as traffic:
        pair["lb"].signal_keepalived(signal.SIGSTOP)
        pair["lb"].signal_mxlbd(signal.SIGSTOP)
        wait_until(pair["lb-b"].is_active, 5, "lb-b is active")
        pair["lb"].signal_mxlbd(signal.SIGCONT)
        pair["lb"].signal_keepalived(signal.SIGCONT)
        began = time.monotonic()
        wait_until(lambda: the_active_one(pair), 5, "one is active")
        took = time.monotonic() - began
    assert failures(traffic) == []
    measured(f"one active {took:.2f} s after the pause, {IDLE + BUSY} sessions: 0 broken")


def cut_the_path(pair, host):
    """Behind the switch: frames to Oxford's servers vanish, VRRP and the router do not."""
    drop(pair.lab, host, *(f"ether daddr {pair.lab.mac(server)}" for server in OXFORD))


@in_games_by_both
def test_a_path_to_the_best_tier_that_fails_further_on_moves_the_vip(pair, measured, vip):
    """Open sessions may wait or be reset meanwhile: only this box knows no way to their servers."""
    with Traffic(pair.lab, vip) as traffic:
        traffic.wait_seen(OXFORD)
        cut_the_path(pair, "lb")
        since, at = time.monotonic(), time.time()
        wait_until(pair["lb-b"].is_active, 15, lambda: f"lb-b is active\n{pair['lb'].log()}")
        moved = pair["lb-b"].became("active", at)
        wait_for_priority(pair["lb"], -40)
        traffic.wait_seen(OXFORD)
    others = [a.at - since for a in traffic.attempts(since) if a.server == "nuneaton"]
    late = max(others, default=0.0)
    assert moved <= 10 and late <= 10, (moved, late)
    pass_again(pair.lab, "lb")
    wait_until(pair["lb"].is_ready, 20, "lb sees every server up again")
    assert pair.active() == ["lb-b"]
    measured(f"lb-b active after {moved:.2f} s; {len(others)} connections went to nuneaton, the last after {late:.2f} s")


def wait_for_priority(box, points):
    try:
        wait_until(lambda: box.priority() == points, 20, f"priority {points}")
    except AssertionError as late:
        raise AssertionError(f"{late}: {box.ha()}, {box.status()['services']}\n{box.log()}") from late


@in_games_by_both
def test_a_path_that_fails_for_both_moves_nothing(pair, vip):
    for host in BOXES:
        cut_the_path(pair, host)
    for host in BOXES:
        wait_for_priority(pair[host], {"lb": -30, "lb-b": -40}[host])
    with Traffic(pair.lab, vip) as traffic:
        traffic.wait_seen(["nuneaton"])
    assert pair.active() == ["lb"] and "event=role from" not in pair["lb-b"].log()
    for host in BOXES:
        pass_again(pair.lab, host)
    for host in BOXES:
        wait_until(pair[host].is_ready, 30, f"every server is up again for {host}")
    with Traffic(pair.lab, vip) as traffic:
        traffic.wait_seen(OXFORD)
    assert pair.active() == ["lb"]


SECOND_NETWORK = {"  eth0: {mode: auto}\n": "  eth0: {mode: auto}\n  eth1: {mode: auto}\n",
                  '"203.0.113.11"': '"10.25.0.11"', '"203.0.113.12"': '"10.25.0.12"',
                  '"2001:db8:113::11"': '"2001:db8:2500::11"', '"2001:db8:113::12"': '"2001:db8:2500::12"'}


@pytest.mark.parametrize("turn", range(ROUNDS))
@in_games_by_both
def test_a_cut_cable_to_the_servers_moves_the_vip_and_the_next_tier_gets_nothing(site, measured, vip, turn):
    try:
        second_cables(site.lab)
        site.start(SECOND_NETWORK)
        with under_load(site, vip) as traffic:
            since, at = time.monotonic(), time.time()
            site.lab.within("switch", "ip", "link", "set", "lb-2", "down")
            wait_until(site["lb-b"].is_active, 5, lambda: f"lb-b is active\n{site['lb'].log()}")
            took = site["lb-b"].became("active", at)
            wait_until(lambda: len(traffic.attempts(since + 4)) > 10, 15, "connections go on for 4 s")
        failed = last_failure(traffic, since)
        assert traffic.seen(since) <= {*OXFORD, None}, "nuneaton got nothing"
        assert took <= 3 and failed <= 3, (took, failed)
        wait_for_priority(site["lb"], -100)
        measured(f"lb-b active after {took:.2f} s, last refused connection at {failed:.2f} s, nuneaton got nothing, "
                 f"{IDLE + BUSY} sessions: 0 broken")
    finally:
        site.end_boxes()


TUNNEL_FAULTS = ("keepalived-is-killed", "the-cable-is-cut", "an-operator-orders-standby")


@pytest.mark.parametrize("fault", TUNNEL_FAULTS)
def test_the_other_box_takes_over_with_tunnels_too(site, measured, fault):
    act, gap, moved = FAULTS[fault]
    site.lab.set_forward("ipip")
    try:
        site.start()
        with under_load(site) as traffic:
            since = time.monotonic()
            act(site)
            wait_until(site["lb-b"].is_active, moved + 5, "lb-b is active")
            wait_until(lambda: len(traffic.attempts(time.monotonic() - 1)) > 10, 10, "connections go on")
        failed = last_failure(traffic, since)
        assert failed <= gap, f"a connection failed {failed:.2f} s after the fault"
        measured(f"last refused connection at {failed:.2f} s, {IDLE + BUSY} sessions: 0 broken")
    finally:
        site.end_boxes()
        site.lab.set_forward("l2")


def test_the_vips_are_announced_at_a_takeover_and_every_refresh(site, measured, tmp_path):
    site.lab.env["MXLB_LAB_REFRESH"] = "2s"
    try:
        site.start()
        mac = site.lab.mac("lb-b")
        arp = gratuitous(site, "lb-b", tmp_path)
        na = Capture(site.lab, "router", "lan", tmp_path, f"icmp6 and ether src {mac} and ip6[40] = 136 and dst host ff02::1")
        with arp, na:
            kill_keepalived(site)
            wait_until(site["lb-b"].is_active, 5, "lb-b is active")
            active = time.time()
            end = time.monotonic() + 9
            wait_until(lambda: time.monotonic() > end, 20, "nine seconds of announcements")
        for what, capture in (("gratuitous ARP", arp), ("unsolicited NA", na)):
            times = sorted(at - active for at in capture.times())
            assert times and times[0] < 1.5, f"{what}: {times}"
            assert sum(at > 3.5 for at in times) >= 2, f"{what} every refresh: {times}"
        measured(f"{arp.count} gratuitous ARPs and {na.count} unsolicited NAs in 9 s")
    finally:
        site.end_boxes()
        del site.lab.env["MXLB_LAB_REFRESH"]


def restart(box):
    stop_and_start(box)
    wait_until(box.is_ready, 20, "every server is up again")


@in_games_by_both
def test_a_rolling_upgrade_breaks_nothing(pair, measured, vip):
    with under_load(pair, vip) as traffic:
        restart(pair["lb-b"])
        pair["lb"].ctl("role", "standby")
        wait_until(lambda: pair.active() == ["lb-b"], 5, "lb-b is active")
        restart(pair["lb"])
        assert pair["lb"].ha()["order"]["role"] == "standby", "the order outlives the restart"
        pair["lb"].ctl("role", "auto")
        wait_until(lambda: pair["lb"].priority() == 0, 20, "lb has no fault")
        assert pair.active() == ["lb-b"]
    assert failures(traffic) == []
    measured(f"{IDLE + BUSY} sessions and {len(traffic.attempts())} new connections: 0 broken")


def test_an_upgrade_to_another_layout_moves_no_role(pair, other, measured):
    """keepalived reports no change then, so the role is the one from before the restart: maps of another layout must have it, too.
    If a restart takes longer than keepalived's script may fail, the role may move, and says nothing about the maps."""
    before = pair.lab.env["MXLB_BUILD"]
    try:
        pair.lab.env["MXLB_BUILD"] = str(other)
        for host in ("lb-b", "lb"):
            since = time.monotonic()
            stop_and_start(pair[host])
            took = time.monotonic() - since
            assert "event=migrated" in pair[host].log()
            measured(f"{host} upgraded in {took:.2f} s")
            if took <= MAY_FAIL_S:
                assert pair[host].ha()["source"] == "lease"
                assert pair.active() == ["lb"]
    finally:
        pair.lab.env["MXLB_BUILD"] = before


def digests(box):
    return {s["name"]: s["digest"] for s in box.status()["services"]}


@in_games_by_both
def test_a_rolling_change_breaks_nothing_and_the_digest_names_it(pair, measured, vip):
    """A weight, which makes another ring: the standby box first, then the active one, where the flow table keeps what is open."""
    change = {'oxford-a: {address: "203.0.113.11"': 'oxford-a: {address: "203.0.113.11", weight: 30'}
    assert digests(pair["lb"]) == digests(pair["lb-b"])
    with under_load(pair, vip) as traffic:
        pair["lb-b"].configure(change)
        pair["lb-b"].ctl("reload")
        began = time.monotonic()
        wait_until(lambda: digests(pair["lb"]) != digests(pair["lb-b"]), 60, "the digests differ")
        took = time.monotonic() - began
        assert [name for name, digest in digests(pair["lb"]).items() if digest != digests(pair["lb-b"])[name]] == ["hybrid-mail"]
        assert pair["lb"].ha()["digest"] != pair["lb-b"].ha()["digest"]
        pair["lb"].configure(change)
        pair["lb"].ctl("reload")
        wait_until(lambda: pair["lb"].ha()["digest"] == pair["lb-b"].ha()["digest"], 10, "they are equal again")
    assert failures(traffic) == []
    assert pair.active() == ["lb"]
    measured(f"the digest differed after {took:.2f} s; {IDLE + BUSY} sessions and {len(traffic.attempts())} new connections: 0 broken")


def test_an_order_makes_the_other_box_active_and_its_end_moves_nothing(pair):
    pair["lb-b"].ctl("role", "active")
    wait_until(lambda: pair.active() == ["lb-b"], 5, "lb-b is active")
    pair["lb-b"].ctl("role", "auto")
    wait_until(lambda: pair["lb-b"].priority() == 10, 5, "the order has ended")
    assert pair.active() == ["lb-b"]


def test_one_box_becomes_two_without_an_interruption(site, measured):
    """docs/high-availability.md, step by step; the numbers are the steps'."""
    first, second = site["lb"], site["lb-b"]
    try:
        for host in BOXES:
            site.lab("boxconfig", host)
        whole = (first.dir / "mxlb.yaml").read_text()
        rewrite(first, lambda text: text.replace("  hash-key: the lab's pair\n", "").split("ha:\n")[0])
        first.start()
        wait_until(first.is_ready, 20, "every server is up")
        with under_load(site) as traffic:
            key = next(line for line in first.ctl("config").splitlines() if "hash-key" in line)  # 1
            keyed = whole.replace("  hash-key: the lab's pair", key)
            rewrite(first, lambda _: keyed.replace("role: keepalived", "role: active"))  # 2
            restart(first)
            rewrite(second, lambda text: text.replace("  hash-key: the lab's pair", key).replace("role: keepalived", "role: standby"))
            second.start()  # 3
            wait_until(second.is_ready, 20, "every server is up")
            assert first.ha()["digest"] == second.ha()["digest"]
            for box, role in ((first, "active"), (second, "standby")):  # 6, 7
                rewrite(box, lambda text, role=role: text.replace(f"role: {role}", "role: keepalived"))
                box.start_keepalived()
                wait_until(lambda box=box: f"Entering {'MASTER' if box is first else 'BACKUP'} STATE" in box.keepalived_log.read_text(),
                           10, "keepalived has decided")
                box.ctl("reload")
                wait_until(lambda box=box: box.ha()["source"] == "keepalived", 10, "mxlbd hears keepalived")
                assert site.active() == ["lb"]
            first.ctl("role", "standby", "--for", "5m")  # 8
            wait_until(lambda: site.active() == ["lb-b"], 5, "lb-b is active")
        assert failures(traffic) == []
        assert first.log().count("event=role from=active to=standby") == 1
        measured(f"{IDLE + BUSY} sessions and {len(traffic.attempts())} new connections: 0 broken")
    finally:
        site.end_boxes()
