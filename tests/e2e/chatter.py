#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""chatter.py KIND SECONDS RATE MAC ADDRESS [OTHER...]: what a neighbour gone mad, or taken over, sends from `lan` to a host there.

KIND "arp": ARP requests for its IPv4 ADDRESS, each from another host; "nd": the same by neighbour solicitations for its IPv6
ADDRESS; "spoof": ARP requests that say that one of OTHER has another MAC address. As many as RATE a second. Prints how many."""
import os
import random
import socket
import struct
import sys
import time


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def request(to_mac, mac, sender, target):
    return to_mac + mac + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac + sender + bytes(6) + target


def solicitation(to_mac, mac, source, target):
    body = struct.pack(">BBHI", 135, 0, 0, 0) + target + b"\x01\x01" + mac
    pseudo = source + target + struct.pack(">II", len(body), socket.IPPROTO_ICMPV6)
    body = body[:2] + struct.pack(">H", checksum(pseudo + body)) + body[4:]
    return to_mac + mac + struct.pack(">HIHBB", 0x86dd, 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255) + source + target + body


def frame(kind, to_mac, address, others):
    mac = b"\x02" + os.urandom(5)
    if kind == "nd":
        target = socket.inet_pton(socket.AF_INET6, address)
        return solicitation(to_mac, mac, target[:8] + os.urandom(8), target)
    sender = socket.inet_aton(random.choice(others)) if kind == "spoof" else b"\x0a" + os.urandom(3)
    return request(to_mac, mac, sender, socket.inet_aton(address))


def main(kind, seconds, rate, to_mac, address, *others):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind(("lan", 0))
    to_mac, sent, began = bytes.fromhex(to_mac.replace(":", "")), 0, time.monotonic()
    while (passed := time.monotonic() - began) < float(seconds):
        if sent > passed * int(rate):
            time.sleep(0.002)
            continue
        wire.send(frame(kind, to_mac, address, others))
        sent += 1
    print(sent)


main(*sys.argv[1:])
