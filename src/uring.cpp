// SPDX-License-Identifier: MIT
// Setting rings up, and entering the kernel.
#include "uring.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_abi.hpp"
#include "spargio/error.hpp"
#include "uring_faults.hpp"

namespace spargio::detail {

namespace {

constexpr unsigned kLeastEntries = 64;
constexpr unsigned kMostCqEntries = 65536;  // IORING_MAX_CQ_ENTRIES

int fault(int (UringFaults::*hook)() noexcept) noexcept {
    UringFaults* faults = uring_faults.load(std::memory_order_acquire);
    return faults != nullptr ? (faults->*hook)() : 0;
}

// liburing maps and unmaps by raw system calls, so a race checker does not see that a new ring at an old ring's address
// is another one. Release before an unmap, acquire after a map tells it; nothing else depends on it.
atomic<std::uint32_t> rings_unmapped{0};

/// A rung of the ladder of set-up flags, best first.
struct Rung {
    unsigned flags;
};

std::vector<Rung> ladder(const RuntimeOptions& options, const UringMask& mask) {
    const unsigned base = IORING_SETUP_CQSIZE;
    const bool single = options.single_issuer.value_or(true) && !mask.single_issuer;
    const bool defer = single && options.defer_taskrun.value_or(true) && !mask.defer_taskrun;
    const bool coop = options.coop_taskrun.value_or(true) && !mask.coop_taskrun;
    const unsigned issuer = single ? IORING_SETUP_SINGLE_ISSUER : 0U;
    const unsigned told = mask.taskrun_flag ? 0U : IORING_SETUP_TASKRUN_FLAG;
    const unsigned no_array = mask.no_sqarray ? 0U : abi::setup_no_sqarray;
    std::vector<Rung> rungs;
    const auto with_and_without_array = [&](unsigned flags) {
        if (no_array != 0) {
            rungs.push_back({flags | no_array});
        }
        rungs.push_back({flags});
    };
    if (options.sqpoll_idle) {
        const unsigned poll = base | IORING_SETUP_SQPOLL | (options.sqpoll_cpu ? IORING_SETUP_SQ_AFF : 0U);
        with_and_without_array(poll | IORING_SETUP_SUBMIT_ALL | issuer);
        rungs.push_back({poll});
        return rungs;
    }
    if (defer) {
        with_and_without_array(base | IORING_SETUP_SUBMIT_ALL | issuer | IORING_SETUP_DEFER_TASKRUN | told);
    }
    if (options.defer_taskrun.value_or(false)) {
        return rungs;  // Asked for: nothing less will do, not even where the mask leaves nothing.
    }
    if (coop) {
        with_and_without_array(base | IORING_SETUP_SUBMIT_ALL | issuer | IORING_SETUP_COOP_TASKRUN | told);
        rungs.push_back({base | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN});
    }
    rungs.push_back({base | IORING_SETUP_SUBMIT_ALL});
    rungs.push_back({base});
    return rungs;
}

std::string remedy(int error, const RuntimeOptions& options) {
    switch (error) {
    case EPERM:
    case EACCES:
        return "the kernel or a sandbox forbids it: see sysctl kernel.io_uring_disabled, and the seccomp profile of the "
               "container";
    case ENOSYS:
        return "the kernel has no io_uring (5.11 or later is needed), or a sandbox hides it";
    case ENOMEM:
        return "locked memory is short: raise ulimit -l, or ask for fewer ring_entries or shards";
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

BuildFailure refused(const char* call, int error, const RuntimeOptions& options) {
    std::string sentence = std::string(call) + " failed: " + std::strerror(error) + "; " + remedy(error, options);
    if (options.sqpoll_idle) {
        sentence = "io_uring_sqpoll: " + sentence;
    } else if (options.defer_taskrun.value_or(false)) {
        sentence = "io_uring_defer_taskrun: " + sentence;
    }
    return {RuntimeError::IoUringInit, std::move(sentence)};
}

void note_if(std::vector<std::string>& notes, bool missing, bool masked, const char* what, const char* why) {
    if (missing) {
        notes.push_back(std::string(what) + ": " + (masked ? "disabled by SPARGIO_URING_DISABLE" : why));
    }
}

}  // namespace

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
        mask.no_sqarray |= name == "no_sqarray";
        mask.registered_ring_fd |= name == "registered_ring_fd";
        mask.msg_ring |= name == "msg_ring";
        mask.send_msg_ring |= name == "send_msg_ring";
        mask.ext_arg |= name == "ext_arg";
    }
    return mask;
}

int Uring::setup(unsigned entries, io_uring_params& params) noexcept {
    UringFaults* faults = uring_faults.load(std::memory_order_acquire);
    if (faults != nullptr) {
        if (const int error = faults->on_setup(entries, params.flags)) {
            return error;
        }
    }
    if ((params.flags & abi::setup_no_sqarray) == 0) {
        return io_uring_queue_init_params(entries, &ring_, &params);
    }
    // liburing before 2.5 knows no NO_SQARRAY, and its queue_init would write an index array over the ring's heads and
    // tails. Map the ring with it, and keep it away from the array.
    try {
        unused_index_.resize(params.cq_entries);
    } catch (const std::bad_alloc&) {
        return -ENOMEM;
    }
    const long fd = syscall(__NR_io_uring_setup, entries, &params);
    if (fd < 0) {
        return -errno;
    }
    if (const int error = io_uring_queue_mmap(static_cast<int>(fd), &params, &ring_)) {
        ::close(static_cast<int>(fd));
        return error;
    }
    ring_.features = params.features;
    ring_.flags = params.flags;
    ring_.sq.array = unused_index_.data();
    return 0;
}

std::optional<BuildFailure> Uring::create(const RuntimeOptions& options, const UringMask& mask,
                                          std::unique_ptr<Uring>& out, Capabilities& report) {
    std::unique_ptr<Uring> uring(new Uring);
    io_uring_params params{};
    unsigned entries = options.ring_entries;
    int error = -EINVAL;
    int patience = 3;
    const auto rungs = ladder(options, mask);
    for (auto rung = rungs.begin(); rung != rungs.end();) {
        params = io_uring_params{};
        params.flags = rung->flags;
        params.cq_entries = std::clamp(entries * 4, 16U, kMostCqEntries);
        if (options.sqpoll_idle) {
            params.sq_thread_idle = static_cast<unsigned>(options.sqpoll_idle->count());
            params.sq_thread_cpu = options.sqpoll_cpu.value_or(0);
        }
        error = uring->setup(entries, params);
        if (error == -EINVAL) {
            ++rung;
        } else if (error == -ENOMEM && entries > kLeastEntries) {
            entries = std::max(entries / 2, kLeastEntries);
        } else if (error == -ENOMEM && patience-- > 0) {
            // What an earlier ring had locked is given back some time after its close.
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        } else {
            break;
        }
    }
    if (error < 0) {
        return refused("io_uring_setup", -error, options);
    }
    uring->open_ = true;
    static_cast<void>(rings_unmapped.load(std::memory_order_acquire));
    uring->sqpoll_ = (params.flags & IORING_SETUP_SQPOLL) != 0;
    if (mask.ext_arg) {
        uring->ring_.features &= ~IORING_FEAT_EXT_ARG;  // liburing then submits a timeout with each wait.
    }
    report.registered_ring_fd = !mask.registered_ring_fd && io_uring_register_ring_fd(&uring->ring_) == 1;
    std::uint32_t result = 0;
    if (const int failed = uring->prove(result)) {
        return refused(result != 0 ? "a NOP on the new ring" : "io_uring_enter", -failed, options);
    }
    report.ring_entries = params.sq_entries;
    report.cq_entries = params.cq_entries;
    report.single_issuer = (params.flags & IORING_SETUP_SINGLE_ISSUER) != 0;
    report.defer_taskrun = (params.flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    report.coop_taskrun = (params.flags & IORING_SETUP_COOP_TASKRUN) != 0;
    report.taskrun_flag = (params.flags & IORING_SETUP_TASKRUN_FLAG) != 0;
    report.no_sqarray = (params.flags & abi::setup_no_sqarray) != 0;
    report.sqpoll = uring->sqpoll_;
    report.ext_arg = (uring->ring_.features & IORING_FEAT_EXT_ARG) != 0;
    report.msg_ring = !mask.msg_ring && uring->prove_msg_ring(false);
    report.send_msg_ring = report.msg_ring && !mask.send_msg_ring && uring->prove_msg_ring(true);
    auto& notes = report.notes;
    if (params.sq_entries < options.ring_entries) {
        notes.push_back("ring_entries: " + std::to_string(params.sq_entries) + " instead of " +
                        std::to_string(options.ring_entries) + ", because locked memory is short (ulimit -l)");
    }
    const bool poll = uring->sqpoll_;
    note_if(notes, !report.single_issuer, mask.single_issuer, "single_issuer",
            options.single_issuer.value_or(true) ? "the kernel refuses it (6.0 has it)" : "switched off by the option");
    note_if(notes, !report.defer_taskrun, mask.defer_taskrun, "defer_taskrun",
            poll ? "excluded by sqpoll"
                 : (options.defer_taskrun.value_or(true) && report.single_issuer ? "the kernel refuses it (6.1 has it)"
                                                                                 : "switched off by an option"));
    note_if(notes, !report.coop_taskrun && !report.defer_taskrun, mask.coop_taskrun, "coop_taskrun",
            poll ? "excluded by sqpoll"
                 : (options.coop_taskrun.value_or(true) ? "the kernel refuses it (5.19 has it)"
                                                        : "switched off by the option"));
    note_if(notes, !report.taskrun_flag, mask.taskrun_flag, "taskrun_flag",
            poll ? "excluded by sqpoll" : "the kernel refuses it (5.19 has it), or nothing that needs it is in use");
    note_if(notes, !report.no_sqarray, mask.no_sqarray, "no_sqarray", "the kernel refuses it (6.6 has it)");
    note_if(notes, !report.registered_ring_fd, mask.registered_ring_fd, "registered_ring_fd",
            "the kernel refuses it (5.18 has it)");
    note_if(notes, !report.msg_ring, mask.msg_ring, "msg_ring",
            "the kernel refuses it (5.18 has it); shards wake each other by eventfd");
    note_if(notes, !report.send_msg_ring, mask.send_msg_ring, "send_msg_ring",
            "the kernel refuses it (6.13 has it); foreign threads wake shards by eventfd");
    note_if(notes, !report.ext_arg, mask.ext_arg, "ext_arg", "the kernel has no IORING_FEAT_EXT_ARG (5.11)");
    out = std::move(uring);
    return std::nullopt;
}

Uring::~Uring() {
    close();
}

void Uring::close() noexcept {
    if (std::exchange(open_, false)) {
        rings_unmapped.fetch_add(1, std::memory_order_release);
        io_uring_queue_exit(&ring_);
    }
}

void Uring::leave_thread() noexcept {
    // The registration is the thread's, not the ring's: left to queue_exit on another thread, it could hit that
    // thread's own.
    if (ring_.enter_ring_fd != ring_.ring_fd) {
        io_uring_unregister_ring_fd(&ring_);
    }
}

io_uring_sqe* Uring::next_sqe() noexcept {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
        static_cast<void>(submit());
        sqe = io_uring_get_sqe(&ring_);
    }
    if (sqe != nullptr) {
        std::memset(sqe, 0, sizeof *sqe);
    }
    return sqe;
}

int Uring::submit() noexcept {
    if (const int error = fault(&UringFaults::on_enter)) {
        return error;
    }
    return io_uring_submit(&ring_);
}

int Uring::submit_and_wait(std::chrono::nanoseconds span) noexcept {
    if (const int error = fault(&UringFaults::on_enter)) {
        return error;
    }
    const auto count = span.count();
    __kernel_timespec limit{};
    limit.tv_sec = count / 1'000'000'000;
    limit.tv_nsec = count % 1'000'000'000;
    io_uring_cqe* cqe = nullptr;
    return io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &limit, nullptr);
}

int Uring::get_events() noexcept {
    if (const int error = fault(&UringFaults::on_enter)) {
        return error;
    }
    return io_uring_get_events(&ring_);
}

/// A sandbox may allow the set-up and deny the rest: only a completed NOP proves a ring.
int Uring::prove(std::uint32_t& result) noexcept {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data::probe;
    for (int attempt = 0; attempt < 100; ++attempt) {
        const int entered = submit_and_wait(std::chrono::seconds(1));
        bool done = false;
        int failed = 0;
        reap([&](const io_uring_cqe& cqe) {
            done |= cqe.user_data == user_data::probe;
            failed = cqe.res;
        });
        if (done) {
            result = failed != 0 ? 1 : 0;
            return failed;
        }
        if (entered < 0 && entered != -EINTR && entered != -EAGAIN && entered != -EBUSY) {
            return entered;
        }
    }
    return -ETIME;
}

bool Uring::prove_msg_ring(bool from_outside) noexcept {
    unsigned expected = 1;
    if (from_outside) {
        if (send_msg_ring(fd(), user_data::probe) != 0) {
            return false;
        }
    } else {
        io_uring_sqe* sqe = next_sqe();
        io_uring_prep_msg_ring(sqe, fd(), 0, user_data::probe, 0);
        sqe->user_data = user_data::probe;
        expected = 2;  // The message, and the end of its sending.
    }
    for (unsigned seen = 0; seen < expected;) {
        const int entered = submit_and_wait(std::chrono::seconds(1));
        bool ok = true;
        const unsigned reaped = reap([&](const io_uring_cqe& cqe) { ok &= cqe.res == 0; });
        if (!ok || (reaped == 0 && entered != -EINTR && entered != -EAGAIN)) {
            return false;
        }
        seen += reaped;
    }
    return true;
}

int send_msg_ring(int ring_fd, std::uint64_t data) noexcept {
    io_uring_sqe sqe{};
    sqe.opcode = IORING_OP_MSG_RING;
    sqe.fd = ring_fd;
    sqe.addr = abi::msg_data;
    sqe.off = data;
    const long sent = syscall(__NR_io_uring_register, -1, abi::register_send_msg_ring, &sqe, 1);
    return sent < 0 ? -errno : 0;
}

}  // namespace spargio::detail
