#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compares what messages cost, as ratios to Asio and to bare threads in this run, with the ratios that are recorded in
# bench/guardrails.json, and fails where one is worse by more than its recorded noise.
#
# usage: scripts/bench_ping_guardrail.sh [--record] [--runs N] [OPTION]...
#   (nothing)            build, measure, compare
#   --record             measure several times and, instead of comparing, write ratios and noise to guardrails.json
#   --runs N             how often --record measures; default 7
#   --build-dir DIR      measure the programs of this build directory (bench preset) as they are, and build nothing
#   --guardrails FILE    in place of bench/guardrails.json
#   --others PERCENT     what other programs may use of the CPUs during a measurement; default 10, and 100 is no limit
#   --patience SECONDS   how long to wait for them; default 600
#   --allow-no-io-uring  where the kernel refuses io_uring, leave out what needs it; without this it is a failure
#
# Prints a table: the ratio now (of the lowest medians of all runs), the recorded one, the limit, how often it was
# measured, the verdict. bench/README.md says how a verdict comes about.
# Exit status: 0 none is worse, 1 one is, 2 it could not be measured, or one was too noisy to be recorded and is as it was.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() { sed -n 's/^# \{0,1\}//; 3,$p' "${BASH_SOURCE[0]}" | sed '/^set -euo/,$d'; }

for option in "$@"; do
    if [[ "${option}" == -h || "${option}" == --help ]]; then
        usage
        exit 0
    fi
done
if ! spargio_has_command python3; then
    echo "error: python3 is needed" >&2
    exit 2
fi
exec python3 "${SPARGIO_ROOT}/scripts/bench_guardrail.py" guard ping "$@"
