#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# messages_test.sh PROGRAM: no word is lost, however often a queue was full.
# shellcheck source=examples/tests/checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

"$1" >"${scratch}/output"
check "exit status" 0 $?
# 1,000 words, the word's number modulo 3 says which shard counts it; 3 threads, 100 times.
printf 'shard %d has counted %d\n' 1 100200 2 99900 3 99900 >"${scratch}/expected"
head -n 3 "${scratch}/output" | sort >"${scratch}/sums"
check_same "a sum per shard" "${scratch}/expected" "${scratch}/sums"
grep -Eq '^300000 of 300000 words counted, [0-9]+ sends met a full queue$' "${scratch}/output" ||
    fail "the total: $(tail -n 1 "${scratch}/output")"
finish
