# SPDX-License-Identifier: MIT
"""Many clients and a bound: who is answered, who is told BUSY or TIMEOUT, and what is left afterwards."""
import contextlib
import os
import random
import resource
import signal
import threading

from mixed_mode_service.client import Holder
from mixed_mode_service.harness import LIMIT, check, count, size, until
from mixed_mode_service.server import NO_END, Server


def hold_all(server, files, capacity, stack):
    """Requests in progress, as many as there is room for."""
    return [stack.enter_context(Holder(server, files)) for _ in range(capacity)]


def check_room(server, files, capacity):
    """That nobody has any of it. Who has just been answered has given it back."""
    with contextlib.ExitStack() as stack:
        holders = hold_all(server, files, capacity, stack)
        check("with all in progress", b"BUSY\n", server.ask(b"SUM " + files.text))
        for holder in holders:
            holder.release()
            check("what held a place", b"4\n", holder.read_line())


def run_threads(*functions):
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def join(threads):
    for thread in threads:
        thread.join(LIMIT)
        check("a client's thread ends", False, thread.is_alive())


def test_many_connections(files):
    """Many clients at once, with no room for them at first, then with little, then with all of it: each gets its own
    answers, in order, right or BUSY. Those that hold the room are not disturbed."""
    capacity, little = 16, 2
    server = Server("--capacity", str(capacity), *NO_END)
    paths = [files.text, files.big, files.empty]
    expected = {b"SUM " + path: size(path) for path in paths}
    expected |= {b"FIND " + word + b" " + path: count(word, path) for path in paths for word in (b"needle", b"aab", b"q")}
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
        with server.connect() as client:
            client.send(b"".join(line + b"\n" for line in lines))
            for line in lines:
                note(line, client.read_line())
            until("there is room", lambda: note(lines[0], client.ask(lines[0])))
            check("a reply for each line", b"", client.ask(b"QUIT"))
        with lock:
            served.append(seed)

    def flood(seeds):
        return run_threads(*[lambda seed=seed: client(seed) for seed in seeds])

    def is_served(clients):
        join(clients)
        print(f"  {answered[0]} answered, {busy[0]} BUSY")
        check("some were answered", True, answered[0] > 0)

    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(Holder(server, files, b"needle" * number + b"nee", b"FIND needle %b"))
                   for number in range(capacity)]

        def release(numbers):
            for number in numbers:
                holders[number].release(b"dle")
                check(f"what held place {number}", b"%d\n" % (number + 1), holders[number].read_line())

        clients = flood(range(100))
        until("the flood begins", lambda: busy[0] + answered[0] > 0)
        release(range(little))
        is_served(clients)
        check("some were told BUSY", True, busy[0] > 0)
        release(range(little, capacity))
    is_served(flood(range(100, 200)))
    check("all clients were served", list(range(200)), sorted(served))
    server.end()


def test_flood_of_work(files):
    """More real work than there is room for, with all shards busy, and clients that vanish from it: who is answered is
    answered right, others are told BUSY. Afterwards all room is there, and nothing is left of it."""
    capacity, several = 4, 24
    server = Server("--capacity", str(capacity), *NO_END)
    right = {word: count(word, files.big) for word in (b"needle", b"aab", b"aa", b"aabaa")}
    total = size(files.big, files.text, files.big)
    check_room(server, files, capacity)
    before = server.use_at_rest()
    busy, answered, begin = [0] * several, [0] * several, threading.Barrier(several)

    def one_round(number, client, numbers):
        """Two requests sent ahead, each of a path that has not been counted before."""
        word = numbers.choice(list(right))
        client.send(b"FIND " + word + b" " + files.alias(files.big) + b"\nSUM "
                    + b" ".join(files.alias(path) for path in (files.big, files.text, files.big)) + b"\n")
        for answer in (right[word], total):
            reply = client.read_line()
            if reply == b"BUSY\n":
                busy[number] += 1
            else:
                answered[number] += 1
                check("an answer in the flood", answer, reply)

    def client(number):
        numbers = random.Random(number)
        with server.connect() as client:
            begin.wait(LIMIT)
            until("it is answered", lambda: one_round(number, client, numbers) or answered[number] > 0)

    def client_that_vanishes(number):
        numbers = random.Random(number)
        begin.wait(LIMIT)
        for _ in range(4):
            client = server.connect()
            client.send((b"SUM " + files.alias(files.endless) + b"\n") * 2 + b"FIND aa " + files.alias(files.big))
            if numbers.randrange(2):
                client.send(b"\n")
            if numbers.randrange(2):
                server.wait_until_all_is_read(client)
            client.reset()

    vanish = several // 3
    join(run_threads(*[lambda number=number: (client_that_vanishes if number < vanish else client)(number)
                       for number in range(several)]))
    print(f"  {sum(answered)} answered, {sum(busy)} BUSY")
    check("each was answered", True, all(answered[vanish:]))
    check("some were told BUSY", True, sum(busy) > 0)
    until("what vanished has given its room back", lambda: not server.has_open(files.endless))
    server.wait_until_at_rest(before)
    check_room(server, files, capacity)
    server.wait_until_at_rest(before)
    server.end()


def test_overload(files):
    """With room for one, all others are told BUSY as long as that one lasts, and are served when it has ended."""
    server = Server("--capacity", "1", *NO_END)
    with Holder(server, files, b"12345") as holder:
        for _ in range(50):
            check("while it is full", b"BUSY\n", server.ask(b"SUM " + files.text))
        check("errors need no room", b"ERR usage: SUM path...\n", server.ask(b"SUM"))
        holder.release(b"678")
        check("the one in progress", b"8\n", holder.read_line())
        check("room again", size(files.text), holder.ask(b"SUM " + files.text))
    server.end()


def test_default_capacity(files):
    """64 requests are in progress at a time, and the next one is told BUSY."""
    server = Server(*NO_END)
    with contextlib.ExitStack() as stack:
        hold_all(server, files, 63, stack)
        check("with 63 in progress", size(files.text), server.ask(b"SUM " + files.text))
        hold_all(server, files, 1, stack)
        check("with 64 in progress", b"BUSY\n", server.ask(b"SUM " + files.text))
    server.end()


def test_timeout(files):
    """Of a pipe that somebody may write into, of one that nobody has opened, and of work without an end."""
    server = Server("--capacity", "1", "--timeout-ms", "100")
    open_fifo, closed_fifo = files.fifo(), files.fifo()
    closed_fifo.end()
    with server.connect() as client:
        for path in (open_fifo.path, closed_fifo.path, files.endless):
            check("nothing comes", b"TIMEOUT\n", client.ask(b"SUM " + files.text + b" " + path))
            until("its room is given back", lambda: client.ask(b"SUM " + files.text) == size(files.text))
            until("it is closed", lambda path=path: not server.has_open(path))
    open_fifo.end()
    server.end()


def test_many_that_wait(files):
    """Pipes in which nothing comes, and files without an end that anybody would wait for, as many as there are threads
    that read: others are answered."""
    threads = min(4 * len(os.sched_getaffinity(0)), 256)
    questions = threads // 8 + 1
    server = Server("--capacity", str(questions + 2), *NO_END)
    fifos = [files.fifo() for _ in range(8 * questions)]

    def is_answered(what):
        for path in (files.text, files.big):
            check(what, count(b"needle", path), server.ask(b"FIND needle " + path))

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(questions)]
        for client, first in zip(clients, range(0, len(fifos), 8)):
            client.send(b"SUM " + b" ".join(fifo.path for fifo in fifos[first : first + 8]) + b"\n")
        for fifo in fifos:
            fifo.feed(b"12")
        for fifo in fifos:
            fifo.wait_until_read()
        is_answered("while others wait for pipes")
        for fifo in fifos:
            fifo.end()
        for client in clients:
            check("the pipes", b"16\n", client.read_line())
            client.send(b"SUM " + b" ".join([files.endless] * 8) + b"\n")
        until("all are opened", lambda: server.has_open(files.endless) == len(fifos))
        is_answered("while others wait for large files")
        server.begin_end(signal.SIGINT)
        server.end(signal.SIGINT)


def test_many_idle_connections(files):
    """Connections take half of the descriptors, so files can be opened; who comes then is told BUSY."""
    most = 128
    server = Server(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
    right = size(files.text)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(most // 2)]
        for client in clients:
            check("half", right, client.ask(b"SUM " + files.text))
        for _ in range(most):
            with server.connect() as client:
                check("more", b"BUSY\n", client.read_all())
        for client in clients:
            check("after that", right, client.ask(b"SUM " + files.text))
        for _ in range(2):
            clients.pop().close()
        until("room again", lambda: server.ask(b"SUM " + files.text) == right)
    server.end()
