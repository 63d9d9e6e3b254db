// SPDX-License-Identifier: MIT
#include <flux/coro/operation.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/task.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <coroutine>
#include <type_traits>

using namespace flux;
using test_support::manual_loop;

namespace {

// The smallest operation there can be: done at once.
class given_state {
public:
    template <class Op>
    given_state(Op&& op, detail::context_node&) : outcome_(std::forward<Op>(op).outcome) {}
    given_state(const given_state&) = delete;
    given_state& operator=(const given_state&) = delete;
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    result<int> take() { return std::move(outcome_); }

private:
    result<int> outcome_;
};

struct given {
    using value_type = int;
    using state_type = given_state;
    explicit given(result<int> r) : outcome(std::move(r)) {}
    result<int> outcome;
};

struct not_an_operation {
    using value_type = int;
};

} // namespace

static_assert(operation<given>);
static_assert(operation<given&>);
static_assert(!operation<not_an_operation>);
static_assert(!operation<int>);
static_assert(std::is_same_v<value_of<given&>, int>);

TEST_SUITE("coro/operation") {

TEST_CASE("one state gives both forms: a value or a throw, and a result") {
    manual_loop loop;
    auto scenario = []() -> task<> {
        auto value = co_await given(7);
        static_assert(std::is_same_v<decltype(value), int>);
        CHECK(value == 7);
        auto good = co_await attempt(given(8));
        static_assert(std::is_same_v<decltype(good), result<int>>);
        CHECK(*good == 8);
        auto bad = co_await attempt(given(fail(errc::closed)));
        CHECK(bad.error().is(errc::closed));
        bool thrown = false;
        try {
            co_await given(fail(errc::limit));
        } catch (const error& e) {
            thrown = e.is(errc::limit);
        }
        CHECK(thrown);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("an operation that can be copied may be awaited again by name") {
    manual_loop loop;
    auto scenario = []() -> task<> {
        auto op = given(3);
        auto first = co_await op;
        auto again = co_await op;
        CHECK(first + again == 6);
        const auto fixed = given(4);
        auto third = co_await fixed;
        CHECK(third == 4);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("awaiters that know nothing of flux can be awaited") {
    manual_loop loop;
    struct foreign {
        bool await_ready() const noexcept { return true; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        int await_resume() const noexcept { return 5; }
    };
    auto scenario = []() -> task<> {
        co_await std::suspend_never();
        auto value = co_await foreign();
        CHECK(value == 5);
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a wait out of budget goes through the ready queue, once per budget") {
    manual_loop loop;
    async_event event(true);
    auto scenario = [&]() -> task<> {
        for (int i = 0; i < 10 * scheduler::inline_budget; ++i) {
            co_await event.wait();
        }
    };
    loop.spawn(scenario());
    int turns = 0;
    while (loop.live() != 0) {
        loop.turn();
        ++turns;
    }
    CHECK(turns >= 10);
    CHECK(turns <= 14);
}

} // TEST_SUITE
