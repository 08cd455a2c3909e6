// SPDX-License-Identifier: MIT
// The boundary workloads on Asio: handlers that are posted to a pool with a promise, and a channel to a coroutine.
#pragma once

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "boundary_workloads.hpp"
#include "support/asio.hpp"
#include "support/asio_join.hpp"
#include "support/asio_loop.hpp"

namespace bench::asio_boundary {

/// What a caller waits for.
struct Call {
    explicit Call(std::uint64_t asked) : question(asked) {}

    std::uint64_t question;
    std::promise<std::uint64_t> answer;
};

/// A piece of work that comes again, on each thread of the pool.
inline void keep_busy(const PoolExecutor& executor, const std::atomic<bool>& enough) {
    if (!enough.load(std::memory_order_relaxed)) {
        work_for_a_piece();
        asio::post(executor, [executor, &enough] { keep_busy(executor, enough); });
    }
}

/// A handler for each call, on whichever thread of the pool.
class PostedHandlers {
public:
    explicit PostedHandlers(asio::thread_pool& pool) : executor_(pool.get_executor()) {}

    void begin(Call& call) const {
        asio::post(executor_, [&call] { call.answer.set_value(answer_to(call.question)); });
    }

private:
    PoolExecutor executor_;
};

/// A bounded queue to a coroutine on the pool, like the boundary's.
class ChannelToCoroutine {
public:
    explicit ChannelToCoroutine(asio::thread_pool& pool) : channel_(pool.get_executor(), callers * in_flight) {
        asio::co_spawn(pool.get_executor(), serve(), asio::detached);
    }
    ChannelToCoroutine(const ChannelToCoroutine&) = delete;
    ChannelToCoroutine& operator=(const ChannelToCoroutine&) = delete;
    ~ChannelToCoroutine() { channel_.close(); }

    void begin(Call& call) {
        while (!channel_.try_send(asio::error_code(), &call)) {
            std::this_thread::yield();  // Never: it has room for all.
        }
    }

private:
    using Channel = asio::experimental::concurrent_channel<PoolExecutor, void(asio::error_code, Call*)>;

    PoolCoroutine<void> serve() {
        try {
            for (;;) {
                Call* call = co_await channel_.async_receive(use_pool_awaitable);
                call->answer.set_value(answer_to(call->question));
            }
        } catch (const asio::system_error&) {
            // Closed.
        }
    }

    Channel channel_;
};

/// A pool with `Way` into it.
template <class Way>
struct Service {
    asio::thread_pool pool{serving_threads};
    std::optional<Way> way{std::in_place, pool};

    ~Service() {
        way.reset();
        pool.join();
    }

    std::uint64_t call(std::uint64_t question) {
        Call call(question);
        auto answer = call.answer.get_future();
        way->begin(call);
        return answer.get();
    }
};

template <class Way>
void call_idle(benchmark::State& state) {
    Service<Way> service;
    calls_apart(state, [&](std::uint64_t question) { return service.call(question); });
}

template <class Way>
void call_back_to_back(benchmark::State& state) {
    Service<Way> service;
    run_calls_in_turn(state, calls_in_turn, [&](std::uint64_t question) { return service.call(question); });
}

template <class Way>
void call_busy(benchmark::State& state) {
    Service<Way> service;
    std::atomic<bool> enough{false};
    for (std::size_t thread = 0; thread < serving_threads; ++thread) {
        asio::post(service.pool, [executor = service.pool.get_executor(), &enough] { keep_busy(executor, enough); });
    }
    run_calls_in_turn(state, busy_calls, [&](std::uint64_t question) { return service.call(question); });
    enough.store(true, std::memory_order_relaxed);
    service.way.reset();
    service.pool.join();
}

template <class Way>
void call_in_flight_64(benchmark::State& state) {
    struct InFlight : Call {
        using Call::Call;

        std::future<std::uint64_t> future = answer.get_future();
    };
    Service<Way> service;
    run_calls_in_flight<InFlight>(
        state,
        [&](std::optional<InFlight>& call, std::uint64_t question) { service.way->begin(call.emplace(question)); },
        [](InFlight& call) { return call.future.get(); });
}

/// A coroutine of the pool asks a thread outside of it: a handler is posted there, and the answer back.
class PostedQuestions {
public:
    explicit PostedQuestions(LoopThread& outside) : outside_(outside.executor()) {}

    PoolCoroutine<std::uint64_t> ask(std::uint64_t question) {
        auto post_there_and_back = [this, question](auto handler) {
            asio::post(outside_, [question, handler = std::move(handler)]() mutable {
                const auto executor = asio::get_associated_executor(handler);
                asio::post(executor,
                           [answer = answer_to(question), handler = std::move(handler)]() mutable { handler(answer); });
            });
        };
        using Token = const asio::use_awaitable_t<PoolExecutor>&;
        co_return co_await asio::async_initiate<Token, void(std::uint64_t)>(std::move(post_there_and_back),
                                                                            use_pool_awaitable);
    }

private:
    LoopExecutor outside_;
};

/// The same with a channel each way.
class QuestionsInChannels {
public:
    explicit QuestionsInChannels(LoopThread& outside)
        : questions_(outside.executor(), 1), answers_(outside.executor(), 1) {
        asio::co_spawn(outside.executor(), serve(), asio::detached);
    }
    QuestionsInChannels(const QuestionsInChannels&) = delete;
    QuestionsInChannels& operator=(const QuestionsInChannels&) = delete;
    ~QuestionsInChannels() { questions_.close(); }

    PoolCoroutine<std::uint64_t> ask(std::uint64_t question) {
        questions_.try_send(asio::error_code(), question);  // It has room: there is one at a time.
        co_return co_await answers_.async_receive(use_pool_awaitable);
    }

private:
    using Channel = asio::experimental::concurrent_channel<LoopExecutor, void(asio::error_code, std::uint64_t)>;

    Coroutine<void> serve() {
        try {
            for (;;) {
                const auto question = co_await questions_.async_receive(use_loop_awaitable);
                answers_.try_send(asio::error_code(), answer_to(question));
            }
        } catch (const asio::system_error&) {
            // Closed.
        }
    }

    Channel questions_;
    Channel answers_;
};

template <class Way>
PoolCoroutine<Timed> call_out_in_turn(Way& way) {
    const Stopwatch stopwatch;
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < calls_in_turn; ++i) {
        sum += co_await way.ask(i);
    }
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

template <class Way>
void call_out(benchmark::State& state) {
    LoopThread outside;
    asio::thread_pool pool(serving_threads);
    std::optional<Way> way(std::in_place, outside);
    run_batches(state, calls_in_turn, sum_of_answers(calls_in_turn),
                [&] { return asio::co_spawn(pool.get_executor(), call_out_in_turn(*way), asio::use_future).get(); });
    pool.join();
    std::promise<void> closed;
    asio::post(outside.executor(), [&] {
        way.reset();
        closed.set_value();
    });
    closed.get_future().get();
}

}  // namespace bench::asio_boundary
