// SPDX-License-Identifier: MIT
// What the kernel says of this process: descriptors, threads, memory, CPU time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include <pthread.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include "spargio/config.hpp"

namespace spargio::test {

/// A test's own thread, and one that ThreadSanitizer has.
inline constexpr std::size_t threads_of_a_test = 1 + SPARGIO_TSAN;

[[nodiscard]] inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    const auto count = std::distance(begin(entries), end(entries));
    return static_cast<std::size_t>(count) - 1;  // One of them reads the directory.
}

[[nodiscard]] inline std::size_t thread_count() {
    const std::filesystem::directory_iterator entries("/proc/self/task");
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

/// Waits until the process has no more than `most` of what `count()` counts. False when it takes longer than ten
/// seconds.
template <class Count>
[[nodiscard]] bool falls_to(Count count, std::size_t most) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (count() > most) {
        if (std::chrono::steady_clock::now() > limit) {
            return false;
        }
        std::this_thread::yield();
    }
    return true;
}

/// Where both counts are exact, EXPECT_EQ tells more. Beside a runtime that has just begun, `most` may be too high
/// (where UBSan sees a type for the first time it has a pipe open for a moment), and so may what is left.
[[nodiscard]] inline bool descriptors_fall_to(std::size_t most) {
    return falls_to(open_descriptors, most);
}

/// A joined thread leaves /proc a moment later, a detached one when it can.
[[nodiscard]] inline bool threads_fall_to(std::size_t most) {
    return falls_to(thread_count, most);
}

/// Returns when that thread of this process sleeps in the kernel. (proc_pid_stat(5), "state")
inline void wait_until_asleep(pid_t thread) {
    const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
    for (;;) {
        std::ifstream file(path);
        const std::string stat{std::istreambuf_iterator<char>(file), {}};
        const auto name_end = stat.rfind(')');
        if (name_end != std::string::npos && stat.compare(name_end, 3, ") S") == 0) {
            return;
        }
        std::this_thread::yield();
    }
}

/// Memory in RAM, in bytes.
[[nodiscard]] inline std::size_t resident_bytes() {
    std::FILE* file = std::fopen("/proc/self/statm", "re");
    std::size_t total = 0;
    std::size_t resident = 0;
    if (file != nullptr) {
        if (std::fscanf(file, "%zu %zu", &total, &resident) != 2) {
            resident = 0;
        }
        std::fclose(file);
    }
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// User and system time of all threads of this process.
[[nodiscard]] inline std::chrono::microseconds cpu_time() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto in_us = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return in_us(usage.ru_utime) + in_us(usage.ru_stime);
}

/// Context switches of all threads of this process, voluntary and not.
[[nodiscard]] inline std::uint64_t context_switches() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_nvcsw) + static_cast<std::uint64_t>(usage.ru_nivcsw);
}

/// The calling thread's name, which the kernel cuts to 15 characters.
[[nodiscard]] inline std::string thread_name() {
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof name);
    return name;
}

}  // namespace spargio::test
