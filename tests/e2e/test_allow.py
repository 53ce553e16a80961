# SPDX-License-Identifier: BSD-2-Clause
"""The allow-list, swapped by reloads during a flood of SYNs from prefixes of the one list, of the other, of both and
of none: denied sources never connect, allowed ones always do, and open connections stay open.

The games last MXLB_GAMES_S seconds (`make games`: 60), by default a few.
"""
import json
import os
import re
import shutil
import threading
from contextlib import ExitStack

import pytest

from games import Capture, Forgery, Resets, Sessions, assert_alive, assert_ended_well, swallow_forged_sources
from lab import ROOT, SERVERS, VIP, VIP6, Traffic, command, wait_until

GAME_S = float(os.environ.get("MXLB_GAMES_S", 2))
PACE_S = 0.1  # between two reloads: above the 50 ms for which a replaced list stays where late packets look
RATE = 20000
# The router, whose new connections are watched, is in both lists; the client, whose sessions are open, in the first only.
FIRST = ["203.0.113.1/32", "2001:db8:113::1/128", "198.51.100.0/24", "2001:db8:100::/64", "100.64.0.0/12",
         "2001:db8:64::/66"]
MORE = [f"10.{i // 256}.{i % 256}.0/24" for i in range(1000)]  # so that writing a list takes as long as many SYNs
SECOND = ["203.0.113.1/32", "2001:db8:113::1/128", "100.80.0.0/12", "2001:db8:64:0:4000::/66"]
FAMILIES = pytest.mark.parametrize(
    "vip, in_first, in_second, in_none",
    [(VIP, "100.64.0.0/12", "100.80.0.0/12", "100.96.0.0/11"),
     (VIP6, "2001:db8:64::/66", "2001:db8:64:0:4000::/66", "2001:db8:64:0:8000::/65")], ids=["IPv4", "IPv6"])


@pytest.fixture(scope="module")
def forger(build):
    command("make", "-s", f"B={build.name}", f"{build.name}/forge-packets", cwd=ROOT)
    return build


class Lists:
    """A context manager that reloads two lists in turn from another thread. Afterwards the first is in force."""

    def __init__(self, balancer, mode):
        self.balancer = balancer
        self.texts = [self.text(prefixes, mode) for prefixes in (FIRST + MORE, MORE + SECOND)]
        self.thread, self.stop = threading.Thread(target=self.run), threading.Event()
        self.swaps, self.failure = 0, None

    def text(self, prefixes, mode):
        self.balancer.configure(replace={
            "failback-hold: 0s": f"failback-hold: 0s\n    allow: {json.dumps(prefixes)}\n    allow-mode: {mode}"})
        return self.balancer.lab.config_file.read_text()

    def put(self, which):
        self.balancer.lab.config_file.write_text(self.texts[which])
        reply = self.balancer.ask("reload").strip()
        assert not reply, reply
        self.swaps += 1

    def __enter__(self):
        self.put(0)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def run(self):
        try:
            while not self.stop.wait(PACE_S) or self.swaps % 2 == 0:
                self.put(self.swaps % 2)
        except (AssertionError, OSError) as failed:
            self.failure = f"reload: {type(failed).__name__} {failed}"

    def wait(self, swaps):
        goal = self.swaps + swaps
        wait_until(lambda: self.failure or self.swaps >= goal, swaps * PACE_S * 3 + 5, f"{goal} reloads")
        assert not self.failure, self.failure


class Arrivals:
    """The SYNs from a prefix that reach the servers."""

    def __init__(self, lab, prefix, folder):
        flags = "ip6[53] & 0x12 = 2" if ":" in prefix else "tcp[tcpflags] & 0x12 = 2"
        self.captures = [Capture(lab, host, "eth0", folder, f"src net {prefix} and {flags}", at_once=True) for host in SERVERS]

    def __enter__(self):
        with ExitStack() as stack:
            for capture in self.captures:
                stack.enter_context(capture)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()
        self.count = sum(capture.count for capture in self.captures)


def counted(lab, name):
    """A counter of the datapath, summed over services and CPUs, read from the map because no report has the notes."""
    names = re.findall(r"\bX\((\w+), \"", (ROOT / "include/mxlb/counters.h").read_text())
    bpftool = shutil.which("bpftool", path="/usr/sbin:" + os.environ["PATH"])
    dump = json.loads(command(bpftool, "-j", "map", "dump", "pinned", str(next(lab.pin.glob("v*/counts")))))

    def number(hexes):
        return int.from_bytes(bytes(int(byte, 16) for byte in hexes), "little")
    return sum(number(cpu["value"]) for each in dump if number(each["key"]) % 32 == names.index(name)
               for cpu in each["values"])


def play(lab, balancer, forger, measured, folder, mode, vip, in_first, in_second, in_none):
    """Plays a game and asserts what both modes have in common. Returns the SYNs from unlisted sources and the increase
    of the counters."""
    swallow_forged_sources(lab)
    balancer.start()
    balancer.wait_all_up()
    with Sessions(lab, vip) as sessions, Resets(lab, vip) as resets:
        ports = {s.port for s in sessions.open(50, 20)}
        with Lists(balancer, mode) as lists:
            before = {name: counted(lab, name) for name in ("denied", "would_deny")}
            with Arrivals(lab, in_first, folder) as first, Arrivals(lab, in_second, folder) as second, \
                 Arrivals(lab, in_none, folder) as none, \
                 Traffic(lab, vip, host="router") as traffic, Forgery(lab, forger, vip, rate=RATE) as forgery:
                lists.wait(int(GAME_S / PACE_S))
                assert_alive(sessions.noop())
        sessions.assert_one_server_each()
        ended = sessions.quit()
    assert_ended_well(ended)
    assert not ports & set(resets.ports()), "no session was sent a RST"
    attempts = traffic.attempts()
    failed = [a for a in attempts if a.error]
    assert attempts and not failed, f"{len(failed)} of {len(attempts)} connections of the router: {failed[:3]}"
    assert first.count > 100 and second.count > 100, "each list was in force for a while"
    rise = {name: counted(lab, name) - was for name, was in before.items()}
    measured(f"{len(ended)} sessions, {len(attempts)} new connections, {lists.swaps} reloads, {forgery.text()}; at the "
             f"servers {first.count} of the first list, {second.count} of the second, {none.count} of none; {rise}")
    return none.count, rise


@FAMILIES
def test_no_denied_prefix_leaks_and_no_session_breaks_while_the_list_is_swapped_under_a_flood(
        lab, balancer, forger, measured, tmp_path, vip, in_first, in_second, in_none):
    leaked, rise = play(lab, balancer, forger, measured, tmp_path, "enforce", vip, in_first, in_second, in_none)
    assert leaked == 0
    assert rise["denied"] > 1000 and rise["would_deny"] == 0


@FAMILIES
def test_in_observe_nothing_is_denied_while_the_list_is_swapped_under_a_flood(
        lab, balancer, forger, measured, tmp_path, vip, in_first, in_second, in_none):
    arrived, rise = play(lab, balancer, forger, measured, tmp_path, "observe", vip, in_first, in_second, in_none)
    assert arrived > 1000, "and what would be denied arrives"
    assert rise["denied"] == 0 and rise["would_deny"] > 1000
