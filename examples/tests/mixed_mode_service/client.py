# SPDX-License-Identifier: MIT
"""Clients of the server: one that asks, one whose request lasts as long as the test likes, one that does not read."""
import contextlib
import select
import socket
import struct
import threading

from mixed_mode_service.harness import LIMIT, until


class Client:
    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(LIMIT)
        try:
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.port = self.socket.getsockname()[1]
        self.input = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_line(self):
        return self.input.readline()

    def read_lines(self, number):
        return b"".join(self.read_line() for _ in range(number))

    def read_all(self):
        """Up to the end, which is not a reset."""
        return self.input.read()

    def ask(self, line):
        self.send(line + b"\n")
        return self.read_line()

    def is_silent_for(self, seconds):
        return not select.select([self.socket], [], [], seconds)[0]

    def end_input(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.input.close()
        self.socket.close()

    def reset(self):
        """Goes as one that is killed with answers unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Holder(Client):
    """A client with a request in progress: a pipe that the test has not ended."""

    def __init__(self, server, files, fed=b"1234", request=b"SUM %b", more=b""):
        super().__init__(server.port)
        self.fifo = files.fifo()
        self.send(request % self.fifo.path + b"\n" + more)
        self.fifo.feed(fed)
        self.fifo.wait_until_read()

    def release(self, last=b""):
        """The request can be answered."""
        if last:
            self.fifo.feed(last)
        self.fifo.end()

    def __exit__(self, *_):
        self.release()
        self.close()


class SlowReader(Client):
    """Sends as long as the server takes it, and reads nothing."""

    def __init__(self, server, line):
        super().__init__(server.port, receive_buffer=4096)
        self.server, self.line = server, line
        self.sent = 0
        self.is_enough = threading.Event()
        self.sender = threading.Thread(target=self.send_many, daemon=True)
        self.sender.start()

    def send_many(self):
        with contextlib.suppress(OSError):  # When it goes before it has read.
            while not self.is_enough.is_set():
                self.send(self.line + b"\n")
                self.sent += 1
            self.end_input()

    def wait_until_stuck(self):
        """Until all buffers are full: the server has answers that do not fit and takes nothing more, and does nothing."""
        activity = None

        def is_stuck():
            nonlocal activity
            before, activity = activity, self.server.activity()
            return before == activity and self.server.is_asleep(activity) and 0 not in self.server.queues(self)

        until("the server waits for its reader", is_stuck)

    def read_replies(self):
        """All of them, after which it is an ordinary client."""
        self.is_enough.set()
        replies = self.read_all()
        self.sender.join()
        return replies

    def close(self):
        self.is_enough.set()
        # What is blocked in the socket keeps it open.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.sender.join()
        super().close()
