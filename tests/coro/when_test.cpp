// SPDX-License-Identifier: MIT
#include <flux/coro/when.hpp> // also proves the header is self-contained

#include <flux/coro/channel.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/mutex.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/counted.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::counted;
using test_support::frame_check;
using test_support::life_check;
using test_support::manual_loop;

namespace {

task<int> after(duration d, int n) {
    co_await sleep_for(d);
    co_return n;
}
task<std::unique_ptr<std::string>> text_after(duration d, std::string s) {
    co_await sleep_for(d);
    co_return std::make_unique<std::string>(std::move(s));
}
task<int> fail_after(duration d, errc code) {
    co_await sleep_for(d);
    co_return fail(code);
}
task<int> throw_after(duration d, const char* what) {
    co_await sleep_for(d);
    throw std::runtime_error(what);
}
// Notes how it ended; takes `grace` to do so.
task<int> noting(std::string& log, char name, duration d, duration grace = 0s) {
    auto r = co_await attempt(sleep_for(d));
    if (!r) {
        co_await shield(sleep_for(grace));
        log += r.error().is(errc::canceled) ? "-" : r.error().is(errc::timed_out) ? "t" : "?";
        co_return fail(r.error());
    }
    log += name;
    co_return 1;
}
task<> noting_void(std::string& log, char name, duration d) {
    auto r = co_await attempt(noting(log, name, d));
    if (!r) {
        co_await fail(r.error());
    }
}

} // namespace

static_assert(
    std::is_same_v<value_of<decltype(when_all(sleep_for(1s), after(1s, 1)))>, std::tuple<std::monostate, int>>);
static_assert(std::is_void_v<value_of<decltype(when_all(sleep_for(1s), sleep_for(1s)))>>);
static_assert(std::is_same_v<value_of<decltype(when_all(std::vector<task<bool>>()))>, std::vector<bool>>);
static_assert(std::is_void_v<value_of<decltype(when_all(std::vector<task<>>()))>>);
static_assert(operation<decltype(when_any(sleep_for(1s), when_all(after(1s, 1))))>);
static_assert(operation<decltype(settle(std::vector<task<>>()))>);

TEST_SUITE("coro/when") {

TEST_CASE("when_all runs everything at once and yields the values in the order of the arguments") {
    manual_loop loop;
    const frame_check frames;
    auto scenario = [&]() -> task<> {
        auto all = co_await when_all(after(3s, 1), sleep_for(1s), text_after(2s, "two"));
        static_assert(std::is_same_v<decltype(all), std::tuple<int, std::monostate, std::unique_ptr<std::string>>>);
        CHECK(std::get<0>(all) == 1);
        CHECK(*std::get<2>(all) == "two");
        CHECK(loop.elapsed() == 3s);
        auto one = co_await when_all(after(1s, 7));
        CHECK(std::get<0>(one) == 7);
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

TEST_CASE("when_all of void operations yields nothing, and attempt of it says whether it succeeded") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        co_await when_all(sleep_for(1s), sleep_for(2s));
        CHECK(loop.elapsed() == 2s);
        auto r = co_await attempt(when_all(sleep_for(1s), sleep_for(1s)));
        static_assert(std::is_same_v<decltype(r), result<void>>);
        CHECK(r.has_value());
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("when_all of a vector yields a vector in its order") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        std::vector<task<int>> jobs;
        for (int i = 0; i < 100; ++i) {
            jobs.push_back(after(milliseconds(1000 - 7 * i), i));
        }
        auto values = co_await when_all(std::move(jobs));
        REQUIRE(values.size() == 100);
        for (int i = 0; i < 100; ++i) {
            CHECK(values[static_cast<std::size_t>(i)] == i);
        }
        CHECK(loop.elapsed() == 1s);
        auto none = co_await when_all(std::vector<task<int>>());
        CHECK(none.empty());
        co_await when_all(std::vector<task<>>());
        auto bools = co_await when_all(std::vector<task<bool>>());
        CHECK(bools.empty());
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("the first failure of when_all cancels the rest, which is awaited, and is the one reported") {
    manual_loop loop;
    const frame_check frames;
    std::string log;
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(when_all(noting(log, 'a', 1s), fail_after(2s, errc::limit), noting(log, 'b', 1h),
                                           noting(log, 'c', 1h, 5s), fail_after(2s, errc::closed)));
        CHECK(r.error().is(errc::limit));
        CHECK(log == "a--");
        CHECK(loop.elapsed() == 7s);
        auto ctx = co_await this_context();
        CHECK_FALSE(ctx.stopped());
        std::vector<task<int>> jobs;
        jobs.push_back(noting(log, 'd', 1h));
        jobs.push_back(fail_after(1s, errc::eof));
        auto v = co_await attempt(when_all(std::move(jobs)));
        CHECK(v.error().is(errc::eof));
        CHECK(log == "a---");
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
    CHECK(loop.timers().size() == 0);
}

TEST_CASE("a branch of when_all that fails at once cancels those that have hardly begun") {
    manual_loop loop;
    std::string log;
    auto failing = []() -> task<int> { co_return fail(errc::closed); };
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(when_all(noting(log, 'a', 1h), failing(), noting(log, 'b', 1h)));
        CHECK(r.error().is(errc::closed));
        CHECK(log == "--");
        CHECK(loop.elapsed() == 0s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("an exception of a branch cancels the rest of when_all and is rethrown when all have ended") {
    manual_loop loop;
    const frame_check frames;
    std::string log;
    auto scenario = [&]() -> task<> {
        int caught = 0;
        try {
            auto all = when_all(noting(log, 'a', 1h, 1s), throw_after(1s, "first"), throw_after(1s, "second"));
            ignore_result(co_await attempt(std::move(all)), "throws");
        } catch (const std::runtime_error& e) {
            caught += std::string(e.what()) == "first" ? 1 : 0;
        }
        CHECK(loop.elapsed() == 2s);
        std::vector<task<int>> jobs;
        jobs.push_back(throw_after(1s, "vector"));
        jobs.push_back(noting(log, 'b', 1h));
        try {
            co_await when_all(std::move(jobs));
        } catch (const std::runtime_error& e) {
            caught += std::string(e.what()) == "vector" ? 1 : 0;
        }
        CHECK(caught == 2);
        CHECK(log == "--");
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

TEST_CASE("a limit around when_all stops every branch, and its reason is reported") {
    manual_loop loop;
    std::string log;
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1s, when_all(noting_void(log, 'a', 1h), noting_void(log, 'b', 1h))));
        CHECK(r.error().is(errc::timed_out));
        CHECK(log == "tt");
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("branches that complete although they were stopped make when_all succeed") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1s, when_all(shield(after(2s, 1)), shield(after(3s, 2)))));
        REQUIRE(r.has_value());
        CHECK(std::get<1>(*r) == 2);
        CHECK(loop.elapsed() == 3s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("in a stopped context no branch is started, and each is destroyed") {
    manual_loop loop;
    const frame_check frames;
    std::string log;
    auto scenario = [&]() -> task<> {
        auto limit = co_await within(0s);
        auto all = co_await attempt(when_all(noting(log, 'a', 0s), noting(log, 'b', 0s)));
        CHECK(all.error().is(errc::timed_out));
        auto any = co_await attempt(when_any(noting(log, 'a', 0s), noting(log, 'b', 0s)));
        CHECK(any.error().is(errc::timed_out));
        std::vector<task<int>> jobs;
        jobs.push_back(noting(log, 'c', 0s));
        jobs.push_back(noting(log, 'd', 0s));
        auto settled = co_await settle(std::move(jobs));
        REQUIRE(settled.size() == 2);
        CHECK(settled[0].error().is(errc::timed_out));
        CHECK(settled[1].error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
    CHECK(log.empty());
    CHECK(frames.alive() == 0);
}

TEST_CASE("when_any yields the first success; the others are canceled and awaited") {
    manual_loop loop;
    const frame_check frames;
    std::string log;
    auto scenario = [&]() -> task<> {
        auto first = co_await when_any(noting(log, 'a', 1h), text_after(2s, "two"), noting(log, 'b', 1h, 5s),
                                       sleep_for(1h));
        CHECK(first.index() == 1);
        CHECK(*first.get<1>() == "two");
        CHECK(std::get<1>(first.value()) != nullptr);
        CHECK_THROWS_AS(static_cast<void>(first.get<0>()), std::bad_variant_access);
        CHECK(log == "--");
        CHECK(loop.elapsed() == 7s);
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
    CHECK(loop.timers().size() == 0);
}

TEST_CASE("when_any of a vector says which it was") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        std::vector<task<std::unique_ptr<std::string>>> jobs;
        for (int i = 0; i < 10; ++i) {
            jobs.push_back(text_after(seconds(i == 6 ? 1 : 10 + i), std::to_string(i)));
        }
        auto first = co_await when_any(std::move(jobs));
        CHECK(first.index() == 6);
        CHECK(*first.value() == "6");
        CHECK(loop.elapsed() == 1s);
        auto owned = std::move(first).value();
        CHECK(*owned == "6");
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a failure does not end when_any while a success is possible") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto first = co_await when_any(fail_after(1s, errc::limit), throw_after(2s, "thrown"), after(3s, 7));
        CHECK(first.index() == 2);
        CHECK(first.get<2>() == 7);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("when all of when_any fail, the first error is reported, be it an error or an exception") {
    manual_loop loop;
    const frame_check frames;
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(when_any(fail_after(2s, errc::limit), fail_after(1s, errc::closed),
                                           throw_after(3s, "late")));
        CHECK(r.error().is(errc::closed));
        CHECK(loop.elapsed() == 3s);
        bool caught = false;
        try {
            ignore_result(co_await attempt(when_any(fail_after(2s, errc::limit), throw_after(1s, "early"))), "throws");
        } catch (const std::runtime_error& e) {
            caught = std::string(e.what()) == "early";
        }
        CHECK(caught);
        std::vector<task<int>> jobs;
        jobs.push_back(fail_after(2s, errc::limit));
        jobs.push_back(fail_after(1s, errc::eof));
        auto v = co_await attempt(when_any(std::move(jobs)));
        CHECK(v.error().is(errc::eof));
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

TEST_CASE("when_any of nothing is a mistake of the caller") {
    manual_loop loop;
    auto r = loop.run(when_any(std::vector<task<int>>()));
    CHECK(r.error().is(errc::invalid_argument));
}

TEST_CASE("when_any of operations that are ready takes the first, and the second has not happened") {
    manual_loop loop;
    channel<int> a(1);
    channel<int> b(1);
    REQUIRE(a.try_send(1));
    REQUIRE(b.try_send(2));
    auto scenario = [&]() -> task<> {
        auto first = co_await when_any(a.receive(), b.receive());
        CHECK(first.index() == 0);
        CHECK(first.get<0>() == 1);
    };
    CHECK(loop.run(scenario()));
    CHECK(b.try_receive() == 2);
}

TEST_CASE("a loser that completed all the same is dropped, and what it held is given back") {
    manual_loop loop;
    async_mutex a;
    async_mutex b;
    auto hold_a = a.try_lock();
    auto hold_b = b.try_lock();
    auto scenario = [&]() -> task<> {
        auto first = co_await when_any(a.lock(), b.lock());
        CHECK(first.index() == 1);
        CHECK(b.is_locked());
    };
    loop.spawn(scenario());
    loop.drain();
    hold_b.reset(); // both are granted in one pass
    hold_a.reset();
    loop.drain();
    CHECK(loop.live() == 0);
    CHECK_FALSE(a.is_locked());
    CHECK_FALSE(b.is_locked());
}

TEST_CASE("settle yields every outcome, and no failure touches the others") {
    manual_loop loop;
    const frame_check frames;
    auto scenario = [&]() -> task<> {
        std::vector<task<int>> jobs;
        jobs.push_back(after(2s, 1));
        jobs.push_back(fail_after(1s, errc::limit));
        jobs.push_back(after(3s, 3));
        auto outcomes = co_await settle(std::move(jobs));
        REQUIRE(outcomes.size() == 3);
        CHECK(*outcomes[0] == 1);
        CHECK(outcomes[1].error().is(errc::limit));
        CHECK(*outcomes[2] == 3);
        CHECK(loop.elapsed() == 3s);
        auto none = co_await settle(std::vector<task<>>());
        CHECK(none.empty());
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

TEST_CASE("settle waits for all before it rethrows an exception") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        std::vector<task<int>> jobs;
        jobs.push_back(throw_after(1s, "thrown"));
        jobs.push_back(after(3s, 3));
        bool caught = false;
        try {
            ignore_result(co_await attempt(settle(std::move(jobs))), "throws");
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(loop.elapsed() == 3s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a limit around settle shows in the outcomes of those that had not ended") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        std::vector<task<int>> jobs;
        jobs.push_back(after(1s, 1));
        jobs.push_back(after(1h, 2));
        auto outcomes = co_await attempt(with_timeout(2s, settle(std::move(jobs))));
        REQUIRE(outcomes.has_value());
        CHECK(*(*outcomes)[0] == 1);
        CHECK((*outcomes)[1].error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("values and arguments of branches die exactly once, whoever wins") {
    manual_loop loop;
    const life_check<counted> lives;
    auto body = [](counted c, duration d) -> task<counted> {
        co_await sleep_for(d);
        if (c.value() == 9) {
            co_return fail(errc::closed);
        }
        co_return counted(c.value());
    };
    auto scenario = [&]() -> task<> {
        std::vector<task<counted>> jobs;
        for (int i = 0; i < 5; ++i) {
            counted argument(i);
            jobs.push_back(body(std::move(argument), seconds(5 - i)));
        }
        auto first = co_await when_any(std::move(jobs));
        CHECK(first.value().value() == 4);
        jobs.clear();
        for (const int i : {1, 2, 9, 3}) {
            counted argument(i);
            jobs.push_back(body(std::move(argument), seconds(i == 3 ? 20 : i)));
        }
        auto failed = co_await attempt(when_all(std::move(jobs)));
        CHECK(failed.error().is(errc::closed));
        jobs.clear();
        jobs.push_back(body(counted(1), 1s));
        auto good = co_await when_all(std::move(jobs));
        CHECK(good[0].value() == 1);
        auto never_awaited = when_all(body(counted(1), 1s), body(counted(2), 1s));
    };
    CHECK(loop.run(scenario()));
    CHECK(lives.balanced());
}

TEST_CASE("verbs nest") {
    manual_loop loop;
    const frame_check frames;
    std::string log;
    auto scenario = [&]() -> task<> {
        auto nested = co_await when_all(when_any(after(1s, 1), noting(log, 'a', 1h)),
                                        with_timeout(9s, when_all(after(2s, 2), after(3s, 3))));
        CHECK(std::get<0>(nested).get<0>() == 1);
        CHECK(std::get<1>(std::get<1>(nested)) == 3);
        CHECK(loop.elapsed() == 3s);
        CHECK(log == "-");
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

} // TEST_SUITE
