#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""hold_sessions.py ADDRESS PORT N: opens N connections to a silent server and holds them. For each line on stdin it
sends a byte on each of them, and prints a JSON line: how many are open and what happened to the others."""
import asyncio
import json
import resource
import socket
import sys
from collections import Counter

AT_ONCE = 200
ANSWER_S = 1.5  # after a byte: what does not know the connection has sent a reset by then


async def opened(address, port, gate):
    async with gate:
        try:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            s.setblocking(False)
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(s, (address, port)), 20)
            return s
        except (OSError, asyncio.TimeoutError) as failed:
            return type(failed).__name__


def state(s):
    """None while the session lives."""
    try:
        return None if s.recv(1) else "closed"
    except BlockingIOError:
        return None
    except OSError as failed:
        return type(failed).__name__


async def main(address, port, n):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gate = asyncio.Semaphore(AT_ONCE)
    sockets = await asyncio.gather(*(opened(address, port, gate) for _ in range(n)))

    def report():
        ends = Counter(s if isinstance(s, str) else state(s) for s in sockets)
        print(json.dumps({"open": ends.pop(None, 0), "ended": ends}), flush=True)
    report()
    while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        for s in sockets:
            if not isinstance(s, str):
                try:
                    s.send(b"x")
                except OSError:
                    pass  # the report shows it
        await asyncio.sleep(ANSWER_S)
        report()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
