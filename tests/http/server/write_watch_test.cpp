// SPDX-License-Identifier: MIT
#include <flux/http/server/write_watch.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/http/server/server.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/listener.hpp>
#include <flux/testing/memory_stream.hpp>

#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

#include <sys/socket.h>

using namespace flux;
using namespace std::chrono_literals;

static_assert(http::detail::write_watch<tcp_stream>::tells_progress);
static_assert(!http::detail::write_watch<testing::memory_stream>::tells_progress);

namespace {

constexpr std::size_t size = 16U << 20;

enum class way { whole, producer };

// What a client gets that reads `step` octets, waits, and so on; or that reads nothing for `stall`.
struct client {
    way body = way::whole;
    std::size_t step = 0;
    milliseconds pause{0};
    milliseconds stall{0};
};
struct seen {
    std::size_t octets = 0;
    bool cut = false;
};

task<> produce(http::body_writer& out) {
    static const std::string block(100'000, 'x');
    for (std::size_t left = size; left > 0;) {
        const std::size_t n = left < block.size() ? left : block.size();
        co_await out.write(std::string_view(block).substr(0, n));
        left -= n;
    }
}

task<> scenario(reactor* home, const client* c, seen* out) {
    auto ctx = co_await this_context();
    http::router app;
    app.get("/whole", [] { return http::bytes(std::string(size, 'x')); });
    app.get("/producer", [] { return http::response().stream(produce, size); });
    http::server_options options;
    options.write_timeout = 400ms;
    options.write_min_rate = 1000;
    auto listener = tcp_listener::listen(*home, endpoint::loopback(0)).value();
    const endpoint where = listener.local_endpoint().value();
    http::basic_server<tcp_listener> server(app, options);
    task_scope serving(ctx, scope_policy::collect);
    serving.spawn(server.serve(std::move(listener)));
    auto stream = co_await tcp_connect(where);
    const std::string request = std::string("GET ") + (c->body == way::whole ? "/whole" : "/producer") + " HTTP/1.1\r\nHost: a\r\n\r\n";
    co_await stream.write_all(as_octets(request));
    co_await sleep_for(c->stall);
    std::vector<std::byte> buffer(c->step == 0 ? 1U << 20 : c->step);
    for (std::size_t since = 0; out->octets < size;) {
        auto n = co_await attempt(stream.read_some(buffer));
        if (!n || *n == 0) {
            out->cut = true;
            break;
        }
        out->octets += *n;
        since += *n;
        if (c->step != 0 && since >= c->step) {
            since = 0;
            co_await sleep_for(c->pause);
        }
    }
    stream.close();
    serving.stop(stop_reason::shutdown);
    auto joined = co_await attempt(serving.join());
    ignore_result(joined, "it was stopped");
}

seen run(const reactor_options& options, const client& c) {
    reactor r(options);
    seen out;
    r.run(scenario(&r, &c, &out));
    return out;
}

} // namespace

TEST_SUITE_BEGIN("http/server/write_watch");

TEST_CASE("a slow reader gets the whole body, although that takes longer than write_timeout") {
    test_support::on_each_driver([](const reactor_options& options) {
        for (const way body : {way::whole, way::producer}) {
            client slow;
            slow.body = body;
            slow.step = 1U << 20;
            slow.pause = 60ms; // 16 of them: more than two write_timeouts
            const seen s = run(options, slow);
            CHECK_FALSE(s.cut);
            CHECK(s.octets >= size);
        }
    });
}

TEST_CASE("a reader that stops is cut off, in the middle of a streamed body too") {
    test_support::on_each_driver([](const reactor_options& options) {
        for (const way body : {way::whole, way::producer}) {
            client stalled;
            stalled.body = body;
            stalled.stall = 1500ms;
            const seen s = run(options, stalled);
            CHECK(s.cut);
            CHECK(s.octets < size);
        }
    });
}

TEST_SUITE_END();
