#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Badly behaved clients of every kind at a control socket, as many at once as possible: mob.py SOCKET CLIENTS SECONDS

They say nothing, half a command, a megabyte without an end, bytes that are no text, or ask for much and never read. Whoever is
sent away comes again as another. Ends after CLIENTS and SECONDS, whichever is later, or after five times SECONDS; prints a line of JSON: how many of each
kind there were, and how many were sent away.
"""
import collections
import itertools
import json
import os
import resource
import select
import socket
import sys
import time

MEGABYTE = b"show info " * 100_000
KINDS = {
    "silent": b"",
    "half": b"set server hybrid-mail/oxford-a state mai",
    "megabyte": MEGABYTE,
    "nuls": b"\0" * 4096,
    "binary": bytes(range(256)) * 16,
    "deaf": b"prompt\n" + b"show status;show stat typed;show info;" * 50 + b"\n",
    "endless": b"show info;" * 400 + b"\n",
    "unfinished": b"prompt\nshow events\nshow ev",
    "reset": b"show status\n",
}


def come(path, kind):
    """A client that has connected and sent what fits, or None if there is not even room to wait."""
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect(path)
    except BlockingIOError:
        s.close()
        return None
    try:
        s.send(KINDS[kind])
    except OSError:
        pass
    return s


def main():
    path, clients, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_NOFILE, (clients + 100, clients + 100))
    start = time.monotonic()
    kinds = itertools.cycle(KINDS)
    here, seen, gone, most = {}, collections.Counter(), 0, 0
    poll = select.epoll()
    while (sum(seen.values()) < clients or time.monotonic() < start + seconds) and time.monotonic() < start + 5 * seconds:
        kind = next(kinds)
        s = come(path, kind) if len(here) < clients else None
        if s and kind == "reset":
            s.close()
            seen[kind] += 1
        elif s:
            here[s.fileno()] = s
            poll.register(s, select.EPOLLRDHUP)
            seen[kind] += 1
        most = max(most, len(here))
        for fd, _ in poll.poll(0 if s else 0.002, 256):
            here.pop(fd).close()
            gone += 1
    print(json.dumps({"seen": seen, "sent_away": gone, "at_once": most}))
    sys.stdout.flush()
    os._exit(0)  # thousands of sockets need no orderly end


if __name__ == "__main__":
    main()
