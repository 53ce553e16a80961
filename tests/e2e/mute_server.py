#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""mute_server.py PORT [GREETING]: accepts every connection and sends nothing, or the greeting, until it is killed."""
import asyncio
import resource
import sys


async def mute(reader, writer):
    try:
        if sys.argv[2:] > [""]:
            writer.write(sys.argv[2].encode() + b"\r\n")
        await reader.read()
    except OSError:
        pass
    writer.close()


async def main(port):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = await asyncio.start_server(mute, None, port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
