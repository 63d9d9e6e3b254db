// SPDX-License-Identifier: MIT
// A million waits in a row that need not wait: the stack stays flat in every build mode, and others get their turn.
#include <flux/coro/task.hpp> // also proves the header is self-contained

#include <flux/coro/cancel.hpp>
#include <flux/coro/channel.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/map.hpp>
#include <flux/coro/mutex.hpp>
#include <flux/coro/semaphore.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::frame_check;
using test_support::manual_loop;

namespace {

constexpr int many = 1'000'000;

/// How far apart the stack pointers were at which see() was called.
class stack_range {
public:
    [[gnu::noinline]] void see() noexcept {
        const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        low_ = here < low_ ? here : low_;
        high_ = here > high_ ? here : high_;
    }
    [[nodiscard]] std::uintptr_t size() const noexcept { return high_ - low_; }

private:
    std::uintptr_t low_ = ~std::uintptr_t{0};
    std::uintptr_t high_ = 0;
};

struct fixture {
    manual_loop loop;
    stack_range stack;
    bool done = false;
    std::uint64_t turns_of_other = 0;

    // Runs `body` beside a coroutine that always has something to do.
    template <class F>
    void run(F& body, int iterations) {
        const frame_check frames;
        done = false;
        task_scope scope{loop.root()};
        scope.spawn(step(body, *this));
        scope.spawn(count(*this));
        while (scope.size() != 0) {
            REQUIRE(loop.turn() != 0);
        }
        // A wait takes at least one from the budget of 128.
        CHECK(turns_of_other >= static_cast<std::uint64_t>(iterations / 128));
        // 128 nested resumptions, some of them through frames that a sanitizer has blown up.
        CHECK(stack.size() < 512 * 1024);
        CHECK(frames.alive() == 0);
    }

private:
    template <class F>
    static task<> step(F& body, fixture& self) {
        auto end = co_await attempt(body());
        CHECK(end.has_value());
        self.done = true;
    }
    static task<> count(fixture& self) {
        while (!self.done) {
            ++self.turns_of_other;
            co_await sleep_for(0s);
        }
    }
};

task<int> number(stack_range& stack, int n) {
    stack.see();
    co_return n;
}
task<int> failing(stack_range& stack) {
    stack.see();
    co_return fail(errc::limit);
}
task<int> nested(stack_range& stack, int depth) {
    stack.see();
    if (depth == 0) {
        co_return 1;
    }
    auto below = co_await nested(stack, depth - 1);
    stack.see();
    co_return below + 1;
}

} // namespace

TEST_SUITE("coro/ready_loops") {

TEST_CASE("a million tasks that do not suspend") {
    fixture f;
    auto body = [&]() -> task<> {
        long sum = 0;
        for (int i = 0; i < many; ++i) {
            auto n = co_await number(f.stack, i & 7);
            sum += n;
        }
        CHECK(sum == 3'500'000);
    };
    f.run(body, many);
}

TEST_CASE("a million tasks that fail at once") {
    fixture f;
    auto body = [&]() -> task<> {
        int failed = 0;
        for (int i = 0; i < many; ++i) {
            auto n = co_await attempt(failing(f.stack));
            failed += n.has_value() ? 0 : 1;
        }
        CHECK(failed == many);
    };
    f.run(body, many);
}

TEST_CASE("tasks nested a hundred thousand deep") {
    fixture f;
    auto body = [&]() -> task<> {
        auto depth = co_await nested(f.stack, 100'000);
        CHECK(depth == 100'001);
    };
    f.run(body, 200'000);
}

TEST_CASE("a million waits for an event that is set") {
    fixture f;
    async_event event(true);
    auto body = [&]() -> task<> {
        for (int i = 0; i < many; ++i) {
            co_await event.wait();
            f.stack.see();
        }
    };
    f.run(body, many);
}

TEST_CASE("a million locks of a free mutex") {
    fixture f;
    async_mutex mutex;
    auto body = [&]() -> task<> {
        for (int i = 0; i < many; ++i) {
            auto guard = co_await mutex.lock();
            f.stack.see();
        }
    };
    f.run(body, many);
    CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("a million permits of a free semaphore") {
    fixture f;
    async_semaphore semaphore(3);
    auto body = [&]() -> task<> {
        for (int i = 0; i < many; ++i) {
            auto permit = co_await semaphore.acquire(2);
            f.stack.see();
        }
    };
    f.run(body, many);
    CHECK(semaphore.available() == 3);
}

TEST_CASE("a million values through a channel with room") {
    fixture f;
    channel<int> ch(1);
    auto body = [&]() -> task<> {
        long sum = 0;
        for (int i = 0; i < many; ++i) {
            co_await ch.send(i & 7);
            auto value = co_await ch.receive();
            sum += value.value();
            f.stack.see();
        }
        CHECK(sum == 3'500'000);
    };
    f.run(body, 2 * many);
}

TEST_CASE("a million values of two coroutines that meet") {
    fixture f;
    channel<int> ch(0);
    auto sender = [&]() -> task<> {
        for (int i = 0; i < many; ++i) {
            co_await ch.send(i);
            f.stack.see();
        }
        ch.close();
    };
    auto receiver = [&]() -> task<> {
        int expected = 0;
        while (auto value = co_await ch.receive()) {
            if (*value != expected++) {
                FAIL("out of order");
            }
            f.stack.see();
        }
        CHECK(expected == many);
    };
    auto body = [&]() -> task<> { co_await when_all(sender(), receiver()); };
    f.run(body, many);
}

TEST_CASE("a million receives from a closed channel") {
    fixture f;
    channel<int> ch(1);
    ch.close();
    auto body = [&]() -> task<> {
        int values = 0;
        for (int i = 0; i < many; ++i) {
            auto value = co_await ch.receive();
            values += value ? 1 : 0;
        }
        CHECK(values == 0);
    };
    f.run(body, many);
}

TEST_CASE("a million joins of a scope without children") {
    fixture f;
    auto body = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        for (int i = 0; i < many; ++i) {
            co_await scope.join();
            f.stack.see();
        }
    };
    f.run(body, many);
}

TEST_CASE("a million waits under limits, values, shields and tokens") {
    struct key : context_key<int> {};
    fixture f;
    async_event event(true);
    cancel_source source;
    const cancel_token token = source.token();
    auto body = [&]() -> task<> {
        for (int i = 0; i < many / 4; ++i) {
            co_await with_timeout(1h, event.wait());
            co_await with_value<key>(i, event.wait());
            co_await shield(event.wait());
            co_await with_cancel(token, event.wait());
            f.stack.see();
        }
    };
    f.run(body, many);
    CHECK(f.loop.timers().size() == 0);
}

TEST_CASE("a million limits of a block") {
    fixture f;
    async_event event(true);
    auto body = [&]() -> task<> {
        for (int i = 0; i < many; ++i) {
            auto limit = co_await within(1h);
            co_await event.wait();
            f.stack.see();
        }
    };
    f.run(body, many);
}

TEST_CASE("a million waits that fail because the context is stopped") {
    fixture f;
    async_event event(true);
    async_mutex mutex;
    channel<int> ch(1);
    auto body = [&]() -> task<> {
        auto limit = co_await within(0s);
        int timed_out = 0;
        for (int i = 0; i < many / 4; ++i) {
            auto wait = co_await attempt(event.wait());
            auto lock = co_await attempt(mutex.lock());
            auto send = co_await attempt(ch.send(i));
            auto receive = co_await attempt(ch.receive());
            timed_out += wait || lock || send || receive ? 0 : 1;
            f.stack.see();
        }
        CHECK(timed_out == many / 4);
    };
    f.run(body, many);
}

TEST_CASE("a million looks at a stop that has come") {
    fixture f;
    auto body = [&]() -> task<> {
        auto limit = co_await within(0s);
        int timed_out = 0;
        for (int i = 0; i < many; ++i) {
            auto reason = co_await until_stopped();
            timed_out += reason == stop_reason::timed_out ? 1 : 0;
            f.stack.see();
        }
        CHECK(timed_out == many);
    };
    f.run(body, many);
}

TEST_CASE("verbs over many operations that are ready") {
    constexpr int rounds = 20'000;
    fixture f;
    async_event event(true);
    auto body = [&]() -> task<> {
        auto call = [&](int n) { return number(f.stack, n); };
        const std::array<int, 3> input = {1, 2, 3};
        for (int i = 0; i < rounds; ++i) {
            auto both = co_await when_all(number(f.stack, 1), event.wait());
            CHECK(std::get<0>(both) == 1);
            auto first = co_await when_any(event.wait(), number(f.stack, 2));
            CHECK(first.index() == 0);
            auto squares = co_await map(input, 2, call);
            CHECK(squares.size() == 3);
            co_await when_all(std::vector<task<>>());
        }
    };
    f.run(body, rounds);
}

} // TEST_SUITE
