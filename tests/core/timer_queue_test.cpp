// SPDX-License-Identifier: MIT
#include <flux/core/timer_queue.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

using flux::nanoseconds;
using flux::time_point;
using flux::timer_queue;

namespace {

// A timer that tells its number to a log, and then does what it was told to do.
struct logged : flux::timer {
    logged(std::vector<int>& where, int n) noexcept : timer(&on_fire), log(&where), number(n) {}
    static void on_fire(flux::timer& t) noexcept {
        auto& self = static_cast<logged&>(t);
        self.log->push_back(self.number);
        if (self.then) {
            self.then();
        }
    }
    std::vector<int>* log;
    int number;
    std::function<void()> then;
};

time_point at(std::int64_t n) { return time_point(nanoseconds(n)); }

} // namespace

static_assert(!std::is_copy_constructible_v<flux::timer> && !std::is_move_constructible_v<flux::timer>);
static_assert(!std::is_copy_constructible_v<timer_queue> && !std::is_move_constructible_v<timer_queue>);
static_assert(sizeof(flux::timer) == 2 * sizeof(void*));

TEST_SUITE("core/timer_queue") {

TEST_CASE("an empty queue has nothing due, ever") {
    timer_queue queue;
    CHECK(queue.size() == 0);
    CHECK(queue.next() == flux::no_deadline);
    CHECK(queue.fire_due(flux::no_deadline) == 0);
    std::vector<int> log;
    logged t(log, 1);
    CHECK_FALSE(t.is_armed());
    queue.disarm(t); // no effect
    CHECK(queue.size() == 0);
}

TEST_CASE("timers fire when they are due, earliest first, and once") {
    timer_queue queue;
    std::vector<int> log;
    logged a(log, 1);
    logged b(log, 2);
    logged c(log, 3);
    queue.arm(a, at(30));
    queue.arm(b, at(10));
    queue.arm(c, at(20));
    CHECK(queue.next() == at(10));
    CHECK(queue.size() == 3);
    CHECK(queue.fire_due(at(9)) == 0);
    CHECK(queue.fire_due(at(20)) == 2);
    CHECK(log == std::vector<int>{2, 3});
    CHECK_FALSE(b.is_armed());
    CHECK(a.is_armed());
    CHECK(queue.next() == at(30));
    CHECK(queue.fire_due(at(1000)) == 1);
    CHECK(queue.fire_due(at(1000)) == 0);
    CHECK(log == std::vector<int>{2, 3, 1});
}

TEST_CASE("timers of one time fire in the order in which they were armed") {
    timer_queue queue;
    std::vector<int> log;
    std::deque<logged> timers;
    std::vector<int> expected;
    for (int i = 0; i < 100; ++i) {
        timers.emplace_back(log, i);
        queue.arm(timers.back(), at(5));
        expected.push_back(i);
    }
    queue.arm(timers[3], at(5)); // armed again: behind the others
    expected.erase(expected.begin() + 3);
    expected.push_back(3);
    CHECK(queue.fire_due(at(5)) == 100);
    CHECK(log == expected);
}

TEST_CASE("an armed timer can be moved both ways, and disarmed") {
    timer_queue queue;
    std::vector<int> log;
    logged a(log, 1);
    logged b(log, 2);
    logged c(log, 3);
    queue.arm(a, at(10));
    queue.arm(b, at(20));
    queue.arm(c, at(30));
    queue.arm(c, at(5));
    CHECK(queue.next() == at(5));
    queue.arm(c, at(25));
    CHECK(queue.next() == at(10));
    queue.disarm(a);
    CHECK_FALSE(a.is_armed());
    CHECK(queue.next() == at(20));
    CHECK(queue.size() == 2);
    CHECK(queue.fire_due(at(100)) == 2);
    CHECK(log == std::vector<int>{2, 3});
}

TEST_CASE("all due timers fire in one call, whatever callbacks arm meanwhile") {
    timer_queue queue;
    std::vector<int> log;
    logged first(log, 1);
    logged second(log, 2);
    logged early(log, 10);
    logged late(log, 11);
    queue.arm(first, at(10));
    queue.arm(second, at(20));
    first.then = [&] {
        queue.arm(early, at(1)); // before everything that is still due
        queue.arm(late, at(50));
    };
    second.then = [&] { queue.arm(second, at(20)); }; // itself again, and again due
    CHECK(queue.fire_due(at(20)) == 2);
    CHECK(log == std::vector<int>{1, 2});
    CHECK(early.is_armed());
    CHECK(second.is_armed());
    CHECK(queue.next() <= at(20)); // the loop must not sleep
    second.then = nullptr;
    CHECK(queue.fire_due(at(20)) == 2);
    CHECK(log == std::vector<int>{1, 2, 10, 2});
    CHECK(queue.next() == at(50));
    queue.arm(early, at(2)); // outside of fire_due the past is kept
    CHECK(queue.next() == at(2));
    CHECK(queue.fire_due(at(50)) == 2);
    CHECK(log == std::vector<int>{1, 2, 10, 2, 10, 11});
}

TEST_CASE("a callback may disarm and postpone timers that are due") {
    timer_queue queue;
    std::vector<int> log;
    logged a(log, 1);
    logged b(log, 2);
    logged c(log, 3);
    logged d(log, 4);
    for (logged* t : {&a, &b, &c, &d}) {
        queue.arm(*t, at(10));
    }
    a.then = [&] {
        queue.disarm(b);
        queue.arm(c, at(11));
        queue.disarm(a); // not armed any more: no effect
    };
    CHECK(queue.fire_due(at(10)) == 2);
    CHECK(log == std::vector<int>{1, 4});
    CHECK_FALSE(b.is_armed());
    CHECK(queue.next() == at(11));
    queue.disarm(c);
}

TEST_CASE("a callback may destroy its timer") {
    timer_queue queue;
    std::vector<int> log;
    auto owned = std::make_unique<logged>(log, 1);
    logged other(log, 2);
    queue.arm(*owned, at(1));
    queue.arm(other, at(1));
    owned->then = [&] { owned.reset(); };
    CHECK(queue.fire_due(at(1)) == 2);
    CHECK(owned == nullptr);
    CHECK(log == std::vector<int>{1, 2});
}

TEST_CASE("times from the first to the last are in order") {
    timer_queue queue;
    std::vector<int> log;
    logged never(log, 1);
    logged ancient(log, 2);
    logged zero(log, 3);
    queue.arm(never, flux::no_deadline);
    queue.arm(zero, at(0));
    queue.arm(ancient, time_point::min());
    CHECK(queue.next() == time_point::min());
    CHECK(queue.fire_due(flux::no_deadline - nanoseconds(1)) == 2);
    CHECK(log == std::vector<int>{2, 3});
    CHECK(queue.fire_due(flux::no_deadline) == 1);
}

TEST_CASE("a hundred thousand random operations agree with a std::multimap") {
    timer_queue queue;
    std::vector<int> log;
    std::deque<logged> timers;
    constexpr std::size_t count = 700;
    for (std::size_t i = 0; i < count; ++i) {
        timers.emplace_back(log, static_cast<int>(i));
    }
    // Equal keys of a multimap keep the order of insertion, as equal times of the queue do.
    std::multimap<time_point, int> model;
    std::vector<std::optional<std::multimap<time_point, int>::iterator>> place(count);
    std::mt19937_64 random(20240301);
    std::int64_t now = 0;
    std::size_t fired_in_all = 0;
    for (int round = 0; round < 100'000; ++round) {
        const std::size_t i = random() % count;
        REQUIRE(timers[i].is_armed() == place[i].has_value());
        const std::uint64_t what = random() % 100;
        if (what < 60) {
            // Few different times, so that there are many equal ones; some of them past.
            const time_point when = at(now - 5 + static_cast<std::int64_t>(random() % 300));
            queue.arm(timers[i], when);
            if (place[i]) {
                model.erase(*place[i]);
            }
            place[i] = model.emplace(when, static_cast<int>(i));
        } else if (what < 90) {
            queue.disarm(timers[i]);
            if (place[i]) {
                model.erase(*place[i]);
                place[i].reset();
            }
        } else {
            now += static_cast<std::int64_t>(random() % 30);
            log.clear();
            std::vector<int> expected;
            while (!model.empty() && model.begin()->first <= at(now)) {
                const int due = model.begin()->second;
                expected.push_back(due);
                place[static_cast<std::size_t>(due)].reset();
                model.erase(model.begin());
            }
            REQUIRE(queue.fire_due(at(now)) == expected.size());
            REQUIRE(log == expected);
            fired_in_all += expected.size();
        }
        REQUIRE(queue.size() == model.size());
        REQUIRE(queue.next() == (model.empty() ? flux::no_deadline : model.begin()->first));
    }
    CHECK(fired_in_all > 5000);
    for (logged& t : timers) {
        queue.disarm(t);
    }
    CHECK(queue.size() == 0);
}

} // TEST_SUITE
