// SPDX-License-Identifier: MIT
#include <flux/coro/event.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>

using namespace flux;
using namespace std::chrono_literals;
using test_support::manual_loop;

namespace {

task<> pass(async_event& event, std::string& log, char name) {
    co_await event.wait();
    log += name;
}

} // namespace

static_assert(operation<decltype(std::declval<async_event&>().wait())>);

TEST_SUITE("coro/event") {

TEST_CASE("an event may be set from the start") {
    CHECK(async_event(true).is_set());
    CHECK_FALSE(async_event().is_set());
}

TEST_CASE("set lets everybody pass in order, and they run in the next pass") {
    manual_loop loop;
    async_event event;
    std::string log;
    for (const char name : std::string("abc")) {
        loop.spawn(pass, std::ref(event), std::ref(log), name);
    }
    loop.drain();
    CHECK(log.empty());
    event.set();
    CHECK(log.empty()); // never inline
    loop.turn();
    CHECK(log == "abc");
    loop.spawn(pass, std::ref(event), std::ref(log), 'd'); // still set
    loop.turn();
    CHECK(log == "abcd");
    event.set();
    CHECK(event.is_set());
    loop.drain();
}

TEST_CASE("who was let through passes, even if the event is reset at once") {
    manual_loop loop;
    async_event event;
    std::string log;
    loop.spawn(pass, std::ref(event), std::ref(log), 'a');
    loop.drain();
    event.set();
    event.reset();
    loop.spawn(pass, std::ref(event), std::ref(log), 'b');
    loop.drain();
    CHECK(log == "a");
    CHECK_FALSE(event.is_set());
    event.set();
    loop.drain();
    CHECK(log == "ab");
}

TEST_CASE("a waiter that waits again after a reset waits for the next set") {
    manual_loop loop;
    async_event event;
    int rounds = 0;
    auto waiter = [&]() -> task<> {
        for (int i = 0; i < 3; ++i) {
            co_await event.wait();
            event.reset();
            ++rounds;
        }
    };
    loop.spawn(waiter());
    for (int i = 1; i <= 3; ++i) {
        loop.drain();
        event.set();
        loop.drain();
        CHECK(rounds == i);
    }
}

TEST_CASE("an event may be destroyed by the one that it let through") {
    manual_loop loop;
    auto event = std::make_unique<async_event>();
    auto waiter = [&]() -> task<> {
        co_await event->wait();
        event.reset();
    };
    loop.spawn(waiter());
    loop.drain();
    event->set();
    loop.drain();
    CHECK(event == nullptr);
}

} // TEST_SUITE
