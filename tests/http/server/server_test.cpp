// SPDX-License-Identifier: MIT
#include <flux/http/server/server.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <vector>

using namespace flux;
using test_support::borrowed_listener;
using namespace std::chrono_literals;

namespace {

http::router make_app() {
    http::router app;
    app.get("/", [] { return "hello"; });
    app.get("/page", [] { return std::string(2000, 'p'); });
    app.get("/size/{n}", [](http::request&, std::size_t n) { return std::string(n, 's'); });
    app.get("/slow", [](http::request&) -> task<std::string> {
        co_await sleep_for(5s);
        co_return "slow";
    });
    app.get("/forever", [](http::request&) -> task<std::string> {
        co_await sleep_for(24h);
        co_return "never";
    });
    app.post("/echo", [](http::request& req) -> task<http::response> {
        std::string body = co_await req.text();
        co_return http::bytes(std::move(body));
    });
    return app;
}

constexpr std::string_view get_root = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// One answer, as far as one receive gives it; empty at the end, "reset" after one.
task<std::string> answer(test_support::any_stream* from) {
    auto octets = co_await attempt(from->receive());
    if (!octets) {
        co_return "reset";
    }
    co_return std::string(as_text(octets->octets()));
}

bool begins_with(const std::string& text, std::string_view start) { return text.compare(0, start.size(), start) == 0; }

task<> is_served(test_support::any_stream* by) {
    co_await by->write_all(as_octets(get_root));
    const std::string got = co_await answer(by);
    CHECK(begins_with(got, "HTTP/1.1 200"));
}

// A server that runs.
struct running {
    running(context ctx, test_support::any_listener& l, const http::router& app, const http::server_options& options)
        : listener(l), server(app, options), scope(ctx, scope_policy::collect) {
        scope.spawn(server.serve(borrowed_listener(listener)));
    }
    void stop() { scope.stop(stop_reason::shutdown); }
    /// Waits until it has ended, after stop().
    task<> ended() {
        const auto joined = co_await attempt(scope.join());
        CHECK(joined);
    }
    [[nodiscard]] time_point now() { return scope.ctx().home().now(); }

    test_support::any_listener& listener;
    http::basic_server<borrowed_listener> server;
    task_scope scope;
};

struct fixture {
    /// Params  test  is handed the server, stops it, and waits for its end.
    template <class Test>
    void run(Test test) {
        auto scenario = [](fixture* f, Test t) -> task<> {
            auto ctx = co_await this_context();
            running s(ctx, f->listener, f->app, f->options);
            co_await t(s);
        };
        const auto ended = loop.run(scenario(this, test));
        CHECK(ended);
    }

    testing::virtual_loop loop;
    http::router app = make_app();
    test_support::any_listener listener;
    http::server_options options;
};

} // namespace

TEST_SUITE_BEGIN("http/server/server");

TEST_CASE("a stop closes idle connections, answers what is in flight with Connection: close, and ends") {
    fixture f;
    f.run([](running& s) -> task<> {
        auto idle = s.listener.connect().value();
        auto busy = s.listener.connect().value();
        auto upload = s.listener.connect().value();
        co_await is_served(&idle);
        co_await busy.write_all(as_octets("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
        co_await upload.write_all(as_octets("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"));
        co_await sleep_for(1s);
        s.stop();
        const std::string closed = co_await answer(&idle);
        CHECK(closed.empty());
        CHECK_FALSE(s.listener.connect().has_value());
        co_await upload.write_all(as_octets("def"));
        const std::string echoed = co_await answer(&upload);
        CHECK(begins_with(echoed, "HTTP/1.1 200"));
        CHECK(echoed.find("abcdef") != std::string::npos);
        const std::string slow = co_await answer(&busy);
        CHECK(begins_with(slow, "HTTP/1.1 200"));
        CHECK(slow.find("Connection: close\r\n") != std::string::npos);
        const time_point before = s.now();
        co_await s.ended();
        CHECK(s.now() - before < 1s);
        CHECK(s.server.stats().connections == 0);
    });
}

TEST_CASE("what does not end within the drain timeout is stopped with `shutdown` and answered 503") {
    fixture f;
    f.run([](running& s) -> task<> {
        auto busy = s.listener.connect().value();
        co_await busy.write_all(as_octets("GET /forever HTTP/1.1\r\nHost: a\r\n\r\n"));
        co_await sleep_for(1s);
        const time_point before = s.now();
        s.stop();
        const std::string refused = co_await answer(&busy);
        CHECK(begins_with(refused, "HTTP/1.1 503"));
        busy.close();
        co_await s.ended();
        CHECK(s.now() - before >= 15s);
        CHECK(s.now() - before < 17s);
    });
}

TEST_CASE("running out of descriptors backs off and goes on") {
    fixture f;
    f.run([](running& s) -> task<> {
        for (int i = 0; i < 5; ++i) {
            s.listener.inject_error(EMFILE);
            co_await sleep_for(300ms);
        }
        auto client = s.listener.connect().value();
        co_await is_served(&client);
        CHECK(s.server.stats().accept_errors > 0);
        client.close();
        s.stop();
        co_await s.ended();
    });
}

TEST_CASE("connections over the limit are answered 503 and closed; the others go on") {
    fixture f;
    f.options.max_connections = 2;
    f.run([](running& s) -> task<> {
        auto a = s.listener.connect().value();
        auto b = s.listener.connect().value();
        co_await sleep_for(10ms);
        auto c = s.listener.connect().value();
        co_await c.write_all(as_octets(get_root));
        const std::string refused = co_await answer(&c);
        CHECK(begins_with(refused, "HTTP/1.1 503"));
        const std::string end = co_await answer(&c);
        CHECK(end.empty());
        co_await is_served(&b);
        CHECK(s.server.stats().refused == 1);
        a.close();
        co_await sleep_for(10ms);
        auto d = s.listener.connect().value();
        co_await is_served(&d);
        b.close();
        c.close();
        d.close();
        s.stop();
        co_await s.ended();
    });
}

TEST_CASE("by choice, connections over the limit wait until one ends") {
    fixture f;
    f.options.max_connections = 2;
    f.options.over_limit = http::overload::pause;
    f.run([](running& s) -> task<> {
        auto a = s.listener.connect().value();
        auto b = s.listener.connect().value();
        co_await sleep_for(10ms);
        auto c = s.listener.connect().value();
        co_await sleep_for(1s);
        const auto* const below = c.under();
        CHECK((below != nullptr && !below->has_input()));
        CHECK(s.server.stats().connections == 2);
        a.close();
        co_await is_served(&c);
        CHECK(s.server.stats().refused == 0);
        // A server that waits for room can be stopped.
        s.stop();
        b.close();
        c.close();
        co_await s.ended();
    });
}

TEST_CASE("one peer has so many connections and no more; others are not concerned") {
    fixture f;
    f.options.max_connections_per_peer = 2;
    f.options.retry_after = seconds(7);
    f.run([](running& s) -> task<> {
        const auto from = [&s](const char* where) { return s.listener.connect(endpoint::parse(where).value()).value(); };
        auto a = from("192.0.2.1:1");
        auto b = from("192.0.2.1:2");
        co_await sleep_for(10ms);
        auto c = from("192.0.2.1:3");
        auto d = from("192.0.2.2:1");
        co_await d.write_all(as_octets(get_root));
        const std::string refused = co_await answer(&c);
        CHECK(begins_with(refused, "HTTP/1.1 503"));
        CHECK(refused.find("Retry-After: 7\r\n") != std::string::npos);
        const std::string served = co_await answer(&d);
        CHECK(begins_with(served, "HTTP/1.1 200"));
        b.close();
        co_await sleep_for(10ms);
        auto e = from("192.0.2.1:4");
        co_await is_served(&e);
        CHECK(s.server.stats().refused == 1);
        a.close();
        c.close();
        d.close();
        e.close();
        s.stop();
        co_await s.ended();
    });
}

TEST_CASE("a connection that has not asked yet gets a moment for it when the server ends") {
    fixture f;
    f.run([](running& s) -> task<> {
        auto late = s.listener.connect().value();
        auto silent = s.listener.connect().value();
        co_await sleep_for(10ms);
        const time_point start = s.now();
        s.stop();
        co_await sleep_for(500ms);
        co_await late.write_all(as_octets(get_root));
        const std::string served = co_await answer(&late);
        CHECK(begins_with(served, "HTTP/1.1 200"));
        CHECK(served.find("Connection: close\r\n") != std::string::npos);
        const std::string nothing = co_await answer(&silent);
        CHECK(nothing.empty());
        CHECK(s.now() - start == 1s);
        late.close();
        silent.close();
        co_await s.ended();
    });
}

TEST_CASE("a head that has begun to arrive has a moment to become whole when the server ends, then 408") {
    fixture f;
    f.run([](running& s) -> task<> {
        auto used = s.listener.connect().value();
        auto fresh = s.listener.connect().value();
        auto whole = s.listener.connect().value();
        auto late = s.listener.connect().value();
        co_await is_served(&used);
        co_await used.write_all(as_octets("GET / HTTP/1.1\r\nHost"));
        co_await fresh.write_all(as_octets("GET / HTTP/1.1\r\nHost"));
        co_await whole.write_all(as_octets("GET / HTTP/1.1\r\nHost"));
        co_await sleep_for(10ms);
        const time_point start = s.now();
        s.stop();
        co_await sleep_for(900ms);
        co_await late.write_all(as_octets("GET / HTTP/1.1\r\n"));
        co_await used.write_all(as_octets(": "));
        co_await whole.write_all(as_octets(": a\r\n\r\n"));
        const std::string served = co_await answer(&whole);
        CHECK(begins_with(served, "HTTP/1.1 200"));
        const std::string refused = co_await answer(&used);
        CHECK(begins_with(refused, "HTTP/1.1 408"));
        const std::string the_same = co_await answer(&fresh);
        CHECK(begins_with(the_same, "HTTP/1.1 408"));
        CHECK(s.now() - start == 1s);
        const std::string last = co_await answer(&late);
        CHECK(begins_with(last, "HTTP/1.1 408"));
        CHECK(s.now() - start == 1900ms);
        used.close();
        fresh.close();
        whole.close();
        late.close();
        co_await s.ended();
    });
}

TEST_CASE("a head that the end of the drain cuts off is 408, which says that it may be sent again") {
    fixture f;
    f.options.drain_timeout = 500ms; // less than fresh_grace
    f.run([](running& s) -> task<> {
        auto late = s.listener.connect().value();
        co_await late.write_all(as_octets("GET / HTTP/1.1\r\nHost"));
        co_await sleep_for(10ms);
        s.stop();
        const std::string refused = co_await answer(&late);
        CHECK(begins_with(refused, "HTTP/1.1 408"));
        late.close();
        co_await s.ended();
    });
}

TEST_CASE("the time in which answers are written is not taken from the head behind them" *
          test_support::plain_only("fills a stream to a few octets, which records do not")) {
    for (const bool drains : {false, true}) {
        CAPTURE(drains);
        fixture f;
        f.options.head_timeout = 5s;
        f.options.pipeline_octets = 400'000;
        f.run([drains](running& s) -> task<> {
            auto slow = s.listener.connect().value();
            std::string requests; // whose answers go out together, and are more than the client's buffer holds
            for (std::size_t size = 0; size <= testing::memory_options().capacity; size += 16'000) {
                requests += "GET /size/16000 HTTP/1.1\r\nHost: a\r\n\r\n";
            }
            co_await slow.write_all(as_octets(requests + "GET / HTTP/1.1\r\nHost"));
            co_await sleep_for(10ms); // the answer is being written
            if (drains) {
                s.stop();
            }
            co_await slow.write_all(as_octets(": a\r\n\r\n")); // it is whole, but not read yet
            co_await sleep_for(6s);
            std::string got;
            while (got.find("hello") == std::string::npos) {
                const std::string more_of_it = co_await answer(&slow);
                got += more_of_it;
                if (more_of_it.empty() || more_of_it == "reset") {
                    break;
                }
            }
            CHECK(got.ends_with("hello"));
            CHECK(got.find("HTTP/1.1 408") == std::string::npos);
            slow.close();
            if (!drains) {
                s.stop();
            }
            co_await s.ended();
        });
    }
}

TEST_CASE("a 408 that nobody reads does not hold up the end of the server" *
          test_support::plain_only("fills a stream to a few octets, which records do not")) {
    fixture f;
    f.options.write_timeout = 10min;
    f.options.drain_timeout = 5s;
    f.run([](running& s) -> task<> {
        auto deaf = s.listener.connect().value();
        // What the client's buffer holds but for some octets, which are too few for the 408.
        const std::string most = "GET /size/" + std::to_string(testing::memory_options().capacity - 200) + " HTTP/1.1\r\nHost: a\r\n\r\n";
        co_await deaf.write_all(as_octets(most + "GET / HTTP/1.1\r\nHost"));
        co_await sleep_for(15s);
        CHECK(s.server.stats().bad_requests == 1);
        CHECK(s.server.stats().connections == 1);
        const time_point start = s.now();
        s.stop();
        co_await s.ended();
        CHECK(s.now() - start <= 6s);
        deaf.close();
    });
}

TEST_CASE("a client that does not read its last answers does not hold up the end of the server") {
    fixture f;
    f.options.write_timeout = 10min;
    f.options.pipeline_octets = 400'000;
    f.options.drain_timeout = 5s;
    f.run([](running& s) -> task<> {
        auto deaf = s.listener.connect().value();
        std::string requests;
        for (int i = 0; i < 100; ++i) { // their answers are more than the client's buffer takes
            requests += "GET /page HTTP/1.1\r\nHost: a\r\n\r\n";
        }
        co_await deaf.write_all(as_octets(requests + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        co_await sleep_for(1s);
        CHECK(s.server.stats().requests == 101); // the last one, too: what is left is to say so
        CHECK(s.server.stats().connections == 1);
        const time_point start = s.now();
        s.stop();
        co_await s.ended();
        CHECK(s.now() - start <= 6s);
        deaf.close();
    });
}

TEST_CASE("a refusal is not cut short by a drain: who still sends gets it [RFC 9112 9.6]") {
    fixture f;
    f.run([](running& s) -> task<> {
        auto sender = s.listener.connect().value();
        co_await sender.write_all(as_octets(std::string(get_root) + "broken\r\n"));
        co_await sleep_for(10ms);
        s.stop();
        co_await sleep_for(1s);
        CHECK(s.server.stats().connections == 1); // it lingers
        co_await sender.write_all(as_octets("more and more"));
        const std::string both = co_await answer(&sender);
        CHECK(begins_with(both, "HTTP/1.1 200"));
        CHECK(both.find("HTTP/1.1 400") != std::string::npos);
        sender.close();
        co_await s.ended();
    });
}

TEST_SUITE_END();
