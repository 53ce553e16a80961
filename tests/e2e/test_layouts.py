# SPDX-License-Identifier: BSD-2-Clause
"""Upgrade and downgrade between builds whose maps have another layout: no connection is lost, and the two never mix."""
import re
import time

import pytest

from conftest import OTHER
from games import Sessions, assert_alive, assert_ended_well
from lab import VIP, VIP6, Traffic

LONG = pytest.mark.kernels, pytest.mark.long


def layouts(lab):
    return sorted(path.name for path in lab.pin.glob("v*"))


def start(balancer, directory):
    balancer.start(MXLB_BUILD=str(directory))


def run_once(lab, directory, *words, **options):
    """Runs mxlbd of that build until it exits."""
    before, lab.env["MXLB_BUILD"] = lab.env["MXLB_BUILD"], str(directory)
    try:
        return lab("mxlbd", *words, **options)
    finally:
        lab.env["MXLB_BUILD"] = before


def program(lab):
    return re.search(r"prog/xdp id (\d+)", lab.within("lb", "ip", "link", "show", "dev", "eth0"))[1]


@pytest.mark.parametrize("forward", [pytest.param("l2", marks=LONG), "ipip"], indirect=True)
@pytest.mark.parametrize("vip, service", [(VIP, "hybrid-mail"), (VIP6, "hybrid-mail6")])
def test_up_and_down_again_under_200_sessions_none_breaks_and_none_is_refused(lab, balancer, build, other, forward, vip,
                                                                              service):
    """U2, U3: flows are carried over in both directions."""
    balancer.start()
    balancer.wait_all_up()
    own, = layouts(lab)
    with Sessions(lab, vip) as sessions, Traffic(lab, vip) as traffic:
        sessions.open(100, 100)
        lab("ctl", "drain", f"{service}/oxford-a")  # its sessions live by the flow table alone: the ring leads to the other one
        traffic.wait_seen({"oxford-b"})
        began = time.monotonic()
        programs = [program(lab)]
        for directory, names in ((other, [f"v{OTHER}"]), (build, [own])):
            assert balancer.stop() == 0
            start(balancer, directory)
            assert layouts(lab) == names
            assert "event=migrated" in balancer.log()
            programs.append(program(lab))
            traffic.wait_seen({"oxford-b"})
            assert balancer.backend("oxford-a", service)["admin"] == "drain"
            assert_alive(sessions.noop())
        assert len(set(programs)) == 3
        assert traffic.seen(began) == {"oxford-b"}
        assert_ended_well(sessions.quit())


@pytest.mark.kernels
def test_sessions_outlive_a_kill_an_upgrade_and_a_downgrade(lab, balancer, build, other, measured):
    """Sessions of both families depend on the flow table, because the ring leads to the other server. Mail is accepted
    while no mxlbd runs."""
    balancer.start()
    balancer.wait_all_up()
    with Sessions(lab, VIP) as four, Sessions(lab, VIP6) as six:
        for sessions, service in ((four, "hybrid-mail"), (six, "hybrid-mail6")):
            sessions.open(16, 4)  # by chance all at one server: once in 500,000
            lab("ctl", "drain", f"{service}/oxford-a")
        held = [sum(s.server == "oxford-a" for s in sessions.report()) for sessions in (four, six)]
        assert 0 not in held, f"sessions at the drained server: {held}"
        for end, directory, migrated in ((balancer.kill, build, False), (balancer.stop, other, True),
                                         (balancer.stop, build, True)):
            end()
            lab("send", "5")
            start(balancer, directory)
            assert ("event=migrated" in balancer.log()) == migrated
            for sessions in four, six:
                assert_alive(sessions.noop())
        for sessions in four, six:
            sessions.assert_one_server_each()
            assert_ended_well(sessions.quit())
    measured(f"kill, upgrade, downgrade: of 20 sessions, {held} at a drained server, 0 broken")


def test_flows_of_another_format_are_not_taken_over_and_the_old_program_goes_on(lab, balancer, build, other):
    """U2: the start is refused if flows can't be carried over."""
    balancer.start()
    balancer.wait_all_up()
    own, = layouts(lab)
    assert balancer.stop() == 0
    before = program(lab)
    flows, = lab.pin.glob("v*/flows4_*")
    flows.rename(flows.with_name("flows4_99"))  # as an mxlbd with another format would have named it
    said = run_once(lab, other, status=2)
    assert re.search(r'event=refused what="take over from .*another format.*advice=".*mxlbctl detach', said), said
    assert program(lab) == before
    lab("send", "20")
    (flows.parent / "flows4_99").rename(flows)
    balancer.start()  # the one that made it is not disturbed by what the other began
    assert layouts(lab) == [own] and "event=migrat" not in balancer.log()
    balancer.wait_all_up()


def test_after_detach_the_other_build_starts_cold(lab, balancer, other):
    balancer.start()
    balancer.wait_all_up()
    lab("ctl", "detach")
    assert balancer.process.wait(10) == 0
    start(balancer, other)
    assert "event=migrat" not in balancer.log() and layouts(lab) == [f"v{OTHER}"]
    balancer.wait_all_up()
