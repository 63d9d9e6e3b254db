// SPDX-License-Identifier: MIT
#include <flux/coro/channel.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/counted.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>

using namespace flux;
using namespace std::chrono_literals;
using test_support::counted;
using test_support::life_check;
using test_support::manual_loop;

static_assert(operation<decltype(std::declval<channel<int>&>().receive())>);
static_assert(operation<decltype(std::declval<channel<std::unique_ptr<int>>&>().send(nullptr))>);

namespace {

task<> put(channel<int>& ch, int value, std::string& log) {
    auto r = co_await attempt(ch.send(value));
    log += r ? "s" : r.error().is(errc::closed) ? "c" : "-";
    log += std::to_string(value) + " ";
}
task<> get(channel<int>& ch, std::string& log) {
    auto r = co_await attempt(ch.receive());
    log += !r ? "- " : !*r ? "end " : "r" + std::to_string(**r) + " ";
}

} // namespace

TEST_SUITE("coro/channel") {

TEST_CASE("values come out in the order in which they went in") {
    for (const std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
        manual_loop loop;
        channel<int> ch(capacity);
        std::string seen;
        auto producer = [&]() -> task<> {
            for (int i = 0; i < 20; ++i) {
                co_await ch.send(i);
            }
            ch.close();
        };
        auto consumer = [&]() -> task<> {
            while (auto value = co_await ch.receive()) {
                seen += static_cast<char>('a' + *value);
            }
        };
        loop.spawn(producer());
        loop.spawn(consumer());
        loop.drain();
        CHECK(seen == "abcdefghijklmnopqrst");
        CHECK(loop.live() == 0);
    }
}

TEST_CASE("sends wait while every slot is taken, and are let in in order") {
    manual_loop loop;
    channel<int> ch(2);
    std::string log;
    for (int i = 1; i <= 5; ++i) {
        loop.spawn(put, std::ref(ch), i, std::ref(log));
    }
    loop.drain();
    CHECK(log == "s1 s2 ");
    CHECK(ch.size() == 2);
    for (int i = 0; i < 5; ++i) {
        loop.spawn(get, std::ref(ch), std::ref(log));
        loop.drain();
    }
    CHECK(log == "s1 s2 r1 s3 r2 s4 r3 s5 r4 r5 ");
}

TEST_CASE("receivers wait in order, and a value goes straight to the first") {
    manual_loop loop;
    channel<int> ch(4);
    std::string log;
    for (int i = 0; i < 3; ++i) {
        loop.spawn(get, std::ref(ch), std::ref(log));
    }
    loop.drain();
    CHECK(ch.try_send(1));
    CHECK(ch.size() == 0); // it is with its receiver already
    CHECK(ch.try_send(2));
    CHECK(ch.try_send(3));
    CHECK(ch.try_send(4));
    CHECK(ch.size() == 1);
    loop.drain();
    CHECK(log == "r1 r2 r3 ");
}

TEST_CASE("with capacity 0 a send ends when its value is taken, and not before") {
    manual_loop loop;
    channel<int> ch(0);
    std::string log;
    CHECK_FALSE(ch.try_send(0));
    loop.spawn(put, std::ref(ch), 1, std::ref(log));
    loop.spawn(put, std::ref(ch), 2, std::ref(log));
    loop.drain();
    CHECK(log.empty());
    CHECK(ch.try_receive() == 1);
    loop.drain();
    CHECK(log == "s1 ");
    loop.spawn(get, std::ref(ch), std::ref(log));
    loop.drain();
    CHECK(log == "s1 r2 s2 ");
    loop.spawn(get, std::ref(ch), std::ref(log));
    loop.drain();
    loop.spawn(put, std::ref(ch), 3, std::ref(log));
    loop.drain();
    CHECK(log == "s1 r2 s2 s3 r3 ");
}

TEST_CASE("closing refuses waiting and later senders, keeps what is buffered, and then ends the receivers") {
    manual_loop loop;
    channel<int> ch(2);
    std::string log;
    for (int i = 1; i <= 4; ++i) {
        loop.spawn(put, std::ref(ch), i, std::ref(log));
    }
    loop.drain();
    ch.close();
    ch.close();
    CHECK(ch.is_closed());
    loop.drain();
    CHECK(log == "s1 s2 c3 c4 ");
    log.clear();
    CHECK_FALSE(ch.try_send(9));
    loop.spawn(put, std::ref(ch), 5, std::ref(log));
    for (int i = 0; i < 4; ++i) {
        loop.spawn(get, std::ref(ch), std::ref(log));
    }
    loop.drain();
    CHECK(log == "c5 r1 r2 end end ");
}

TEST_CASE("closing ends waiting receivers") {
    manual_loop loop;
    channel<int> ch(2);
    std::string log;
    loop.spawn(get, std::ref(ch), std::ref(log));
    loop.spawn(get, std::ref(ch), std::ref(log));
    loop.drain();
    CHECK(ch.try_send(1));
    ch.close(); // the first has its value
    loop.drain();
    CHECK(log == "r1 end ");
    CHECK_FALSE(ch.try_receive().has_value());
}

TEST_CASE("a send that gives up has not sent, and the next one does not notice") {
    manual_loop loop;
    channel<int> ch(1);
    std::string log;
    CHECK(ch.try_send(0));
    auto impatient = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1s, ch.send(1)));
        CHECK(r.error().is(errc::timed_out));
    };
    loop.spawn(impatient());
    loop.drain();
    loop.spawn(put, std::ref(ch), 2, std::ref(log));
    loop.advance(1s);
    CHECK(ch.try_receive() == 0);
    CHECK(ch.try_receive() == 2);
    CHECK_FALSE(ch.try_receive().has_value());
    loop.drain();
    CHECK(log == "s2 ");
}

TEST_CASE("a receive that gives up has taken nothing") {
    manual_loop loop;
    channel<int> ch(1);
    std::string log;
    auto impatient = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1s, ch.receive()));
        CHECK(r.error().is(errc::timed_out));
    };
    loop.spawn(impatient());
    loop.drain();
    loop.spawn(get, std::ref(ch), std::ref(log));
    loop.advance(1s);
    CHECK(ch.try_send(7));
    loop.drain();
    CHECK(log == "r7 ");
}

TEST_CASE("try_send does not touch a value that it cannot place") {
    channel<std::unique_ptr<int>> ch(1);
    auto first = std::make_unique<int>(1);
    auto second = std::make_unique<int>(2);
    CHECK(ch.try_send(std::move(first)));
    CHECK(first == nullptr);
    CHECK_FALSE(ch.try_send(std::move(second)));
    REQUIRE(second != nullptr);
    ch.close();
    CHECK_FALSE(ch.try_send(std::move(second)));
    CHECK(second != nullptr);
    auto taken = ch.try_receive();
    REQUIRE(taken.has_value());
    CHECK(**taken == 1);
}

TEST_CASE("try_send copies what it is lent, and only if it has to") {
    const life_check<counted> lives;
    {
        channel<counted> ch(1);
        const counted value(1);
        CHECK(ch.try_send(value));
        CHECK(counted::log.copied == 1);
        CHECK_FALSE(ch.try_send(value));
        CHECK(counted::log.copied == 1);
        CHECK(value.value() == 1);
        CHECK(ch.try_receive()->value() == 1);
    }
    CHECK(lives.balanced());
}

TEST_CASE("every value dies exactly once: received, given up, refused or left behind") {
    const life_check<counted> lives;
    {
        manual_loop loop;
        channel<counted> ch(2);
        auto sender = [&](int n) -> task<> {
            counted value(n);
            ignore_result(co_await attempt(with_timeout(1s, ch.send(std::move(value)))), "fails for some");
        };
        auto receiver = [&]() -> task<> {
            auto value = co_await ch.receive();
            CHECK(value->value() == 0);
        };
        loop.spawn(receiver());
        for (int n = 0; n < 4; ++n) { // one is received, two are buffered, one gives up
            loop.spawn(sender(n));
        }
        loop.advance(1s);
        loop.spawn(sender(5));
        loop.drain();
        ch.close(); // refuses it
        loop.drain();
        CHECK(loop.live() == 0);
        CHECK(ch.size() == 2);
    }
    CHECK(lives.balanced());
}

TEST_CASE("the slots of a channel go round") {
    channel<std::string> ch(3);
    int in = 0;
    int out = 0;
    for (int round = 0; round < 10; ++round) {
        while (ch.try_send(std::string(100, static_cast<char>('a' + in % 26)))) {
            ++in;
        }
        for (int i = 0; i < 2; ++i) {
            auto value = ch.try_receive();
            REQUIRE(value.has_value());
            CHECK(value->front() == 'a' + out % 26);
            ++out;
        }
    }
    CHECK(in - out == 1);
}

TEST_CASE("a channel can be closed and destroyed by whoever it served last") {
    manual_loop loop;
    auto ch = std::make_unique<channel<int>>(0);
    auto receiver = [&]() -> task<> {
        auto value = co_await ch->receive();
        CHECK(value == 5);
        ch.reset();
    };
    auto sender = [&]() -> task<> { co_await ch->send(5); };
    loop.spawn(receiver());
    loop.drain();
    loop.spawn(sender());
    loop.drain();
    CHECK(ch == nullptr);
}

} // TEST_SUITE
