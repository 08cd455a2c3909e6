// SPDX-License-Identifier: MIT
// A deadline that passes between a server's look at the clock and its taking of the request.
#include "boundary_channel.hpp"

#include <chrono>
#include <cstddef>
#include <new>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spargio/boundary.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::detail {
namespace {

/// A channel on a page of its own. After trap(), the deadline passes when somebody next touches it: that is, in
/// try_receive(), on the way from the clock to the lock.
class TrappedChannel {
public:
    explicit TrappedChannel(test::VirtualClock& clock) : channel_(new (page()) Channel(1)) {
        channel_->add_reference();  // Ours, so that nobody deletes it.
        clock_ = &clock;
        EXPECT_EQ(sigaction(SIGSEGV, nullptr, &before_), 0);
    }
    TrappedChannel(const TrappedChannel&) = delete;
    TrappedChannel& operator=(const TrappedChannel&) = delete;
    ~TrappedChannel() {
        EXPECT_EQ(sigaction(SIGSEGV, &before_, nullptr), 0);
        channel_->~Channel();
        munmap(page_, page_size());
    }

    [[nodiscard]] Channel* get() const { return channel_; }
    void trap() const {
        struct sigaction action {};
        action.sa_handler = &let_the_deadline_pass;
        action.sa_flags = static_cast<int>(SA_RESETHAND);  // A fault that was not planned is one.
        EXPECT_EQ(sigaction(SIGSEGV, &action, nullptr), 0);
        EXPECT_EQ(mprotect(page_, page_size(), PROT_NONE), 0);
    }

private:
    static std::size_t page_size() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
    static void* page() {
        page_ = mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT_NE(page_, MAP_FAILED);
        return page_;
    }
    static void let_the_deadline_pass(int) {
        clock_->set(clock_->now() + std::chrono::hours(1));
        if (mprotect(page_, page_size(), PROT_READ | PROT_WRITE) != 0) {
            _exit(1);
        }
    }

    inline static void* page_ = nullptr;
    inline static test::VirtualClock* clock_ = nullptr;
    Channel* channel_;
    struct sigaction before_ {};
};
static_assert(sizeof(Channel) <= 4096);

TEST(BoundaryExpiry, AfterTheClockWasReadIsSeenBeforeTheHandOver) {
#if SPARGIO_TSAN
    GTEST_SKIP() << "a fault in the middle of an atomic operation is more than ThreadSanitizer can take";
#endif
    test::VirtualClock clock;
    const TrappedChannel channel(clock);
    {
        const ClientEnd client(channel.get());
        const ServerEnd server(channel.get());
        auto late = begin_call<int, int>(*client, 1, clock.now() + std::chrono::minutes(1), true);
        auto in_time = begin_call<int, int>(*client, 2, clock.now() + std::chrono::hours(2), true);
        channel.trap();
        CallHeader* taken = nullptr;
        ASSERT_EQ(try_receive(*server, taken), Receive::Taken);
        TakenCall<int, int> request(taken);
        EXPECT_EQ(request->request, 2);
        EXPECT_EQ(call_end(**late), CallEnd::TimedOut);
        EXPECT_EQ(request.finish(CallEnd::Answered), CallHeader::idle);

        auto last = begin_call<int, int>(*client, 3, clock.now() + std::chrono::minutes(1), true);
        channel.trap();
        EXPECT_EQ(try_receive(*server, taken), Receive::Nothing);
        EXPECT_EQ(call_end(**last), CallEnd::TimedOut);
        EXPECT_EQ(channel_stats(*client).timed_out, 2U);
        EXPECT_EQ(channel_stats(*client).depth, 0U);
    }
}

}  // namespace
}  // namespace spargio::detail
