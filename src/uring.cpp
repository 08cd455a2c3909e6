// SPDX-License-Identifier: MIT
// Setting rings up, and entering the kernel.
#include "uring.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <numeric>
#include <thread>
#include <utility>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "adaptive_spin.hpp"
#include "kernel_abi.hpp"
#include "spargio/error.hpp"
#include "uring_faults.hpp"

namespace spargio::detail {

namespace {

constexpr unsigned kLeastEntries = 64;
constexpr unsigned kMostCqEntries = 65536;  // IORING_MAX_CQ_ENTRIES

// liburing maps and unmaps by raw system calls, so a race checker does not see that a new ring at an old ring's address
// is another one. Release before an unmap, acquire after a map tells it; nothing else depends on it.
atomic<std::uint32_t> rings_unmapped{0};

/// A courtesy among the threads of a process that map rings. Where several do at the same time, the kernel puts those
/// that have to wait to sleep, and all take longer: two shards that start at the same time 115 us, and 104 with this.
/// Who has waited for long goes on without, and whoever is done gives the turn back, whose it may be: whoever has it
/// may have lost its CPU, or, in a child of fork(), be left behind in the parent.
class MappingTurn {
public:
    MappingTurn() noexcept {
        if (!take()) {
            static_cast<void>(AdaptiveSpin(std::chrono::microseconds(100)).spin([] { return take(); }));
        }
    }
    MappingTurn(const MappingTurn&) = delete;
    MappingTurn& operator=(const MappingTurn&) = delete;
    ~MappingTurn() { taken_.store(false, std::memory_order_relaxed); }

private:
    static bool take() noexcept {
        return !taken_.load(std::memory_order_relaxed) && !taken_.exchange(true, std::memory_order_relaxed);
    }

    static inline atomic<bool> taken_{false};  // Relaxed: it protects nothing.
};

std::string kernel_release() {
    utsname names{};
    return uname(&names) == 0 ? names.release : "";
}

}  // namespace

int Uring::setup(unsigned entries, io_uring_params& params) noexcept {
    UringFaults* faults = uring_faults.load(std::memory_order_acquire);
    if (faults != nullptr) {
        if (const int error = faults->on_setup(entries, params.flags)) {
            return error;
        }
    }
    // Not io_uring_queue_init_params(): liburing before 2.6 does not know NO_SQARRAY and would write an index array
    // over the ring's heads and tails, later versions ask for it unasked.
    const bool without_array = (params.flags & abi::setup_no_sqarray) != 0;
    try {
        unused_index_.resize(without_array ? params.cq_entries : 0);  // At least as many as there are entries.
    } catch (const std::bad_alloc&) {
        return -ENOMEM;
    }
    const long made = syscall(__NR_io_uring_setup, entries, &params);
    if (made < 0) {
        return -errno;
    }
    const int fd = static_cast<int>(made);
    if (const int error = map(fd, params)) {
        ::close(fd);
        return error;
    }
    if (without_array) {
        ring_.sq.array = unused_index_.data();
    } else {
        std::iota(ring_.sq.array, ring_.sq.array + params.sq_entries, 0U);
    }
    return 0;
}

int Uring::map(int fd, io_uring_params& params) noexcept {
    const MappingTurn turn;
    if (const int error = io_uring_queue_mmap(fd, &params, &ring_)) {
        return error;
    }
    // Some versions leave these to their caller.
    ring_.ring_fd = fd;
    ring_.enter_ring_fd = fd;
    ring_.features = params.features;
    ring_.flags = params.flags;
    // A child after fork() must not reap what is its parent's. If it fails, there is only that protection less.
    static_cast<void>(io_uring_ring_dontfork(&ring_));
    return 0;
}

std::optional<BuildFailure> Uring::create(const RuntimeOptions& options, const UringMask& mask,
                                          std::unique_ptr<Uring>& out, Capabilities& report) {
    std::unique_ptr<Uring> uring(new Uring);
    io_uring_params params{};
    unsigned entries = options.ring_entries;
    int error = -EINVAL;
    int patience = 3;
    const auto rungs = setup_ladder(options, mask);
    for (auto rung = rungs.begin(); rung != rungs.end();) {
        params = io_uring_params{};
        params.flags = *rung;
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
        return setup_failure("io_uring_setup", -error, options);
    }
    uring->open_ = true;
    uring->mapped_ = true;
    static_cast<void>(rings_unmapped.load(std::memory_order_acquire));
    uring->sqpoll_ = (params.flags & IORING_SETUP_SQPOLL) != 0;
    if (mask.ext_arg) {
        uring->ring_.features &= ~IORING_FEAT_EXT_ARG;  // liburing then submits a timeout with each wait.
    }
    if (mask.cqe_skip) {
        uring->ring_.features &= ~IORING_FEAT_CQE_SKIP;
    }
    uring->registered_ = !mask.registered_ring_fd && io_uring_register_ring_fd(&uring->ring_) == 1;
    report.registered_ring_fd = uring->registered_;
    std::uint32_t result = 0;
    if (const int failed = uring->prove(result)) {
        return setup_failure(result != 0 ? "a NOP on the new ring" : "io_uring_enter", -failed, options);
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
    report.msg_ring = !mask.msg_ring && messages_wake(kernel_release()) && uring->prove_msg_ring(false);
    report.send_msg_ring = report.msg_ring && !mask.send_msg_ring && uring->prove_msg_ring(true);
    report.notes = notes_on(report, options, mask);
    out = std::move(uring);
    return std::nullopt;
}

Uring::~Uring() {
    close();
}

void Uring::unmap() noexcept {
    if (std::exchange(mapped_, false)) {
        rings_unmapped.fetch_add(1, std::memory_order_release);
        munmap(ring_.sq.sqes, ring_.sq.ring_entries * sizeof(io_uring_sqe));
        munmap(ring_.sq.ring_ptr, ring_.sq.ring_sz);  // Both rings: since 5.4 they are in one mapping.
    }
}

// Not io_uring_queue_exit(), which would unmap once more.
void Uring::close() noexcept {
    unmap();
    if (std::exchange(open_, false)) {
        leave_thread();  // The owning thread's failed set-up; otherwise it has left.
        ::close(ring_.ring_fd);
    }
}

void Uring::leave_thread() noexcept {
    // The registration is the thread's, not the ring's: left to a close() on another thread, it could hit that
    // thread's own.
    if (std::exchange(registered_, false)) {
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

int Uring::submit_and_wait(std::chrono::nanoseconds span) noexcept {
    if (const int error = enter_fault()) {
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
    if (const int error = enter_fault()) {
        return error;
    }
    return io_uring_get_events(&ring_);
}

/// A sandbox may allow the set-up and deny the rest: only a completed NOP proves a ring.
int Uring::prove(std::uint32_t& result) noexcept {
    io_uring_sqe* sqe = next_sqe();
    if (sqe == nullptr) {
        return -EBUSY;
    }
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
        for (int attempt = 0; sqe == nullptr && attempt < 1000; ++attempt) {
            std::this_thread::yield();  // A submission thread may post an end before it makes room for the next entry.
            sqe = next_sqe();
        }
        if (sqe == nullptr) {
            return false;
        }
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
