// SPDX-License-Identifier: MIT
#include <flux/io/reactor.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/io/poll.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::child_case;
using test_support::child_program;
using test_support::on_each_driver;
using test_support::run;
using test_support::watchdog;

namespace {

/// Ready when a post says so.
class posted_flag {
public:
    void set() {
        set_ = true;
        if (waiter_) {
            waiter_->stop();
        }
    }
    task<> wait() {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        waiter_.emplace(scope.ctx());
        if (!set_) {
            std::ignore = co_await attempt(wait_below(scope));
        }
        waiter_.reset();
    }

private:
    static task<> wait_below(task_scope& scope) {
        scope.spawn(sleep_until(no_deadline));
        co_await scope.join();
    }
    bool set_ = false;
    std::optional<context> waiter_;
};

} // namespace

TEST_SUITE("io/reactor") {

TEST_CASE("run yields the value of the task, or throws what it threw") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        const int value = run(r, []() -> task<int> { co_return 7; }());
        CHECK(value == 7);
        const auto text = run(r, []() -> task<std::unique_ptr<std::string>> {
            co_await sleep_for(1ms);
            co_return std::make_unique<std::string>("moved");
        }());
        CHECK(*text == "moved");
        bool failed = false;
        try {
            run(r, []() -> task<> { co_await fail(error(errc::limit).doing("inside")); }());
        } catch (const error& e) {
            failed = e.message() == "inside: limit exceeded";
        }
        CHECK(failed);
        auto foreign = []() -> task<int> {
            co_await sleep_for(1ms);
            throw std::out_of_range("foreign");
        };
        CHECK_THROWS_AS(run(r, foreign()), std::out_of_range);
    });
}

TEST_CASE("the driver is the one that was asked for") {
    for (const driver_kind kind : test_support::drivers()) {
        const reactor r(test_support::options_for(kind));
        CHECK(r.choice().kind == kind);
        CHECK(r.choice().refused == 0);
    }
    if (const char* forced = std::getenv("FLUX_DRIVER")) {
        reactor r;
        CHECK(std::string(r.driver().name()) == forced);
    }
}

TEST_CASE("inside of run the thread knows its reactor, outside it knows none") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        CHECK(scheduler::current() == nullptr);
        CHECK(!r.on_own_thread());
        auto body = [&]() -> task<> {
            CHECK(scheduler::current() == &r);
            CHECK(r.on_own_thread());
            auto ctx = co_await this_context();
            CHECK(&reactor::of(ctx.home()) == &r);
            bool elsewhere = true;
            std::thread([&] { elsewhere = r.on_own_thread(); }).join();
            CHECK(!elsewhere);
        };
        run(r, body());
        CHECK(scheduler::current() == nullptr);
    });
}

TEST_CASE("posts of one thread run in their order, on the reactor's thread") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            std::vector<int> order;
            bool own = true;
            posted_flag done;
            std::thread other([&] {
                for (int i = 0; i < 1000; ++i) {
                    r.post([&order, &own, &r, i] {
                        order.push_back(i);
                        own = own && r.on_own_thread();
                    });
                }
                r.post([&done] { done.set(); });
            });
            co_await done.wait();
            other.join();
            CHECK(own);
            CHECK(order.size() == 1000);
            CHECK(std::is_sorted(order.begin(), order.end()));
        };
        run(r, body());
    });
}

TEST_CASE("posts of many threads all run") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            int count = 0;
            std::vector<std::thread> threads;
            for (int t = 0; t < 6; ++t) {
                threads.emplace_back([&] {
                    for (int i = 0; i < 2000; ++i) {
                        r.post([&count] { ++count; });
                        if (i % 64 == 0) {
                            std::this_thread::sleep_for(20us); // sometimes the reactor is asleep
                        }
                    }
                });
            }
            while (count < 12'000) {
                co_await sleep_for(1h / 1'000'000); // 3.6 ms
            }
            for (std::thread& t : threads) {
                t.join();
            }
            CHECK(count == 12'000);
        };
        run(r, body());
    });
}

TEST_CASE("a post wakes a reactor that sleeps without a deadline, every time") {
    on_each_driver([](const reactor_options& options) {
        // Two reactors that wake each other: a wake-up that is lost hangs both.
        constexpr int rounds = FLUX_SANITIZED ? 500 : 3000;
        std::atomic<reactor*> second{nullptr};
        reactor first(options);
        int count = 0;
        std::thread other([&] {
            reactor r(options);
            auto body = [&]() -> task<> {
                second = &r;
                std::ignore = co_await attempt(sleep_until(no_deadline));
            };
            r.run(body());
        });
        auto body = [&]() -> task<> {
            while (second == nullptr) {
                co_await sleep_for(1ms);
            }
            posted_flag done;
            struct ball {
                reactor* first;
                reactor* second;
                int* count;
                posted_flag* done;
                void there() {
                    second->post([next = *this]() mutable { next.back(); });
                }
                void back() {
                    first->post([next = *this]() mutable {
                        if (++*next.count == rounds) {
                            next.done->set();
                        } else {
                            next.there();
                        }
                    });
                }
            };
            ball b{&first, second, &count, &done};
            b.there();
            co_await done.wait();
            reactor* to = second;
            to->post([to] { to->root().stop(stop_reason::shutdown); });
        };
        run(first, body());
        other.join();
        CHECK(count == rounds);
    });
}

TEST_CASE("a post to a reactor that has ended is refused, and what it carries is released") {
    on_each_driver([](const reactor_options& options) {
        auto carried = std::make_shared<int>(1);
        std::shared_ptr<detail::mailbox> box;
        {
            reactor r(options);
            box = r.mailbox();
            CHECK(r.post([carried] {})); // never runs
            CHECK(carried.use_count() == 2);
        }
        CHECK(carried.use_count() == 1);
        CHECK(!reactor::post_to(*box, [carried] {}));
        CHECK(carried.use_count() == 1);
    });
}

TEST_CASE("a post may come while the reactor ends: it runs, or is refused or released") {
    on_each_driver([](const reactor_options& options) {
        for (int round = 0; round < 50; ++round) {
            auto carried = std::make_shared<std::atomic<int>>(0);
            std::optional<reactor> r(std::in_place, options);
            const auto box = r->mailbox();
            std::atomic<bool> over{false};
            std::thread other([&over, box, carried] {
                while (!over) {
                    reactor::post_to(*box, [carried] { ++*carried; });
                }
            });
            r->run([]() -> task<> { co_await sleep_for(100us); }());
            r.reset();
            over = true;
            other.join();
            CHECK(carried.use_count() == 1);
        }
    });
}

TEST_CASE("stopping the root ends everything that runs, with the reason") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        int ended = 0;
        auto wait = [&]() -> task<> {
            const auto end = co_await attempt(sleep_until(no_deadline));
            ended += end.error().is(errc::shutdown) ? 1 : 0;
        };
        auto body = [&](task_scope& scope) -> task<> {
            for (int i = 0; i < 100; ++i) {
                scope.spawn(wait);
            }
            r.post([&] { r.root().stop(stop_reason::shutdown); });
            co_await wait();
        };
        run(r, with_scope(body));
        CHECK(ended == 101);
    });
}

TEST_CASE("sleepers wake in the order of their times, and never early") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        std::vector<int> order;
        auto one = [&](int number) -> task<> {
            const time_point before = r.now();
            co_await sleep_for(milliseconds(number));
            CHECK(r.now() - before >= milliseconds(number));
            order.push_back(number);
        };
        auto body = [&](task_scope& scope) -> task<> {
            for (const int number : {30, 10, 20, 5, 40, 15}) {
                scope.spawn(one, number);
            }
            co_return;
        };
        run(r, with_scope(body));
        CHECK(std::is_sorted(order.begin(), order.end()));
        CHECK(order.size() == 6);
    });
}

TEST_CASE("a reactor that waits for a time sleeps, and does not turn") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        run(r, []() -> task<> { co_await sleep_for(50ms); }());
        CHECK(r.turns() < 20);
        CHECK(r.stats().waits < 20);
        CHECK(r.stats().enters < 40);
    });
}

TEST_CASE("with spin the same happens") {
    on_each_driver([](reactor_options options) {
        options.spin = 50us;
        reactor r(options);
        auto body = [&]() -> task<> {
            int count = 0;
            std::thread other([&] {
                for (int i = 0; i < 200; ++i) {
                    r.post([&count] { ++count; });
                    std::this_thread::sleep_for(microseconds(i));
                }
            });
            while (count < 200) {
                co_await sleep_for(1ms);
            }
            other.join();
        };
        run(r, body());
    });
}

TEST_CASE("thousands of coroutines live and end beside each other") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        int ended = 0;
        auto one = [&](int i) -> task<> {
            for (int k = 0; k < 5; ++k) {
                co_await sleep_for(microseconds((i * 37 + k * 101) % 500));
            }
            ++ended;
        };
        auto body = [&](task_scope& scope) -> task<> {
            for (int i = 0; i < 5000; ++i) {
                scope.spawn(one, i);
            }
            co_return;
        };
        run(r, with_scope(body));
        CHECK(ended == 5000);
    });
}

TEST_CASE("more waits than the submission queue holds begin in one turn, and all end") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        int both[2];
        REQUIRE(::pipe2(both, O_CLOEXEC) == 0);
        const unique_fd out(both[0]);
        unique_fd in(both[1]);
        int ready = 0;
        int canceled = 0;
        auto one = [&]() -> task<> {
            const auto end = co_await attempt(readable(out.get()));
            (end ? ready : canceled) += 1;
        };
        auto body = [&]() -> task<> {
            auto ctx = co_await this_context();
            task_scope first(ctx);
            task_scope second(ctx);
            for (int i = 0; i < 2000; ++i) {
                first.spawn(one);
                second.spawn(one);
            }
            co_await sleep_for(1ms);
            first.ctx().stop(); // 2000 cancels in one turn
            co_await first.join();
            CHECK(canceled == 2000);
            REQUIRE(::write(in.get(), "x", 1) == 1);
            co_await second.join();
            CHECK(ready == 2000);
        };
        run(r, body());
    });
}

TEST_CASE("options and FLUX_DRIVER that cannot be are refused") {
    for (const std::uint32_t count : {0U, 3U, 65'536U}) {
        reactor_options options;
        options.buffer_count = count;
        CHECK_THROWS_AS(const reactor r(options), error);
    }
    reactor_options options;
    options.buffer_size = 0;
    CHECK_THROWS_AS(const reactor r(options), error);
}

TEST_CASE("child: an unknown driver" * child_case()) {
    ::setenv("FLUX_DRIVER", "kqueue", 1);
    try {
        const reactor r;
    } catch (const error& e) {
        ::_exit(e.is(errc::invalid_argument) ? 0 : 1);
    }
    ::_exit(2);
}
TEST_CASE("child: io_uring is refused" * child_case()) {
    ::unsetenv("FLUX_DRIVER");
    test_support::forbid_system_call(SYS_io_uring_setup, EPERM);
    reactor r;
    const bool chosen = r.choice().kind == driver_kind::epoll && r.choice().refused == EPERM;
    bool forced_fails = false;
    try {
        const reactor forced(test_support::options_for(driver_kind::uring));
    } catch (const error& e) {
        forced_fails = e.code() == std::errc::operation_not_permitted;
    }
    r.run([]() -> task<> { co_await sleep_for(1ms); }());
    ::_exit(chosen && forced_fails ? 0 : 1);
}
TEST_CASE("child: an old kernel" * child_case()) {
    ::unsetenv("FLUX_DRIVER");
    test_support::forbid_system_call(SYS_io_uring_setup, ENOSYS);
    test_support::forbid_system_call(SYS_epoll_pwait2, ENOSYS);
    reactor r;
    const time_point before = r.now();
    r.run([]() -> task<> { co_await sleep_for(20ms); }());
    const bool right = r.choice().refused == ENOSYS && r.now() - before >= 20ms && r.turns() < 40;
    ::_exit(right ? 0 : 1);
}
TEST_CASE("child: a sandbox that knows neither" * child_case()) {
    ::unsetenv("FLUX_DRIVER");
    test_support::forbid_system_call(SYS_io_uring_setup, EPERM);
    test_support::forbid_system_call(SYS_epoll_pwait2, EPERM);
    reactor r;
    const time_point before = r.now();
    r.run([]() -> task<> { co_await sleep_for(20ms); }());
    ::_exit(r.now() - before >= 20ms && r.turns() < 40 ? 0 : 1);
}
TEST_CASE("child: a ring without shared buffers" * child_case()) {
    ::unsetenv("FLUX_DRIVER");
    test_support::forbid_system_call(SYS_io_uring_register, EINVAL);
    reactor r;
    r.run([]() -> task<> { co_await sleep_for(1ms); }());
    ::_exit(r.choice().kind == driver_kind::epoll && r.choice().refused == EINVAL ? 0 : 1);
}
TEST_CASE("where io_uring cannot be used epoll is, unless io_uring was asked for by name") {
    const watchdog dog;
    for (const char* which : {"child: an unknown driver", "child: io_uring is refused", "child: an old kernel",
                              "child: a sandbox that knows neither", "child: a ring without shared buffers"}) {
        CAPTURE(std::string(which));
        child_program child(which);
        CHECK(child.wait() == 0);
        CHECK(child.complaints() == "");
    }
}

} // TEST_SUITE
