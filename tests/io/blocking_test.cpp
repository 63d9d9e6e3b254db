// SPDX-License-Identifier: MIT
#include <flux/io/blocking.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
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

/// Holds threads until it is opened.
class gate {
public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++inside_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    [[nodiscard]] std::size_t inside() {
        const std::lock_guard lock(mutex_);
        return inside_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t inside_ = 0;
    bool open_ = false;
};

const std::size_t pool_size = std::max<std::size_t>(4, std::thread::hardware_concurrency());

task<> until_inside(gate& g, std::size_t n) {
    while (g.inside() < n) {
        co_await sleep_for(1ms);
    }
}

} // namespace

TEST_SUITE("io/blocking") {

TEST_CASE("the call runs on another thread, the coroutine goes on on its own") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            const std::thread::id here = std::this_thread::get_id();
            const std::thread::id there = co_await blocking([] { return std::this_thread::get_id(); });
            CHECK(there != here);
            CHECK(std::this_thread::get_id() == here);
            CHECK(r.on_own_thread());
        };
        run(r, body());
    });
}

TEST_CASE("what the call returns comes back, whatever it is") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            bool ran = false;
            co_await blocking([&ran] { ran = true; });
            CHECK(ran);
            const std::string text = co_await blocking([] { return std::string(100, 'x'); });
            CHECK(text.size() == 100);
            const std::unique_ptr<int> moved = co_await blocking([] { return std::make_unique<int>(7); });
            CHECK(*moved == 7);
            int number = 5;
            auto reference = [&number]() -> int& { return number; };
            const int copied = co_await blocking(reference);
            CHECK(copied == 5);
            const int good = co_await blocking([]() -> result<int> { return 3; });
            CHECK(good == 3);
            co_await blocking([]() -> result<void> { return {}; });
            const auto bad = co_await attempt(blocking([]() -> result<int> { return fail(errc::limit); }));
            CHECK(bad.error().is(errc::limit));
            // the call borrows a named closure, and leaves it as it is
            const auto shared = std::make_shared<int>(9);
            auto named = [shared] { return *shared; };
            const int first = co_await blocking(named);
            const int second = co_await blocking(named);
            CHECK(first + second == 18);
            CHECK(shared.use_count() == 2);
        };
        run(r, body());
    });
}

TEST_CASE("what the call throws comes back: a flux::error as the operation's, others as they are") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto fails = []() -> int { throw error(errc::limit).doing("in the call"); };
            const auto failed = co_await attempt(blocking(fails));
            REQUIRE(!failed);
            CHECK(failed.error().message() == "in the call: limit exceeded");
            auto throws = []() -> int { throw std::runtime_error("foreign"); };
            std::string what;
            try {
                std::ignore = co_await attempt(blocking(throws));
            } catch (const std::runtime_error& e) {
                what = e.what();
            }
            CHECK(what == "foreign");
        };
        run(r, body());
    });
}

TEST_CASE("as many calls run at a time as the pool has threads, and all others in their order") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            gate first;
            std::mutex mutex;
            std::vector<int> order;
            int done = 0;
            std::atomic<int> running{0};
            std::atomic<int> most{0};
            auto hold = [&]() -> task<> { co_await blocking([&first] { first.pass(); }); };
            auto note = [&](int number) -> task<> {
                auto call = [&, number] {
                    const int now = ++running;
                    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
                    }
                    {
                        const std::lock_guard lock(mutex);
                        order.push_back(number);
                    }
                    --running;
                };
                co_await blocking(call);
                ++done;
            };
            for (std::size_t i = 0; i + 1 < pool_size; ++i) {
                scope.spawn(hold); // one thread is left, so that order means something
            }
            co_await until_inside(first, pool_size - 1);
            for (int i = 0; i < 200; ++i) {
                scope.spawn(note, i);
            }
            while (done < 200) {
                co_await sleep_for(1ms);
            }
            CHECK(std::is_sorted(order.begin(), order.end()));
            CHECK(most.load() == 1);
            first.open();
            co_await scope.join();
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a call that waits for its turn is withdrawn at once, one that runs is awaited and wins") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto ctx = co_await this_context();
            gate held;
            task_scope runs(ctx);
            task_scope waits(ctx);
            std::vector<std::optional<result<int>>> outcomes(pool_size);
            std::optional<result<int>> waiting;
            std::atomic<bool> called{false};
            auto hold = [&](std::size_t i) -> task<> {
                auto call = [&held] {
                    held.pass();
                    return 1;
                };
                outcomes[i].emplace(co_await attempt(blocking(call)));
            };
            auto queue = [&]() -> task<> {
                auto call = [&called] {
                    called = true;
                    return 2;
                };
                waiting.emplace(co_await attempt(blocking(call)));
            };
            for (std::size_t i = 0; i < pool_size; ++i) {
                runs.spawn(hold, i);
            }
            co_await until_inside(held, pool_size);
            waits.spawn(queue);
            co_await sleep_for(1ms);
            CHECK(!waiting);
            waits.ctx().stop(stop_reason::timed_out);
            co_await waits.join(); // although every thread is held
            REQUIRE(waiting);
            CHECK(waiting->error().is(errc::timed_out));
            runs.ctx().stop();
            co_await sleep_for(1ms);
            CHECK(runs.size() == pool_size);
            held.open();
            co_await runs.join();
            for (const auto& one : outcomes) {
                REQUIRE(one);
                CHECK(one->value() == 1);
            }
            CHECK(!called);
        };
        run(r, body());
    });
}

TEST_CASE("a call under a context that is stopped already is not made") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            bool called = false;
            auto call = [&called] { called = true; };
            const auto none = co_await attempt(with_timeout(0s, blocking(call)));
            CHECK(none.error().is(errc::timed_out));
            CHECK(!called);
        };
        run(r, body());
    });
}

TEST_CASE("stops at any moment lose no call and no outcome") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto ctx = co_await this_context();
            int value = 0;
            for (int round = 0; round < 300; ++round) {
                task_scope scope(ctx);
                std::atomic<int> calls{0};
                int yielded = 0;
                int stopped = 0;
                auto one = [&]() -> task<> {
                    auto call = [&calls] { return ++calls; };
                    const auto got = co_await attempt(blocking(call));
                    (got ? yielded : stopped) += 1;
                };
                for (int i = 0; i < 8; ++i) {
                    scope.spawn(one);
                }
                for (int i = 0; i < round % 7; ++i) {
                    co_await sleep_for(0s);
                }
                scope.ctx().stop();
                co_await scope.join();
                CHECK(yielded == calls.load());
                CHECK(yielded + stopped == 8);
                value += yielded;
            }
            CHECK(value >= 0);
        };
        run(r, body());
    });
}

TEST_CASE("several reactors share the pool") {
    on_each_driver([](const reactor_options& options) {
        std::atomic<int> sum{0};
        const auto work = [&] {
            reactor r(options);
            auto one = [&]() -> task<> {
                for (int i = 0; i < 20; ++i) {
                    sum += co_await blocking([] { return 1; });
                }
            };
            auto body = [&](task_scope& scope) -> task<> {
                for (int i = 0; i < 10; ++i) {
                    scope.spawn(one);
                }
                co_return;
            };
            r.run(with_scope(body));
        };
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back(work);
        }
        for (std::thread& t : threads) {
            t.join();
        }
        CHECK(sum.load() == 600);
    });
}

TEST_CASE("on a loop with virtual time a call takes none, however long it lasts, and others run meanwhile") {
    testing::virtual_loop loop;
    std::vector<std::string> order;
    auto call = [&]() -> task<> {
        auto f = [&] {
            ::usleep(3000);
            return std::string("called");
        };
        for (int i = 0; i < 3; ++i) {
            order.push_back(co_await blocking(f));
        }
        auto broken = []() -> int { throw error(errc::closed); };
        auto failed = co_await attempt(blocking(broken));
        CHECK(failed.error().is(errc::closed));
    };
    auto look = [&](const char* name, duration after) -> task<> {
        co_await sleep_for(after);
        order.push_back(name);
    };
    auto all = [&]() -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(call());
        scope.spawn(look("at once", 0ms));
        scope.spawn(look("1 ms", 1ms));
        co_await scope.join();
    };
    CHECK(loop.run(all()));
    CHECK(loop.elapsed() == 1ms);
    REQUIRE(order.size() == 5);
    CHECK(order.back() == "1 ms"); // three calls of 3 ms each were faster
    CHECK(order[3] == "called");
}

TEST_CASE("signals are for other threads, faults are not") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            const auto mask = co_await blocking([] {
                ::sigset_t now;
                ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
                return now;
            });
            CHECK(::sigismember(&mask, SIGTERM) == 1);
            CHECK(::sigismember(&mask, SIGALRM) == 1);
            CHECK(::sigismember(&mask, SIGSEGV) == 0);
            CHECK(::sigismember(&mask, SIGABRT) == 0);
        };
        run(r, body());
    });
}

TEST_CASE("child: starts a thread" * child_case()) {
    reactor r;
    int status = 1;
    auto body = [&]() -> task<> {
        ::sigset_t mask;
        ::sigemptyset(&mask);
        ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
        co_await blocking([] { return 1; });
        ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        status = ::sigismember(&mask, SIGTERM) == 0 ? 0 : 2;
    };
    r.run(body());
    ::_exit(status);
}
TEST_CASE("who starts a thread still takes signals") {
    const watchdog dog;
    child_program starts("child: starts a thread"); // in this process the threads may be there already
    CHECK(starts.wait() == 0);
}

TEST_CASE("child: exits in a call" * child_case()) {
    reactor r;
    r.run([]() -> task<> {
        co_await blocking([] { return 1; });
        co_await blocking([] { std::exit(9); });
    }());
}
TEST_CASE("a call may end the process") {
    const watchdog dog;
    child_program exits("child: exits in a call");
    CHECK(exits.wait() == 9);
}

TEST_CASE("child: has no thread to spare" * child_case()) {
    test_support::forbid_system_call(SYS_clone3, EAGAIN);
    test_support::forbid_system_call(SYS_clone, EAGAIN);
    reactor r;
    int status = 1;
    auto body = [&]() -> task<> {
        const auto none = co_await attempt(blocking([] { return 1; }));
        status = !none && none.error().code() == std::errc::resource_unavailable_try_again ? 0 : 2;
    };
    r.run(body());
    ::_exit(status);
}
TEST_CASE("without a thread the operation fails, and nothing hangs") {
    const watchdog dog;
    child_program poor("child: has no thread to spare");
    CHECK(poor.wait() == 0);
}

} // TEST_SUITE
