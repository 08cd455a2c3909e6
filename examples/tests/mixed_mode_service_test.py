#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mixed_mode_service_test.py PROGRAM BACKEND README [TEST...]: drives the server over loopback, and computes each answer
itself, but for those that the README shows.

Nothing here sleeps to get an order: a pipe (a FIFO) that the test holds open keeps a request in progress for as long as
the test likes, and the kernel tells when the server has taken what was written into it.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mixed_mode_service import answers, ends, leavers, load, reads
from mixed_mode_service.harness import LIMIT, Files, check, failures
from mixed_mode_service.server import Server


def begin(program, backend):
    """Ends the test where the server does not start."""
    probe = subprocess.Popen([program, "--port", "0", "--backend", backend], stdout=subprocess.PIPE)
    if not probe.stdout.readline():
        if backend == "io_uring" and os.environ.get("SPARGIO_TEST_REQUIRE_URING") != "1":
            print("skipped: no io_uring here")
            sys.exit(77)
        sys.exit("FAILED: the server does not start")
    probe.send_signal(signal.SIGTERM)
    check("an idle server ends", 0, probe.wait(LIMIT))
    Server.program, Server.backend = program, backend


def main():
    program, backend, readme, *chosen = sys.argv[1:]
    readme = Path(readme).absolute()
    begin(os.path.abspath(program), backend)
    tests = [(name, function) for module in (answers, reads, load, leavers, ends)
             for name, function in vars(module).items() if name.startswith("test_")]
    if unknown := set(chosen) - {name for name, _ in tests}:
        sys.exit(f"there is no {unknown}")
    with tempfile.TemporaryDirectory() as folder:
        files = Files(os.path.realpath(folder))
        for name, test in tests:
            if chosen and name not in chosen:
                continue
            start = time.monotonic()
            print(name, flush=True)
            test(readme if name == "test_readme" else files)
            print(f"  {time.monotonic() - start:.2f} s", flush=True)
    if failures:
        sys.exit(f"{len(failures)} checks failed")
    print("all checks passed")


if __name__ == "__main__":
    main()
