#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the benchmarks with the bench preset, runs them, and prints a table: medians, ratios to Asio, the environment.
#
# usage: scripts/bench.sh [--quick] [--filter REGEX] [--repetitions N] [--build-only] [SUBJECT]...
#   SUBJECT          spawn, micro, ...: one binary bench_<subject> each; default: all of them
#   --quick          three short repetitions: for a look, not for a figure
#   --filter REGEX   only benchmarks whose name matches
#   --repetitions N  default 9; figures that are no times have 3 of their own
#   --build-only     build, and run nothing
#
# The repetitions of all runtimes are interleaved, since a machine's speed drifts: the ratios in one run are what counts.
# The JSON that the table is made of stays in build/bench/results/. Where io_uring cannot be used its benchmarks fail, and
# so does this script; missed targets are shown and fail nothing.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() { sed -n 's/^# \{0,1\}//; 3,$p' "${BASH_SOURCE[0]}" | sed '/^set -euo/,$d'; }

repetitions=9
min_time=0.2
filter='.*'
build_only=0
subjects=()
while [[ $# -gt 0 ]]; do
    case "$1" in
    --quick)
        repetitions=3
        min_time=0.02
        ;;
    --filter | --repetitions)
        [[ $# -ge 2 ]] || spargio_die "$1 needs a value"
        if [[ "$1" == --filter ]]; then filter="$2"; else repetitions="$2"; fi
        shift
        ;;
    --build-only) build_only=1 ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*)
        usage >&2
        exit 2
        ;;
    *) subjects+=("${1#bench_}") ;;
    esac
    shift
done

cd "${SPARGIO_ROOT}"
known=()
for source in bench/bench_*.cpp; do
    name="$(basename "${source}" .cpp)"
    known+=("${name#bench_}")
done
for subject in "${subjects[@]}"; do
    [[ " ${known[*]} " == *" ${subject} "* ]] || spargio_die "no subject '${subject}'; there are: ${known[*]}"
done
[[ ${#subjects[@]} -gt 0 ]] || subjects=("${known[@]}")

spargio_need build bench
spargio_has_command python3 || spargio_die "python3 is needed to print the table"
build="${SPARGIO_BENCH_BUILD_DIR:-build/bench}"
spargio_say "building: ${subjects[*]}"
cmake --preset bench -B "${build}" >/dev/null
cmake --build "${build}" --parallel "$(spargio_jobs)" --target "${subjects[@]/#/bench_}"
[[ ${build_only} -eq 0 ]] || exit 0

from_cache() { sed -n "s/^$1:[A-Z]*=//p" "${build}/CMakeCache.txt"; }
flags="$(from_cache CMAKE_BUILD_TYPE) $(from_cache CMAKE_CXX_FLAGS) $(from_cache CMAKE_CXX_FLAGS_RELEASE)"
flags="$(tr -s ' ' <<<"${flags}")"

status=0
mkdir -p "${build}/results"
for subject in "${subjects[@]}"; do
    json="${build}/results/${subject}.json"
    rm -f "${json}"
    spargio_say "running bench_${subject}: ${repetitions} repetitions; close what else uses the CPUs"
    # Its own table has one line per repetition, so only what it says on stderr is shown. The script that reads the JSON
    # names what failed. A crash leaves no whole JSON.
    "${build}/bench/bench_${subject}" --benchmark_filter="${filter}" --benchmark_repetitions="${repetitions}" \
        --benchmark_enable_random_interleaving=true --benchmark_min_time="${min_time}" \
        --benchmark_context=cmake="${flags}" --benchmark_out="${json}" --benchmark_out_format=json \
        >/dev/null 2>"${build}/results/${subject}.log" || {
        echo "error: bench_${subject} ended with status $?:" >&2
        cat "${build}/results/${subject}.log" >&2
        status=1
    }
    scripts/bench_table.py "${json}" || status=1
done
exit "${status}"
