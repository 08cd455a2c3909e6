// SPDX-License-Identifier: MIT
// What a Result keeps: the words of its error, and room for its value.
#pragma once

#include "spargio/config.hpp"

#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

namespace spargio::detail {

// The error is kept as its two words, code 0 for "a value is here": making an empty std::error_code is a call into
// libstdc++, and a value should not pay for it.
struct ErrorWords {
    constexpr ErrorWords() noexcept = default;
    explicit ErrorWords(std::error_code error) noexcept : category(&error.category()), code(error.value()) {
        SPARGIO_CHECK(code != 0,
                      "a Result was made from an empty std::error_code, which says success and gives no value: "
                      "return the value, or the code of what failed");
    }

    constexpr bool empty() const noexcept { return code == 0; }
    std::error_code get() const noexcept { return empty() ? std::error_code() : std::error_code(code, *category); }

    const std::error_category* category = nullptr;
    int code = 0;
};

// Two storages, since Clang 14 does not know special members that are trivial on a condition. This one travels in
// registers when it is small.
template <class T, bool Trivial = std::is_trivially_copyable_v<T>>
struct ResultStorage {
    template <class... Args>
    explicit constexpr ResultStorage(std::in_place_t, Args&&... args) : value(std::forward<Args>(args)...) {}

    explicit ResultStorage(ErrorWords words) noexcept : error(words) {
        // Copying a failed Result copies these bytes too; unset, they would be a warning and an MSan report.
        if constexpr (std::is_trivially_default_constructible_v<T> && sizeof(T) <= 64) {
            ::new (static_cast<void*>(__builtin_addressof(value))) T();
        }
    }

    ErrorWords error;
    union {
        T value;
    };
};

template <class T>
struct ResultStorage<T, false> {
    // Assigning constructs the value when an error was there, so it takes both.
    static constexpr bool copies = std::is_copy_constructible_v<T>;
    static constexpr bool moves = std::is_move_constructible_v<T>;
    static constexpr bool copy_assigns = copies && std::is_copy_assignable_v<T>;
    static constexpr bool move_assigns = moves && std::is_move_assignable_v<T>;
    static constexpr bool copy_assigns_noexcept =
        std::is_nothrow_copy_constructible_v<T> && std::is_nothrow_copy_assignable_v<T>;
    static constexpr bool move_assigns_noexcept =
        std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>;

    template <class... Args>
    explicit constexpr ResultStorage(std::in_place_t, Args&&... args) : value(std::forward<Args>(args)...) {}

    explicit ResultStorage(ErrorWords words) noexcept : error(words) { set_unused(); }

    ResultStorage(const ResultStorage& other) noexcept(std::is_nothrow_copy_constructible_v<T>) requires copies
        : error(other.error) {
        if (error.empty()) {
            construct(other.value);
        } else {
            set_unused();
        }
    }

    ResultStorage(ResultStorage&& other) noexcept(std::is_nothrow_move_constructible_v<T>) requires moves
        : error(other.error) {
        if (error.empty()) {
            construct(std::move(other.value));
        } else {
            set_unused();
        }
    }

    ResultStorage& operator=(const ResultStorage& other) noexcept(copy_assigns_noexcept) requires copy_assigns {
        assign(other.error, other.value);
        return *this;
    }

    ResultStorage& operator=(ResultStorage&& other) noexcept(move_assigns_noexcept) requires move_assigns {
        assign(other.error, std::move(other.value));
        return *this;
    }

    ~ResultStorage() {
        if (error.empty()) {
            value.~T();
        }
    }

    // Where GCC 12 does not see that only a value is destroyed, it warns that its words may be unset: in users' code,
    // for a Result in a Result, which is what a timeout() gives.
    void set_unused() noexcept {
        if constexpr (sizeof(T) <= 64) {
            __builtin_memset(static_cast<void*>(__builtin_addressof(value)), 0, sizeof(T));
        }
    }

    template <class U>
    void construct(U&& from) {
        ::new (static_cast<void*>(__builtin_addressof(value))) T(std::forward<U>(from));
    }

    // from is read only when words says that it is there. The error goes last: when the copy throws, it stays.
    template <class U>
    void assign(ErrorWords words, U&& from) {
        if (words.empty() && error.empty()) {
            value = std::forward<U>(from);
        } else if (words.empty()) {
            construct(std::forward<U>(from));
        } else if (error.empty()) {
            value.~T();
        }
        error = words;
    }

    ErrorWords error;
    union {
        T value;
    };
};

}  // namespace spargio::detail
