#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends MESSAGES unique messages, evenly over SECONDS, each until a server has accepted it, and prints one JSON line
per attempt. What a sender can know about an attempt:

    accepted    250 to the final dot: now the server answers for it
    refused     a 4xx, no connection, or lost before the final dot: not taken, try again
    ambiguous   the final dot was sent and no answer came: taken or not, try again
    permanent   a 5xx: a real sender would give up

    ledger.py SEED MESSAGES SECONDS GIVE_UP_S CERTIFICATE ADDRESS...

Message n goes to ADDRESS n, round and round. "tls:" before an address: by STARTTLS, and the certificate must be good.
"""
import asyncio
import json
import random
import ssl
import sys
import time

AT_ONCE = 400  # senders: more than begin in REPLY_S, so that those who wait for one server keep none from another
CONNECT_S, REPLY_S = 4, 15
PAUSE_S = (0.2, 1.5)  # between attempts
BIG_EVERY, BIG, SMALL = 40, 200_000, 4000  # bytes
NAME = "mail.contoso.com"


class Refused(Exception):
    """A refusal, with the text of the server that refused."""


class Sender:
    """One attempt to send one message."""

    def __init__(self, message_id, text, address, context):
        self.id, self.text, self.address, self.context = message_id, text, address, context
        self.stage, self.server, self.greeted, self.dotted = "connect", None, None, False

    async def reply(self):
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), REPLY_S)).decode(errors="replace")
            if not line.endswith("\n"):
                raise ConnectionResetError("closed")
            lines.append(line.rstrip())
            if line[3:4] != "-":
                return lines

    async def command(self, stage, text, code):
        self.stage = stage
        self.dotted = self.dotted or stage == "dot"
        if text:
            self.writer.write(text)
            await asyncio.wait_for(self.writer.drain(), REPLY_S)
        lines = await self.reply()
        if not lines[-1].startswith(code):
            raise Refused(lines[-1])
        return lines

    async def greet(self):
        self.server = (await self.command("greeting", b"", "220"))[0].split()[1].split(".")[0]
        self.greeted = time.time()
        await self.command("ehlo", b"EHLO ledger.example.net\r\n", "250")
        if self.context:
            await self.command("starttls", b"STARTTLS\r\n", "220")
            self.stage = "tls"
            await asyncio.wait_for(self.writer.start_tls(self.context, server_hostname=NAME), REPLY_S)
            await self.command("ehlo", b"EHLO ledger.example.net\r\n", "250")

    async def deliver(self):
        self.reader, self.writer = await asyncio.wait_for(asyncio.open_connection(self.address, 25), CONNECT_S)
        try:
            await self.greet()
            await self.command("mail", b"MAIL FROM:<sender@example.net>\r\n", "250")
            await self.command("rcpt", b"RCPT TO:<user@contoso.com>\r\n", "250")
            await self.command("data", b"DATA\r\n", "354")
            self.stage = "text"
            self.writer.write(self.text)
            await asyncio.wait_for(self.writer.drain(), REPLY_S)
            await self.command("dot", b".\r\n", "250")
            self.writer.write(b"QUIT\r\n")
        finally:
            self.writer.close()

    async def attempt(self):
        """What the sender knows afterwards, and why."""
        try:
            await self.deliver()
            return "accepted", ""
        except Refused as refused:
            return ("permanent" if str(refused).startswith("5") else "refused"), str(refused)
        except (OSError, asyncio.TimeoutError, ssl.SSLError) as failed:
            return ("ambiguous" if self.dotted else "refused"), type(failed).__name__


def message(message_id, rng, n):
    size = BIG if n % BIG_EVERY == BIG_EVERY - 1 else rng.randrange(200, SMALL)
    lines = "".join(f"{rng.getrandbits(280):070x}\r\n" for _ in range(size // 72))
    return (f"From: sender@example.net\r\nTo: user@contoso.com\r\nMessage-ID: <{message_id}@ledger>\r\n"
            f"Subject: {n}\r\n\r\n{lines}").encode()


class Ledger:
    def __init__(self, seed, messages, seconds, give_up_s, certificate, addresses):
        self.seed, self.n, self.seconds, self.addresses = seed, messages, seconds, addresses
        self.began = time.monotonic()
        self.give_up = self.began + seconds + give_up_s
        self.context = ssl.create_default_context(cafile=certificate)
        self.places = asyncio.Semaphore(AT_ONCE)

    async def one(self, n):
        rng = random.Random(f"{self.seed} {n}")
        await asyncio.sleep(max(0, self.began + self.seconds * n / self.n - time.monotonic()))
        message_id, address = f"{self.seed}-{n}", self.addresses[n % len(self.addresses)]
        text, secure = message(message_id, rng, n), address.startswith("tls:")
        outcome = None
        while outcome not in ("accepted", "permanent") and time.monotonic() < self.give_up:
            async with self.places:
                sender = Sender(message_id, text, address.removeprefix("tls:"), self.context if secure else None)
                at, begun = time.time(), time.monotonic()
                outcome, why = await sender.attempt()
            print(json.dumps({"id": message_id, "address": address, "at": at, "seconds": time.monotonic() - begun,
                              "outcome": outcome, "why": why, "stage": sender.stage, "server": sender.server,
                              "greeted": sender.greeted}), flush=True)
            await asyncio.sleep(rng.uniform(*PAUSE_S))

    async def run(self):
        await asyncio.gather(*(self.one(n) for n in range(self.n)))


async def main(seed, messages, seconds, give_up_s, certificate, *addresses):
    await Ledger(seed, int(messages), float(seconds), float(give_up_s), certificate, addresses).run()


asyncio.run(main(*sys.argv[1:]))
