// SPDX-License-Identifier: MIT
// The ladder of set-up flags, and the sentences about what came of it.
#include "uring_setup.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "kernel_abi.hpp"
#include "spargio/error.hpp"
#include "uring.hpp"

namespace spargio::detail {

namespace {

std::string remedy(int error, const RuntimeOptions& options) {
    switch (error) {
    case EPERM:
    case EACCES:
        return "the kernel or a sandbox forbids it: see sysctl kernel.io_uring_disabled, and the seccomp profile of the "
               "container";
    case ENOSYS:
        return "the kernel has no io_uring (5.11 or later is needed), or a sandbox hides it";
    case ENOMEM:
        return "memory is short, or locked memory where the kernel counts rings as such (before 5.12, from 6.14 on): "
               "raise ulimit -l, or ask for fewer ring_entries or shards";
    case EMFILE:
    case ENFILE:
        return "no descriptor is free: raise ulimit -n";
    case EINVAL:
        if (options.sqpoll_cpu) {
            return "the kernel knows no such set-up; check io_uring_sqpoll_cpu";
        }
        if (options.defer_taskrun.value_or(false)) {
            return "io_uring_defer_taskrun needs kernel 6.1";
        }
        return "the kernel is too old for it";
    default:
        return "try backend(BackendKind::Queue)";
    }
}

}  // namespace

bool messages_wake(std::string_view release) noexcept {
    int major = 0;
    int minor = 0;
    const char* const end = release.data() + release.size();
    const auto [dot, error] = std::from_chars(release.data(), end, major);
    if (error != std::errc() || dot == end || *dot != '.' || std::from_chars(dot + 1, end, minor).ec != std::errc()) {
        return false;
    }
    return major > 6 || (major == 6 && minor >= 2);
}

UringMask UringMask::from_environment() {
    UringMask mask;
    const char* names = std::getenv("SPARGIO_URING_DISABLE");
    std::string_view rest = names != nullptr ? names : "";
    while (!rest.empty()) {
        const auto comma = std::min(rest.find(','), rest.size());
        const auto name = rest.substr(0, comma);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        mask.single_issuer |= name == "single_issuer";
        mask.defer_taskrun |= name == "defer_taskrun";
        mask.coop_taskrun |= name == "coop_taskrun";
        mask.taskrun_flag |= name == "taskrun_flag";
        mask.submit_all |= name == "submit_all";
        mask.no_sqarray |= name == "no_sqarray";
        mask.registered_ring_fd |= name == "registered_ring_fd";
        mask.msg_ring |= name == "msg_ring";
        mask.send_msg_ring |= name == "send_msg_ring";
        mask.ext_arg |= name == "ext_arg";
        mask.cqe_skip |= name == "cqe_skip";
    }
    return mask;
}

std::vector<unsigned> setup_ladder(const RuntimeOptions& options, const UringMask& mask) {
    const bool single = options.single_issuer.value_or(true) && !mask.single_issuer;
    // Without the flag, which is as old as the elder of the two, a busy shard would not learn of its completions.
    const bool told = !mask.taskrun_flag;
    const bool defer = told && single && options.defer_taskrun.value_or(true) && !mask.defer_taskrun;
    const bool coop = told && options.coop_taskrun.value_or(true) && !mask.coop_taskrun;
    const unsigned issuer = single ? IORING_SETUP_SINGLE_ISSUER : 0U;
    const unsigned all = mask.submit_all ? 0U : IORING_SETUP_SUBMIT_ALL;
    const unsigned asked_for = (options.single_issuer.value_or(false) ? IORING_SETUP_SINGLE_ISSUER : 0U) |
                               (options.defer_taskrun.value_or(false) ? IORING_SETUP_DEFER_TASKRUN : 0U) |
                               (options.coop_taskrun.value_or(false) ? IORING_SETUP_COOP_TASKRUN : 0U);
    std::vector<unsigned> rungs;
    const auto add = [&](unsigned flags) {
        flags |= IORING_SETUP_CQSIZE;
        if ((flags & asked_for) != asked_for) {
            return;  // Nothing less will do.
        }
        if (!mask.no_sqarray) {
            rungs.push_back(flags | abi::setup_no_sqarray);
        }
        rungs.push_back(flags);
    };
    if (options.sqpoll_idle) {
        const unsigned poll = IORING_SETUP_SQPOLL | (options.sqpoll_cpu ? IORING_SETUP_SQ_AFF : 0U);
        add(poll | all | issuer);
        add(poll);
        return rungs;
    }
    if (defer) {
        add(all | issuer | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
            (asked_for & IORING_SETUP_COOP_TASKRUN));
    }
    if (coop) {
        add(all | issuer | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
        add(all | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
    }
    add(all | issuer);
    add(all);
    add(0);
    rungs.erase(std::unique(rungs.begin(), rungs.end()), rungs.end());
    return rungs;
}

BuildFailure setup_failure(const char* call, int error, const RuntimeOptions& options) {
    std::string sentence = std::string(call) + " failed: " + std::strerror(error) + "; " + remedy(error, options);
    if (options.sqpoll_idle) {
        sentence = "io_uring_sqpoll: " + sentence;
    } else if (options.defer_taskrun.value_or(false)) {
        sentence = "io_uring_defer_taskrun: " + sentence;
    } else if (options.single_issuer.value_or(false)) {
        sentence = "io_uring_single_issuer: " + sentence;
    } else if (options.coop_taskrun.value_or(false)) {
        sentence = "io_uring_coop_taskrun: " + sentence;
    }
    return {RuntimeError::IoUringInit, std::move(sentence)};
}

std::vector<std::string> notes_on(const Capabilities& report, const RuntimeOptions& options, const UringMask& mask) {
    std::vector<std::string> notes;
    const auto missing = [&](bool in_use, const char* what, bool masked, const char* why) {
        if (!in_use) {
            notes.push_back(std::string(what) + ": " + (masked ? "disabled by SPARGIO_URING_DISABLE" : why));
        }
    };
    const auto why_not = [&](const std::optional<bool>& option, const char* refused) {
        return option.value_or(true) ? refused : "switched off by the option";
    };
    if (report.ring_entries < options.ring_entries) {
        notes.push_back("ring_entries: " + std::to_string(report.ring_entries) + " instead of " +
                        std::to_string(options.ring_entries) + ", because locked memory is short (ulimit -l)");
    }
    missing(report.single_issuer, "single_issuer", mask.single_issuer,
            why_not(options.single_issuer, "the kernel refuses it (6.0 has it)"));
    missing(report.defer_taskrun, "defer_taskrun", mask.defer_taskrun,
            report.sqpoll           ? "excluded by sqpoll"
            : !report.single_issuer ? "needs single_issuer"
            : mask.taskrun_flag     ? "needs taskrun_flag"
                                    : why_not(options.defer_taskrun, "the kernel refuses it (6.1 has it)"));
    missing(report.coop_taskrun, "coop_taskrun", mask.coop_taskrun && !report.defer_taskrun,
            report.sqpoll          ? "excluded by sqpoll"
            : report.defer_taskrun ? "of no use beside defer_taskrun"
            : mask.taskrun_flag    ? "needs taskrun_flag"
                                   : why_not(options.coop_taskrun, "the kernel refuses it (5.19 has it)"));
    missing(report.taskrun_flag, "taskrun_flag", mask.taskrun_flag,
            report.sqpoll                                   ? "excluded by sqpoll"
            : !report.defer_taskrun && !report.coop_taskrun ? "of use with defer_taskrun or coop_taskrun only"
                                                            : "the kernel refuses it (5.19 has it)");
    missing(report.no_sqarray, "no_sqarray", mask.no_sqarray, "the kernel refuses it (6.6 has it)");
    missing(report.sqpoll, "sqpoll", false, "not asked for");
    missing(report.registered_ring_fd, "registered_ring_fd", mask.registered_ring_fd,
            "the kernel refuses it (5.18 has it)");
    missing(report.msg_ring, "msg_ring", mask.msg_ring,
            "the kernel refuses it, or is older than 6.2, where a message may wake nobody; shards wake each other by "
            "eventfd");
    missing(report.send_msg_ring, "send_msg_ring", mask.send_msg_ring,
            report.msg_ring ? "the kernel refuses it (6.13 has it); foreign threads wake shards by eventfd"
                            : "needs msg_ring; foreign threads wake shards by eventfd");
    missing(report.ext_arg, "ext_arg", mask.ext_arg, "the kernel has no IORING_FEAT_EXT_ARG (5.11)");
    return notes;
}

}  // namespace spargio::detail
