// SPDX-License-Identifier: MIT
// The checker checked: small programs whose outcomes C++20 allows or forbids, by their names in the literature (Alglave
// and others, "Herding Cats", TOPLAS 2014; Batty and others, "Mathematizing C++ Concurrency", POPL 2011).
#include "checker.hpp"
#include "spargio/detail/atomic.hpp"

namespace spargio::model_checker {
namespace {

using detail::atomic;
using Order = std::memory_order;

constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto acq_rel = std::memory_order_acq_rel;
constexpr auto seq_cst = std::memory_order_seq_cst;

/// Each thread stores, then looks at the other's variable: may both see nothing?
template <Order stores, Order loads>
void store_buffering() {
    atomic<int> x;
    atomic<int> y;
    int a = 0;
    int b = 0;
    const auto one = [&] {
        x.store(1, stores);
        a = y.load(loads);
    };
    const auto other = [&] {
        y.store(1, stores);
        b = x.load(loads);
    };
    run(one, other);
    check(a == 1 || b == 1, "both see nothing");
}
const Scenario sb_relaxed("litmus: SB, relaxed", fails, store_buffering<relaxed, relaxed>);
const Scenario sb_release("litmus: SB, release and acquire", fails, store_buffering<release, acquire>);
const Scenario sb_store_only("litmus: SB, only the stores sequentially consistent", fails,
                             store_buffering<seq_cst, acquire>);
const Scenario sb_load_only("litmus: SB, only the loads sequentially consistent", fails,
                            store_buffering<release, seq_cst>);
const Scenario sb_seq_cst("litmus: SB, sequentially consistent", holds, store_buffering<seq_cst, seq_cst>);

/// The one only stores and loads, the other has a barrier for both: membarrier(2).
void asymmetric_store_buffering() {
    atomic<int> x;
    atomic<int> y;
    int a = 0;
    int b = 0;
    const auto one = [&] {
        x.store(1, relaxed);
        a = y.load(relaxed);
    };
    const auto other = [&] {
        y.store(1, relaxed);
        Engine::instance().barrier();
        b = x.load(relaxed);
    };
    run(one, other);
    check(a == 1 || b == 1, "both see nothing");
}
const Scenario sb_barrier("litmus: SB, relaxed, one with a barrier for both", holds, asymmetric_store_buffering);

/// Between the loads of the one, the other's barrier.
void barrier_between_loads() {
    atomic<int> x;
    atomic<int> y;
    int a = 0;
    int b = 0;
    const auto one = [&] {
        a = x.load(relaxed);
        b = y.load(relaxed);
    };
    const auto other = [&] {
        y.store(1, relaxed);
        Engine::instance().barrier();
        x.store(1, relaxed);
    };
    run(one, other);
    check(a == 0 || b == 1, "what is behind the barrier is seen before what is in front of it");
}
const Scenario mp_barrier("litmus: MP, relaxed, a barrier of the writer for both", holds, barrier_between_loads);

/// A barrier orders, but publishes nothing.
void plain_behind_barrier() {
    Plain<int> data;
    atomic<int> ready;
    const auto writer = [&] {
        data.write(1);
        ready.store(1, relaxed);
    };
    const auto reader = [&] {
        if (ready.load(relaxed) == 1) {
            Engine::instance().barrier();
            check(data.read() == 1, "old data");
        }
    };
    run(writer, reader);
}
const Scenario plain_barrier("litmus: MP of a plain variable, relaxed, with a barrier", fails, plain_behind_barrier);

/// A plain variable, published by an atomic one.
template <Order stores, Order loads>
void message_passing() {
    Plain<int> data;
    atomic<int> ready;
    const auto writer = [&] {
        data.write(1);
        ready.store(1, stores);
    };
    const auto reader = [&] {
        if (ready.load(loads) == 1) {
            check(data.read() == 1, "old data");
        }
    };
    run(writer, reader);
}
const Scenario mp_relaxed_store("litmus: MP, relaxed store", fails, message_passing<relaxed, acquire>);
const Scenario mp_relaxed_load("litmus: MP, relaxed load", fails, message_passing<release, relaxed>);
const Scenario mp("litmus: MP, release and acquire", holds, message_passing<release, acquire>);

/// The same with an atomic variable: the old value may be read only where nothing orders the two.
template <Order stores, Order loads>
void atomic_message_passing() {
    atomic<int> data;
    atomic<int> ready;
    const auto writer = [&] {
        data.store(1, relaxed);
        ready.store(1, stores);
    };
    const auto reader = [&] { check(ready.load(loads) == 0 || data.load(relaxed) == 1, "old data"); };
    run(writer, reader);
}
const Scenario amp_relaxed("litmus: MP of an atomic variable, relaxed", fails,
                           atomic_message_passing<release, relaxed>);
const Scenario amp("litmus: MP of an atomic variable", holds, atomic_message_passing<release, acquire>);

/// Each thread loads, then stores to the other's variable: may both see the other's store?
template <Order loads, Order stores>
void load_buffering() {
    atomic<int> x;
    atomic<int> y;
    int a = 0;
    int b = 0;
    const auto one = [&] {
        a = x.load(loads);
        y.store(1, stores);
    };
    const auto other = [&] {
        b = y.load(loads);
        x.store(1, stores);
    };
    run(one, other);
    check(a == 0 || b == 0, "both see what is stored later");
}
const Scenario lb_relaxed("litmus: LB, relaxed", fails, load_buffering<relaxed, relaxed>);
const Scenario lb_release("litmus: LB, stores released, loads relaxed", fails, load_buffering<relaxed, release>);
const Scenario lb("litmus: LB, release and acquire", holds, load_buffering<acquire, release>);

/// Nobody stores a value that is only there because it is loaded.
void out_of_thin_air() {
    atomic<int> x;
    atomic<int> y;
    int a = 0;
    const auto one = [&] {
        a = x.load(relaxed);
        y.store(a, relaxed);
    };
    const auto other = [&] { x.store(y.load(relaxed), relaxed); };
    run(one, other);
    check(a == 0, "a value from nowhere");
}
const Scenario thin_air("litmus: no values out of thin air", holds, out_of_thin_air);

/// The later of two loads does not read the older store.
void read_read_coherence() {
    atomic<int> x;
    const auto writer = [&] {
        x.store(1, relaxed);
        x.store(2, relaxed);
    };
    const auto reader = [&] {
        const auto first = x.load(relaxed);
        check(x.load(relaxed) >= first, "the older store later");
    };
    run(writer, reader);
}
const Scenario corr("litmus: CoRR", holds, read_read_coherence);

/// Two readers see two stores of two writers: in the same order?
template <Order loads>
void independent_reads() {
    atomic<int> x;
    atomic<int> y;
    int seen[4] = {};
    const auto write_x = [&] { x.store(1, seq_cst); };
    const auto write_y = [&] { y.store(1, seq_cst); };
    const auto read_xy = [&] {
        seen[0] = x.load(loads);
        seen[1] = y.load(loads);
    };
    const auto read_yx = [&] {
        seen[2] = y.load(loads);
        seen[3] = x.load(loads);
    };
    run(write_x, write_y, read_xy, read_yx);
    check(!(seen[0] == 1 && seen[1] == 0 && seen[2] == 1 && seen[3] == 0), "two orders");
}
const Scenario iriw_acquire("litmus: IRIW, acquire", fails, independent_reads<acquire>);
const Scenario iriw("litmus: IRIW, sequentially consistent", holds, independent_reads<seq_cst>);

/// What happens before goes through a third thread.
void write_to_read_causality() {
    atomic<int> x;
    atomic<int> y;
    const auto first = [&] { x.store(1, relaxed); };
    const auto second = [&] {
        if (x.load(relaxed) == 1) {
            y.store(1, release);
        }
    };
    const auto third = [&] { check(y.load(acquire) == 0 || x.load(relaxed) == 1, "the effect without its cause"); };
    run(first, second, third);
}
const Scenario wrc("litmus: WRC", holds, write_to_read_causality);

/// A read-modify-write continues a release sequence; a store of the same thread does not (since C++20).
template <bool by_update>
void release_sequence() {
    Plain<int> data;
    atomic<int> x;
    const auto writer = [&] {
        data.write(1);
        x.store(1, release);
        if (!by_update) {
            x.store(2, relaxed);
        }
    };
    const auto updater = [&] {
        if (by_update) {
            x.fetch_add(1, relaxed);
        }
    };
    const auto reader = [&] {
        if (x.load(acquire) == 2) {
            check(data.read() == 1, "old data");
        }
    };
    run(writer, updater, reader);
}
const Scenario sequence_of_update("litmus: a relaxed update continues a release sequence", holds,
                                  release_sequence<true>);
const Scenario sequence_of_store("litmus: a relaxed store does not", fails, release_sequence<false>);

/// Of two updates none is lost.
void updates() {
    atomic<int> x;
    const auto add = [&] { x.fetch_add(1, relaxed); };
    const auto also_add = [&] { x.fetch_add(1, relaxed); };
    run(add, also_add);
    check(x.load() == 2, "an update is lost");
}
const Scenario atomic_updates("litmus: updates are atomic", holds, updates);

/// A compare-and-swap that succeeds is exclusive; one that fails acquires only if it says so.
template <Order failure>
void failed_compare() {
    Plain<int> data;
    atomic<int> lock;
    const auto take = [&] {
        int expected = 0;
        if (lock.compare_exchange_strong(expected, 1, acq_rel, failure)) {
            data.write(1);
            lock.store(2, release);
        } else if (expected == 2) {
            check(data.read() == 1, "old data");
        }
    };
    const auto also_take = take;
    run(take, also_take);
}
const Scenario failed_relaxed("litmus: a failed compare, relaxed", fails, failed_compare<relaxed>);
const Scenario failed_acquire("litmus: a failed compare, acquire", holds, failed_compare<acquire>);

/// A load may be executed late, behind a sequentially consistent one that follows it.
template <Order first>
void late_load() {
    atomic<int> x;
    atomic<int> y;
    const auto reader = [&] {
        const auto a = x.load(first);
        const auto b = y.load(seq_cst);
        check(a == 0 || b == 1, "the second load came first");
    };
    const auto writer = [&] {
        y.store(1, seq_cst);
        x.store(1, seq_cst);
    };
    run(reader, writer);
}
const Scenario late_relaxed("litmus: a relaxed load before a sequentially consistent one", fails, late_load<relaxed>);
const Scenario late_acquire("litmus: an acquire load before a sequentially consistent one", holds, late_load<acquire>);

}  // namespace
}  // namespace spargio::model_checker
