// SPDX-License-Identifier: MIT
#include <flux/http/proxy/reverse_proxy.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/net/read.hpp>
#include <support/transport_server.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>

using namespace flux;
using namespace std::chrono_literals;
using test_support::any_client;
using test_support::test_server_options;
using test_support::while_any_serves;
using test_support::with_any_server;

namespace {

std::string heads(const http::fields_view& fields) {
    std::string all;
    for (const http::field_view f : fields) {
        ((all += f.name) += ": ") += f.value;
        all += '\n';
    }
    return all;
}

bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

http::router behind() {
    http::router app;
    app.any("/base/show/{rest...}", [](http::request& req) {
        return std::string(req.method_token()) + ' ' + std::string(req.target()) + '\n' + heads(req.fields());
    });
    app.post("/base/echo", [](http::request& req, http::responder& out) -> task<> {
        for (;;) {
            const auto piece = co_await req.body().next();
            if (piece.empty()) {
                break;
            }
            co_await out.write(piece);
        }
        for (const http::field_view f : req.body().trailers()) {
            std::ignore = out.add_trailer(f.name, f.value);
        }
    });
    app.post("/base/size", [](http::request& req) -> task<std::string> {
        const auto text = co_await req.text();
        co_return std::to_string(text.size());
    });
    app.get("/base/large", [] { return std::string(200'000, 'x'); });
    app.get("/base/known", [](http::request&) {
        auto r = http::text("known");
        r.header("Keep-Alive", "timeout=9").header("X-Hop", "1").header("X-Kept", "2").header("Set-Cookie", "a=b");
        return r;
    });
    app.get("/base/moved", [] { return http::redirect("/elsewhere"); });
    app.get("/base/slow", [](http::request&) -> task<std::string> {
        co_await sleep_for(20s);
        co_return std::string("late");
    });
    app.get("/base/ticks", [](http::request&, http::responder& out) -> task<> {
        for (int i = 0; i < 3; ++i) {
            co_await out.write("tick\n");
            co_await out.flush();
            co_await sleep_for(1s);
        }
    });
    app.get("/base/breaks", [](http::request&, http::responder& out) -> task<> {
        co_await out.write("the start");
        co_await out.flush();
        co_await sleep_for(1s);
        co_await fail(http::errc::malformed_content);
    });
    app.get("/base/socket", [](http::request& req) {
        if (!http::asks_upgrade(req, "websocket")) {
            return http::response(http::status::upgrade_required);
        }
        return http::switch_protocol("websocket", [](raw_stream& s) -> task<> {
            for (;;) {
                const auto octets = co_await s.receive();
                if (octets.empty()) {
                    break;
                }
                co_await s.write_all(octets.octets());
            }
            co_await s.write_all(as_octets(std::string_view("bye")));
        }).header("Sec-WebSocket-Accept", "key");
    });
    app.get("/base/empty", [] { return http::response(http::status::no_content); });
    return app;
}

// A front server with a proxy in it, the server behind, and a client at the front.
template <class Test>
result<void> through_proxy_to(const http::router& inner, Test test, const http::reverse_proxy_options& how = {},
                              const test_server_options& options = {}) {
    auto outer = [&](any_client& up) -> task<> {
        http::router front;
        front.any("/{rest...}", http::reverse_proxy(up, "http://up.local/base/", how));
        co_await while_any_serves(front, test, options);
    };
    return with_any_server(inner, outer, options);
}
template <class Test>
result<void> through_proxy(Test test, const http::reverse_proxy_options& how = {}, const test_server_options& options = {}) {
    return through_proxy_to(behind(), test, how, options);
}

} // namespace

TEST_SUITE("http/proxy/reverse_proxy") {

TEST_CASE("method, path and query go on as they came, behind the path of the upstream") {
    auto done = through_proxy([](any_client& api) -> task<> {
        auto page = co_await api.request("PROPFIND", "/show/a%2Fb/c?x=1&y=%20").text();
        INFO(page);
        CHECK(page.starts_with("PROPFIND /base/show/a%2Fb/c?x=1&y=%20\n"));
    });
    CHECK(done);
}

TEST_CASE("fields of the hop stay here, all others go on in order [RFC 9110 7.6.1]") {
    auto done = through_proxy([](any_client& api) -> task<> {
        auto ask = api.get("/show/x");
        ask.header("Keep-Alive", "timeout=3").header("Proxy-Authorization", "Basic x").header("TE", "gzip, trailers");
        ask.header("X-One", "1").add_header("X-One", "2").header("Authorization", "Bearer t").header("Via", "1.0 other");
        ask.header("X-Forwarded-For", "6.6.6.6").header("Forwarded", "for=6.6.6.6").header("X-Forwarded-Host", "evil");
        auto page = co_await std::move(ask).text();
        CHECK_FALSE(holds(page, "eep-"));
        CHECK_FALSE(holds(page, "Proxy-Auth"));
        CHECK(holds(page, "X-One: 1\nX-One: 2\nAuthorization: Bearer t\n"));
        CHECK(holds(page, "TE: trailers\n"));
        CHECK(holds(page, "Host: test.local\n"));
        CHECK(holds(page, "Via: 1.0 other, 1.1 flux\n"));
        CHECK(holds(page, "X-Forwarded-For: 127.0.0.1\n"));
        CHECK(holds(page, "X-Forwarded-Host: test.local\n"));
        CHECK(holds(page, "X-Forwarded-Proto: http\n"));
        CHECK_FALSE(holds(page, "6.6.6.6"));
        CHECK_FALSE(holds(page, "evil"));
    });
    CHECK(done);
}

TEST_CASE("what is said of the client is a choice") {
    http::reverse_proxy_options how;
    how.forwarded = http::forwarded_fields::append;
    how.keep_host = false;
    how.via = {};
    auto ask_it = [](any_client& api) -> task<> {
        auto page = co_await api.get("/show/x").header("X-Forwarded-For", "6.6.6.6").text();
        CHECK(holds(page, "X-Forwarded-For: 6.6.6.6, 127.0.0.1\n"));
        CHECK(holds(page, "Host: up.local\n"));
        CHECK_FALSE(holds(page, "Via"));
    };
    CHECK(through_proxy(ask_it, how));
    how.forwarded = http::forwarded_fields::none;
    auto ask_none = [](any_client& api) -> task<> {
        auto page = co_await api.get("/show/x").header("X-Forwarded-For", "6.6.6.6").text();
        CHECK_FALSE(holds(page, "orwarded"));
    };
    CHECK(through_proxy(ask_none, how));
}

TEST_CASE("the answer comes back without its hop") {
    auto done = through_proxy([](any_client& api) -> task<> {
        auto r = co_await api.get("/known");
        CHECK(r.code() == http::status::ok);
        CHECK(r.header("X-Kept") == "2");
        CHECK(r.header("Set-Cookie") == "a=b");
        CHECK(r.header("Keep-Alive").empty());
        CHECK(r.header("via") == "1.1 flux");
        CHECK(r.header(http::field::content_length) == "5");
        CHECK(heads(r.fields()).find("Date", heads(r.fields()).find("Date") + 1) == std::string::npos);
        auto text = co_await r.text();
        CHECK(text == "known");
        auto head = co_await api.head("/known");
        CHECK(head.code() == http::status::ok);
        CHECK(head.header(http::field::content_length) == "5");
        auto moved = co_await api.get("/moved").max_redirects(0);
        CHECK(moved.code() == http::status::found);
        CHECK(moved.header(http::field::location) == "/elsewhere");
        auto empty = co_await api.get("/empty");
        CHECK(empty.code() == http::status::no_content);
        CHECK(empty.header(http::field::content_length).empty());
        auto none = co_await api.get("/none");
        CHECK(none.code() == http::status::not_found);
    });
    CHECK(done);
}

TEST_CASE("bodies and trailers are streamed both ways") {
    test_server_options options;
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
        options.loop.shuffle_seed = seed;
        options.streams.always_suspend = seed % 2 != 0;
        options.streams.max_read = seed % 3 == 2 ? 100 : 0;
        auto done = through_proxy(
            [](any_client& api) -> task<> {
                std::string large(200'000, 'x');
                auto fixed = co_await api.post("/size").body(large).text();
                CHECK(fixed == "200000");
                auto back = co_await api.get("/large").text();
                CHECK(back == large);
                auto ask = api.post("/echo");
                ask.stream([](http::body_writer& out) -> task<> {
                    co_await out.write("one ");
                    co_await out.flush();
                    co_await sleep_for(1s);
                    co_await out.write("two");
                    std::ignore = out.add_trailer("X-Sum", "7");
                });
                auto r = co_await std::move(ask);
                auto text = co_await r.text();
                CHECK(text == "one two");
                const auto sum = r.trailers().get("X-Sum");
                REQUIRE(sum);
                CHECK(*sum == "7");
            },
            {}, options);
        INFO(std::string(done ? "" : done.error().what()));
        CHECK(done);
    }
}

TEST_CASE("an event stream is not held back") {
    auto done = through_proxy([](any_client& api) -> task<> {
        auto ctx = co_await this_context();
        const auto start = ctx.home().now();
        auto r = co_await api.get("/ticks");
        CHECK(ctx.home().now() - start < 500ms);
        for (int i = 0; i < 3; ++i) {
            const auto piece = co_await r.body().next();
            CHECK(piece == "tick\n");
            CHECK(ctx.home().now() - start < 500ms + i * 1s);
        }
    });
    CHECK(done);
}

TEST_CASE("what goes wrong behind is 502, 504, or an answer that breaks off") {
    test_server_options options;
    options.client.first_byte_timeout = 60s;
    auto done = through_proxy(
        [](any_client& api) -> task<> {
            auto r = co_await api.get("/breaks");
            CHECK(r.code() == http::status::ok);
            auto text = co_await attempt(r.text());
            REQUIRE(!text);
            CHECK(text.error().kind() == error_kind::network);
            auto dots = co_await api.get("/show/%2e%2e/secret").max_redirects(0);
            CHECK(dots.code() == http::status::permanent_redirect); // never sent on
        },
        {}, options);
    CHECK(done);

    auto nobody = [](any_client&) -> task<> {
        http::client_options short_time;
        short_time.first_byte_timeout = 5s;
        testing::memory_listener silent{testing::memory_listener_options()};
        testing::memory_listener closed{testing::memory_listener_options()};
        any_client no_server(short_time, test_support::any_memory_connector(closed));
        any_client no_answer(short_time, test_support::any_memory_connector(silent));
        closed.close();
        http::router front;
        front.any("/closed/{rest...}", http::reverse_proxy(no_server, "http://up.local"));
        front.any("/silent/{rest...}", http::reverse_proxy(no_answer, "http://up.local"));
        auto test = [](any_client& api) -> task<> {
            auto refused = co_await api.get("/closed/x");
            CHECK(refused.code() == http::status::bad_gateway);
            auto late = co_await api.get("/silent/x");
            CHECK(late.code() == http::status::gateway_timeout);
        };
        const test_server_options defaults;
        co_await while_any_serves(front, test, defaults);
    };
    const http::router none;
    CHECK(with_any_server(none, nobody));
    CHECK_THROWS_AS(http::reverse_proxy(http::client(), "nonsense"), error);
    CHECK_THROWS_AS(http::reverse_proxy(http::client(), "http://a.test/?q=1"), error);
}

TEST_CASE("who leaves in front ends what was asked behind, and half a request is no request there") {
    bool stopped = false;
    std::string got = "nothing";
    http::router inner;
    inner.get("/base/wait", [&stopped](http::request&) -> task<std::string> {
        const auto slept = co_await attempt(sleep_for(1h));
        stopped = !slept && slept.error().is(errc::disconnected);
        co_return "late";
    });
    inner.post("/base/read", [&got](http::request& req) -> task<std::string> {
        const auto text = co_await attempt(req.text());
        got = text ? "all" : "a part";
        co_return "read";
    });
    const auto done = through_proxy_to(inner, [&](any_client& api) -> task<> {
        auto waiting = co_await attempt(with_timeout(1s, api.get("/wait").text()));
        CHECK_FALSE(waiting);
        for (const bool chunked : {false, true}) {
            auto ask = api.post("/read");
            ask.stream(
                [](http::body_writer& out) -> task<> {
                    co_await out.write("half");
                    co_await out.flush();
                    co_await sleep_for(1s);
                    co_await fail(errc::injected);
                },
                chunked ? std::nullopt : std::optional<std::uint64_t>(8));
            auto answered = co_await attempt(std::move(ask));
            CHECK_FALSE(answered);
            co_await sleep_for(5s);
            CHECK(got == (chunked ? "a part" : "nothing")); // so little of a known length has not been sent on
        }
        CHECK(stopped);
    });
    CHECK(done);
}

TEST_CASE("a refusal that comes before the request was sent on goes back at once") {
    http::router inner;
    inner.post("/base/refuse", [](http::request&) { return http::response(http::status::content_too_large); });
    const auto done = through_proxy_to(inner, [](any_client& api) -> task<> {
        auto ctx = co_await this_context();
        const auto start = ctx.home().now();
        auto ask = api.post("/refuse");
        ask.stream([](http::body_writer& out) -> task<> {
            for (int i = 0; i < 100; ++i) {
                co_await out.write(std::string(1000, 'x'));
                co_await out.flush();
                co_await sleep_for(1s);
            }
        });
        auto r = co_await std::move(ask);
        CHECK(r.code() == http::status::content_too_large);
        CHECK(ctx.home().now() - start < 5s);
    });
    CHECK(done);
}

TEST_CASE("an upgrade is relayed until both sides have ended [RFC 9110 7.8]") {
    auto done = through_proxy([](any_client& api) -> task<> {
        auto r = co_await api.get("/socket").upgrade("websocket").header("Sec-WebSocket-Version", "13");
        REQUIRE(r.is_switched());
        CHECK(r.code() == http::status::switching_protocols);
        CHECK(r.header("Sec-WebSocket-Accept") == "key");
        auto s = r.take_stream();
        const std::string large(300'000, 'w');
        auto exchange = [](raw_stream* to, const std::string* text) -> task<> {
            co_await to->write_all(as_octets(*text));
            std::ignore = to->shutdown_write();
        };
        auto ctx = co_await this_context();
        task_scope writing(ctx);
        writing.spawn(exchange, &s, &large);
        const auto back = co_await attempt(read_all(s, 1'000'000));
        co_await writing.join();
        REQUIRE(back);
        CHECK((*back == large + "bye"));
        auto plain = co_await api.get("/socket");
        CHECK(plain.code() == http::status::upgrade_required);
        auto other = co_await api.get("/show/x").upgrade("websocket");
        CHECK(other.code() == http::status::ok);
        auto text = co_await other.text();
        CHECK(holds(text, "Upgrade: websocket\n"));
    });
    CHECK(done);
}

TEST_CASE("requests and answers can be changed on their way") {
    const http::router inner = behind();
    auto outer = [&](any_client& up) -> task<> {
        auto proxy = http::reverse_proxy(up, "http://up.local/base")
                         .on_request([](http::request&, http::client_request& ask) { ask.header("X-Added", "here"); })
                         .on_answer([](http::request&, const http::client_response& r, http::response& out) {
                             out.header("X-Was", std::to_string(http::to_number(r.code())));
                         });
        http::router front;
        front.any("/{rest...}", std::move(proxy));
        auto test = [](any_client& api) -> task<> {
            auto r = co_await api.get("/show/x");
            CHECK(r.header("X-Was") == "200");
            auto text = co_await r.text();
            CHECK(holds(text, "X-Added: here\n"));
        };
        const test_server_options defaults;
        co_await while_any_serves(front, test, defaults);
    };
    CHECK(with_any_server(inner, outer));
}

}
