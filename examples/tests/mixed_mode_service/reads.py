# SPDX-License-Identifier: MIT
"""What is counted in a file: words in every place, files that change, pipes, and files that cannot be read."""
import ctypes
import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

from mixed_mode_service.harness import check, count, until, wait_until_settled
from mixed_mode_service.server import Server


def test_words(files):
    """A word over itself is counted once, and one that two reads share is counted."""
    server = Server()
    chunk = 128 * 1024  # What the server reads at a time.
    with server.connect() as client:
        for length in (1, 2, 4, 5, 2 * chunk, 2 * chunk + 1):
            path = files.new(b"a" * length)
            for word in (b"a", b"aa", b"aaaa", b"ab"):
                check(f"{word} in {length} times a", count(word, path), client.ask(b"FIND " + word + b" " + path))
        for word in (b"xy", b"xxxxxxxy"):
            for before in range(len(word) + 1):
                path = files.new(b"x" * (chunk - before) + word + b"x" * chunk + word)
                check(f"{word}, {before} of it in the first chunk", b"2\n", client.ask(b"FIND " + word + b" " + path))
        long = b"x" * 16000 + b"y"
        path = files.new(b"x" * (chunk - 100) + long + b"x" * 20000)
        check("a word as long as a line", b"1\n", client.ask(b"FIND " + long + b" " + path))
    server.end()


def test_changes(files):
    """What was counted before is not told of a file that is another by now."""
    path = Path(os.fsdecode(files.path()))
    line = b"FIND ab " + os.fsencode(path)
    old = time.time() - 3600
    server = Server()
    with server.connect() as client:
        for content in (b"abab", b"abxx", b"xxxx", b"ab" * 100000):
            for rewrite in (False, True):
                if rewrite:
                    os.replace(files.new(content), path)
                else:
                    path.write_bytes(content)
                os.utime(path, (old, old))
                for _ in range(3):
                    check(f"after a change to {content[:4]}", b"%d\n" % content.count(b"ab"), client.ask(line))
        # Long enough after the change, it may be remembered; and the next change is seen.
        wait_until_settled(path)
        for _ in range(3):
            check("remembered", b"100000\n", client.ask(line))
        path.write_bytes(b"xb" * 100000)
        os.utime(path, (old, old))
        check("changed with the same size and time", b"0\n", client.ask(line))
        path.unlink()
        check("gone", True, client.ask(line).startswith(b"ERR "))
    server.end()


def test_files_that_grow(files):
    """Each answer is of some moment between question and answer, and the last one of all."""
    path, word, times = files.new(b""), b"needle\n", 2000
    server = Server()

    def grow():
        with open(path, "ab", buffering=0) as file:
            for _ in range(times):
                file.write(word)

    with server.connect() as client:
        writer = threading.Thread(target=grow, daemon=True)
        writer.start()
        is_last = False
        while not is_last:
            is_last = not writer.is_alive()
            least = os.path.getsize(path) // len(word)
            counted = int(client.ask(b"FIND needle " + path))
            check("while it grows", True, least <= counted <= os.path.getsize(path) // len(word))
        wait_until_settled(path)
        for _ in range(2):
            check("grown", b"%d\n" % times, client.ask(b"FIND needle " + path))
        with open(path, "ab") as file:
            file.write(word)
        check("grown after it was remembered", b"%d\n" % (times + 1), client.ask(b"FIND needle " + path))
    server.end()


def test_files_of_the_kernel(_):
    """Files in /proc, which have no size, and whose times stay when they change."""
    server = Server()
    with server.connect() as client:
        check("a file without a size", count(b"processor", b"/proc/cpuinfo"), client.ask(b"FIND processor /proc/cpuinfo"))
        line = b"SUM /proc/%d/comm" % os.getpid()
        client.ask(line)
        asked = time.time()
        until("the clock goes on", lambda: time.time() - asked > 0.3)
        name = os.open("/proc/self/comm", os.O_WRONLY)
        for text in (b"short", b"much-longer", b"python3"):
            os.write(name, text)
            check("in /proc", b"%d\n" % len(text + b"\n"), client.ask(line))
        os.close(name)
    server.end()


def obey_modes():
    """Takes from root what reads any file, for good; before the server is executed."""
    drop_from_bounding_set = 24
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if libc.prctl(drop_from_bounding_set, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")


def test_unreadable_files(files):
    server = Server(preexec_fn=obey_modes)
    closed = files.new(b"secret")
    os.chmod(closed, 0)
    with server.connect() as client:
        check("without leave", b"ERR " + closed + b": Permission denied\n", client.ask(b"SUM " + closed))
        check("of a word", b"ERR " + closed + b": Permission denied\n", client.ask(b"FIND secret " + closed))
        # It can be opened, and not read.
        check("an error of the read", b"ERR /proc/self/mem: Input/output error\n", client.ask(b"SUM /proc/self/mem"))
        check("after that", b"0\n", client.ask(b"SUM " + files.empty))
    until("all are closed", lambda: server.has_open(b"/proc/%d/mem" % server.process.pid) == 0)
    server.end()


def test_pipes_of_the_server(_):
    """A client does not take what comes to the server itself by a pipe."""
    server = Server(stdin=subprocess.PIPE)
    server.process.stdin.write("1234")
    server.process.stdin.flush()
    for number in (0, 1):
        path = b"/proc/%d/fd/%d" % (server.process.pid, number)
        check("a pipe without a name", b"ERR " + path + b": Operation not supported\n", server.ask(b"SUM " + path))
    left = fcntl.ioctl(server.process.stdin.fileno(), termios.FIONREAD, b"\0\0\0\0")
    check("nothing was taken", 4, struct.unpack("i", left)[0])
    server.end(signal.SIGINT)
    server.process.stdin.close()
