#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""broken_servers.py ORDERS: SMTP servers, each broken in its own way (SCRIPTS), on the ports of a JSON file:

    {PORT: {"script": NAME, "chain": CERTIFICATES, "key": FILE, "tls": "1.1"}}

The last three may be missing. Prints "ready" when all listen.
"""
import asyncio
import json
import ssl
import sys
import warnings

from smtp_peer import EHLO, PER_SOURCE, Connection, flood, garbage, reply, silent, smtp, then_close

PLAIN = reply(250, [line for line in EHLO if line != b"STARTTLS"])
SCRIPTS = {
    "good": smtp(),
    "good without TLS": smtp(ehlo=PLAIN),
    "greeting_421": smtp(greeting=b"421 4.3.2 Service not available, closing transmission channel\r\n"),
    "greeting_4xx": smtp(greeting=b"450 4.3.2 Insufficient system resources\r\n"),
    "greeting_5xx": smtp(greeting=b"554 5.3.2 This host is shut down\r\n"),
    "greeting_silent": silent,
    "closed_early": then_close(b""),
    "malformed": smtp(greeting=b"SSH-2.0-OpenSSH_9.2\r\n"),
    "reply_too_long": flood(b"220-" + b"x" * 60 + b"\r\n", 1 << 20),
    "ehlo_421": smtp(ehlo=b"421 4.3.2 Service not available\r\n"),
    "ehlo_4xx": smtp(ehlo=b"451 4.3.0 Server local error\r\n"),
    "ehlo_refused": smtp(ehlo=b"554 5.3.2 In maintenance\r\n"),
    "no_starttls": smtp(ehlo=PLAIN),
    "starttls_refused": smtp(starttls=b"454 4.7.0 TLS not available\r\n"),
    "starttls_injection": smtp(starttls=b"220 go\r\n250-evil\r\n", handshake=silent),
    "garbage": smtp(handshake=garbage(bytes(1000))),
    "timeout": smtp(handshake=silent),
    "mail_421": smtp(mail=b"421 4.3.2 Service not available\r\n"),
    "mail_4xx": smtp(mail=b"452 4.3.1 Insufficient system resources\r\n"),
    "mail_refused": smtp(mail=b"554 5.3.1 Out of disk\r\n"),
    "sender_refused": smtp(mail=b"554 5.1.0 Sender Denied\r\n"),
    "source_refused": smtp(greeting=b"554 5.7.1 Client host rejected: Access denied\r\n"),
    "tls_required": smtp(ehlo=PLAIN, mail=b"530 5.7.0 Must issue a STARTTLS command first\r\n"),
    "greylisted": smtp(mail=b"450 4.2.0 Greylisted, try again\r\n"),
    "per_source_limit": smtp(greeting=PER_SOURCE),
    "proxy_expected": smtp(greeting=b"554 5.5.0 PROXY protocol error\r\n"),
}


def context_of(order):
    if "chain" not in order:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        if order.get("tls") == "1.1":
            context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(order["chain"], order["key"])
    return context


def serve(order):
    script, context = SCRIPTS[order["script"]], context_of(order)

    async def one(reader, writer):
        try:
            await script(Connection(reader, writer, context))
            await reader.read()
        except (EOFError, OSError, ssl.SSLError, KeyError):  # KeyError: a command that the script does not know
            pass
        finally:
            writer.transport.abort()
    return one


async def main(file):
    with open(file) as f:
        orders = json.load(f)
    for port, order in orders.items():
        await asyncio.start_server(serve(order), "0.0.0.0", int(port), backlog=64)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
