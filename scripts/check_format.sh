#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fails when clang-format would change a source file; `scripts/check_format.sh --fix` changes them.
#
# Releases of clang-format differ in details: 14 decides, and is taken where it is installed beside another. Without it
# nothing is checked and the exit status is 77, or 1 in CI (CI is set).
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mode=(--dry-run -Werror)
case "${1:-}" in
"") ;;
--fix) mode=(-i) ;;
*) spargio_die "usage: scripts/check_format.sh [--fix]" ;;
esac

spargio_need lint
tool=clang-format
spargio_has_command clang-format-14 && tool=clang-format-14
if [[ "$("${tool}" --version)" != *" version 14."* ]]; then
    # Another release would complain of lines that are right.
    other="$("${tool}" --version) is not clang-format 14, the release that decides"
    [[ -z "${CI:-}" ]] || spargio_die "${other}"
    spargio_say "not checked: ${other}"
    exit 77
fi

cd "${SPARGIO_ROOT}"
mapfile -d '' -t files < <(spargio_sources)
[[ ${#files[@]} -gt 0 ]] || spargio_die "no source files found in ${SPARGIO_ROOT}"
"${tool}" --style=file "${mode[@]}" "${files[@]}" || spargio_die "not formatted; run scripts/check_format.sh --fix"
spargio_say "${#files[@]} files are formatted as ${tool} would"
