# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts share: where the project is, what has to be installed, how many jobs to run. Source it from bash:
#     source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
#     spargio_need build demo

SPARGIO_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Objects need up to about a gigabyte each in a sanitizer build, so a small machine with many CPUs gets fewer jobs.
spargio_jobs() {
    local cpus gigabytes
    cpus="$(nproc 2>/dev/null || echo 1)"
    gigabytes="$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null || true)"
    if [[ -n "${gigabytes}" ]] && ((gigabytes < cpus)); then
        cpus=$((gigabytes > 0 ? gigabytes : 1))
    fi
    echo "${SPARGIO_JOBS:-${cpus}}"
}

spargio_say() { printf '== %s\n' "$*"; }

spargio_die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

spargio_has_command() { command -v "$1" >/dev/null 2>&1; }

# A header counts when some compiler finds it; without a compiler, when it is where distributions put it.
spargio_has_header() {
    local compiler
    for compiler in "${CXX:-}" g++ clang++ c++; do
        if [[ -n "${compiler}" ]] && spargio_has_command "${compiler}"; then
            printf '#include <%s>\n' "$1" | "${compiler}" -std=c++20 -DASIO_STANDALONE -x c++ -M - >/dev/null 2>&1
            return
        fi
    done
    [[ -e "/usr/include/$1" || -e "/usr/local/include/$1" ]]
}

# The library links it, so the header alone is not enough.
spargio_has_sanitizer_runtime() {
    local directory works=1
    spargio_has_command clang++ || return 1
    directory="$(mktemp -d)"
    if printf 'int main() {}\n' | clang++ -x c++ -fsanitize=address,undefined - -o "${directory}/probe" 2>/dev/null &&
        printf 'int main() {}\n' | clang++ -x c++ -fsanitize=thread - -o "${directory}/probe" 2>/dev/null; then
        works=0
    fi
    rm -rf "${directory}"
    return "${works}"
}

# The Debian package with the sanitizer runtimes carries the major version of the compiler it is for.
spargio_sanitizer_package() {
    local major=""
    if spargio_has_command clang++; then
        major="$(clang++ -dumpversion 2>/dev/null | cut -d. -f1)"
    elif spargio_has_command apt-cache; then
        major="$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -n 1)"
    fi
    echo "libclang-rt-${major:-14}-dev"
}

# Boost.Asio from 1.81 on, which spargio/asio.hpp is compiled with.
spargio_has_boost() {
    printf '#include <boost/version.hpp>\n#if BOOST_VERSION < 108100\n#error too old\n#endif\n' |
        "${CXX:-c++}" -x c++ -fsyntax-only - >/dev/null 2>&1
}

# Debian 12's libboost-dev is older, and cannot be installed beside this one.
spargio_boost_package() {
    if grep -q '^VERSION_CODENAME=bookworm' /etc/os-release 2>/dev/null; then
        echo libboost1.81-dev
    else
        echo libboost-dev
    fi
}

# One line per package: name, group, and the probe that tells whether the machine has what the package brings. What is
# in a group whose name begins with `optional_` may be missing.
spargio_packages() {
    cat <<EOF
g++              build      spargio_has_command g++
cmake            build      spargio_has_command cmake
ninja-build      build      spargio_has_command ninja
pkg-config       build      spargio_has_command pkg-config
liburing-dev     build      spargio_has_header liburing.h
libssl-dev       demo       spargio_has_header openssl/evp.h
libgtest-dev     tests      spargio_has_header gtest/gtest.h
libgmock-dev     tests      spargio_has_header gmock/gmock.h
libfmt-dev       tests      spargio_has_header fmt/format.h
libasio-dev      tests      spargio_has_header asio.hpp
clang            tests      spargio_has_command clang++
spin             tests      spargio_has_command spin
python3          tests      spargio_has_command python3
$(spargio_boost_package) optional_tests spargio_has_boost
libbenchmark-dev bench      spargio_has_header benchmark/benchmark.h
libasio-dev      bench      spargio_has_header asio.hpp
libtbb-dev       bench      spargio_has_header tbb/task_group.h
clang            sanitizers spargio_has_command clang++
$(spargio_sanitizer_package) sanitizers spargio_has_sanitizer_runtime
clang-format     lint       spargio_has_command clang-format
python3          lint       spargio_has_command python3
EOF
}

# spargio_missing GROUP...: the packages of these groups that the machine does not have, one per line.
spargio_missing() {
    local package group probe
    while read -r package group probe; do
        if [[ " $* " == *" ${group} "* ]] && ! ${probe}; then
            echo "${package}"
        fi
    done < <(spargio_packages) | sort -u
}

spargio_apt() {
    local -a as_root=()
    if [[ "$(id -u)" -ne 0 ]]; then
        # Without a terminal a password cannot be asked for, so sudo must not wait for one.
        as_root=(sudo)
        [[ -t 0 ]] || as_root=(sudo -n)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null
}

# spargio_need GROUP...: installs what is missing of the groups build, tests, sanitizers, bench, demo, lint, or says
# what to install and ends the script. SPARGIO_NO_INSTALL=1 forbids the installation.
spargio_need() {
    local -a missing
    local round
    # Twice: what a package is called, or lacks, may depend on a compiler that the first round brings.
    for round in first second last; do
        mapfile -t missing < <(spargio_missing "$@")
        [[ ${#missing[@]} -gt 0 ]] || break
        if [[ ${round} == last ]]; then
            spargio_die "installed, but still not usable: ${missing[*]}"
        fi
        if [[ "${SPARGIO_NO_INSTALL:-0}" == 1 ]] || ! spargio_has_command apt-get; then
            spargio_die "missing on this machine: ${missing[*]} (Debian's names; install what your system calls them)"
        fi
        if [[ "$(id -u)" -ne 0 ]] && ! spargio_has_command sudo; then
            spargio_die "missing on this machine, and neither root nor sudo to do it: apt-get install ${missing[*]}"
        fi
        if [[ ${round} == first ]]; then
            spargio_apt update || spargio_say "apt-get update failed; going on with the package lists that are there"
            # Only now is it known which Clang the system would install, and so which sanitizer package goes with it.
            mapfile -t missing < <(spargio_missing "$@")
        fi
        spargio_say "installing with apt-get: ${missing[*]}"
        spargio_apt install -y --no-install-recommends "${missing[@]}" ||
            spargio_die "apt-get could not install: ${missing[*]}"
    done
    spargio_want "${@/#/optional_}"
    spargio_check_versions
}

# spargio_want GROUP...: in CI, installs what can be installed of these groups, removing nothing for it; goes on without the
# rest. Elsewhere it would be 150 megabytes, or an attempt each time, for what CI has compiled.
spargio_want() {
    local -a missing
    mapfile -t missing < <(spargio_missing "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    if [[ -n "${CI:-}" && "${SPARGIO_NO_INSTALL:-0}" != 1 ]] && spargio_has_command apt-get &&
        { [[ "$(id -u)" -eq 0 ]] || spargio_has_command sudo; }; then
        spargio_say "installing with apt-get, if possible: ${missing[*]}"
        spargio_apt install -y --no-install-recommends --no-remove "${missing[@]}" || true
        mapfile -t missing < <(spargio_missing "$@")
    fi
    [[ ${#missing[@]} -eq 0 ]] || spargio_say "going on without: ${missing[*]}"
}

spargio_at_least() { [[ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" == "$1" ]]; }

spargio_check_versions() {
    local found
    found="$(cmake --version 2>/dev/null | sed -n 's/^cmake version //p')"
    if [[ -n "${found}" ]] && ! spargio_at_least 3.25 "${found}"; then
        spargio_die "CMake 3.25 or newer is needed, this one is ${found}; apt.kitware.com and pip have newer ones"
    fi
    found="$(g++ -dumpfullversion 2>/dev/null || true)"
    if [[ -n "${found}" && -z "${CXX:-}" ]] && ! spargio_at_least 12 "${found}"; then
        spargio_die "GCC 12 or newer is needed, this one is ${found}; set CXX to a newer one, or to Clang 14 or newer"
    fi
}

# A compiler cache is used where there is one, and never needed.
if [[ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ]] && spargio_has_command ccache; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

# The project's C++ files, tracked or new, relative to its root and separated by NUL. Outside a git clone (an archive),
# whatever is there but for build trees.
spargio_sources() {
    if git -C "${SPARGIO_ROOT}" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        (cd "${SPARGIO_ROOT}" && git ls-files -z --cached --others --exclude-standard -- '*.hpp' '*.cpp') |
            while IFS= read -r -d '' file; do
                # A file that was deleted but not yet committed is still listed.
                [[ -e "${SPARGIO_ROOT}/${file}" ]] && printf '%s\0' "${file}"
            done | sort -zu
    else
        (cd "${SPARGIO_ROOT}" && find . -name build -prune -o -name '.*' -type d ! -name . -prune -o \
            \( -name '*.hpp' -o -name '*.cpp' \) -type f -printf '%P\0' | sort -z)
    fi
}
