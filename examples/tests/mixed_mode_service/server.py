# SPDX-License-Identifier: MIT
"""The server's process, and what the kernel tells of it."""
import atexit
import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from mixed_mode_service.client import Client
from mixed_mode_service.harness import LIMIT, check, until

NO_END = ("--timeout-ms", "600000")  # No request ends by itself.


class Server:
    program = backend = None  # Of the command line.

    def __init__(self, *options, **process):
        command = [self.program, "--port", "0", "--shards", "2", "--backend", self.backend, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **process)
        atexit.register(self.process.kill)  # When a check ends the test.
        self.reports = queue.SimpleQueue()
        self.errors = threading.Thread(target=self.read_errors, daemon=True)
        self.errors.start()
        line = self.process.stdout.readline()
        if not line.startswith("listening on 127.0.0.1:"):
            sys.exit(f"FAILED: the first line is {line!r}")
        self.port = int(line.rsplit(":", 1)[1])
        self.threads_at_first = self.threads()

    def read_errors(self):
        for line in self.process.stderr:
            if line.startswith("statistics: "):
                self.reports.put(line)
            else:
                print(line, end="", file=sys.stderr, flush=True)

    def connect(self):
        return Client(self.port)

    def ask(self, line):
        with self.connect() as client:
            return client.ask(line)

    def send_signal(self, number):
        self.process.send_signal(number)

    def refuses(self):
        try:
            self.connect().close()
        except OSError:
            return True
        return False

    def begin_end(self, number=signal.SIGTERM):
        self.send_signal(number)
        until("nothing is accepted any more", self.refuses)

    def end(self, number=signal.SIGTERM):
        self.send_signal(number)
        self.wait()

    def wait(self):
        try:
            check("exit status", 0, self.process.wait(LIMIT))
        except subprocess.TimeoutExpired:
            self.process.kill()
            sys.exit("FAILED: the server does not end")
        check("output after the first line", "", self.process.stdout.read())
        self.errors.join()

    def connections(self):
        """For each client's port: the state of the server's end, and how many bytes it has sent that the client does not
        take, how many it has not read, and how many the client has sent that it does not take. To ask is not cheap."""
        here, there = {}, {}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, queues = line.split()[:5]
            local, remote = (int(end.split(":")[1], 16) for end in (local, remote))
            unsent, unread = (int(count, 16) for count in queues.split(":"))
            if local == self.port:
                here[remote] = state, unsent, unread
            elif remote == self.port:
                there[local] = unsent
        return {port: (*ends, there.get(port, 0)) for port, ends in here.items()}

    def queues(self, client):
        """What neither end takes of the other."""
        _, unsent, _, kept_back = self.connections().get(client.port, ("", 0, 0, 0))
        return unsent, kept_back

    def wait_until_all_is_read(self, *clients):
        """Until the server has all that they have sent."""

        def is_read():
            connections = self.connections()
            ends = [connections[client.port] for client in clients if client.port in connections]
            return all(unread == 0 and kept_back == 0 for _, _, unread, kept_back in ends)

        until("the server reads its input", is_read)

    def wait_until_end_is_read(self, client):
        """Until the server has all that the client has sent, and then its end."""

        def is_read():
            state, _, unread, _ = self.connections().get(client.port, ("08", 0, 0, 0))
            return state == "08" and unread == 0  # CLOSE_WAIT; the end counts as a byte.

        until("the server reads the end of the input", is_read)

    def proc(self, name):
        return Path(f"/proc/{self.process.pid}/{name}")

    def has_open(self, path):
        opened = 0
        for link in self.proc("fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                opened += os.fsencode(os.readlink(link)) == path
        return opened

    def activity(self):
        """Of each thread, its state and how often it was given a CPU."""
        threads = {}
        for thread in self.proc("task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = (thread / "status").read_text()
                threads[thread.name] = re.findall(r"^(?:State|\w+_switches):\s+(\w+)", status, re.MULTILINE)
        return threads

    @staticmethod
    def is_asleep(activity):
        return all(state == "S" for state, *_ in activity.values())

    def memory(self):
        status = self.proc("status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def statistics(self):
        self.send_signal(signal.SIGUSR1)
        return dict(word.split("=") for word in self.reports.get(timeout=LIMIT).split()[1:])

    def threads(self):
        """How many there are besides those of the blocking pool and of the kernel, which come, and go later. One of the
        pool's counts until it has its name."""
        count = 0
        for thread in self.proc("task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name = (thread / "comm").read_text()
                count += "-blk-" not in name and not name.startswith("iou-")
        return count

    def use(self):
        """What a request takes."""
        statistics = self.statistics()
        return {
            "descriptors": len(list(self.proc("fd").iterdir())),
            "threads": self.threads(),
            "tasks": statistics["tasks_live"],
            "operations": statistics["pending_native_ops"],
        }

    def is_alone(self):
        """With no client, its one socket is the one that listens, of its tasks there are the one that serves and its child,
        and it has the threads that it began with."""
        sockets = 0
        for link in self.proc("fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                sockets += os.readlink(link).startswith("socket:")
        return sockets == 1 and self.statistics()["tasks_live"] == "2" and self.threads() == self.threads_at_first

    def use_at_rest(self):
        until(lambda: f"no client is left, {self.use()}", self.is_alone)
        return self.use() | {"threads": self.threads_at_first}

    def wait_until_at_rest(self, before):
        until(lambda: f"{before} is what was used before, {self.use()} now", lambda: self.use() == before)
