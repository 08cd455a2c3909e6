# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of the examples share: a folder that goes away at the end, and checks that count. Sourced.

set -u
export LC_ALL=C  # sort, and the messages of the system

scratch="$(mktemp -d)"
trap 'chmod -R u+rwx "${scratch}" 2>/dev/null; rm -rf "${scratch}"' EXIT
failed=0

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=$((failed + 1))
}

# check WHAT EXPECTED ACTUAL
check() {
    if [[ "$2" != "$3" ]]; then
        fail "$1"
        printf '  expected: %q\n  actual:   %q\n' "${2:0:2000}" "${3:0:2000}"
    fi
}

# check_same WHAT EXPECTED_FILE ACTUAL_FILE
check_same() {
    if ! cmp -s "$2" "$3"; then
        fail "$1"
        diff "$2" "$3" | head -n 20 | cat -v
    fi
}

# check_contains WHAT PART FILE
check_contains() {
    if ! grep -qF -e "$2" "$3"; then
        fail "$1"
        printf '  no line with: %q\n  in:\n' "$2"
        head -n 20 "$3" | sed 's/^/    /' | cat -v
    fi
}

finish() {
    if ((failed > 0)); then
        printf '%d checks failed\n' "${failed}"
        exit 1
    fi
    echo "all checks passed"
    exit 0
}
