# SPDX-License-Identifier: BSD-2-Clause
"""A program in a terminal, as a person sees it: what it draws is kept by pyte as rows of text."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import pyte

from lab import wait_until

ROWS, COLUMNS = 30, 120


class Terminal:
    def __init__(self, argv):
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env={**os.environ, "TERM": "linux", "LINES": str(ROWS), "COLUMNS": str(COLUMNS)})
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def look(self):
        """The rows of the screen after all output so far."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.stream.feed(os.read(self.master, 65536))
            except OSError:  # the program has ended
                break
        return self.screen.display

    def wait(self, pattern, seconds=10, first=""):
        """Waits for a row that matches the pattern; of the rows that begin with `first`, the first has to match."""
        def found():
            rows = [row for row in self.look() if row.startswith(first)]
            return next((row for row in (rows[:1] if first else rows) if re.search(pattern, row)), None)
        try:
            return wait_until(found, seconds, pattern)
        except AssertionError as late:
            raise AssertionError(f"{late} on the screen:\n" + "\n".join(row.rstrip() for row in self.look())) from None
