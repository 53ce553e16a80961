# SPDX-License-Identifier: BSD-2-Clause
"""The game of tests/chaos: real mail to five servers in two tiers while faults strike. MXLB_CHAOS=long plays the long one
(`make chaos`); MXLB_SEED replays a schedule. The diary of the last game is BUILD/chaos.log."""
import json
import os
import sys
import time
from types import SimpleNamespace

import pytest

from lab import ROOT

sys.path.insert(0, str(ROOT / "tests/chaos"))
from checks import Report  # noqa: E402
from faults import FAULTS  # noqa: E402
from game import Game, Record, Site, Window  # noqa: E402
from schedule import FIVE, REST_S, Rules, plan  # noqa: E402
from watch import Event, Syn  # noqa: E402

EACH = "cut", "freeze", "maintenance", "disk_full", "vip_lost", "certificate", "dirty_cable", "restart"
SEED = "1"  # has room for all of them in the short game
SHORT = Rules(seconds=32, messages=500, idle=20, kill_every=10, faults={"tier_10_dies": 1, **dict.fromkeys(EACH, 1)},
              deeds={"reload": 8, "reload_nonsense": 1, "kill_mxlbd": 2, "kill_child": 1})
LONG = Rules(seconds=600, messages=10000, idle=100, kill_every=10,
             faults={"tier_10_dies": 5, "all_die": 2, "slow": 6, **dict.fromkeys(EACH, 6)},
             deeds={"reload": 100, "reload_nonsense": 10, "kill_mxlbd": 20, "kill_child": 10})
IS_LONG = os.environ.get("MXLB_CHAOS") == "long"


def test_a_schedule_is_a_function_of_its_seed_and_no_server_suffers_two_faults_at_once():
    for seed in map(str, range(20)):
        strikes = plan(LONG, FAULTS, seed)
        assert strikes == plan(LONG, FAULTS, seed) != plan(LONG, FAULTS, seed + "0")
        for host in FIVE:
            own = [strike for strike in strikes if host in strike.hosts]
            assert len(own) > 5 and all(a.at + a.lasts + REST_S < b.at for a, b in zip(own, own[1:]))
    assert {strike.name for strike in plan(SHORT, FAULTS, SEED)} == {"kill", *SHORT.faults, *SHORT.deeds}


def report_of(**record):
    """The judge of a game in which just this happened."""
    report = Report.__new__(Report)
    report.macs, report.syns, report.events = {host: host for host in FIVE}, [], []
    report.record, report.game = Record("", 0, record.pop("windows", []), **record), SimpleNamespace(rules=LONG)
    return report


def judged(greeted_after_s, syns_to="oxford-a"):
    """What is said of a silence of 1.3 s that ends in a verdict at 10.0, of a server without a fault, if a sender that
    connected at 8.9 was greeted so much later (None: never)."""
    greeted = {"server": "oxford-a", "greeted": 8.9 + greeted_after_s} if greeted_after_s else {"server": None, "greeted": None}
    report = report_of(attempts=[{"at": 8.9, **greeted}])
    report.syns = [Syn(8.9, syns_to, "hybrid-mail", 1, False)]
    report.events = [Event(10.0, "backend_verdict", "hybrid-mail", "oxford-a", "up", "down",
                           "greeting_silent: no greeting for 1300 ms, and none for 4 clients that connected meanwhile")]
    return [line.rpartition(": ")[2] for line in report.causes()]


def test_a_silence_without_a_fault_is_judged_by_what_senders_met():
    assert judged(None) == judged(0.8) == []
    assert judged(0.1) == ["it greeted 1 senders meanwhile"]
    assert judged(1.2, syns_to="oxford-b") == []  # it waited longer
    assert judged(None, syns_to="oxford-b") == ["no fault explains it"]


@pytest.mark.parametrize("fault, gap_s", [("kill", 3), ("certificate", 12)])
def test_a_gap_counts_while_a_server_was_well(fault, gap_s):
    """No message is taken from 100 to 112. Four servers are dead throughout, the fifth is ill from 101 to 104."""
    windows = [Window("kill", host, 90, 90, 120, 120) for host in FIVE[1:]] + [Window(fault, FIVE[0], 101, 101, 104, 104)]
    report = report_of(windows=windows, attempts=[{"at": at, "seconds": 0, "outcome": "accepted"} for at in (99, 100, 112, 113)])
    assert report.longest_gap()[0] == gap_s and len(report.nobody_well()) == (fault == "kill")


@pytest.mark.traffic
def test_no_mail_is_lost_or_doubled_and_no_server_blamed_for_nothing_while_faults_strike(build, measured):
    """B1: Postfix is killed. B2: its cable is cut. B3: it is stopped. B4: it greets with 421. B5: its disk is full. B11: the
    best tier dies. B13: it returns, and sessions on the other stay. B14: killed, and back at once. D13: a cable that doubles,
    reorders and spoils frames. B12, in the long game: all servers die."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    seed = os.environ.get("MXLB_SEED") or (str(int(time.time())) if IS_LONG else SEED)
    print(f"MXLB_SEED={seed}")
    with Site(f"{os.environ.get('MXLB_LAB', 'mxlbtest')}-5", build) as site:
        game = Game(site, LONG if IS_LONG else SHORT, seed)
        try:
            game.play()
        finally:
            if game.record:
                (build / "chaos.log").write_text("\n".join([f"MXLB_SEED={seed}", *game.diary(), ""]))
                (build / "chaos.jsonl").write_text("".join(json.dumps(attempt) + "\n" for attempt in game.record.attempts))
        report = Report(game)
        for line in (f"seed {seed}", *report.figures()):
            measured(line)
        complaints = report.complaints()
        assert not complaints, f"seed {seed}:\n" + "\n".join(complaints)
