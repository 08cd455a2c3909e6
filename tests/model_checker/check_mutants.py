#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the scenarios on mutants: copies of a header with one mistake in it (mutants.py), each of which must be caught.

usage: tests/model_checker/check_mutants.py [WORD]     only the mutants whose line contains WORD

Needs a C++ compiler (CXX, default c++). Works in a temporary folder; prints a line per mutant; fails when one is not
caught, and when a text that a mutant replaces is not there exactly once. A mutant marked as equal must not be caught by
the short scenarios: if it is, its reason is wrong. The longer ones are for what the short ones do not catch.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import DEQUE, FENCE, INBOX, MUTANTS, PARK

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COMPILE = [os.environ.get("CXX", "c++"), "-std=c++20", "-w"]
CORE = ["engine", "main", "memory", "search"]
DEQUE_TESTS = ["steal_deque_test", "asymmetric_fence_test"]
TESTS_OF = {DEQUE: DEQUE_TESTS, FENCE: DEQUE_TESTS, INBOX: ["inbox_test"], PARK: ["inbox_test"]}
SHORT = ["deque:", "fence:", "inbox:", "park:"]
LONGER = ["longer"]
TIMEOUT = 300


def call(command):
    """Output and exit status; a command that hangs has none."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return "timeout", None
    return done.stdout, done.returncode


def build(folder, sources, output, *flags):
    # The checker's atomic.hpp hides the real one, a mutant in `folder` the real header.
    include = [f"-I{path}" for path in (folder, HERE / "include", HERE, ROOT / "src", ROOT / "include")]
    text, status = call(COMPILE + list(flags) + include + [str(source) for source in sources] + ["-o", str(output)])
    if status != 0:
        raise RuntimeError("does not compile\n" + "\n".join(text.splitlines()[:20]))


class Checker:
    def __init__(self, folder, pool):
        self.folder = folder
        self.core = [folder / f"{name}.o" for name in CORE]
        # Compiling takes longer than the search for a mistake, so what all include is precompiled.
        self.common = folder / "common.hpp"
        self.common.write_text('#include "spargio/detail/work_item.hpp"\n#include "checker.hpp"\n', encoding="utf-8")
        jobs = [pool.submit(build, folder, [self.common], f"{self.common}.gch", "-xc++-header")]
        jobs += [pool.submit(build, folder, [HERE / f"{name}.cpp"], output, "-c", "-O2")
                 for name, output in zip(CORE, self.core)]
        for job in jobs:
            job.result()

    def check(self, number, mutant):
        """Whether all is well, and what to print."""
        text = (ROOT / mutant.file).read_text(encoding="utf-8")
        for old, new in mutant.edits:
            if text.count(old) != 1:
                return False, f"not there exactly once: {old}"
            text = text.replace(old, new)
        folder = self.folder / str(number)
        copy = folder / mutant.file.removeprefix("include/").removeprefix("src/")
        copy.parent.mkdir(parents=True)
        for neighbour in (DEQUE, FENCE):  # They include each other from their own folder.
            shutil.copy(ROOT / neighbour, folder)
        copy.write_text(text, encoding="utf-8")
        tests = [HERE / f"{name}.cpp" for name in TESTS_OF[mutant.file]]
        try:
            build(folder, tests + self.core, folder / "run", f"-include{self.common}")
        except RuntimeError as error:
            return False, str(error)
        output, status = call([str(folder / "run")] + SHORT)
        if status == 0 and not mutant.equal:
            output, status = call([str(folder / "run")] + LONGER)
        failure = next((line for line in output.splitlines() if line.startswith("FAILED")), "")
        if mutant.equal:
            return status == 0, mutant.equal if status == 0 else f"caught, but: {mutant.equal}\n{output}"
        if status == 1 and failure:
            return True, failure.removeprefix("FAILED").strip()
        return False, f"not caught\n{output}"


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = [mutant for mutant in MUTANTS if word in f"{mutant.file} {mutant.name}"]
    if not wanted:
        sys.exit(f"error: no mutant matches {word}")
    failures = 0
    jobs = int(os.environ.get("SPARGIO_JOBS") or os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        checker = Checker(Path(folder), pool)
        for mutant, (good, detail) in zip(wanted, pool.map(checker.check, range(len(wanted)), wanted)):
            verdict = "FAILED" if not good else "equal" if mutant.equal else "caught"
            print(f"{verdict:7} {Path(mutant.file).name} {mutant.name}: {detail}", flush=True)
            failures += not good
    print(f"{len(wanted)} mutants, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
