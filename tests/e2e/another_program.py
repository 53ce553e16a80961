# SPDX-License-Identifier: BSD-2-Clause
"""Makes mxlb blind: another program in its place."""
import contextlib
import ctypes
import os
import struct
from pathlib import Path

BPF_SYSCALL, OBJ_GET, PROG_GET_FD_BY_ID, GET_INFO_BY_FD, LINK_UPDATE = 321, 7, 13, 15, 29


def bpf(command, attributes):
    attributes = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    number = ctypes.CDLL(None, use_errno=True).syscall(BPF_SYSCALL, command, attributes, 128)
    assert number >= 0, os.strerror(ctypes.get_errno())
    return number


def pinned(path):
    name = ctypes.create_string_buffer(str(path).encode())
    return bpf(OBJ_GET, struct.pack("Q", ctypes.addressof(name)))


def program_of(link):
    info = ctypes.create_string_buffer(64)  # struct bpf_link_info: type, id, prog_id
    bpf(GET_INFO_BY_FD, struct.pack("IIQ", link, 64, ctypes.addressof(info)))
    return bpf(PROG_GET_FD_BY_ID, struct.pack("I", struct.unpack_from("III", info)[2]))


@contextlib.contextmanager
def another_program(lab):
    """A foreign program that passes everything is put into mxlb's own link: the mode does not change, and probes succeed."""
    link = pinned(next(Path(lab.pin).glob("v*/link_*")))
    ours, others = program_of(link), pinned(f"{lab.pin}-pass")
    try:
        bpf(LINK_UPDATE, struct.pack("II", link, others))
        yield
        bpf(LINK_UPDATE, struct.pack("II", link, ours))
    finally:
        for descriptor in (link, ours, others):
            os.close(descriptor)
