# SPDX-License-Identifier: MIT
"""Expectations that are counted, waits that end, and the files that the server is asked about."""
import fcntl
import itertools
import os
import random
import struct
import sys
import termios
import time
from pathlib import Path

LIMIT = 120  # Seconds that anything may take before it counts as hung.
failures = []


def check(what, expected, actual):
    if expected != actual:
        failures.append(what)
        print(f"FAILED: {what}\n  expected: {str(expected)[:500]}\n  actual:   {str(actual)[:500]}", flush=True)


def until(what, condition):
    """Waits for `condition`; `what` may be a function, which says what was waited for in vain."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"FAILED: waited in vain: {what() if callable(what) else what}")
        time.sleep(0.002)


def wait_until_settled(path):
    """From then on the server may remember what is in the file."""
    changed = os.stat(path).st_ctime
    until("the clock goes on", lambda: time.time() - changed > 0.3)


def size(*paths):
    """The answer to a SUM."""
    return b"%d\n" % sum(os.path.getsize(path) for path in paths)


def count(word, path):
    """The answer to a FIND."""
    return b"%d\n" % Path(os.fsdecode(path)).read_bytes().count(word)


class Fifo:
    """A pipe that never ends while the test holds it open."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = os.fsencode(path)
        self.descriptor = os.open(path, os.O_RDWR)

    def feed(self, data):
        os.write(self.descriptor, data)

    def wait_until_read(self):
        def is_empty():
            left = fcntl.ioctl(self.descriptor, termios.FIONREAD, b"\0\0\0\0")
            return struct.unpack("i", left)[0] == 0

        until("the server reads the pipe", is_empty)

    def end(self):
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class Files:
    """Paths, as bytes, in a folder of the test's own."""

    def __init__(self, folder):
        self.folder = os.fsencode(folder)
        self.numbers = itertools.count()
        self.text = self.new(b"a needle in a haystack, needleneedle\n" * 10)
        self.big = self.new(self.big_content())
        self.empty = self.new(b"")
        self.blank = self.new(Path(os.fsdecode(self.text)).read_bytes(), b"a  blank")
        self.endless = self.new(b"")
        os.truncate(self.endless, 1 << 40)  # It takes hours to read.
        for path in (self.text, self.big, self.empty, self.blank):
            wait_until_settled(path)

    @staticmethod
    def big_content():
        """Many chunks, with the words across their borders."""
        numbers = random.Random(7)
        content = bytearray(numbers.choices(b"aab\n", k=1_500_000))
        for border in range(4096, len(content), 4096):
            shift = numbers.randrange(0, 7)
            content[border - shift : border - shift + 6] = b"needle"
        return bytes(content)

    def path(self, name=b""):
        return self.folder + b"/%d" % next(self.numbers) + name

    def new(self, content, name=b""):
        path = self.path(name)
        Path(os.fsdecode(path)).write_bytes(content)
        return path

    def fifo(self):
        return Fifo(self.path(b"fifo"))

    def alias(self, path):
        """The same file by a path that nobody has asked about, so that it must be read."""
        return self.folder + b"/" * (2 + next(self.numbers)) + os.path.basename(path)
