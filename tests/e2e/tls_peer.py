# SPDX-License-Identifier: BSD-2-Clause
"""A misbehaving TLS server: OpenSSL by ctypes, because Python's ssl cannot send a KeyUpdate, a ticket or a
HelloRequest on demand. Bytes in, bytes out; the socket is the caller's."""
import ctypes
import ctypes.util

SSL = ctypes.CDLL(ctypes.util.find_library("ssl"))
CRYPTO = ctypes.CDLL(ctypes.util.find_library("crypto"))
POINTER = ctypes.c_void_p
for library, names in ((SSL, ("TLS_server_method", "SSL_CTX_new", "SSL_new")), (CRYPTO, ("BIO_new", "BIO_s_mem"))):
    for name in names:
        getattr(library, name).restype = POINTER
FILETYPE_PEM, CTRL_SET_MIN, CTRL_SET_MAX, KEY_UPDATE_REQUESTED = 1, 123, 124, 1


class TlsServer:
    def __init__(self, certificate, key, version=None):
        self.context = POINTER(SSL.SSL_CTX_new(POINTER(SSL.TLS_server_method())))
        assert SSL.SSL_CTX_use_certificate_chain_file(self.context, str(certificate).encode()) == 1
        assert SSL.SSL_CTX_use_PrivateKey_file(self.context, str(key).encode(), FILETYPE_PEM) == 1
        if version:
            for what in (CTRL_SET_MIN, CTRL_SET_MAX):
                SSL.SSL_CTX_ctrl(self.context, what, ctypes.c_long(version), None)
        self.ssl = POINTER(SSL.SSL_new(self.context))
        self.incoming, self.outgoing = (POINTER(CRYPTO.BIO_new(POINTER(CRYPTO.BIO_s_mem()))) for _ in range(2))
        SSL.SSL_set_bio(self.ssl, self.incoming, self.outgoing)
        SSL.SSL_set_accept_state(self.ssl)

    def __del__(self):
        SSL.SSL_free(self.ssl)
        SSL.SSL_CTX_free(self.context)

    def feed(self, data):
        CRYPTO.BIO_write(self.incoming, data, len(data))

    def drain(self):
        pieces, room = [], ctypes.create_string_buffer(65536)
        while (n := CRYPTO.BIO_read(self.outgoing, room, len(room))) > 0:
            pieces.append(room.raw[:n])
        return b"".join(pieces)

    def shake_hands(self):
        """Returns True when the handshake is complete."""
        return SSL.SSL_do_handshake(self.ssl) == 1

    def read(self):
        room = ctypes.create_string_buffer(4096)
        return room.raw[:max(SSL.SSL_read(self.ssl, room, len(room)), 0)]

    def write(self, data):
        assert SSL.SSL_write(self.ssl, data, len(data)) == len(data)

    def update_keys(self):
        assert SSL.SSL_key_update(self.ssl, KEY_UPDATE_REQUESTED) == 1
        SSL.SSL_do_handshake(self.ssl)

    def send_ticket(self):
        assert SSL.SSL_new_session_ticket(self.ssl) == 1
        SSL.SSL_do_handshake(self.ssl)

    def ask_to_renegotiate(self):
        SSL.SSL_renegotiate(self.ssl)
        SSL.SSL_do_handshake(self.ssl)


def handshake(certificate, key, then, version=None):
    """For a peer's handshake= argument: the handshake of a correct server, then then(connection, server, send)."""

    async def script(c):
        server = TlsServer(certificate, key, version)

        async def send():
            c.writer.write(server.drain())
            await c.writer.drain()

        while not server.shake_hands():
            await send()
            data = await c.reader.read(65536)
            if not data:
                raise EOFError
            server.feed(data)
        await send()
        await then(c, server, send)

    return script


async def serve(c, server, send):
    """The rest of a sound dialogue."""
    while True:
        while not (line := server.read()):
            await send()  # reading may have led to an alert
            data = await c.reader.read(65536)
            if not data:
                raise EOFError
            server.feed(data)
        server.write(b"250-mx\r\n250 STARTTLS\r\n" if line.startswith(b"EHLO") else b"221 bye\r\n" if line.startswith(b"QUIT")
                     else b"250 ok\r\n")
        await send()
        if line.startswith(b"QUIT"):
            return c.close()
