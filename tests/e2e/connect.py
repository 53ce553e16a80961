#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""connect.py ADDRESS [EVERY_S CONNECT_S]: opens a new SMTP connection every 25 ms until SIGTERM and prints one JSON
line per connection: when it began, which server greeted, or the error and where it came. There is no time for a
retransmitted SYN: a lost one is a failure."""
import asyncio
import json
import os
import signal
import sys
import time

import in_time

SLOW = float(os.environ.get("MXLB_SLOW", "1"))
EVERY_S = 0.025 * SLOW
CONNECT_S = 0.9 * SLOW  # below the second after which Linux sends a SYN again
GREETING_S = 15 * SLOW


async def attempt(address, connect_s):
    at, server, error, stage = time.monotonic(), None, "", "connect"
    try:
        reader, writer = await in_time.connect(address, 25, connect_s)
        stage = "greeting"
        try:
            line = (await asyncio.wait_for(reader.readline(), GREETING_S)).decode(errors="replace")
            if line.startswith("220 "):
                server, stage = line.split()[1].split(".")[0], "quit"
            else:
                error = f"greeting {line!r}"
            writer.write(b"QUIT\r\n")
            await asyncio.wait_for(reader.read(), GREETING_S)
        finally:
            writer.close()
    except (asyncio.TimeoutError, OSError) as failed:
        error = error or type(failed).__name__
    print(json.dumps({"at": at, "server": server, "error": error, "stage": stage}), flush=True)


async def main(address, every_s=EVERY_S, connect_s=CONNECT_S):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    attempts = []
    begin = time.monotonic()
    while not stop.is_set():
        attempts.append(asyncio.create_task(attempt(address, connect_s)))
        wait = begin + every_s * len(attempts) - time.monotonic()
        try:
            await asyncio.wait_for(stop.wait(), max(wait, 0.001))
        except asyncio.TimeoutError:
            pass
    await asyncio.gather(*attempts)


asyncio.run(main(sys.argv[1], *map(float, sys.argv[2:])))
