// SPDX-License-Identifier: MIT
// What a figure means nothing without: kernel, CPU, compiler, build. Written into Google Benchmark's JSON.
#pragma once

#include <benchmark/benchmark.h>

#include <fstream>
#include <string>

#include <sys/utsname.h>

#include "support/affinity.hpp"

namespace bench {

inline std::string first_line(const char* path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

inline std::string cpu_model() {
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);) {
        const auto colon = line.find(':');
        if (line.starts_with("model name") && colon != std::string::npos && colon + 2 < line.size()) {
            return line.substr(colon + 2);
        }
    }
    return "unknown";
}

inline std::string compiler() {
#if defined(__clang__)
    return "Clang " __clang_version__;
#else
    return "GCC " __VERSION__;
#endif
}

inline std::string build_type() {
#if defined(__OPTIMIZE__)
    std::string build = "optimized";
#else
    std::string build = "NOT OPTIMIZED";
#endif
#if !defined(NDEBUG)
    build += ", with assertions";
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    build += ", with a sanitizer";
#endif
    return build;
}

/// Call before the benchmarks run.
inline void describe_environment() {
    utsname system{};
    uname(&system);
    const std::string governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    benchmark::AddCustomContext("kernel", std::string(system.release) + " " + system.machine);
    benchmark::AddCustomContext("cpu_model", cpu_model());
    benchmark::AddCustomContext("cpus_usable", std::to_string(allowed_cpus().size()));
    benchmark::AddCustomContext("compiler", compiler());
    benchmark::AddCustomContext("build_type", build_type());
    benchmark::AddCustomContext("governor", governor.empty() ? "none" : governor);
}

}  // namespace bench
