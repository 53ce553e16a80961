# SPDX-License-Identifier: BSD-2-Clause
"""An upgrade from another revision's mxlbd, whose build MXLB_BEFORE names, and back: make upgrade-of REV=7bee90b."""
import os
import time

import pytest

from games import Sessions, assert_alive, assert_ended_well
from lab import VIP, VIP6, Traffic

BEFORE = os.environ.get("MXLB_BEFORE")

pytestmark = pytest.mark.skipif(not BEFORE, reason="make upgrade-of REV=7bee90b")


@pytest.mark.parametrize("forward", ["l2", "ipip"], indirect=True)
@pytest.mark.parametrize("vip, service", [(VIP, "hybrid-mail"), (VIP6, "hybrid-mail6")])
def test_an_upgrade_and_a_downgrade_break_no_session(lab, build, balancer, measured, forward, vip, service):
    """U2, U3, between releases: 200 sessions, half of them with mail, depend on the flow table, because the ring leads to the
    other server."""
    balancer.start(MXLB_BUILD=BEFORE)
    balancer.wait_all_up()
    with Sessions(lab, vip) as sessions, Traffic(lab, vip) as traffic:
        sessions.open(100, 100)
        balancer.ask(f"set server {service}/oxford-a state drain")
        traffic.wait_seen({"oxford-b"})
        held = sum(s.server == "oxford-a" for s in sessions.report())
        began = time.monotonic()
        for directory in build, BEFORE, build:
            assert balancer.stop() == 0
            lab("send", "5")
            balancer.start(MXLB_BUILD=str(directory))
            assert "event=migrated" in balancer.log()
            traffic.wait_seen({"oxford-b"})
            assert balancer.backend("oxford-a", service)["admin"] == "drain"
            assert_alive(sessions.noop())
        assert held and traffic.seen(began) == {"oxford-b"}
        sessions.assert_one_server_each()
        attempts = len(traffic.attempts(began))
        assert_ended_well(sessions.quit())
    measured(f"{service}, {forward}: up, down, up again: 200 sessions ({held} at a drained server), {attempts} new connections, 0 broken")
