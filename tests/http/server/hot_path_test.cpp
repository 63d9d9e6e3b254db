// SPDX-License-Identifier: MIT
// Counts what a keep-alive request costs on the hot path: heap allocations, coroutine frames, kernel entries.
#include <flux/http/server/server.hpp> // also proves the header is self-contained

#include "support/counting_new.hpp"

#include <flux/coro/event.hpp>
#include <flux/net/listener.hpp>
#include <support/transport_sockets.hpp>

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using namespace flux;

namespace {

struct counters {
    std::uint64_t allocations = 0;
    std::uint64_t frames = 0;
    std::uint64_t turns = 0;
    std::uint64_t enters = 0;
};

// Every round asks on all connections, then reads all answers.
class keep_alive_client {
public:
    task<> connect(endpoint where, std::size_t connections) {
        for (std::size_t i = 0; i < connections; ++i) {
            auto stream = co_await test_support::any_connect(where);
            co_await stream.ready();
            streams_.push_back(std::move(stream));
        }
    }
    task<> rounds(int n, std::string_view request) {
        for (int i = 0; i < n; ++i) {
            for (auto& stream : streams_) {
                co_await stream.write_all(as_octets(request));
            }
            for (auto& stream : streams_) {
                co_await read_answer(stream);
            }
        }
    }
    task<> one(std::string_view request) {
        co_await streams_[0].write_all(as_octets(request));
        co_await read_answer(streams_[0]);
    }
    [[nodiscard]] bool ok() const noexcept { return ok_; }

private:
    task<> read_answer(test_support::any_tcp& from) {
        const auto octets = co_await from.receive();
        ok_ = ok_ && as_text(octets.octets()).starts_with("HTTP/1.1 200");
    }
    std::vector<test_support::any_tcp> streams_;
    bool ok_ = true;
};

std::uint64_t allocations_so_far() {
    return test_support::allocations_are_counted() ? test_support::allocations_of_this_thread().allocations : 0;
}

struct measured {
    counters per_run;
    std::uint64_t requests = 0;
    std::uint64_t connections = 0;
    bool ok = false;
};

// One mark lies between the two, and once more as many frames as at any time before may be in use.
std::uint64_t of_tls(const measured& m) { return test_support::tls_costs() * (m.requests + 1 + m.connections); }

// A handler that answers when each connection has had a request in progress at the same time, and at once from then on:
// what is kept for another time is there for all of them then, however busy the machine is.
struct together {
    std::size_t awaited;
    async_event all_there{};

    task<std::string_view> hello() { return run(this); }
    static task<std::string_view> run(together* self) {
        if (self->awaited != 0 && --self->awaited == 0) {
            self->all_there.set();
        }
        co_await self->all_there.wait();
        co_return "Hello, World!";
    }
};

// Serves `rounds` rounds on `connections` keep-alive connections after a warm-up, counted between two marks.
measured measure(std::string_view path, std::size_t connections, int rounds) {
    reactor home;
    counters marks[2];
    int marked = 0;
    http::router app;
    app.get("/", [] { return "Hello, World!"; });
    together all{connections};
    app.get("/async", [&](http::request&) { return all.hello(); });
    app.get("/mark", [&] {
        marks[marked++] = {allocations_so_far(), coroutine_frame_stats().allocated, home.turns(), home.stats().enters};
        return "marked";
    });
    auto listener = tcp_listener::listen(home, endpoint::loopback(0)).value();
    const endpoint where = listener.local_endpoint().value();
    const test_support::library_allocations counted;
    const auto server = test_support::make_server(app);
    measured out;
    const std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    const auto ask = [&]() -> task<> {
        constexpr std::string_view at_once = "GET /async HTTP/1.1\r\nHost: a\r\n\r\n";
        constexpr std::string_view mark = "GET /mark HTTP/1.1\r\nHost: a\r\n\r\n";
        keep_alive_client client;
        co_await client.connect(where, connections);
        co_await client.rounds(1, at_once);
        co_await client.rounds(20, request);
        co_await client.one(mark);
        co_await client.rounds(rounds, request);
        co_await client.one(mark);
        out.ok = client.ok();
    };
    std::thread client_thread([&] {
        reactor own;
        own.run(ask());
        home.post([&home] { home.root().stop(stop_reason::shutdown); });
    });
    home.run(server->serve(std::move(listener)));
    client_thread.join();
    out.connections = connections;
    out.requests = connections * static_cast<std::size_t>(rounds);
    out.per_run = {marks[1].allocations - marks[0].allocations, marks[1].frames - marks[0].frames,
                   marks[1].turns - marks[0].turns, marks[1].enters - marks[0].enters};
    return out;
}

} // namespace

TEST_SUITE_BEGIN("http/server/hot_path");

TEST_CASE("a warm keep-alive GET allocates nothing and needs no coroutine frame of its own; over TLS it takes 5 of either") {
    const measured m = measure("/", 8, 200);
    CHECK(m.ok);
    CHECK(m.per_run.frames <= of_tls(m));
    if (test_support::allocations_are_counted()) {
        CHECK(m.per_run.allocations <= of_tls(m));
    }
}

TEST_CASE("a warm GET of an asynchronous handler allocates nothing and takes at most 4 frames; over TLS 5 of either more") {
    const measured m = measure("/async", 8, 200);
    CHECK(m.ok);
    CHECK(m.per_run.frames <= 4 * m.requests + of_tls(m));
    if (test_support::allocations_are_counted()) {
        CHECK(m.per_run.allocations <= of_tls(m));
    }
}

TEST_CASE("at 64 connections a turn of the loop enters the kernel at most 1.1 times") {
    const measured m = measure("/", 64, 200);
    CHECK(m.ok);
    CHECK(m.per_run.turns > 0);
    CHECK(m.per_run.enters * 10 <= m.per_run.turns * 11);
}

TEST_SUITE_END();
