#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds SMTP sessions to ADDRESS open and reports what happens to each. A line on stdin is a command, the answer one
line: a JSON list of all sessions.

    smtp_sessions.py ADDRESS SEED

    open IDLE BUSY EVERY  more sessions, with EHLO done; busy ones send NOOPs, every so often (0: never) a whole message
    report                nothing but the answer
    noop                  a NOOP on each idle session
    quit [PORT...]        QUIT on these sessions or on all; whoever is let go in peace has the error ""
    cpu N                 go on on this CPU

A session's "error" is null while it lives; "at" is the wall clock's time at which it broke, in seconds.
"""
import asyncio
import json
import os
import random
import socket
import sys
import time

ANSWER_S = 40 * float(os.environ.get("MXLB_SLOW", "1"))  # under a flood a segment may have to be sent again and again
PACE_S = 0.02  # mean time between a busy session's commands
AT_ONCE = 50  # sessions that are being opened: below what a listen queue holds
MAIL = (("MAIL FROM:<sender@example.net>", 250), ("RCPT TO:<user@contoso.com>", 250), ("DATA", 354),
        ("Subject: flow\r\n\r\n" + ("x" * 70 + "\r\n") * 25 + ".", 250))


class Broken(Exception):
    pass


class Session:
    def __init__(self, busy, mail_every, rng):
        self.busy, self.mail_every, self.rng = busy, mail_every, rng
        self.port = self.server = self.error = self.at = None
        self.noops = self.mails = 0
        self.replies = asyncio.Queue()
        self.expecting = self.stopping = False
        self.tasks = []

    def report(self):
        return {"busy": self.busy, "port": self.port, "server": self.server, "noops": self.noops, "mails": self.mails,
                "error": self.error, "at": self.at}

    def breaks(self, error):
        if self.error is None:
            self.error, self.at = error, time.time()
        self.replies.put_nowait(None)

    async def read(self, reader):
        """One task reads for the session's whole life, so that an idle one's end is seen when it comes."""
        try:
            while line := (await reader.readline()).decode(errors="replace"):
                if not self.expecting:
                    return self.breaks(f"unasked {line!r}")
                if line[3:4] != "-":
                    self.replies.put_nowait(line)
            self.breaks("closed")
        except OSError as failed:
            self.breaks(type(failed).__name__)

    async def reply(self, code):
        try:
            line = await asyncio.wait_for(self.replies.get(), ANSWER_S)
        except asyncio.TimeoutError:
            self.breaks("no answer")
            line = None
        if line is None:
            raise Broken
        if not line.startswith(str(code)):
            self.breaks(f"reply {line!r}")
            raise Broken
        return line

    async def command(self, text, code=250):
        self.expecting = True
        self.writer.write(text.encode() + b"\r\n")
        await self.reply(code)
        self.expecting = False

    async def open(self, address):
        try:
            reader, self.writer = await asyncio.wait_for(asyncio.open_connection(address, 25), ANSWER_S)
            # a connection that was reset meanwhile has no socket any more
            self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, asyncio.TimeoutError) as failed:
            return self.breaks(f"connect: {type(failed).__name__}")
        self.port = self.writer.get_extra_info("sockname")[1]
        self.expecting = True
        self.tasks.append(asyncio.create_task(self.read(reader)))
        try:
            self.server = (await self.reply(220)).split()[1].split(".")[0]
            await self.command("EHLO sender.example.net")
        except Broken:
            return
        if self.busy:
            self.work = asyncio.create_task(self.talk())
            self.tasks.append(self.work)

    async def talk(self):
        try:
            while not self.stopping:
                await asyncio.sleep(self.rng.uniform(0, 2 * PACE_S))
                if self.mail_every and not self.rng.randrange(self.mail_every):
                    for text, code in MAIL:
                        await self.command(text, code)
                    self.mails += 1
                else:
                    await self.command("NOOP")
                    self.noops += 1
        except Broken:
            pass

    async def noop(self):
        if self.busy or self.error is not None:
            return
        try:
            await self.command("NOOP")
            self.noops += 1
        except Broken:
            pass

    async def quit(self):
        self.stopping = True
        if self.busy and self.error is None:
            await self.work
        if self.error is not None:
            return
        try:
            await self.command("QUIT", 221)
            self.error = ""
            self.writer.close()
        except Broken:
            pass


async def open_more(sessions, address, seed, idle, busy, mail_every):
    new = [Session(i < busy, mail_every, random.Random(f"{seed} {len(sessions) + i}")) for i in range(idle + busy)]
    sessions.extend(new)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(session):
        async with gate:
            await session.open(address)
    await asyncio.gather(*map(one, new))


async def main(address, seed):
    sessions = []
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode():
        word, *numbers = line.split()
        if word == "open":
            await open_more(sessions, address, seed, *map(int, numbers))
        elif word == "cpu":
            os.sched_setaffinity(0, set(map(int, numbers)))
        elif word == "noop":
            await asyncio.gather(*(s.noop() for s in sessions))
        elif word == "quit":
            await asyncio.gather(*(s.quit() for s in sessions if not numbers or str(s.port) in numbers))
        print(json.dumps([s.report() for s in sessions]), flush=True)
    for session in sessions:
        for task in session.tasks:
            task.cancel()


asyncio.run(main(sys.argv[1], sys.argv[2]))
