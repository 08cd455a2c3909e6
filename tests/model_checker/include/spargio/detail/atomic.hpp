// SPDX-License-Identifier: MIT
// Stands in for the runtime's atomic.hpp: each operation goes through the model checker.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine.hpp"

namespace spargio::detail {

/// As much of std::atomic as the structures under test use.
template <class T>
class atomic {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(model_checker::Word));

public:
    constexpr atomic() noexcept : atomic(T()) {}
    constexpr atomic(T value) noexcept : value_(value) {}
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;

    [[nodiscard]] T load(std::memory_order order = std::memory_order_seq_cst) const noexcept {
        return from_word(engine().load(cell(), order));
    }
    void store(T value, std::memory_order order = std::memory_order_seq_cst) noexcept {
        engine().store(cell(), to_word(value), order);
    }
    T exchange(T value, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update([value](T) { return value; }, order);
    }
    T fetch_add(T value, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update([value](T old) { return static_cast<T>(old + value); }, order);
    }
    T fetch_or(T value, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update([value](T old) { return static_cast<T>(old | value); }, order);
    }
    T fetch_and(T value, std::memory_order order = std::memory_order_seq_cst) noexcept {
        return update([value](T old) { return static_cast<T>(old & value); }, order);
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                                 std::memory_order failure) noexcept {
        auto word = to_word(expected);
        const bool done = engine().compare_exchange(cell(), word, to_word(desired), success, failure);
        expected = from_word(word);
        return done;
    }
    /// Never fails without reason: a loop would only go round once more.
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) noexcept {
        return compare_exchange_strong(expected, desired, success, failure);
    }

private:
    static model_checker::Engine& engine() noexcept { return model_checker::Engine::instance(); }

    static model_checker::Word to_word(T value) noexcept {
        model_checker::Word word = 0;
        std::memcpy(&word, &value, sizeof(value));
        return word;
    }
    static T from_word(model_checker::Word word) noexcept {
        T value;
        std::memcpy(&value, &word, sizeof(value));
        return value;
    }

    template <class Change>
    T update(Change change, std::memory_order order) noexcept {
        return from_word(engine().update(
            cell(), [change](model_checker::Word old) { return to_word(change(from_word(old))); }, order));
    }

    /// Constructors of the structures are constexpr, so the cell gets its first value at the first operation.
    model_checker::Cell& cell() const noexcept {
        if (cell_.location == model_checker::Cell::unused) {
            cell_.initial = to_word(value_);
        }
        return cell_;
    }

    T value_;  // The first one.
    mutable model_checker::Cell cell_{};
};

inline constexpr std::size_t cache_line = 64;

}  // namespace spargio::detail
