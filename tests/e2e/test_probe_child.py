# SPDX-License-Identifier: BSD-2-Clause
"""The probe child: what it may do, what happens if it dies, and what that costs; many probes at once."""
import asyncio
import os
import signal
import socket
import time
from pathlib import Path

from lab import patience
from smtp_peer import (GRACE_S, Peer, Running, children, probe, probe_once, run_probe, smtp, tls_context,
                       wait_for)  # noqa: F401 (fixtures)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def status(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())


def test_the_child_has_no_rights_and_no_files(probe_once):
    with Running(probe_once, "") as running:
        facts = status(running.child)
        assert facts["NoNewPrivs"] == "1"
        assert {int(facts[cap], 16) for cap in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
        if probe_once.parent.name != "san":
            assert facts["Seccomp"] == "2"
        if os.geteuid() == 0:
            assert facts["Uid"].split() == ["65534"] * 4 and facts["Gid"].split() == ["65534"] * 4
            assert facts["Groups"].strip() == "" and int(facts["CapBnd"], 16) == 0
            files = [os.readlink(f) for f in Path(f"/proc/{running.child}/fd").iterdir()]
            assert sorted(f.split(":")[0] for f in files) == ["/dev/null", "/dev/null", "anon_inode", "pipe", "socket", "socket"]
        limits = Path(f"/proc/{running.child}/limits").read_text()
        assert "Max core file size        0 " in limits and "Max file size             0 " in limits


def test_a_killed_child_is_replaced_and_costs_no_verdict(probe_once):
    with Running(probe_once, "-r 2 -T 1000") as running:
        os.kill(running.child, signal.SIGKILL)
        first, second = running.results()
        assert [(r["reason"], r["restarts"]) for r in (first, second)] == [("greeting_silent", 1)] * 2
        assert "signal 9" in running.err


def test_a_probe_whose_children_are_killed_repeatedly_is_a_local_error(probe_once):
    """It is restarted once and not again, because its server may be the cause."""
    with Running(probe_once, "-r 2 -T 2000") as running:
        os.kill(running.child, signal.SIGKILL)
        second, = wait_for(lambda: [pid for pid in children(running.process.pid) if pid != running.child], 5 * patience(),
                           "a new child")
        again = running.listener.accept()  # the probe has begun again ...
        wait_for(lambda: running.sockets_of(second) == 2, 10 * patience(), "... and the new child has it")
        os.kill(second, signal.SIGKILL)
        first, other = running.results()
        assert (first["reason"], first["text"], first["verdict"]) == ("local_error", "ended", "unknown")
        assert (other["reason"], other["restarts"]) == ("greeting_silent", 2)
        again[0].close()


def test_a_child_that_hangs_is_killed_and_replaced(probe_once):
    with Running(probe_once, "-r 2 -T 1000") as running:
        os.kill(running.child, signal.SIGSTOP)
        first, second = running.results()
        assert (first["reason"], first["text"]) == ("local_error", "missed a deadline")
        assert (second["reason"], second["restarts"]) == ("greeting_silent", 1)
        assert not alive(running.child)


def test_a_child_that_was_stopped_does_not_blame_the_server(probe_once):
    with Running(probe_once, "-T 1000") as running:
        os.kill(running.child, signal.SIGSTOP)
        time.sleep(1.6)  # more than 1.25 s is a stall; it is killed after 3 s
        os.kill(running.child, signal.SIGCONT)
        result, = running.results()
        assert (result["reason"], result["restarts"]) == ("local_stall", 0)


def test_a_stopped_daemon_does_not_blame_the_server_nor_the_child(probe_once):
    with Running(probe_once, "-T 1000") as running:
        os.kill(running.process.pid, signal.SIGSTOP)
        time.sleep(4)
        os.kill(running.process.pid, signal.SIGCONT)
        result, = running.results()
        assert (result["reason"], result["restarts"]) == ("local_stall", 0)


def test_a_child_does_not_outlive_its_parent(probe_once):
    with Running(probe_once, "-T 20000") as running:
        running.process.kill()
        wait_for(lambda: not alive(running.child), 5 * patience(), "the child lives on")


def test_probes_at_once_do_not_wait_for_each_other_and_leak_nothing(probe_once, tls_context):
    async def main():
        async with Peer(smtp(), tls_context) as peer:
            began = time.monotonic()
            results = await run_probe(probe_once, peer.port, "-n 100 -r 3 -T 20000")
            return results, time.monotonic() - began

    results, seconds = asyncio.run(main())
    assert [r["reason"] for r in results] == ["ok"] * 300
    assert seconds < 20


def test_a_thousand_silent_servers_end_together(probe_once):
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    began = time.monotonic()
    results = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-n 1000 -T 2000"))
    assert [r["reason"] for r in results] == ["greeting_silent"] * 1000
    assert time.monotonic() - began < 2 + GRACE_S
    assert max(r["total_ms"] for r in results) < 2500
