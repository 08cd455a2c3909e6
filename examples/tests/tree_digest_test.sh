#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tree_digest_test.sh PROGRAM BACKEND: compares tree_digest with find, sha256sum, sort and awk on a tree of odd cases.
# shellcheck source=examples/tests/checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
program="$(realpath "$1")" backend="$2"
out="${scratch}/out" err="${scratch}/err"

# Runs tree_digest with a deadline, since a lost wake-up shows as a hang; leaves its output in out, err and status.
run() {
    timeout -k 5 120 "${program}" --backend "${backend}" "$@" >"${out}" 2>"${err}"
    status=$?
}

mkdir "${scratch}/work" && cd "${scratch}/work" || exit 1
run /dev/null
if [[ ${status} -eq 2 && ${backend} == io_uring && ${SPARGIO_TEST_REQUIRE_URING:-0} != 1 ]]; then
    echo "skipped: io_uring cannot be used here: $(cat "${err}")"
    exit 77
fi

# ---- a tree of odd cases
mkdir -p 'tree/a b/c' tree/empty tree/many 'tree/-dash' tree/$'line\nbreak'
echo plain >tree/plain
: >tree/nothing
echo 1 >'tree/ two  spaces '
echo 2 >'tree/a b/c/file'
echo 3 >'tree/a b.c'  # sorts before "a b/" by bytes, after it by components
echo 4 >tree/-dash/-n
echo 5 >'tree/back\slash'
echo 6 >tree/$'line\nbreak/new\nline'
echo 7 >tree/$'tab\t*?[x]"$HOME'
echo 8 >tree/$'not utf-8 \xff\xfe'
echo 9 >tree/.hidden
seq 1000000 | head -c 5000000 >tree/big
seq 1000000 | head -c 1048576 >tree/one-step  # exactly what is read between two yields
(cd tree/many && seq 3000 | split -l 1 -a 4 - f)
ln -s plain tree/link-to-file
ln -s .. tree/link-to-directory
ln -s nowhere tree/dangling
mkfifo tree/pipe

find tree -type f -print0 | sort -z | xargs -0 sha256sum -- >expected

# ---- the list
run --list tree
check "--list: status" 0 "${status}"
check_same "--list: what find, sort and sha256sum say" expected "${out}"
check "--list: silent on stderr" "" "$(cat "${err}")"
sha256sum --check --quiet --strict "${out}" >check.log 2>&1 || fail "sha256sum -c refuses the list: $(head -n 3 check.log)"
digest="$(sha256sum <expected | cut -d ' ' -f 1)"

for arguments in "--shards 1" "--shards 3 --threads 1" "--shards 2 --threads 7"; do
    # shellcheck disable=SC2086  # two words on purpose
    run --list ${arguments} tree
    check_same "--list ${arguments}" expected "${out}"
done

# A carriage return is escaped too (coreutils before 9.0 did not).
mkdir cr && echo 1 >cr/$'a\rb'
run --list cr
check "--list: a carriage return" "\\$(sha256sum <cr/$'a\rb' | cut -d ' ' -f 1)  cr/a\\rb" "$(cat "${out}")"

# ---- the summary
run --shards 3 tree
check "summary: status" 0 "${status}"
files="$(find tree -type f -printf x | wc -c)"
directories="$(find tree -type f -printf '%h\0' | sort -zu | tr -cd '\0' | wc -c)"
bytes="$(find tree -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%d", sum }')"
check_contains "summary: totals" "tree: ${files} files in ${directories} directories, ${bytes} bytes" "${out}"
check_contains "summary: digest of the list" "digest   ${digest} " "${out}"
check_contains "summary: backend" "backend  ${backend}, 3 shards" "${out}"
check_contains "summary: the plain threads agree" "same result" "${out}"
check "summary: files per shard add up" "3 ${files}" \
    "$(awk '/^  shard / { ++shards; sum += $3 } END { print shards, sum }' "${out}")"
check "summary: files in tree/many" 3000 "$(awk '$NF == "tree/many" { print $(NF - 2) }' "${out}")"
check "summary: no progress where there is no terminal" "" "$(cat "${err}")"

if command -v script >/dev/null; then
    # 3,000 files are too few to be sure to see a count in between, but the line is drawn at once.
    script -qec "$(printf '%q ' "${program}" --list --backend "${backend}" tree) 2>&1 >/dev/null" typescript >/dev/null </dev/null
    check_contains "progress on a terminal" "of ${files} files" typescript
fi

# ---- the path
run --list tree/
find tree/ -type f -print0 | sort -z | xargs -0 sha256sum -- >expected-slash
check_same "a slash at the end of PATH" expected-slash "${out}"
run --list tree/plain
check "PATH is a file" "$(sha256sum tree/plain)" "$(cat "${out}")"
ln -s tree link
run --list link
check "PATH is a symlink to a directory" "${files}" "$(wc -l <"${out}")"
(cd tree && run --list . && find . -type f -print0 | sort -z | xargs -0 sha256sum -- >../expected-dot &&
    cmp -s ../expected-dot "${out}") || fail "PATH is '.'"
mkdir dash && echo 1 >dash/x && mv dash ./-x
run --list -- -x
check "PATH begins with a dash" "$(sha256sum -- -x/x)" "$(cat "${out}")"
run --list tree/empty
check "an empty directory: status" 0 "${status}"
check "an empty directory: no line" "" "$(cat "${out}")"
run tree/empty
check "summary of an empty directory: status" 0 "${status}"
check_contains "summary of an empty directory" "0 files in 0 directories, 0 bytes" "${out}"

# ---- what cannot be read: named, counted, told by the status; the rest is done
run --list missing
check "missing PATH: status" 1 "${status}"
check "missing PATH: named" "tree_digest: missing: No such file or directory" "$(cat "${err}")"

# Nobody, not even root, opens a path of more than 4,095 bytes, although it can be made by going down step by step.
long="$(printf '%0200d' 0)"
mkdir deep && echo 1 >deep/readable
(
    cd deep || exit 1
    for ((level = 0; level < 20; ++level)); do
        mkdir "${long}" && cd "${long}" || exit 1
    done
    echo 1 >"$(printf '%0150d' 1)"  # its directory can be listed, at 4,024 bytes
    mkdir "$(printf '%0150d' 2)"
)
run --list deep
check "too long a path: status" 1 "${status}"
check "too long a path: the rest is done" "$(sha256sum deep/readable)" "$(cat "${out}")"
check "too long a path: file and directory are named" 2 "$(grep -c '^tree_digest: deep/.*: File name too long$' "${err}")"
run deep
check "too long a path: status of the summary" 1 "${status}"
check_contains "too long a path: counted" "2 could not be read" "${out}"
check_contains "too long a path: the plain threads agree" "same result" "${out}"

# Permissions do not stop root, who therefore asks somebody else to look.
mkdir -p private/closed && echo 1 >private/readable && echo 1 >private/secret && echo 1 >private/closed/inside
chmod 000 private/secret private/closed
as_user=()
if [[ "$(id -u)" -eq 0 ]]; then
    as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod 755 "${scratch}" "${scratch}/work" private
    chmod 644 private/readable
    cp "${program}" "${scratch}/tree_digest" && chmod 755 "${scratch}/tree_digest" && program="${scratch}/tree_digest"
fi
if "${as_user[@]}" "${program}" --help >/dev/null 2>&1; then
    "${as_user[@]}" timeout -k 5 120 "${program}" --backend "${backend}" --list private >"${out}" 2>"${err}"
    check "no permission: status" 1 $?
    check "no permission: the rest is done" "$(sha256sum private/readable)" "$(cat "${out}")"
    check "no permission: named, sorted" "tree_digest: private/closed: Permission denied
tree_digest: private/secret: Permission denied" "$(cat "${err}")"
else
    echo "not checked: another user cannot run the program here"
fi

# ---- wrong usage
for arguments in "--shards 0" "--shards 65535" "--shards x" "--shards 2x" "--shards" "--threads 0" "--threads -1" \
    "--backend epoll" "--nonsense" "tree tree"; do
    # shellcheck disable=SC2086
    run ${arguments}
    check "usage ${arguments}: status" 2 "${status}"
    check "usage ${arguments}: stdout" "" "$(cat "${out}")"
    [[ -s "${err}" ]] || fail "usage ${arguments}: nothing on stderr"
done
run ""
check "usage: empty PATH" 2 "${status}"
run --help
check "--help: status" 0 "${status}"
check_contains "--help: text" "usage: tree_digest" "${out}"
if [[ -w /dev/full ]]; then
    timeout 60 "${program}" --backend "${backend}" --list tree >/dev/full 2>"${err}"
    check "a full disk behind stdout" 2 $?
fi
finish
