// SPDX-License-Identifier: MIT
#include <flux/coro/mutex.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>

using namespace flux;
using namespace std::chrono_literals;
using test_support::manual_loop;

static_assert(operation<decltype(std::declval<async_mutex&>().lock())>);
static_assert(!std::is_copy_constructible_v<mutex_guard>);
static_assert(std::is_nothrow_move_constructible_v<mutex_guard>);

namespace {

task<> enter(async_mutex& mutex, std::string& log, char name) {
    auto guard = co_await mutex.lock();
    log += name;
    co_await sleep_for(1s);
    log += name;
}

} // namespace

TEST_SUITE("coro/mutex") {

TEST_CASE("sections under the mutex do not overlap, and run in the order of the requests") {
    manual_loop loop;
    async_mutex mutex;
    std::string log;
    for (const char name : std::string("abcd")) {
        loop.spawn(enter, std::ref(mutex), std::ref(log), name);
    }
    loop.advance(4s);
    CHECK(log == "aabbccdd");
    CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("unlocking hands the mutex over: nobody can take it before the next in line runs") {
    manual_loop loop;
    async_mutex mutex;
    std::string log;
    auto first = mutex.try_lock();
    REQUIRE(first.has_value());
    loop.spawn(enter, std::ref(mutex), std::ref(log), 'a');
    loop.drain();
    first.reset();
    CHECK(mutex.is_locked());
    CHECK_FALSE(mutex.try_lock().has_value());
    loop.advance(1s);
    CHECK(log == "aa");
    CHECK(mutex.try_lock().has_value());
}

TEST_CASE("a guard unlocks once: by its end, by unlock, or by being assigned to") {
    async_mutex mutex;
    async_mutex other;
    auto guard = mutex.try_lock();
    REQUIRE(guard.has_value());
    CHECK(static_cast<bool>(*guard));
    mutex_guard moved = std::move(*guard);
    CHECK_FALSE(static_cast<bool>(*guard));
    guard->unlock();
    CHECK(mutex.is_locked());
    auto second = other.try_lock();
    moved = std::move(*second);
    CHECK_FALSE(mutex.is_locked());
    CHECK(other.is_locked());
    moved.unlock();
    CHECK_FALSE(other.is_locked());
    moved.unlock();
}

TEST_CASE("a section that throws or fails unlocks") {
    manual_loop loop;
    async_mutex mutex;
    auto throws = [&]() -> task<> {
        auto guard = co_await mutex.lock();
        throw std::runtime_error("thrown");
    };
    auto fails = [&]() -> task<> {
        auto guard = co_await mutex.lock();
        co_await fail(errc::closed);
    };
    CHECK_THROWS_AS(ignore_result(loop.run(throws()), "throws"), std::runtime_error);
    CHECK_FALSE(mutex.is_locked());
    CHECK_FALSE(loop.run(fails()).has_value());
    CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("a request that times out gives up its place, and the mutex stays with its holder") {
    manual_loop loop;
    async_mutex mutex;
    std::string log;
    loop.spawn(enter, std::ref(mutex), std::ref(log), 'a');
    auto impatient = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(500ms, mutex.lock()));
        CHECK(r.error().is(errc::timed_out));
        CHECK(mutex.is_locked());
    };
    loop.spawn(impatient());
    loop.drain();
    loop.spawn(enter, std::ref(mutex), std::ref(log), 'b');
    loop.advance(2s);
    CHECK(log == "aabb");
}

TEST_CASE("a guard that is dropped at once has still been next in line") {
    manual_loop loop;
    async_mutex mutex;
    auto guard = mutex.try_lock();
    auto scenario = [&]() -> task<> { ignore_result(co_await attempt(mutex.lock()), "dropped on purpose"); };
    loop.spawn(scenario());
    loop.drain();
    guard.reset();
    loop.drain();
    CHECK_FALSE(mutex.is_locked());
}

} // TEST_SUITE
