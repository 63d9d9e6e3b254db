// SPDX-License-Identifier: MIT
// What coro/ asks of the heap: nothing on a warm thread, and where there is no memory an exception that leaves
// everything as it was.
#include <flux/coro/branches.hpp> // also proves the header is self-contained

#include <flux/coro/cancel.hpp>
#include <flux/coro/channel.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/map.hpp>
#include <flux/coro/mutex.hpp>
#include <flux/coro/semaphore.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <support/counting_new.cpp>
#include <support/counting_new.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <new>
#include <thread>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::allocation_count;
using test_support::allocations_are_counted;
using test_support::failing_allocation;
using test_support::frame_check;
using test_support::manual_loop;

namespace {

task<int> number_after(duration d, int n) {
    co_await sleep_for(d);
    co_return n;
}

// A bit of everything that needs no vector, in frames of less than 2 KiB.
class things {
public:
    task<> use() {
        co_await use_waits();
        co_await use_verbs();
        co_await use_scopes();
    }
    [[nodiscard]] int sum() const { return sum_; }

private:
    task<> use_waits() {
        auto limit = co_await within(1h);
        co_await with_timeout(1s, event_.wait());
        co_await shield(1s, event_.wait());
        co_await with_cancel(token_, event_.wait());
        {
            auto guard = co_await mutex_.lock();
            auto permit = co_await semaphore_.acquire(2);
        }
        co_await channel_.send(1);
        auto received = co_await channel_.receive();
        sum_ += received.value();
    }
    task<> use_verbs() {
        auto both = co_await when_all(number_after(1ms, 1), number_after(2ms, 2));
        sum_ += std::get<1>(both);
        auto first = co_await when_any(number_after(1ms, 3), sleep_for(1h));
        sum_ += first.get<0>();
    }
    task<> use_scopes() {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        for (int i = 0; i < 10; ++i) {
            scope.spawn(number_after(milliseconds(i), i));
        }
        co_await scope.join();
        auto failed = co_await attempt(with_timeout(1ms, sleep_for(1h)));
        sum_ += failed ? 0 : 1;
    }

    async_event event_{true};
    async_mutex mutex_;
    async_semaphore semaphore_{2};
    channel<int> channel_{2};
    cancel_source source_;
    cancel_token token_ = source_.token();
    int sum_ = 0;
};

/// Runs make_scenario() on a new thread again and again, each time with the next allocation failing, until it
/// gets through. Returns how often it failed.
template <class F>
int fail_each_allocation(F make_scenario) {
    int failures = 0;
    if (!allocations_are_counted()) {
        return 1;
    }
    for (std::uint64_t n = 1;; ++n) {
        bool happened = false;
        std::uint64_t frames_left = 0;
        bool ended_well = false;
        std::thread([&] { // its frame pool is empty
            const frame_check frames;
            manual_loop loop;
            {
                auto scenario = make_scenario();
                const failing_allocation failing(n);
                try {
                    ended_well = loop.run(scenario()).has_value();
                } catch (const std::bad_alloc&) {
                    ended_well = true;
                }
                happened = failing.happened();
            }
            loop.drain();
            frames_left = frames.alive() + loop.timers().size();
        }).join();
        REQUIRE(ended_well);
        REQUIRE(frames_left == 0);
        if (!happened) {
            return failures;
        }
        ++failures;
        REQUIRE(failures < 1000);
    }
}

} // namespace

TEST_SUITE("coro/allocation") {

TEST_CASE("on a warm thread tasks, waits, limits, scopes and verbs do not allocate") {
    manual_loop loop;
    things t;
    auto scenario = [&]() -> task<std::uint64_t> {
        co_await t.use(); // warms the thread up
        const allocation_count count;
        for (int i = 0; i < 100; ++i) {
            co_await t.use();
        }
        co_return count.allocations();
    };
    auto allocations = loop.run(scenario());
    CHECK(t.sum() == 101 * (1 + 2 + 3 + 1));
    if (allocations_are_counted()) {
        CHECK(*allocations == 0);
    }
}

TEST_CASE("without memory, the block limit that could not be armed is not left behind") {
    auto scenario = [] {
        return []() -> task<> {
            auto before = co_await this_context();
            try {
                auto limit = co_await within(1h);
            } catch (const std::bad_alloc&) {
            }
            auto after = co_await this_context();
            if (&before.node() != &after.node()) {
                co_await fail(errc::protocol);
            }
            co_await sleep_for(1ms);
        };
    };
    // sleep_for says ENOMEM itself: it is no bad_alloc, and comes when the first timer finds no room
    int failures = 0;
    if (allocations_are_counted()) {
        for (std::uint64_t n = 1; n < 20; ++n) {
            std::thread([&] {
                manual_loop loop;
                auto run = scenario();
                const failing_allocation failing(n);
                try {
                    auto r = loop.run(run());
                    CHECK((r.has_value() || r.error().code() == std::errc::not_enough_memory));
                } catch (const std::bad_alloc&) {
                }
                failures += failing.happened() ? 1 : 0;
            }).join();
        }
        CHECK(failures > 3);
    }
}

TEST_CASE("without memory, when_all starts nothing") {
    int started = 0;
    const int failures = fail_each_allocation([&] {
        return [&]() -> task<> {
            started = 0;
            auto begin = [](int& n) -> task<> {
                ++n;
                co_return;
            };
            bool no_memory = false;
            try {
                co_await when_all(begin(started), begin(started), begin(started));
            } catch (const std::bad_alloc&) {
                no_memory = true;
            }
            if (started != (no_memory ? 0 : 3)) {
                co_await fail(errc::protocol);
            }
        };
    });
    CHECK((failures >= 6 || !allocations_are_counted())); // three tasks and three branches at least
}

TEST_CASE("without memory, verbs over vectors, map and scopes leave nothing behind") {
    auto square = [](int n) -> task<int> { co_return n * n; };
    const int failures = fail_each_allocation([&] {
        return [&]() -> task<> {
            std::vector<task<int>> jobs;
            jobs.push_back(square(1));
            jobs.push_back(square(2));
            auto all = co_await when_all(std::move(jobs));
            jobs.clear();
            jobs.push_back(square(3));
            jobs.push_back(square(4));
            auto first = co_await when_any(std::move(jobs));
            jobs.clear();
            jobs.push_back(square(5));
            auto settled = co_await settle(std::move(jobs));
            auto mapped = co_await map(all, 2, square);
            if (mapped.size() != 2 || first.index() != 0 || settled.size() != 1) {
                co_await fail(errc::protocol);
            }
        };
    });
    CHECK((failures >= 15 || !allocations_are_counted()));
}

TEST_CASE("without memory, a child that could not be made does not count as one") {
    const int failures = fail_each_allocation([] {
        return []() -> task<> {
            auto body = [](task_scope& scope) -> task<> {
                for (int i = 0; i < 4; ++i) {
                    scope.spawn(number_after(1ms, i));
                }
                co_return;
            };
            auto end = co_await attempt(with_scope(body));
            if (!end && end.error().code() != std::errc::not_enough_memory) {
                co_await fail(end.error());
            }
        };
    });
    CHECK((failures >= 8 || !allocations_are_counted()));
}

TEST_CASE("without memory, a token that could not be registered is not") {
    const int failures = fail_each_allocation([] {
        return []() -> task<> {
            const cancel_source source;
            async_event event(true);
            co_await with_cancel(source.token(), event.wait());
            source.cancel();
            auto r = co_await attempt(with_cancel(source.token(), event.wait()));
            if (r) {
                co_await fail(errc::protocol);
            }
        };
    });
    CHECK((failures >= 3 || !allocations_are_counted()));
}

} // TEST_SUITE
