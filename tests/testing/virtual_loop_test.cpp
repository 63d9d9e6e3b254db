// SPDX-License-Identifier: MIT
#include <flux/testing/virtual_loop.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>

#include <doctest/doctest.h>

#include <set>
#include <stdexcept>
#include <string>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::virtual_loop;
using flux::testing::virtual_loop_options;

namespace {

task<int> answer() { co_return 42; }
task<int> refuse() { co_return fail(errc::closed); }
task<int> blow_up() {
    co_await sleep_for(1s);
    throw std::runtime_error("user code");
}

task<> note(char name, std::string& log) {
    log += name;
    co_return;
}

std::string order_of_eight(virtual_loop_options options) {
    virtual_loop loop(options);
    std::string log;
    auto body = [&](task_scope& scope) -> task<> {
        for (char c = 'a'; c <= 'h'; ++c) {
            scope.spawn(note, c, std::ref(log));
        }
        co_return;
    };
    CHECK(loop.run(with_scope(body)));
    return log;
}

// Waits for a stop; nothing but its context can end it.
class never_state;
class never {
public:
    using value_type = void;
    using state_type = never_state;
};
class never_state : public detail::suspension {
public:
    never_state(never, detail::context_node& ctx) noexcept : suspension(ctx, &on_stop) {}
    bool await_ready() noexcept { return ctx().stopped(); }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { suspend(waiter); }
    result<void> take() { return fail(ctx().stop_error()); }

private:
    static void on_stop(detail::stop_hook& hook) noexcept { static_cast<never_state&>(hook).finish(); }
};

class count_mail : public detail::mail {
public:
    explicit count_mail(int& n) noexcept : mail(&arrived, &arrived), count(&n) {}
    int* count;

private:
    static void arrived(detail::mail& m) noexcept { ++*static_cast<count_mail&>(m).count; }
};

} // namespace

TEST_SUITE("testing/virtual_loop") {

TEST_CASE("run yields the value of a task, or its error") {
    virtual_loop loop;
    const auto good = loop.run(answer());
    CHECK(!loop.gave_up());
    REQUIRE(good);
    CHECK(*good == 42);
    const auto bad = loop.run(refuse());
    REQUIRE(!bad);
    CHECK(bad.error().is(errc::closed));
}

TEST_CASE("run passes on what is not a flux::error") {
    virtual_loop loop;
    CHECK_THROWS_AS(ignore_result(loop.run(blow_up()), "it throws"), std::runtime_error);
    CHECK(loop.run(answer())); // the loop is still of use
}

TEST_CASE("a day of virtual time costs no more than its steps") {
    virtual_loop loop;
    CHECK(loop.run(sleep_for(24h)));
    CHECK(loop.elapsed() == 24h);
    CHECK(loop.steps() < 10);
}

TEST_CASE("time stands still while anything is ready") {
    virtual_loop loop;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(sleep_for(1ms));
        for (int i = 0; i < 10'000; ++i) {
            auto r = co_await answer(); // goes through the ready queue once per budget
            CHECK(r == 42);
        }
        CHECK(loop.elapsed() == 0ms);
    };
    CHECK(loop.run(with_scope(body)));
    CHECK(loop.elapsed() == 1ms);
}

TEST_CASE("a deadlock is an error that counts what still waits; the waiting task is stopped and ends") {
    virtual_loop loop;
    std::string log;
    auto waiter = [](std::string& l) -> task<> {
        auto r = co_await attempt(never());
        l += r.error().is(errc::canceled) ? "canceled" : "?";
        co_await fail(std::move(r).error());
    };
    auto body = [&]() -> task<> {
        co_await sleep_for(2ms);
        co_await waiter(log);
    };
    const auto r = loop.run(body());
    REQUIRE(!r);
    CHECK(r.error().code() == std::errc::resource_deadlock_would_occur);
    CHECK(r.error().message().starts_with("virtual_loop: nothing is ready and no timer is armed, at 2000 us with "
                                          "2 coroutine frames alive: "));
    CHECK(log == "canceled");
    CHECK(loop.gave_up());
    CHECK(!loop.run(refuse()));
    CHECK(!loop.gave_up());
}

TEST_CASE("a deadlock is reported even if the task then ends well") {
    virtual_loop loop;
    auto body = []() -> task<int> {
        auto r = co_await attempt(never());
        co_return r ? 1 : 2;
    };
    const auto r = loop.run(body());
    REQUIRE(!r);
    CHECK(r.error().code() == std::errc::resource_deadlock_would_occur);
}

TEST_CASE("a livelock ends with errc::limit") {
    virtual_loop loop({.max_steps = 1000});
    auto spin = []() -> task<> {
        for (;;) {
            co_await sleep_for(0s);
        }
    };
    const auto r = loop.run(spin());
    REQUIRE(!r);
    CHECK(r.error().is(errc::limit));
    CHECK(loop.gave_up());
    CHECK(r.error().message().find("more than 1000 steps") != std::string::npos);
    CHECK(loop.run(answer())); // each run has its own limit
}

TEST_CASE("without a seed the ready queue runs in order") {
    CHECK(order_of_eight({}) == "abcdefgh");
}

TEST_CASE("a seed shuffles the ready queue: the same seed the same way, others otherwise") {
    std::set<std::string> orders;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        const std::string order = order_of_eight({.shuffle_seed = seed});
        CHECK(order == order_of_eight({.shuffle_seed = seed}));
        CHECK(order.size() == 8);
        CHECK(std::set<char>(order.begin(), order.end()).size() == 8);
        orders.insert(order);
    }
    CHECK(orders.size() > 40);
}

TEST_CASE("every one of the orders of three comes up") {
    std::set<std::string> orders;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        virtual_loop loop({.shuffle_seed = seed});
        std::string log;
        auto body = [&](task_scope& scope) -> task<> {
            scope.spawn(note, 'a', std::ref(log));
            scope.spawn(note, 'b', std::ref(log));
            scope.spawn(note, 'c', std::ref(log));
            co_return;
        };
        CHECK(loop.run(with_scope(body)));
        orders.insert(log);
    }
    CHECK(orders.size() == 6);
}

TEST_CASE("advance inside a run makes timers late, as a busy thread does") {
    virtual_loop loop;
    auto body = [&](task_scope& scope) -> task<> {
        auto sleeper = [](virtual_loop& l, duration& woke) -> task<> {
            co_await sleep_for(1s);
            woke = l.elapsed();
        };
        duration woke{};
        scope.spawn(sleeper, std::ref(loop), std::ref(woke));
        co_await sleep_for(500ms);
        loop.advance(10s);
        co_await sleep_for(0s);
        co_await sleep_for(0s);
        CHECK(woke == 10500ms);
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("advance outside of a run fires each timer at its own time") {
    class stamp : public timer {
    public:
        explicit stamp(virtual_loop& l) noexcept : timer(&fired), loop(&l) {}
        virtual_loop* loop;
        duration at{};
        int again = 0;

    private:
        static void fired(timer& t) noexcept {
            auto& self = static_cast<stamp&>(t);
            self.at = self.loop->elapsed();
            if (self.again-- > 0) {
                self.loop->arm(self, self.loop->now() + 1s);
            }
        }
    };
    virtual_loop loop;
    stamp once(loop);
    stamp often(loop);
    stamp later(loop);
    often.again = 100;
    loop.arm(once, loop.now() + 3s);
    loop.arm(often, loop.now() + 1s);
    loop.arm(later, loop.now() + 11s);
    loop.advance(10s);
    CHECK(loop.elapsed() == 10s);
    CHECK(once.at == 3s);
    CHECK(often.at == 10s);
    CHECK(later.is_armed());
    loop.disarm(often);
    loop.disarm(later);
}

TEST_CASE("mail is delivered before time moves") {
    virtual_loop loop;
    int arrived = 0;
    count_mail letter(arrived);
    auto body = [&]() -> task<> {
        REQUIRE(loop.mailbox()->push(letter));
        co_await sleep_for(1s);
        CHECK(arrived == 1);
    };
    CHECK(loop.run(body()));
    CHECK(arrived == 1);
}

TEST_CASE("a deadline in virtual time ends what it limits") {
    virtual_loop loop;
    const auto r = loop.run(with_timeout(90s, never()));
    REQUIRE(!r);
    CHECK(r.error().is(errc::timed_out));
    CHECK(loop.elapsed() == 90s);
}

TEST_CASE("a million inline completions keep the stack flat") {
    virtual_loop loop;
    auto body = []() -> task<int> {
        int sum = 0;
        for (int i = 0; i < 1'000'000; ++i) {
            sum += co_await answer() & 1;
        }
        co_return sum;
    };
    const auto r = loop.run(body());
    REQUIRE(r);
    CHECK(*r == 0);
}

TEST_CASE("the loop is the current scheduler while it runs, and only then") {
    virtual_loop loop;
    CHECK(scheduler::current() == nullptr);
    auto body = [&]() -> task<> {
        CHECK(scheduler::current() == &loop);
        co_return;
    };
    CHECK(loop.run(body()));
    CHECK(scheduler::current() == nullptr);
}

} // TEST_SUITE
