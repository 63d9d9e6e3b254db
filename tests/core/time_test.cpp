// SPDX-License-Identifier: MIT
#include <flux/core/time.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <random>
#include <ratio>
#include <type_traits>

using flux::deadline_after;
using flux::no_deadline;
using flux::time_point;

namespace {

constexpr time_point epoch{};
constexpr time_point start{flux::seconds(1000)};

template <class Rep, class Period = std::ratio<1>>
using of = std::chrono::duration<Rep, Period>;

} // namespace

static_assert(flux::clock::is_steady);
static_assert(deadline_after(epoch, flux::seconds(1)) == time_point(flux::seconds(1)), "usable at compile time");

TEST_SUITE("core/time") {

TEST_CASE("a deadline is the start and the length") {
    CHECK(deadline_after(start, flux::milliseconds(1500)) == start + flux::milliseconds(1500));
    CHECK(deadline_after(start, flux::nanoseconds(1)) == start + flux::nanoseconds(1));
    CHECK(deadline_after(start, flux::hours(24)) == start + flux::hours(24));
    CHECK(deadline_after(start, of<double>(0.5)) == start + flux::milliseconds(500));
}

TEST_CASE("a length of zero or less is over at once") {
    CHECK(deadline_after(start, flux::seconds(0)) == start);
    CHECK(deadline_after(start, flux::seconds(-1)) == start);
    CHECK(deadline_after(start, flux::duration::min()) == start);
    CHECK(deadline_after(start, flux::hours::min()) == start);
    CHECK(deadline_after(start, of<double>(-1e300)) == start);
    CHECK(deadline_after(time_point::min(), flux::seconds(-1)) == time_point::min());
    CHECK(deadline_after(start, of<double>(std::numeric_limits<double>::quiet_NaN())) == start);
    CHECK(deadline_after(no_deadline, flux::seconds(0)) == no_deadline);
}

TEST_CASE("what would overflow is no deadline") {
    CHECK(deadline_after(start, flux::duration::max()) == no_deadline);
    CHECK(deadline_after(start, flux::hours::max()) == no_deadline);
    CHECK(deadline_after(start, flux::seconds::max()) == no_deadline);
    CHECK(deadline_after(start, of<std::int64_t, std::ratio<31556952>>(1'000'000)) == no_deadline);
    CHECK(deadline_after(start, of<std::uint64_t>(std::numeric_limits<std::uint64_t>::max())) == no_deadline);
    CHECK(deadline_after(start, of<double>(1e300)) == no_deadline);
    CHECK(deadline_after(start, of<double>(std::numeric_limits<double>::infinity())) == no_deadline);
    CHECK(deadline_after(start, of<float>(std::numeric_limits<float>::max())) == no_deadline);
    CHECK(deadline_after(no_deadline, flux::nanoseconds(1)) == no_deadline);
    CHECK(deadline_after(no_deadline - flux::nanoseconds(1), flux::nanoseconds(1)) == no_deadline);
    CHECK(deadline_after(no_deadline, flux::hours::max()) == no_deadline);
}

TEST_CASE("a start before the epoch does not overflow either") {
    CHECK(deadline_after(time_point::min(), flux::seconds(1)) == time_point::min() + flux::seconds(1));
    CHECK(deadline_after(time_point::min(), flux::duration::max()) == no_deadline);
    CHECK(deadline_after(epoch - flux::seconds(5), flux::seconds(6)) == epoch + flux::seconds(1));
    CHECK(deadline_after(epoch - flux::nanoseconds(1), flux::hours::max()) == no_deadline);
}

TEST_CASE("parts of a tick are rounded up: a deadline is never early") {
    CHECK(deadline_after(start, of<std::int64_t, std::pico>(1)) == start + flux::nanoseconds(1));
    CHECK(deadline_after(start, of<std::int64_t, std::pico>(1001)) == start + flux::nanoseconds(2));
    CHECK(deadline_after(start, of<double, std::nano>(0.001)) == start + flux::nanoseconds(1));
}

TEST_CASE("random lengths in random units give what exact arithmetic gives, or no deadline") {
    std::mt19937_64 random(11);
    for (int round = 0; round < 20'000; ++round) {
        const auto ticks = static_cast<std::int64_t>(random() >> (random() % 64));
        const auto origin = static_cast<std::int64_t>(random() >> (1 + random() % 63));
        const time_point from{flux::nanoseconds(origin)};
        __extension__ using wide = __int128;
        const auto check = [&](auto length, wide nanoseconds_per_tick) {
            const wide exact = ticks > 0 ? wide{origin} + wide{ticks} * nanoseconds_per_tick : wide{origin};
            const time_point got = deadline_after(from, length);
            const wide result = got.time_since_epoch().count();
            // Within a rounding error of the end of time it may say "never" too early, and only there.
            REQUIRE((result == exact || (got == no_deadline && exact > wide{no_deadline.time_since_epoch().count()} -
                                                                           (wide{1} << 12))));
        };
        check(flux::nanoseconds(ticks), 1);
        check(flux::microseconds(ticks), 1000);
        check(flux::seconds(ticks), 1'000'000'000);
    }
}

} // TEST_SUITE
