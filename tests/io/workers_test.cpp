// SPDX-License-Identifier: MIT
#include <flux/io/workers.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

using namespace flux;
using namespace std::chrono_literals;
using test_support::child_case;
using test_support::child_program;
using test_support::on_each_driver;
using test_support::say;
using test_support::watchdog;

namespace {

workers_options quiet(const reactor_options& options) {
    workers_options all;
    all.reactor = options;
    all.handle_signals = false;
    return all;
}

task<> wait_for(std::atomic<int>& count, int n) {
    while (count.load() < n) {
        co_await sleep_for(1ms);
    }
}

} // namespace

TEST_SUITE("io/workers") {

TEST_CASE("every worker has a thread and a reactor of its own, and worker 0 the caller's thread") {
    on_each_driver([](const reactor_options& options) {
        std::mutex mutex;
        std::set<std::thread::id> threads;
        std::set<const scheduler*> reactors;
        std::thread::id first;
        auto body = [&](unsigned index) -> task<> {
            auto ctx = co_await this_context();
            const std::lock_guard lock(mutex);
            threads.insert(std::this_thread::get_id());
            reactors.insert(&ctx.home());
            if (index == 0) {
                first = std::this_thread::get_id();
            }
        };
        // all at the same time, or a reactor could get the address of one that has ended
        std::atomic<int> there{0};
        auto meet = [&](unsigned index) -> task<> {
            co_await body(index);
            ++there;
            co_await wait_for(there, 4);
        };
        run_workers(4, meet, quiet(options));
        CHECK(threads.size() == 4);
        CHECK(reactors.size() == 4);
        CHECK(first == std::this_thread::get_id());
    });
}

TEST_CASE("one worker needs no thread") {
    on_each_driver([](const reactor_options& options) {
        std::thread::id where;
        auto body = [&](unsigned index, worker_group group) -> task<> {
            CHECK(index == 0);
            CHECK(group.size() == 1);
            where = std::this_thread::get_id();
            co_await sleep_for(1ms);
        };
        run_workers(1, body, quiet(options));
        CHECK(where == std::this_thread::get_id());
    });
}

TEST_CASE("a worker that ends well does not end the others") {
    on_each_driver([](const reactor_options& options) {
        std::atomic<int> ended{0};
        auto body = [&](unsigned index) -> task<> {
            co_await wait_for(ended, static_cast<int>(index)); // one after the other
            ++ended;
        };
        run_workers(4, body, quiet(options));
        CHECK(ended.load() == 4);
    });
}

TEST_CASE("the first failure stops the others with shutdown, and is thrown when all have ended") {
    on_each_driver([](const reactor_options& options) {
        for (const unsigned failing : {0U, 2U}) {
            CAPTURE(failing);
            std::atomic<int> stopped{0};
            auto body = [&](unsigned index) -> task<> {
                if (index == failing) {
                    co_await sleep_for(5ms);
                    co_await fail(error(errc::limit).doing("worker"));
                }
                const auto r = co_await attempt(sleep_for(1h));
                stopped += r.error().is(errc::shutdown) ? 1 : 100;
                co_await fail(r.error());
            };
            std::string what;
            try {
                run_workers(4, body, quiet(options));
            } catch (const error& e) {
                what = e.message();
            }
            CHECK(what == "worker: limit exceeded");
            CHECK(stopped.load() == 3);
        }
    });
}

TEST_CASE("any exception passes, from the task and from the function that makes it") {
    on_each_driver([](const reactor_options& options) {
        auto in_task = [](unsigned index) -> task<> {
            co_await sleep_for(1ms);
            if (index == 1) {
                throw std::runtime_error("in the task");
            }
            std::ignore = co_await attempt(sleep_for(1h));
        };
        CHECK_THROWS_WITH_AS(run_workers(3, in_task, quiet(options)), "in the task", std::runtime_error);
        auto before = [](unsigned index) -> task<> {
            if (index == 1) {
                throw std::runtime_error("before it");
            }
            return []() -> task<> { std::ignore = co_await attempt(sleep_for(1h)); }();
        };
        CHECK_THROWS_WITH_AS(run_workers(3, before, quiet(options)), "before it", std::runtime_error);
    });
}

TEST_CASE("a group is stopped from any worker, with the reason that was given") {
    on_each_driver([](const reactor_options& options) {
        for (const stop_reason reason : {stop_reason::shutdown, stop_reason::canceled}) {
            std::atomic<int> right{0};
            auto body = [&](unsigned index, worker_group group) -> task<> {
                if (index == 1) {
                    group.stop(reason);
                    group.stop(stop_reason::disconnected); // the first reason wins
                }
                const auto r = co_await attempt(sleep_for(1h));
                auto ctx = co_await this_context();
                right += ctx.reason() == reason ? 1 : 0;
                co_await fail(r.error()); // no failure: it did what it was told
            };
            run_workers(3, body, quiet(options));
            CHECK(right.load() == 3);
        }
    });
}

TEST_CASE("a group may be stopped from elsewhere, early or late") {
    on_each_driver([](const reactor_options& options) {
        for (int round = 0; round < 30; ++round) {
            std::atomic<const worker_group*> known{nullptr};
            std::thread stopper([&] {
                while (known.load() == nullptr) {
                    std::this_thread::yield();
                }
                for (int i = 0; i < round * 20; ++i) {
                    std::this_thread::yield();
                }
                known.load()->stop();
            });
            auto body = [&](unsigned index, worker_group group) -> task<> {
                if (index == 0) {
                    known = &group;
                }
                std::ignore = co_await attempt(sleep_for(1h));
                if (index == 0) {
                    co_await shield(sleep_for(1ms)); // `group` is a parameter of this frame
                    stopper.join();
                }
            };
            run_workers(3, body, quiet(options));
        }
    });
}

TEST_CASE("a pinned worker may use one CPU, and the caller gets its own back") {
    on_each_driver([](const reactor_options& options) {
        ::cpu_set_t before;
        REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
        std::atomic<int> one_cpu{0};
        auto body = [&](unsigned) -> task<> {
            ::cpu_set_t mine;
            ::sched_getaffinity(0, sizeof mine, &mine);
            one_cpu += CPU_COUNT(&mine) == 1 ? 1 : 0;
            co_return;
        };
        workers_options all = quiet(options);
        all.pin = true;
        const auto n = static_cast<unsigned>(CPU_COUNT(&before)) + 1; // the last one shares
        run_workers(n, body, all);
        CHECK(one_cpu.load() == static_cast<int>(n));
        ::cpu_set_t after;
        REQUIRE(::sched_getaffinity(0, sizeof after, &after) == 0);
        CHECK(CPU_EQUAL(&before, &after));
    });
}

TEST_CASE("a reactor that cannot be made is a failure of its worker") {
    on_each_driver([](const reactor_options& options) {
        workers_options all = quiet(options);
        all.reactor.buffer_count = 5;
        auto body = [](unsigned) -> task<> { co_return; };
        bool refused = false;
        try {
            run_workers(2, body, all);
        } catch (const error& e) {
            refused = e.is(errc::invalid_argument);
        }
        CHECK(refused);
    });
}

TEST_CASE("child: workers until a signal" * child_case()) {
    std::atomic<int> waiting{0};
    std::atomic<int> stopped{0};
    auto body = [&](unsigned index) -> task<> {
        if (index == 0) {
            co_return; // the caller's thread has nothing left to do, and yet signals must work
        }
        if (++waiting == 2) {
            say("ready");
        }
        const auto r = co_await attempt(sleep_for(1h));
        stopped += r.error().is(errc::shutdown) ? 1 : 0;
        co_await fail(r.error());
    };
    run_workers(3, body);
    ::_exit(stopped.load() == 2 ? 0 : 1);
}
TEST_CASE("a signal stops all workers, also when the first one has ended") {
    const watchdog dog;
    for (const int number : {SIGINT, SIGTERM}) {
        child_program workers("child: workers until a signal");
        workers.until_said("ready");
        workers.signal(number);
        CHECK(workers.wait() == 0);
        CHECK(workers.complaints() == "");
    }
}

TEST_CASE("child: workers that are stuck" * child_case()) {
    std::atomic<int> there{0};
    auto body = [&](unsigned) -> task<> {
        if (++there == 2) {
            say("ready");
        }
        for (;;) {
            ::usleep(1000);
        }
        co_return;
    };
    run_workers(2, body);
}
TEST_CASE("a second signal ends workers that are stuck") {
    const watchdog dog;
    child_program stuck("child: workers that are stuck");
    stuck.until_said("ready");
    CHECK(stuck.signal_until_ended(SIGTERM) == 128 + SIGTERM);
}

TEST_CASE("child: no more threads" * child_case()) {
    test_support::forbid_system_call(SYS_clone3, EAGAIN);
    test_support::forbid_system_call(SYS_clone, EAGAIN);
    auto body = [](unsigned) -> task<> { co_return; };
    int status = 1;
    try {
        run_workers(3, body);
    } catch (const error& e) {
        status = e.code() == std::errc::resource_unavailable_try_again ? 0 : 2;
    }
    ::_exit(status);
}
TEST_CASE("a thread that cannot be started is an error, and the others end") {
    const watchdog dog;
    child_program poor("child: no more threads");
    CHECK(poor.wait() == 0);
}

} // TEST_SUITE
