# SPDX-License-Identifier: BSD-2-Clause
"""Starts that are killed at one of their system calls, each of them in turn (MXLB_SURVIVE=1; else a sample): mail goes
where it went before, the next start works, and nothing is left over."""
import os
import random
import re
import signal

import pytest

from lab import SERVERS, wait_until
from test_life import neighbours, rules, tables

ALL = os.environ.get("MXLB_SURVIVE") == "1"
TRACEABLE = "-o", "SystemCallFilter="  # strace needs what the unit's list does not have
READS = "bpf(BPF_MAP_LOOKUP_ELEM"
PAST_START = "BPF_MAP_LOOKUP_BATCH"  # the loop's first look at what the datapath has seen


class Starts:
    """mxlbd of one build or another, under strace if its calls are counted or if it is to be killed at one of them."""

    def __init__(self, lab, balancer):
        self.lab, self.balancer = lab, balancer
        self.argv = [str(lab.run / "bin/mxlbd"), "-c", str(lab.config_file)]

    def strace(self, directory, *options):
        """The arguments of scripts/lab that start that build's mxlbd under strace."""
        before, self.lab.env["MXLB_BUILD"] = self.lab.env["MXLB_BUILD"], str(directory)
        try:
            self.lab("mxlbd", "--help")  # has its binaries copied
        finally:
            self.lab.env["MXLB_BUILD"] = before
        return "run", *TRACEABLE, "strace", "-qq", *options, *self.argv

    def calls(self, directory):
        """{call: numbers of the calls of this kind in a start of this build, counted by strace}; of a series of mere
        reads only the first. mxlbd is stopped afterwards."""
        log = self.lab.run / "calls"
        self.balancer.start(*self.strace(directory, "-o", str(log), "-e", "trace=bpf,sendto", "-e", "signal=none"))
        wait_until(lambda: PAST_START in log.read_text(), 10, "it has started")
        names = re.findall(r"^(bpf\(\w+|sendto)", log.read_text(), re.M)
        start = names[:names.index(f"bpf({PAST_START}")]
        made = {"bpf": [], "sendto": []}
        for i, name in enumerate(start):
            call, nth = name.split("(")[0], sum(each.startswith(name.split("(")[0]) for each in start[:i + 1])
            if name != READS or start[i - 1] != READS:
                made[call].append(nth)
        os.kill(self.balancer.status()["pid"], signal.SIGTERM)  # strace itself does not pass it on
        assert self.balancer.process.wait(20) == 0
        return made

    def cut(self, directory, call, k):
        self.lab(*self.strace(directory, "-o", "/dev/null", "-e", f"trace={call}", "-e",
                              f"inject={call}:signal=SIGKILL:when={k}"), status=-9)


@pytest.fixture
def starts(lab, balancer):
    return Starts(lab, balancer)


def points(calls, last):
    """(call, k) of all calls, or of a few, always including some of the last, in which links are made."""
    if ALL:
        return [(call, k) for call, which in calls.items() for k in which]
    rng, bpf, sendto = random.Random(1), calls["bpf"], calls["sendto"]
    return [("bpf", k) for k in sorted([rng.choice(bpf[:-6]), *rng.sample(bpf[-6:], last)])] + [("sendto", rng.choice(sendto))]


def told(calls):
    return ", ".join(f"{len(which)} calls of {call}" for call, which in calls.items())


def in_kernel(lab):
    """What mxlbd has made in the kernel, by names that are the same at each start."""
    return {"pins": sorted(str(path.relative_to(lab.pin)) for path in lab.pin.rglob("v*/*")),
            "program": lab.xdp(), **{f"{kind.__name__}{family}": len(kind(lab, family)) for kind in (rules, tables)
                                     for family in ("-4", "-6")}, "neighbours": len(neighbours(lab))}


def assert_whole(lab, balancer, expected, where):
    """Everything exists exactly once, and mail passes."""
    balancer.wait_all_up()
    assert in_kernel(lab) == expected, where
    lab("send", "5")


def start_once(lab, balancer, directory):
    """An undisturbed start and stop, for comparison."""
    balancer.start(MXLB_BUILD=str(directory))
    balancer.wait_all_up()
    expected = in_kernel(lab)
    assert expected["rules-4"] == len(SERVERS) and expected["program"], expected
    assert balancer.stop() == 0
    return expected


def test_killed_at_any_call_of_a_cold_start_the_next_one_works(lab, balancer, starts, build, measured):
    """U4, U9: the kernel was empty, and the next start adopts or replaces what the killed one made."""
    expected = start_once(lab, balancer, build)
    balancer.end()
    calls = starts.calls(build)
    for call, k in points(calls, 2):
        balancer.end()
        starts.cut(build, call, k)
        balancer.start()
        assert_whole(lab, balancer, expected, (call, k))
        lab("ctl", "detach")
        assert balancer.process.wait(10) == 0
        assert not lab.pinned() and not lab.xdp(), (call, k)
    measured(f"a start: {told(calls)}")


def test_killed_at_any_call_of_a_start_that_takes_over_mail_goes_on_and_the_next_one_works(lab, balancer, starts, build, measured):
    """U4, D19: the kernel forwards all the time."""
    expected = start_once(lab, balancer, build)
    calls = starts.calls(build)
    for call, k in points(calls, 2):
        starts.cut(build, call, k)
        assert lab.xdp(), (call, k)
        lab("send", "5")
        balancer.start()
        assert set(balancer.verdicts().values()) == {"up"}, (call, k)
        assert_whole(lab, balancer, expected, (call, k))
        assert balancer.stop() == 0
    measured(f"a start that takes over: {told(calls)}")


def test_killed_at_any_call_of_an_upgrade_one_of_the_two_forwards_and_either_can_be_started_next(
        lab, balancer, starts, build, other, measured):
    """U2, U3, U4: from one layout of the maps to another, and back."""
    names = {build: start_once(lab, balancer, build)}
    calls = starts.calls(other)
    names[other] = start_once(lab, balancer, other)
    at = points(calls, 3)
    for (call, k), directory in zip(at, [build, other] * len(at)):
        balancer.start(MXLB_BUILD=str(build))  # whichever was the last to begin: this one takes over
        balancer.wait_all_up()
        assert balancer.stop() == 0
        starts.cut(other, call, k)
        assert lab.xdp(), (call, k)
        lab("send", "5")
        balancer.start(MXLB_BUILD=str(directory))
        assert set(balancer.verdicts().values()) == {"up"}, (call, k)
        assert_whole(lab, balancer, names[directory], (call, k))
        assert balancer.stop() == 0
    measured(f"an upgrade: {told(calls)}")
