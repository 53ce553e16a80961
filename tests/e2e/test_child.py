# SPDX-License-Identifier: BSD-2-Clause
"""The probe child's sandbox, seen from outside: the system calls that it makes once it probes, and what happens when
it makes any other. The calls are injected into the real child by ptrace, as a hijacked one would make them."""
import asyncio
import ctypes
import os
import platform
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab import children, wait_until
from test_hostile import certs, probe_once  # noqa: F401 (fixtures)
from smtp_peer import Peer, Running, smtp
from tls_peer import handshake, serve

# What it may do in its life behind the walls. (mmap: sandbox.c allows no executable memory.)
LIFE = {"getsockopt", "recvfrom", "recvmsg", "sendto", "close", "epoll_create1", "epoll_ctl", "epoll_wait",
        "epoll_pwait", "clock_gettime", "gettimeofday", "restart_syscall", "brk", "mmap", "munmap", "mremap", "madvise",
        "getrandom", "futex", "getpid", "write", "rt_sigreturn", "exit", "exit_group"}


def test_the_child_opens_makes_and_runs_nothing_once_it_has_begun(probe_once, certs, tmp_path):  # noqa: F811
    """Several dialogues, one of them hostile, under strace."""
    if os.geteuid():
        pytest.skip("needs root")
    log = tmp_path / "strace"
    sound = smtp(handshake=handshake(*certs["sound"], serve))
    hostile = smtp(handshake=handshake(*certs["10000 names"], serve))
    n = 0

    async def script(c):
        nonlocal n
        n += 1
        await (hostile if n == 2 else sound)(c)

    async def main():
        async with Peer(script, None) as peer:
            process = await asyncio.create_subprocess_exec(
                "strace", "-f", "-ff", "-o", log, probe_once, "-r", "4", "127.0.0.1", str(peer.port), stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
            out, err = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == 0, err.decode()
            assert out.count(b'"reason":"ok"') == 3 and out.count(b'"reason":"tls_handshake"') == 1, out.decode()

    asyncio.run(main())
    child, = [text for text in (file.read_text() for file in tmp_path.glob("strace.*"))
              if "SECCOMP_SET_MODE_FILTER, " in text and "--probe-child" in text]
    life = child[child.rindex("SECCOMP_SET_MODE_FILTER, "):].splitlines()[1:]
    calls = [re.match(r"\w+", line)[0] for line in life if re.match(r"\w+\(", line)]
    assert len(calls) > 50 and calls[-1] == "exit_group"
    assert set(calls) <= LIFE
    assert not [line for line in life if "PROT_EXEC" in line]
    assert "+++ exited with 0 +++" in life[-1]


class Registers(ctypes.Structure):
    """struct user_regs_struct of x86-64 (sys/user.h)."""
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"
    ).split()]


PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SYSCALL = 12, 13, 16, 17, 24


def make_it_call(pid, number, arguments, stop=False):
    """Moves the process from the system call in which it waits one instruction back, into this system call. stop: it stops behind it, and runs no further."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long

    def ptrace(request, data=None):
        assert libc.ptrace(request, pid, None, data) == 0, os.strerror(ctypes.get_errno())

    registers = Registers()

    def stopped_in_a_call():
        ptrace(PTRACE_ATTACH)
        os.waitpid(pid, 0x40000000)  # __WALL
        ptrace(PTRACE_GETREGS, ctypes.byref(registers))
        if registers.orig_rax >> 63:  # on a busy machine it may still be on its way there
            ptrace(PTRACE_DETACH)
        return not registers.orig_rax >> 63

    wait_until(stopped_in_a_call, 5, "the process waits in a system call")
    registers.rip -= 2  # the length of SYSCALL
    registers.rax, registers.orig_rax = number, 0xffffffffffffffff  # nothing to restart
    for register, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments):
        setattr(registers, register, value)
    ptrace(PTRACE_SETREGS, ctypes.byref(registers))
    for _ in range(2 if stop else 0):  # to the entry, to the exit
        ptrace(PTRACE_SYSCALL)
        os.waitpid(pid, 0x40000000)
    ptrace(PTRACE_DETACH, signal.SIGSTOP if stop else None)


FORBIDDEN = {  # name: number, arguments
    "open": (2, ()), "openat": (257, ()), "openat2": (437, ()), "socket": (41, (2, 1, 0)), "socketpair": (53, (1, 1, 0)),
    "connect": (42, (3,)), "bind": (49, ()), "listen": (50, (3, 1)), "accept4": (288, (3,)), "sendto an address": (44, (3, 0, 0, 0x20000000, 4096, 16)), "sendmsg": (46, (3,)), "fork": (57, ()),
    "clone": (56, ()), "clone3": (435, ()), "execve": (59, ()), "execveat": (322, ()), "ptrace": (101, ()),
    "kill": (62, (1, 0)), "mprotect": (10, (0, 4096, 5)), "executable mmap": (9, (0, 4096, 4, 0x22, -1 % (1 << 64), 0)),
    "prctl": (157, (38, 0)), "setuid": (105, (0,)), "unlink": (87, ()), "mount": (165, ()), "bpf": (321, ()),
    "memfd_create": (319, ()), "io_uring_setup": (425, ()), "process_vm_writev": (311, ()), "pidfd_getfd": (438, ()),
    "a call of the 32-bit ABI": (0x40000000 + 2, ()),
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the registers are those of x86-64")
@pytest.mark.parametrize("call", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_a_violation_kills_the_child_is_logged_and_another_goes_on(probe_once, call):  # noqa: F811
    if os.geteuid():
        pytest.skip("needs root")
    with Running(probe_once, "-r 2 -T 1000") as running:
        make_it_call(running.child, *call)
        first, second = running.results()
    assert [(r["reason"], r["restarts"]) for r in (first, second)] == [("greeting_silent", 1)] * 2
    assert "killed by SIGSYS" in running.err


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the registers are those of x86-64")
def test_what_the_child_needs_does_not_kill_it(probe_once):  # noqa: F811
    """The same method with a permitted call has no effect: in the other test it is the call that kills."""
    if os.geteuid():
        pytest.skip("needs root")
    with Running(probe_once, "-T 1000") as running:
        make_it_call(running.child, 28, (0, 0, 0))  # madvise: 0, as if no event had come
        result, = running.results()
    assert (result["reason"], result["restarts"], running.err) == ("greeting_silent", 0, "")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the registers are those of x86-64")
def test_a_child_that_hangs_up_but_lives_delays_nothing(probe_once):  # noqa: F811
    """It has a second to exit, in which the next child already probes; then it is killed."""
    if os.geteuid():
        pytest.skip("needs root")
    with Running(probe_once, "-T 5000") as running:
        began = time.monotonic()
        # close: mxlbd sees the end of its pair; the child would find out when it next has something to tell
        make_it_call(running.child, 3, (3,), stop=True)
        assert running.sockets_of(running.child) == 1
        again, _ = running.listener.accept()  # the probe has begun again
        seconds = time.monotonic() - began
        assert seconds < 0.9 and Path(f"/proc/{running.child}/exe").exists()
        wait_until(lambda: not Path(f"/proc/{running.child}/exe").exists(), 5, "the old child is killed")
        assert time.monotonic() - began > 0.9
        result, = running.results()
        again.close()
    assert (result["reason"], result["restarts"]) == ("greeting_silent", 1)
    assert "ended: signal 9; the next in 100 ms" in running.err


def test_the_childs_memory_is_limited(probe_once):  # noqa: F811
    with Running(probe_once, "-T 1000") as running:
        limits = Path(f"/proc/{running.child}/limits").read_text()
    assert re.search(r"^Max address space +536870912 +536870912 ", limits, re.M)
    assert re.search(r"^Max processes +0 +0 ", limits, re.M)


def last_probes(balancer):
    return {(s["name"], b["name"], b["last_probe"]["at"])
            for s in balancer.status()["services"] for tier in s["tiers"] for b in tier["servers"]}


def test_verdicts_outlive_any_number_of_children(balancer):
    """Running probes are restarted in the next child: only the log shows that one was killed."""
    balancer.start()
    balancer.wait_all_up()
    since = {name: balancer.backend(name)["since"] for name in balancer.verdicts()}
    for _ in range(5):
        child, = wait_until(lambda: children(balancer.process.pid), 10, "there is a probe child")
        probed = last_probes(balancer)
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: child not in children(balancer.process.pid), 5, "the killed child is gone")
        assert set(balancer.verdicts().values()) == {"up"}
        # A probe that was running when two children in a row were killed is a local error.
        wait_until(lambda: not probed & last_probes(balancer), 60, "each server was probed since")
        assert set(balancer.verdicts().values()) == {"up"}
    wait_until(lambda: {balancer.backend(name)["reason"] for name in since} == {"ok"}, 60, "probes go on")
    assert {name: balancer.backend(name)["since"] for name in since} == since
    assert balancer.log().count(": signal 9; ") == 5
