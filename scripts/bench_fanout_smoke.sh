#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs every fan-out benchmark once and briefly. Fails when one does not run or computes a wrong sum; no time matters.
#
# usage: scripts/bench_fanout_smoke.sh [OPTION]...
#   --build-dir DIR      run the program of this build directory as it is, and build nothing
#   --guardrails FILE    in place of bench/guardrails.json, whose benchmarks must be there
#   --allow-no-io-uring  where the kernel refuses io_uring, leave out what needs it; without this it is a failure
#
# Exit status: 0 all ran, 1 one did not, 2 they could not be run at all.
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
exec python3 "${SPARGIO_ROOT}/scripts/bench_guardrail.py" smoke fanout_fanin "$@"
