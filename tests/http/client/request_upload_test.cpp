// SPDX-License-Identifier: MIT
#include <flux/http/client/request_upload.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <support/transport_server.hpp>

#include <http/client/memory_connector.hpp>

#include <doctest/doctest.h>

#include <string>
#include <tuple>

using namespace flux;
using namespace std::chrono_literals;
using test_support::any_client;
using test_support::test_server_options;
using test_support::with_any_server;

namespace {

http::router echoes() {
    http::router app;
    app.post("/echo", [](http::request& req, http::responder& out) -> task<> {
        for (;;) {
            const auto piece = co_await req.body().next();
            if (piece.empty()) {
                break;
            }
            co_await out.write(piece);
            co_await out.flush();
        }
    });
    app.post("/much/{octets}", [](http::request& req, http::responder& out) -> task<> {
        const std::size_t n = std::stoul(std::string(req.param(0)));
        const std::string piece(100'000, 'y');
        for (std::size_t left = n; left > 0; left -= piece.size()) {
            co_await out.write(piece);
        }
        for (;;) {
            const auto came = co_await req.body().next();
            if (came.empty()) {
                break;
            }
        }
        co_await out.write("the end");
    });
    return app;
}

std::string pattern(std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>('a' + (i / 7 + i / 1000) % 26);
    }
    return text;
}

} // namespace

TEST_SUITE("http/client/request_upload") {

TEST_CASE("a server may answer while it reads") {
    const http::router app = echoes();
    test_server_options options;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
        options.loop.shuffle_seed = seed;
        options.streams.always_suspend = seed % 2 != 0;
        options.streams.max_read = seed % 3 == 2 ? 4000 : 0;
        auto done = with_any_server(
            app,
            [](any_client& api) -> task<> {
                const std::string large = pattern(1'500'000);
                auto back = co_await api.post("/echo").body(large).text();
                CHECK((back == large));
                auto streamed = api.post("/echo");
                streamed.stream([](http::body_writer& out) -> task<> {
                    const std::string piece = pattern(50'000);
                    for (int i = 0; i < 12; ++i) {
                        co_await out.write(piece);
                    }
                });
                auto r = co_await std::move(streamed);
                CHECK(r.reused());
                auto text = co_await r.text();
                CHECK(text.size() == 600'000);
                CHECK(text.starts_with(pattern(50'000)));
                auto more = co_await api.post("/much/900000").body(pattern(200'000)).text();
                CHECK(more.size() == 900'007);
                CHECK(more.ends_with("yythe end"));
                CHECK(api.stats().dials == 1);
            },
            options);
        INFO(std::string(done ? "" : done.error().what()));
        CHECK(done);
    }
}

TEST_CASE("what is kept of an answer is limited; a server that waits for more is given up in time") {
    const http::router app = echoes();
    test_server_options options;
    options.client.progress_timeout = 5s;
    auto done = with_any_server(
        app,
        [](any_client& api) -> task<> {
            auto much = co_await attempt(api.post("/much/5000000").body(pattern(200'000)).text());
            REQUIRE(!much);
            CHECK(much.error().kind() == error_kind::timeout);
            auto fine = co_await api.post("/echo").body("again").text();
            CHECK(fine == "again");
        },
        options);
    CHECK(done);
}

TEST_CASE("what is wrong with an answer that came too early is said to its reader, after what was right") {
    flux_test::memory_net net;
    auto done = flux_test::with_peer(
        net,
        [](flux_test::peer& p) -> task<> {
            const auto head = co_await p.head();
            const bool chunked = p.number == 0;
            co_await p.say(chunked ? "HTTP/1.1 200 A\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nright\r\nwrong\r\n"
                                   : "HTTP/1.1 200 A\r\n\r\nuntil the end");
            const auto body = co_await p.body(200'000);
            CHECK(body.size() == 200'000);
        },
        {},
        [](flux_test::memory_client& api, flux_test::memory_net&) -> task<> {
            auto r = co_await api.post("http://a.test/").body(pattern(200'000));
            const std::string piece(co_await r.body().next());
            CHECK(piece == "right");
            const auto broken = co_await attempt(r.body().next());
            REQUIRE(!broken);
            CHECK(broken.error().kind() == error_kind::protocol);
            auto whole = co_await api.post("http://a.test/").body(pattern(200'000)).text();
            CHECK(whole == "until the end");
        });
    CHECK(done);
}

TEST_CASE("what a producer or a listener throws comes out, and the connection is closed") {
    flux_test::memory_net net;
    auto done = flux_test::with_peer(
        net,
        [](flux_test::peer& p) -> task<> {
            const auto head = co_await p.head();
            co_await p.say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            std::ignore = co_await p.head();
        },
        {},
        [](flux_test::memory_client& api, flux_test::memory_net&) -> task<> {
            struct surprise {};
            for (const bool listener : {false, true}) {
                CAPTURE(listener);
                auto request = api.put("http://a.test/");
                request.stream([listener](http::body_writer& out) -> task<> {
                    co_await out.write("some");
                    co_await out.flush();
                    if (!listener) {
                        throw surprise();
                    }
                });
                request.on_interim([listener](http::status, const http::fields_view&) {
                    if (listener) {
                        throw surprise();
                    }
                });
                bool came_out = false;
                try {
                    std::ignore = co_await attempt(std::move(request));
                } catch (const surprise&) {
                    came_out = true;
                }
                CHECK(came_out);
                CHECK(api.stats().active == 0);
            }
            bool came_out = false;
            try {
                std::ignore = co_await attempt(
                    api.get("http://a.test/").on_interim([](http::status, const http::fields_view&) { throw surprise(); }));
            } catch (const surprise&) {
                came_out = true;
            }
            CHECK(came_out);
            CHECK(api.stats().active == 0);
            auto text = co_await api.get("http://a.test/").text();
            CHECK(text == "ok");
        });
    CHECK(done);
}

}
