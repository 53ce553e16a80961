#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A small SMTP server and sender, for machines that have no MTA: the VMs of check-devices.

    vmsmtp.py serve FILE ADDRESS...     listens on port 25 of each address, appends a line "bytes digest" per message to FILE
    vmsmtp.py send ADDRESS,N,SIZE...    sends N messages, one connection each; prints their digests; ends at the first failure
"""
import hashlib
import smtplib
import socket
import socketserver
import sys
import threading

TIMEOUT_S = 600  # of a whole message: the limit of sendall() is for all of it, and a VM without KVM is slow
FREEBIND = 15  # IP_FREEBIND; IPV6_FREEBIND is 78


class Dialogue(socketserver.StreamRequestHandler):
    timeout = TIMEOUT_S

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def body(self):
        digest, size = hashlib.sha256(), 0
        for line in iter(self.rfile.readline, b".\r\n"):
            if not line:
                return
            digest.update(line)
            size += len(line)
        with self.server.lock, open(self.server.ledger, "a", encoding="ascii") as out:
            out.write(f"{size} {digest.hexdigest()}\n")

    def handle(self):
        self.say("220 sink ESMTP")
        for line in iter(self.rfile.readline, b""):
            verb = line[:4].upper()
            if verb == b"DATA":
                self.say("354 go on")
                self.body()
            self.say({b"EHLO": "250 sink", b"QUIT": "221 bye"}.get(verb, "250 ok"))
            if verb == b"QUIT":
                return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, ledger, lock):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.ledger, self.lock = ledger, lock
        super().__init__((address, 25), Dialogue, bind_and_activate=False)
        if ":" in address:
            self.socket.setsockopt(socket.IPPROTO_IPV6, 78, 1)
        else:
            self.socket.setsockopt(socket.IPPROTO_IP, FREEBIND, 1)
        self.server_bind()
        self.server_activate()

    def handle_error(self, request, client_address):
        pass  # a probe that leaves early


def serve(ledger, addresses):
    lock = threading.Lock()
    for server in [Server(address, ledger, lock) for address in addresses]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


def send(address, n, size):
    for number in range(n):
        line = f"{number:08d} ".encode() + b"x" * 60 + b"\r\n"
        text = b"Subject: devices\r\n\r\n" + line * max(1, size // len(line))
        with smtplib.SMTP(address, 25, "client.example.net", timeout=TIMEOUT_S) as peer:
            peer.sendmail("sender@example.net", ["user@contoso.com"], text)
        print(hashlib.sha256(text).hexdigest(), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3:])
    else:
        for job in sys.argv[2:]:
            address, n, size = job.split(",")
            send(address, int(n), int(size))
