// SPDX-License-Identifier: MIT
#include <flux/coro/sleep.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/with.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::virtual_loop;

static_assert(operation<decltype(sleep_for(1s))>);
static_assert(operation<decltype(sleep_until(time_point()))>);

namespace {

task<> note_after(duration d, char name, std::string& log) {
    co_await sleep_for(d);
    log += name;
}

task<> note_now(char name, std::string& log) {
    log += name;
    co_return;
}

} // namespace

TEST_SUITE("coro/sleep") {

TEST_CASE("sleep_for ends exactly when its time has passed") {
    virtual_loop loop;
    const time_point start = loop.now();
    CHECK(loop.run(sleep_for(1500ms)));
    CHECK(loop.now() - start == 1500ms);
}

TEST_CASE("the time of sleep_for counts from the await, not from the call") {
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto later = sleep_for(1s);
        co_await sleep_for(5s);
        co_await later;
    };
    const time_point start = loop.now();
    CHECK(loop.run(body()));
    CHECK(loop.now() - start == 6s);
}

TEST_CASE("sleep_until ends at its time, and at once if that has passed") {
    virtual_loop loop;
    const time_point start = loop.now();
    CHECK(loop.run(sleep_until(start + 3s)));
    CHECK(loop.now() == start + 3s);
    CHECK(loop.run(sleep_until(start)));
    CHECK(loop.now() == start + 3s);
}

TEST_CASE("sleepers wake in the order of their times") {
    virtual_loop loop;
    std::string log;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(note_after, duration(30ms), 'c', std::ref(log));
        scope.spawn(note_after, duration(10ms), 'a', std::ref(log));
        scope.spawn(note_after, duration(20ms), 'b', std::ref(log));
        co_return;
    };
    CHECK(loop.run(with_scope(body)));
    CHECK(log == "abc");
}

TEST_CASE("a sleep of zero or less lets what is ready run first") {
    virtual_loop loop;
    for (const duration d : {duration(0), duration(-1s)}) {
        std::string log;
        auto body = [&](task_scope& scope) -> task<> {
            scope.spawn(note_now, 'a', std::ref(log));
            co_await sleep_for(d);
            log += 'b';
        };
        const time_point start = loop.now();
        CHECK(loop.run(with_scope(body)));
        CHECK(log == "ab");
        CHECK(loop.now() == start);
    }
}

TEST_CASE("a length beyond the end of the clock sleeps until the context is stopped") {
    virtual_loop loop;
    const auto r = loop.run(with_timeout(24h, sleep_for(std::chrono::duration<double>(1e300))));
    REQUIRE(!r);
    CHECK(r.error().is(errc::timed_out));
    CHECK(loop.elapsed() == 24h);
    const auto forever = loop.run(with_timeout(1h, sleep_until(no_deadline)));
    REQUIRE(!forever);
    CHECK(forever.error().is(errc::timed_out));
}

TEST_CASE("a stop ends a sleep at once, with the reason of the context") {
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        auto sleeper = [](error& seen) -> task<> {
            auto r = co_await attempt(sleep_for(1h));
            seen = r.error();
        };
        error seen{std::error_code()};
        scope.spawn(sleeper, std::ref(seen));
        co_await sleep_for(1s);
        scope.stop(stop_reason::disconnected);
        co_await scope.join();
        CHECK(seen.is(errc::disconnected));
    };
    CHECK(loop.run(body()));
    CHECK(loop.elapsed() == 1s);
    CHECK(loop.timers().size() == 0);
}

TEST_CASE("under a stopped context a sleep fails without waiting") {
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto ctx = co_await this_context();
        ctx.stop(stop_reason::shutdown);
        auto r = co_await attempt(sleep_for(1h));
        CHECK(r.error().is(errc::shutdown));
    };
    CHECK(loop.run(body()));
    CHECK(loop.elapsed() == 0s);
}

TEST_CASE("a sleep that is over stays a success, even if its context is stopped before it resumes") {
    virtual_loop loop;
    bool woke = false;
    auto sleeper = [](bool& flag) -> task<> {
        co_await sleep_for(1s);
        flag = true;
    };
    auto body = [&](task_scope& scope) -> task<> {
        auto stopper = [](task_scope& s) -> task<> {
            co_await sleep_for(1s); // due in the same turn, so both are queued when this one runs
            s.stop();
        };
        scope.spawn(stopper, std::ref(scope));
        scope.spawn(sleeper, std::ref(woke));
        co_return;
    };
    CHECK(loop.run(with_scope(body)));
    CHECK(woke);
}

} // TEST_SUITE
