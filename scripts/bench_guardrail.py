#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs benchmarks of this project and judges them: by ratios that were recorded, or by whether they run at all.

usage: scripts/bench_guardrail.py guard GROUP [--record] [OPTION]...
       scripts/bench_guardrail.py smoke SUBJECT [OPTION]...

Called by scripts/bench_fanout_guardrail.sh, bench_ping_guardrail.sh and bench_fanout_smoke.sh, which say what the
options do. A guard of bench/guardrails.json is the ratio of two benchmarks of one run: the time of one over the time of
the other, never a time by itself. bench/README.md says how it is judged.

Exit status: 0 all is well, 1 a guard is worse than recorded or a benchmark failed its smoke run, 2 it cannot be told.
"""
import argparse
import ctypes
import errno
import json
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench_table import NANOSECONDS, show_ratio, workload_and_runtime

ROOT = Path(__file__).resolve().parent.parent
GUARDRAILS = ROOT / "bench" / "guardrails.json"

REPETITIONS = 9
MIN_TIME = 0.05
# A guard that is not within its noise is measured so often in all.
MEASUREMENTS = 3
RECORDED_MEASUREMENTS = 7
# The recorded noise is at least this, and this many times what the recorded measurements show: a few of them do not
# show the worst.
LEAST_NOISE = 0.15
NOISE_OF_SPREAD = 1.5
# With more noise than this a guard finds nothing but disasters.
TOO_MUCH_NOISE = 0.6
# A program that takes longer hangs. A run takes seconds, or a minute on a slow machine.
SECONDS_OF_A_RUN = 600


# The scripts that call this one, which the user has called.
SCRIPTS = {
    ("guard", "fanout"): "bench_fanout_guardrail.sh",
    ("guard", "ping"): "bench_ping_guardrail.sh",
    ("smoke", "fanout_fanin"): "bench_fanout_smoke.sh",
}


class CannotTell(Exception):
    """There is no figure to judge: a sentence for each reason."""


# What a run of Google Benchmark says.


def read_report(report):
    """What the JSON of a run says: nanoseconds of each repetition, and errors, by workload/runtime."""
    times = defaultdict(list)
    errors = {}
    for entry in report["benchmarks"]:
        if entry.get("run_type") == "aggregate":
            continue
        name = "/".join(workload_and_runtime(entry["run_name"]))
        if entry.get("error_occurred"):
            errors[name] = entry.get("error_message") or "failed"
        else:
            times[name].append(entry["real_time"] * NANOSECONDS[entry["time_unit"]])
    return dict(times), errors


def medians_of(names, times, errors):
    """The median of each benchmark; raises CannotTell where one failed, did not run, or took no time."""
    problems = []
    for name in names:
        if name in errors:
            problems.append(f"{name} failed: {errors[name]}")
        elif not times.get(name):
            problems.append(f"{name} did not run: the program has no such benchmark")
        elif not median(times[name]) > 0:
            problems.append(f"{name} took no time")
    if problems:
        raise CannotTell(*problems)
    return {name: median(times[name]) for name in names}


def filter_of(names):
    """A regular expression that matches these benchmarks and, whatever Google Benchmark appends to a name, no other."""
    return f"^({'|'.join(re.escape(name) for name in names)})(/manual_time|/real_time)?$"


# Guards.


@dataclass(frozen=True)
class Guard:
    name: str
    subject: str  # The program is bench_<subject>.
    numerator: str
    denominator: str
    ratio: float
    noise: float  # By how much of the ratio it may be exceeded.

    @property
    def limit(self):
        return self.ratio * (1 + self.noise)

    @property
    def benchmarks(self):
        return (self.numerator, self.denominator)


def guards_of(guardrails, group):
    if group not in guardrails:
        raise CannotTell(f"no group '{group}'; there are: {', '.join(guardrails)}")
    # One that was never recorded has no ratio yet.
    return [Guard(**{"ratio": 0.0, "noise": 0.0} | entry) for entry in guardrails[group]["guards"]]


class Judged:
    """A guard and what was measured for it."""

    def __init__(self, guard):
        self.guard = guard
        self.numerator = math.inf
        self.denominator = math.inf
        self.measurements = 0

    def add(self, medians):
        """What disturbs a benchmark makes it slower, never faster. So the lowest median of each of the two counts, not
        the lowest ratio: that would be the one whose denominator was disturbed most, and hide what is worse."""
        self.numerator = min(self.numerator, medians[self.guard.numerator])
        self.denominator = min(self.denominator, medians[self.guard.denominator])
        self.measurements += 1

    @property
    def ratio(self):
        return self.numerator / self.denominator

    @property
    def verdict(self):
        if self.ratio > self.guard.limit:
            return "WORSE"
        return "better" if self.ratio < self.guard.ratio / (1 + self.guard.noise) else "ok"


def judge(guards, measure):
    """`measure(guards)` returns medians by benchmark. What is not as recorded is measured again: a ratio that looks
    worse, and one that looks better, since that may be a disturbed denominator under something worse."""
    judged = [Judged(guard) for guard in guards]
    pending = judged
    for _ in range(MEASUREMENTS):
        medians = measure([one.guard for one in pending])
        for one in pending:
            one.add(medians)
        pending = [one for one in pending if one.verdict != "ok"]
        if not pending:
            break
    return judged


def recorded(ratios):
    """The ratio and the noise to record for what repeated measurements gave."""
    middle = median(ratios)
    spread = max(ratios) / middle - 1
    return float(f"{middle:.3g}"), max(LEAST_NOISE, math.ceil(100 * NOISE_OF_SPREAD * spread) / 100)


# Measuring.


def busy_seconds(stat, cpus):
    """What /proc/stat says of how long these CPUs were not idle; what another virtual machine took counts."""
    ticks = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name in {f"cpu{cpu}" for cpu in cpus}:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def used_by_us():
    """CPU seconds of this process and of the programs that it ran."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


class OtherUse:
    """What share of the CPUs that this process may use others have used since the object was made."""

    def __init__(self):
        self.cpus = os.sched_getaffinity(0)
        self.before = self.used_by_others()
        self.started = time.monotonic()

    def used_by_others(self):
        return busy_seconds(Path("/proc/stat").read_text(encoding="ascii"), self.cpus) - used_by_us()

    def share(self):
        passed = (time.monotonic() - self.started) * len(self.cpus)
        # Ticks are counted, so it may come out as less than nothing or more than all.
        return min(max(0.0, (self.used_by_others() - self.before) / passed), 1.0)


def can_use_io_uring():
    """Asks for a ring without entries, which no kernel gives."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(425, 0, None)  # io_uring_setup, on every architecture
    return ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM, errno.EACCES)


def run_program(program, arguments):
    """Runs a benchmark program and returns its JSON report."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [str(program), *arguments, f"--benchmark_out={out.name}", "--benchmark_out_format=json"]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_OF_A_RUN, check=False)
        except subprocess.TimeoutExpired:
            raise CannotTell(f"{program.name} did not end within {SECONDS_OF_A_RUN} s") from None
        except OSError as error:
            raise CannotTell(f"{program} cannot be run: {error.strerror}") from None
        if ended.returncode != 0:
            raise CannotTell(f"{program.name} ended with status {ended.returncode}", *ended.stderr.splitlines()[-10:])
        try:
            return json.load(out)
        except ValueError:
            raise CannotTell(f"{program.name} left no whole JSON", *ended.stderr.splitlines()[-10:]) from None


class Bench:
    """The programs of one build directory."""

    def __init__(self, build_dir, others, patience):
        self.folder = Path(build_dir) / "bench"
        self.others = others
        self.deadline = time.monotonic() + patience
        self.context = {}
        self.said_busy = False

    def program(self, subject):
        return self.folder / f"bench_{subject}"

    def names(self, subject):
        program = self.program(subject)
        try:
            ended = subprocess.run([str(program), "--benchmark_list_tests"], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotTell(f"{program} does not list its benchmarks: {error}") from None
        return ["/".join(workload_and_runtime(line)) for line in ended.stdout.split()]

    def measure(self, guards):
        """Medians of all that these guards compare, from runs that nothing else disturbed. A run for each workload: so
        what is compared is close together in time, and a disturbance costs seconds."""
        runs = defaultdict(dict)
        for guard in guards:
            workload = guard.numerator.partition("/")[0]
            runs[guard.subject, workload].update(dict.fromkeys(guard.benchmarks))
        medians = {}
        for (subject, _), names in runs.items():
            medians |= self.measure_calmly(subject, list(names))
        return medians

    def measure_calmly(self, subject, names):
        arguments = [
            f"--benchmark_filter={filter_of(names)}",
            f"--benchmark_repetitions={REPETITIONS}",
            f"--benchmark_min_time={MIN_TIME}",
            # The machine's speed drifts: each repetition of one has neighbours of the other.
            "--benchmark_enable_random_interleaving=true",
        ]
        while True:
            self.wait_for_calm()
            use = OtherUse()
            report = run_program(self.program(subject), arguments)
            share = use.share()
            self.context = report["context"]
            if self.context.get("build_type", "optimized") != "optimized":
                raise CannotTell(f"bench_{subject} is not a build to measure: {self.context['build_type']}")
            medians = medians_of(names, *read_report(report))
            if share <= self.others:
                return medians
            self.give_up_after_deadline(share)
            self.say_once(share)

    def wait_for_calm(self):
        while True:
            use = OtherUse()
            time.sleep(1)
            share = use.share()
            if share <= self.others:
                return
            self.give_up_after_deadline(share)
            self.say_once(share)

    def say_once(self, share):
        if not self.said_busy:
            say(f"others use {share:.0%} of the CPUs: waiting, and repeating what they disturb")
            self.said_busy = True

    def give_up_after_deadline(self, share):
        if time.monotonic() > self.deadline:
            raise CannotTell(
                f"others use {share:.0%} of the CPUs, and a ratio of what runs on two CPUs means nothing then",
                "wait until the machine is idle, or say with --others how much they may use",
            )


# What is shown.


def say(text):
    print(f"== {text}", flush=True)


def print_table(heads, rows):
    """The first column and the last are text, the others numbers."""
    widths = [max(map(len, column)) for column in zip(heads, *rows)]
    for first, *numbers, last in (heads, *rows):
        cells = [first.ljust(widths[0]), *map(str.rjust, numbers, widths[1:-1]), last]
        print("  ".join(cells))


def print_judged(judged):
    rows = [
        (
            one.guard.name,
            show_ratio(one.ratio),
            show_ratio(one.guard.ratio),
            show_ratio(one.guard.limit),
            str(one.measurements),
            one.verdict,
        )
        for one in judged
    ]
    print_table(("guard", "ratio", "recorded", "limit", "runs", "verdict"), rows)


def print_recorded(guards, ratios):
    rows = []
    for guard in guards:
        ratio, noise = recorded(ratios[guard.name])
        spread = f"{show_ratio(min(ratios[guard.name]))} .. {show_ratio(max(ratios[guard.name]))}"
        remark = "  too noisy to guard" if noise > TOO_MUCH_NOISE else ""
        rows.append((guard.name, show_ratio(ratio), f"{noise:.2f}", show_ratio(guard.ratio), spread + remark))
    print_table(("guard", "ratio", "noise", "before", "lowest .. highest"), rows)


# The commands.


def build(arguments, subjects):
    """The build directory: the one that is given, as it is, or the one of scripts/bench.sh, brought up to date."""
    if arguments.build_dir:
        return arguments.build_dir
    command = ["bash", str(ROOT / "scripts" / "bench.sh"), "--build-only", *subjects]
    if subprocess.run(command, check=False).returncode != 0:
        raise CannotTell("the benchmarks could not be built")
    return ROOT / os.environ.get("SPARGIO_BENCH_BUILD_DIR", "build/bench")


def io_uring_or_skip(arguments):
    """False where there is no io_uring and that is allowed."""
    if can_use_io_uring():
        return True
    if arguments.allow_no_io_uring:
        return False
    raise CannotTell("this kernel, or this container, refuses io_uring (--allow-no-io-uring leaves out what needs it)")


def guard_command(arguments):
    guardrails = json.loads(Path(arguments.guardrails).read_text(encoding="utf-8"))
    guards = guards_of(guardrails, arguments.group)
    if not io_uring_or_skip(arguments):
        if arguments.record:
            raise CannotTell("nothing to record: this kernel, or this container, refuses io_uring")
        guards = [guard for guard in guards if not any("io_uring" in name for name in guard.benchmarks)]
        say(f"no io_uring here: {len(guards)} guards are left")
        if not guards:
            return 0
    if len(os.sched_getaffinity(0)) < 2:
        raise CannotTell("two CPUs are needed")
    unknown = [guard.name for guard in guards if guard.ratio <= 0]
    if unknown and not arguments.record:
        raise CannotTell(f"not recorded yet (--record): {', '.join(unknown)}")
    subjects = sorted({guard.subject for guard in guards})
    bench = Bench(build(arguments, subjects), arguments.others / 100, arguments.patience)
    if arguments.record:
        return record(arguments, guardrails, guards, bench)
    say(f"measuring {len(guards)} guards; close what else uses the CPUs")
    judged = judge(guards, bench.measure)
    print_judged(judged)
    worse = [one.guard.name for one in judged if one.verdict == "WORSE"]
    if worse:
        print(f"FAILED: worse than recorded by more than the noise: {', '.join(worse)}")
        return 1
    if any(one.verdict == "better" for one in judged):
        print("Better than recorded by more than the noise: record it (--record), so that it stays so.")
    return 0


def record(arguments, guardrails, guards, bench):
    ratios = defaultdict(list)
    for number in range(1, arguments.runs + 1):
        say(f"measurement {number} of {arguments.runs}; close what else uses the CPUs")
        medians = bench.measure(guards)
        for guard in guards:
            ratios[guard.name].append(medians[guard.numerator] / medians[guard.denominator])
    print_recorded(guards, ratios)
    noisy = [name for name, measured in ratios.items() if recorded(measured)[1] > TOO_MUCH_NOISE]
    if len(noisy) == len(guards):
        raise CannotTell("nothing is written: all guards are too noisy", "record on an idle machine")
    group = guardrails[arguments.group]
    context = bench.context
    group["recorded"] = {
        "date": str(context.get("date"))[:10],
        "runs": arguments.runs,
        "others_percent": arguments.others,  # At most so much of the CPUs went to other programs.
    }
    group["recorded"] |= {key: context.get(key) for key in ("kernel", "cpu_model", "cpus_usable", "compiler")}
    if noisy:
        group["recorded"]["not_recorded"] = noisy  # What these have is of an earlier recording.
    for entry in group["guards"]:
        if entry["name"] not in noisy:
            entry["ratio"], entry["noise"] = recorded(ratios[entry["name"]])
    Path(arguments.guardrails).write_text(json.dumps(guardrails, indent=2) + "\n", encoding="utf-8")
    say(f"written to {arguments.guardrails}")
    if noisy:
        raise CannotTell(f"left as they were, too noisy to guard: {', '.join(noisy)}", "record on an idle machine")
    return 0


def smoke_command(arguments):
    """Every benchmark that the program has, and every one of it that a guard needs, once and briefly."""
    with_io_uring = io_uring_or_skip(arguments)
    bench = Bench(build(arguments, [arguments.subject]), 1, 0)
    guardrails = json.loads(Path(arguments.guardrails).read_text(encoding="utf-8"))
    guards = [guard for group in guardrails for guard in guards_of(guardrails, group)]
    needed = [name for guard in guards if guard.subject == arguments.subject for name in guard.benchmarks]
    names = list(dict.fromkeys(bench.names(arguments.subject) + needed))
    if not with_io_uring:
        names = [name for name in names if "io_uring" not in name]
        say(f"no io_uring here: {len(names)} benchmarks are left")
    say(f"running {len(names)} benchmarks of bench_{arguments.subject} briefly")
    options = [f"--benchmark_filter={filter_of(names)}", "--benchmark_min_time=0.001"]
    try:
        times, errors = read_report(run_program(bench.program(arguments.subject), options))
    except CannotTell as crash:
        print_failures(crash.args)
        return 1
    verdicts = {name: errors.get(name) or ("ok" if times.get(name) else "did not run") for name in names}
    print_table(("benchmark", "verdict"), list(verdicts.items()))
    failed = [name for name, verdict in verdicts.items() if verdict != "ok"]
    if failed or not names:
        print(f"FAILED: {', '.join(failed) or 'no benchmark'}")
        return 1
    return 0


def print_failures(sentences):
    print("FAILED")
    for sentence in sentences:
        print(f"  {sentence}")


def count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of at least 1")
    return int(text)


def as_called(arguments):
    """The name of the script that the user has called, and what it says of its usage; nothing if it was none of them."""
    script = SCRIPTS.get(tuple(arguments[:2]))
    if script is None:
        return {}
    text = (ROOT / "scripts" / script).read_text(encoding="utf-8")
    usage = text.partition("# usage: ")[2].partition("\n#\n")[0].replace("\n# ", "\n")
    return {"prog": script, "usage": usage.replace("%", "%%")}


def parse(arguments):
    called = as_called(arguments)
    what = "Judges benchmarks: see the scripts named bench_*_guardrail.sh."
    parser = argparse.ArgumentParser(description=what, **called)
    commands = parser.add_subparsers(dest="command", required=True, prog=called.get("prog"))
    guard = commands.add_parser("guard", **called)
    guard.add_argument("group")
    guard.add_argument("--record", action="store_true")
    guard.add_argument("--runs", type=count, default=RECORDED_MEASUREMENTS, metavar="N")
    guard.add_argument("--others", type=float, default=10, metavar="PERCENT")
    guard.add_argument("--patience", type=float, default=600, metavar="SECONDS")
    smoke = commands.add_parser("smoke", **called)
    smoke.add_argument("subject")
    for command in (guard, smoke):
        command.add_argument("--build-dir", metavar="DIR")
        command.add_argument("--guardrails", default=str(GUARDRAILS), metavar="FILE")
        command.add_argument("--allow-no-io-uring", action="store_true")
    return parser.parse_args(arguments)


def main(arguments):
    parsed = parse(arguments)
    try:
        return guard_command(parsed) if parsed.command == "guard" else smoke_command(parsed)
    except CannotTell as reasons:
        print_failures(reasons.args)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print_failures([f"{type(error).__name__}: {error}"])
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
