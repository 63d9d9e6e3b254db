// SPDX-License-Identifier: MIT
#include <flux/coro/with.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <support/counted.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>

using namespace flux;
using namespace std::chrono_literals;
using test_support::counted;
using test_support::frame_check;
using test_support::life_check;
using test_support::manual_loop;

namespace {

struct request_id : context_key<std::string> {};
struct depth : context_key<int> {};

task<std::string> id_below() {
    auto ctx = co_await this_context();
    const std::string* id = ctx.get<request_id>();
    co_return id != nullptr ? *id : "none";
}

task<> sleeps(duration d) { co_await sleep_for(d); }
task<int> number_after(duration d, int n) {
    co_await sleep_for(d);
    co_return n;
}

} // namespace

static_assert(operation<decltype(with_timeout(1s, sleep_for(1s)))>);
static_assert(operation<decltype(shield(1s, sleep_for(1s)))>);
static_assert(operation<decltype(with_timeout(1s, shield(with_deadline(no_deadline, number_after(1s, 1)))))>);

TEST_SUITE("coro/with") {

TEST_CASE("with_timeout ends what takes longer, at its time") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(2s, sleep_for(1h)));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().is(errc::timed_out));
        CHECK(loop.elapsed() == 2s);
    };
    CHECK(loop.run(scenario()));
    CHECK(loop.timers().size() == 0);
}

TEST_CASE("with_timeout leaves what is faster alone, and yields its value") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto n = co_await with_timeout(2s, number_after(1s, 7));
        CHECK(n == 7);
        CHECK(loop.elapsed() == 1s);
        co_await sleep_for(1h); // the limit has ended with its operation
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("the clock of with_timeout starts with the operation, not when it is described") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto op = with_timeout(2s, number_after(1s, 7));
        co_await sleep_for(1h);
        auto n = co_await std::move(op);
        CHECK(n == 7);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("no time at all ends an operation before it starts") {
    manual_loop loop;
    const frame_check frames;
    async_event event(true);
    auto scenario = [&]() -> task<> {
        auto zero = co_await attempt(with_timeout(0s, event.wait()));
        CHECK(zero.error().is(errc::timed_out));
        auto negative = co_await attempt(with_timeout(-1s, event.wait()));
        CHECK(negative.error().is(errc::timed_out));
        auto past = co_await attempt(with_deadline(loop.now() - 1s, event.wait()));
        CHECK(past.error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
    CHECK(frames.alive() == 0);
}

TEST_CASE("a limit that does not fit the clock is none") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        co_await with_timeout(hours::max(), sleep_for(1h));
        co_await with_timeout(duration::max(), sleep_for(1h));
        co_await with_deadline(no_deadline, sleep_for(1h));
        auto limit = co_await within(duration::max());
        auto ctx = co_await this_context();
        CHECK(ctx.deadline() == no_deadline);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("of nested limits the earliest wins, whichever is outside") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        const time_point start = loop.now();
        auto outer = co_await attempt(with_timeout(1s, with_timeout(5s, sleep_for(1h))));
        CHECK(outer.error().is(errc::timed_out));
        CHECK(loop.now() - start == 1s);
        auto inner = co_await attempt(with_timeout(5s, with_timeout(1s, sleep_for(1h))));
        CHECK(inner.error().is(errc::timed_out));
        CHECK(loop.now() - start == 2s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("an inner limit that passed leaves the outer context as it was") {
    manual_loop loop;
    auto body = [&]() -> task<> {
        auto inner = co_await attempt(with_timeout(1s, sleep_for(1h)));
        CHECK_FALSE(inner.has_value());
        auto ctx = co_await this_context();
        CHECK_FALSE(ctx.stopped());
        CHECK(ctx.remaining() == 4s);
        co_await sleep_for(1s);
    };
    auto scenario = [&]() -> task<> { co_await with_timeout(5s, body()); };
    CHECK(loop.run(scenario()));
}

TEST_CASE("within covers everything awaited up to the end of its block") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        const time_point start = loop.now();
        {
            auto limit = co_await within(3s);
            co_await sleeps(1s);
            co_await sleeps(1s);
            CHECK_FALSE(limit.expired());
            auto third = co_await attempt(sleeps(2s));
            CHECK(third.error().is(errc::timed_out));
            CHECK(limit.expired());
            CHECK(loop.now() - start == 3s);
        }
        co_await sleeps(10s);
    };
    CHECK(loop.run(scenario()));
    CHECK(loop.timers().size() == 0);
}

TEST_CASE("a limit that passed is level-triggered: every further wait in the block fails at once") {
    manual_loop loop;
    async_event event(true);
    auto scenario = [&]() -> task<> {
        auto limit = co_await within(1s);
        auto late = co_await attempt(sleep_for(2s));
        CHECK(late.error().is(errc::timed_out));
        for (int i = 0; i < 3; ++i) {
            auto again = co_await attempt(event.wait());
            CHECK(again.error().is(errc::timed_out));
            bool swallowed = false;
            try {
                co_await sleep_for(1s);
            } catch (const error&) {
                swallowed = true; // a handler that goes on gets no further
            }
            CHECK(swallowed);
        }
        CHECK(loop.elapsed() == 1s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("nested blocks: the innermost limit ends first, the outer one goes on") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto outer = co_await within(10s);
        auto ctx_outer = co_await this_context();
        {
            auto inner = co_await within(1s);
            auto ctx_inner = co_await this_context();
            CHECK(ctx_inner.remaining() == 1s);
            CHECK(&ctx_inner.node() != &ctx_outer.node());
            auto r = co_await attempt(sleep_for(1h));
            CHECK_FALSE(r.has_value());
            CHECK(inner.expired());
            CHECK_FALSE(outer.expired());
        }
        auto ctx = co_await this_context();
        CHECK(&ctx.node() == &ctx_outer.node());
        CHECK(ctx.remaining() == 9s);
        {
            auto longer = co_await within(1h);
            auto ctx_inner = co_await this_context();
            CHECK(ctx_inner.remaining() == 9s); // a limit can only be lowered
            auto r = co_await attempt(sleep_for(1h));
            CHECK(r.error().is(errc::timed_out));
            CHECK(longer.expired());
            CHECK(outer.expired());
        }
        CHECK(loop.elapsed() == 10s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("restart counts from now, in both directions") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        const time_point start = loop.now();
        auto limit = co_await within(2s);
        for (int i = 0; i < 5; ++i) {
            co_await sleep_for(1s);
            limit.restart(2s);
        }
        limit.restart(10s);
        limit.restart(1s);
        auto r = co_await attempt(sleep_for(1h));
        CHECK(r.error().is(errc::timed_out));
        CHECK(loop.now() - start == 6s);
        limit.restart(1h); // too late: what was stopped stays stopped
        CHECK(limit.expired());
        auto again = co_await attempt(sleep_for(1s));
        CHECK(again.error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a limit of a block ends with a block that fails or throws") {
    manual_loop loop;
    auto fails = []() -> task<> {
        auto limit = co_await within(1s);
        co_await fail(errc::closed);
    };
    auto throws = []() -> task<> {
        auto limit = co_await within(1s);
        throw std::runtime_error("thrown");
    };
    auto scenario = [&]() -> task<> {
        auto f = co_await attempt(fails());
        CHECK(f.error().is(errc::closed));
        bool thrown = false;
        try {
            co_await throws();
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(loop.timers().size() == 0);
        co_await sleep_for(1h);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("within in a child does not touch its parent") {
    manual_loop loop;
    auto child = []() -> task<int> {
        auto limit = co_await within(1s);
        auto r = co_await attempt(sleep_for(1h));
        co_return r ? 0 : 1;
    };
    auto scenario = [&]() -> task<> {
        auto one = co_await child();
        CHECK(one == 1);
        co_await sleep_for(1h);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("shield runs an operation to its end in a stopped context; what follows it fails again") {
    manual_loop loop;
    std::string log;
    auto goodbye = [](std::string& l) -> task<> {
        co_await sleep_for(1s);
        l += "goodbye";
    };
    auto scenario = [&]() -> task<> {
        auto limit = co_await within(1s);
        auto work = co_await attempt(sleep_for(1h));
        CHECK(work.error().is(errc::timed_out));
        auto said = co_await attempt(shield(goodbye(log)));
        CHECK(said.has_value());
        auto after = co_await attempt(sleep_for(1s));
        CHECK(after.error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
    CHECK(log == "goodbye");
    CHECK(loop.elapsed() == 2s);
}

TEST_CASE("shield hides the deadlines outside, and keeps its own") {
    manual_loop loop;
    auto scenario = [&]() -> task<> {
        auto limit = co_await within(1s);
        auto look = []() -> task<duration> {
            auto ctx = co_await this_context();
            co_return ctx.remaining();
        };
        auto none = co_await shield(look());
        CHECK(none == duration::max());
        auto five = co_await shield(5s, look());
        CHECK(five == 5s);
        auto r = co_await attempt(shield(5s, sleep_for(1h)));
        CHECK(r.error().is(errc::timed_out));
        CHECK(loop.elapsed() == 5s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("whoever awaits a shielded operation waits for it, a stopped scope too") {
    manual_loop loop;
    bool finished = false;
    auto transaction = [](bool& done) -> task<> {
        co_await sleep_for(10s);
        done = true;
    };
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(shield(transaction(finished)));
        co_await sleep_for(1s);
        scope.stop();
        co_await scope.join();
        CHECK(finished);
        CHECK(loop.elapsed() == 10s);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("with_value is seen below and not beside, innermost first") {
    manual_loop loop;
    auto both = []() -> task<std::string> {
        auto outer = co_await id_below();
        auto inner = co_await with_value<request_id>("inner", id_below());
        auto again = co_await id_below();
        co_return outer + " " + inner + " " + again;
    };
    auto scenario = [&]() -> task<> {
        auto none = co_await id_below();
        CHECK(none == "none");
        auto all = co_await with_value<request_id>("outer", both());
        CHECK(all == "outer inner outer");
        auto after = co_await id_below();
        CHECK(after == "none");
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("values pass through shields, limits, scopes and children") {
    manual_loop loop;
    std::string seen;
    auto child = [](std::string& out) -> task<> {
        auto id = co_await with_timeout(1s, id_below());
        out += id;
    };
    auto body = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(child, std::ref(seen));
        co_await scope.join();
        auto id = co_await shield(with_timeout(1s, id_below()));
        seen += "+" + id;
    };
    CHECK(loop.run(with_value<request_id>("42", body())));
    CHECK(seen == "42+42");
}

TEST_CASE("keys of one type are different keys") {
    manual_loop loop;
    auto look = []() -> task<int> {
        auto ctx = co_await this_context();
        const int* value = ctx.get<depth>();
        CHECK(ctx.get<request_id>() == nullptr);
        co_return value != nullptr ? *value : -1;
    };
    CHECK(*loop.run(with_value<depth>(3, look())) == 3);
}

TEST_CASE("wrapped operations and their values die exactly once") {
    manual_loop loop;
    const life_check<counted> lives;
    struct held : context_key<counted> {};
    auto body = [](counted c) -> task<counted> {
        co_await sleep_for(1ms);
        co_return counted(c.value() + 1);
    };
    auto scenario = [&]() -> task<> {
        counted a(1);
        auto op = with_value<held>(counted(5), with_timeout(1s, shield(body(std::move(a)))));
        auto two = co_await std::move(op);
        CHECK(two.value() == 2);
        {
            counted b(1);
            auto unused = with_timeout(1s, shield(body(std::move(b))));
        }
        counted c(1);
        auto late = co_await attempt(with_timeout(0s, body(std::move(c))));
        CHECK(late.error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
    CHECK(lives.balanced());
}

} // TEST_SUITE
