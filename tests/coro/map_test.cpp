// SPDX-License-Identifier: MIT
#include <flux/coro/map.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/counted.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <array>
#include <forward_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::counted;
using test_support::frame_check;
using test_support::life_check;
using test_support::manual_loop;

namespace {

task<int> square(int n) {
    co_await sleep_for(milliseconds(10 - n % 10));
    co_return n * n;
}

} // namespace

static_assert(operation<decltype(map(std::declval<std::vector<int>&>(), 2, square))>);
static_assert(
    std::is_same_v<value_of<decltype(map(std::declval<const std::vector<int>&>(), 2, square))>, std::vector<int>>);

TEST_SUITE("coro/map") {

TEST_CASE("values come in the order of the elements, whichever limit") {
    std::vector<int> numbers;
    for (int i = 0; i < 100; ++i) {
        numbers.push_back(i);
    }
    const std::array<std::size_t, 5> limits = {1, 2, 7, 100, ~std::size_t{0}};
    for (const std::size_t limit : limits) {
        manual_loop loop;
        const frame_check frames;
        auto scenario = [&]() -> task<> {
            auto squares = co_await map(numbers, limit, square);
            REQUIRE(squares.size() == 100);
            for (int i = 0; i < 100; ++i) {
                CHECK(squares[static_cast<std::size_t>(i)] == i * i);
            }
        };
        CHECK(loop.run(scenario()));
        CHECK(frames.alive() == 0);
    }
}

TEST_CASE("never more than `limit` at a time, and never fewer while there are elements") {
    manual_loop loop;
    int running = 0;
    int most = 0;
    auto visit = [&](int n) -> task<> {
        ++running;
        most = running > most ? running : most;
        co_await sleep_for(n == 0 ? 10s : 1s);
        --running;
    };
    const std::array<int, 10> input = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    auto scenario = [&]() -> task<> { co_await map(input, 3, visit); };
    CHECK(loop.run(scenario()));
    CHECK(most == 3);
    CHECK(loop.elapsed() == 10s); // the slow one keeps one worker, the others share the rest
}

TEST_CASE("an element that fails cancels those in flight, and no further one is begun") {
    manual_loop loop;
    const frame_check frames;
    std::string log;
    auto visit = [&](int n) -> task<int> {
        log += static_cast<char>('0' + n);
        if (n == 3) {
            co_await sleep_for(1s);
            co_return fail(errc::limit);
        }
        auto r = co_await attempt(sleep_for(n < 3 ? 500ms : 1h));
        if (!r) {
            log += '-';
            co_return fail(r.error());
        }
        co_return n;
    };
    std::vector<int> input = {1, 2, 3, 4, 5, 6, 7};
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(map(input, 3, visit));
        CHECK(r.error().is(errc::limit));
        CHECK(log == "12345--");
        CHECK(loop.elapsed() == 1s);
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

TEST_CASE("an exception of a task or of the call itself is rethrown when all have ended") {
    manual_loop loop;
    const frame_check frames;
    auto in_task = [](int n) -> task<int> {
        co_await sleep_for(1s);
        if (n == 2) {
            throw std::runtime_error("task");
        }
        co_return n;
    };
    auto in_call = [](int n) {
        if (n == 2) {
            throw std::runtime_error("call");
        }
        return square(n);
    };
    const std::array<int, 3> input = {1, 2, 3};
    auto scenario = [&]() -> task<> {
        std::string caught;
        try {
            ignore_result(co_await attempt(map(input, 2, in_task)), "throws");
        } catch (const std::runtime_error& e) {
            caught += e.what();
        }
        try {
            ignore_result(co_await attempt(map(input, 2, in_call)), "throws");
        } catch (const std::runtime_error& e) {
            caught += e.what();
        }
        CHECK(caught == "taskcall");
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

TEST_CASE("an empty range calls nothing, and a limit of zero is refused") {
    manual_loop loop;
    int calls = 0;
    auto visit = [&](int n) {
        ++calls;
        return square(n);
    };
    std::vector<int> none;
    std::vector<int> one = {1};
    auto scenario = [&]() -> task<> {
        auto empty = co_await map(none, 3, visit);
        CHECK(empty.empty());
        auto refused = co_await attempt(map(one, 0, visit));
        CHECK(refused.error().is(errc::invalid_argument));
        auto limit = co_await within(0s);
        auto stopped = co_await attempt(map(one, 1, visit));
        CHECK(stopped.error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
    CHECK(calls == 0);
}

TEST_CASE("a stop ends what is in flight, begins nothing more, and its reason is reported") {
    manual_loop loop;
    int calls = 0;
    auto visit = [&](int) -> task<> {
        ++calls;
        co_await shield(sleep_for(1s)); // does not even notice
    };
    const std::array<int, 10> input = {};
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1500ms, map(input, 2, visit)));
        CHECK(r.error().is(errc::timed_out));
        CHECK(calls == 4);
        CHECK(loop.elapsed() == 2s);
        calls = 0;
        auto last = co_await attempt(with_timeout(4500ms, map(input, 2, visit)));
        CHECK(last.has_value()); // the last ones were in flight already, and succeeded
        CHECK(calls == 10);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("elements of a range given away are handed on as rvalues, those of a named one are not touched") {
    manual_loop loop;
    const life_check<counted> lives;
    auto take = [](std::unique_ptr<counted> p) -> task<int> {
        co_await sleep_for(1ms);
        co_return p->value();
    };
    auto look = [](const std::unique_ptr<counted>& p) -> task<int> {
        co_await sleep_for(1ms);
        co_return p->value();
    };
    auto scenario = [&]() -> task<> {
        std::vector<std::unique_ptr<counted>> input;
        for (int i = 1; i < 4; ++i) {
            input.push_back(std::make_unique<counted>(i));
        }
        auto looked = co_await map(input, 2, look);
        CHECK(looked == std::vector<int>{1, 2, 3});
        CHECK(input[0] != nullptr);
        auto taken = co_await map(std::move(input), 2, take);
        CHECK(taken == std::vector<int>{1, 2, 3});
    };
    CHECK(loop.run(scenario()));
    CHECK(lives.balanced());
}

TEST_CASE("forward iterators, arrays, function pointers and other operations will do") {
    manual_loop loop;
    async_event event(true);
    auto scenario = [&]() -> task<> {
        const std::forward_list<int> list = {3, 4};
        auto squares = co_await map(list, 2, square);
        CHECK(squares == std::vector<int>{9, 16});
        int plain[] = {5, 6};
        auto more = co_await map(plain, 2, &square);
        CHECK(more == std::vector<int>{25, 36});
        auto wait = [&event](int) { return event.wait(); };
        co_await map(plain, 2, wait);
        const std::vector<bool> flags = {true, false};
        auto negate = [](bool b) -> task<bool> { co_return !b; };
        auto negated = co_await map(flags, 2, negate);
        CHECK(negated == std::vector<bool>{false, true});
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a callable that is a temporary without captures is kept") {
    manual_loop loop;
    auto scenario = []() -> task<> {
        std::vector<int> input = {1, 2};
        auto op = map(input, 2, [](int n) -> task<int> { co_return n + 1; });
        auto values = co_await std::move(op);
        CHECK(values == std::vector<int>{2, 3});
    };
    CHECK(loop.run(scenario()));
}

} // TEST_SUITE
