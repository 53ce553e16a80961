# SPDX-License-Identifier: BSD-2-Clause
"""Servers that cost a probe as much CPU as possible (costly_peer.py): the cost is charged to them, and no other
server's verdict is late.

MXLB_COSTS=full (`make costs`) plays the whole table: each way to be expensive, with 1 and with 8 such servers, and without any."""
import contextlib
import asyncio
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from costly_peer import WAYS, Chain, serving
from lab import HERE, OXFORD, children, wait_until
from pki import Pki
from smtp_peer import probe, probe_once, smtp  # noqa: F401 (fixture)

FULL = os.environ.get("MXLB_COSTS") == "full"
FIRST_PORT, SERVERS_MAX = 2601, 8
THEIR_VIP = "203.0.113.26"
# Of a server whose answers stop, at interval 1s, fast-interval 250ms, timeout 2s, connect-timeout 1s, fall 2: 2.5 s, in the middle of a
# dialogue 3 s; and what a loaded machine adds: the table is played on a quiet one. Without the rules of cost.c it was never told.
TOLD_S = 4 if FULL else 6
DEATHS = 3 if FULL else 1
NEVER_S = 30
PATIENCE_S = 90  # until an expensive server is judged: its full probes get what all others leave of the CPU


def probe_again_and_again(probe_once, way, rounds, options="-T 3000"):  # noqa: F811
    async def main():
        server = await asyncio.start_server(serving(way), "127.0.0.1", 0)
        process = await asyncio.create_subprocess_exec(
            probe_once, "-r", str(rounds), *options.split(), "127.0.0.1", str(server.sockets[0].getsockname()[1]),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        server.close()
        assert process.returncode == 0, err.decode()
        return [json.loads(line) for line in out.splitlines()], err.decode()

    return asyncio.run(main())


OUTCOMES = {  # reason (None: by the machine's speed), a part of its text
    "DHE of 10,000 bits": ("tls_handshake", "wrong cipher returned"),
    "ffdhe8192 by HelloRetryRequest": ("tls_handshake", "bad key share"),
    "RSA key of 16,384 bits": ("tls_handshake", ""),
    "endless HelloRequests": ("reply_too_long", ""),
    "segments of one byte": (None, ""),
}


@pytest.mark.parametrize("way", OUTCOMES)
def test_what_a_server_chooses_costs_little(probe_once, way, measured):  # noqa: F811
    results, err = probe_again_and_again(probe_once, WAYS[way](), 1)
    reason, text = OUTCOMES[way]
    measured(f"{[r['cpu_ms'] for r in results]} ms of CPU")
    for r in results:
        assert (r["reason"] == reason or not reason) and text in r["text"], r
        assert r["cpu_ms"] < 100 and r["restarts"] == 0
    assert not err


def numbered(line, n):
    return "\n".join(line.format(i) for i in range(n))


@pytest.mark.parametrize("names", [1000, 1300])
def test_names_under_constraints_cost_little(probe_once, tmp_path, names, measured):  # noqa: F811
    """Each name is compared with each constraint: those of two authorities, with as many as fit into 64 KiB of chain.
    OpenSSL gives up above 2^20 comparisons. The chain is valid, because an unknown one fails earlier."""
    pki = Pki(tmp_path)
    constraints = "basicConstraints=critical,CA:TRUE\nnameConstraints=@nc\n[nc]\n" + numbered("excluded;DNS.{0}={0}.x", names)
    pki.authority("root", "/CN=root")
    pki.certificate("ca1", "/CN=ca1", "root", constraints)
    pki.certificate("ca2", "/CN=ca2", "ca1", constraints)
    pki.certificate("leaf", "/CN=leaf", "ca2", "subjectAltName=@n\n[n]\n" + numbered("DNS.{0}=a{0}.b.c", names))
    context = pki.context("leaf", "ca2", "ca1")
    result, _, _ = probe(probe_once, smtp(), f"-t certificate-validation -A {tmp_path}/root.pem", context)
    measured(f"{names}: {result['cpu_ms']} ms of CPU, {result['reason']}")
    assert result["reason"] == ("ok" if names == 1000 else "certificate_untrusted") and result["cpu_ms"] < 100, result


def test_a_computation_that_does_not_end_is_ended_and_charged_to_its_server(probe_once, measured):  # noqa: F811
    """It runs in the common child first, then in one of its own with a longer limit. Later probes stop before the
    expensive part."""
    results, err = probe_again_and_again(probe_once, Chain(), 4)
    measured(f"{[r['cpu_ms'] for r in results]} ms of CPU")
    assert [(r["reason"], r["verdict"]) for r in results] == [("expensive", "unknown")] * 4
    assert 50 <= results[0]["cpu_ms"] < 500 <= results[1]["cpu_ms"]
    for r in results[2:]:
        assert (r["stage"], r["cpu_ms"]) == ("starttls", 0) and re.match(r"it answers up to EHLO; its last full probe took \d+ ms", r["text"])
    assert len(re.findall(r"computed for one server for more than \d+ ms: signal 9; the next in 0 ms", err)) == 1, err


def test_a_computation_does_not_outlive_mxlbd(probe_once):  # noqa: F811
    """Nobody would be left to end it."""
    async def main():
        asked = asyncio.Event()

        class Asked(Chain):
            async def answer(self, hello, reader, writer):
                await super().answer(hello, reader, writer)
                asked.set()

        server = await asyncio.start_server(serving(Asked()), "127.0.0.1", 0)
        process = await asyncio.create_subprocess_exec(probe_once, "127.0.0.1", str(server.sockets[0].getsockname()[1]))
        await asyncio.wait_for(asked.wait(), 10)
        orphans = children(process.pid)  # the one that was asked may have been replaced meanwhile, because it is expensive
        assert orphans
        process.kill()
        await process.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in orphans), 2, "the children are gone")
        server.close()

    asyncio.run(main())


class NoDhe:
    """A server that supports only DHE: it answers with an alert."""

    async def answer(self, hello, reader, writer):
        writer.write(bytes.fromhex("15030300020228"))


def test_a_server_that_has_only_dhe_is_down_and_the_reason_names_it(probe_once):  # noqa: F811
    (result,), _ = probe_again_and_again(probe_once, NoDhe(), 1)
    assert (result["reason"], result["verdict"]) == ("tls_handshake", "down")
    assert "no DHE" in result["text"]


# In the lab.

def hostile_servers(lab, ways, peers):
    """Hostile servers on nuneaton with a VIP of their own and one port each; the configuration of their services."""
    lab.undo.callback(lab.within, "nuneaton", "ip", "address", "del", f"{THEIR_VIP}/32", "dev", "lo")
    lab.within("nuneaton", "ip", "address", "add", f"{THEIR_VIP}/32", "dev", "lo")
    for i, way in enumerate(ways):
        peer = lab.popen("exec", "nuneaton", "/usr/bin/python3", "-B", str(HERE / "costly_peer.py"), way, str(FIRST_PORT + i),
                         stdout=subprocess.PIPE)
        lab.undo.callback(peer.wait)
        lab.undo.callback(peer.kill)
        assert peer.stdout.readline() == b"ready\n"
        peers.append(peer)
    return "".join(f"""  hostile-{i}:
    address: {THEIR_VIP}
    port: {FIRST_PORT + i}
    interface: eth0
    probe: exo
    tiers:
      10:
        costly-{i}: {{address: 203.0.113.13}}
""" for i in range(len(ways)))


def silence(lab, host):
    """The host lives, but its packets no longer reach the balancer. Returns a function that ends this."""
    lab.undo.callback(lab.within, host, "ip", "route", "del", "blackhole", "203.0.113.5/32", status=None)
    lab.within(host, "ip", "route", "add", "blackhole", "203.0.113.5/32")
    return lambda: lab.within(host, "ip", "route", "del", "blackhole", "203.0.113.5/32")


def death_told(lab, balancer, host):
    """Seconds from the moment at which the server falls silent to its verdict; NEVER_S if there was none."""
    began, again = time.monotonic(), silence(lab, host)
    try:
        wait_until(lambda: balancer.verdicts()[host] == "down", NEVER_S, f"{host} is down")
        return time.monotonic() - began
    except AssertionError:
        return NEVER_S
    finally:
        again()


def play(lab, balancer, ways, measured, peers):
    # A death during a dialogue is noticed when the dialogue times out.
    balancer.configure(replace={"    timeout: 10s": "    timeout: 2s", "services:\n": "services:\n" + hostile_servers(lab, ways, peers)})
    balancer.start()
    balancer.wait_for({host: "up" for host in OXFORD}, NEVER_S)
    seconds = []
    for i in range(DEATHS):
        host = OXFORD[i % 2]
        seconds.append(death_told(lab, balancer, host))
        if seconds[-1] == NEVER_S:
            break
        balancer.wait_for({host: "up" for host in OXFORD}, NEVER_S)
    cpu = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9 for pid in children(balancer.process.pid)]
    measured(f"told after {', '.join(f'{s:.1f}' for s in seconds)} s; children's CPU {sum(cpu):.1f} s, "
             f"{balancer.info('Probe_child_restarts')} replaced")
    return seconds


def judged_as(balancer, i, reason):
    """An expensive server is up, because the cost is this box's problem (docs/verdicts.md). reason None: any."""
    server = balancer.backend(f"costly-{i}", f"hostile-{i}")
    return server["verdict"] == ("up" if server["reason"] == "expensive" else "down") and reason in (None, server["reason"])


def nice_values(balancer):
    """The nice values of mxlbd's children: proc(5), stat."""
    values = set()
    for pid in children(balancer.process.pid):
        with contextlib.suppress(OSError):  # it has just ended
            values.add(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16]))
    return values


def test_eight_hostile_servers_delay_no_other_servers_verdict(lab, balancer, measured):
    """One in each of eight services, one of each kind."""
    ways = (list(WAYS) * 2)[:SERVERS_MAX]
    peers = []
    assert max(play(lab, balancer, ways, measured, peers)) < TOLD_S
    expensive = {f"costly-{i}" for i, way in enumerate(ways) if WAYS[way] is Chain}
    wait_until(lambda: expensive <= set(re.findall(r"event=probe_cost service=\S+ backend=(\S+) to=expensive", balancer.log())),
               PATIENCE_S, lambda: f"{expensive} are expensive\n{balancer.log()}")
    for i, way in enumerate(ways):
        reason = OUTCOMES.get(way, ("expensive",))[0]
        wait_until(lambda: judged_as(balancer, i, reason), PATIENCE_S, lambda: f"{way}: {reason}\n{balancer.log()}")
    wait_until(lambda: {0, 10} <= nice_values(balancer), PATIENCE_S, "those that are expensive have a child that gives way")
    for peer in peers:  # one that is expensive dies itself
        peer.kill()
    for name in expensive:
        balancer.wait_for({name: "down"}, PATIENCE_S, f"hostile-{name.rpartition('-')[2]}")
        assert balancer.backend(name, f"hostile-{name.rpartition('-')[2]}")["reason"] == "refused"
    # a machine that gives mxlbd itself nothing for a second is a stall, whoever keeps it busy
    excused = "local_" if FULL else "local_(?!stall)"
    assert not re.search(rf"event=backend_verdict service=hybrid-mail\S* \S+ .*{excused}", balancer.log()), balancer.log()


@pytest.mark.skipif(not FULL, reason="make costs")
@pytest.mark.parametrize("count", [1, SERVERS_MAX])
@pytest.mark.parametrize("way", WAYS)
def test_a_death_is_detected_as_fast_with_hostile_servers(lab, balancer, way, count, measured):
    assert max(play(lab, balancer, [way] * count, measured, [])) < TOLD_S


@pytest.mark.skipif(not FULL, reason="make costs")
def test_a_death_is_detected_without_any_hostile_server(lab, balancer, measured):
    assert max(play(lab, balancer, [], measured, [])) < TOLD_S
