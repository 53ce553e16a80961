# SPDX-License-Identifier: BSD-2-Clause
"""Two balancers and keepalived: each row of the table of faults in docs/high-availability.md, with new connections and
open sessions. `make games` holds more sessions open."""
import os
import signal
import time

import pytest

from games import Sessions, assert_alive, assert_ended_well
from lab import OXFORD, VIP, VIP6, Traffic, wait_until
from pair import Pair

ROUNDS = int(os.environ.get("MXLB_PAIR_ROUNDS", 3 if "MXLB_GAMES_S" in os.environ else 1))
IDLE, BUSY = (150, 50) if ROUNDS > 1 else (30, 10)


@pytest.fixture(scope="module")
def site(build):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    one = Pair(f"{os.environ.get('MXLB_LAB', 'mxlbtest')[:12]}p", build)
    yield one
    one.down()


@pytest.fixture
def pair(site):
    try:
        site.start()
        yield site
    finally:
        site.end_boxes()


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
    "mxlbd-is-dead-for-good": (kill_mxlbd_for_good, 1.0, 8),
    "mxlbd-stands-still": (freeze_mxlbd, 1.0, 8),
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
        since = time.monotonic()
        act(pair)
        wait_until(pair["lb-b"].is_active, moved + 5, f"lb-b is active\n{pair['lb-b'].log()}")
        took = time.monotonic() - since
        wait_until(lambda: len(traffic.attempts(time.monotonic() - 1)) > 10, 10, "connections go on")
        traffic.wait_seen(OXFORD)
        assert_alive(sessions.noop())
        assert_ended_well(sessions.quit())
    failed = last_failure(traffic, since)
    assert took <= moved, f"lb-b was active only after {took:.2f} s"
    assert failed <= gap, f"a connection failed {failed:.2f} s after the fault"
    assert "event=role from=standby to=active" in pair["lb-b"].log()
    measured(f"lb-b active after {took:.2f} s, last refused connection at {failed:.2f} s, {IDLE + BUSY} sessions: 0 broken")


def test_a_restart_of_mxlbd_moves_nothing_and_the_role_is_kept(pair):
    with Sessions(pair.lab, VIP) as sessions, Traffic(pair.lab) as traffic:
        sessions.open(IDLE, BUSY)
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        pair["lb"].mxlbd.terminate()
        assert pair["lb"].mxlbd.wait(10) == 0
        pair["lb"].start()
        assert pair.active() == ["lb"]
        wait_until(pair["lb"].is_ready, 20, "every server is up again")
        wait_until(lambda: pair["lb"].priority() == 10, 20, "and has no fault")
        traffic.wait_seen(OXFORD)
        assert_alive(sessions.noop())
        assert_ended_well(sessions.quit())
    assert [a for a in traffic.attempts(since) if not a.server] == []
    assert "event=role from" not in pair["lb-b"].log(), "lb-b stayed standby"


def test_the_repaired_box_stays_standby(pair):
    kill_keepalived(pair)
    wait_until(pair["lb-b"].is_active, 5, "lb-b is active")
    pair["lb"].keepalived.wait(5)
    wait_until(lambda: pair["lb"].ha()["keepalived_lost"], 5, "lb knows that keepalived is gone")
    assert "event=role_source from=keepalived to=lost" in pair["lb"].log()
    pair["lb"].start_keepalived()
    wait_until(lambda: pair["lb"].ha()["role"] == "standby", 10, "lb yields")
    assert not pair["lb"].ha()["keepalived_lost"]
    with Traffic(pair.lab) as traffic:
        traffic.wait_seen(OXFORD)
        assert pair.active() == ["lb-b"]
    assert [a for a in traffic.attempts() if not a.server] == []


def test_two_active_boxes_do_no_harm(pair, measured):
    """The router gets announcements of both boxes in turn, every 100 ms. Both have the same ring."""
    freeze_keepalived(pair)
    wait_until(lambda: pair.active() == ["lb", "lb-b"], 5, "both are active")
    macs = [pair.lab.mac(host) for host in ("lb", "lb-b")]
    with Sessions(pair.lab, VIP) as sessions, Traffic(pair.lab) as traffic:
        sessions.open(IDLE, BUSY)
        flips, end = 0, time.monotonic() + (30 if ROUNDS > 1 else 5)
        while time.monotonic() < end:
            pair.lab.within("router", "ip", "neigh", "replace", VIP, "lladdr", macs[flips % 2], "dev", "lan", "nud", "permanent")
            flips += 1
            time.sleep(0.1)
        pair.lab.within("router", "ip", "neigh", "del", VIP, "dev", "lan")
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
    pair["lb"].ctl("role", "standby", "--for", "3s")
    assert pair["lb"].ha()["order"]["role"] == "standby" and pair["lb"].ha()["order"]["who"] == "root"
    wait_until(pair["lb-b"].is_active, 5, "lb-b is active")
    wait_until(lambda: pair["lb"].ha()["order"] is None, 10, "the order has ended")
    assert pair.active() == ["lb-b"], "and lb-b stays"


def test_health_is_what_keepalived_asks(pair):
    assert pair["lb"].ctl("health") == ""
    pair["lb"].signal_mxlbd(signal.SIGSTOP)
    try:
        assert "did not answer" in pair["lb"].ctl("health", status=3)
    finally:
        pair["lb"].signal_mxlbd(signal.SIGCONT)
