#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/bench_guardrail.py: reading, judging and recording by themselves, and the commands on a program that only
claims to have measured."""
import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import bench_guardrail as tool  # noqa: E402


def entry(name, time, unit="ns", **more):
    return {"run_name": f"{name}/manual_time", "run_type": "iteration", "real_time": time, "time_unit": unit} | more


def report(*entries):
    return {"context": {"build_type": "optimized"}, "benchmarks": list(entries)}


def guard(name="g", ratio=0.5, noise=0.2):
    return tool.Guard(name, "fake", f"{name}/spargio", f"{name}/asio", ratio, noise)


class Reading(unittest.TestCase):
    def test_repetitions_are_collected_in_nanoseconds_and_aggregates_left_out(self):
        median = entry("w/a", 9, run_type="aggregate")
        times, errors = tool.read_report(report(entry("w/a", 2, "us"), entry("w/b", 5), entry("w/a", 1, "us"), median))
        self.assertEqual(times, {"w/a": [2000, 1000], "w/b": [5]})
        self.assertEqual(errors, {})

    def test_a_wrong_sum_is_an_error_and_no_figure(self):
        failed = entry("w/a", 0, error_occurred=True, error_message="wrong result")
        times, errors = tool.read_report(report(failed))
        self.assertEqual((times, errors), ({}, {"w/a": "wrong result"}))
        with self.assertRaisesRegex(tool.CannotTell, "w/a failed: wrong result"):
            tool.medians_of(["w/a"], times, errors)

    def test_one_failed_repetition_fails_the_benchmark(self):
        failed = entry("w/a", 0, error_occurred=True, error_message="wrong result")
        with self.assertRaises(tool.CannotTell):
            tool.medians_of(["w/a"], *tool.read_report(report(entry("w/a", 1), failed)))

    def test_a_benchmark_that_did_not_run_is_named(self):
        with self.assertRaisesRegex(tool.CannotTell, "w/b did not run"):
            tool.medians_of(["w/a", "w/b"], *tool.read_report(report(entry("w/a", 1))))

    def test_the_figure_is_the_median(self):
        times = {"w/a": [1, 100, 2]}
        self.assertEqual(tool.medians_of(["w/a"], times, {}), {"w/a": 2})

    def test_the_filter_matches_whole_names(self):
        pattern = tool.filter_of(["w/a", "w/b"])
        self.assertRegex("w/a/manual_time", pattern)
        self.assertNotRegex("w/a_4/manual_time", pattern)
        self.assertNotRegex("other_w/a/manual_time", pattern)


class Judging(unittest.TestCase):
    def judge(self, *measurements, **values):
        """measurements: pairs of medians; returns the guard judged, and how often it was measured."""
        left = list(measurements)

        def measure(guards):
            numerator, denominator = left.pop(0)
            return {name: figure for g in guards for name, figure in zip(g.benchmarks, (numerator, denominator))}

        return tool.judge([guard(**values)], measure)[0]

    def test_a_ratio_within_its_noise_is_measured_once(self):
        judged = self.judge((59, 100))
        self.assertEqual((judged.verdict, judged.measurements), ("ok", 1))

    def test_a_ratio_beyond_its_noise_three_times_is_worse(self):
        judged = self.judge((61, 100), (62, 100), (63, 100))
        self.assertEqual((judged.verdict, judged.measurements, judged.ratio), ("WORSE", 3, 0.61))

    def test_a_disturbed_numerator_is_forgotten(self):
        judged = self.judge((90, 100), (55, 110))
        self.assertEqual((judged.verdict, judged.measurements, judged.ratio), ("ok", 2, 0.55))

    def test_a_disturbed_denominator_does_not_hide_what_is_worse(self):
        judged = self.judge((100, 100), (100, 190), (100, 100))
        self.assertEqual((judged.verdict, judged.measurements, judged.ratio), ("WORSE", 3, 1.0))

    def test_what_looks_better_is_measured_again(self):
        judged = self.judge((80, 400), (80, 100), (80, 100))
        self.assertEqual((judged.verdict, judged.ratio), ("WORSE", 0.8))

    def test_what_stays_better_says_so(self):
        self.assertEqual(self.judge((20, 100), (20, 100), (20, 100)).verdict, "better")

    def test_only_what_is_not_as_recorded_is_measured_again(self):
        asked = []

        def measure(guards):
            asked.append([g.name for g in guards])
            return {"a/spargio": 50, "a/asio": 100, "b/spargio": 90, "b/asio": 100}

        tool.judge([guard("a"), guard("b")], measure)
        self.assertEqual(asked, [["a", "b"], ["b"], ["b"]])


class Recording(unittest.TestCase):
    def test_the_ratio_is_the_median_and_the_noise_comes_from_the_worst(self):
        self.assertEqual(tool.recorded([0.5, 0.4, 0.7]), (0.5, 0.6))

    def test_steady_measurements_have_the_least_noise(self):
        self.assertEqual(tool.recorded([0.1234567, 0.1234567]), (0.123, tool.LEAST_NOISE))


class OtherPrograms(unittest.TestCase):
    def test_only_the_cpus_of_this_process_count_and_being_idle_does_not(self):
        stat = "cpu 9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 4 1000 1000 8 16 32 5 5\ncpu1 9 9 9 9 9 9 9 9 0 0\nintr 1 2\n"
        self.assertEqual(tool.busy_seconds(stat, {0}) * tool.os.sysconf("SC_CLK_TCK"), 63)


# A program like Google Benchmark's: writes the report that lies beside it.
FAKE_PROGRAM = """#!{python}
import pathlib, shutil, sys
report = pathlib.Path(__file__).with_suffix(".json")
if "--benchmark_list_tests" in sys.argv:
    print("w/spargio/manual_time")
for argument in sys.argv:
    if argument.startswith("--benchmark_out="):
        shutil.copyfile(report, argument.partition("=")[2])
"""


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "bench").mkdir()
        program = self.folder / "bench" / "bench_fake"
        program.write_text(FAKE_PROGRAM.format(python=sys.executable), encoding="utf-8")
        program.chmod(0o755)
        self.guardrails = self.folder / "guardrails.json"
        names = {"name": "w", "subject": "fake", "numerator": "w/spargio", "denominator": "w/asio"}
        self.write_guardrails(names | {"ratio": 0.5, "noise": 0.2})
        self.patch(tool, "can_use_io_uring", lambda: True)
        self.patch(tool, "MEASUREMENTS", 1)
        self.patch(tool.time, "sleep", lambda _: None)
        self.patch(tool.os, "sched_getaffinity", lambda _: {0, 1})

    def patch(self, owner, name, value):
        patched = mock.patch.object(owner, name, value)
        patched.start()
        self.addCleanup(patched.stop)

    def write_guardrails(self, entry):
        content = {"a": {"recorded": {}, "guards": [entry]}}
        self.guardrails.write_text(json.dumps(content), encoding="utf-8")

    def run_tool(self, *arguments, measured):
        text = measured if isinstance(measured, str) else json.dumps(measured)
        (self.folder / "bench" / "bench_fake.json").write_text(text, encoding="utf-8")
        output = io.StringIO()
        where = ["--build-dir", str(self.folder), "--guardrails", str(self.guardrails)]
        with contextlib.redirect_stdout(output):
            status = tool.main([*arguments, *where])
        return status, output.getvalue()

    def guard(self, *more, measured):
        return self.run_tool("guard", "a", "--others", "100", *more, measured=measured)

    def test_as_recorded_passes(self):
        status, output = self.guard(measured=report(entry("w/spargio", 55), entry("w/asio", 100)))
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"w +0\.55 +0\.50 +0\.60 +1 +ok")

    def test_worse_fails(self):
        status, output = self.guard(measured=report(entry("w/spargio", 70), entry("w/asio", 100)))
        self.assertEqual(status, 1, output)
        self.assertIn("WORSE", output)

    def test_twice_as_slow_in_both_is_the_same_ratio(self):
        status, output = self.guard(measured=report(entry("w/spargio", 110), entry("w/asio", 200)))
        self.assertEqual(status, 0, output)

    def test_a_missing_benchmark_cannot_be_judged(self):
        status, output = self.guard(measured=report(entry("w/spargio", 1)))
        self.assertEqual(status, 2)
        self.assertIn("w/asio did not run", output)

    def test_a_build_with_assertions_cannot_be_judged(self):
        measured = report(entry("w/spargio", 50), entry("w/asio", 100))
        measured["context"]["build_type"] = "optimized, with assertions"
        self.assertEqual(self.guard(measured=measured)[0], 2)

    def test_a_busy_machine_cannot_be_judged(self):
        self.patch(tool.OtherUse, "share", lambda _: 0.5)
        measured = report(entry("w/spargio", 50), entry("w/asio", 100))
        status, output = self.run_tool("guard", "a", "--patience", "-1", measured=measured)
        self.assertEqual(status, 2)
        self.assertIn("others use 50% of the CPUs", output)

    def test_without_io_uring_it_fails_unless_that_is_allowed(self):
        self.patch(tool, "can_use_io_uring", lambda: False)
        self.assertEqual(self.guard(measured=report())[0], 2)
        status, output = self.guard("--allow-no-io-uring", measured=report(entry("w/spargio", 5), entry("w/asio", 10)))
        self.assertEqual(status, 0)
        self.assertIn("no io_uring here", output)

    def test_what_was_never_recorded_cannot_be_judged_and_can_be_recorded(self):
        self.write_guardrails({"name": "w", "subject": "fake", "numerator": "w/spargio", "denominator": "w/asio"})
        measured = report(entry("w/spargio", 30), entry("w/asio", 100))
        self.assertEqual(self.guard(measured=measured)[0], 2)
        self.assertEqual(self.guard("--record", "--runs", "2", measured=measured)[0], 0)
        written = json.loads(self.guardrails.read_text(encoding="utf-8"))["a"]["guards"][0]
        self.assertEqual((written["ratio"], written["noise"]), (0.3, tool.LEAST_NOISE))
        self.assertEqual(self.guard(measured=measured)[0], 0)

    def test_what_is_too_noisy_is_not_recorded(self):
        self.patch(tool, "recorded", lambda _: (0.3, tool.TOO_MUCH_NOISE + 0.01))
        before = self.guardrails.read_text(encoding="utf-8")
        measured = report(entry("w/spargio", 30), entry("w/asio", 100))
        status, output = self.guard("--record", "--runs", "2", measured=measured)
        self.assertEqual(status, 2, output)
        self.assertIn("too noisy", output)
        self.assertEqual(self.guardrails.read_text(encoding="utf-8"), before)

    def test_the_others_of_a_group_are_recorded(self):
        names = {"subject": "fake", "ratio": 0.5, "noise": 0.2, "denominator": "w/asio"}
        noisy = names | {"name": "noisy", "numerator": "w/noisy"}
        calm = names | {"name": "calm", "numerator": "w/spargio"}
        self.guardrails.write_text(json.dumps({"a": {"recorded": {}, "guards": [noisy, calm]}}), encoding="utf-8")
        self.patch(tool, "recorded", lambda ratios: (ratios[0], 0.7 if ratios[0] > 1 else 0.2))
        measured = report(entry("w/spargio", 30), entry("w/noisy", 200), entry("w/asio", 100))
        status, output = self.guard("--record", "--runs", "1", measured=measured)
        self.assertEqual(status, 2, output)
        written = json.loads(self.guardrails.read_text(encoding="utf-8"))["a"]
        self.assertEqual([one["ratio"] for one in written["guards"]], [0.5, 0.3])
        self.assertEqual(written["recorded"]["not_recorded"], ["noisy"])

    def smoke(self, *entries):
        return self.run_tool("smoke", "fake", measured=report(*entries))

    def test_smoke_passes_where_all_ran(self):
        self.assertEqual(self.smoke(entry("w/spargio", 1), entry("w/asio", 1))[0], 0)

    def test_smoke_fails_on_a_wrong_sum(self):
        failed = entry("w/asio", 0, error_occurred=True, error_message="wrong result")
        status, output = self.smoke(entry("w/spargio", 1), failed)
        self.assertEqual(status, 1)
        self.assertRegex(output, "w/asio +wrong result")

    def test_smoke_fails_where_one_did_not_run(self):
        status, output = self.smoke(entry("w/asio", 1))
        self.assertEqual(status, 1)
        self.assertRegex(output, "w/spargio +did not run")

    def test_smoke_fails_where_the_program_crashes(self):
        status, output = self.run_tool("smoke", "fake", measured='{"context":')
        self.assertEqual(status, 1)
        self.assertIn("bench_fake left no whole JSON", output)


class WrongOptions(unittest.TestCase):
    def refused(self, *arguments):
        output = io.StringIO()
        with contextlib.redirect_stderr(output), self.assertRaises(SystemExit) as ended:
            tool.main([*arguments])
        self.assertEqual(ended.exception.code, 2)
        return output.getvalue()

    def test_an_unknown_option_shows_the_usage_of_the_script_that_was_called(self):
        for called, script in tool.SCRIPTS.items():
            output = self.refused(*called, "--bogus")
            self.assertIn(f"usage: scripts/{script} [", output)
            self.assertIn("\n  --allow-no-io-uring  where the kernel refuses io_uring", output)
            self.assertRegex(output, f"\n{script}: error: .*--bogus\n$")
            text = (ROOT / "scripts" / script).read_text(encoding="utf-8")
            self.assertIn(f"bench_guardrail.py\" {' '.join(called)} \"$@\"", text, "it calls the tool so")

    def test_an_option_without_sense_is_named(self):
        for runs in ("0", "-1", "many"):
            self.assertRegex(self.refused("guard", "ping", "--record", "--runs", runs), f"error: .*--runs: {runs} is no")

    def test_called_by_itself_it_shows_its_own_usage(self):
        self.assertIn("{guard,smoke}", self.refused("--bogus"))


class Recorded(unittest.TestCase):
    def test_the_guardrails_of_this_repository_can_be_read(self):
        guardrails = json.loads(tool.GUARDRAILS.read_text(encoding="utf-8"))
        for group in ("fanout", "ping"):
            for one in tool.guards_of(guardrails, group):
                self.assertGreater(one.ratio, 0, one.name)
                self.assertGreaterEqual(one.noise, tool.LEAST_NOISE, one.name)
                self.assertTrue((ROOT / "bench" / f"bench_{one.subject}.cpp").exists(), one.name)


if __name__ == "__main__":
    unittest.main()
