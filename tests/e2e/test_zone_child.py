# SPDX-License-Identifier: BSD-2-Clause
"""The resolver child: it lives for one round of lookups, has no rights, and its death moves nothing."""
import contextlib
import itertools
import os
import platform
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab import OXFORD, children, wait_until
from test_child import FORBIDDEN, LIFE, make_it_call
from zones import ARTICLE, running

WALLS = ("NoNewPrivs:\t1", *(f"{kept}:\t{0:016x}" for kept in ("CapInh", "CapPrm", "CapEff", "CapAmb")))

# The library's thread and the main one talk by a pipe; sockets are of the internet.
NETWORK = {"socket", "bind", "connect", "sendmsg", "read", "writev", "setsockopt", "getsockname", "poll", "ppoll", "getpeername", "fcntl",
           "eventfd2", "rt_sigprocmask", "sched_yield", "epoll_pwait2"}
NOT_ITS_OWN = {name: call for name, call in FORBIDDEN.items() if name not in ("socket", "connect", "bind", "sendto an address", "sendmsg")}
SOCKETS = {f"socket of family {n}": (41, (n, 2, 0)) for n in (1, 16, 17, 38, 40)}  # local, netlink, packets, crypto, virtual machines


@pytest.fixture(scope="module")
def site(lab):
    with running(lab) as one:
        yield one


def filters(status):
    return int(re.search(r"^Seccomp_filters:\t(\d+)", status.read_text(), re.M)[1])


def is_walled(site, child):
    """mxlbd has filters of its own unit, which the child inherits; the child's own is the last wall, and holds its thread, too."""
    status, own = Path(f"/proc/{child}/status"), filters(Path(f"/proc/{site.balancer.process.pid}/status"))
    return all(wall in status.read_text() for wall in WALLS) and all(
        filters(task / "status") > own for task in Path(f"/proc/{child}/task").iterdir())


def resolver_child(balancer):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return next((pid for pid in children(balancer.process.pid)
                     if b"--resolver-child" in Path(f"/proc/{pid}/cmdline").read_bytes()), None)


def walled_child(site):
    """A child that has just been found may be at its end."""
    def found():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return (child := resolver_child(site.balancer)) and is_walled(site, child) and child
    return wait_until(found, 30, "a child is in its sandbox")


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
        child = walled_child(site)
        assert len(list(Path(f"/proc/{child}/task").iterdir())) == 2, "with the library's thread"
        os.kill(child, signal.SIGKILL)
        site.wait_state("kept")
    site.wait_state("current")
    assert set(site.balancer.verdicts().values()) == {"up"} and site.tiers() == ARTICLE


def test_the_child_is_killed_at_any_moment_and_no_mail_moves(site, measured):
    """From its start on, before and behind its walls, and while it answers."""
    tries, ages = itertools.count(), []
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)

        def kill_one():
            """A round may be over before the child has the age that is tried."""
            site.read()
            until = time.monotonic() + 0.5
            while not (child := resolver_child(site.balancer)) and time.monotonic() < until:
                pass
            born, age = time.monotonic(), 0.003 * (next(tries) % 8)
            while child and time.monotonic() < born + age:
                pass
            if child and resolver_child(site.balancer) == child:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                    ages.append(time.monotonic() - born)
            return len(ages) >= 20
        wait_until(kill_one, 90, "20 children were killed")
        traffic.wait_seen(OXFORD)
    site.wait_state("current")
    assert site.tiers() == ARTICLE
    measured(f"{len(ages)} resolver children were killed, at ages up to {max(ages) * 1000:.0f} ms")


def sandboxed_child(site):
    site.read()
    return walled_child(site)


def test_the_child_opens_and_runs_nothing_behind_its_walls(site, tmp_path):
    """A whole round of lookups under strace, with its thread."""
    log = tmp_path / "strace"
    with slow_resolver(site):
        child = sandboxed_child(site)
        tasks = [int(task.name) for task in Path(f"/proc/{child}/task").iterdir()]
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", log, "-p", str(child)])
        wait_until(lambda: all(f"TracerPid:\t{tracer.pid}\n" in Path(f"/proc/{child}/task/{task}/status").read_text() for task in tasks),
                   10, "strace follows both threads")
    assert tracer.wait(30) == 0
    life = log.read_text()
    calls = set(re.findall(r"^\d+ +(\w+)\(", life, re.M))
    assert {"sendto", "recvfrom", "exit_group"} <= calls and len(life.splitlines()) > 50, life
    assert calls <= LIFE | NETWORK, calls - LIFE - NETWORK
    assert not re.search("PROT_EXEC|socket\\((?!AF_INET)", life)
    site.wait_state("current")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the registers are those of x86-64")
def test_any_other_call_kills_the_child_and_nothing_else(site):
    with slow_resolver(site), site.mail() as traffic:
        for n, (name, call) in enumerate({**NOT_ITS_OWN, **SOCKETS}.items(), 1):
            child = sandboxed_child(site)
            make_it_call(child, *call)
            wait_until(lambda: site.balancer.log().count("killed by SIGSYS") == n, 10, f"{name} kills the child")
        traffic.wait_seen(OXFORD)
    site.wait_state("current")
    assert site.tiers() == ARTICLE
