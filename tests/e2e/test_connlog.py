# SPDX-License-Identifier: BSD-2-Clause
"""`log-connections`: which server took each connection, and how long it lasted, in the log."""
import re
import time

import pytest

from games import Forgery, Sessions, swallow_forged_sources
from lab import CLIENT, OXFORD, ROOT, VIP, command, wait_until

LINE = re.compile(r"event=(connection|connection_ended) time=\S+Z service=(\S+) client=(\S+):(\d+) backend=(\S+)"
                  r"(?: seconds=(>?)([\d.]+) how=(\w+))?$", re.M)
SHORT = 400  # connections that are over at once


def start(balancer, on="true"):
    balancer.configure(replace={"failback-hold: 0s": f"failback-hold: 0s\n    log-connections: {on}"})
    balancer.start()
    balancer.wait_all_up()


def begun(balancer):
    """{client port: server}."""
    return {int(m[4]): m[5] for m in LINE.finditer(balancer.log()) if m[1] == "connection" and m[3] == CLIENT}


def ended(balancer):
    """{client port: (seconds, how it ended, whether it existed before)}."""
    return {int(m[4]): (float(m[7]), m[8], m[6] == ">") for m in LINE.finditer(balancer.log())
            if m[1] == "connection_ended" and m[3] == CLIENT}


def test_each_session_is_logged_with_its_server_and_its_end_also_over_a_restart(lab, balancer):
    start(balancer)
    with Sessions(lab, VIP) as sessions:
        opened = {s.port: s.server for s in sessions.open(8, 2)}
        wait_until(lambda: len(begun(balancer)) >= len(opened), 5, "ten beginnings")
        assert begun(balancer) == opened and not ended(balancer)
        first = sorted(opened)[:5]
        sessions.quit(*first)
        wait_until(lambda: len(ended(balancer)) >= 5, 5, "five ends")
        assert {port: how[1:] for port, how in ended(balancer).items()} == {port: ("closed", False) for port in first}
        assert balancer.stop() == 0
        balancer.start()
        wait_until(lambda: sum(b["flows"] for t in balancer.service()["tiers"] for b in t["servers"]) == 5, 5, "the open ones count")
        with Sessions(lab, VIP) as later:
            port, = (s.port for s in later.open(1, 0))
            wait_until(lambda: port in begun(balancer), 5, "a beginning in this mxlbd's log")
            assert set(begun(balancer)) == {port}, "those from before have no beginning here"
            sessions.quit()
            wait_until(lambda: len(ended(balancer)) >= 5, 5, "the ends of the others")
        for port in set(opened) - set(first):
            seconds, how, before = ended(balancer)[port]
            assert (how, before) == ("closed", True)


def test_connections_of_less_than_a_second_are_logged_too(lab, balancer, measured):
    start(balancer)
    sizes = lab.log_sizes()
    lab("send", str(SHORT))
    taken = wait_until(lambda: (n := lab.connections(sizes)) and sum(n.values()) >= SHORT and n, 30, "all are taken")
    def told():
        lines = [m for m in LINE.finditer(balancer.log()) if m[3] == CLIENT]
        return [m for m in lines if m[1] == "connection"], [m for m in lines if m[1] == "connection_ended"]
    wait_until(lambda: len(told()[1]) >= SHORT, 5, f"{SHORT} ends")
    beginnings, ends = told()
    measured(f"{len(beginnings)} of {sum(taken.values())} connections in the log, {len(ends)} of their ends")
    for host in OXFORD:
        assert sum(m[5] == host for m in beginnings) == taken[host]


def test_sessions_that_mxlb_resets_are_logged_as_reset_and_the_log_is_off_by_default(lab, balancer):
    start(balancer)
    with Sessions(lab, VIP) as sessions:
        opened = {s.port: s.server for s in sessions.open(8, 0)}
        wait_until(lambda: len(begun(balancer)) >= len(opened), 5, "eight beginnings")
        lab.cut("oxford-a")
        lost = {port for port, server in opened.items() if server == "oxford-a"}
        wait_until(lambda: lost <= set(ended(balancer)), 15, "the lost ones end")
        assert {ended(balancer)[port][1] for port in lost} <= {"reset", "closed"} and set(ended(balancer)) == lost
        assert "reset" in {how for _, how, _ in ended(balancer).values()} or not lost
    balancer.configure()
    lab("ctl", "reload")
    size, sizes = len(balancer.log()), lab.log_sizes()
    lab("send", "8")
    wait_until(lambda: sum(lab.connections(sizes).values()) >= 8, 10, "mail arrives")
    wait_until(lambda: sum(b["new"] for t in balancer.service()["tiers"] for b in t["servers"]) >= 16, 10, "and is counted")
    assert "event=connection" not in balancer.log()[size:]


BURST, A_SECOND = 3000, 200  # lines: core/connlog.h; journald takes 10,000 in 30 s


@pytest.mark.parametrize("kind", ["pairs", "mails"])
def test_under_a_flood_the_log_stays_inside_its_budget_and_has_what_carries_data(lab, balancer, build, measured, kind):
    """pairs: open and without data, which nobody tells. Whole forged mails look like any: then lines are missing, and counted."""
    command("make", "-s", f"B={build.name}", f"{build.name}/forge-packets", cwd=ROOT)
    swallow_forged_sources(lab)
    start(balancer)
    before, began = balancer.log().count("\n"), time.monotonic()
    with Forgery(lab, build, VIP, rate=8000, syn=kind) as forgery, Sessions(lab, VIP) as sessions:
        wait_until(lambda: kind == "pairs" and time.monotonic() > began + 5 or "event=connections_unlogged" in balancer.log(), 60,
                   "that lines are missing is said")
        opened = {s.port: s.server for s in sessions.open(10, 0)}
        if kind == "pairs":
            wait_until(lambda: len(begun(balancer)) >= len(opened), 10, lambda: f"their beginnings\n{balancer.log()[-3000:]}")
            assert begun(balancer) == opened
        sessions.quit()
        if kind == "pairs":
            wait_until(lambda: len(ended(balancer)) >= len(opened), 10, lambda: f"their ends\n{balancer.log()[-3000:]}")
    lines, seconds = balancer.log().count("\n") - before, time.monotonic() - began
    missing = sum(map(int, re.findall(r"event=connections_unlogged lines=(\d+)", balancer.log())))
    measured(f"{forgery.text()} ({kind}): {lines} lines in {seconds:.0f} s, {missing} more counted")
    assert lines < (BURST + A_SECOND * seconds if kind == "mails" else 0) + 100
    assert (missing > 0) == (kind == "mails")
