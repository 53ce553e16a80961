# SPDX-License-Identifier: BSD-2-Clause
"""The resolver child: it lives for one round of lookups, has no rights, and its death moves nothing."""
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from lab import OXFORD, children, wait_until
from zones import ARTICLE, running

WALLS = ("NoNewPrivs:\t1", "Seccomp:\t2", *(f"{kept}:\t{0:016x}" for kept in ("CapInh", "CapPrm", "CapEff", "CapAmb")))


@pytest.fixture(scope="module")
def site(lab):
    with running(lab) as one:
        yield one


def resolver_child(balancer):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return next((pid for pid in children(balancer.process.pid)
                     if b"--resolver-child" in Path(f"/proc/{pid}/cmdline").read_bytes()), None)


@contextlib.contextmanager
def slow_resolver(site):
    """Unbound stands still, and holds the child of each lookup."""
    pid = site.dns.resolver_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_child_of_a_slow_resolver_has_no_rights_and_its_death_moves_nothing(site):
    with slow_resolver(site):
        child = wait_until(lambda: resolver_child(site.balancer), 30, "a lookup is under way")
        status = Path(f"/proc/{child}/status")
        wait_until(lambda: all(wall in status.read_text() for wall in WALLS), 5, "the child is in its sandbox")
        for task in Path(f"/proc/{child}/task").iterdir():
            assert "Seccomp:\t2" in (task / "status").read_text(), "the library's thread, too"
        os.kill(child, signal.SIGKILL)
        site.wait_state("kept")
    site.wait_state("current")
    assert set(site.balancer.verdicts().values()) == {"up"} and site.tiers() == ARTICLE


def test_the_child_is_killed_at_any_moment_and_no_mail_moves(site, measured):
    """From its start on, before and behind its walls, and while it answers."""
    killed, born = 0, {}
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)

        def kill_one():
            nonlocal killed
            child = resolver_child(site.balancer)
            age = time.monotonic() - born.setdefault(child, time.monotonic())
            with contextlib.suppress(ProcessLookupError):
                if child and age >= 0.003 * (killed % 8):
                    os.kill(child, signal.SIGKILL)
                    killed += 1
            return killed >= 20
        wait_until(kill_one, 90, "20 children were killed, at ages up to 21 ms")
        traffic.wait_seen(OXFORD)
    site.wait_state("current")
    assert site.tiers() == ARTICLE
    measured(f"{killed} resolver children were killed")
