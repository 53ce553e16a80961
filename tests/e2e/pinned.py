# SPDX-License-Identifier: BSD-2-Clause
"""A pinned map as another process can access it: read and written through memory."""
import ctypes
import mmap
import os
import platform
from pathlib import Path

BPF, BPF_OBJ_GET = {"x86_64": 321, "aarch64": 280}[platform.machine()], 7


class Pinned:
    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        name = ctypes.create_string_buffer(str(path).encode())
        attr = (ctypes.c_uint64 * 2)(ctypes.addressof(name), 0)
        self.fd = libc.syscall(BPF, BPF_OBJ_GET, attr, 16)
        assert self.fd >= 0, os.strerror(ctypes.get_errno())
        about = dict(line.split(":\t") for line in Path(f"/proc/self/fdinfo/{self.fd}").read_text().splitlines())
        self.value_size = (int(about["value_size"]) + 7) // 8 * 8
        self.size = self.value_size * int(about["max_entries"])
        self.memory = mmap.mmap(self.fd, (self.size + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE, mmap.MAP_SHARED)

    def fill(self, junk):
        """Fills the map with these bytes, repeated."""
        self.memory[:self.size] = (junk * (self.size // len(junk) + 1))[:self.size]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.memory.close()
        os.close(self.fd)
