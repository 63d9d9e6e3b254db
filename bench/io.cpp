// SPDX-License-Identifier: MIT
// bench/io.cpp - what the reactor and its sockets cost: a turn, a message, a connection, a post, a blocking call.
//
// Run: bench_io --benchmark_filter=ping_pong. The argument is the driver: 0 io_uring, 1 epoll. Both ends of every
// exchange are in this process, so a number is the cost of both; compare numbers of one machine only.
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/io/blocking.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/listener.hpp>
#include <flux/net/udp.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <tuple>

namespace {

using namespace std::chrono_literals;

flux::reactor_options options_of(const benchmark::State& state) {
    flux::reactor_options options;
    options.driver = state.range(0) == 0 ? flux::driver_kind::uring : flux::driver_kind::epoll;
    return options;
}

/// Runs body(reactor&), a coroutine with the benchmark's loop, on the driver of the argument.
template <class Body>
void on_reactor(benchmark::State& state, Body body) {
    flux::reactor r(options_of(state));
    state.SetLabel(r.driver().name());
    r.run(body(r));
    state.counters["system calls of the driver"] =
        benchmark::Counter(static_cast<double>(r.stats().enters), benchmark::Counter::kAvgIterations);
}

struct socket_pair {
    explicit socket_pair(flux::reactor& r) {
        int both[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0) {
            a = flux::unix_stream(r, flux::unique_fd(both[0]));
            b = flux::unix_stream(r, flux::unique_fd(both[1]));
        }
    }
    flux::unix_stream a;
    flux::unix_stream b;
};

void turn(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor&) -> flux::task<> {
        for (auto _ : state) {
            co_await flux::sleep_for(0s);
        }
    });
}
BENCHMARK(turn)->Arg(0)->Arg(1);

// One message there and one back, a turn each.
void ping_pong(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor& r) -> flux::task<> {
        socket_pair s(r);
        const std::string text(64, 'x');
        std::byte room[64];
        for (auto _ : state) {
            co_await s.a.write_all(flux::as_octets(text));
            std::size_t n = co_await s.b.read_some(room);
            co_await s.b.write_all(flux::const_buffer(room, n));
            n = co_await s.a.read_some(room);
            benchmark::DoNotOptimize(n);
        }
    });
}
BENCHMARK(ping_pong)->Arg(0)->Arg(1);

// The same under a limit of its own for every read, as protocols have them.
void ping_pong_with_limits(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor& r) -> flux::task<> {
        socket_pair s(r);
        const std::string text(64, 'x');
        std::byte room[64];
        for (auto _ : state) {
            co_await s.a.write_all(flux::as_octets(text));
            std::size_t n = co_await flux::with_timeout(1min, s.b.read_some(room));
            co_await s.b.write_all(flux::const_buffer(room, n));
            n = co_await flux::with_timeout(1min, s.a.read_some(room));
            benchmark::DoNotOptimize(n);
        }
    });
}
BENCHMARK(ping_pong_with_limits)->Arg(0)->Arg(1);

// A read that waits and is stopped: what a time-out costs.
void stopped_read(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor& r) -> flux::task<> {
        socket_pair s(r);
        std::byte room[64];
        for (auto _ : state) {
            const auto n = co_await flux::attempt(flux::with_timeout(1us, s.b.read_some(room)));
            benchmark::DoNotOptimize(n.has_value());
        }
    });
}
BENCHMARK(stopped_read)->Arg(0)->Arg(1);

flux::task<> pour(flux::unix_stream& to, const std::string& text, std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
        co_await to.write_all(flux::as_octets(text));
    }
}

// 16 messages of the given size through one stream; read without a copy, or into own memory.
void stream_octets(benchmark::State& state, bool copy) {
    const auto size = static_cast<std::size_t>(state.range(1));
    on_reactor(state, [&](flux::reactor& r) -> flux::task<> {
        socket_pair s(r);
        const std::string text(size, 'x');
        std::string room(16'384, '\0');
        auto ctx = co_await flux::this_context();
        for (auto _ : state) {
            flux::task_scope scope(ctx);
            scope.spawn(&pour, std::ref(s.a), std::cref(text), std::size_t(16));
            for (std::size_t left = 16 * size; left > 0;) {
                if (copy) {
                    left -= co_await s.b.read_some(std::as_writable_bytes(std::span(room)));
                } else {
                    const auto octets = co_await s.b.receive();
                    left -= octets.size();
                }
            }
            co_await scope.join();
        }
    });
    state.SetBytesProcessed(state.iterations() * 16 * state.range(1));
}
void receive(benchmark::State& state) { stream_octets(state, false); }
void read_some(benchmark::State& state) { stream_octets(state, true); }
BENCHMARK(receive)->ArgsProduct({{0, 1}, {64, 4096, 65'536}});
BENCHMARK(read_some)->ArgsProduct({{0, 1}, {64, 4096, 65'536}});

void gathered_write(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor& r) -> flux::task<> {
        socket_pair s(r);
        const std::string head(200, 'h');
        const std::string body(1000, 'b');
        const flux::const_buffer list[] = {flux::as_octets(head), flux::as_octets(body)};
        for (auto _ : state) {
            co_await s.a.write_all(std::span<const flux::const_buffer>(list));
            for (std::size_t left = 1200; left > 0;) {
                const auto octets = co_await s.b.receive();
                left -= octets.size();
            }
        }
    });
}
BENCHMARK(gathered_write)->Arg(0)->Arg(1);

void connect_and_accept(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor& r) -> flux::task<> {
        auto listener = flux::tcp_listener::listen(r, flux::endpoint::loopback(0)).value();
        const flux::endpoint where = listener.local_endpoint().value();
        for (auto _ : state) {
            flux::tcp_stream client = co_await flux::tcp_connect(where);
            const flux::tcp_stream server = co_await listener.accept();
            client.abort(); // no TIME_WAIT: the ports would run out
        }
    });
}
BENCHMARK(connect_and_accept)->Arg(0)->Arg(1);

void datagram(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor& r) -> flux::task<> {
        auto a = flux::udp_socket::bind(r, flux::endpoint::loopback(0)).value();
        auto b = flux::udp_socket::bind(r, flux::endpoint::loopback(0)).value();
        const flux::endpoint where = b.local_endpoint().value();
        const std::string text(64, 'x');
        std::byte room[64];
        for (auto _ : state) {
            co_await a.send_to(flux::as_octets(text), where);
            const flux::datagram got = co_await b.receive_from(room);
            benchmark::DoNotOptimize(got.size);
        }
    });
}
BENCHMARK(datagram)->Arg(0)->Arg(1);

// Posts of another thread that are queued while the reactor is busy: 64 per turn.
void post(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor& r) -> flux::task<> {
        std::size_t ran = 0;
        for (auto _ : state) {
            for (int i = 0; i < 64; ++i) {
                r.post([&ran] { ++ran; });
            }
            co_await flux::sleep_for(0s);
        }
        benchmark::DoNotOptimize(ran);
    });
    state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(post)->Arg(0)->Arg(1);

void blocking_call(benchmark::State& state) {
    on_reactor(state, [&](flux::reactor&) -> flux::task<> {
        for (auto _ : state) {
            const int value = co_await flux::blocking([] { return 1; });
            benchmark::DoNotOptimize(value);
        }
    });
}
BENCHMARK(blocking_call)->Arg(0)->Arg(1)->UseRealTime();

} // namespace
