#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The first thing to run: installs what is missing, builds, greets, and hashes a directory tree on the shards.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<'EOF'
usage: scripts/demo.sh [--list] [PATH]

Installs what the build needs and the machine lacks (apt-get; elsewhere it names the packages), builds the examples in
build/demo, runs hello, and runs tree_digest on PATH (default: /usr/include). Its exit status is tree_digest's.
With --list, standard output is what `sha256sum -c` accepts and nothing else.
SPARGIO_NO_INSTALL=1 forbids the installation.
EOF
}

list=0
while [[ "${1:-}" == -* ]]; do
    case "$1" in
    -h | --help)
        usage
        exit 0
        ;;
    --list) list=1 ;;
    --)
        shift
        break
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    shift
done
if [[ $# -gt 1 ]]; then
    usage >&2
    exit 2
fi
path="${1:-/usr/include}"
build="${SPARGIO_ROOT}/build/demo"

# A build says much that a newcomer need not read, unless it fails.
log="$(mktemp)"
trap 'rm -f "${log}"' EXIT
quietly() {
    if ! "$@" >"${log}" 2>&1; then
        cat "${log}" >&2
        spargio_die "this failed: $*"
    fi
}

if [[ ${list} -eq 1 ]]; then
    exec 3>&1 1>&2  # What the script itself says is no part of the list.
fi
spargio_need build demo
spargio_say "building the library and the examples in ${build#"${PWD}/"} (the first time takes a minute or two)"
quietly cmake -S "${SPARGIO_ROOT}" -B "${build}" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSPARGIO_BUILD_EXAMPLES=ON \
    -DSPARGIO_BUILD_TESTS=OFF -DSPARGIO_BUILD_BENCHMARKS=OFF
quietly cmake --build "${build}" --parallel "$(spargio_jobs)" --target hello tree_digest

if [[ ${list} -eq 1 ]]; then
    "${build}/examples/tree_digest" --list -- "${path}" >&3
    exit
fi
spargio_say "hello: a task on each shard"
"${build}/examples/hello"
spargio_say "tree_digest: every file below ${path}, hashed on the shards"
"${build}/examples/tree_digest" -- "${path}"
