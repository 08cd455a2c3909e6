// SPDX-License-Identifier: MIT
// Results that are hard to hand over: a move that throws, more than a block holds, more aligned than a block is.
#pragma once

#include <array>
#include <atomic>
#include <stdexcept>

namespace spargio::test {

/// Its `throws_on`-th move throws.
struct ThrowingMove {
    inline static std::atomic<int> living{0};
    ThrowingMove(int n, int countdown) : number(n), throws_on(countdown) { living.fetch_add(1); }
    ThrowingMove(ThrowingMove&& other) noexcept(false) : number(other.number), throws_on(other.throws_on - 1) {
        if (throws_on == 0) {
            throw std::runtime_error("the move throws");
        }
        living.fetch_add(1);
    }
    ThrowingMove(const ThrowingMove&) = delete;
    ThrowingMove& operator=(const ThrowingMove&) = delete;
    ThrowingMove& operator=(ThrowingMove&&) = delete;
    ~ThrowingMove() { living.fetch_sub(1); }
    int number;
    int throws_on;
};

struct alignas(64) Aligned {
    explicit Aligned(int n) : number(n) {}
    int number;
};

struct Large {
    explicit Large(unsigned char fill) { bytes.fill(fill); }
    std::array<unsigned char, 100'000> bytes{};
};

}  // namespace spargio::test
