// SPDX-License-Identifier: MIT
#include <flux/testing/test_server.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/sleep.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::answer_to;
using flux::testing::memory_client;
using flux::testing::test_server_options;
using flux::testing::with_server;
using flux::testing::with_tcp_server;

namespace {

http::router application() {
    http::router app;
    app.get("/hello/{name}", [](http::request& req) { return "Hello, " + std::string(req.param("name")) + "!\n"; });
    app.post("/echo", [](http::request& req) -> task<std::string> {
        auto text = co_await req.text();
        co_return text + "|" + std::string(req.header("x-note"));
    });
    app.get("/slow", [](http::request&) -> task<std::string> {
        co_await sleep_for(25s);
        co_return std::string("at last");
    });
    app.get("/old", [] { return http::redirect("/hello/new"); });
    app.get("/large", [] { return http::bytes(std::string(300'000, 'x')); });
    return app;
}

struct refused_by_test : std::runtime_error {
    refused_by_test() : std::runtime_error("the test gives up") {}
};

} // namespace

TEST_SUITE("testing/test_server") {

TEST_CASE("a router answers a client without a port") {
    const http::router app = application();
    int exchanges = 0;
    auto done = with_server(app, [&](memory_client& api) -> task<> {
        auto r = co_await api.get("/hello/you");
        CHECK(r.code() == http::status::ok);
        CHECK(co_await r.text() == "Hello, you!\n");
        auto again = co_await api.get("/hello/you");
        CHECK(again.reused());
        auto page = co_await api.get("/old").text(); // a client follows redirects
        CHECK(page == "Hello, new!\n");
        auto missing = co_await attempt(api.get("/none").text());
        REQUIRE(!missing);
        CHECK(missing.error().is(http::errc::unexpected_status));
        exchanges = 4;
    });
    REQUIRE(done);
    CHECK(exchanges == 4);
}

TEST_CASE("time is virtual, and timeouts of both sides take part in it") {
    const http::router app = application();
    test_server_options options;
    options.client.timeout = 10s;
    auto done = with_server(
        app,
        [](memory_client& api) -> task<> {
            auto late = co_await attempt(api.get("/slow"));
            REQUIRE(!late);
            CHECK(late.error().is(errc::timed_out));
            auto patient = co_await api.get("/slow").timeout(60s).text();
            CHECK(patient == "at last");
        },
        options);
    CHECK(done);

    options.server.handler_timeout = 20s;
    options.client.timeout = 60s;
    done = with_server(
        app,
        [](memory_client& api) -> task<> {
            auto r = co_await api.get("/slow");
            CHECK(r.code() == http::status::service_unavailable);
        },
        options);
    CHECK(done);
}

TEST_CASE("the streams may be as awkward as asked") {
    const http::router app = application();
    test_server_options options;
    options.streams.always_suspend = true;
    options.streams.max_read = 7;
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
        options.loop.shuffle_seed = seed;
        auto done = with_server(
            app,
            [](memory_client& api) -> task<> {
                auto r = co_await api.get("/large");
                std::size_t whole = 0;
                std::size_t largest = 0;
                for (;;) {
                    const auto piece = co_await r.body().next();
                    if (piece.empty()) {
                        break;
                    }
                    whole += piece.size();
                    largest = std::max(largest, piece.size());
                }
                CHECK(whole == 300'000);
                CHECK(largest == 7);
            },
            options);
        CHECK(done);
    }
}

TEST_CASE("what the test fails with or throws comes out, after the server has drained") {
    const http::router app = application();
    auto failed = with_server(app, [](memory_client& api) -> task<> {
        auto answer = co_await api.get("/hello/you"); // its body is not read
        co_await fail(http::errc::malformed_content);
    });
    REQUIRE(!failed);
    CHECK(failed.error().is(http::errc::malformed_content));
    CHECK_THROWS_AS(std::ignore = with_server(app,
                                              [](memory_client& api) -> task<> {
                                                  auto answer = co_await api.get("/hello/you");
                                                  throw refused_by_test();
                                              }),
                    refused_by_test);
    // Nobody will ever answer: an error and no test that hangs.
    auto stuck = with_server(app, [](memory_client&) -> task<> {
        async_event never;
        co_await never.wait();
    });
    REQUIRE(!stuck);
    CHECK(stuck.error().code() == std::errc::resource_deadlock_would_occur);
}

TEST_CASE("one request, one answer") {
    const http::router app = application();
    auto r = answer_to(app, "GET", "/hello/you");
    REQUIRE(r);
    CHECK(r->code == http::status::ok);
    CHECK(r->header("content-type") == "text/plain; charset=utf-8");
    CHECK(r->body == "Hello, you!\n");
    r = answer_to(app, "POST", "/echo", "body", {{"X-Note", "seen"}});
    REQUIRE(r);
    CHECK(r->body == "body|seen");
    r = answer_to(app, "GET", "/old");
    REQUIRE(r);
    CHECK(r->code == http::status::found);
    CHECK(r->header("Location") == "/hello/new");
    CHECK(r->header("X-None").empty());
    r = answer_to(app, "DELETE", "/echo");
    REQUIRE(r);
    CHECK(r->code == http::status::method_not_allowed);
    r = answer_to(app, "GET", "/bad", {}, {{"no name", "x"}});
    REQUIRE(!r);
    CHECK(r.error().kind() == error_kind::usage);
}

TEST_CASE("the same over TCP, on a free port") {
    const http::router app = application();
    std::string base;
    auto done = with_tcp_server(app, [&](http::client& api) -> task<> {
        base = api.options().base_url;
        auto page = co_await api.get("/hello/tcp").text();
        CHECK(page == "Hello, tcp!\n");
        auto large = co_await api.get("/large").text();
        CHECK(large.size() == 300'000);
    });
    REQUIRE(done);
    CHECK(base.starts_with("http://127.0.0.1:"));
    done = with_tcp_server(app, [](http::client&) -> task<> { co_await fail(errc::limit); });
    REQUIRE(!done);
    CHECK(done.error().is(errc::limit));
}

}
