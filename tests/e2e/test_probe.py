# SPDX-License-Identifier: BSD-2-Clause
"""The probe against scripted peers: every way a server can behave leads to its reason, in time, and quietly.

Drives tests/tools/probe-once, the probe with its child and sandbox but without a daemon. Loopback only.
"""
import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("MXLB_B", "build")
PER_SOURCE = (b"421 4.3.2 The maximum number of concurrent server connections has exceeded a per-source limit, "
              b"closing transmission channel\r\n")
EHLO = [b"mx.contoso.com Hello", b"SIZE 37748736", b"PIPELINING", b"STARTTLS", b"8BITMIME"]
GRACE_S = 2  # for the farewell, and a loaded machine


@pytest.fixture(scope="module", params=["probe-once", "san/probe-once"])
def probe_once(request):
    """The driver as shipped, behind seccomp; then under the sanitizers."""
    path = BUILD / request.param
    subprocess.run(["make", "-s", f"B={BUILD.name}", path.relative_to(ROOT)], cwd=ROOT, check=True, timeout=600)
    return path


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-keyout", key, "-out", cert,
                    "-subj", "/C=US/ST=WA/L=Seattle/O=Contoso, Ltd/CN=mail.contoso.com/emailAddress=pki@contoso.com",
                    "-addext", "subjectAltName=DNS:mail.contoso.com,DNS:autodiscover.contoso.com"],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with warnings.catch_warnings(action="ignore"):  # that it is old is what the test is about
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.cert_file = cert
    return context


class Connection:
    """One connection at the peer's side: what was heard, and how it ended."""

    def __init__(self, reader, writer, context):
        self.reader, self.writer, self.context = reader, writer, context
        self.heard, self.early, self.ended, self.sni = [], b"", None, None

    async def silence(self, seconds=0.1):
        """Whatever comes before the greeting is wrong."""
        try:
            self.early += await asyncio.wait_for(self.reader.read(100), seconds)
        except asyncio.TimeoutError:
            pass

    async def send(self, data):
        if self.writer.transport.is_closing() or self.reader.at_eof() or self.reader.exception():
            raise EOFError
        self.writer.write(data)
        await self.writer.drain()

    async def line(self):
        data = await self.reader.readline()
        if not data:
            raise EOFError
        self.heard.append(data.decode("latin-1").rstrip("\r\n"))
        return self.heard[-1]

    async def start_tls(self):
        await self.writer.start_tls(self.context)
        self.heard.append(self.writer.get_extra_info("ssl_object").version())

    def close(self):
        self.writer.close()

    def reset(self):
        self.writer.transport.abort()


def reply(code, lines):
    return b"".join(b"%d%c%s\r\n" % (code, b" "[0] if i == len(lines) - 1 else b"-"[0], line)
                    for i, line in enumerate(lines))


def smtp(greeting=b"220 mx.contoso.com ESMTP\r\n", ehlo=reply(250, EHLO), starttls=b"220 2.0.0 go\r\n", handshake=None,
         ehlo_tls=None, mail=b"250 2.1.0 ok\r\n", rset=b"250 2.0.0 ok\r\n", quit_=b"221 2.0.0 bye\r\n"):
    """A whole server, one answer changed. A function in place of an answer takes the connection over."""

    async def script(c):
        async def answer(with_what):
            if callable(with_what):
                await with_what(c)
            else:
                await c.send(with_what)

        await c.silence()
        await answer(greeting)
        in_tls = False
        while True:
            verb = (await c.line()).split()[0].upper()
            if verb == "EHLO":
                await answer(ehlo_tls if in_tls and ehlo_tls else ehlo)
            elif verb == "STARTTLS":
                await answer(starttls)
                if not starttls.startswith(b"220"):
                    continue
                if handshake:
                    return await handshake(c)
                await c.start_tls()
                in_tls = True
            else:
                await answer({"MAIL": mail, "RSET": rset, "QUIT": quit_}[verb])
                if verb == "QUIT":
                    return c.close()

    return script


async def silent(c):
    await c.reader.read()


async def drip(c):
    for byte in b"220 mx.contoso.com ESMTP, slowly but surely\r\n":
        await c.send(bytes([byte]))
        await asyncio.sleep(1)


def flood(piece, total):
    async def script(c):
        for _ in range(total // len(piece)):
            await c.send(piece)
        await silent(c)
    return script


def then_close(data):
    async def script(c):
        await c.send(data)
        c.close()
    return script


async def reset(c):
    c.reset()


def garbage(data):
    async def script(c):
        await c.reader.read(1)  # of the ClientHello: what comes before it is an injection
        await c.send(data)
        await silent(c)
    return script


class Peer:
    def __init__(self, script, context):
        self.script, self.context, self.connections, self.tasks = script, context, [], set()

    async def serve(self, reader, writer):
        c = Connection(reader, writer, self.context)
        self.connections.append(c)
        self.tasks.add(asyncio.current_task())
        try:
            await self.script(c)
            await reader.read()
            c.ended = "closed"
        except (EOFError, ConnectionError, ssl.SSLError) as e:
            c.ended = "reset" if isinstance(e, ConnectionError) else "closed"
        finally:
            writer.transport.abort()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def all_ended(self):
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=5)


async def run_probe(probe_once, port, options, address="127.0.0.1"):
    process = await asyncio.create_subprocess_exec(probe_once, *options.split(), address, str(port),
                                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    assert not err, err.decode()
    return [json.loads(line) for line in out.splitlines()]


def probe(probe_once, script, options="", context=None):
    """Result, the connection as the peer saw it, and seconds."""

    async def main():
        async with Peer(script, context) as peer:
            began = time.monotonic()
            results = await run_probe(probe_once, peer.port, options)
            seconds = time.monotonic() - began
            await peer.all_ended()
            return results[0], peer.connections[0], seconds

    return asyncio.run(main())


FULL = ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "RSET", "QUIT"]
NO_TLS = reply(250, [line for line in EHLO if line != b"STARTTLS"])
ANONYMOUS = reply(250, [b"STARTTLS Hello", b"X-ANONYMOUSTLS", b"AUTH=STARTTLS", b"STARTTLSX"])

# what the server does: script, options, reason, stage, code, what it heard
CASES = {
    "a good server": (smtp(), "", "ok", "done", 250, FULL),
    "a good server without TLS, none asked for":
        (smtp(ehlo=NO_TLS), "-t none", "ok", "done", 250, ["EHLO", "MAIL", "RSET", "QUIT"]),
    "a good server, asked for a banner": (smtp(), "-d banner", "ok", "done", 220, ["QUIT"]),
    "a good server, asked for EHLO": (smtp(), "-d ehlo", "ok", "done", 250, ["EHLO", "QUIT"]),
    "a good server, asked for STARTTLS":
        (smtp(), "-d starttls", "ok", "done", 0, ["EHLO", "STARTTLS", "TLSv1.3", "QUIT"]),
    "a good server, asked for a connection only": (silent, "-d connect", "ok", "done", 0, []),
    "a greeting of many lines":
        (smtp(greeting=b"220-mx.contoso.com\r\n220-no spam\r\n220 please\r\n"), "", "ok", "done", 250, FULL),
    "lines that end in LF": (smtp(greeting=b"220 mx\n", ehlo=b"250-mx\n250 starttls\n"), "", "ok", "done", 250, FULL),
    "a greeting 421":
        (smtp(greeting=b"421 4.3.2 Service not active\r\n"), "", "greeting_421", "greeting", 421, ["QUIT"]),
    "a greeting 421, then closed":
        (then_close(b"421 4.3.2 Service not active\r\n"), "", "greeting_421", "greeting", 421, None),
    "a greeting 450": (smtp(greeting=b"450 4.7.1 later\r\n"), "", "greeting_4xx", "greeting", 450, ["QUIT"]),
    "a greeting 554": (smtp(greeting=b"554 5.7.1 no\r\n"), "", "greeting_5xx", "greeting", 554, ["QUIT"]),
    "a limit for each source": (then_close(PER_SOURCE), "", "per_source_limit", "greeting", 421, None),
    "Postfix's limit for each client":
        (smtp(greeting=b"421 4.7.0 mx Error: too many connections from 10.0.0.5\r\n"), "", "per_source_limit",
         "greeting", 421, ["QUIT"]),
    "silence": (silent, "-T 1000", "greeting_silent", "greeting", 0, None),
    "one byte a second": (drip, "-T 2000", "greeting_silent", "greeting", 0, None),
    "a line of 10 MB": (flood(b"220 " + b"x" * 65532, 10 << 20), "", "reply_too_long", "greeting", 0, None),
    "an endless 250-":
        (smtp(ehlo=flood(b"250-AND ON\r\n" * 1000, 10 << 20)), "", "reply_too_long", "ehlo", 0, None),
    "NULs": (smtp(greeting=b"220 m\0x\r\n"), "", "malformed", "greeting", 0, None),
    "a code of four digits": (smtp(greeting=b"2200 mx\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "a code of two digits": (smtp(greeting=b"22\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "a code that changes": (smtp(ehlo=b"250-mx\r\n251 STARTTLS\r\n"), "", "malformed", "ehlo", 0, None),
    "HTTP": (smtp(greeting=b"HTTP/1.0 400 Bad Request\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "a greeting with more behind it":
        (smtp(greeting=b"220 mx\r\n250 too early\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "closed without a word": (then_close(b""), "", "closed_early", "greeting", 0, None),
    "closed after the banner": (then_close(b"220 mx\r\n"), "", "closed_early", "ehlo", 0, None),
    "reset after the banner": (smtp(ehlo=reset), "", "closed_early", "ehlo", 0, ["EHLO"]),
    "EHLO 502": (smtp(ehlo=b"502 5.5.1 what?\r\n"), "", "ehlo_refused", "ehlo", 502, ["EHLO", "QUIT"]),
    "EHLO 421": (smtp(ehlo=b"421 4.3.2 no\r\n"), "", "ehlo_421", "ehlo", 421, ["EHLO", "QUIT"]),
    "EHLO 450": (smtp(ehlo=b"450 4.3.2 no\r\n"), "", "ehlo_4xx", "ehlo", 450, ["EHLO", "QUIT"]),
    "no answer to EHLO": (smtp(ehlo=silent), "-T 1000", "timeout", "ehlo", 0, ["EHLO"]),
    "no STARTTLS": (smtp(ehlo=NO_TLS), "", "no_starttls", "ehlo", 250, ["EHLO", "QUIT"]),
    "words that only look like STARTTLS": (smtp(ehlo=ANONYMOUS), "", "no_starttls", "ehlo", 250, ["EHLO", "QUIT"]),
    "STARTTLS 454":
        (smtp(starttls=b"454 4.7.0 TLS not available\r\n"), "", "starttls_refused", "starttls", 454,
         ["EHLO", "STARTTLS", "QUIT"]),
    "an injection behind the 220":
        (smtp(starttls=b"220 go\r\n250-evil\r\n", handshake=silent), "", "starttls_injection", "starttls", 0,
         ["EHLO", "STARTTLS"]),
    "garbage in place of TLS":
        (smtp(handshake=garbage(b"\x00" * 2000)), "", "tls_handshake", "tls", 0, ["EHLO", "STARTTLS"]),
    "a handshake that stalls":
        (smtp(handshake=silent), "-T 1000", "timeout", "tls", 0, ["EHLO", "STARTTLS"]),
    "a handshake that is reset":
        (smtp(handshake=reset), "", "tls_handshake", "tls", 0, ["EHLO", "STARTTLS"]),
    "EHLO 502 in TLS": (smtp(ehlo_tls=b"502 no\r\n"), "", "ehlo_refused", "ehlo-tls", 502,
                        ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "QUIT"]),
    "silence after the handshake":
        (smtp(ehlo_tls=silent), "-T 1000", "timeout", "ehlo-tls", 0, None),
    "reset after the handshake":
        (smtp(ehlo_tls=reset), "", "closed_early", "ehlo-tls", 0, ["EHLO", "STARTTLS", "TLSv1.3", "EHLO"]),
    "MAIL FROM 421 (maintenance)": (smtp(mail=b"421 4.3.2 Service not available\r\n"), "", "mail_421", "mail-from", 421,
                                    ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "QUIT"]),
    "MAIL FROM 452 (back pressure)":
        (smtp(mail=b"452 4.3.1 Insufficient system resources\r\n"), "", "mail_4xx", "mail-from", 452,
         ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "QUIT"]),
    "MAIL FROM 550": (smtp(mail=b"550 5.7.1 no\r\n"), "", "mail_refused", "mail-from", 550,
                      ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "QUIT"]),
    "RSET refused": (smtp(rset=b"502 what?\r\n"), "", "ok", "done", 250, FULL),
    "no answer to QUIT": (smtp(quit_=silent), "", "ok", "done", 250, FULL),
    "closed in place of 221": (smtp(quit_=reset), "", "ok", "done", 250, FULL),
    "a negative code": (smtp(greeting=b"-220 mx\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "an empty line": (smtp(greeting=b"\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "a code that nothing follows": (smtp(greeting=b"220\r\n"), "", "ok", "done", 250, FULL),
    "a greeting 354": (smtp(greeting=b"354 go ahead\r\n"), "", "malformed", "greeting", 354, ["QUIT"]),
    "a greeting 521": (smtp(greeting=b"521 mx does not accept mail\r\n"), "", "greeting_5xx", "greeting", 521, ["QUIT"]),
    "STARTTLS 501": (smtp(starttls=b"501 5.5.4 no\r\n"), "", "starttls_refused", "starttls", 501, ["EHLO", "STARTTLS", "QUIT"]),
    "STARTTLS 250": (smtp(starttls=b"250 2.0.0 sure\r\n"), "", "starttls_refused", "starttls", 250,
                     ["EHLO", "STARTTLS", "QUIT"]),
    "EHLO 421 in TLS": (smtp(ehlo_tls=b"421 4.3.2 no\r\n"), "", "ehlo_421", "ehlo-tls", 421,
                        ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "QUIT"]),
    "no answer to MAIL FROM (a tarpit beyond the timeout)":
        (smtp(mail=silent), "-T 1000", "timeout", "mail-from", 0, ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL"]),
    "reset in place of an answer to MAIL FROM":
        (smtp(mail=reset), "", "closed_early", "mail-from", 0, ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL"]),
    "no answer to RSET": (smtp(rset=silent), "", "ok", "done", 250, FULL[:-1]),
    "a flood of junk in TLS":
        (smtp(ehlo_tls=flood(b"250-" + b"x" * 4000 + b"\r\n", 1 << 20)), "", "reply_too_long", "ehlo-tls", 0, None),
}


# what a reason leads to: the verdict, and what Exchange Online reports (field-notes 0.1)
MEANING = {
    "ok": ("up", ""), "per_source_limit": ("unknown", ""),
    "greeting_421": ("draining", "4.4.317"), "greeting_4xx": ("draining", "4.4.317"), "greeting_5xx": ("down", "4.4.317"),
    "greeting_silent": ("down", "4.4.315"), "timeout": ("down", "4.4.315"), "closed_early": ("down", "4.4.318"),
    "malformed": ("down", "4.4.317"), "reply_too_long": ("down", "4.4.317"),
    "ehlo_421": ("draining", "4.4.317"), "ehlo_4xx": ("draining", "4.4.317"), "ehlo_refused": ("down", "4.4.317"),
    "no_starttls": ("down", "4.4.317"), "starttls_refused": ("down", "4.4.317"), "starttls_injection": ("down", "4.4.317"),
    "tls_handshake": ("down", "4.4.317"),
    "mail_421": ("draining", "4.4.317"), "mail_4xx": ("draining", "4.4.317"), "mail_refused": ("down", "4.4.317"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_behaviour_of_a_server_has_its_reason(probe_once, tls_context, case):
    script, options, reason, stage, code, heard = case
    result, connection, seconds = probe(probe_once, script, options, tls_context)
    assert (result["reason"], result["stage"], result["smtp_code"]) == (reason, stage, code), result
    assert (result["verdict"], result["exo_code"]) == MEANING[reason]
    assert connection.early == b"", "spoke before the greeting"
    if heard is not None:
        assert [line.split()[0] for line in connection.heard] == heard
    timeout = int(options.split("-T ")[1]) / 1000 if "-T" in options else 3
    assert seconds < timeout + GRACE_S
    assert result["restarts"] == 0
    assert result["text"].isprintable() and len(result["text"]) < 256


def test_a_healthy_probe_ends_without_a_reset_and_says_who_it_is(probe_once, tls_context):
    result, connection, _ = probe(probe_once, smtp(), "-s mail.contoso.com", tls_context)
    assert result["reason"] == "ok"
    assert connection.ended == "closed"
    assert connection.heard[0] == "EHLO probe.example.net"
    assert connection.heard[4] == "MAIL FROM:<>"
    assert all(result[f"{stage}_ms"] >= 1 for stage in ("connect", "greeting", "tls", "total"))
    assert result["greeting_ms"] >= 90  # the peer waits 100 ms with it


def test_the_certificate_is_described_as_windows_prints_it(probe_once, tls_context):
    result, _, _ = probe(probe_once, smtp(), "", tls_context)
    shown = {key: subprocess.run(["openssl", "x509", "-in", tls_context.cert_file, "-noout", *how], check=True,
                                 capture_output=True, text=True).stdout.strip().partition("=")[2]
             for key, how in {"sha1": ["-fingerprint", "-sha1"], "not_after": ["-enddate"], "not_before": ["-startdate"]}.items()}
    spki = subprocess.run(f"openssl x509 -in {tls_context.cert_file} -noout -pubkey | openssl pkey -pubin -outform der"
                          " | openssl dgst -sha256 -r", shell=True, check=True, capture_output=True, text=True).stdout
    tls = result["tls"]
    name = 'E=pki@contoso.com, CN=mail.contoso.com, O="Contoso, Ltd", L=Seattle, S=WA, C=US'
    assert tls["subject"] == tls["issuer"] == name
    assert tls["names"] == ["mail.contoso.com", "autodiscover.contoso.com"]
    assert tls["version"] == "TLSv1.3" and tls["cipher"].startswith("TLS_")
    assert tls["sha1"] == shown["sha1"].replace(":", "").lower()
    assert tls["spki_sha256"] == spki.split()[0]
    assert tls["not_after"] == ssl.cert_time_to_seconds(shown["not_after"])
    assert tls["not_before"] == ssl.cert_time_to_seconds(shown["not_before"])


def test_an_old_tls_version_is_named_as_such_and_left_politely(probe_once, tls_context):
    with warnings.catch_warnings(action="ignore"):
        tls_context.maximum_version = ssl.TLSVersion.TLSv1
    try:
        result, connection, _ = probe(probe_once, smtp(), "", tls_context)
    finally:
        tls_context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert (result["reason"], result["text"], result["tls"]["version"]) == ("tls_version", "TLSv1", "TLSv1")
    assert connection.heard[-1] == "QUIT" and connection.ended == "closed"


def test_the_server_name_is_sent_when_asked_for(probe_once, tls_context):
    names = []
    tls_context.sni_callback = lambda _, name, __: names.append(name)
    try:
        probe(probe_once, smtp(), "-s mail.contoso.com", tls_context)
        probe(probe_once, smtp(), "", tls_context)
    finally:
        tls_context.sni_callback = None
    assert names == ["mail.contoso.com", None]


def test_a_closed_port_is_refused(probe_once):
    with socket.socket() as s:  # bound, not listening
        s.bind(("127.0.0.1", 0))
        result, = asyncio.run(run_probe(probe_once, s.getsockname()[1], ""))
    assert (result["reason"], result["stage"]) == ("refused", "connect")


def black_hole(address, port=0):
    """A listener whose queue is full: a SYN to it is not answered. Keeps its sockets alive."""
    listener = socket.socket()
    listener.bind((address, port))
    listener.listen(0)
    fillers = []
    for _ in range(2):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(listener.getsockname())
        fillers.append(s)
    return listener, fillers


def test_a_host_that_does_not_answer_is_a_connect_timeout_with_a_hint_before(probe_once):
    listener, fillers = black_hole("127.0.0.1")
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-C 700"))
    assert (result["reason"], result["stage"], result["slow"]) == ("connect_timeout", "connect", 1)
    assert 690 <= result["connect_ms"] < 1500
    del fillers


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "tls", "ehlo-tls", "mail-from"])
def test_silence_at_any_stage_is_told_while_the_probe_goes_on(probe_once, tls_context, stage):
    """A host may die in the middle: its next hop is asked then, not when the probe's time is over."""
    script = {"greeting": silent, "ehlo": smtp(ehlo=silent), "tls": smtp(handshake=silent),
              "ehlo-tls": smtp(ehlo_tls=silent), "mail-from": smtp(mail=silent)}[stage]
    result, _, _ = probe(probe_once, script, "-T 2000", tls_context)
    assert result["stage"] == stage
    assert 1 <= result["slow"] <= 8


def test_a_silent_vip_on_a_host_that_answers_is_missing(probe_once):
    listener, fillers = black_hole("127.0.0.1")
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-C 700 -f 127.0.0.2"))
    assert (result["reason"], result["text"]) == ("vip_missing", "127.0.0.2 answers")
    assert result["connect_ms"] < 1500
    del fillers


def test_a_connect_timeout_too_short_for_the_hint_still_asks_the_host(probe_once):
    listener, fillers = black_hole("127.0.0.1")
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-C 200 -f 127.0.0.2"))
    assert (result["reason"], result["slow"]) == ("vip_missing", 0)
    del fillers


def test_a_silent_vip_on_a_silent_host_is_a_connect_timeout(probe_once):
    listener, fillers = black_hole("127.0.0.1")
    other, more = black_hole("127.0.0.2", listener.getsockname()[1])
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-C 700 -f 127.0.0.2"))
    assert result["reason"] == "connect_timeout"
    del fillers, other, more


@pytest.mark.parametrize("fallback, port, reason", [("-f 127.0.0.2", "silent", "unreachable"),
                                                    ("-f 127.0.0.2", "answers", "vip_missing"),
                                                    ("", "", "unreachable"),
                                                    ("-f 255.255.255.255", "", "connect_timeout")])  # EACCES: ours
def test_where_nothing_answers_behind_a_router_the_host_is_unreachable(probe_once, fallback, port, reason):
    listener, fillers = black_hole("127.0.0.1")
    other = black_hole("127.0.0.2", listener.getsockname()[1]) if port == "silent" else None
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], f"-R -C 700 {fallback}"))
    assert (result["reason"], result["stage"]) == (reason, "connect"), result
    del fillers, other


@pytest.mark.parametrize("network", ["192.0.2", "2001:db8:2:"])
@pytest.mark.parametrize("route", ["unreachable", "prohibit", None])
def test_what_a_router_says_is_about_the_host(probe_once, network, route):
    if os.geteuid():
        pytest.skip("needs root")
    v6 = ":" in network
    near, far = (f"mxpo{os.getpid()}-{end}" for end in ("near", "far"))
    link, length = ("fd00::", 64) if v6 else ("10.0.0.", 24)
    dot = ":" if v6 else "."
    lines = [f"netns add {near}", f"netns add {far}", f"link add e0 netns {near} type veth peer name e0 netns {far}"]
    for ns, last in ((near, 1), (far, 2)):
        lines += [f"-n {ns} link set lo up", f"-n {ns} addr add {link}{last}/{length} dev e0 {'nodad' if v6 else ''}",
                  f"-n {ns} link set e0 up"]
    lines += [f"-n {near} route add {network}{dot}{'' if v6 else 0}/{length} via {link}2"]
    lines += [f"-n {far} route add {route} {network}{dot}{'' if v6 else 0}/{length}"] if route else []
    try:
        for line in lines:
            subprocess.run(["ip", *line.split()], check=True)
        for forward in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            subprocess.run(["nsenter", f"--net=/run/netns/{far}", "sysctl", "-qw", f"{forward}=1"], check=True)
        out = subprocess.run(["nsenter", f"--net=/run/netns/{near}", probe_once, "-C", "5000", "-T", "5000",
                              f"{network}{dot}1", "25"], check=True, capture_output=True, text=True, timeout=30).stdout
    finally:
        for ns in (near, far):
            subprocess.run(["ip", "netns", "del", ns])
    result = json.loads(out)
    assert (result["reason"], result["stage"]) == ("unreachable", "connect"), result


ROUTES = {"unreachable": "unreachable", "prohibit": "local_error", "blackhole": "local_error", None: "local_error"}


@pytest.mark.parametrize("route,reason", ROUTES.items(), ids=[f"route {r}" for r in ROUTES])
def test_what_routing_says_is_about_the_host_or_about_us(probe_once, route, reason):
    if os.geteuid():
        pytest.skip("needs root")
    add = f"ip route add {route} 192.0.2.0/24 && " if route else ""
    out = subprocess.run(["unshare", "--net", "sh", "-c", f"ip link set lo up && {add}exec {probe_once} 192.0.2.1 25"],
                         check=True, capture_output=True, text=True, timeout=30).stdout
    result = json.loads(out)
    assert (result["reason"], result["stage"]) == (reason, "connect"), result


def test_sockets_that_run_out_here_are_our_trouble(probe_once):
    # stdio, the loop, the child's socket and its pidfd: none is left for a probe
    out = subprocess.run(["sh", "-c", f"ulimit -n 6; exec {probe_once} -n 5 -r 2 127.0.0.1 1"], check=True,
                         capture_output=True, text=True, timeout=30).stdout
    results = [json.loads(line) for line in out.splitlines()]
    assert [(r["reason"], r["text"], r["restarts"]) for r in results] == [("local_error", "Too many open files", 0)] * 10


def test_sockets_that_run_out_in_the_child_are_our_trouble_and_end_no_other_probe(probe_once):
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        out = subprocess.run(["sh", "-c", f"ulimit -n 24; exec {probe_once} -n 40 -T 1000 127.0.0.1 "
                              f"{listener.getsockname()[1]}"], check=True, capture_output=True, text=True, timeout=30).stdout
    results = [json.loads(line) for line in out.splitlines()]
    assert {r["restarts"] for r in results} == {0}
    silent_, local = (sum(r["reason"] == reason for r in results) for reason in ("greeting_silent", "local_error"))
    assert silent_ >= 10 and local >= 10 and silent_ + local == 40, results
    assert {r["text"] for r in results if r["reason"] == "local_error"} == {"Too many open files"}


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return value


class Running:
    """probe-once against a peer that accepts and never speaks."""

    def __init__(self, probe_once, options):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.process = subprocess.Popen([probe_once, *options.split(), "127.0.0.1", str(self.listener.getsockname()[1])],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.listener.settimeout(10)
        self.connection, _ = self.listener.accept()
        self.child, = children(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.connection.close()
        self.listener.close()

    def results(self):
        out, self.err = self.process.communicate(timeout=30)
        return [json.loads(line) for line in out.splitlines()]


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
        assert 'status="signal 9"' in running.err


def test_a_probe_whose_children_are_killed_again_and_again_is_our_trouble(probe_once):
    """It begins again once and not for ever: it may be its server that ends them."""
    with Running(probe_once, "-r 2 -T 2000") as running:
        os.kill(running.child, signal.SIGKILL)
        second, = wait_for(lambda: [pid for pid in children(running.process.pid) if pid != running.child], 5, "a new child")
        running.listener.accept()  # the probe has begun again
        os.kill(second, signal.SIGKILL)
        first, other = running.results()
        assert (first["reason"], first["text"], first["verdict"]) == ("local_error", "ended", "unknown")
        assert (other["reason"], other["restarts"]) == ("greeting_silent", 2)


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
        time.sleep(2)
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
        wait_for(lambda: not alive(running.child), 5, "the child lives on")


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
