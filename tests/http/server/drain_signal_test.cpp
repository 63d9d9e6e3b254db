// SPDX-License-Identifier: MIT
#include <flux/http/server/drain_signal.hpp> // also proves the header is self-contained

#include "serve_octets.hpp"

#include <flux/coro/when.hpp>
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace flux;
using test_support::borrowed_listener;
using namespace std::chrono_literals;

namespace {

task<> serve_until_stopped(http::basic_server<borrowed_listener>* server, borrowed_listener listener) {
    co_await server->serve(listener);
}

std::string get(std::string_view path) { return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n"; }

struct fixture {
    http::router app;
    test_support::any_listener listener;
    http::server_options options;
    std::vector<std::string> seen;
    duration ended{};

    fixture() {
        app.get("/", [](http::request& req) { return req.draining() ? "draining" : "hello"; });
        // Events, until there are no more to come.
        app.get("/events", [this](http::request&, http::responder& out) -> task<> {
            co_await out.write("first\n");
            co_await out.flush();
            co_await http::until_draining();
            auto ctx = co_await this_context();
            seen.push_back(http::is_draining(ctx) ? "told" : "not told");
            co_await out.write("last\n");
        });
        app.get("/deaf", [this](http::request&) -> task<std::string> {
            auto slept = co_await attempt(sleep_for(24h));
            seen.push_back(slept ? "slept" : slept.error().message());
            co_return "woken";
        });
        app.get("/up", [this] {
            return http::switch_protocol("x", [this](http::raw_stream& stream) -> task<> {
                co_await http::until_draining();
                seen.push_back("taker told");
                co_await stream.write_all(as_octets("bye"));
            });
        });
    }

    // Connects, asks, stops the server after 1 s; what each connection got.
    std::vector<std::string> run(const std::vector<std::string>& requests) {
        testing::virtual_loop loop;
        std::vector<std::string> answers(requests.size());
        auto scenario = [this, &requests, &answers]() -> task<> {
            auto ctx = co_await this_context();
            http::basic_server<borrowed_listener> server(app, options);
            task_scope serving(ctx, scope_policy::collect);
            serving.spawn(serve_until_stopped, &server, borrowed_listener(listener));
            std::vector<test_support::any_stream> streams;
            for (const std::string& r : requests) {
                streams.push_back(listener.connect().value());
                co_await streams.back().write_all(as_octets(r));
            }
            co_await sleep_for(1s);
            serving.stop(stop_reason::shutdown);
            const time_point stopped = ctx.home().now();
            co_await sleep_for(500ms);
            auto late = listener.connect(); // while it is announced, new connections are served
            if (late) {
                const std::string root = get("/");
                auto written = co_await attempt(late->write_all(as_octets(root)));
                auto octets = co_await attempt(late->receive());
                seen.push_back(written && octets ? std::string(as_text(octets->octets())) : "none");
                late->close();
            } else {
                seen.push_back("refused");
            }
            for (std::size_t i = 0; i < streams.size(); ++i) {
                for (;;) {
                    auto octets = co_await attempt(streams[i].receive());
                    if (!octets || octets->empty()) {
                        answers[i] += octets ? "" : "[reset]";
                        break;
                    }
                    answers[i] += as_text(octets->octets());
                }
                streams[i].close();
            }
            auto joined = co_await attempt(serving.join());
            ignore_result(joined, "it was stopped");
            ended = ctx.home().now() - stopped;
        };
        auto ran = loop.run(scenario());
        REQUIRE(ran);
        return answers;
    }
};

} // namespace

TEST_SUITE_BEGIN("http/server/drain_signal");

TEST_CASE("a streaming handler that waits for the drain ends its answer by itself") {
    fixture f;
    const auto answers = f.run({get("/events")});
    CHECK(answers[0].find("first\n") != std::string::npos);
    CHECK(answers[0].ends_with("5\r\nlast\n\r\n0\r\n\r\n"));
    CHECK(f.seen.front() == "told");
    CHECK(f.ended < 1s);
}

TEST_CASE("a handler that does not listen is stopped with `shutdown` after drain_timeout") {
    fixture f;
    const auto answers = f.run({get("/deaf")});
    CHECK(f.seen.back().find("shut") != std::string::npos);
    CHECK(f.ended >= 15s);
    CHECK(f.ended < 16s);
    CHECK(answers[0].find("HTTP/1.1") == 0);
}

TEST_CASE("who took a connection over is told of the drain, and not stopped before drain_timeout") {
    fixture f;
    const auto answers = f.run({"GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"});
    CHECK(answers[0].ends_with("\r\n\r\nbye"));
    CHECK(f.seen.front() == "taker told");
    CHECK(f.ended < 1s);
}

TEST_CASE("while a drain is only announced, connections are accepted and each answer is the last one") {
    fixture f;
    f.options.drain_notice = 2s;
    f.options.drain_timeout = 1s;
    const auto answers = f.run({get("/")});
    CHECK(answers[0].find("hello") != std::string::npos);
    REQUIRE(f.seen.size() == 1);
    CHECK(f.seen[0].find("Connection: close\r\n") != std::string::npos);
    CHECK(f.seen[0].ends_with("draining"));
    CHECK(f.ended >= 2s);
    CHECK(f.ended < 3s);

    fixture at_once;
    at_once.run({get("/")});
    CHECK(at_once.seen[0] == "refused");
}

TEST_CASE("outside of a server nothing drains, and only a stop ends the wait") {
    testing::virtual_loop loop;
    auto scenario = []() -> task<> {
        auto ctx = co_await this_context();
        CHECK_FALSE(http::is_draining(ctx));
        auto waited = co_await attempt(with_timeout(1s, http::until_draining()));
        CHECK((!waited && waited.error().is(errc::timed_out)));
    };
    CHECK(loop.run(scenario()));
}

TEST_SUITE_END();
