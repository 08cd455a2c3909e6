#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs all tests with CTest; the tests themselves run on both backends.
#
# usage: scripts/test.sh [--sanitizers] [--clang] [--quick] [--preset NAME]... [--filter REGEX]
#   (nothing)      the presets dev (Debug) and release (Release)
#   --sanitizers   also ASan + UBSan and TSan, with Clang
#   --clang        also a Release build with Clang
#   --quick        dev only
#   --preset NAME  this preset and no other; may be given again
#   --filter REGEX only tests whose name matches
#
# In CI (CI is set) a machine without io_uring fails the tests that need it, where otherwise they are skipped;
# SPARGIO_TEST_REQUIRE_URING=0 or =1 decides it by hand. SPARGIO_FORBID_SKIPS=REGEX makes the skip of a matching test a
# failure. The last line is `N passed, N failed, N skipped` over all builds.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() { sed -n 's/^# \{0,1\}//; 3,$p' "${BASH_SOURCE[0]}" | sed '/^set -euo/,$d'; }

presets=(dev release)
extra=()
chosen=()
filter=()
while [[ $# -gt 0 ]]; do
    case "$1" in
    --sanitizers) extra+=(asan-ubsan tsan) ;;
    --clang) extra+=(clang-release) ;;
    --quick) presets=(dev) ;;
    --preset | --filter)
        [[ $# -ge 2 ]] || spargio_die "$1 needs a value"
        # What a later preset does not repeat may be all that the filter lets through.
        if [[ "$1" == --preset ]]; then chosen+=("$2"); else filter=(--tests-regex "$2" --no-tests=ignore); fi
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    shift
done
if [[ ${#chosen[@]} -gt 0 ]]; then
    presets=("${chosen[@]}")
else
    presets+=("${extra[@]}")
fi

if [[ -n "${CI:-}" ]]; then
    export SPARGIO_TEST_REQUIRE_URING="${SPARGIO_TEST_REQUIRE_URING:-1}"
fi
if [[ "${SPARGIO_TEST_REQUIRE_URING:-}" == 0 ]]; then
    unset SPARGIO_TEST_REQUIRE_URING
fi

groups=(build demo tests bench)
if [[ " ${presets[*]} " =~ \ (asan-ubsan|tsan)\  ]]; then
    groups+=(sanitizers)
fi
spargio_need "${groups[@]}"

cd "${SPARGIO_ROOT}"
jobs="$(spargio_jobs)"
results="$(mktemp -d)"
trap 'rm -rf "${results}"' EXIT
files=()

# The sanitizers of older compilers cannot live with the widest address space randomisation of newer kernels.
without_randomisation() {
    local bits
    bits="$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)"
    if ((bits > 28)) && setarch "$(uname -m)" --addr-no-randomize true 2>/dev/null; then
        setarch "$(uname -m)" --addr-no-randomize "$@"
    else
        "$@"
    fi
}

# A file like CTest's with one test: what goes wrong before CTest has tests, or after them, is counted too.
record_failure() {
    printf '<testsuite><testcase name="%s" status="fail"/></testsuite>\n' "$1" >"${results}/$1.xml"
    files+=("${results}/$1.xml")
}

# CI begins from nothing, and asks for all tests.
in_batches="$([[ -n "${CI:-}" ]] && echo ON || echo OFF)"
in_groups="$([[ -n "${CI:-}" && ${#filter[@]} -eq 0 ]] && echo ON || echo OFF)"
# What every build of one machine would repeat is run with the first.
once=()
for preset in "${presets[@]}"; do
    spargio_say "${preset}: configure and build"
    together=(-D "SPARGIO_TESTS_IN_GROUPS=${in_groups}")
    if [[ "${preset}" == dev ]]; then
        # The only one that people build again and again, where one file was changed.
        together+=(-D "SPARGIO_TESTS_IN_BATCHES=${in_batches}")
    fi
    if ! cmake --preset "${preset}" "${together[@]}" || ! cmake --build --preset "${preset}" --parallel "${jobs}"; then
        record_failure "build.${preset}"
        continue
    fi
    spargio_say "${preset}: test"
    file="${results}/${preset}.xml"
    runner=()
    [[ "${preset}" == tsan || "${preset}" == asan-ubsan ]] && runner=(without_randomisation)
    status=0
    rm -rf "build/${preset}/groups"
    "${runner[@]}" ctest --preset "${preset}" --parallel "${jobs}" --output-junit "${file}" "${once[@]}" \
        "${filter[@]}" </dev/null || status=$?
    once=(--label-exclude '^once$')
    files+=("${file}")
    if [[ -d "build/${preset}/groups" ]]; then
        cp -r "build/${preset}/groups" "${file%.xml}"
    fi
    if [[ ${status} -ne 0 ]] && python3 scripts/count_tests.py "${file}" >/dev/null 2>&1; then
        record_failure "ctest.${preset}"
    fi
done

spargio_say "summary of ${presets[*]}"
options=()
[[ -n "${SPARGIO_FORBID_SKIPS:-}" ]] && options=(--forbid-skips "${SPARGIO_FORBID_SKIPS}")
python3 scripts/count_tests.py "${options[@]}" "${files[@]}"
