# SPDX-License-Identifier: BSD-2-Clause
"""How soon a server that is really ill leaves the ring, beside another revision's mxlbd: make failover-of REV=7bee90b.

Both are measured in turns in one run, so that what else the machine does affects both. MXLB_BEFORE is the other's build."""
import contextlib
import os
import random
import time
from pathlib import Path
from statistics import mean, median

import pytest

from evidence import Mail, Told
from lab import OXFORD, SERVERS, Balancer, wait_until
from test_evidence import DEFAULTS

BEFORE = os.environ.get("MXLB_BEFORE")
ROUNDS = int(os.environ.get("MXLB_ROUNDS", "5"))
ROUNDS_AT_DEFAULTS = 2  # a server that is ill and well again takes a minute there
NEVER_S = 25
ILL = {"greeting 421 4.3.2 Service not active": {"greeting": "421 4.3.2 Service not active"},
       "greeting 421 hm": {"greeting": "421 hm"},
       "greeting 554 nope": {"greeting": "554 nope"},
       "greeting 421 4.3.2 Too many open connections.": {"greeting": "421 4.3.2 Too many open connections."},
       "mail 452 4.3.1 Insufficient system resources": {"mail": "452 4.3.1 Insufficient system resources"},
       "mail 550 nein": {"mail": "550 nein"}}
DEAD = ("its process has ended", "its cable is cut")

pytestmark = pytest.mark.skipif(not BEFORE, reason="make failover-of REV=7bee90b")


@contextlib.contextmanager
def ill(lab, told, what):
    """oxford-a is ill. Yields when it began."""
    began = time.monotonic()
    try:
        if what in ILL:
            told.tell(["oxford-a"], {"all": ILL[what]})
        elif what == DEAD[0]:
            told.stop("oxford-a")
        else:
            lab.cut("oxford-a")
        yield began
    finally:
        if what in ILL:
            told.tell(["oxford-a"], {})
        elif what == DEAD[0]:
            told.start("oxford-a")
        else:
            lab.join("oxford-a")


def seconds_until_out(lab, told, balancer, what):
    """Seconds until oxford-a gets no new connection (NEVER_S: it got some for as long), and how many were refused."""
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD, 30)
        enough = len(mail.deliveries()) + 150
        wait_until(lambda: len(mail.deliveries()) > enough, 30, "what is usual is known")
        time.sleep(random.random())  # any phase of the probes
        out = NEVER_S
        with ill(lab, told, what) as began, contextlib.suppress(AssertionError):
            wait_until(lambda: not balancer.backend("oxford-a")["in_ring"], NEVER_S, "oxford-a is out")
            out = time.monotonic() - began
        balancer.wait_for({"oxford-a": "up"}, 60)
    return out, sum(1 for d in mail.deliveries(began) if d.error and d.server != "oxford-b")


def report(measured, who, what, found):
    seconds, refused = [out for out, _ in found], [n for _, n in found]
    measured(f"{what}, {who}: out after {median(seconds):.2f} s (mean {mean(seconds):.2f}, {min(seconds):.2f} to {max(seconds):.2f}), "
             f"{mean(refused):.0f} connections refused")
    return seconds


@pytest.mark.parametrize("timing,rounds", [({}, ROUNDS), (DEFAULTS, min(ROUNDS, ROUNDS_AT_DEFAULTS))], ids=["interval 1s", "defaults"])
def test_a_server_that_is_ill_is_out_as_fast_as_before(lab, build, balancer, measured, timing, rounds):
    which = os.environ.get("MXLB_ILL", "")
    found = {}
    with Told(lab) as told:
        for _ in range(rounds):
            for who, directory in ("before", Path(BEFORE)), ("now", build):
                lab.env["MXLB_BUILD"] = str(directory)
                one = Balancer(lab)
                one.configure(replace={"tls: encryption-only": "tls: none", **timing})
                try:
                    one.start()
                    one.wait_for({host: "up" for host in SERVERS}, 30)
                    for what in (what for what in (*ILL, *DEAD) if which in what):
                        found.setdefault((what, who), []).append(seconds_until_out(lab, told, one, what))
                finally:
                    one.end()
                    lab.env["MXLB_BUILD"] = str(build)
    slower = []
    for what in dict.fromkeys(what for what, _ in found):
        before, now = (report(measured, who, what, found[what, who]) for who in ("before", "now"))
        if median(now) > max(1.5 * median(before), median(before) + 0.5):
            slower.append((what, before, now))
    assert not slower
