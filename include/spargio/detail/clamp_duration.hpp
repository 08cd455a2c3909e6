// SPDX-License-Identifier: MIT
// Any std::chrono duration as nanoseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <type_traits>

namespace spargio::detail {

/// Saturates: a duration beyond what the clock can hold means "for ever", a negative one "not at all".
template <class Rep, class Period>
[[nodiscard]] constexpr std::chrono::nanoseconds clamp_duration(std::chrono::duration<Rep, Period> duration) noexcept {
    constexpr auto most = std::chrono::nanoseconds(std::int64_t{1} << 62U);
    __extension__ using Wide = __int128;
    constexpr Wide second = 1'000'000'000;
    if constexpr (std::is_integral_v<Rep> && second * Period::num % Period::den == 0) {
        // A tick is so many nanoseconds: all of the usual periods.
        constexpr Wide tick = second * Period::num / Period::den;
        const Wide ticks = duration.count();
        if (ticks <= 0) {
            return std::chrono::nanoseconds::zero();
        }
        return ticks <= most.count() / tick ? std::chrono::nanoseconds(static_cast<std::int64_t>(ticks * tick)) : most;
    }
    using Seconds = std::chrono::duration<double>;
    const auto seconds = std::chrono::duration_cast<Seconds>(duration);
    if (!(seconds.count() > 0)) {  // Also true for NaN.
        return std::chrono::nanoseconds::zero();
    }
    if (seconds >= std::chrono::duration_cast<Seconds>(most)) {
        return most;
    }
    if constexpr (std::is_integral_v<Rep>) {
        // In 128 bits, and seconds and the rest apart: any period then fits, also one that has no nanoseconds'
        // multiple.
        const Wide ticks = static_cast<Wide>(duration.count()) * Period::num;
        const Wide rest = ticks % Period::den * second;
        const Wide total = ticks / Period::den * second + (rest + Period::den - 1) / Period::den;
        return total < most.count() ? std::chrono::nanoseconds(static_cast<std::int64_t>(total)) : most;
    } else {
        return std::chrono::ceil<std::chrono::nanoseconds>(duration);
    }
}

}  // namespace spargio::detail
