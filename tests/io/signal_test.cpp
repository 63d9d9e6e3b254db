// SPDX-License-Identifier: MIT
#include <flux/io/signal.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

namespace {

bool is_blocked(int number) {
    ::sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, number) == 1;
}

bool is_pending(int number) {
    ::sigset_t pending;
    ::sigpending(&pending);
    return ::sigismember(&pending, number) == 1;
}

int handled = 0;

/// Counts the signals that reach a handler.
class counting_handler {
public:
    explicit counting_handler(int number) : number_(number) {
        struct ::sigaction action {};
        action.sa_handler = [](int) { ++handled; };
        ::sigaction(number, &action, &before_);
        handled = 0;
    }
    counting_handler(const counting_handler&) = delete;
    counting_handler& operator=(const counting_handler&) = delete;
    ~counting_handler() { ::sigaction(number_, &before_, nullptr); }

private:
    int number_;
    struct ::sigaction before_ {};
};

} // namespace

TEST_SUITE("io/signal") {

TEST_CASE("next yields the signals that came before and those that come later") {
    on_each_driver([](const reactor_options& options) {
        signal_set signals(SIGUSR1, SIGUSR2);
        reactor r(options);
        auto body = [&]() -> task<> {
            ::raise(SIGUSR2);
            int number = co_await signals.next();
            CHECK(number == SIGUSR2);
            r.post([] { ::raise(SIGUSR1); });
            number = co_await signals.next();
            CHECK(number == SIGUSR1);
            CHECK(!is_pending(SIGUSR1));
        };
        run(r, body());
    });
}

TEST_CASE("signals of one number that are pending together are one") {
    on_each_driver([](const reactor_options& options) {
        const int numbers[] = {SIGUSR1};
        signal_set signals(numbers);
        reactor r(options);
        auto body = [&]() -> task<> {
            ::raise(SIGUSR1);
            ::raise(SIGUSR1);
            const int number = co_await signals.next();
            CHECK(number == SIGUSR1);
            const auto second = co_await attempt(with_timeout(5ms, signals.next()));
            CHECK(second.error().is(errc::timed_out));
        };
        run(r, body());
    });
}

TEST_CASE("each signal goes to one of those that wait") {
    on_each_driver([](const reactor_options& options) {
        signal_set signals(SIGUSR1, SIGUSR2);
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            std::vector<int> got;
            auto wait = [&]() -> task<> { got.push_back(co_await signals.next()); };
            scope.spawn(wait);
            scope.spawn(wait);
            co_await sleep_for(1ms);
            ::raise(SIGUSR1);
            while (got.empty()) {
                co_await sleep_for(1ms);
            }
            CHECK(got == std::vector<int>{SIGUSR1});
            ::raise(SIGUSR2);
            co_await scope.join();
            CHECK(got.size() == 2);
            CHECK(got.back() == SIGUSR2);
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a stop beside a signal loses neither") {
    on_each_driver([](const reactor_options& options) {
        signal_set signals(SIGUSR1);
        reactor r(options);
        int taken = 0;
        auto once = [&](std::optional<result<int>>& out) -> task<> { out.emplace(co_await attempt(signals.next())); };
        auto body = [&]() -> task<> {
            auto ctx = co_await this_context();
            for (int round = 0; round < 100; ++round) {
                task_scope scope(ctx);
                std::optional<result<int>> got;
                scope.spawn(once, std::ref(got));
                if (round % 2 == 0) {
                    co_await sleep_for(0s);
                    co_await sleep_for(0s);
                }
                if (round % 4 < 2) {
                    ::raise(SIGUSR1);
                    scope.ctx().stop();
                } else {
                    scope.ctx().stop();
                    ::raise(SIGUSR1);
                }
                co_await scope.join();
                REQUIRE(got);
                if (*got) {
                    ++taken;
                    CHECK(!is_pending(SIGUSR1));
                } else {
                    CHECK(got->error().is(errc::canceled));
                    CHECK(is_pending(SIGUSR1));
                    const int number = co_await signals.next();
                    CHECK(number == SIGUSR1);
                    ++taken;
                }
            }
        };
        run(r, body());
        CHECK(taken == 100);
    });
}

TEST_CASE("a set blocks its signals while it exists, and what is pending then is delivered") {
    const counting_handler handler(SIGUSR1);
    REQUIRE(!is_blocked(SIGUSR1));
    {
        const signal_set signals(SIGUSR1);
        CHECK(is_blocked(SIGUSR1));
        CHECK(!is_blocked(SIGUSR2));
        ::raise(SIGUSR1);
        CHECK(handled == 0);
    }
    CHECK(!is_blocked(SIGUSR1));
    CHECK(handled == 1);
}

TEST_CASE("a number that is no signal is refused, and nothing stays blocked") {
    bool refused = false;
    try {
        const signal_set signals(SIGUSR1, 4711);
    } catch (const error& e) {
        refused = e.code() == std::errc::invalid_argument;
    }
    CHECK(refused);
    CHECK(!is_blocked(SIGUSR1));
}

} // TEST_SUITE
