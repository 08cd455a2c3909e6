#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mixed_mode_service_test.py PROGRAM BACKEND README: drives the server over loopback, and computes each answer itself,
but for those that the README shows.

Nothing here sleeps to get an order: a pipe (a FIFO) that the test holds open keeps a request in progress for as long as
the test likes, and the kernel tells when the server has taken what was written into it.
"""
import atexit
import contextlib
import fcntl
import os
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

PROGRAM, BACKEND, README = os.path.abspath(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).absolute()
LIMIT = 120  # Seconds that anything may take before it counts as hung.
failures = []


def check(what, expected, actual):
    if expected != actual:
        failures.append(what)
        print(f"FAILED: {what}\n  expected: {str(expected)[:500]}\n  actual:   {str(actual)[:500]}")


def until(what, condition):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"FAILED: waited in vain: {what}")
        time.sleep(0.002)


class Server:
    def __init__(self, *options, **process):
        command = [PROGRAM, "--port", "0", "--shards", "2", "--backend", BACKEND, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **process)
        atexit.register(self.process.kill)  # When a check ends the test.
        line = self.process.stdout.readline()
        if not line.startswith("listening on 127.0.0.1:"):
            sys.exit(f"FAILED: the first line is {line!r}")
        self.port = int(line.rsplit(":", 1)[1])

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)
        return connection

    def refuses(self):
        try:
            self.connect().close()
        except OSError:
            return True
        return False

    def ask(self, line):
        with self.connect() as connection:
            return ask(connection, line)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.wait()

    def wait(self):
        try:
            check("exit status", 0, self.process.wait(LIMIT))
        except subprocess.TimeoutExpired:
            self.process.kill()
            sys.exit("FAILED: the server does not end")
        check("output after the first line", "", self.process.stdout.read())

    def wait_until_end_is_read(self, connection):
        """Waits until the server has taken all that the client has sent, and then its end, out of its socket."""
        here = f"0100007F:{self.port:04X}", f"0100007F:{connection.getsockname()[1]:04X}"

        def is_taken():
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
                _, local, remote, state, queues = line.split()[:5]
                if (local, remote) == here:
                    return state == "08" and int(queues.split(":")[1], 16) == 0  # The end counts as a byte.
            return True

        until("the server reads the end of the input", is_taken)

    def has_open(self, path):
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        opened = 0
        for link in links:
            with contextlib.suppress(FileNotFoundError):
                opened += os.fsencode(os.readlink(link)) == path
        return opened

    def memory(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def read_line(connection):
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return line
        line += byte
    return line


def ask(connection, line):
    connection.sendall(line + b"\n")
    return read_line(connection)


def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


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
        os.close(self.descriptor)


def count(word, path):
    return b"%d\n" % Path(os.fsdecode(path)).read_bytes().count(word)


def test_answers(files):
    """Every command, every error, in order on one connection, whatever the pieces it is sent in."""
    text, big, empty, blank = files["text"], files["big"], files["empty"], files["a  blank"]
    missing, folder = files["folder"] + b"/missing", files["folder"]
    size = {path: os.path.getsize(path) for path in (text, big, empty)}
    exchange = [
        (b"SUM " + text, b"%d\n" % size[text]),
        (b"SUM " + b" ".join([text, big, empty, text]), b"%d\n" % (2 * size[text] + size[big])),
        (b"SUM " + b" ".join([text] * 100), b"%d\n" % (100 * size[text])),
        (b"  SUM  " + text + b" ", b"%d\n" % size[text]),
        (b"FIND needle " + big, count(b"needle", big)),
        (b"FIND aa " + big, count(b"aa", big)),
        (b"FIND aabaaab " + big, count(b"aabaaab", big)),
        (b"FIND zz " + empty, b"0\n"),
        (b"  FIND  aa   " + big + b"  ", count(b"aa", big)),
        (b"FIND needle " + blank, count(b"needle", blank)),
        (b"FIND  needle  " + blank + b" \r", count(b"needle", blank)),
        (b"SUM " + blank, b"ERR " + blank.split(b" ")[0] + b": No such file or directory\n"),
        (b"FIND needle\t" + text, b"ERR usage: FIND word path\n"),
        (b"SUM " + missing, b"ERR " + missing + b": No such file or directory\n"),
        (b"SUM " + text + b" " + missing, b"ERR " + missing + b": No such file or directory\n"),
        (b"SUM " + folder, b"ERR " + folder + b": Is a directory\n"),
        (b"FIND a " + folder, b"ERR " + folder + b": Is a directory\n"),
        (b"SUM /dev/zero", b"ERR /dev/zero: Operation not supported\n"),
        (b"SUM", b"ERR usage: SUM path...\n"),
        (b"FIND needle", b"ERR usage: FIND word path\n"),
        (b"FIND needle   ", b"ERR usage: FIND word path\n"),
        (b"FIND", b"ERR usage: FIND word path\n"),
        (b"", b"ERR unknown command, there are SUM, FIND and QUIT\n"),
        (b"sum " + text, b"ERR unknown command, there are SUM, FIND and QUIT\n"),
        (b"SUM a\0b", b"ERR a line has no zero bytes\n"),
        (b"\xff\xfe\x80", b"ERR unknown command, there are SUM, FIND and QUIT\n"),
        (b"SUM " + b"x" * 20000, b"ERR the line is too long\n"),
        (b"y" * 300000, b"ERR the line is too long\n"),
        (b"SUM " + text + b"\r", b"%d\n" % size[text]),
        (b"FIND needle " + text, count(b"needle", text)),
    ]
    sent = b"".join(line + b"\n" for line, _ in exchange)
    expected = b"".join(reply for _, reply in exchange)
    server = Server()
    with server.connect() as connection:
        check("one after the other", expected, b"".join(ask(connection, line) for line, _ in exchange))
    with server.connect() as connection:
        writer = threading.Thread(target=connection.sendall, args=(sent + b"QUIT\nSUM never read\n",), daemon=True)
        writer.start()
        check("pipelined", expected, read_all(connection))
        writer.join()
    with server.connect() as connection:
        def send_in_pieces():
            pieces = random.Random(1)
            left = sent
            while left:
                size_of_piece = pieces.choice([1, 7, 4096, 50000])
                connection.sendall(left[:size_of_piece])
                left = left[size_of_piece:]
            connection.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=send_in_pieces, daemon=True)
        writer.start()
        check("in pieces, then the end of the input", expected, read_all(connection))
        writer.join()
    with server.connect() as connection:
        connection.sendall(b"SUM " + text)
        connection.shutdown(socket.SHUT_WR)
        check("a last line without an end", b"%d\n" % size[text], read_all(connection))
    server.end()


def test_readme(readme):
    """The README shows what the server says."""
    shown = re.search(r"^\$ \S*/mixed_mode_service --port (\d+) &\nlistening on 127\.0\.0\.1:\1\n"
                      r"\$ printf '(.*)' \| nc 127\.0\.0\.1 \1\n((?:.+\n)*?)```$", readme.read_text(), re.MULTILINE)
    if not shown:
        sys.exit(f"FAILED: {readme} shows no server and client")
    _, lines, replies = shown.groups()
    server = Server(cwd=readme.parent)
    with server.connect() as connection:
        connection.sendall(subprocess.run(["printf", lines], capture_output=True, timeout=LIMIT, check=True).stdout)
        check(f"answers to {lines}", replies, read_all(connection).decode())
    server.end()


def test_changes(folder):
    """What was counted before is not told of a file that is another by now."""
    path = folder / "changes"
    line = b"FIND ab " + os.fsencode(path)
    old = time.time() - 3600
    server = Server()
    with server.connect() as connection:
        for content in (b"abab", b"abxx", b"xxxx", b"ab" * 100000):
            for rewrite in (False, True):
                if rewrite:
                    (folder / "new").write_bytes(content)
                    os.replace(folder / "new", path)
                else:
                    path.write_bytes(content)
                os.utime(path, (old, old))
                for _ in range(3):
                    check(f"after a change to {content[:4]}", b"%d\n" % content.count(b"ab"), ask(connection, line))
        # Long enough after the change, it may be remembered; and the next change is seen.
        until("the clock goes on", lambda: time.time() - path.stat().st_ctime > 0.3)
        for _ in range(3):
            check("remembered", b"100000\n", ask(connection, line))
        path.write_bytes(b"xb" * 100000)
        os.utime(path, (old, old))
        check("changed with the same size and time", b"0\n", ask(connection, line))
        path.unlink()
        check("gone", True, ask(connection, line).startswith(b"ERR "))
        # A file whose times and size stay when it changes.
        line = b"SUM /proc/%d/comm" % os.getpid()
        ask(connection, line)
        asked = time.time()
        until("the clock goes on", lambda: time.time() - asked > 0.3)
        name = os.open("/proc/self/comm", os.O_WRONLY)
        for text in (b"short", b"much-longer", b"python3"):
            os.write(name, text)
            check("in /proc", b"%d\n" % len(text + b"\n"), ask(connection, line))
        os.close(name)
    server.end()


def test_many_connections(files, folder):
    """Many clients at once, with no room for them at first, then with little, then with all of it: each gets its own
    answers, in order, right or BUSY. Those that hold the room are not disturbed."""
    capacity, little = 16, 2
    server = Server("--capacity", str(capacity), "--timeout-ms", "600000")
    paths = [files["text"], files["big"], files["empty"]]
    expected = {}
    for path in paths:
        expected[b"SUM " + path] = b"%d\n" % os.path.getsize(path)
        for word in (b"needle", b"aab", b"q"):
            expected[b"FIND " + word + b" " + path] = count(word, path)
    busy, answered, served, lock = [0], [0], [], threading.Lock()

    def note(line, reply):
        with lock:
            if reply == b"BUSY\n":
                busy[0] += 1
            else:
                answered[0] += 1
                check(f"{line}", expected[line], reply)
        return reply != b"BUSY\n"

    def client(seed):
        lines = random.Random(seed).choices(list(expected), k=20)
        with server.connect() as connection:
            connection.sendall(b"".join(line + b"\n" for line in lines))
            for line in lines:
                note(line, read_line(connection))
            until("there is room", lambda: note(lines[0], ask(connection, lines[0])))
            check("a reply for each line", b"", ask(connection, b"QUIT"))
        with lock:
            served.append(seed)

    def flood(seeds):
        clients = [threading.Thread(target=client, args=(seed,), daemon=True) for seed in seeds]
        for thread in clients:
            thread.start()
        return clients

    def is_served(clients):
        for thread in clients:
            thread.join()
        print(f"  {answered[0]} answered, {busy[0]} BUSY")
        check("some were answered", True, answered[0] > 0)

    fifos = [Fifo(folder / f"connections{number}") for number in range(capacity)]
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(server.connect()) for _ in fifos]
        for number, (holder, fifo) in enumerate(zip(holders, fifos)):
            holder.sendall(b"FIND needle " + fifo.path + b"\n")
            fifo.feed(b"needle" * number + b"nee")
            fifo.wait_until_read()

        def release(numbers):
            for number in numbers:
                fifos[number].feed(b"dle")
                fifos[number].end()
                check(f"what held place {number}", b"%d\n" % (number + 1), read_line(holders[number]))

        clients = flood(range(100))
        until("the flood begins", lambda: busy[0] + answered[0] > 0)
        release(range(little))
        is_served(clients)
        check("some were told BUSY", True, busy[0] > 0)
        release(range(little, capacity))
    is_served(flood(range(100, 200)))
    check("all clients were served", list(range(200)), sorted(served))
    server.end()


def test_overload(files, folder):
    """With room for one, all others are told BUSY as long as that one lasts, and are served when it has ended."""
    server = Server("--capacity", "1", "--timeout-ms", "600000")
    fifo = Fifo(folder / "overload")
    with server.connect() as holder:
        holder.sendall(b"SUM " + fifo.path + b"\n")
        fifo.feed(b"12345")
        fifo.wait_until_read()
        for _ in range(50):
            check("while it is full", b"BUSY\n", server.ask(b"SUM " + files["text"]))
        check("errors need no room", b"ERR usage: SUM path...\n", server.ask(b"SUM"))
        fifo.feed(b"678")
        fifo.end()
        check("the one in progress", b"8\n", read_line(holder))
        check("room again", b"%d\n" % os.path.getsize(files["text"]), ask(holder, b"SUM " + files["text"]))
    server.end()


def test_default_capacity(files, folder):
    """64 requests are in progress at a time, and the next one is told BUSY."""
    server = Server("--timeout-ms", "600000")
    right = b"%d\n" % os.path.getsize(files["text"])
    fifos = []
    with contextlib.ExitStack() as stack:
        for number in range(64):
            if number in (0, 63):
                check(f"with {number} in progress", right, server.ask(b"SUM " + files["text"]))
            fifo = Fifo(folder / f"capacity{number}")
            fifos.append(fifo)
            stack.enter_context(server.connect()).sendall(b"SUM " + fifo.path + b"\n")
            fifo.feed(b"1")
            fifo.wait_until_read()
        check("with 64 in progress", b"BUSY\n", server.ask(b"SUM " + files["text"]))
        for fifo in fifos:
            fifo.end()
    server.end()


def test_timeout(files, folder):
    server = Server("--capacity", "1", "--timeout-ms", "100")
    fifo = Fifo(folder / "timeout")
    right = b"%d\n" % os.path.getsize(files["text"])
    with server.connect() as connection:
        for _ in range(3):
            check("nothing comes", b"TIMEOUT\n", ask(connection, b"SUM " + files["text"] + b" " + fifo.path))
            until("its room is given back", lambda: ask(connection, b"SUM " + files["text"]) == right)
    fifo.end()
    server.end()


def test_clients_that_vanish(files, folder):
    """A reset ends the request in progress, also while nothing is read; and so does the first answer to a client that
    is gone without one."""
    server = Server("--capacity", "1", "--timeout-ms", "600000")
    right = b"%d\n" % os.path.getsize(files["text"])

    def reset(connection, _):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def reset_after_the_end(connection, fifo):
        connection.shutdown(socket.SHUT_WR)
        server.wait_until_end_is_read(connection)
        reset(connection, fifo)

    def close_and_get_an_answer(connection, fifo):
        connection.close()
        fifo.end()  # The client's next request, which would not end, must not begin or not last.

    ahead = b"x" * 15000 + b"\n"
    for number, (vanish, lines) in enumerate([(reset, b""), (reset, ahead * 20), (reset_after_the_end, b""),
                                              (close_and_get_an_answer, b"")]):
        fifo, other = Fifo(folder / f"vanish{number}"), Fifo(folder / f"vanish{number}b")
        connection = server.connect()
        connection.sendall(b"SUM " + fifo.path + b"\nSUM " + other.path + b"\n")
        fifo.feed(b"12345")
        fifo.wait_until_read()
        connection.sendall(lines)
        check("in progress", b"BUSY\n", server.ask(b"SUM " + files["text"]))
        vanish(connection, fifo)
        until("its room is given back", lambda: server.ask(b"SUM " + files["text"]) == right)
        other.end()
        if vanish is not close_and_get_an_answer:
            fifo.end()
    server.end()


def test_half_closed(files, folder):
    """A client that has closed its end, as `nc -N` does, gets all of its answers, however long they take."""
    server = Server("--timeout-ms", "600000")
    for last in (b"\nQUIT\n", b"\nSUM " + files["text"], b"\n" + b"SUM " + files["text"] + b"\nQUIT"):
        fifo = Fifo(folder / "half_closed")
        with server.connect() as connection:
            connection.sendall(b"SUM " + fifo.path + last)
            fifo.feed(b"1234")
            fifo.wait_until_read()
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(1.5)
            with contextlib.suppress(TimeoutError):
                check("not before the pipe ends", "nothing", connection.recv(1))
            connection.settimeout(LIMIT)
            fifo.end()
            os.unlink(fifo.path)
            expected = b"4\n" + (b"%d\n" % os.path.getsize(files["text"]) if b"SUM" in last else b"")
            check("the answers after the client's end", expected, read_all(connection))
    server.end()


def test_urgent_byte(files, folder):
    """A byte out of band is not a reset, while nothing is read."""
    server = Server("--timeout-ms", "600000")
    fifo = Fifo(folder / "urgent")
    with server.connect() as connection:
        connection.sendall(b"SUM " + fifo.path + b"\n")
        fifo.feed(b"1234")
        fifo.wait_until_read()
        connection.sendall(b"\n" * 200_000)
        connection.send(b"!", socket.MSG_OOB)
        connection.sendall(b"QUIT\n")
        check("others are answered", b"%d\n" % os.path.getsize(files["text"]), server.ask(b"SUM " + files["text"]))
        fifo.end()
        expected = b"4\n" + b"ERR unknown command, there are SUM, FIND and QUIT\n" * 200_000
        check("all answers", expected, read_all(connection))
    server.end()


def test_many_that_wait(files, folder):
    """Pipes in which nothing comes, and files without an end that anybody would wait for, as many as there are threads
    that read: others are answered."""
    threads = min(4 * len(os.sched_getaffinity(0)), 256)
    questions = threads // 8 + 1
    server = Server("--timeout-ms", "600000", "--capacity", str(questions + 2))
    endless = os.fsencode(folder / "endless")
    with open(endless, "wb") as file:
        file.truncate(1 << 40)
    fifos = [Fifo(folder / f"waits{number}") for number in range(8 * questions)]

    def is_answered(what):
        for path in (files["text"], files["big"]):
            check(what, count(b"needle", path), server.ask(b"FIND needle " + path))

    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(questions)]
        for connection, first in zip(connections, range(0, len(fifos), 8)):
            connection.sendall(b"SUM " + b" ".join(fifo.path for fifo in fifos[first : first + 8]) + b"\n")
        for fifo in fifos:
            fifo.feed(b"12")
        for fifo in fifos:
            fifo.wait_until_read()
        is_answered("while others wait for pipes")
        for fifo in fifos:
            fifo.end()
        for connection in connections:
            check("the pipes", b"16\n", read_line(connection))
            connection.sendall(b"SUM " + b" ".join([endless] * 8) + b"\n")
        until("all are opened", lambda: server.has_open(endless) == len(fifos))
        is_answered("while others wait for large files")
        server.process.send_signal(signal.SIGINT)
        until("nothing is accepted any more", server.refuses)
        server.process.send_signal(signal.SIGINT)
    server.wait()


def test_pipes_of_the_server():
    """A client does not take what comes to the server itself by a pipe."""
    server = Server(stdin=subprocess.PIPE)
    server.process.stdin.write("1234")
    server.process.stdin.flush()
    for number in (0, 1):
        path = b"/proc/%d/fd/%d" % (server.process.pid, number)
        check("a pipe without a name", b"ERR " + path + b": Operation not supported\n", server.ask(b"SUM " + path))
    left = fcntl.ioctl(server.process.stdin.fileno(), termios.FIONREAD, b"\0\0\0\0")
    check("nothing was taken", 4, struct.unpack("i", left)[0])
    server.end()
    server.process.stdin.close()


def test_many_idle_connections(files):
    """Connections take half of the descriptors, so files can be opened; who comes then is told BUSY."""
    most = 128
    server = Server(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
    right = b"%d\n" % os.path.getsize(files["text"])
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(most // 2)]
        for connection in connections:
            check("half", right, ask(connection, b"SUM " + files["text"]))
        for _ in range(most):
            with server.connect() as connection:
                check("more", b"BUSY\n", read_all(connection))
        for connection in connections:
            check("after that", right, ask(connection, b"SUM " + files["text"]))
        for _ in range(2):
            connections.pop().close()
        until("room again", lambda: server.ask(b"SUM " + files["text"]) == right)
    server.end()


def test_slow_reader(files):
    """A client that reads nothing is not read from for ever, and costs others and the memory nothing."""
    server = Server()
    line = b"SUM " + files["text"] + b"\n"
    reply = b"%d\n" % os.path.getsize(files["text"])
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = server.memory()
        connection.settimeout(2)
        # So many that neither the requests nor the answers fit into the sockets' buffers.
        long_line = b"x" * 15000 + b"\n"
        long_reply = b"ERR unknown command, there are SUM, FIND and QUIT\n"
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 400_000:
                connection.sendall(long_line)
                sent += 1
        check("it is stopped", True, sent < 400_000)
        print(f"  {sent} lines until it was stopped; memory {before} kB, then {server.memory()} kB")
        check("memory stays", True, server.memory() < before + 64 * 1024)
        check("others are served", reply, server.ask(line[:-1]))
        connection.settimeout(LIMIT)
        # A part of one more line may have been sent.
        got = b"".join(read_line(connection) for _ in range(sent))
        check("all of its answers are there", long_reply * sent, got)
    server.end()


def test_long_lines():
    """Lines that are longer than all that is read ahead: each is answered when it is known to be too long, once."""
    server = Server()
    rounds, several = 1000, 4
    lines = b"\n" + b"y" * 200_000 + b"\n"
    replies = b"ERR unknown command, there are SUM, FIND and QUIT\n" + b"ERR the line is too long\n"

    def send(connection):
        for _ in range(rounds):
            connection.sendall(lines)
        connection.sendall(b"QUIT\n")

    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(several)]
        for connection in connections:
            threading.Thread(target=send, args=(connection,), daemon=True).start()
        for connection in connections:
            check("each is answered", replies * rounds, read_all(connection))
    server.end()


def test_drain(files, folder):
    """What was read before the signal is answered; nothing else is begun."""
    for number in (signal.SIGINT, signal.SIGTERM):
        server = Server("--timeout-ms", "600000")
        fifo = Fifo(folder / f"drain{number}")
        idle = server.connect()
        check("idle", b"0\n", ask(idle, b"SUM " + files["empty"]))
        with server.connect() as connection:
            connection.sendall(b"SUM " + fifo.path + b"\nSUM " + files["text"] + b"\n")
            fifo.feed(b"1234")
            fifo.wait_until_read()
            server.process.send_signal(number)
            until("nothing is accepted any more", server.refuses)
            check("an idle connection is closed", b"", idle.recv(1))
            fifo.feed(b"5678")
            fifo.end()
            expected = b"8\n%d\n" % os.path.getsize(files["text"])
            check("what was read is answered, then it is closed", expected, read_all(connection))
        idle.close()
        server.wait()
    # A last line without an end: it is one if the server has seen the end of the input, else it may be cut anywhere.
    for input_ends in (True, False):
        server = Server("--timeout-ms", "600000")
        fifo = Fifo(folder / f"drain_in_a_line_{input_ends}")
        with server.connect() as connection:
            connection.sendall(b"SUM " + fifo.path + b"\nSUM " + files["text"])
            fifo.feed(b"1234")
            fifo.wait_until_read()
            if input_ends:
                connection.shutdown(socket.SHUT_WR)
                server.wait_until_end_is_read(connection)
            server.process.send_signal(signal.SIGTERM)
            until("nothing is accepted any more", server.refuses)
            fifo.end()
            expected = b"4\n" + (b"%d\n" % os.path.getsize(files["text"]) if input_ends else b"")
            check(f"a last line without an end, {input_ends=}", expected, read_all(connection))
        server.wait()


def test_drain_ends(files, folder):
    """Neither a client that does not read nor a request that does not end keeps the server from ending."""
    server = Server("--timeout-ms", "100")
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while True:
                connection.sendall(b"x" * 15000 + b"\n")
        server.end()
    server = Server("--timeout-ms", "600000")
    fifo = Fifo(folder / "drain_ends")
    with server.connect() as connection:
        connection.sendall(b"SUM " + fifo.path + b" " + files["text"] + b"\n")
        fifo.feed(b"1234")
        fifo.wait_until_read()
        server.process.send_signal(signal.SIGINT)
        until("nothing is accepted any more", server.refuses)
        server.end(signal.SIGINT)  # The second one: at once.
        check("closed without an answer", b"", read_all(connection))
    fifo.end()


def test_usage():
    for options in ([], ["--port", "x"], ["--port", "70000"], ["--port", "0", "--capacity", "0"], ["--port", "0", "x"]):
        done = subprocess.run([PROGRAM, *options], capture_output=True, timeout=LIMIT, check=False)
        check(f"exit status with {options}", 2, done.returncode)
        check(f"no output with {options}", b"", done.stdout)
    command = [PROGRAM, "--port", "0", "--address", "nonsense"]
    done = subprocess.run(command, capture_output=True, timeout=LIMIT, check=False)
    check("exit status without an address", 2, done.returncode)
    check("what was no address", True, b"nonsense" in done.stderr)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([PROGRAM, "--port", port], capture_output=True, timeout=LIMIT, check=False)
        check("exit status with a port that is taken", 2, done.returncode)


def make_files(folder):
    """`big`: many chunks, with the words across their borders."""
    numbers = random.Random(7)
    text = b"a needle in a haystack, needleneedle\n" * 10
    big = bytearray(numbers.choices(b"aab\n", k=1_500_000))
    for border in range(4096, len(big), 4096):
        shift = numbers.randrange(0, 7)
        big[border - shift : border - shift + 6] = b"needle"
    contents = {"text": text, "big": bytes(big), "empty": b"", "a  blank": text}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = {name: os.fsencode(folder / name) for name in contents}
    files["folder"] = os.fsencode(folder)
    return files


def main():
    probe = subprocess.Popen([PROGRAM, "--port", "0", "--backend", BACKEND], stdout=subprocess.PIPE)
    if not probe.stdout.readline():
        if BACKEND == "io_uring" and os.environ.get("SPARGIO_TEST_REQUIRE_URING") != "1":
            print("skipped: no io_uring here")
            sys.exit(77)
        sys.exit("FAILED: the server does not start")
    probe.send_signal(signal.SIGTERM)
    check("an idle server ends", 0, probe.wait(LIMIT))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_files(folder)
        for test, arguments in [
            (test_usage, []),
            (test_answers, [files]),
            (test_readme, [README]),
            (test_changes, [folder]),
            (test_many_connections, [files, folder]),
            (test_overload, [files, folder]),
            (test_default_capacity, [files, folder]),
            (test_timeout, [files, folder]),
            (test_clients_that_vanish, [files, folder]),
            (test_half_closed, [files, folder]),
            (test_urgent_byte, [files, folder]),
            (test_many_that_wait, [files, folder]),
            (test_pipes_of_the_server, []),
            (test_many_idle_connections, [files]),
            (test_slow_reader, [files]),
            (test_long_lines, []),
            (test_drain, [files, folder]),
            (test_drain_ends, [files, folder]),
        ]:
            start = time.monotonic()
            print(f"{test.__name__}", flush=True)
            test(*arguments)
            print(f"  {time.monotonic() - start:.2f} s", flush=True)
    if failures:
        sys.exit(f"{len(failures)} checks failed")
    print("all checks passed")


if __name__ == "__main__":
    main()
