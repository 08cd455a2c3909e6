# SPDX-License-Identifier: MIT
"""SIGINT and SIGTERM: what was read is answered, in bounded time, and a second signal ends all at once."""
import contextlib
import signal
import threading

from mixed_mode_service.answers import UNKNOWN
from mixed_mode_service.client import Holder, SlowReader
from mixed_mode_service.harness import LIMIT, check, count, size, until
from mixed_mode_service.leavers import line_with_a_long_answer
from mixed_mode_service.server import NO_END, Server

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def test_drain(files):
    """With as many requests in progress as there is room for, and more that were read: all are answered, in full. Nothing
    else is begun."""
    for number in SIGNALS:
        server = Server(*NO_END)
        more = b"FIND needle " + files.text + b"\nnonsense\nSUM " + files.big
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(server.connect()) for _ in range(20)]
            for client in idle:
                check("idle", b"0\n", client.ask(b"SUM " + files.empty))
            holders = [stack.enter_context(Holder(server, files, b"x" * (held + 1), more=more + b"\n"))
                       for held in range(64)]
            server.wait_until_all_is_read(*holders)
            server.begin_end(number)
            for client in idle:
                check("an idle connection is closed", b"", client.read_all())
            check("those in progress are not", [], [held.port for held in holders if not held.is_silent_for(0)])
            for holder in reversed(holders):
                holder.release(b"5678")
            for held, holder in enumerate(holders):
                expected = (b"%d\n" % (held + 5) + count(b"needle", files.text)
                            + UNKNOWN + size(files.big))
                check("what was read is answered, then it is closed", expected, holder.read_all())
        server.wait()


def test_drain_under_load(files):
    """Connections with many lines that were read, and whose answers are on their way: all of them come, in order."""
    server = Server(*NO_END)
    several, times = 32, 100
    asked = [(b"FIND needle " + files.text, count(b"needle", files.text)), (b"SUM " + files.big, size(files.big)),
             (b"FIND aab " + files.big, count(b"aab", files.big)), (b"?", UNKNOWN)]
    expected = b"".join(reply for _, reply in asked) * times
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(several)]
        for client in clients:
            client.send(b"".join(line + b"\n" for line, _ in asked) * times)
        server.wait_until_all_is_read(*clients)
        server.begin_end(signal.SIGINT)
        for client in clients:
            check("all that was read is answered", expected, client.read_all())
    server.wait()


def test_drain_in_a_line(files):
    """A last line without an end: it is one if the server has seen the end of the input, else it may be cut anywhere."""
    for input_ends in (True, False):
        server = Server(*NO_END)
        with Holder(server, files, more=b"SUM " + files.text) as client:
            if input_ends:
                client.end_input()
                server.wait_until_end_is_read(client)
            server.begin_end()
            client.release()
            expected = b"4\n" + (size(files.text) if input_ends else b"")
            check(f"a last line without an end, {input_ends=}", expected, client.read_all())
        server.wait()


def stuck_readers(server, files, stack):
    line, _ = line_with_a_long_answer()
    for _ in range(3):
        slow = stack.enter_context(SlowReader(server, line))
        slow.wait_until_stuck()


def test_clients_that_never_read(files):
    """They keep it from ending no longer than a request may take."""
    server = Server("--timeout-ms", "100")
    with contextlib.ExitStack() as stack:
        stuck_readers(server, files, stack)
        server.end()


def test_second_signal(files):
    """It ends at once, whatever is in progress, without a word to anybody."""
    for number in SIGNALS:
        server = Server(*NO_END)
        with contextlib.ExitStack() as stack:
            stuck_readers(server, files, stack)
            holders = [stack.enter_context(Holder(server, files, more=b"SUM " + files.text + b"\n")) for _ in range(30)]
            worked_on = stack.enter_context(server.connect())
            worked_on.send(b"SUM " + files.endless + b"\n")
            until("it is begun", lambda: server.has_open(files.endless) > 0)
            server.begin_end(number)
            server.end(number)
            for client in [*holders, worked_on]:
                check("closed without an answer", b"", client.read_all())


def test_first_signal(files):
    """With nothing to do, maybe before it waits for any or while it reports, and with clients that come and go."""
    for number in SIGNALS:
        for reports in range(3):
            server = Server()
            for _ in range(reports):
                server.send_signal(signal.SIGUSR1)
            server.end(number)
    server = Server()
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            with contextlib.suppress(OSError), server.connect() as client:
                check("an answer or none", True, client.ask(b"SUM " + files.text) in (b"", size(files.text)))

    clients = [threading.Thread(target=come_and_go, daemon=True) for _ in range(8)]
    for thread in clients:
        thread.start()
    for _ in range(20):
        check("answered", size(files.text), server.ask(b"SUM " + files.text))
    server.end(signal.SIGINT)
    stop.set()
    for thread in clients:
        thread.join(LIMIT)
