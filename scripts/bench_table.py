#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the JSON of Google Benchmark runs as a table that a person reads.

usage: scripts/bench_table.py FILE.json...

Benchmarks are named workload/runtime. A figure is the median of its repetitions; "of Asio" is that median over the best
median (the lowest; of rates the highest) of the workload's Asio variants, in the same run; a target that spargio, or the
variant of it that a workload is about, has is shown with whether it was reached, and with the ratio where that is to
something else. A missed target is no error. A benchmark that failed, or a file without benchmarks, is: exit status 1.
"""
import json
import re
import sys
from collections import defaultdict
from statistics import median

# What spargio (in the variant that a workload has of these) should reach: a ratio to the best of the runtimes whose names
# start so (in small letters), a ratio to the ideal, which on two CPUs is half of what one thread takes without a runtime,
# or a bound in the workload's own unit.
SUBJECTS = ("spargio_io_uring", "spargio_2", "spargio_lane", "spargio")
TARGETS = {
    "spawn_join_local": [("of Asio", 0.30), ("ns", 50)],
    "spawn_join_foreign": [("of Asio", 0.30)],
    "post_foreign": [("of Asio", 0.35)],
    "yield": [("ns", 20)],
    "await_ready_task": [("ns", 14)],
    "suspended_task_bytes": [("bytes", 160)],
    "idle_cpu": [("percent", 1)],
    "steady_ping_pong_rtt": [("of Asio", 0.02), ("ns", 500)],
    "steady_one_way_send_drain": [("of asio_two_worker_batched_all", 0.50), ("ns", 8)],
    "cold_start_ping_pong": [("of Asio", 0.10), ("ns", 250_000)],
    "steady_ping_pong_rtt_parked": [("of raw", 1.15)],
    "one_way_many_sources": [("of spargio_queue", 1.00)],
    "fanout_fanin_balanced": [("of serial", 0.55)],
    "fanout_fanin_skewed": [("of serial", 0.80)],
    "requests_at_once_uniform": [("of ideal", 1.02)],
    "requests_at_once_skewed": [("of ideal", 1.02)],
    "requests_in_turn_skewed": [("of ideal", 1.10)],
    "spawn_many": [("of spargio_1", 1.00)],
    "disk_read_rtt_4k": [("of raw_liburing", 1.03), ("of asio_random_access_file", 0.75)],
    "disk_read_4k_qd32": [
        ("of raw_liburing", 1.03),
        ("of asio_random_access_file", 0.55),
        ("of asio_32_files", 0.85),
    ],
    "sleep_create": [("of Asio", 0.40), ("ns", 150)],
    "sleep_fire": [("of Asio", 0.40), ("ns", 750)],  # To begin one, and 600 for its end.
    "sleep_cancel": [("of Asio", 0.40), ("ns", 200)],
    "pending_sleep_bytes": [("bytes", 250)],
    "call_idle": [("of asio_post_future", 0.85)],
    "call_back_to_back": [("of asio_post_future", 0.30)],
    "call_in_flight_64": [("of asio_post_future", 0.40), ("ns", 250)],
}
# Counters that are the figure, in place of the time. Of a rate more is better.
COUNTERS = ("bytes", "percent", "per_second")
# Counters that are shown beside the figure: what parts of a batch took, and how often a thread lost or gave up its CPU.
PERCENTILES = ("p50_us", "p95_us", "p99_us")
SWITCHES = "switches_per_task"
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
# What Google Benchmark adds to a name to say how it was run.
HOW_IT_RAN = re.compile(r"^(manual_time|real_time|process_time|threads:.*|iterations:.*|repeats:.*|min_time:.*)$")


def workload_and_runtime(run_name):
    parts = [part for part in run_name.split("/") if not HOW_IT_RAN.match(part)]
    runtime = parts[1] if len(parts) > 1 else ""
    arguments = f" ({', '.join(parts[2:])})" if len(parts) > 2 else ""
    return parts[0] + arguments, runtime


def registration_order(entry):
    return entry.get("family_index", 0), entry.get("per_family_instance_index", 0)


def figure(entry):
    for counter in COUNTERS:
        if counter in entry:
            return entry[counter], counter
    return entry["real_time"] * NANOSECONDS[entry["time_unit"]], "ns"


def show(value, unit):
    if unit == "percent":
        return f"{value:.2f} %"
    if unit == "bytes":
        return f"{value:.0f} B"
    if unit == "per_second":
        return f"{value:.0f} /s"
    if value < 100:
        return f"{value:.1f} ns"
    if value < 10_000:
        return f"{value:.0f} ns"
    if value < 10_000_000:
        return f"{value / 1e3:.1f} us"
    return f"{value / 1e6:.1f} ms"


def show_ratio(ratio):
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def best_of(medians, prefix, best=min):
    """The fastest runtime whose name starts with `prefix`, or None."""
    return best((runtime for runtime in medians if runtime.startswith(prefix)), key=medians.get, default=None)


def ratio_to(medians, runtime, other):
    return medians[runtime] / medians[other] if other and medians[other] > 0 else None


def ratio_of(kind, medians, runtime):
    """`kind` is "of <runtimes>" or "of ideal"."""
    if kind == "of ideal":
        ratio = ratio_to(medians, runtime, best_of(medians, "serial"))
        return None if ratio is None else 2 * ratio
    return ratio_to(medians, runtime, best_of(medians, kind[3:].lower()))


def judge(workload, runtime, unit, medians):
    verdicts = []
    for kind, bound in TARGETS.get(workload, []):
        if kind.startswith("of "):
            measured = ratio_of(kind, medians, runtime)
            target = f"{bound:.2f} {kind}"
        else:
            measured = medians[runtime] if kind == unit else None
            target = show(bound, kind)
        if measured is None:
            continue
        shown = f"{show_ratio(measured)} " if kind.startswith("of ") and kind != "of Asio" else ""
        verdicts.append(f"{'reached' if measured <= bound else 'MISSED '} {shown}<= {target}")
    return ", ".join(verdicts)


def print_environment(context):
    load = context.get("load_avg") or [0]
    lines = [
        ("kernel", context.get("kernel")),
        ("CPU", f"{context.get('cpu_model')}, {context.get('cpus_usable')} usable of {context.get('num_cpus')}"),
        ("governor", context.get("governor")),
        ("compiler", context.get("compiler")),
        ("build", " ".join(filter(None, [context.get("cmake"), f"({context.get('build_type')})"]))),
        ("date", f"{context.get('date')}, load before the run {load[0]:.2f}"),
    ]
    for name, value in lines:
        print(f"  {name + ':':<10} {value}")


def show_beside(repetitions):
    """repetitions: a dictionary each; the median of each counter that is shown beside the figure."""
    shown = []
    for counter in PERCENTILES:
        values = [counters[counter] for counters in repetitions if counter in counters]
        if values:
            shown.append(f"{counter.removesuffix('_us')} {show(1e3 * median(values), 'ns')}")
    switches = [counters[SWITCHES] for counters in repetitions if SWITCHES in counters]
    if switches:
        per_thousand = 1000 * median(switches)
        shown.append(f"{per_thousand:{'.0f' if per_thousand >= 10 else '.2g'}} switches per 1000 tasks")
    return ", ".join(shown)


def print_workload(workload, figures):
    """figures: runtime -> ([values], unit, [what is shown beside them])."""
    medians = {runtime: median(values) for runtime, (values, _, _) in figures.items()}
    beside = {runtime: show_beside(repetitions) for runtime, (_, _, repetitions) in figures.items()}
    widest = max(map(len, beside.values()))
    is_rate = any(unit == "per_second" for _, unit, _ in figures.values())
    best = best_of(medians, "asio", max if is_rate else min)
    width = max(20, *map(len, figures))
    print(f"\n{workload}")
    for runtime, (values, unit, _) in figures.items():
        ratio = ratio_to(medians, runtime, best)
        of_asio = "best Asio" if runtime == best else f"{show_ratio(ratio)} of Asio" if ratio is not None else ""
        spread = f"{show(min(values), unit)} .. {show(max(values), unit)}"
        counters = f"{beside[runtime]:<{widest}}  " if widest else ""
        verdict = judge(workload, runtime, unit, medians) if runtime in SUBJECTS else ""
        time = f"{show(medians[runtime], unit):>10}  {of_asio:>15}  {spread:<24}"
        row = f"  {runtime:<{width}} {time}  {counters}{verdict}"
        print(row.rstrip())


def print_file(path):
    """Returns what failed, as sentences."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    print_environment(report["context"])
    workloads = defaultdict(dict)
    failures = {}
    # Interleaved repetitions come in any order; what was registered first is shown first.
    for entry in sorted(report["benchmarks"], key=registration_order):
        if entry.get("run_type") == "aggregate":
            continue
        workload, runtime = workload_and_runtime(entry["run_name"])
        if entry.get("error_occurred"):
            failures[f"{workload}/{runtime}: {entry.get('error_message')}"] = None
            continue
        value, unit = figure(entry)
        values, _, repetitions = workloads[workload].setdefault(runtime, ([], unit, []))
        values.append(value)
        repetitions.append({counter: entry[counter] for counter in (*PERCENTILES, SWITCHES) if counter in entry})
    print("\nmedian of the repetitions, ratio of medians, lowest .. highest, percentiles and context switches, target")
    for workload, figures in workloads.items():
        print_workload(workload, figures)
    if not workloads and not failures:
        return [f"{path}: no benchmark ran"]
    return list(failures)


def main(paths):
    if not paths or paths[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if paths else 2
    failures = []
    for path in paths:
        try:
            failures += print_file(path)
        except (OSError, ValueError, KeyError) as error:
            failures.append(f"{path}: {error}")
    if failures:
        print("\nFAILED")
        for failure in failures:
            print(f"  {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
