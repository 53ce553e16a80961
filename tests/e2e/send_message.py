#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends one message of about SIZE bytes to ADDRESS, port 25, and prints a JSON line: the digest of its text, as a server
on Unix stores it; the longest time in which nothing new was acknowledged; and what TCP thinks of the way.

    send_message.py ADDRESS SIZE SEED
"""
import base64
import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time

POLL_S = 0.005
TIMEOUT_S = 60


def tcp_info(s):
    """struct tcp_info (linux/tcp.h)."""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    mss, = struct.unpack_from("I", info, 16)
    pmtu, = struct.unpack_from("I", info, 60)
    retransmitted, = struct.unpack_from("I", info, 100)
    acked, = struct.unpack_from("Q", info, 120)
    return {"mss": mss, "pmtu": pmtu, "retransmitted": retransmitted, "acked": acked}


def message(size, seed):
    """Random lines, none of which begins with a dot."""
    lines = base64.encodebytes(random.Random(seed).randbytes(size * 3 // 4))
    return b"From: sender@example.net\nSubject: " + seed.encode() + b"\n\n" + lines


class Stalls(threading.Thread):
    """Records the longest times without an ACK while data is unacknowledged."""

    def __init__(self, s):
        super().__init__(daemon=True)
        self.socket, self.longest, self.done = s, 0.0, threading.Event()

    def run(self):
        last, since = tcp_info(self.socket)["acked"], time.monotonic()
        while not self.done.wait(POLL_S):
            acked, now = tcp_info(self.socket)["acked"], time.monotonic()
            self.longest = max(self.longest, now - since)
            if acked != last:
                last, since = acked, now


def command(s, replies, text, code):
    if text:
        s.sendall(text.encode() + b"\r\n")
    while (line := replies.readline())[3:4] == b"-":
        pass
    if not line.startswith(code.encode()):
        sys.exit(f"{text!r}: {line!r}")


def send(address, size, seed):
    text = message(size, seed)
    wire = text.replace(b"\n", b"\r\n")
    s = socket.create_connection((address, 25), TIMEOUT_S)
    replies = s.makefile("rb")
    for words, code in (("", "220"), ("EHLO sender.example.net", "250"), ("MAIL FROM:<sender@example.net>", "250"),
                        ("RCPT TO:<user@contoso.com>", "250"), ("DATA", "354")):
        command(s, replies, words, code)
    stalls, began = Stalls(s), time.monotonic()
    sent = tcp_info(s)["acked"] + len(wire)
    stalls.start()
    s.sendall(wire)
    while tcp_info(s)["acked"] < sent:
        if time.monotonic() > began + TIMEOUT_S:
            sys.exit("not all was acknowledged")
        time.sleep(POLL_S)
    stalls.done.set()
    stalls.join()
    seconds, info = time.monotonic() - began, tcp_info(s)
    command(s, replies, ".", "250")
    command(s, replies, "QUIT", "221")
    return {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text), "seconds": seconds,
            "longest_s": stalls.longest, "port": s.getsockname()[1], **info}


print(json.dumps(send(sys.argv[1], int(sys.argv[2]), sys.argv[3])), flush=True)
