# SPDX-License-Identifier: BSD-2-Clause
"""Failing bpf() calls and allocations: at a start each of them in turn (MXLB_SURVIVE=1; else a sample), and at run
time."""
import os
import random
import re
import signal
import subprocess

import pytest

from lab import OXFORD, ROOT, Traffic, command, wait_until
from test_cuts import ALL, TRACEABLE, Starts, assert_whole, in_kernel, start_once

ERRORS = ("ENOMEM", "EBUSY", "E2BIG", "EPERM")  # EAGAIN: libbpf asks again by itself

PATIENCE_S = 120  # told that the kernel knows no global functions, the verifier walks through every path of the program


@pytest.fixture
def starts(lab, balancer):
    return Starts(lab, balancer)


def ends_or_answers(balancer, where):
    """True if mxlbd runs. Otherwise it has exited with one of its own statuses and a reason."""
    def met():
        if balancer.process.poll() is not None:
            return "ended"
        return "runs" if balancer.answers() else None
    if wait_until(met, PATIENCE_S, lambda: f"{where}: it answers or ends: {balancer.log()}") == "runs":
        return True
    assert balancer.process.returncode == 2, balancer.log()
    assert "event=refused" in balancer.log() or "error=" in balancer.log(), balancer.log()
    return False


def end_traced(balancer):
    """Ends mxlbd under strace, which does not pass signals on."""
    os.kill(balancer.status()["pid"], signal.SIGTERM)
    assert balancer.process.wait(20) == 0, balancer.log()


def test_whichever_call_of_a_start_fails_mail_goes_on_and_the_next_start_works(lab, balancer, starts, build, measured):
    """K5, U6: a verifier that refuses is one of these failures. mxlbd does without the call, or gives the reason and
    leaves the old program in place."""
    expected = start_once(lab, balancer, build)
    calls = starts.calls(build)["bpf"]
    rng, began = random.Random(2), 0
    at = [(k, error) for k in calls for error in ERRORS[k % 2::2]] if ALL else \
        [(k, rng.choice(ERRORS)) for k in sorted([*rng.sample(calls[20:-2], 2), calls[-3]])]
    for k, error in at:
        with balancer.log_file.open("w") as log:
            balancer.process = lab.popen("run", *TRACEABLE, "strace", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e",
                                         f"inject=bpf:error={error}:when={k}", *starts.argv, stdin=subprocess.DEVNULL, stderr=log)
        if ends_or_answers(balancer, (k, error)):
            began += 1
            end_traced(balancer)
        assert lab.xdp(), (k, error)
        lab("send", "5")
        balancer.start()
        assert set(balancer.verdicts().values()) == {"up"}, (k, error)
        assert_whole(lab, balancer, expected, (k, error))
        assert balancer.stop() == 0
    measured(f"of {len(at)} starts with an error {began} worked, the others said why not")


def test_while_it_runs_no_call_that_fails_costs_a_connection(lab, balancer, starts, build):
    """K5: every call after the start. Rings are not changed by system calls, so even changes of verdicts take
    effect."""
    n = start_once(lab, balancer, build) and starts.calls(build)["bpf"][-1]
    with Traffic(lab) as traffic:
        lab("mxlbd", "--help")
        balancer.start("run", *TRACEABLE, "strace", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e",
                       f"inject=bpf:error=ENOMEM:when={n + 1}+", *starts.argv)
        traffic.wait_seen(OXFORD)
        lab("ctl", "drain", "hybrid-mail/oxford-a")
        traffic.wait_seen({"oxford-b"})
        lab("ctl", "ready", "hybrid-mail/oxford-a")
        assert balancer.ask("reload").strip() == ""
        traffic.wait_seen(OXFORD)
        probes = balancer.info("Probes")
        wait_until(lambda: balancer.info("Probes") > probes + 12, 20, "probes go on")
        assert set(balancer.verdicts().values()) == {"up"}
        end_traced(balancer)
        assert traffic.seen() == set(OXFORD)


# --- allocations ---

@pytest.fixture(scope="module")
def nth_malloc(lab):
    """A library that makes allocation number $NTH fail and reports this on stderr."""
    library = lab.run / "bin/nth-malloc.so"
    library.parent.mkdir(exist_ok=True)
    command("cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(ROOT / "tests/tools/nth-malloc.c"))
    return library


def allocations(said):
    return int(re.search(r"^allocations: (\d+)$", said, re.M)[1])


def test_whichever_allocation_of_a_check_of_the_configuration_fails_it_ends_by_itself(lab, balancer, nth_malloc, measured):
    """X5"""
    words = [str(lab.run / "bin/mxlbd"), "-t", "-c", str(lab.config_file)]
    lab("mxlbd", "--help")
    def run(nth):
        return subprocess.run(words, env={**os.environ, "LD_PRELOAD": str(nth_malloc), "NTH": str(nth)}, timeout=20,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    n = allocations(run(0).stdout)
    failed = {}
    for nth in range(1, n + 1) if ALL else random.Random(3).sample(range(1, n + 1), 40):
        done = run(nth)
        assert done.returncode in (0, 1, 2), f"{nth}: {done.returncode}: {done.stdout[-500:]}"
        failed[done.returncode] = failed.get(done.returncode, 0) + 1
    measured(f"{n} allocations; of {sum(failed.values())} that failed {failed.get(0, 0)} did not matter")


def test_whichever_allocation_of_a_start_fails_mail_goes_on(lab, balancer, nth_malloc, measured):
    """X5: libev can't report a failure, so it aborts with a message and the next start takes over. Nothing else may end
    by a signal (apart from libcrypto, whose allocations do not fail here)."""
    balancer.start()
    balancer.wait_all_up()
    expected = in_kernel(lab)
    assert balancer.stop() == 0
    def start(nth):
        with balancer.log_file.open("w") as log:
            balancer.process = lab.popen("run", *TRACEABLE, "env", f"LD_PRELOAD={nth_malloc}", f"NTH={nth}",
                                         str(lab.run / "bin/mxlbd"), "-c", str(lab.config_file), stdin=subprocess.DEVNULL, stderr=log)
        def met():
            return balancer.process.poll() is not None or balancer.answers()
        wait_until(met, 20, "it answers or ends")
        if balancer.process.poll() is None:
            balancer.stop()
        return balancer.process.returncode
    assert start(0) == 0, balancer.log()
    n = allocations(balancer.log())
    statuses = {}
    for nth in range(1, n + 1, 1 + n // 300) if ALL else random.Random(4).sample(range(1, n + 1), 4):
        status = start(nth)
        statuses[status] = statuses.get(status, 0) + 1
        said = balancer.log()
        assert status in (0, 2) or status == -signal.SIGABRT and "libev" in said, f"{nth}: {status}: {said[-800:]}"
        assert lab.xdp(), nth
    lab("send", "5")
    balancer.start()
    assert_whole(lab, balancer, expected, "at last")
    measured(f"{n} allocations; ends by status: {statuses}")
