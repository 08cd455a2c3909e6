// SPDX-License-Identifier: MIT
// Result<T>: a value, or the std::error_code that says why there is none.
#pragma once

#include "spargio/config.hpp"
#include "spargio/detail/result_storage.hpp"
#include "spargio/error.hpp"

#include <functional>
#include <system_error>
#include <type_traits>
#include <utility>

// A macro, since clang-format 14 does not know a class by its attribute's argument.
#define SPARGIO_RESULT_NODISCARD [[nodiscard("it may hold an error: test it, pass it on, or call value() to throw")]]

namespace spargio {

template <class T = void>
class SPARGIO_RESULT_NODISCARD Result;

namespace detail {

template <class>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<Result<T>> = true;

template <class E>
concept ErrorCodeEnum = std::is_error_code_enum_v<E>;

template <class E>
concept ErrorSource = std::is_same_v<E, std::error_code> || ErrorCodeEnum<E>;

// A T that swallows a whole W is made from that W, and not from the value inside it.
template <class T, class W>
inline constexpr bool made_from_wrapper =
    std::is_constructible_v<T, W&> || std::is_constructible_v<T, W> || std::is_constructible_v<T, const W&> ||
    std::is_constructible_v<T, const W> || std::is_convertible_v<W&, T> || std::is_convertible_v<W, T> ||
    std::is_convertible_v<const W&, T> || std::is_convertible_v<const W, T>;

// An error code is always the error, also where T could be made from one; and a bool is not made of whether a Result
// has a value.
template <class U, class T>
concept ResultValue = !std::is_same_v<U, Result<T>> && !std::is_same_v<U, std::in_place_t> && !ErrorSource<U> &&
                      !(std::is_same_v<T, bool> && is_result<U>);

template <class U, class T>
concept MakesResultValue = ResultValue<std::remove_cvref_t<U>, T> && std::is_constructible_v<T, U>;

template <class U, class T>
concept OtherResultValue =
    !std::is_same_v<T, U> && !std::is_void_v<U> && (std::is_same_v<T, bool> || !made_from_wrapper<T, Result<U>>);

template <class U, class T>
concept CopiesResultValue = OtherResultValue<U, T> && std::is_constructible_v<T, const U&>;

template <class U, class T>
concept MovesResultValue = OtherResultValue<U, T> && std::is_constructible_v<T, U>;

template <class U, class T>
concept EqualTo = requires(const T& a, const U& b) {
    static_cast<bool>(a == b);
};

template <class U, class T>
concept ComparableInResult = EqualTo<U, T> ||(std::is_void_v<T>&& std::is_void_v<U>);

template <class U, class T>
concept ComparableWithResult = !is_result<U> && !ErrorSource<U> && EqualTo<U, T>;

}  // namespace detail

/// What an operation that the world can refuse returns: a T, or the reason as a std::error_code. Shaped like C++23's
/// std::expected<T, std::error_code>.
///
///     spargio::Result<int> parse(std::string_view text);
///
///     if (auto number = parse(line)) { use(*number); } else { std::cerr << number.error().message() << '\n'; }
///     int sure = parse("42").value();   // throws std::system_error when there is none
///
/// Made implicitly from a T, from a std::error_code and from any error-code enum, so both `return 42;` and
/// `return SendError::Closed;` work. An error code is always the error, also in a Result<Result<T>>, whose inner error
/// has to be written as one: `Result<Result<int>>(Result<int>(code))`. An error code of value 0 says that nothing
/// failed, so a Result made from one is a checked failure: the program stops with a sentence.
///
/// Requires: T is an object type, no array, no const, and not itself an error code. Move-only and (with std::in_place)
/// immovable types work. Only the operations that T has exist.
/// Thread safety: that of T; no allocation; as big as T and 16 bytes, and padding.
template <class T>
class Result {
    static_assert(!std::is_reference_v<T>,
                  "a Result holds a value: use a pointer or std::reference_wrapper for a reference");
    static_assert(std::is_object_v<T> && !std::is_array_v<T>, "a Result holds an object: use std::array for an array");
    static_assert(!std::is_const_v<T> && !std::is_volatile_v<T>,
                  "a Result holds a plain T: make the Result const instead");
    static_assert(!detail::ErrorSource<T>,
                  "a Result<error code> could not tell its value from its error: use Result<void>");
    static_assert(!std::is_same_v<T, std::in_place_t>, "std::in_place_t is a tag of Result's constructor, not a value");

public:
    using value_type = T;
    using error_type = std::error_code;

    constexpr Result() noexcept(std::is_nothrow_default_constructible_v<T>) requires std::is_default_constructible_v<T>
        : storage_(std::in_place) {}

    template <detail::MakesResultValue<T> U = T>
    explicit(!std::is_convertible_v<U, T>) constexpr Result(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>)
        : storage_(std::in_place, std::forward<U>(value)) {}

    template <class... Args>
    requires std::is_constructible_v<T, Args...>
    explicit constexpr Result(std::in_place_t, Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>)
        : storage_(std::in_place, std::forward<Args>(args)...) {}

    Result(std::error_code error) noexcept : storage_(detail::ErrorWords(error)) {}

    template <detail::ErrorCodeEnum E>
    Result(E error) noexcept : Result(std::error_code(error)) {}

    template <detail::CopiesResultValue<T> U>
    explicit(!std::is_convertible_v<const U&, T>) Result(const Result<U>& other)
        : Result(other.has_value() ? Result(std::in_place, *other) : Result(other.error())) {}

    template <detail::MovesResultValue<T> U>
    explicit(!std::is_convertible_v<U, T>) Result(Result<U>&& other)
        : Result(other.has_value() ? Result(std::in_place, *std::move(other)) : Result(other.error())) {}

    [[nodiscard]] constexpr bool has_value() const noexcept { return storage_.error.empty(); }
    explicit constexpr operator bool() const noexcept { return has_value(); }

    /// The value; a checked failure when there is none.
    constexpr T& operator*() & noexcept { return checked(*this); }
    constexpr const T& operator*() const& noexcept { return checked(*this); }
    constexpr T&& operator*() && noexcept { return checked(std::move(*this)); }
    constexpr const T&& operator*() const&& noexcept { return checked(std::move(*this)); }
    constexpr T* operator->() noexcept { return __builtin_addressof(checked(*this)); }
    constexpr const T* operator->() const noexcept { return __builtin_addressof(checked(*this)); }

    /// The value; throws std::system_error(error()) when there is none.
    constexpr T& value() & { return or_throw(*this); }
    constexpr const T& value() const& { return or_throw(*this); }
    constexpr T&& value() && { return or_throw(std::move(*this)); }
    constexpr const T&& value() const&& { return or_throw(std::move(*this)); }

    /// The reason; an empty code when there is a value.
    [[nodiscard]] std::error_code error() const noexcept { return storage_.error.get(); }

    template <class U = T>
    [[nodiscard]] constexpr T value_or(U&& otherwise) const& {
        return has_value() ? storage_.value : static_cast<T>(std::forward<U>(otherwise));
    }
    template <class U = T>
    [[nodiscard]] constexpr T value_or(U&& otherwise) && {
        return has_value() ? std::move(storage_.value) : static_cast<T>(std::forward<U>(otherwise));
    }

    /// f(value), which returns a Result; or this error.
    template <class F>
    constexpr auto and_then(F&& f) & {
        return chain(*this, std::forward<F>(f));
    }
    template <class F>
    constexpr auto and_then(F&& f) const& {
        return chain(*this, std::forward<F>(f));
    }
    template <class F>
    constexpr auto and_then(F&& f) && {
        return chain(std::move(*this), std::forward<F>(f));
    }
    template <class F>
    constexpr auto and_then(F&& f) const&& {
        return chain(std::move(*this), std::forward<F>(f));
    }

    /// A Result of what f(value) returns (a reference is copied); or this error.
    template <class F>
    constexpr auto transform(F&& f) & {
        return map(*this, std::forward<F>(f));
    }
    template <class F>
    constexpr auto transform(F&& f) const& {
        return map(*this, std::forward<F>(f));
    }
    template <class F>
    constexpr auto transform(F&& f) && {
        return map(std::move(*this), std::forward<F>(f));
    }
    template <class F>
    constexpr auto transform(F&& f) const&& {
        return map(std::move(*this), std::forward<F>(f));
    }

    /// This value; or f(error), which returns a Result<T>.
    template <class F>
    constexpr Result or_else(F&& f) & {
        return recover(*this, std::forward<F>(f));
    }
    template <class F>
    constexpr Result or_else(F&& f) const& {
        return recover(*this, std::forward<F>(f));
    }
    template <class F>
    constexpr Result or_else(F&& f) && {
        return recover(std::move(*this), std::forward<F>(f));
    }
    template <class F>
    constexpr Result or_else(F&& f) const&& {
        return recover(std::move(*this), std::forward<F>(f));
    }

private:
    template <class Self>
    static constexpr auto&& checked(Self&& self) noexcept {
        SPARGIO_CHECK(self.has_value(),
                      "the value of a Result that holds an error was used: test the Result first, or call value() to "
                      "throw the error");
        return std::forward<Self>(self).storage_.value;
    }

    template <class Self>
    static constexpr auto&& or_throw(Self&& self) {
        if (!self.has_value()) [[unlikely]] {
            detail::throw_system_error(self.error());
        }
        return std::forward<Self>(self).storage_.value;
    }

    template <class Self, class F>
    static constexpr auto chain(Self&& self, F&& f) {
        using Next =
            std::remove_cvref_t<decltype(std::invoke(std::forward<F>(f), std::forward<Self>(self).storage_.value))>;
        static_assert(detail::is_result<Next>,
                      "the function given to and_then returns a Result; for a plain value: transform");
        if (self.has_value()) {
            return Next(std::invoke(std::forward<F>(f), std::forward<Self>(self).storage_.value));
        }
        return Next(self.error());
    }

    template <class Self, class F>
    static constexpr auto map(Self&& self, F&& f) {
        using Value =
            std::remove_cvref_t<decltype(std::invoke(std::forward<F>(f), std::forward<Self>(self).storage_.value))>;
        if (!self.has_value()) {
            return Result<Value>(self.error());
        }
        if constexpr (std::is_void_v<Value>) {
            std::invoke(std::forward<F>(f), std::forward<Self>(self).storage_.value);
            return Result<Value>();
        } else {
            return Result<Value>(std::in_place,
                                 std::invoke(std::forward<F>(f), std::forward<Self>(self).storage_.value));
        }
    }

    template <class Self, class F>
    static constexpr Result recover(Self&& self, F&& f) {
        static_assert(std::is_same_v<std::remove_cvref_t<decltype(std::forward<F>(f)(std::error_code()))>, Result>,
                      "the function given to or_else takes a std::error_code and returns the same kind of Result");
        if (self.has_value()) {
            return Result(std::in_place, std::forward<Self>(self).storage_.value);
        }
        return std::forward<F>(f)(self.error());
    }

    detail::ResultStorage<T> storage_;
};

/// Success, or the reason as a std::error_code. Default constructed it is success: `return {};`.
template <>
class SPARGIO_RESULT_NODISCARD Result<void> {
public:
    using value_type = void;
    using error_type = std::error_code;

    constexpr Result() noexcept = default;
    explicit constexpr Result(std::in_place_t) noexcept {}
    /// An empty code is success, so that what a std::filesystem call left in its error_code can be returned as it is.
    Result(std::error_code error) noexcept
        : error_(error.value() != 0 ? detail::ErrorWords(error) : detail::ErrorWords()) {}
    template <detail::ErrorCodeEnum E>
    Result(E error) noexcept : Result(std::error_code(error)) {}

    [[nodiscard]] constexpr bool has_value() const noexcept { return error_.empty(); }
    explicit constexpr operator bool() const noexcept { return has_value(); }

    /// Nothing; a checked failure when there is an error.
    constexpr void operator*() const noexcept {
        SPARGIO_CHECK(has_value(),
                      "the value of a Result that holds an error was used: test the Result first, or call value() to "
                      "throw the error");
    }

    /// Nothing; throws std::system_error(error()) when there is an error.
    constexpr void value() const {
        if (!has_value()) [[unlikely]] {
            detail::throw_system_error(error());
        }
    }

    /// The reason; an empty code when there is none.
    [[nodiscard]] std::error_code error() const noexcept { return error_.get(); }

    /// f(), which returns a Result; or this error.
    template <class F>
    constexpr auto and_then(F&& f) const {
        using Next = std::remove_cvref_t<decltype(std::forward<F>(f)())>;
        static_assert(detail::is_result<Next>,
                      "the function given to and_then returns a Result; for a plain value: transform");
        if (has_value()) {
            return Next(std::forward<F>(f)());
        }
        return Next(error());
    }

    /// A Result of what f() returns (a reference is copied); or this error.
    template <class F>
    constexpr auto transform(F&& f) const {
        using Value = std::remove_cvref_t<decltype(std::forward<F>(f)())>;
        if (!has_value()) {
            return Result<Value>(error());
        }
        if constexpr (std::is_void_v<Value>) {
            std::forward<F>(f)();
            return Result<Value>();
        } else {
            return Result<Value>(std::in_place, std::forward<F>(f)());
        }
    }

    /// Success; or f(error), which returns a Result<void>.
    template <class F>
    constexpr Result or_else(F&& f) const {
        static_assert(std::is_same_v<std::remove_cvref_t<decltype(std::forward<F>(f)(std::error_code()))>, Result>,
                      "the function given to or_else takes a std::error_code and returns the same kind of Result");
        return has_value() ? *this : std::forward<F>(f)(error());
    }

private:
    detail::ErrorWords error_;
};

/// Equal values, or equal errors.
template <class T, detail::ComparableInResult<T> U>
[[nodiscard]] constexpr bool operator==(const Result<T>& a, const Result<U>& b) {
    if (a.has_value() != b.has_value()) {
        return false;
    }
    if (!a.has_value()) {
        return a.error() == b.error();
    }
    if constexpr (std::is_void_v<T>) {
        return true;
    } else {
        return static_cast<bool>(*a == *b);
    }
}

/// There is a value, and it equals this one.
template <class T, detail::ComparableWithResult<T> U>
[[nodiscard]] constexpr bool operator==(const Result<T>& a, const U& b) {
    return a.has_value() && static_cast<bool>(*a == b);
}

/// The error is this one; an empty code equals a value.
template <class T, detail::ErrorSource E>
[[nodiscard]] bool operator==(const Result<T>& a, const E& b) noexcept {
    return a.error() == std::error_code(b);
}

}  // namespace spargio

#undef SPARGIO_RESULT_NODISCARD
