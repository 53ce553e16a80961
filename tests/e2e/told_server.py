#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""told_server.py NAME ORDERS: an SMTP server on port 25 whose replies are in a file, as JSON, read at each connection:

    {"probe": {STAGE: REPLY}, "all": {STAGE: REPLY}, "wait": seconds before the greeting,
     "stall": seconds in which it does nothing at all, after it has refused the first probe by IPv4}

STAGE is greeting, ehlo, mail; "probe" is for connections of the balancer's own address, "all" for every connection.
REPLY is a line; "" is silence. A greeting that is not 220 ends the connection.
"""
import asyncio
import json
import os
import socket
import sys
import time

LB = ("203.0.113.5", "::ffff:203.0.113.5", "2001:db8:113::5")
USUAL = {"ehlo": "250 mx", "helo": "250 mx", "mail": "250 2.1.0 ok", "rcpt": "250 2.1.5 ok", "data": "354 go", "rset": "250 ok",
         "noop": "250 ok", "quit": "221 bye"}


def orders(file, peer):
    with open(file) as f:
        told = json.load(f)
    return {**told.get("all", {}), **(told.get("probe", {}) if peer in LB else {})}, told.get("wait", 0), told.get("stall", 0)


STALLED = set()  # the orders by which it has


def stall(file, seconds):
    if os.stat(file).st_mtime_ns not in STALLED:
        STALLED.add(os.stat(file).st_mtime_ns)
        time.sleep(seconds)


async def talk(name, file, reader, writer):
    peer = writer.get_extra_info("peername")[0]
    told, wait, stall_s = orders(file, peer)

    async def say(text):
        if text == "":
            await reader.read()
            raise EOFError
        writer.write(text.encode() + b"\r\n")
        await writer.drain()
        if text[0] in "45" and peer in LB[:2]:
            stall(file, stall_s)

    await asyncio.sleep(wait)
    greeting = told.get("greeting", f"220 {name} ESMTP told")
    await say(greeting)
    if not greeting.startswith("220"):
        return
    while line := await reader.readline():
        verb = line.split()[0].decode().lower() if line.split() else ""
        if verb not in USUAL:
            await say("500 5.5.1 what?")
            continue
        await say(told.get(verb, USUAL[verb]))
        if verb == "data":
            await reader.readuntil(b"\r\n.\r\n")
            await say("250 2.0.0 taken")
        elif verb == "quit":
            return


async def main(name, file):
    async def one(reader, writer):
        try:
            await talk(name, file, reader, writer)
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
    server = socket.socket(socket.AF_INET6)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", 25))
    served = await asyncio.start_server(one, sock=server, backlog=512)
    print("ready", flush=True)
    await served.serve_forever()


asyncio.run(main(*sys.argv[1:]))
