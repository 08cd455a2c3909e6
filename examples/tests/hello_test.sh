#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hello_test.sh PROGRAM: hello greets once from every shard, in order.
# shellcheck source=examples/tests/checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

"$1" >"${scratch}/output"
check "exit status" 0 $?
read -r shards _ <"${scratch}/output"
for ((shard = 0; shard < shards; ++shard)); do
    echo "hello from shard ${shard}"
done >"${scratch}/expected"
tail -n +2 "${scratch}/output" >"${scratch}/greetings"
check_same "one greeting per shard" "${scratch}/expected" "${scratch}/greetings"
[[ -s "${scratch}/greetings" ]] || fail "no shard at all"
finish
