#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/count_tests.py, on made-up files: nothing that went wrong may be missing from its count."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "count_tests.py"
GROUP = "program.group_3"


def of_ctest(name, status):
    reason = "<skipped message='SKIP_REGULAR_EXPRESSION_MATCHED'/>" if status == "notrun" else ""
    output = "<system-out>a.cpp:3: Skipped\nno ring\n</system-out>"
    return f"<testcase name='{name}' status='{status}'>{reason}{output}</testcase>"


def of_googletest(test, inside="", result="completed"):
    return f"<testcase name='{test}/queue' classname='Suite' status='run' result='{result}'>{inside}</testcase>"


PASSES = of_googletest("Passes")
FAILS = of_googletest("Fails", "<failure message='a.cpp:7&#x0A;x != y'/><failure message='a.cpp:9'/>")
SKIPS = of_googletest("Skips", "<skipped message='a.cpp:3&#x0A;no ring'/>", "skipped")


class CountTests(unittest.TestCase):
    def count(self, *cases, group=None, options=()):
        """The exit status and the lines for CTest's cases, with GoogleTest's for the group."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "dev.xml"
            file.write_text(f"<testsuite>{''.join(cases)}</testsuite>")
            if group is not None:
                (Path(folder) / "dev").mkdir()
                tests = "".join(group)
                (Path(folder) / "dev" / f"{GROUP}.xml").write_text(
                    f"<testsuites><testsuite name='Suite'>{tests}</testsuite></testsuites>",
                    encoding="utf-8", errors="surrogateescape")
            done = subprocess.run([sys.executable, SCRIPT, *options, file], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout.splitlines()

    def test_a_test_of_its_own(self):
        status, lines = self.count(of_ctest("a", "run"), of_ctest("b", "fail"), of_ctest("c", "notrun"))
        self.assertEqual((status, lines), (1, ["FAILED   dev: b", "         | a.cpp:3: Skipped", "         | no ring",
                                               "skipped  c: no ring", "1 passed, 1 failed, 1 skipped"]))

    def test_a_group_is_its_tests(self):
        status, lines = self.count(of_ctest("a", "run"), of_ctest(GROUP, "run"), group=[PASSES, SKIPS])
        self.assertEqual((status, lines), (0, ["skipped  Suite.Skips/queue: no ring", "2 passed, 0 failed, 1 skipped"]))

    def test_a_failure_in_a_group(self):
        status, lines = self.count(of_ctest(GROUP, "fail"), group=[PASSES, FAILS])
        self.assertEqual((status, lines), (1, ["FAILED   dev: Suite.Fails/queue", "         | a.cpp:7", "         | x != y",
                                               "         | a.cpp:9", "1 passed, 1 failed, 0 skipped"]))

    def test_of_a_long_output_the_end_is_shown(self):
        output = "&#x0A;".join(f"line {i}" for i in range(100)) + " " + 1000 * "x"
        status, lines = self.count(f"<testcase name='a' status='fail'><system-out>{output}</system-out></testcase>")
        self.assertEqual((status, lines[:2], len(lines)), (1, ["FAILED   dev: a", "         | line 85"], 17))
        self.assertLess(len(lines[-2]), 320)

    def test_a_group_that_fails_after_its_tests(self):
        status, lines = self.count(of_ctest(GROUP, "fail"), group=[PASSES])
        self.assertEqual((status, lines), (1, [f"FAILED   dev: {GROUP}", "         | a.cpp:3: Skipped", "         | no ring",
                                               "1 passed, 1 failed, 0 skipped"]))

    def test_a_group_that_leaves_no_file(self):
        for outcome in ("run", "fail"):
            status, lines = self.count(of_ctest("a", "run"), of_ctest(GROUP, outcome))
            self.assertEqual((status, lines[1], lines[-1]),
                             (1, f"FAILED   dev: {GROUP}", "1 passed, 1 failed, 0 skipped"))

    def test_a_group_that_crashes_names_its_last_test(self):
        output = "<system-out>[ RUN      ] A.Passes\n[ RUN      ] A.Crashes\n</system-out>"
        status, lines = self.count(f"<testcase name='{GROUP}' status='fail'>{output}</testcase>")
        self.assertEqual((status, lines[1]), (1, f"FAILED   dev: {GROUP}: it ended in A.Crashes"))

    def test_what_is_no_text(self):
        fails = of_googletest("Fails", "<failure message='\udcff'/>")
        status, lines = self.count(of_ctest(GROUP, "fail"), group=[PASSES, fails])
        self.assertEqual((status, lines[0], lines[-1]),
                         (1, "FAILED   dev: Suite.Fails/queue", "1 passed, 1 failed, 0 skipped"))

    def test_a_forbidden_skip_in_a_group(self):
        status, lines = self.count(of_ctest(GROUP, "run"), group=[SKIPS], options=["--forbid-skips", "queue"])
        self.assertEqual((status, lines), (1, ["FAILED   dev: Suite.Skips/queue: may not be skipped here (no ring)",
                                               "0 passed, 1 failed, 0 skipped"]))

    def test_nothing(self):
        self.assertEqual(self.count(), (1, ["FAILED   no test was run", "0 passed, 1 failed, 0 skipped"]))


if __name__ == "__main__":
    unittest.main()
