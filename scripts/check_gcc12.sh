#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fails where a lambda with captures is written inside a co_await expression: GCC 12 copies such a temporary bitwise
# into the frame and destroys it twice. Name the lambda first and move it in. tests/conformance shows it on purpose.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cd "${SPARGIO_ROOT}"
mapfile -d '' -t files < <(spargio_sources | grep -zv '^tests/conformance/')
[[ ${#files[@]} -gt 0 ]] || spargio_die "no source files found in ${SPARGIO_ROOT}"

# A statement may go over several lines: what follows co_await is joined up to the end of the statement, or up to the
# first brace that opens a body, behind which there is another statement.
found="$(awk '
    FNR == 1 { statement = "" }
    {
        line = $0
        sub(/\/\/.*/, "", line)
        while (line != "") {
            if (statement == "") {
                at = match(line, /(^|[^A-Za-z0-9_])co_await[^A-Za-z0-9_]/)
                if (at == 0) break
                line = substr(line, at)
                start = FNR
            }
            end = match(line, /[;}]|[^({, ] *\{/) ? RSTART + RLENGTH - 1 : 0
            statement = statement " " (end ? substr(line, 1, end) : line)
            line = end ? substr(line, end + 1) : ""
            if (end) {
                if (statement ~ /[(,{][[:space:]]*\[[^]]/) print FILENAME ":" start ":" statement
                statement = ""
            }
        }
    }' "${files[@]}")"

if [[ -n "${found}" ]]; then
    printf '%s\n' "${found}"
    spargio_die "GCC 12 breaks these: name the lambda in a statement of its own and std::move it"
fi
spargio_say "no lambda with captures inside a co_await in ${#files[@]} files"
