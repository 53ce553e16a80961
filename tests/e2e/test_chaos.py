# SPDX-License-Identifier: BSD-2-Clause
"""The game of tests/chaos: real mail to five servers in two tiers while faults strike. MXLB_CHAOS=long plays the long one
(`make chaos`); MXLB_SEED replays a schedule. The diary of the last game is BUILD/chaos.log."""
import os
import sys
import time

import pytest

from lab import ROOT

sys.path.insert(0, str(ROOT / "tests/chaos"))
from checks import Report  # noqa: E402
from game import Game, Site  # noqa: E402
from schedule import Rules  # noqa: E402

GREY = {name: 1 for name in ("cut", "freeze", "maintenance", "disk_full", "vip_lost", "certificate")}
SHORT = Rules(seconds=32, messages=500, idle=20, kill_every=10, faults={"tier_10_dies": 1, **GREY},
              deeds={"reload": 8, "reload_nonsense": 1, "kill_mxlbd": 2, "kill_child": 1})
LONG = Rules(seconds=600, messages=10000, idle=100, kill_every=10,
             faults={"tier_10_dies": 5, "all_die": 2, **{name: 6 for name in GREY}, "slow": 6, "dirty_cable": 6, "restart": 6},
             deeds={"reload": 100, "reload_nonsense": 10, "kill_mxlbd": 20, "kill_child": 10})
IS_LONG = os.environ.get("MXLB_CHAOS") == "long"


@pytest.mark.traffic
def test_no_mail_is_lost_or_doubled_and_no_server_blamed_for_nothing_while_faults_strike(build, measured):
    """B1, B2, B3, B4, B5, B11, B13: killed, cut off, frozen, 421, disk full, the best tier dies and returns. In the long
    game B12, B14, D13 too: all die, back at once, a cable that doubles, reorders and spoils."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    seed = os.environ.get("MXLB_SEED") or (str(int(time.time())) if IS_LONG else "1")
    print(f"MXLB_SEED={seed}")
    with Site(f"{os.environ.get('MXLB_LAB', 'mxlbtest')}-5", build) as site:
        game = Game(site, LONG if IS_LONG else SHORT, seed)
        try:
            game.play()
        finally:
            if game.record:
                (build / "chaos.log").write_text("\n".join([f"MXLB_SEED={seed}", *game.diary(), ""]))
        report = Report(game)
        for line in (f"seed {seed}", *report.figures()):
            measured(line)
        complaints = report.complaints()
        assert not complaints, f"seed {seed}:\n" + "\n".join(complaints)
