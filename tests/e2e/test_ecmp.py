# SPDX-License-Identifier: BSD-2-Clause
"""Three active boxes behind a router that spreads connections over them (ECMP), by BGP from BIRD on each. One leaves and returns
under open sessions and new connections; `make games` has every way. docs/high-availability.md, "Routes"."""
import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from games import Sessions, assert_alive, assert_ended_well
from lab import OXFORD, VIP, VIP6, Traffic, wait_until
from pair import Router, three

HOSTS = ("lb", "lb-b", "lb-c")
IDLE, BUSY = (200, 100) if "MXLB_GAMES_S" in os.environ else (40, 20)
HOPS = {VIP: {host: f"203.0.113.{5 + i}" for i, host in enumerate(HOSTS)},
        VIP6: {host: f"2001:db8:113::{5 + i}" for i, host in enumerate(HOSTS)}}
WAIT_S = 20


@pytest.fixture(scope="module")
def network(build):
    with three(build, "e") as boxes:
        for family in ("ipv4", "ipv6"):  # by ports, too
            boxes.lab.within("router", "sysctl", "-qw", f"net.{family}.fib_multipath_hash_policy=1")
        yield boxes


@pytest.fixture
def site(network):
    try:
        with Router(network.lab) as network.router:
            network.start_mxlbd()
            for host in HOSTS:
                network[host].start_router("bird")
            for vip in (VIP, VIP6):
                wait_until(lambda: network.router.next_hops(vip) == set(HOPS[vip].values()), WAIT_S, "the router spreads over all")
            yield network
    finally:
        network.end_boxes()


class Resilient:
    """A route of the router by a resilient group (Linux 5.13), which has the next hops that BIRD's own route has."""

    def __init__(self, site, vip):
        self.router, self.lab, self.vip = site.router, site.lab, vip
        self.ids = {hop: str(i + 1) for i, hop in enumerate(HOPS[vip].values())}
        self.now, self.stop, self.thread = set(), threading.Event(), threading.Thread(target=self.run)

    def ip(self, *words):
        self.lab.within("router", "ip", *words)

    def set_group(self, hops):
        self.ip("nexthop", "replace", "id", "10", "group", "/".join(self.ids[hop] for hop in sorted(hops)), "type", "resilient",
                "buckets", "128", "idle_timer", "60")
        self.now = hops

    def follow(self):
        hops = self.router.next_hops(self.vip, "bird")
        if hops and hops != self.now:
            self.set_group(hops)

    def run(self):
        while not self.stop.wait(0.02):
            self.follow()

    def __enter__(self):
        for hop, number in self.ids.items():
            self.ip("nexthop", "add", "id", number, "via", hop, "dev", "lan")
        self.set_group(set(self.ids))
        self.ip("-6" if ":" in self.vip else "-4", "route", "add", self.vip, "nhid", "10", "metric", "10")
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        for number in ("10", *self.ids.values()):  # the route goes with its group
            self.ip("nexthop", "del", "id", number)


def by_order(site):
    site["lb-b"].ctl("role", "standby", "--force")
    yield
    site["lb-b"].ctl("role", "auto")


def kill_bird(site):
    for pid in site["lb-b"].pids():
        if Path(f"/proc/{pid}/comm").read_text().strip() == "bird":
            os.kill(pid, signal.SIGKILL)
    site["lb-b"].router.wait(10)
    yield
    site["lb-b"].start_router("bird")


def cut_the_cable(site):
    site.lab.cut("lb-b")
    yield
    site.lab.join("lb-b")


# How a box leaves, and for how long new connections may fail.
WAYS = {"by-order": (by_order, 0.0), "bird-is-killed": (kill_bird, 1.0), "the-cable-is-cut": (cut_the_cable, 5.0)}


EACH = [(way, vip, group) for way in WAYS for vip in (VIP, VIP6) for group in ("plain", "resilient")]
FEW = [("by-order", VIP, "plain"), ("bird-is-killed", VIP6, "resilient"), ("the-cable-is-cut", VIP, "resilient")]


@pytest.mark.parametrize("way,vip,group", EACH if "MXLB_GAMES_S" in os.environ else FEW)
def test_a_box_leaves_and_returns_and_no_open_session_breaks(site, measured, way, vip, group):
    leave, gap = WAYS[way]
    hops = HOPS[vip]
    with contextlib.ExitStack() as stack:
        if group == "resilient":
            stack.enter_context(Resilient(site, vip))
        sessions = stack.enter_context(Sessions(site.lab, vip))
        traffic = stack.enter_context(Traffic(site.lab, vip))
        sessions.open(IDLE, BUSY)
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        change = leave(site)
        next(change)
        wait_until(lambda: site.router.next_hops(vip, "bird") == set(hops.values()) - {hops["lb-b"]}, WAIT_S, "lb-b has left")
        left = time.monotonic() - since
        traffic.wait_seen(OXFORD)
        assert_alive(sessions.noop())
        back = time.monotonic()
        next(change, None)
        wait_until(lambda: site.router.next_hops(vip, "bird") == set(hops.values()), WAIT_S, "lb-b is back")
        traffic.wait_seen(OXFORD)
        wait_until(lambda: len(traffic.attempts(back)) > 80, WAIT_S, "connections go on")
        assert_alive(sessions.noop())
        assert_ended_well(sessions.quit())
    failed = [a.at - since for a in traffic.attempts(since) if not a.server]
    assert max(failed, default=0.0) <= gap, f"{len(failed)} connections failed, the last one {max(failed):.2f} s after the fault"
    measured(f"left after {left:.2f} s, {len(failed)} new connections failed, the last after {max(failed, default=0.0):.2f} s, "
             f"{IDLE + BUSY} sessions: 0 broken")
