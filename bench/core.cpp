// SPDX-License-Identifier: MIT
// bench/core.cpp - what the building blocks of the hot path cost: timers, callables, lists, results.
//
// Run: bench_core --benchmark_filter=timer. Every loop works on warm memory, so nothing here allocates; compare
// numbers of one machine only.
#include <flux/core/buffer.hpp>
#include <flux/core/function.hpp>
#include <flux/core/intrusive_list.hpp>
#include <flux/core/result.hpp>
#include <flux/core/timer_queue.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

namespace {

void fired(flux::timer&) noexcept {}

// A queue with n timers, due at random times within a minute; one more is armed and disarmed.
class armed_queue {
public:
    explicit armed_queue(std::size_t n) {
        timers_.reserve(n);
        for (std::size_t i = 0; i < n; ++i) {
            timers_.push_back(std::make_unique<flux::timer>(&fired));
            queue.arm(*timers_.back(), random_time());
        }
        for (std::size_t i = 0; i < times.size(); ++i) {
            times[i] = random_time();
        }
    }
    ~armed_queue() {
        for (const auto& t : timers_) {
            queue.disarm(*t);
        }
    }
    armed_queue(const armed_queue&) = delete;
    armed_queue& operator=(const armed_queue&) = delete;

    [[nodiscard]] flux::timer& any(std::size_t i) { return *timers_[(i * 7919) % timers_.size()]; }
    [[nodiscard]] flux::time_point random_time() {
        return flux::time_point(flux::milliseconds(random_() % 60'000)) + flux::nanoseconds(random_() % 1'000'000);
    }

    flux::timer_queue queue;
    std::vector<flux::time_point> times = std::vector<flux::time_point>(1024);

private:
    std::mt19937 random_{1};
    std::vector<std::unique_ptr<flux::timer>> timers_;
};

void timer_arm_disarm(benchmark::State& state) {
    armed_queue armed(static_cast<std::size_t>(state.range(0)));
    flux::timer mine(&fired);
    std::size_t i = 0;
    for (auto _ : state) {
        armed.queue.arm(mine, armed.times[i++ % 1024]);
        armed.queue.disarm(mine);
    }
}
BENCHMARK(timer_arm_disarm)->Arg(1)->Arg(1000)->Arg(100'000);

// What a request does to a connection's idle timer: the same timer again, later than all the others.
void timer_push_back(benchmark::State& state) {
    armed_queue armed(static_cast<std::size_t>(state.range(0)));
    std::size_t i = 0;
    flux::time_point later{flux::minutes(1)};
    for (auto _ : state) {
        later += flux::microseconds(1);
        armed.queue.arm(armed.any(i++), later);
    }
}
BENCHMARK(timer_push_back)->Arg(1)->Arg(1000)->Arg(100'000);

void timer_fire(benchmark::State& state) {
    flux::timer_queue queue;
    std::vector<std::unique_ptr<flux::timer>> timers;
    const auto n = static_cast<std::size_t>(state.range(0));
    for (std::size_t i = 0; i < n; ++i) {
        timers.push_back(std::make_unique<flux::timer>(&fired));
    }
    for (auto _ : state) {
        for (std::size_t i = 0; i < n; ++i) {
            queue.arm(*timers[i], flux::time_point(flux::nanoseconds((i * 7919) % n)));
        }
        benchmark::DoNotOptimize(queue.fire_due(flux::time_point(flux::seconds(1))));
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(timer_fire)->Arg(1)->Arg(1000)->Arg(100'000);

void function_call(benchmark::State& state) {
    std::uint64_t sum = 0;
    flux::unique_function<void(std::uint64_t)> f = [&sum](std::uint64_t n) { sum += n; };
    benchmark::DoNotOptimize(f);
    for (auto _ : state) {
        f(1);
        benchmark::ClobberMemory();
    }
    benchmark::DoNotOptimize(sum);
}
BENCHMARK(function_call);

void function_make_and_move(benchmark::State& state) {
    std::uint64_t sum = 0;
    for (auto _ : state) {
        flux::unique_function<void()> f = [&sum] { ++sum; };
        flux::unique_function<void()> g = std::move(f);
        benchmark::DoNotOptimize(g);
    }
}
BENCHMARK(function_make_and_move);

struct element : flux::list_hook<> {
    std::uint64_t payload[6] = {};
};

void list_push_pop(benchmark::State& state) {
    flux::intrusive_list<element> list;
    element elements[16];
    for (element& e : elements) {
        list.push_back(e);
    }
    for (auto _ : state) {
        element& e = list.pop_front();
        benchmark::DoNotOptimize(&e);
        list.push_back(e);
    }
    while (!list.empty()) {
        list.pop_front();
    }
}
BENCHMARK(list_push_pop);

[[gnu::noinline]] flux::result<std::size_t> transfer(std::size_t n, bool well) {
    if (!well) {
        return flux::fail(flux::errc::eof);
    }
    return n;
}

void result_of_a_call(benchmark::State& state) {
    const bool well = state.range(0) != 0;
    std::size_t sum = 0;
    for (auto _ : state) {
        const flux::result<std::size_t> r = transfer(3, well);
        sum += r ? *r : 1;
        benchmark::DoNotOptimize(sum);
    }
}
BENCHMARK(result_of_a_call)->ArgName("well")->Arg(1)->Arg(0);

// One turn of a connection: octets come in, a head of 120 octets is taken off in front.
void buffer_turn(benchmark::State& state) {
    flux::byte_buffer buffer;
    const std::string_view part("GET / HTTP/1.1\r\nHost: example.test\r\n");
    for (auto _ : state) {
        char* room = buffer.prepare(4096);
        benchmark::DoNotOptimize(room);
        std::memcpy(room, part.data(), part.size());
        buffer.commit(part.size());
        if (buffer.size() >= 120) {
            benchmark::DoNotOptimize(buffer.view().data());
            buffer.consume(120);
        }
    }
}
BENCHMARK(buffer_turn);

} // namespace
