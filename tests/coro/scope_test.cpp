// SPDX-License-Identifier: MIT
#include <flux/coro/scope.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/counted.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

using namespace flux;
using namespace std::chrono_literals;
using test_support::counted;
using test_support::frame_check;
using test_support::life_check;
using test_support::manual_loop;

namespace {

task<> note_after(std::string& log, char name, duration d) {
    auto r = co_await attempt(sleep_for(d));
    log += r ? name : '-';
}
task<> fail_after(duration d, errc code) {
    co_await sleep_for(d);
    co_await fail(code);
}
task<> throw_after(duration d, const char* what) {
    co_await sleep_for(d);
    throw std::runtime_error(what);
}

} // namespace

TEST_SUITE("coro/scope") {

TEST_CASE("children start in the next pass, in order, and never inside spawn") {
    manual_loop loop;
    std::string log;
    auto child = [](std::string& l, char name) -> task<> {
        l += name;
        co_return;
    };
    task_scope scope(loop.root());
    scope.spawn(child, std::ref(log), 'a');
    scope.spawn(child(log, 'b'));
    CHECK(log.empty());
    CHECK(scope.size() == 2);
    loop.turn();
    CHECK(log == "ab");
    loop.drain();
    CHECK(scope.size() == 0);
}

TEST_CASE("join waits for every child, also those that children spawn") {
    manual_loop loop;
    std::string log;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        auto spawner = [](task_scope& s, std::string& l) -> task<> {
            co_await sleep_for(1s);
            s.spawn(note_after(l, 'b', 2s));
            l += 'a';
        };
        scope.spawn(spawner, std::ref(scope), std::ref(log));
        co_await scope.join();
        CHECK(log == "ab");
        CHECK(loop.elapsed() == 3s);
        co_await scope.join(); // nothing left: at once
        scope.spawn(note_after(log, 'c', 1s));
        co_await scope.join();
        CHECK(log == "abc");
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("callable and arguments live in the child's frame") {
    manual_loop loop;
    const life_check<counted> lives;
    const frame_check frames;
    int sum = 0;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        {
            auto number = std::make_unique<int>(20);
            counted twenty_two(22);
            auto closure = [&sum, n = std::move(number)](counted c) -> task<> { // lint_coro: allow capture: tested here
                co_await sleep_for(1s);
                sum = *n + c.value();
            };
            scope.spawn(std::move(closure), std::move(twenty_two));
        }
        co_await scope.join();
    };
    CHECK(loop.run(scenario()));
    CHECK(sum == 42);
    CHECK(lives.balanced());
    CHECK(frames.alive() == 0);
}

TEST_CASE("any operation can be a child, not only a task") {
    manual_loop loop;
    async_event event;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(sleep_for(1s));
        scope.spawn(with_timeout(3s, event.wait()));
        auto wait = [&event] { return event.wait(); };
        scope.spawn(wait);
        auto joined = co_await attempt(scope.join());
        CHECK(joined.error().is(errc::timed_out));
        CHECK(loop.elapsed() == 3s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("the first error stops the siblings with `canceled`, and join reports that error") {
    manual_loop loop;
    std::string log;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(note_after(log, 'a', 1s));
        scope.spawn(fail_after(2s, errc::limit));
        scope.spawn(note_after(log, 'b', 3s));
        scope.spawn(sleep_for(1h)); // its `canceled` is no error of its own
        auto joined = co_await attempt(scope.join());
        CHECK(joined.error().is(errc::limit));
        CHECK(scope.ctx().reason() == stop_reason::canceled);
        auto outer = co_await this_context();
        CHECK_FALSE(outer.stopped());
    };
    CHECK(loop.run(scenario()));
    CHECK(log == "a-");
    CHECK(loop.elapsed() == 2s);
}

TEST_CASE("of two errors in one pass the first is reported") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(fail_after(1s, errc::limit));
        scope.spawn(fail_after(1s, errc::closed));
        auto joined = co_await attempt(scope.join());
        CHECK(joined.error().is(errc::limit));
        auto again = co_await attempt(scope.join()); // reported once
        CHECK(again.has_value());
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("with `collect` the siblings go on, and join reports the first error at the end") {
    manual_loop loop;
    std::string log;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx, scope_policy::collect);
        scope.spawn(fail_after(1s, errc::limit));
        scope.spawn(fail_after(2s, errc::closed));
        scope.spawn(note_after(log, 'a', 3s));
        auto joined = co_await attempt(scope.join());
        CHECK(joined.error().is(errc::limit));
        CHECK(loop.elapsed() == 3s);
        CHECK(log == "a");
        scope.spawn(fail_after(1s, errc::overlap)); // a new round, a new first error
        auto again = co_await attempt(scope.join());
        CHECK(again.error().is(errc::overlap));
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("an exception of a child is rethrown by join") {
    manual_loop loop;
    const frame_check frames;
    for (const auto policy : {scope_policy::first_error_cancels, scope_policy::collect}) {
        std::string log;
        auto scenario = [&]() -> task<> {
            auto ctx = co_await this_context();
            task_scope scope(ctx, policy);
            scope.spawn(throw_after(1s, "first"));
            scope.spawn(note_after(log, 'a', 2s));
            scope.spawn(throw_after(3s, "second"));
            bool caught = false;
            try {
                ignore_result(co_await attempt(scope.join()), "throws");
            } catch (const std::runtime_error& e) {
                caught = std::string(e.what()) == "first";
            }
            CHECK(caught);
            CHECK(scope.size() == 0);
        };
        CHECK(loop.run(scenario()));
        CHECK(log == (policy == scope_policy::collect ? "a" : "-"));
    }
    CHECK(frames.alive() == 0);
}

TEST_CASE("a scope that was stopped has no error, whatever the reason") {
    for (const auto reason :
         {stop_reason::canceled, stop_reason::timed_out, stop_reason::disconnected, stop_reason::shutdown}) {
        manual_loop loop;
        std::string log;
        auto scenario = [&]() -> task<> {
            auto ctx = co_await this_context();
            task_scope scope(ctx);
            scope.spawn(sleep_for(1h));
            scope.spawn(note_after(log, 'a', 1h));
            co_await sleep_for(1s);
            scope.stop(reason);
            co_await scope.join();
            scope.spawn(note_after(log, 'b', 1s)); // stopped for good
            co_await scope.join();
            CHECK(loop.elapsed() == 1s);
        };
        CHECK(loop.run(scenario()));
        CHECK(log == "--");
    }
}

TEST_CASE("an error other than the stop itself is reported by a scope that was stopped") {
    manual_loop loop;
    auto stubborn = []() -> task<> {
        auto r = co_await attempt(sleep_for(1h));
        CHECK_FALSE(r.has_value());
        co_await fail(errc::protocol);
    };
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(sleep_for(1h));
        scope.spawn(stubborn());
        co_await sleep_for(1s);
        scope.stop();
        auto joined = co_await attempt(scope.join());
        CHECK(joined.error().is(errc::protocol));
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a stop of the enclosing context reaches the children, and join reports its reason") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto limit = co_await within(1s);
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(sleep_for(1h));
        auto joined = co_await attempt(scope.join());
        CHECK(joined.error().is(errc::timed_out));
        CHECK(scope.ctx().reason() == stop_reason::timed_out);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("join waits for children that take their time to stop") {
    manual_loop loop;
    std::string log;
    auto slow = [](std::string& l) -> task<> {
        auto r = co_await attempt(sleep_for(1h));
        CHECK_FALSE(r.has_value());
        co_await shield(sleep_for(5s));
        l += "cleaned up";
    };
    auto scenario = [&]() -> task<> {
        auto limit = co_await within(1s);
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(slow, std::ref(log));
        co_await scope.join();
        CHECK(log == "cleaned up");
        CHECK(loop.elapsed() == 6s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a child's frame is gone when join returns") {
    manual_loop loop;
    const life_check<counted> lives;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        auto hold = [](counted) -> task<> { co_await sleep_for(1s); };
        scope.spawn(hold, counted(1));
        co_await scope.join();
        CHECK(counted::log.live.empty());
    };
    CHECK(loop.run(scenario()));
    CHECK(lives.balanced());
}

TEST_CASE("ten thousand children that are stopped throw nothing on the way") {
    manual_loop loop;
    const frame_check frames;
    async_event never;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        for (int i = 0; i < 10'000; ++i) {
            scope.spawn(never.wait());
        }
        co_await sleep_for(1s);
        scope.stop();
        co_await scope.join();
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

TEST_CASE("with_scope joins after a body that returns") {
    manual_loop loop;
    std::string log;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(note_after(log, 'a', 2s));
        co_await sleep_for(1s);
        log += 'b';
    };
    auto scenario = [&]() -> task<> {
        co_await with_scope(body);
        log += 'c';
    };
    CHECK(loop.run(scenario()));
    CHECK(log == "bac");
}

TEST_CASE("a body of with_scope that fails stops the children, and its error is the one reported") {
    manual_loop loop;
    std::string log;
    auto failing = [&](task_scope& scope) -> task<> {
        scope.spawn(note_after(log, 'a', 1h));
        scope.spawn(fail_after(2s, errc::limit));
        co_await sleep_for(1s);
        co_await fail(errc::closed);
    };
    auto throwing = [&](task_scope& scope) -> task<> {
        scope.spawn(note_after(log, 'a', 1h));
        co_await sleep_for(1s);
        throw std::runtime_error("thrown");
    };
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_scope(failing));
        CHECK(r.error().is(errc::closed));
        CHECK(log == "-");
        bool caught = false;
        try {
            co_await with_scope(throwing);
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(log == "--");
        CHECK(loop.elapsed() == 2s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("an error of a child comes out of with_scope") {
    manual_loop loop;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(fail_after(1s, errc::limit));
        scope.spawn(sleep_for(1h));
        co_return;
    };
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_scope(body));
        CHECK(r.error().is(errc::limit));
        CHECK(loop.elapsed() == 1s);
        bool caught = false;
        auto throwing = [&](task_scope& scope) -> task<> {
            scope.spawn(throw_after(1s, "child"));
            co_return;
        };
        try {
            co_await with_scope(throwing);
        } catch (const std::runtime_error& e) {
            caught = std::string(e.what()) == "child";
        }
        CHECK(caught);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a body of with_scope does not wait for ever for a child that has failed") {
    manual_loop loop;
    async_event result;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(fail_after(1s, errc::limit)); // was to set it
        co_await result.wait();
    };
    auto collecting = [&](task_scope& scope) -> task<> {
        scope.spawn(fail_after(1s, errc::limit));
        co_await sleep_for(2s); // with `collect` nobody is stopped
    };
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_scope(body));
        CHECK(r.error().is(errc::limit));
        auto c = co_await attempt(with_scope(collecting, scope_policy::collect));
        CHECK(c.error().is(errc::limit));
        CHECK(loop.elapsed() == 3s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a body of with_scope that stops its scope has ended well, also where it waits on") {
    manual_loop loop;
    std::string log;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(note_after(log, 'a', 1h));
        co_await sleep_for(1s);
        scope.stop();
        co_await sleep_for(1h);
        log += "not reached";
    };
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_scope(body));
        CHECK(r.has_value());
        CHECK(log == "-");
        CHECK(loop.elapsed() == 1s);
        auto ctx = co_await this_context();
        CHECK_FALSE(ctx.stopped());
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("with_scope in a context that is stopped ends its children and reports the reason") {
    manual_loop loop;
    std::string log;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(note_after(log, 'a', 1h));
        co_await sleep_for(1h);
    };
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1s, with_scope(body)));
        CHECK(r.error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
    CHECK(log == "-");
}

TEST_CASE("scopes nest, and a stop goes all the way down") {
    manual_loop loop;
    const frame_check frames;
    int ended = 0;
    struct tree {
        static task<> grow(int levels, int& count) {
            if (levels == 0) {
                auto r = co_await attempt(sleep_for(1h));
                count += r ? 0 : 1;
                co_return;
            }
            auto ctx = co_await this_context();
            task_scope scope(ctx);
            for (int i = 0; i < 3; ++i) {
                scope.spawn(grow(levels - 1, count));
            }
            co_await scope.join();
        }
    };
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1s, tree::grow(6, ended)));
        CHECK(r.has_value()); // every leaf has dealt with its stop
    };
    CHECK(loop.run(scenario()));
    CHECK(ended == 729);
    CHECK(frames.alive() == 0);
}

} // TEST_SUITE
