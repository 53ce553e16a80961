# SPDX-License-Identifier: BSD-2-Clause
"""Peers that attack the probe: the verdict is right and in time, and the child's cost is negligible.

Each attack comes between two sound dialogues with the same child: what it has of memory and has used of the CPU is
read when the second and the third connection come in.
"""
import asyncio
import json
import random
import subprocess
import time
from pathlib import Path

import pytest

from lab import patience
from smtp_peer import (BUILD, EHLO, GRACE_S, ROOT, Connection, children, drip, flood, garbage, reply, reset, silent, smtp,
                       then_close)
from tls_peer import handshake, serve

MEMORY_KB = 1024  # of growth
TIMEOUT_S = 15    # of a probe whose time is not what ends it: the peer, in Python, may be given little of the machine
CPU_MS = 100      # twice its bound on time, for a slow machine; what is measured is in the report
TLS1_2, TLS1_3 = 0x0303, 0x0304


@pytest.fixture(scope="module")
def probe_once():
    path = BUILD / "probe-once"
    subprocess.run(["make", "-s", f"B={BUILD.name}", path.relative_to(ROOT)], cwd=ROOT, check=True, timeout=600)
    return path


def make_certificate(directory, name, names=("mail.contoso.com",)):
    key, cert, conf = (directory / f"{name}.{end}" for end in ("key", "pem", "conf"))
    conf.write_text("[req]\ndistinguished_name=d\nx509_extensions=e\nprompt=no\n[d]\nCN=mail.contoso.com\n[e]\n"
                    "subjectAltName=@n\n[n]\n" + "".join(f"DNS.{i}={name}\n" for i, name in enumerate(names)))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-keyout", key, "-out", cert, "-config", conf], check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    """{name: (certificate file, key file)}"""
    directory = tmp_path_factory.mktemp("tls")
    sound = make_certificate(directory, "sound")
    chain = directory / "chain.pem"
    chain.write_text(sound[0].read_text() * 2000)
    assert 2000 * 500 < chain.stat().st_size
    return {"sound": sound, "1 MB": (chain, sound[1]),
            "10000 names": make_certificate(directory, "many", [f"host{i}.mail.contoso.com" for i in range(10000)]),
            "800 names": make_certificate(directory, "some", [f"host{i}.mail.contoso.com" for i in range(800)])}


def again_and_again(what, times):
    async def attack(c, server, send):
        for i in range(times):
            what(server)
            if i % 100 == 99:
                await send()
        await send()
        await serve(c, server, send)
    return attack


def endless(what):
    """Sends until the probe hangs up."""
    async def attack(c, server, send):
        while True:
            for _ in range(100):
                what(server)
            await send()
            if c.reader.at_eof():
                raise EOFError
    return attack


async def drip_handshake(c, server, send):
    server.write(b"250-")
    for byte in server.drain():
        await c.send(bytes([byte]))
        await asyncio.sleep(1)


async def half_a_record(c, server, send):
    server.write(reply(250, EHLO))
    await c.send(server.drain()[:-7])
    await silent(c)


async def no_close_notify(c, server, send):
    await serve(c, server, send)  # closes the connection, and says nothing about it in TLS


async def close_instead_of_mail(c, server, send):
    c.close()


async def lies_in_a_record(c, server, send):
    server.write(reply(250, EHLO))
    data = bytearray(server.drain())
    data[-3] ^= 1
    await c.send(bytes(data))
    await silent(c)


def records(*kinds_and_bodies, times):
    return b"".join(bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body for kind, body in kinds_and_bodies) * times


def junk(seed, size):
    return random.Random(seed).randbytes(size)


ALERT, HANDSHAKE, DATA = 21, 22, 23
WARNING = b"\x01\x5a"
PLAIN = {  # name: script, options, reason, stage
    "10 MB of banner without an end": (flood(b"220 " + b"x" * 65532, 10 << 20), "", "reply_too_long", "greeting"),
    "10 MB of banner in lines": (flood(b"220-" + b"x" * 60 + b"\r\n", 10 << 20), "", "reply_too_long", "greeting"),
    "an endless 250-": (smtp(ehlo=flood(b"250-A\r\n" * 1000, 10 << 20)), "", "reply_too_long", "ehlo"),
    "an endless answer to MAIL FROM":
        (smtp(ehlo=b"250 mx\r\n", mail=flood(b"250-A\r\n" * 1000, 10 << 20)), "-t none", "reply_too_long", "mail-from"),
    "an endless answer to QUIT":
        (smtp(ehlo=b"250 mx\r\n", quit_=flood(b"221-A\r\n" * 1000, 10 << 20)), "-t none", "ok", "done"),
    "one byte a second": (drip, "-T 4000", "greeting_silent", "greeting"),
    "NULs": (smtp(greeting=b"\0" * 100000), "", "malformed", "greeting"),
    "8-bit junk": (smtp(greeting=junk(1, 100000)), "", "malformed", "greeting"),
    "a STARTTLS injection": (smtp(starttls=b"220 go\r\n250-evil\r\n", handshake=silent), "", "starttls_injection", "starttls"),
    "an injection of a whole dialogue":
        (smtp(starttls=b"220 go\r\n" + b"250 ok\r\n" * 10000, handshake=silent), "", "starttls_injection", "starttls"),
    "RST in the handshake": (smtp(handshake=reset), "", "tls_handshake", "tls"),
    "closed in the handshake": (smtp(handshake=then_close(b"")), "", "tls_handshake", "tls"),
    "a black hole behind the ClientHello": (smtp(handshake=silent), "-T 4000", "timeout", "tls"),
    "empty records for ever": (smtp(handshake=garbage(records((HANDSHAKE, b""), times=200000))), "", "tls_handshake", "tls"),
    "warnings for ever": (smtp(handshake=garbage(records((ALERT, WARNING), times=100000))), "", "tls_handshake", "tls"),
    "a handshake message of 16 MB":
        (smtp(handshake=garbage(records((HANDSHAKE, b"\x02\xff\xff\xff" + bytes(16000)), times=1) +
                                records((HANDSHAKE, bytes(16000)), times=1000))), "", "tls_handshake", "tls"),
    "data in place of a handshake": (smtp(handshake=garbage(records((DATA, bytes(1000)), times=1000))), "", "tls_handshake",
                                     "tls"),
    "junk in place of a handshake": (smtp(handshake=garbage(junk(2, 1 << 20))), "", "tls_handshake", "tls"),
}
IN_TLS = {  # name: certificate, version, what follows the handshake, options, reason, stage
    "a chain of 1 MB": ("1 MB", None, serve, "", "tls_handshake", "tls"),
    "a certificate of 10,000 names": ("10000 names", None, serve, "", "tls_handshake", "tls"),
    "a certificate of 800 names": ("800 names", None, serve, "", "ok", "done"),
    "100 key updates": ("sound", TLS1_3, again_and_again(lambda s: s.update_keys(), 100), "", "ok", "done"),
    "endless key updates": ("sound", TLS1_3, endless(lambda s: s.update_keys()), "", "reply_too_long", "ehlo-tls"),
    "20 tickets": ("sound", TLS1_3, again_and_again(lambda s: s.send_ticket(), 20), "", "ok", "done"),
    "endless tickets": ("sound", TLS1_3, endless(lambda s: s.send_ticket()), "", "reply_too_long", "ehlo-tls"),
    "a server that insists on renegotiation":
        ("sound", TLS1_2, again_and_again(lambda s: s.ask_to_renegotiate(), 1), "", "tls_handshake", "mail-from"),
    "endless wishes to renegotiate":
        ("sound", TLS1_2, endless(lambda s: s.ask_to_renegotiate()), "", "reply_too_long", "ehlo-tls"),
    "one byte a second in TLS": ("sound", TLS1_3, drip_handshake, "-T 4000", "timeout", "ehlo-tls"),
    "half a record, then silence": ("sound", TLS1_3, half_a_record, "-T 4000", "timeout", "ehlo-tls"),
    "a record that was changed on its way": ("sound", TLS1_3, lies_in_a_record, "", "tls_handshake", "ehlo-tls"),
    "closed in TLS without close_notify": ("sound", TLS1_3, close_instead_of_mail, "", "closed_early", "ehlo-tls"),
    "no close_notify after 221": ("sound", TLS1_3, no_close_notify, "", "ok", "done"),
}


def used(pid):
    """Peak memory in KB and CPU time in milliseconds."""
    facts = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(facts["VmHWM"].split()[0]), int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def attack(probe_once, script, options, sound):
    """Returns the three results, the cost of the attack and its duration."""
    seen, costs, times = [], [], []

    async def accept(reader, writer):
        await started.wait()  # it may be connected before we know its number
        child, = children(process.pid)
        costs.append(used(child))
        times.append(time.monotonic())
        seen.append(asyncio.current_task())
        try:
            await (script if len(costs) == 2 else sound)(Connection(reader, writer, None))
            await reader.read()
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    async def main():
        nonlocal process, started
        started = asyncio.Event()
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(probe_once, "-r", "3", *options.split(), "127.0.0.1", str(port),
                                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.set()
        out, err = await asyncio.wait_for(process.communicate(), 60 * patience())
        server.close()
        for task in seen:
            task.cancel()
        await asyncio.gather(*seen, return_exceptions=True)
        assert process.returncode == 0 and not err, err.decode()
        return [json.loads(line) for line in out.splitlines()]

    process = started = None
    results = asyncio.run(main())
    (memory, cpu), (memory_after, cpu_after) = costs[1:]
    return results, memory_after - memory, cpu_after - cpu, times[2] - times[1]


def check(probe_once, script, options, reason, stage, sound, measured):
    if "-T" not in options:
        options += f" -T {TIMEOUT_S * 1000}"
    results, memory_kb, cpu_ms, seconds = attack(probe_once, script, options, sound)
    assert [results[0]["reason"], results[2]["reason"]] == ["ok", "ok"], "the same child goes on"
    assert (results[1]["reason"], results[1]["stage"]) == (reason, stage), results[1]
    assert [r["restarts"] for r in results] == [0, 0, 0]
    timeout = int(options.split("-T ")[1]) / 1000
    assert seconds < timeout + GRACE_S
    measured(f"{memory_kb} KB, {cpu_ms:.1f} ms of CPU")
    assert memory_kb < MEMORY_KB and cpu_ms < CPU_MS


@pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN.keys())
def test_an_attack_has_its_verdict_and_costs_little(probe_once, certs, case, measured):
    script, options, reason, stage = case
    in_tls = smtp(handshake=handshake(*certs["sound"], serve))
    check(probe_once, script, options, reason, stage, smtp(ehlo=b"250 mx\r\n") if "-t none" in options else in_tls, measured)


@pytest.mark.parametrize("case", IN_TLS.values(), ids=IN_TLS.keys())
def test_an_attack_in_tls_has_its_verdict_and_costs_little(probe_once, certs, case, measured):
    cert, version, then, options, reason, stage = case
    check(probe_once, smtp(handshake=handshake(*certs[cert], then, version)), options, reason, stage,
          smtp(handshake=handshake(*certs["sound"], serve, version)), measured)
