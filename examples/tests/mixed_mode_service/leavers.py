# SPDX-License-Identifier: MIT
"""Clients that do not read, and clients that go without a word: neither keeps a place, nor anything else."""
import os

from mixed_mode_service.client import Holder, SlowReader
from mixed_mode_service.harness import check, size, until
from mixed_mode_service.server import NO_END, Server


def line_with_a_long_answer():
    """A question for the shards, and the answer, which soon fills the buffers."""
    path = b"/" + b"x" * 15000
    return b"SUM " + path, b"ERR " + path + b": File name too long\n"


def test_slow_reader(files):
    """A client that does not read its answers has no place meanwhile, is not read from for ever, and costs no memory."""
    # What a sanitizer keeps of the memory that is freed does not count.
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
    server = Server("--capacity", "1", *NO_END, env=os.environ | {"ASAN_OPTIONS": options})
    question, right = b"SUM " + files.text, size(files.text)
    line, reply = line_with_a_long_answer()
    with server.connect() as other:
        check("others are answered", right, other.ask(question))
        before = server.memory()
        with SlowReader(server, line) as slow:
            slow.wait_until_stuck()
            for _ in range(100):
                check("while its answers are not read", right, other.ask(question))
            print(f"  {slow.sent} lines until it was stopped; memory {before} kB, then {server.memory()} kB")
            check("memory stays", True, server.memory() < before + 64 * 1024)
            replies = slow.read_replies()
            check("all of its answers", reply * slow.sent, replies)
    server.end()


class Leaver:
    """With room for one and no deadline: what is used when a client has left is what was used before it came."""

    def __init__(self, files):
        self.server = Server("--capacity", "1", *NO_END)
        self.question, self.right = b"SUM " + files.text, size(files.text)
        check("room at first", self.right, self.server.ask(self.question))
        self.before = self.server.use_at_rest()

    def check_taken(self):
        check("in progress", b"BUSY\n", self.server.ask(self.question))

    def check_left(self, what):
        until(f"room is given back: {what}", lambda: self.server.ask(self.question) == self.right)
        self.server.wait_until_at_rest(self.before)


def test_leaving_while_it_waits(files):
    """A reset ends the request in progress, also while nothing is read; and so does the first answer to a client that
    is gone without one."""
    leaver = Leaver(files)
    server = leaver.server

    def reset(client):
        client.reset()

    def reset_after_the_end(client):
        client.end_input()
        server.wait_until_end_is_read(client)
        client.reset()

    def close_and_get_an_answer(client):
        client.close()
        client.release()  # The client's next request, which would not end, must not begin or not last.

    ahead = b"x" * 15000 + b"\n"
    for leave, more in [(reset, b""), (reset, ahead * 20), (reset_after_the_end, b""), (close_and_get_an_answer, b"")]:
        never_asked = files.fifo()
        client = Holder(server, files, more=b"SUM " + never_asked.path + b"\n")
        client.send(more)
        leaver.check_taken()
        leave(client)
        leaver.check_left(leave.__name__)
        client.release()
        never_asked.end()
    server.end()


def test_leaving_while_it_is_worked_on(files):
    """A reset stops what would read for hours."""
    leaver = Leaver(files)
    for question in (b"SUM " + files.endless, b"FIND needle " + files.endless, b"SUM" + 20 * (b" " + files.endless)):
        client = leaver.server.connect()
        client.send(question + b"\n" + question + b"\n")
        until("it is begun", lambda: leaver.server.has_open(files.endless) > 0)
        leaver.check_taken()
        client.reset()
        leaver.check_left(question)
    leaver.server.end()


def test_leaving_in_a_line(files):
    """Of a reset nobody knows more than the bytes before; one that has only ended its input has sent a line."""
    leaver = Leaver(files)
    for part in (b"S", b"FIND needle", b"y" * 100_000, b"SUM " + files.endless):
        client = leaver.server.connect()
        client.send(part)
        leaver.server.wait_until_all_is_read(client)
        client.reset()
        leaver.check_left(part[:100])
        if not part.startswith(b"SUM"):
            client = leaver.server.connect()
            client.send(part)
            client.close()
            leaver.check_left(part[:100])
    # A close looks like the end of the input of one that waits for its answer.
    client = leaver.server.connect()
    client.send(b"SUM " + files.endless)
    client.close()
    until("it is begun", lambda: leaver.server.has_open(files.endless) > 0)
    leaver.check_taken()
    leaver.server.begin_end()
    leaver.server.end()


def test_leaving_in_an_answer(files):
    """With answers that it has not read, which makes a reset of its close, and more to come."""
    leaver = Leaver(files)
    line, _ = line_with_a_long_answer()
    with SlowReader(leaver.server, line) as slow:
        slow.wait_until_stuck()
    leaver.check_left("stuck")
    leaver.server.end()
