// SPDX-License-Identifier: MIT
// bench/coro.cpp - what a coroutine, a wait and a limit cost, without a kernel.
//
// Run: bench_coro --benchmark_filter=task. Each body is one coroutine whose every step is measured, on memory that
// is warm; compare numbers of one machine only.
#include <flux/coro/cancel.hpp>
#include <flux/coro/channel.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/map.hpp>
#include <flux/coro/mutex.hpp>
#include <flux/coro/semaphore.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;

namespace {

// Runs f(state), a coroutine with the measuring loop in it.
template <class F>
void run(benchmark::State& state, F f) {
    testing::virtual_loop_options options;
    options.max_steps = 0;
    testing::virtual_loop loop(options);
    const auto outcome = loop.run(f(state));
    if (!outcome) {
        state.SkipWithError(outcome.error().what());
    }
}

struct depth_key : context_key<int> {};

task<int> leaf(int n) { co_return n; }
task<int> nested(int depth) {
    if (depth == 0) {
        co_return 0;
    }
    auto below = co_await nested(depth - 1);
    co_return below + 1;
}
task<int> failing() { co_return fail(errc::closed); }

// ---- tasks ----

void task_call(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        for (auto _ : s) {
            auto n = co_await leaf(1);
            benchmark::DoNotOptimize(n);
        }
    });
}
BENCHMARK(task_call);

void task_call_nested(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        for (auto _ : s) {
            auto n = co_await nested(static_cast<int>(s.range(0)));
            benchmark::DoNotOptimize(n);
        }
        s.SetItemsProcessed(s.iterations() * s.range(0));
    });
}
BENCHMARK(task_call_nested)->Arg(4)->Arg(32);

void task_failure(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        for (auto _ : s) {
            auto r = co_await attempt(failing());
            benchmark::DoNotOptimize(r.has_value());
        }
    });
}
BENCHMARK(task_failure);

// Two coroutines that take turns: one switch is a trip through the ready queue.
void task_switch(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        channel<int> ping(0);
        auto other = [](channel<int>& ch) -> task<> {
            while (auto n = co_await ch.receive()) {
                benchmark::DoNotOptimize(*n);
            }
        };
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(other(ping));
        for (auto _ : s) {
            co_await ping.send(1);
        }
        ping.close();
        co_await scope.join();
        s.SetItemsProcessed(2 * s.iterations());
    });
}
BENCHMARK(task_switch);

void scope_spawn_and_join(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        for (auto _ : s) {
            scope.spawn(leaf(1));
            co_await scope.join();
        }
    });
}
BENCHMARK(scope_spawn_and_join);

// ---- context ----

void context_check(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        for (auto _ : s) {
            auto ctx = co_await this_context();
            benchmark::DoNotOptimize(ctx.stopped());
        }
    });
}
BENCHMARK(context_check);

void context_value(benchmark::State& state) {
    auto body = [](benchmark::State& s) -> task<> {
        for (auto _ : s) {
            auto ctx = co_await this_context();
            benchmark::DoNotOptimize(ctx.get<depth_key>());
        }
    };
    run(state, [&body](benchmark::State& s) -> task<> { co_await with_value<depth_key>(1, shield(body(s))); });
}
BENCHMARK(context_value);

// ---- limits ----

void timeout_armed_and_disarmed(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_event ready(true);
        for (auto _ : s) {
            co_await with_timeout(1s, ready.wait());
        }
    });
}
BENCHMARK(timeout_armed_and_disarmed);

void block_limit_opened(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_event ready(true);
        for (auto _ : s) {
            auto limit = co_await within(1s);
            co_await ready.wait();
        }
    });
}
BENCHMARK(block_limit_opened);

// A keep-alive connection moves its limit for every request.
void block_limit_restarted(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_event ready(true);
        auto limit = co_await within(1s);
        for (auto _ : s) {
            limit.restart(1s);
            co_await ready.wait();
        }
    });
}
BENCHMARK(block_limit_restarted);

void shielded(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_event ready(true);
        for (auto _ : s) {
            co_await shield(ready.wait());
        }
    });
}
BENCHMARK(shielded);

void under_cancel_token(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_event ready(true);
        const cancel_source source;
        const cancel_token token = source.token();
        for (auto _ : s) {
            co_await with_cancel(token, ready.wait());
        }
    });
}
BENCHMARK(under_cancel_token);

void sleep_of_no_length(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        for (auto _ : s) {
            co_await sleep_for(0s);
        }
    });
}
BENCHMARK(sleep_of_no_length);

// ---- primitives ----

void event_set(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_event ready(true);
        for (auto _ : s) {
            co_await ready.wait();
        }
    });
}
BENCHMARK(event_set);

void mutex_free(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_mutex mutex;
        for (auto _ : s) {
            auto guard = co_await mutex.lock();
            benchmark::DoNotOptimize(guard);
        }
    });
}
BENCHMARK(mutex_free);

// The mutex goes round among n coroutines: every lock waits and every unlock hands over.
void mutex_handed_over(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_mutex mutex;
        bool done = false;
        auto other = [](async_mutex& m, const bool& end) -> task<> {
            while (!end) {
                auto guard = co_await m.lock();
                co_await sleep_for(0s);
            }
        };
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        for (auto i = 1; i < s.range(0); ++i) {
            scope.spawn(other(mutex, done));
        }
        for (auto _ : s) {
            auto guard = co_await mutex.lock();
            co_await sleep_for(0s);
        }
        done = true;
        co_await scope.join();
        s.SetItemsProcessed(s.iterations() * s.range(0));
    });
}
BENCHMARK(mutex_handed_over)->Arg(2)->Arg(64);

void semaphore_free(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_semaphore semaphore(4);
        for (auto _ : s) {
            auto permit = co_await semaphore.acquire(2);
            benchmark::DoNotOptimize(permit);
        }
    });
}
BENCHMARK(semaphore_free);

void channel_send_and_receive(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        channel<int> ch(1);
        for (auto _ : s) {
            co_await ch.send(1);
            auto n = co_await ch.receive();
            benchmark::DoNotOptimize(n);
        }
    });
}
BENCHMARK(channel_send_and_receive);

// From one coroutine to another, through `capacity` slots.
void channel_stream(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        channel<int> ch(static_cast<std::size_t>(s.range(0)));
        auto sink = [](channel<int>& from) -> task<> {
            while (auto n = co_await from.receive()) {
                benchmark::DoNotOptimize(*n);
            }
        };
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.spawn(sink(ch));
        for (auto _ : s) {
            co_await ch.send(1);
        }
        ch.close();
        co_await scope.join();
        s.SetItemsProcessed(s.iterations());
    });
}
BENCHMARK(channel_stream)->ArgName("capacity")->Arg(0)->Arg(1)->Arg(64);

// ---- verbs ----

void when_all_of_two(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        for (auto _ : s) {
            auto both = co_await when_all(leaf(1), leaf(2));
            benchmark::DoNotOptimize(both);
        }
    });
}
BENCHMARK(when_all_of_two);

void when_any_of_two(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        async_event never;
        for (auto _ : s) {
            auto first = co_await when_any(leaf(1), never.wait());
            benchmark::DoNotOptimize(first);
        }
    });
}
BENCHMARK(when_any_of_two);

void map_over_sixteen(benchmark::State& state) {
    run(state, [](benchmark::State& s) -> task<> {
        const std::array<int, 16> input{};
        for (auto _ : s) {
            auto values = co_await map(input, 4, leaf);
            benchmark::DoNotOptimize(values.data());
        }
        s.SetItemsProcessed(s.iterations() * 16);
    });
}
BENCHMARK(map_over_sixteen);

// ---- mailbox ----

class quiet_box final : public detail::mailbox {
protected:
    void wake() noexcept override {}
};

struct letter : detail::mail {
    letter() : mail(&read, &read) {}
    static void read(mail& m) noexcept { static_cast<letter&>(m).on_its_way.store(false, std::memory_order_release); }
    std::atomic<bool> on_its_way{false};
};

void mailbox_push_and_run(benchmark::State& state) {
    quiet_box box;
    letter one;
    for (auto _ : state) {
        benchmark::DoNotOptimize(box.push(one));
        box.run_all();
    }
}
BENCHMARK(mailbox_push_and_run);

// What a push costs while the owner, another thread, takes the mail as fast as it comes.
void mailbox_push_across_threads(benchmark::State& state) {
    quiet_box box;
    std::vector<letter> letters(1 << 16);
    std::atomic<bool> done{false};
    std::thread owner([&box, &done] {
        while (!done.load(std::memory_order_relaxed)) {
            if (box.run_all() == 0) {
                std::this_thread::yield();
            }
        }
        box.run_all();
    });
    std::size_t next = 0;
    for (auto _ : state) {
        letter& mine = letters[next++ % letters.size()];
        while (mine.on_its_way.load(std::memory_order_acquire)) {
            std::this_thread::yield();
        }
        mine.on_its_way.store(true, std::memory_order_relaxed);
        benchmark::DoNotOptimize(box.push(mine));
    }
    done = true;
    owner.join();
}
BENCHMARK(mailbox_push_across_threads)->UseRealTime();

} // namespace
