// SPDX-License-Identifier: MIT
#include <flux/coro/semaphore.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <type_traits>

using namespace flux;
using namespace std::chrono_literals;
using test_support::manual_loop;

static_assert(operation<decltype(std::declval<async_semaphore&>().acquire())>);
static_assert(!std::is_copy_constructible_v<semaphore_permit>);
static_assert(std::is_nothrow_move_constructible_v<semaphore_permit>);

namespace {

// Takes n permits and keeps them.
task<> take(async_semaphore& semaphore, std::size_t n, std::string& log, char name) {
    auto permit = co_await attempt(semaphore.acquire(n));
    if (permit) {
        CHECK(permit->count() == n);
        permit->forget();
        log += name;
    } else {
        log += '-';
    }
}

} // namespace

TEST_SUITE("coro/semaphore") {

TEST_CASE("at most as many as there are permits are inside") {
    manual_loop loop;
    async_semaphore semaphore(3);
    int inside = 0;
    int most = 0;
    int served = 0;
    auto visitor = [&]() -> task<> {
        auto permit = co_await semaphore.acquire();
        ++inside;
        most = inside > most ? inside : most;
        co_await sleep_for(1s);
        --inside;
        ++served;
    };
    for (int i = 0; i < 10; ++i) {
        loop.spawn(visitor());
    }
    loop.advance(4s);
    CHECK(served == 10);
    CHECK(most == 3);
    CHECK(semaphore.available() == 3);
}

TEST_CASE("first come, first served: a large request is not overtaken by small ones behind it") {
    manual_loop loop;
    async_semaphore semaphore(2);
    std::string log;
    loop.spawn(take, std::ref(semaphore), 3U, std::ref(log), 'L');
    loop.spawn(take, std::ref(semaphore), 1U, std::ref(log), 'a');
    loop.drain();
    CHECK(log.empty());
    CHECK(semaphore.available() == 2);
    CHECK_FALSE(semaphore.try_acquire(1).has_value());
    semaphore.release(1);
    loop.drain();
    CHECK(log == "L");
    semaphore.release(2);
    loop.drain();
    CHECK(log == "La");
    CHECK(semaphore.available() == 1);
}

TEST_CASE("one release serves as many as it can") {
    manual_loop loop;
    async_semaphore semaphore(0);
    std::string log;
    for (const char name : std::string("abcd")) {
        loop.spawn(take, std::ref(semaphore), 2U, std::ref(log), name);
    }
    loop.drain();
    semaphore.release(7);
    loop.drain();
    CHECK(log == "abc");
    CHECK(semaphore.available() == 1);
    semaphore.release();
    loop.drain();
    CHECK(log == "abcd");
}

TEST_CASE("a large request that gives up lets the small ones behind it pass at once") {
    manual_loop loop;
    async_semaphore semaphore(2);
    std::string log;
    auto impatient = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1s, semaphore.acquire(5)));
        CHECK(r.error().is(errc::timed_out));
    };
    loop.spawn(impatient());
    loop.drain();
    loop.spawn(take, std::ref(semaphore), 1U, std::ref(log), 'a');
    loop.spawn(take, std::ref(semaphore), 1U, std::ref(log), 'b');
    loop.spawn(take, std::ref(semaphore), 1U, std::ref(log), 'c');
    loop.drain();
    CHECK(log.empty());
    loop.advance(1s);
    CHECK(log == "ab");
    semaphore.release();
    loop.drain();
    CHECK(log == "abc");
}

TEST_CASE("no permits at all are there for the asking, in turn") {
    manual_loop loop;
    async_semaphore semaphore(0);
    std::string log;
    CHECK(semaphore.try_acquire(0).has_value());
    loop.spawn(take, std::ref(semaphore), 1U, std::ref(log), 'a');
    loop.spawn(take, std::ref(semaphore), 0U, std::ref(log), 'b');
    loop.drain();
    CHECK(log.empty());
    semaphore.release();
    loop.drain();
    CHECK(log == "ab");
}

TEST_CASE("a permit gives back what it holds once, unless it is forgotten") {
    async_semaphore semaphore(5);
    {
        auto permit = semaphore.try_acquire(2);
        REQUIRE(permit.has_value());
        CHECK(semaphore.available() == 3);
        semaphore_permit moved = std::move(*permit);
        permit->release();
        CHECK(semaphore.available() == 3);
        CHECK(permit->count() == 0);
        auto more = semaphore.try_acquire(3);
        REQUIRE(more.has_value());
        moved = std::move(*more);
        CHECK(semaphore.available() == 2);
        CHECK(moved.count() == 3);
    }
    CHECK(semaphore.available() == 5);
    auto used_up = semaphore.try_acquire(4);
    CHECK(used_up->forget() == 4);
    used_up.reset();
    CHECK(semaphore.available() == 1);
}

} // TEST_SUITE
