// SPDX-License-Identifier: MIT
#include <flux/testing/prng.hpp> // also proves the header is self-contained

#include <flux/core/result.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::prng;

TEST_SUITE("testing/prng") {

TEST_CASE("the numbers of a seed are the same everywhere") {
    prng r(1234567);
    CHECK(r.next() == 6457827717110365317U);
    CHECK(r.next() == 3203168211198807973U);
    CHECK(r.next() == 9817491932198370423U);
    CHECK(r.next() == 4593380528125082431U);
    static_assert(prng(1).next() != prng(2).next());
}

TEST_CASE("below and between reach both ends of their range, and nothing outside") {
    prng r(1);
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) {
        seen.insert(r.below(3));
    }
    CHECK(seen == std::set<std::uint64_t>{0, 1, 2});
    seen.clear();
    for (int i = 0; i < 1000; ++i) {
        seen.insert(r.between(5, 7));
    }
    CHECK(seen == std::set<std::uint64_t>{5, 6, 7});
    CHECK(r.below(0) == 0);
    CHECK(r.below(1) == 0);
    CHECK(r.between(9, 9) == 9);
    for (int i = 0; i < 100; ++i) {
        CHECK(r.below(std::uint64_t{1} << 40) < std::uint64_t{1} << 40);
    }
}

TEST_CASE("durations lie between zero and the limit") {
    prng r(1);
    duration longest{};
    for (int i = 0; i < 1000; ++i) {
        const duration d = r.up_to(10ms);
        CHECK(d >= 0ms);
        CHECK(d <= 10ms);
        longest = std::max(longest, d);
    }
    CHECK(longest > 9ms);
    CHECK(r.up_to(0ms) == 0ms);
    CHECK(r.up_to(-1ms) == 0ms);
}

TEST_CASE("a chance comes as often as it should; 0 never, 1 always") {
    prng r(1);
    int often = 0;
    for (int i = 0; i < 10'000; ++i) {
        often += r.chance(0.25);
        CHECK(!r.chance(0));
        CHECK(r.chance(1));
    }
    CHECK(often > 2300);
    CHECK(often < 2700);
}

TEST_CASE("a fork goes its own way") {
    prng a(1);
    prng b(1);
    prng fork = a.fork();
    ignore_result(b.next(), "what the fork took");
    for (int i = 0; i < 100; ++i) {
        ignore_result(fork.next(), "drawn to show that the parent does not notice");
        CHECK(a.next() == b.next());
    }
}

} // TEST_SUITE
