# SPDX-License-Identifier: MIT
"""The protocol: what is answered to a line, and how lines are cut out of what is sent."""
import contextlib
import random
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

from mixed_mode_service.client import Holder
from mixed_mode_service.harness import LIMIT, check, count, size
from mixed_mode_service.server import NO_END, Server

UNKNOWN = b"ERR unknown command, there are SUM, FIND and QUIT\n"
TOO_LONG = b"ERR the line is too long\n"
LONGEST = 16 * 1024


def exchange_about(files):
    text, big, empty, blank, folder = files.text, files.big, files.empty, files.blank, files.folder
    missing = folder + b"/missing"
    odd = files.new(b"\xff\xfe\x80\xff\xfe\t\r\xff", b"\xff\x80\t")
    longest = b"/" + b"x" * (LONGEST - len(b"SUM /"))
    return [
        (b"SUM " + text, size(text)),
        (b"SUM " + b" ".join([text, big, empty, text]), size(text, big, empty, text)),
        (b"SUM " + b" ".join([text] * 100), size(*[text] * 100)),
        (b"  SUM  " + text + b" ", size(text)),
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
        (b"SUM " + text + b"/x", b"ERR " + text + b"/x: Not a directory\n"),
        (b"SUM /dev/zero", b"ERR /dev/zero: Operation not supported\n"),
        (b"SUM", b"ERR usage: SUM path...\n"),
        (b"FIND needle", b"ERR usage: FIND word path\n"),
        (b"FIND  " + text, b"ERR usage: FIND word path\n"),  # There is no empty word.
        (b"FIND needle   ", b"ERR usage: FIND word path\n"),
        (b"FIND", b"ERR usage: FIND word path\n"),
        (b"", UNKNOWN),
        (b"\r", UNKNOWN),
        (b"   ", UNKNOWN),
        (b"sum " + text, UNKNOWN),
        (b"QUITS", UNKNOWN),
        (b"SUM a\0b", b"ERR a line has no zero bytes\n"),
        (b"\xff\xfe\x80", UNKNOWN),
        (b"FIND \xff\xfe " + odd, b"2\n"),
        (b"FIND \r\xff " + odd, b"1\n"),
        (b"SUM " + odd + b"\r", size(odd)),
        (b"SUM " + odd + b"\r\r", b"ERR " + odd + b"\r: No such file or directory\n"),
        (b"SUM " + longest, b"ERR " + longest + b": File name too long\n"),
        (b"SUM " + longest + b"x", TOO_LONG),
        (b"SUM " + b"x" * 20000, TOO_LONG),
        (b"y" * 300000, TOO_LONG),
        (b"SUM " + text + b"\r", size(text)),
        (b"FIND needle " + text, count(b"needle", text)),
    ]


def test_answers(files):
    """Every command, every error, in order on one connection, whatever the pieces it is sent in."""
    exchange = exchange_about(files)
    sent = b"".join(line + b"\n" for line, _ in exchange)
    expected = b"".join(reply for _, reply in exchange)
    server = Server()
    with server.connect() as client:
        for line, reply in exchange:
            check(f"one after the other: {line[:100]}", reply, client.ask(line))

    def send_at_once(client):
        client.send(sent + b"QUIT\nSUM never read\n")

    def send_in_pieces(client):
        pieces = random.Random(1)
        left = sent
        while left:
            size_of_piece = pieces.choice([1, 7, 4096, 50000])
            client.send(left[:size_of_piece])
            left = left[size_of_piece:]
        client.end_input()

    for send in (send_at_once, send_in_pieces):
        with server.connect() as client:
            writer = threading.Thread(target=send, args=(client,), daemon=True)
            writer.start()
            check(send.__name__, expected, client.read_all())
            writer.join()
    for last in (b"", b"\r"):
        with server.connect() as client:
            client.send(b"SUM " + files.text + last)
            client.end_input()
            check("a last line without an end", size(files.text), client.read_all())
    server.end()


def test_readme(readme):
    """The README shows what the server says."""
    shown = re.search(r"^\$ \S*/mixed_mode_service --port (\d+) &\nlistening on 127\.0\.0\.1:\1\n"
                      r"\$ printf '(.*)' \| nc 127\.0\.0\.1 \1\n((?:.+\n)*?)```$", readme.read_text(), re.MULTILINE)
    if not shown:
        sys.exit(f"FAILED: {readme} shows no server and client")
    _, lines, replies = shown.groups()
    server = Server(cwd=readme.parent)
    with server.connect() as client:
        client.send(subprocess.run(["printf", lines], capture_output=True, timeout=LIMIT, check=True).stdout)
        check(f"answers to {lines}", replies, client.read_all().decode())
    server.end()


def test_half_closed(files):
    """A client that has closed its end, as `nc -N` does, gets all of its answers, however long they take."""
    server = Server(*NO_END)
    several = [(b"QUIT\n", b""), (b"SUM " + files.text, size(files.text)),
               (b"SUM " + files.text + b"\nQUIT", size(files.text))]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Holder(server, files, more=more)) for more, _ in several]
        for client in clients:
            client.end_input()
        for client in clients:
            server.wait_until_end_is_read(client)
        # Longer than a connection waits that says goodbye.
        check("not before the pipe ends", True, clients[0].is_silent_for(1.5))
        for client, (_, answer) in zip(clients, several):
            check("not before the pipe ends", True, client.is_silent_for(0))
            client.release()
            check("the answers after the client's end", b"4\n" + answer, client.read_all())
    server.end()


def test_urgent_byte(files):
    """A byte out of band is not a reset, while nothing is read."""
    server = Server(*NO_END)
    lines = 2000  # Of 100 bytes: more than is read ahead.
    with Holder(server, files) as client:
        client.send((b"x" * 99 + b"\n") * lines)
        client.socket.send(b"!", socket.MSG_OOB)
        client.send(b"QUIT\n")
        check("others are answered", size(files.text), server.ask(b"SUM " + files.text))
        client.release()
        check("all answers", b"4\n" + UNKNOWN * lines, client.read_all())
    server.end()


def test_long_lines(_):
    """Lines that are longer than all that is read ahead: each is answered when it is known to be too long, once."""
    server = Server()
    rounds, several = 1000, 4
    lines = b"\n" + b"y" * 200_000 + b"\n"

    def send(client):
        for _ in range(rounds):
            client.send(lines)
        client.send(b"QUIT\n")

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(several)]
        for client in clients:
            threading.Thread(target=send, args=(client,), daemon=True).start()
        for client in clients:
            check("each is answered", (UNKNOWN + TOO_LONG) * rounds, client.read_all())
    server.end()


def test_usage(_):
    def run(*options):
        return subprocess.run([Server.program, *options], capture_output=True, timeout=LIMIT, check=False)

    for options in ([], ["--port", "x"], ["--port", "70000"], ["--port", "0", "--capacity", "0"], ["--port", "0", "x"]):
        done = run(*options)
        check(f"exit status with {options}", 2, done.returncode)
        check(f"no output with {options}", b"", done.stdout)
    done = run("--port", "0", "--address", "nonsense")
    check("exit status without an address", 2, done.returncode)
    check("what was no address", True, b"nonsense" in done.stderr)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        check("exit status with a port that is taken", 2, run("--port", port).returncode)
    done = run("--help")
    check("exit status with --help", 0, done.returncode)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for option in re.findall(rb"^  (--[a-z-]+)", done.stdout, re.MULTILINE):
        check(f"{option} is in the README", True, option == b"--help" or f"[{option.decode()} " in readme
              or f" {option.decode()} " in readme)
