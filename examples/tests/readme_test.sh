#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# readme_test.sh PROGRAM SOURCE README: the program that the README shows is the file SOURCE, and prints what it says.
# shellcheck source=examples/tests/checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
program="$1" source="$2" readme="$3"

check "output" 14 "$("${program}")"

# The README leaves out the head of the file, which ends with the first empty line.
sed '1,/^$/d' "${source}" >"${scratch}/source"
# The first C++ block of the README.
awk '/^```/ { if (inside) exit; inside = ($0 == "```cpp"); next } inside' "${readme}" >"${scratch}/shown"
check_same "the README shows another program than ${source##*/}" "${scratch}/source" "${scratch}/shown"
finish
