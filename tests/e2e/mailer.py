#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""mailer.py ADDRESS EVERY_S: delivers a message of 2 KB on a new connection at this interval until SIGTERM; one JSON
line each: begin, end, which server greeted, and the error ("": the message was accepted)."""
import asyncio
import json
import signal
import sys
import time

import in_time

CONNECT_S = 0.9  # below the second after which Linux sends a SYN again
ANSWER_S = 15
BODY = "Subject: evidence\r\n\r\n" + ("x" * 70 + "\r\n") * 28 + "."
DIALOGUE = (("EHLO sender.example.net", "250"), ("MAIL FROM:<sender@example.net>", "250"), ("RCPT TO:<user@contoso.com>", "250"),
            ("DATA", "354"), (BODY, "250"))


async def deliver(reader, writer, note):
    async def reply(code):
        line = (await asyncio.wait_for(reader.readline(), ANSWER_S)).decode(errors="replace")
        while line[3:4] == "-":
            line = (await asyncio.wait_for(reader.readline(), ANSWER_S)).decode(errors="replace")
        if not line.startswith(code):
            raise ValueError(line.strip() or "closed")
        return line

    note["server"] = (await reply("220")).split()[1].split(".")[0]
    for text, code in DIALOGUE:
        writer.write(text.encode() + b"\r\n")
        await reply(code)


async def attempt(address):
    note = {"at": time.monotonic(), "server": None, "error": ""}
    try:
        reader, writer = await in_time.connect(address, 25, CONNECT_S)
        try:
            await deliver(reader, writer, note)
        finally:
            writer.write(b"QUIT\r\n")
            writer.close()
    except (asyncio.TimeoutError, OSError, ValueError) as failed:
        note["error"] = f"{type(failed).__name__}: {failed}"
    note["end"] = time.monotonic()
    print(json.dumps(note), flush=True)


async def main(address, every_s):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    attempts, begin = [], time.monotonic()
    while not stop.is_set():
        attempts.append(asyncio.create_task(attempt(address)))
        wait = begin + every_s * len(attempts) - time.monotonic()
        try:
            await asyncio.wait_for(stop.wait(), max(wait, 0.001))
        except asyncio.TimeoutError:
            pass
    await asyncio.gather(*attempts)


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
