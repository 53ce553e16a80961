#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""dns_peer.py ADDRESS PORT UPSTREAM MODE-FILE: a resolver that hands questions to UPSTREAM and lies as the file says, by UDP and
TCP. The file is read for each question; what it may name are the functions of MODES. MODE-FILE.unanswered: when each question that
it left without an answer first came."""
import asyncio
import random
import struct
import sys
import time
from pathlib import Path

HEADER, TC, ANSWER = 12, 0x0200, 0x8180
A, CNAME, AAAA = 1, 5, 28
DELAY_S = 7  # mxlbd waits for 5 s
seed = random.Random(1)


def question(query):
    """The question's name, type and class as bytes."""
    end = query.index(b"\0", HEADER) + 5
    return query[HEADER:end]


def kind_of(query):
    return struct.unpack(">H", question(query)[-4:-2])[0]


def reply(query, records, flags=ANSWER, count=None):
    asked = question(query)
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(records) if count is None else count, 0, 0) + asked + b"".join(records)


def record(name, kind, data, ttl=1):
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def name_of(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


HERE = b"\xc0\x0c"  # a pointer to the question's name


def flip(answer):
    """One bit in the middle of the last A record, whose signature then is wrong; or in the middle of the answer."""
    at = answer.rfind(struct.pack(">HH", A, 1), HEADER + 20)
    at = at + 12 if at > 0 and at + 13 < len(answer) else len(answer) // 2
    return answer[:at] + bytes([answer[at] ^ 0x10]) + answer[at + 1:]


def cname_chain(query, _):
    return reply(query, [record(HERE, CNAME, name_of(f"{seed.randbytes(6).hex()}.hybrid.example.net"))])


def cname_circle(query, _):
    a, b = name_of("a.example.net"), name_of("b.example.net")
    return reply(query, [record(HERE, CNAME, a), record(a, CNAME, b), record(b, CNAME, a)])


def pointer_circle(query, _):
    at = HEADER + len(question(query))
    loop = struct.pack(">H", 0xc000 | at)
    return reply(query, [record(loop, A, b"\xcb\0\x71\x0b")])


def pointer_away(query, _):
    return reply(query, [record(struct.pack(">H", 0xffff - n), A, b"\xcb\0\x71\x0b") for n in range(25)])


def huge(query, _):
    one = record(HERE, 15, b"\0\x0a" + name_of("oxford-z.hybrid.example.net"))
    n = (65535 - HEADER - len(question(query))) // len(one)
    return reply(query, [one] * n)


MODES = {
    "honest": lambda query, answer: answer,
    "garbage": lambda query, answer: seed.randbytes(seed.randrange(1, 600)),
    "garbage behind the id": lambda query, answer: query[:2] + seed.randbytes(seed.randrange(1, 600)),
    "garbage behind the question": lambda query, answer: reply(query, [seed.randbytes(400)], count=7),
    "cut off": lambda query, answer: answer[:HEADER + (len(answer) - HEADER) * 2 // 3],
    "header only": lambda query, answer: answer[:HEADER],
    "wrong id": lambda query, answer: bytes([answer[0] ^ 1]) + answer[1:],
    "wrong question": lambda query, answer: answer.replace(b"\x06hybrid", b"\x06hybrix"),
    "wrong signature": lambda query, answer: flip(answer),
    "not signed": lambda query, answer: reply(query, [record(HERE, A, b"\xcb\0\x71\x63")]),
    "empty": lambda query, answer: reply(query, []),
    "no such name": lambda query, answer: reply(query, [], ANSWER | 3),
    "refused": lambda query, answer: reply(query, [], ANSWER | 5),
    "endless aliases": cname_chain,
    "aliases in a circle": cname_circle,
    "pointers in a circle": pointer_circle,
    "pointers to nowhere": pointer_away,
    "64 KiB": huge,
    "late": lambda query, answer: answer,
    "silent": lambda query, answer: None,
    "silent about addresses": lambda query, answer: None if kind_of(query) in (A, AAAA) else answer,
    "TCP only": lambda query, answer: answer,
}


async def ask_upstream(upstream, query):
    try:
        reader, writer = await asyncio.open_connection(upstream, 53)
        writer.write(struct.pack(">H", len(query)) + query)
        size, = struct.unpack(">H", await reader.readexactly(2))
        answer = await reader.readexactly(size)
        writer.close()
        return answer
    except (OSError, asyncio.IncompleteReadError):
        return reply(query, [], ANSWER | 2)


async def answer_to(settings, query):
    mode = settings.file.read_text().strip()
    if mode == "late":
        await asyncio.sleep(DELAY_S)
    answer = MODES[mode](query, await ask_upstream(settings.upstream, query))
    if answer is None:
        settings.note_unanswered(question(query).lower())
    return mode, answer


class Udp(asyncio.DatagramProtocol):
    def __init__(self, settings):
        self.settings = settings

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        asyncio.ensure_future(self.answer(data, addr))

    async def answer(self, query, addr):
        mode, data = await answer_to(self.settings, query)
        if data and (len(data) > 1232 or mode in ("TCP only", "64 KiB")):
            data = reply(query, [], ANSWER | TC)
        if data:
            self.transport.sendto(data, addr)


async def tcp(settings, reader, writer):
    try:
        while True:
            size, = struct.unpack(">H", await reader.readexactly(2))
            _, data = await answer_to(settings, await reader.readexactly(size))
            if not data:
                break
            writer.write(struct.pack(">H", len(data)) + data)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    writer.close()


class Settings:
    def __init__(self, upstream, file):
        self.upstream, self.file = upstream, Path(file)
        self.unanswered = set()

    def note_unanswered(self, asked):
        if asked not in self.unanswered:
            self.unanswered.add(asked)
            with self.file.with_suffix(".unanswered").open("a") as log:
                log.write(f"{time.monotonic()}\n")


async def main(address, port, upstream, file):
    settings = Settings(upstream, file)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Udp(settings), local_addr=(address, int(port)))
    server = await asyncio.start_server(lambda r, w: tcp(settings, r, w), address, int(port))
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
