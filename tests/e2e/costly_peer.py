#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""costly_peer.py WAY PORT...: servers that cost a probe as much CPU as possible, and themselves next to nothing:
everything they send is prepared in advance, except for one RSA signature. Prints "ready"."""
import asyncio
import ctypes
import ctypes.util
import random
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

CRYPTO = ctypes.CDLL(ctypes.util.find_library("crypto"))
POINTER = ctypes.c_void_p
for name in ("BIO_new_file", "PEM_read_bio_PrivateKey", "EVP_MD_CTX_new", "EVP_sha256"):
    getattr(CRYPTO, name).restype = POINTER
HANDSHAKE, RSA_CIPHER, ECDHE_CIPHER, DHE_CIPHER = 22, 0x009c, 0xc02f, 0x009e
RECORD_MAX = 16000
CHAIN_MAX = 64 * 1024
DICE = random.Random(1)


# DER, as little of it as is needed.

def der(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def sequence(*parts):
    return der(0x30, *parts)


def integer(n):
    return der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def bit_string(data):
    return der(3, b"\0", data)


RSA = sequence(bytes.fromhex("06092a864886f70d010101 0500"))
SHA256_RSA = sequence(bytes.fromhex("06092a864886f70d01010b 0500"))
EC_KEY, PRIME_FIELD = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0101")


def certificate(key):
    """An unsigned certificate of that public key."""
    dates = sequence(der(0x17, b"200101000000Z"), der(0x17, b"490101000000Z"))
    tbs = sequence(der(0xa0, integer(2)), integer(1), SHA256_RSA, sequence(), dates, sequence(), key)
    return sequence(tbs, SHA256_RSA, bit_string(bytes(4)))


def rsa_key(bits, exponent):
    modulus = DICE.getrandbits(bits) | 1 << bits - 1 | 1
    return sequence(RSA, bit_string(sequence(integer(modulus), integer(exponent))))


def is_prime(n):
    return all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7))


def curve_key():
    """A key on a curve with explicit parameters and compressed points: a square root modulo c 2^k + 1 takes about k^2 /
    4 multiplications."""
    k = 640
    p = next(p for p in (c << k | 1 for c in range(3, 1 << 20, 2)) if is_prime(p))
    size = (p.bit_length() + 7) // 8
    x, y, a = (DICE.randrange(1, p) for _ in range(3))
    b = (y * y - x * x * x - a * x) % p
    point = der(4, b"\2" + x.to_bytes(size, "big"))
    curve = sequence(der(4, a.to_bytes(size, "big")), der(4, b.to_bytes(size, "big")))
    parameters = sequence(integer(1), sequence(PRIME_FIELD, integer(p)), curve, point, integer(p - 2))
    return sequence(sequence(EC_KEY, parameters), bit_string(b"\2" + x.to_bytes(size, "big")))


# TLS, from the server's side.

def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def records(messages):
    return b"".join(struct.pack("!BHH", HANDSHAKE, 0x0303, len(part)) + part
                    for part in (messages[i:i + RECORD_MAX] for i in range(0, len(messages), RECORD_MAX)))


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def server_hello(cipher, session=b"", extensions=b"\xff\x01\x00\x01\x00", server_random=bytes(32)):
    return message(2, b"\3\3" + server_random + vector(1, session) + struct.pack("!HB", cipher, 0) + vector(2, extensions))


def certificates(*chain):
    return message(11, vector(3, b"".join(vector(3, one) for one in chain)))


SERVER_HELLO_DONE = message(14, b"")
X25519_POINT = b"\3\0\x1d" + vector(1, b"\x09" + bytes(31))


class Signer:
    """A certificate and its RSA key of 2,048 bits."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as directory:
            key, cert = Path(directory) / "key", Path(directory) / "cert"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-keyout", key, "-outform", "DER",
                            "-out", cert, "-subj", "/CN=mail.contoso.com"], check=True, capture_output=True)
            self.certificate = cert.read_bytes()
            self.key = POINTER(CRYPTO.PEM_read_bio_PrivateKey(POINTER(CRYPTO.BIO_new_file(str(key).encode(), b"r")), None, None, None))

    def sign(self, data):
        context, size = POINTER(CRYPTO.EVP_MD_CTX_new()), ctypes.c_size_t(256)
        room = ctypes.create_string_buffer(256)
        assert CRYPTO.EVP_DigestSignInit(context, None, POINTER(CRYPTO.EVP_sha256()), None, self.key) == 1
        assert CRYPTO.EVP_DigestSign(context, room, ctypes.byref(size), data, ctypes.c_size_t(len(data))) == 1
        CRYPTO.EVP_MD_CTX_free(context)
        return room.raw[:size.value]


class Hello:
    """The client's ClientHello."""

    def __init__(self, data):
        body = data[5 + 4:]
        self.random, self.session = body[2:34], body[35:35 + body[34]]

    @staticmethod
    async def read(reader):
        head = await reader.readexactly(5)
        body = await reader.readexactly(int.from_bytes(head[3:], "big"))
        if head[0] == 20:  # change cipher spec, for middleboxes
            return await Hello.read(reader)
        if head[0] != HANDSHAKE:  # an alert: it has had enough
            raise EOFError
        return Hello(head + body)


class Dhe:
    """DHE with an odd number of 10,000 bits in place of the prime."""

    def __init__(self):
        self.signer = Signer()
        prime = (DICE.getrandbits(10000) | 1 << 9999 | 1).to_bytes(1250, "big")
        self.parameters = vector(2, prime) + vector(2, b"\2") + vector(2, prime[:-1] + b"\4")

    async def answer(self, hello, reader, writer):
        signature = self.signer.sign(hello.random + bytes(32) + self.parameters)
        writer.write(records(server_hello(DHE_CIPHER) + certificates(self.signer.certificate) +
                             message(12, self.parameters + b"\4\1" + vector(2, signature)) + SERVER_HELLO_DONE))


class RetryRequest:
    """A HelloRetryRequest for ffdhe8192: the client computes a key pair, then a shared secret."""
    FFDHE8192 = 0x0104
    RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    TLS1_3 = struct.pack("!HHH", 43, 2, 0x0304)

    def __init__(self):
        self.share = vector(2, bytes([DICE.randrange(1, 256) for _ in range(1024)]))

    async def answer(self, hello, reader, writer):
        group = struct.pack("!H", self.FFDHE8192)
        writer.write(records(server_hello(0x1301, hello.session, self.TLS1_3 + struct.pack("!H", 51) + vector(2, group), self.RETRY)))
        await Hello.read(reader)
        writer.write(records(server_hello(0x1301, hello.session, self.TLS1_3 + struct.pack("!H", 51) + vector(2, group + self.share))))


class BigKey:
    """RSA of 16,384 bits with a public exponent of 64 bits: each signature costs 127 multiplications of that size."""

    def __init__(self, bits=16384, exponent=(1 << 64) - 1):
        self.bits, self.certificate = bits, certificate(rsa_key(bits, exponent))

    async def answer(self, hello, reader, writer):
        writer.write(records(server_hello(ECDHE_CIPHER) + certificates(self.certificate) +
                             message(12, X25519_POINT + b"\4\1" + vector(2, bytes([0x40]) * (self.bits // 8))) + SERVER_HELLO_DONE))


class Chain:
    """64 KiB of certificates whose keys are on a curve with explicit parameters."""

    def __init__(self, size=CHAIN_MAX):
        one = certificate(curve_key())
        self.said = records(server_hello(ECDHE_CIPHER) + certificates(*[one] * ((size - 100) // (len(one) + 3))) + SERVER_HELLO_DONE)

    async def answer(self, hello, reader, writer):
        writer.write(self.said)


class HelloRequests:
    """An endless handshake of HelloRequests, which a client skips."""
    SAID = records(message(0, b"") * 4000)

    async def answer(self, hello, reader, writer):
        while not writer.is_closing():
            writer.write(self.SAID)
            await writer.drain()


class Trickle:
    """A ServerHello in segments of one byte, sent as fast as possible."""
    SAID = server_hello(RSA_CIPHER) + certificates(*[bytes(1000)] * 60)

    async def answer(self, hello, reader, writer):
        for byte in records(self.SAID):
            if writer.is_closing():
                return
            writer.write(bytes([byte]))
            await asyncio.sleep(0)


WAYS = {"DHE of 10,000 bits": Dhe, "ffdhe8192 by HelloRetryRequest": RetryRequest, "RSA key of 16,384 bits": BigKey,
        "64 KiB of odd curves": Chain, "endless HelloRequests": HelloRequests, "segments of one byte": Trickle}


def serving(way):
    """A callback of asyncio.start_server(): the dialogue up to STARTTLS, then the expensive part."""
    async def serve(reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            writer.write(b"220 mx.contoso.com ESMTP\r\n")
            while not (line := await reader.readuntil(b"\r\n")).startswith(b"STARTTLS"):
                writer.write({b"EHLO": b"250-mx\r\n250 STARTTLS\r\n", b"QUIT": b"221 bye\r\n"}.get(line[:4].upper(), b"250 ok\r\n"))
                if line[:4] == b"QUIT":
                    return
            writer.write(b"220 go\r\n")
            await way.answer(await Hello.read(reader), reader, writer)
            await reader.read()
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
    return serve


async def main(way, ports):
    serve = serving(WAYS[way]())
    servers = [await asyncio.start_server(serve, None, port) for port in ports]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [int(port) for port in sys.argv[2:]]))
