# SPDX-License-Identifier: BSD-2-Clause
"""A TCP connection within a time that has no room for a second SYN."""
import asyncio
import socket
import struct

ESTABLISHED = 1  # include/net/tcp_states.h
STATE, TOTAL_RETRANS = 0, 100  # offsets in struct tcp_info of linux/tcp.h


def established_at_once(sock):
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TOTAL_RETRANS + 4)
    return info[STATE] == ESTABLISHED and struct.unpack_from("=I", info, TOTAL_RETRANS)[0] == 0


async def connect(address, port, seconds):
    """Reader and writer, or asyncio.TimeoutError. A process that waits for a CPU reads the answer late: the kernel decides."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, (address, port)), seconds)
        except asyncio.TimeoutError:
            if not established_at_once(sock):
                raise
        return await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise
