// SPDX-License-Identifier: MIT
// The public contract at compile time: names, return types, what copies and what only moves.
#include "spargio/spargio.hpp"

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

namespace spargio {
namespace {

template <class T>
concept Copies = std::copy_constructible<T> && std::is_copy_assignable_v<T>;
template <class T>
concept OnlyMoves = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
                    !std::is_copy_constructible_v<T> &&
                    !std::is_copy_assignable_v<T>;

/// What `co_await` on a T gives.
template <class T>
decltype(auto) awaiter_of(T&& awaitable) {
    if constexpr (requires { std::forward<T>(awaitable).operator co_await(); }) {
        return std::forward<T>(awaitable).operator co_await();
    } else {
        return std::forward<T>(awaitable);
    }
}
template <class T>
using Awaited = decltype(awaiter_of(std::declval<T>()).await_resume());
template <class T>
concept AwaitableHere = requires(T&& awaitable) {
    std::forward<T>(awaitable).operator co_await();
};

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

int plain_function() {
    return 1;
}
Task<int> task_of_int() {
    co_return 2;
}
using MoveOnly = std::unique_ptr<int>;

// 1. Errors.
static_assert(std::same_as<Result<>, Result<void>>);
static_assert(Copies<Result<int>> && Copies<Result<>> && Copies<Result<std::string>>);
static_assert(OnlyMoves<Result<MoveOnly>>);
static_assert(std::default_initializable<Result<>>);
static_assert(std::convertible_to<int, Result<int>> && std::convertible_to<std::error_code, Result<int>>);
static_assert(std::convertible_to<RuntimeError, Result<int>> &&
              std::convertible_to<std::errc, Result<>> == std::is_error_code_enum_v<std::errc>);
static_assert(std::same_as<decltype(std::declval<Result<int>&>().value()), int&>);
static_assert(std::same_as<decltype(std::declval<Result<MoveOnly>>().value()), MoveOnly&&>);
static_assert(std::same_as<decltype(std::declval<const Result<int>&>().error()), std::error_code>);
static_assert(static_cast<int>(RuntimeError::InvalidConfig) == 1 && static_cast<int>(RuntimeError::ThreadSpawn) == 2 &&
              static_cast<int>(RuntimeError::InvalidShard) == 3 && static_cast<int>(RuntimeError::Closed) == 4 &&
              static_cast<int>(RuntimeError::Overloaded) == 5 &&
              static_cast<int>(RuntimeError::UnsupportedBackend) == 6 &&
              static_cast<int>(RuntimeError::IoUringInit) == 7);
static_assert(static_cast<int>(SendError::Closed) == 1 && static_cast<int>(SendError::Backpressure) == 2 &&
              static_cast<int>(SendError::InvalidTag) == 3);
static_assert(static_cast<int>(JoinError::Canceled) == 1);
static_assert(static_cast<int>(BoundaryError::Closed) == 1 && static_cast<int>(BoundaryError::Overloaded) == 2 &&
              static_cast<int>(BoundaryError::Timeout) == 3 && static_cast<int>(BoundaryError::Canceled) == 4);
static_assert(static_cast<int>(IoError::UnexpectedEof) == 1 && static_cast<int>(IoError::WriteZero) == 2);
static_assert(std::is_error_code_enum_v<RuntimeError> && std::is_error_code_enum_v<SendError> &&
              std::is_error_code_enum_v<JoinError> && std::is_error_code_enum_v<BoundaryError> &&
              std::is_error_code_enum_v<IoError>);

// 2. Tasks and joins.
static_assert(std::same_as<Task<>, Task<void>> && std::same_as<Task<int>::value_type, int>);
static_assert(OnlyMoves<Task<>> && OnlyMoves<Task<int>> && OnlyMoves<Task<int&>> && OnlyMoves<Task<MoveOnly>>);
static_assert(!std::default_initializable<Task<>>);
static_assert(AwaitableHere<Task<int>> && !AwaitableHere<Task<int>&> && !AwaitableHere<const Task<int>&>);
static_assert(std::same_as<Awaited<Task<int>>, int> && std::same_as<Awaited<Task<>>, void>);
static_assert(std::same_as<Awaited<Task<int&>>, int&> && std::same_as<Awaited<Task<MoveOnly>>, MoveOnly>);

template <class T>
concept JoinHandleOf = OnlyMoves<JoinHandle<T>> && requires(JoinHandle<T> handle, const JoinHandle<T> constant) {
    { handle.get() } -> std::same_as<T>;
    { constant.wait_for(std::chrono::seconds(1)) } -> std::same_as<bool>;
    { constant.done() } -> std::same_as<bool>;
    { constant.spawn_error() } -> std::same_as<std::error_code>;
    { constant.request_stop() } -> std::same_as<void>;
    { handle.detach() } -> std::same_as<void>;
    requires AwaitableHere<JoinHandle<T>>;
    requires !AwaitableHere<JoinHandle<T>&>;
    requires std::same_as<Awaited<JoinHandle<T>>, T>;
};
static_assert(JoinHandleOf<int> && JoinHandleOf<void> && JoinHandleOf<MoveOnly> && JoinHandleOf<int&>);
static_assert(std::same_as<Awaited<decltype(std::declval<JoinHandle<int>&>().join())>, Result<int>>);
static_assert(std::same_as<Awaited<decltype(std::declval<JoinHandle<void>&>().join())>, Result<void>>);
static_assert(std::default_initializable<JoinHandle<int>> && std::same_as<JoinHandle<>, JoinHandle<void>>);

// 3. Builder and runtime.
static_assert(static_cast<int>(BackendKind::Auto) == 0 && BackendKind::IoUring != BackendKind::Queue);
static_assert(Copies<RuntimeBuilder> && std::default_initializable<RuntimeBuilder>);

template <class B>
concept BuilderOfTheContract = requires(B& builder, std::function<void(std::exception_ptr)> hook) {
    { builder.shards(std::size_t{1}) } -> std::same_as<RuntimeBuilder&>;
    { builder.thread_prefix(std::string()) } -> std::same_as<RuntimeBuilder&>;
    { builder.backend(BackendKind::Queue) } -> std::same_as<RuntimeBuilder&>;
    { builder.ring_entries(std::uint32_t{1}) } -> std::same_as<RuntimeBuilder&>;
    { builder.msg_ring_queue_capacity(std::size_t{1}) } -> std::same_as<RuntimeBuilder&>;
    { builder.stealable_queue_capacity(std::size_t{1}) } -> std::same_as<RuntimeBuilder&>;
    { builder.steal_budget(std::size_t{1}) } -> std::same_as<RuntimeBuilder&>;
    { builder.idle_spin(microseconds(1)) } -> std::same_as<RuntimeBuilder&>;
    { builder.thread_affinity(std::vector<unsigned>()) } -> std::same_as<RuntimeBuilder&>;
    { builder.blocking_threads(std::size_t{1}) } -> std::same_as<RuntimeBuilder&>;
    { builder.blocking_queue_capacity(std::size_t{1}) } -> std::same_as<RuntimeBuilder&>;
    { builder.io_uring_sqpoll(std::optional<milliseconds>()) } -> std::same_as<RuntimeBuilder&>;
    { builder.io_uring_sqpoll(milliseconds(5)) } -> std::same_as<RuntimeBuilder&>;
    { builder.io_uring_sqpoll(std::nullopt) } -> std::same_as<RuntimeBuilder&>;
    { builder.io_uring_sqpoll_cpu(std::optional<unsigned>()) } -> std::same_as<RuntimeBuilder&>;
    { builder.io_uring_sqpoll_cpu(1U) } -> std::same_as<RuntimeBuilder&>;
    { builder.io_uring_single_issuer(true) } -> std::same_as<RuntimeBuilder&>;
    { builder.io_uring_coop_taskrun(true) } -> std::same_as<RuntimeBuilder&>;
    { builder.io_uring_defer_taskrun(true) } -> std::same_as<RuntimeBuilder&>;
    { builder.on_unhandled_exception(hook) } -> std::same_as<RuntimeBuilder&>;
    { builder.build() } -> std::same_as<Runtime>;
    { builder.try_build() } -> std::same_as<Result<Runtime>>;
};
static_assert(BuilderOfTheContract<RuntimeBuilder>);

static_assert(OnlyMoves<Runtime> && !std::default_initializable<Runtime>);
template <class R>
concept RuntimeOfTheContract = requires(R& runtime, const R& constant) {
    { constant.handle() } -> std::same_as<RuntimeHandle>;
    { constant.backend() } -> std::same_as<BackendKind>;
    { constant.shard_count() } -> std::same_as<std::size_t>;
    { runtime.block_on(task_of_int()) } -> std::same_as<int>;
    { runtime.block_on(plain_function) } -> std::same_as<int>;
    { runtime.shutdown() } -> std::same_as<void>;
};
static_assert(RuntimeOfTheContract<Runtime>);

using ReturnsTask = Task<int> (*)(RuntimeHandle);
using ReturnsValue = int (*)(RuntimeHandle);
using ReturnsNothing = void (*)(RuntimeHandle);
static_assert(std::same_as<decltype(run(std::declval<ReturnsTask>())), int>);
static_assert(std::same_as<decltype(run(std::declval<ReturnsValue>())), int>);
static_assert(std::same_as<decltype(run(std::declval<ReturnsNothing>())), void>);
static_assert(std::same_as<decltype(run_with(RuntimeBuilder(), std::declval<ReturnsTask>())), int>);

// 4. Handle and placement.
static_assert(std::same_as<ShardId, std::uint16_t> && external_sender == 0xFFFF);
static_assert(std::same_as<decltype(external_sender), const ShardId>);
static_assert(Copies<TaskPlacement> && std::equality_comparable<TaskPlacement>);
static_assert(std::same_as<decltype(TaskPlacement::pinned(ShardId{0})), TaskPlacement>);
static_assert(std::same_as<decltype(TaskPlacement::round_robin()), TaskPlacement>);
static_assert(std::same_as<decltype(TaskPlacement::sticky(std::uint64_t{0})), TaskPlacement>);
static_assert(std::same_as<decltype(TaskPlacement::stealable()), TaskPlacement>);
static_assert(std::same_as<decltype(TaskPlacement::stealable_preferred(ShardId{0})), TaskPlacement>);

static_assert(Copies<RuntimeHandle> && std::is_nothrow_move_constructible_v<RuntimeHandle>);
template <class H>
concept HandleOfTheContract = requires(const H& handle, std::uint64_t key, ShardId shard) {
    { handle.backend() } -> std::same_as<BackendKind>;
    { handle.shard_count() } -> std::same_as<std::size_t>;
    { handle.capabilities() } -> std::same_as<Capabilities>;
    { handle.remote(shard) } -> std::same_as<std::optional<RemoteShard>>;
    { handle.spawn_pinned(shard, task_of_int()) } -> std::same_as<JoinHandle<int>>;
    { handle.spawn_round_robin(task_of_int) } -> std::same_as<JoinHandle<int>>;
    { handle.spawn_sticky(key, plain_function) } -> std::same_as<JoinHandle<int>>;
    {
        handle.spawn_stealable([] {})
        } -> std::same_as<JoinHandle<void>>;
    {
        handle.spawn_stealable_on(shard, []() -> Task<> { co_return; })
        } -> std::same_as<JoinHandle<void>>;
    { handle.spawn_with_placement(TaskPlacement::stealable(), plain_function) } -> std::same_as<JoinHandle<int>>;
    {
        handle.spawn_blocking([] { return MoveOnly(); })
        } -> std::same_as<JoinHandle<MoveOnly>>;
    { handle.native_lane(shard) } -> std::same_as<Result<NativeLane>>;
    { handle.stats_snapshot() } -> std::same_as<RuntimeStats>;
};
static_assert(HandleOfTheContract<RuntimeHandle>);

// A task is no job for a thread, and a spawn takes what is spawnable only.
template <class F>
concept SpawnsBlocking = requires(const RuntimeHandle& handle, F&& f) {
    handle.spawn_blocking(std::forward<F>(f));
};
template <class F>
concept SpawnsPinned = requires(const RuntimeHandle& handle, F&& f) {
    handle.spawn_pinned(0, std::forward<F>(f));
};
static_assert(SpawnsBlocking<int (&)()> && !SpawnsBlocking<Task<int>> && !SpawnsBlocking<Task<int> (&)()>);
static_assert(SpawnsPinned<Task<int>> && !SpawnsPinned<Task<int>&> && !SpawnsPinned<int>);

static_assert(Copies<RemoteShard> && std::same_as<decltype(std::declval<const RemoteShard&>().id()), ShardId>);

// 5. On a shard.
static_assert(!std::is_copy_constructible_v<ShardCtx> && !std::is_move_constructible_v<ShardCtx>);
static_assert(std::same_as<decltype(ShardCtx::current()), ShardCtx*>);
template <class C>
concept CtxOfTheContract = requires(C& ctx, const C& constant) {
    { constant.shard_id() } -> std::same_as<ShardId>;
    { constant.handle() } -> std::same_as<RuntimeHandle>;
    { constant.remote(ShardId{0}) } -> std::same_as<std::optional<RemoteShard>>;
    { ctx.spawn_local(task_of_int()) } -> std::same_as<JoinHandle<int>>;
};
static_assert(CtxOfTheContract<ShardCtx>);
static_assert(std::same_as<Awaited<decltype(yield())>, void>);
static_assert(std::same_as<Awaited<decltype(resume_on(ShardId{0}))>, Result<void>>);

// 6. Messages.
static_assert(std::is_aggregate_v<RawMsg> && std::same_as<decltype(RawMsg::tag), std::uint16_t> &&
              std::same_as<decltype(RawMsg::val), std::uint32_t>);
static_assert(Copies<Event> && std::is_aggregate_v<Event> && std::same_as<decltype(Event::from), ShardId> &&
              std::same_as<decltype(Event::tag), std::uint16_t> && std::same_as<decltype(Event::val), std::uint32_t>);
struct Message {
    std::uint32_t value;
    RawMsg encode() const { return {1, value}; }
    static Message decode(RawMsg raw) { return {raw.val}; }
};
static_assert(RingMsg<Message> && !RingMsg<std::uint32_t> && !RingMsg<RawMsg>);
static_assert(std::same_as<decltype(std::declval<const Event&>().as<Message>()), Message>);

// The target is in RemoteShard, and the first argument of ShardCtx's sends: `Target` is empty or a shard.
template <class S, class... Target>
concept SendsOfTheContract = requires(const S& sender, Target... target, std::uint16_t tag, std::uint32_t val,
                                      std::span<const RawMsg> raw, std::span<const Message> typed) {
    { sender.send_raw(target..., tag, val) } -> std::same_as<Result<SendTicket>>;
    { sender.send(target..., Message{1}) } -> std::same_as<Result<SendTicket>>;
    { sender.send_raw_nowait(target..., tag, val) } -> std::same_as<Result<void>>;
    { sender.send_nowait(target..., Message{1}) } -> std::same_as<Result<void>>;
    { sender.send_many_raw_nowait(target..., raw) } -> std::same_as<Result<std::size_t>>;
    { sender.send_many_nowait(target..., typed) } -> std::same_as<Result<std::size_t>>;
    { sender.send_many_nowait(target..., std::vector<Message>()) } -> std::same_as<Result<std::size_t>>;
    { sender.flush() } -> std::same_as<SendTicket>;
};
static_assert(SendsOfTheContract<RemoteShard> && SendsOfTheContract<ShardCtx, ShardId>);

static_assert(Copies<SendTicket>);
static_assert(std::same_as<Awaited<SendTicket>, Result<void>> && std::same_as<Awaited<SendTicket&>, Result<void>>);
static_assert(std::same_as<Awaited<const SendTicket&>, Result<void>>, "more than one may wait for it");
template <class T>
concept TicketOfTheContract = requires(const T& ticket) {
    { ticket.get() } -> std::same_as<Result<void>>;
    { ticket.wait_for(milliseconds(1)) } -> std::same_as<bool>;
};
static_assert(TicketOfTheContract<SendTicket>);

static_assert(std::same_as<Awaited<decltype(std::declval<ShardCtx&>().next_event())>, Event>);
static_assert(std::same_as<Awaited<decltype(std::declval<ShardCtx&>().next_events(std::span<Event>()))>, std::size_t>);
static_assert(std::same_as<decltype(std::declval<ShardCtx&>().try_next_event()), std::optional<Event>>);

// 7. Stop, time, structure.
static_assert(std::same_as<Awaited<decltype(this_task::stop_token())>, std::stop_token>);
static_assert(std::same_as<Awaited<decltype(sleep_for(milliseconds(1)))>, Result<void>>);
static_assert(std::same_as<Awaited<decltype(sleep_until(steady_clock::time_point()))>, Result<void>>);
static_assert(std::same_as<Awaited<decltype(timeout(milliseconds(1), task_of_int()))>, Result<int>>);
using BothOfTwo = Awaited<decltype(when_all(task_of_int(), std::declval<Task<>>()))>;
static_assert(std::same_as<BothOfTwo, std::tuple<int, std::monostate>>);
static_assert(std::same_as<Awaited<decltype(when_all(std::vector<Task<int>>()))>, std::vector<int>>);
using EitherOfTwo = Awaited<decltype(when_any(task_of_int(), std::declval<Task<>>()))>;
static_assert(std::same_as<EitherOfTwo, WhenAny<int, std::monostate>>);
static_assert(std::same_as<decltype(EitherOfTwo::index), std::size_t> &&
              std::same_as<decltype(EitherOfTwo::value), std::variant<int, std::monostate>>);
template <class G>
concept GroupOfTheContract = requires(G& group) {
    group.spawn(TaskPlacement::stealable(), task_of_int());
    { group.request_stop() } -> std::same_as<void>;
};
static_assert(GroupOfTheContract<TaskGroup>);
static_assert(std::same_as<Awaited<decltype(std::declval<TaskGroup&>().join())>, void>);

// 8. Native lane.
static_assert(NativeLane::current_position == ~std::uint64_t{0});
static_assert(std::same_as<decltype(NativeLane::current_position), const std::uint64_t>);
template <class L>
concept LaneOfTheContract = requires(const L& lane, int fd, std::uint64_t offset, std::size_t length,
                                     std::span<std::byte> into, std::span<const std::byte> bytes,
                                     std::vector<std::byte> owned) {
    { lane.shard() } -> std::same_as<ShardId>;
    requires std::same_as<Awaited<decltype(lane.read_at(fd, offset, length))>, Result<std::vector<std::byte>>>;
    requires std::same_as<Awaited<decltype(lane.read_at(fd, offset, into))>, Result<std::size_t>>;
    requires std::same_as<Awaited<decltype(lane.write_at(fd, offset, bytes))>, Result<std::size_t>>;
    requires std::same_as<Awaited<decltype(lane.write_at(fd, offset, std::move(owned)))>, Result<std::size_t>>;
    requires std::same_as<Awaited<decltype(lane.read_exact_at(fd, offset, into))>, Result<void>>;
    requires std::same_as<Awaited<decltype(lane.write_all_at(fd, offset, bytes))>, Result<void>>;
    requires std::same_as<Awaited<decltype(lane.fsync(fd))>, Result<void>>;
    requires std::same_as<Awaited<decltype(lane.fdatasync(fd))>, Result<void>>;
};
static_assert(Copies<NativeLane> && LaneOfTheContract<NativeLane>);

// 9. Boundary. Requests and replies that only move, and have no default, will do.
struct Asked {
    explicit Asked(int value) : number(value) {}
    Asked(Asked&&) = default;
    Asked& operator=(Asked&&) = delete;
    int number;
};
static_assert(std::same_as<decltype(boundary::channel<Asked, MoveOnly>(std::size_t{4})),
                           std::pair<boundary::Client<Asked, MoveOnly>, boundary::Server<Asked, MoveOnly>>>);

/// A wait of a task, by co_await, or of a thread, by get().
template <class O, class T>
concept WaitsFor = std::same_as<Awaited<O>, Result<T>> && requires(O operation) {
    { operation.get() } -> std::same_as<Result<T>>;
};
template <class C, class Req, class Rep>
concept ClientOfTheContract = Copies<C> && requires(const C& client, Req request) {
    { client.try_call(std::move(request)) } -> std::same_as<Result<boundary::Ticket<Rep>>>;
    { client.call(std::move(request)) } -> WaitsFor<Rep>;
    { client.call_with_timeout(std::move(request), milliseconds(1)) } -> WaitsFor<Rep>;
};
static_assert(ClientOfTheContract<boundary::Client<int, int>, int, int>);
static_assert(ClientOfTheContract<boundary::Client<Asked, MoveOnly>, Asked, MoveOnly>);

template <class T, class Rep>
concept TicketForAReply = OnlyMoves<T> && WaitsFor<T, Rep> && requires(T& ticket) {
    requires std::same_as<Awaited<T&>, Result<Rep>>;
    { ticket.wait_for(milliseconds(1)) } -> std::same_as<Result<Rep>>;
};
static_assert(TicketForAReply<boundary::Ticket<int>, int> && TicketForAReply<boundary::Ticket<MoveOnly>, MoveOnly>);

template <class S, class Req, class Rep>
concept ServerOfTheContract = OnlyMoves<S> && requires(S& server) {
    { server.recv() } -> WaitsFor<boundary::Request<Req, Rep>>;
    { server.recv_timeout(milliseconds(1)) } -> WaitsFor<boundary::Request<Req, Rep>>;
    { server.try_recv() } -> std::same_as<Result<boundary::Request<Req, Rep>>>;
};
static_assert(ServerOfTheContract<boundary::Server<int, int>, int, int>);
static_assert(ServerOfTheContract<boundary::Server<Asked, MoveOnly>, Asked, MoveOnly>);

template <class R, class Req, class Rep>
concept RequestOfTheContract = OnlyMoves<R> && requires(R& request, const R& constant, Rep reply) {
    { constant.request() } -> std::same_as<const Req&>;
    { request.take() } -> std::same_as<Req>;
    { constant.deadline() } -> std::same_as<std::optional<steady_clock::time_point>>;
    { constant.canceled() } -> std::same_as<bool>;
    { request.respond(std::move(reply)) } -> std::same_as<Result<void>>;
};
static_assert(RequestOfTheContract<boundary::Request<int, int>, int, int>);
static_assert(RequestOfTheContract<boundary::Request<Asked, MoveOnly>, Asked, MoveOnly>);

// 10. Statistics.
static_assert(Copies<RuntimeStats> && std::is_aggregate_v<RuntimeStats> && Copies<Capabilities>);
static_assert(std::same_as<decltype(RuntimeStats::shard_command_depths), std::vector<std::uint64_t>>);
template <class S>
concept StatsOfTheContract = requires(S s) {
    std::vector<std::uint64_t*>{&s.spawn_pinned_submitted,
                                &s.spawn_stealable_submitted,
                                &s.stealable_executed,
                                &s.stealable_stolen,
                                &s.ring_msgs_submitted,
                                &s.ring_msgs_completed,
                                &s.ring_msgs_failed,
                                &s.ring_msgs_backpressure,
                                &s.doorbells_rung,
                                &s.steal_attempts,
                                &s.steal_successes,
                                &s.parks,
                                &s.late_wakes,
                                &s.cq_overflows,
                                &s.native_affinity_violations,
                                &s.pending_native_ops,
                                &s.timers_fired,
                                &s.tasks_live};
};
static_assert(StatsOfTheContract<RuntimeStats>);
static_assert(std::same_as<decltype(to_prometheus(std::declval<const RuntimeStats&>())), std::string>);

// What is above only has to compile; this has to be there when the program is linked.
TEST(Api, RunsAProgram) {
    const auto sum = [](RuntimeHandle handle) -> Task<int> {
        auto first = handle.spawn_stealable(plain_function);
        auto second = handle.spawn_sticky(1, task_of_int());
        const int one = co_await std::move(first);
        co_return one + co_await std::move(second);
    };
    EXPECT_EQ(run_with(RuntimeBuilder().shards(1).backend(BackendKind::Queue), sum), 3);
}

}  // namespace
}  // namespace spargio
