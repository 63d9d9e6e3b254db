// SPDX-License-Identifier: MIT
#include <flux/http/server/sse.hpp> // also proves the header is self-contained

#include <flux/http/server/router.hpp>
#include <flux/http/server/server.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <http/server/serve_octets.hpp>
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace flux;
using test_support::borrowed_listener;
using namespace std::chrono_literals;

namespace {

constexpr const char* head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                             "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";

// The content of chunks.
std::string unchunked(const std::string& octets) {
    std::string text;
    std::size_t at = octets.find("\r\n\r\n") + 4;
    for (;;) {
        const std::size_t line = octets.find("\r\n", at);
        if (line == std::string::npos) {
            return text + "[cut]";
        }
        const std::size_t size = std::stoul(octets.substr(at, line - at), nullptr, 16);
        if (size == 0) {
            return text;
        }
        text += octets.substr(line + 2, size);
        at = line + 2 + size + 2;
    }
}

flux_test::served ask(const http::router& app, const std::string& fields = "", milliseconds stay = 100'000ms,
                      const std::string& method = "GET") {
    flux_test::client_script script;
    script.pieces.push_back(method + " / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
    script.linger = stay;
    return flux_test::serve(app, script);
}

} // namespace

TEST_SUITE("http/server/sse") {
    TEST_CASE("an event is its fields and an empty line [HTML 9.2.6]") {
        CHECK(http::server_event("hello").text() == "data: hello\n\n");
        CHECK(http::server_event("").text() == "data: \n\n");
        CHECK(http::server_event("x").name("tick").id("7").retry(1500ms).text() == "data: x\nevent: tick\nid: 7\nretry: 1500\n\n");
        CHECK(http::server_event("x").retry(-5ms).text() == "data: x\nretry: 0\n\n");
        CHECK(http::server_event("x").id("").text() == "data: x\nid: \n\n"); // resets what the client remembers
    }

    TEST_CASE("data of several lines stays in one event, whatever its line breaks") {
        CHECK(http::server_event("a\nb").text() == "data: a\ndata: b\n\n");
        CHECK(http::server_event("a\r\nb\rc\n\nd").text() == "data: a\ndata: b\ndata: c\ndata: \ndata: d\n\n");
        CHECK(http::server_event("a\n").text() == "data: a\ndata: \n\n");
        CHECK(http::server_event("data: x\n\nevent: forged").text() == "data: data: x\ndata: \ndata: event: forged\n\n");
    }

    TEST_CASE("a name or an id cannot hold what would be another field") {
        for (const std::string_view bad : {std::string_view("a\nb"), std::string_view("a\r"), std::string_view("\0", 1)}) {
            CHECK_THROWS_AS(std::ignore = http::server_event("x").name(bad), flux::error);
            CHECK_THROWS_AS(std::ignore = http::server_event("x").id(bad), flux::error);
        }
    }

    TEST_CASE("a comment is skipped by clients, in each of its lines") {
        CHECK(http::server_event::comment("") == ":\n\n");
        CHECK(http::server_event::comment("a\ndata: b") == ": a\n: data: b\n\n");
    }

    TEST_CASE("events go out one by one, with a head that says what they are") {
        http::router app;
        app.get("/", [](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out);
            co_await events.send(http::server_event("one").id("1"));
            co_await events.comment("note");
            co_await events.send(http::server_event("two"));
        });
        const auto served = ask(app, "Connection: close\r\n");
        CHECK(served.octets.starts_with("HTTP/1.1 200 OK\r\n"));
        CHECK(served.octets.find("Content-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n") !=
              std::string::npos);
        CHECK(unchunked(served.octets) == "data: one\nid: 1\n\n: note\n\ndata: two\n\n");
        CHECK(served.octets.find("\r\n\r\n11\r\n") != std::string::npos); // each in a chunk of its own
    }

    TEST_CASE("a client that comes back says what it has seen") {
        http::router app;
        app.get("/", [](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out);
            co_await events.send(http::server_event(std::string("after ") + std::string(events.last_event_id())));
        });
        CHECK(unchunked(ask(app, "Connection: close\r\nLast-Event-ID: 41\r\n").octets) == "data: after 41\n\n");
    }

    TEST_CASE("while nothing happens, comments keep the connection alive") {
        http::router app;
        app.get("/", [](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out, 10s);
            const bool goes_on = co_await events.pause(35s);
            CHECK(goes_on);
            co_await events.send(http::server_event("late"));
            const bool still = co_await events.pause(5s);
            CHECK(still);
        });
        const auto served = ask(app, "Connection: close\r\n");
        CHECK(unchunked(served.octets) == ":\n\n:\n\n:\n\ndata: late\n\n");
        CHECK(served.took == 40s);
    }

    TEST_CASE("the head goes out before the first event, so that the client knows that it is connected") {
        http::router app;
        app.get("/", [](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out);
            const bool goes_on = co_await events.pause(5s);
            CHECK(goes_on);
            CHECK(out.head_sent());
        });
        CHECK(ask(app).octets.starts_with(head));
    }

    TEST_CASE("values of a channel become events, until it is closed") {
        http::router app;
        channel<int> source(4);
        app.get("/", [&](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out, 10s);
            while (true) {
                const std::optional<int> value = co_await events.next(source);
                if (!value) {
                    break;
                }
                co_await events.send(http::server_event(std::to_string(*value)));
            }
            co_await events.send(http::server_event("end"));
        });
        flux_test::client_script script;
        script.pieces.push_back("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        testing::virtual_loop loop;
        flux_test::served out;
        const http::server_options options;
        const auto ended = loop.run([](const http::router* a, const http::server_options* o, const flux_test::client_script* s,
                                       flux_test::served* to, channel<int>* values) -> task<> {
            const auto ctx = co_await this_context();
            task_scope scope(ctx, scope_policy::first_error_cancels);
            scope.spawn([](channel<int>* c) -> task<> {
                co_await c->send(1);
                co_await sleep_for(25s);
                co_await c->send(2);
                co_await c->send(3);
                c->close();
            }, values);
            co_await flux_test::serve_script(a, o, {}, s, to);
            co_await scope.join();
        }(&app, &options, &script, &out, &source));
        CHECK(ended);
        CHECK(unchunked(out.octets) == "data: 1\n\n:\n\n:\n\ndata: 2\n\ndata: 3\n\ndata: end\n\n");
    }

    TEST_CASE("a client that goes ends the wait") {
        http::router app;
        std::string why;
        app.get("/", [&](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out);
            const auto r = co_await attempt(events.pause(1000s));
            why = r ? "goes on" : r.error().message();
            co_await fail(errc::disconnected);
        });
        const auto served = ask(app, "", 20s);
        CHECK(why.find("disconnected") != std::string::npos);
        CHECK(served.took < 30s);
    }

    TEST_CASE("HEAD gets the head and no stream") {
        http::router app;
        app.get("/", [](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out);
            const bool goes_on = co_await events.pause(1000s);
            CHECK(!goes_on);
            channel<int> never(1);
            const auto none = co_await events.next(never);
            CHECK(!none);
        });
        const auto served = ask(app, "Connection: close\r\n", 100'000ms, "HEAD");
        CHECK(served.octets.ends_with("\r\n\r\n"));
        CHECK(served.took == 0s);
    }

    TEST_CASE("a drain ends streams of events, whatever they wait for, with a whole answer") {
        testing::virtual_loop loop;
        http::router app;
        channel<int> never(1);
        app.get("/pause", [](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out);
            for (int i = 0; co_await events.pause(1h); ++i) {
                co_await events.send(http::server_event(std::to_string(i)));
            }
        });
        app.get("/next", [&](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out);
            const auto none = co_await events.next(never);
            CHECK(!none);
        });
        test_support::any_listener listener;
        const auto ended = loop.run([](const http::router* a, test_support::any_listener* l) -> task<> {
            const auto ctx = co_await this_context();
            const http::server_options options;
            http::basic_server<borrowed_listener> server(*a, options);
            task_scope scope(ctx, scope_policy::collect);
            scope.spawn(server.serve(borrowed_listener(*l)));
            std::vector<test_support::any_stream> clients;
            for (const char* path : {"/pause", "/next"}) {
                clients.push_back(l->connect().value());
                const std::string request = std::string("GET ") + path + " HTTP/1.1\r\nHost: a\r\n\r\n";
                co_await clients.back().write_all(as_octets(request));
                const auto first = co_await clients.back().receive();
                CHECK(as_text(first.octets()).starts_with("HTTP/1.1 200"));
            }
            const time_point before = ctx.home().now();
            scope.stop(stop_reason::shutdown);
            for (test_support::any_stream& client : clients) {
                const auto last = co_await client.receive();
                CHECK(as_text(last.octets()) == "0\r\n\r\n");
                const auto end = co_await client.receive();
                CHECK(end.empty());
                client.close();
            }
            CHECK(ctx.home().now() - before < 1s);
            const auto joined = co_await attempt(scope.join());
            CHECK(joined);
        }(&app, &listener));
        CHECK(ended);
    }

    TEST_CASE("thousands of streams starve nobody") {
        constexpr std::size_t streams = FLUX_SANITIZED ? 1000 : 5000;
        testing::virtual_loop_options loop_options;
        loop_options.max_steps = 0;
        testing::virtual_loop loop(loop_options);
        http::router app;
        app.get("/", [] { return "hello"; });
        app.get("/ticks", [](http::request& req, http::responder& out) -> task<> {
            http::event_stream events(req, out);
            for (bool open = true; open; open = co_await events.pause(1s)) {
                co_await events.send(http::server_event("tick"));
            }
        });
        test_support::any_listener listener;
        const auto ended = loop.run([](const http::router* a, test_support::any_listener* l, std::size_t count) -> task<> {
            const auto ctx = co_await this_context();
            const http::server_options options;
            http::basic_server<borrowed_listener> server(*a, options);
            task_scope scope(ctx, scope_policy::collect);
            scope.spawn(server.serve(borrowed_listener(*l)));
            std::vector<test_support::any_stream> clients;
            for (std::size_t i = 0; i < count; ++i) {
                clients.push_back(l->connect().value());
                co_await clients.back().write_all(as_octets("GET /ticks HTTP/1.1\r\nHost: a\r\n\r\n"));
                if (i % 64 == 63) {
                    co_await sleep_for(0s); // the listener has a backlog of 128
                }
            }
            co_await sleep_for(3500ms);
            CHECK(server.stats().connections == count);
            auto other = l->connect().value();
            co_await other.write_all(as_octets("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
            const time_point before = ctx.home().now();
            const auto plain = co_await other.receive();
            CHECK(as_text(plain.octets()).ends_with("hello"));
            CHECK(ctx.home().now() == before); // at once, as the clock of the loop has it
            std::size_t whole = 0;
            for (test_support::any_stream& client : clients) {
                std::string all;
                while (all.size() < 4 * 17 + 150) {
                    const auto some = co_await attempt(with_timeout(1ms, client.receive()));
                    if (!some) {
                        break;
                    }
                    all += as_text(some->octets());
                }
                std::size_t ticks = 0;
                for (std::size_t at = all.find("tick"); at != std::string::npos; at = all.find("tick", at + 1)) {
                    ++ticks;
                }
                whole += ticks >= 4 ? 1 : 0;
                client.close();
            }
            CHECK(whole == count);
            other.close();
            scope.stop(stop_reason::shutdown);
            const auto joined = co_await attempt(scope.join());
            ignore_result(joined, "it was stopped");
        }(&app, &listener, streams));
        CHECK(ended);
    }
}
