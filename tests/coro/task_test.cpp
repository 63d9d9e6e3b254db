// SPDX-License-Identifier: MIT
#include <flux/coro/task.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <support/counted.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

using namespace flux;
using namespace std::chrono_literals;
using test_support::counted;
using test_support::frame_check;
using test_support::life_check;
using test_support::manual_loop;

static_assert(operation<task<int>>);
static_assert(operation<task<>>);
static_assert(!std::is_copy_constructible_v<task<int>>);
static_assert(std::is_nothrow_move_constructible_v<task<int>>);
static_assert(!std::is_default_constructible_v<task<int>>);

namespace {

struct no_default {
    explicit no_default(int n) noexcept : number(n) {}
    no_default(no_default&&) noexcept = default;
    int number;
};

task<int> doubled(int n) { co_return 2 * n; }
task<std::unique_ptr<int>> owned(int n) { co_return std::make_unique<int>(n); }
task<no_default> made(int n) { co_return no_default(n); }
task<std::string> text(std::string s) { co_return s + "!"; }
task<int> failed(errc code) { co_return fail(code); }
task<> failed_void(errc code) { co_await fail(code); }
task<int> failed_midway(bool& went_on) {
    co_await fail(errc::closed);
    went_on = true;
    co_return 1;
}
task<int> thrown_error() { throw error(errc::limit); co_return 1; }
task<int> thrown_other() { throw std::out_of_range("far out"); co_return 1; }
task<int> from_result(result<int> r) { co_return r; }

} // namespace

TEST_SUITE("coro/task") {

TEST_CASE("nothing runs before a task is awaited") {
    manual_loop loop;
    bool ran = false;
    auto body = [&]() -> task<> {
        ran = true;
        co_return;
    };
    auto scenario = [&]() -> task<> {
        auto t = body();
        CHECK(static_cast<bool>(t));
        CHECK_FALSE(ran);
        co_await std::move(t);
        CHECK(ran);
        CHECK_FALSE(static_cast<bool>(t));
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a task destroyed before it is awaited destroys its arguments and does not run") {
    const life_check<counted> lives;
    const frame_check frames;
    bool ran = false;
    auto body = [](counted, bool& r) -> task<> {
        r = true;
        co_return;
    };
    {
        auto t = body(counted(1), ran);
        CHECK(frames.alive() == 1);
        t = body(counted(2), ran); // the first one goes
        CHECK(frames.alive() == 1);
        auto moved = std::move(t);
        CHECK_FALSE(static_cast<bool>(t));
        CHECK(static_cast<bool>(moved));
    }
    CHECK(frames.alive() == 0);
    CHECK(lives.balanced());
    CHECK_FALSE(ran);
}

TEST_CASE("co_await yields the value, attempt a result with it") {
    manual_loop loop;
    auto scenario = []() -> task<> {
        auto two = co_await doubled(1);
        CHECK(two == 2);
        auto four = co_await attempt(doubled(2));
        REQUIRE(four.has_value());
        CHECK(*four == 4);
        auto five = co_await owned(5);
        CHECK(*five == 5);
        auto six = co_await attempt(owned(6));
        CHECK(**six == 6);
        auto seven = co_await made(7);
        CHECK(seven.number == 7);
        auto s = co_await text("hello");
        CHECK(s == "hello!");
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a failure is thrown by co_await and yielded by attempt, whichever way the task failed") {
    manual_loop loop;
    auto scenario = []() -> task<> {
        auto returned = co_await attempt(failed(errc::closed));
        CHECK(returned.error().is(errc::closed));
        auto awaited = co_await attempt(failed_void(errc::eof));
        CHECK(awaited.error().is(errc::eof));
        auto thrown = co_await attempt(thrown_error());
        CHECK(thrown.error().is(errc::limit));
        auto carried = co_await attempt(from_result(fail(errc::protocol)));
        CHECK(carried.error().is(errc::protocol));
        auto good = co_await attempt(from_result(3));
        CHECK(*good == 3);
        bool caught = false;
        try {
            co_await failed_void(errc::overlap);
        } catch (const error& e) {
            caught = e.is(errc::overlap);
        }
        CHECK(caught);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("co_await fail() ends the task there, and destroys its locals before the awaiting coroutine goes on") {
    manual_loop loop;
    const life_check<counted> lives;
    auto body = [](bool& went_on) -> task<> {
        const counted local(1);
        co_await fail(errc::closed);
        went_on = true;
    };
    auto scenario = [&]() -> task<> {
        bool went_on = false;
        auto r = co_await attempt(body(went_on));
        CHECK(counted::log.live.empty());
        CHECK_FALSE(r.has_value());
        auto also = co_await attempt(failed_midway(went_on));
        CHECK(also.error().is(errc::closed));
        CHECK_FALSE(went_on);
    };
    CHECK(loop.run(scenario()));
    CHECK(lives.balanced());
}

TEST_CASE("an exception that is no flux::error passes through co_await and attempt alike") {
    manual_loop loop;
    auto middle = []() -> task<int> {
        auto r = co_await attempt(thrown_other());
        co_return *r;
    };
    auto scenario = [&]() -> task<> {
        int caught = 0;
        try {
            co_await thrown_other();
        } catch (const std::out_of_range& e) {
            caught += std::string(e.what()) == "far out" ? 1 : 0;
        }
        try {
            ignore_result(co_await attempt(middle()), "throws");
        } catch (const std::out_of_range&) {
            ++caught;
        }
        CHECK(caught == 2);
    };
    CHECK(loop.run(scenario()));
    CHECK_THROWS_AS(ignore_result(loop.run(thrown_other()), "throws"), std::out_of_range);
}

TEST_CASE("what an exception said is not taken from others who hold it") {
    manual_loop loop;
    const auto shared = std::make_exception_ptr(error(errc::closed).doing("reading the file"));
    auto rethrow = [](std::exception_ptr e) -> task<> {
        std::rethrow_exception(e);
        co_return;
    };
    for (int i = 0; i < 2; ++i) {
        auto r = loop.run(rethrow(shared));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().message() == "reading the file: already closed");
    }
}

TEST_CASE("an exception keeps its type and context through many tasks") {
    manual_loop loop;
    struct nested {
        static task<int> down(int depth) {
            if (depth == 0) {
                throw error(errc::limit).doing("counting");
            }
            auto below = co_await down(depth - 1);
            co_return below;
        }
    };
    const frame_check frames;
    auto r = loop.run(nested::down(300));
    REQUIRE_FALSE(r.has_value());
    CHECK(r.error().message() == "counting: limit exceeded");
    CHECK(frames.alive() == 0);
}

TEST_CASE("exceptions before, between and after suspensions") {
    manual_loop loop;
    auto body = [](int throw_at) -> task<int> {
        for (int i = 0; i < 3; ++i) {
            if (i == throw_at) {
                throw std::runtime_error(std::to_string(i));
            }
            co_await sleep_for(1ms);
        }
        co_return 3;
    };
    for (int i = 0; i < 3; ++i) {
        CHECK_THROWS_WITH_AS(ignore_result(loop.run(body(i)), "throws"), std::to_string(i).c_str(), std::runtime_error);
    }
    CHECK(*loop.run(body(3)) == 3);
}

TEST_CASE("a value whose construction throws makes the task fail with that") {
    manual_loop loop;
    test_support::throwing_counted::reset();
    auto body = []() -> task<test_support::throwing_counted> {
        test_support::throwing_counted value(1);
        test_support::throwing_counted::log.throw_in = 1;
        co_return value;
    };
    auto scenario = [&]() -> task<bool> {
        try {
            ignore_result(co_await attempt(body()), "throws");
        } catch (const std::runtime_error&) {
            co_return true;
        }
        co_return false;
    };
    CHECK(*loop.run(scenario()));
    CHECK(test_support::throwing_counted::log.live.empty());
    CHECK(test_support::throwing_counted::log.broken == 0);
}

TEST_CASE("arguments, locals and values die exactly once on every path") {
    manual_loop loop;
    const life_check<counted> lives;
    auto body = [](counted argument, int how) -> task<counted> {
        const counted local(argument.value());
        if (how == 1) {
            co_return fail(errc::closed);
        }
        if (how == 2) {
            throw std::runtime_error("thrown");
        }
        co_await sleep_for(1ms);
        if (how == 3) {
            co_await fail(errc::closed);
        }
        co_return counted(local.value());
    };
    for (int how = 0; how < 4; ++how) {
        auto scenario = [&]() -> task<> {
            counted argument(how);
            try {
                auto r = co_await attempt(body(std::move(argument), how));
                CHECK(r.has_value() == (how == 0));
            } catch (const std::runtime_error&) {
                CHECK(how == 2);
            }
        };
        CHECK(loop.run(scenario()));
    }
    CHECK(lives.balanced());
}

TEST_CASE("a task runs under the context of whoever awaits it") {
    manual_loop loop;
    auto leaf = []() -> task<context> { co_return co_await this_context(); };
    auto middle = [&]() -> task<context> {
        auto t = leaf();
        co_return co_await std::move(t);
    };
    auto scenario = [&]() -> task<> {
        auto mine = co_await this_context();
        auto theirs = co_await middle();
        CHECK(&mine.node() == &theirs.node());
        CHECK(&mine.home() == &loop);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a named task can be awaited later, and elsewhere than it was made") {
    manual_loop loop;
    auto scenario = []() -> task<> {
        auto a = doubled(1);
        auto b = doubled(2);
        auto second = co_await std::move(b);
        auto first = co_await std::move(a);
        CHECK(first == 2);
        CHECK(second == 4);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a task of many suspensions in many children keeps their order") {
    manual_loop loop;
    std::string log;
    auto child = [](std::string& l, char name, int steps) -> task<> {
        for (int i = 0; i < steps; ++i) {
            co_await sleep_for(1ms);
            l += name;
        }
    };
    auto scenario = [&]() -> task<> {
        for (const char name : std::string("abc")) {
            co_await child(log, name, 3);
        }
    };
    CHECK(loop.run(scenario()));
    CHECK(log == "aaabbbccc");
    CHECK(loop.elapsed() == 9ms);
}

TEST_CASE("a task whose value nobody needs is dropped with it") {
    manual_loop loop;
    const life_check<counted> lives;
    auto body = []() -> task<counted> { co_return counted(1); };
    auto scenario = [&]() -> task<> {
        ignore_result(co_await attempt(body()), "only its life matters here");
    };
    CHECK(loop.run(scenario()));
    CHECK(lives.balanced());
}

} // TEST_SUITE
