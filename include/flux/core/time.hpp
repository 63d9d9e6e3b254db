// SPDX-License-Identifier: MIT
// flux/core/time.hpp - the one clock of flux, and arithmetic on it that saturates instead of overflowing.
#pragma once

#include <flux/config.hpp>

#include <cstdint>
#include <ratio>
#include <type_traits>

// The one place where flux includes <chrono>. That of libstdc++ 12 brings the calendar and, to print it, <sstream>:
// a tenth of what all standard headers of flux cost to parse. The clocks, durations, sys_seconds and literals are in a
// header of their own there, which <mutex> includes too. Who needs the calendar includes <chrono>, in any order.
#if defined(_GLIBCXX_RELEASE) && _GLIBCXX_RELEASE == 12
#include <bits/chrono.h>
#else
#include <chrono>
#endif

namespace flux::inline FLUX_ABI {

/// Monotonic; the reactor's driver says what "now" is (the kernel's clock, or a virtual one in tests).
using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = clock::duration;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

/// A deadline that never comes.
inline constexpr time_point no_deadline = time_point::max();

namespace detail {

// In plain numbers, ticks > 0: durations of different periods are a dozen functions for each pair (docs/decisions/0007).
[[nodiscard]] constexpr time_point ticks_after(time_point start, std::int64_t ticks) noexcept {
    const std::int64_t from = start.time_since_epoch().count();
    return from > duration::max().count() - ticks ? no_deadline : time_point(duration(from + ticks));
}

} // namespace detail

/// `start` + `d` without overflow: the result is at most no_deadline, and never before `start` + `d` (parts of a
/// tick count as one). A `d` that is negative or no number gives `start`.
template <class Rep, class Period>
[[nodiscard]] constexpr time_point deadline_after(time_point start, std::chrono::duration<Rep, Period> d) noexcept {
    using in_ticks = std::ratio_divide<Period, duration::period>;
    if constexpr (std::is_integral_v<Rep> && std::is_signed_v<Rep> && in_ticks::den == 1) {
        // d is a whole number of ticks: exact, and cheap for what every request does
        constexpr std::int64_t most = duration::max().count() / in_ticks::num;
        if (d.count() <= 0) {
            return start;
        }
        return d.count() >= most ? no_deadline : detail::ticks_after(start, d.count() * in_ticks::num);
    } else {
        using approximate = std::chrono::duration<double>; // the one type that holds every d and compares with all
        if (!(d > d.zero())) {
            return start;
        }
        // Before the epoch no_deadline - start would overflow, and start + d cannot.
        const duration room = start < time_point() ? duration::max() : no_deadline - start;
        if (approximate(d) >= approximate(room)) {
            return no_deadline;
        }
        return start + std::chrono::ceil<duration>(d);
    }
}

} // namespace flux::inline FLUX_ABI
