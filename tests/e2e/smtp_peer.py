# SPDX-License-Identifier: BSD-2-Clause
"""SMTP servers whose every reply is written by a test, and tests/tools/probe-once, the probe alone, run against them."""
import asyncio
import contextlib
import json
import os
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
    """The driver as it is shipped, with seccomp, then under the sanitizers."""
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
    """One connection as the peer sees it: what it received and how it ended."""

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
    """A whole server with one answer changed. If the answer is a function, it takes over the connection."""

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
    """Returns the result, the connection as the peer saw it, and the seconds."""

    async def main():
        async with Peer(script, context) as peer:
            began = time.monotonic()
            results = await run_probe(probe_once, peer.port, options)
            seconds = time.monotonic() - began
            await peer.all_ended()
            return results[0], peer.connections[0], seconds

    return asyncio.run(main())


NO_TLS = reply(250, [line for line in EHLO if line != b"STARTTLS"])


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return value


class Running:
    """probe-once with a peer that accepts and sends nothing."""

    def __init__(self, probe_once, options):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.process = subprocess.Popen([probe_once, *options.split(), "127.0.0.1", str(self.listener.getsockname()[1])],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.listener.settimeout(10)
        self.connection, _ = self.listener.accept()
        self.child, = children(self.process.pid)
        # mxlbd connects, so the child may not have reached its loop yet.
        wait_for(lambda: self.sockets_of(self.child) == 2, 10, "the child has its pair and the probe's socket")

    def sockets_of(self, pid):
        files = []
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                files.append(os.readlink(file))
        return sum(file.startswith("socket:") for file in files)

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
