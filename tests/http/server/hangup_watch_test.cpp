// SPDX-License-Identifier: MIT
#include <flux/http/server/hangup_watch.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>

#include <http/server/over_tcp.hpp>
#include <support/driver_matrix.hpp>
#include <support/transport_sockets.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace flux;
using namespace std::chrono_literals;

namespace {

struct outcome {
    bool started = false;
    std::string ended;    // of what the handler waited for
    bool shielded = false; // what it shielded came to its end
    bool after = false;   // and the wait after it failed at once
};

task<> protected_work(bool* done) {
    co_await sleep_for(20ms);
    *done = true;
}

// A client that sends `octets`, which the handler does not read, and then leaves.
task<> leave(reactor* home, std::string octets, bool reset, outcome* out) {
    http::router app;
    app.any("/wait", [out](http::request&) -> task<std::string> {
        out->started = true;
        auto slept = co_await attempt(sleep_for(1h));
        out->ended = slept ? "slept" : slept.error().message();
        co_await shield(protected_work(&out->shielded));
        auto again = co_await attempt(sleep_for(1h));
        out->after = !again && again.error().is(errc::disconnected);
        co_return "nobody listens";
    });
    http::server_options options;
    options.end_grace = 10ms;
    auto use = [&](test_support::any_tcp& client, const http::server_stats& stats) -> task<> {
        co_await client.ready();
        // more than the kernel and the server hold: it is not all sent when the client goes
        auto sent = co_await attempt(with_timeout(200ms, client.write_all(as_octets(octets))));
        ignore_result(sent, "the handler does not read");
        while (!out->started) {
            co_await sleep_for(1ms);
        }
        if (reset) {
            client.abort();
        } else {
            client.close();
        }
        while (stats.connections != 0) {
            co_await sleep_for(1ms);
        }
    };
    co_await flux_test::with_client(home, &app, options, use);
}

void expect_disconnect(const std::string& octets, bool reset) {
    test_support::on_each_driver([&](const reactor_options& options) {
        reactor r(options);
        outcome out;
        r.run(leave(&r, octets, reset, &out));
        CHECK(out.started);
        CHECK(out.ended == error(errc::disconnected).message());
        CHECK(out.shielded);
        CHECK(out.after);
    });
}

const std::string post = "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n";
const std::string get = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

} // namespace

TEST_SUITE_BEGIN("http/server/hangup_watch");

TEST_CASE("a client that resets stops the handler although nobody reads, and what is shielded ends") {
    expect_disconnect(get, true);
}

TEST_CASE("a client that closes stops the handler after the grace") { expect_disconnect(get, false); }

TEST_CASE("a reset is seen behind a body that nobody reads") {
    expect_disconnect(post + std::string(1000, 'x'), true);
    expect_disconnect(post + std::string(9'000'000, 'x'), true);
}

TEST_CASE("a reset is seen behind pipelined requests") {
    std::string many = get;
    for (int i = 0; i < 100'000; ++i) {
        many += get;
    }
    expect_disconnect(get + get, true);
    expect_disconnect(many, true);
}

TEST_CASE("the end of the stream is seen behind octets that nobody reads") {
    expect_disconnect(post + std::string(1000, 'x'), false);
    expect_disconnect(get + get, false);
}

TEST_SUITE_END();
