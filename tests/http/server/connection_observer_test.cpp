// SPDX-License-Identifier: MIT
#include <flux/http/server/connection_observer.hpp> // also proves the header is self-contained

#include "serve_octets.hpp"
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;

namespace {

class recorder {
public:
    void on_connection(http::connection_event e, const http::connection_info& info) noexcept {
        constexpr const char* names[] = {"accepted", "active", "idle", "upgraded", "closed"};
        log += std::string(log.empty() ? "" : " ") + names[static_cast<int>(e)];
        if (e == http::connection_event::closed) {
            log += ":" + std::string(to_string(info.reason));
            last = info;
            remote = info.remote;
        }
    }
    std::string log;
    std::string remote;
    http::connection_info last;
};
static_assert(http::connection_observer<recorder> && !http::connection_observer<http::no_connection_observer>);
static_assert(std::is_empty_v<http::detail::connection_log<http::no_connection_observer>>);

http::router make_app() {
    http::router app;
    app.get("/", [] { return "hello"; });
    app.get("/slow", [](http::request&) -> task<std::string> {
        co_await sleep_for(5s);
        co_return "slow";
    });
    app.get("/big", [] { return http::bytes(std::string(1'000'000, 'x')); });
    app.get("/short", [](http::request&, http::responder& out) -> task<> {
        out.length(6);
        co_await out.write("abc");
    });
    app.get("/up", [] {
        return http::switch_protocol("x", [](http::raw_stream&) -> task<> { co_return; });
    });
    app.post("/echo", [](http::request& req) -> task<http::response> {
        std::string body = co_await req.text();
        co_return http::bytes(std::move(body));
    });
    return app;
}

enum class after { fin, reset, nothing, no_reading };

task<> one_client(const http::router* app, const http::server_options* options, recorder* observer, std::string octets,
                  after then, bool too_many, bool drains, std::uint64_t* got) {
    auto ctx = co_await this_context();
    auto ends = test_support::any_pair();
    http::detail::server_core core(*app, *options);
    task_scope scope(ctx, scope_policy::collect);
    scope.spawn_frame(http::detail::serve_connection<test_support::any_stream, recorder>(core, std::move(ends.second), http::detail::connection_ticket(core, too_many, 0), observer));
    if (!octets.empty()) {
        co_await ends.first.write_all(as_octets(octets));
    }
    co_await sleep_for(1s);
    if (drains) {
        core.drain();
    }
    if (then == after::reset) {
        ends.first.abort();
    } else if (then == after::fin) {
        ignore_result(ends.first.shutdown_write(), "the server may have closed");
    }
    while (then != after::reset && then != after::no_reading) {
        auto octets_back = co_await attempt(ends.first.receive());
        if (!octets_back || octets_back->empty()) {
            break;
        }
        *got += octets_back->size();
    }
    if (then != after::no_reading) {
        ends.first.close();
    }
    co_await scope.join();
    ends.first.close();
}

std::string events(recorder& r, const std::string& octets, after then, bool too_many = false,
                   bool drains = false, const http::server_options& options = {}) {
    testing::virtual_loop loop;
    const http::router app = make_app();
    std::uint64_t got = 0;
    auto ended = loop.run(one_client(&app, &options, &r, octets, then, too_many, drains, &got));
    REQUIRE(ended);
    return r.log;
}
std::string events(const std::string& octets, after then, bool too_many = false, bool drains = false,
                   const http::server_options& options = {}) {
    recorder r;
    return events(r, octets, then, too_many, drains, options);
}

std::string get(std::string_view path, std::string_view fields = "") {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

} // namespace

TEST_SUITE_BEGIN("http/server/connection_observer");

TEST_CASE("an observer hears of every state, and why a connection ended") {
    CHECK(events(get("/"), after::fin) == "accepted active idle closed:peer_closed");
    CHECK(events(get("/"), after::reset) == "accepted active idle closed:peer_closed");
    CHECK(events(get("/"), after::nothing) == "accepted active idle closed:idle");
    CHECK(events("", after::nothing) == "accepted closed:idle");
    CHECK(events("GET", after::nothing) == "accepted active closed:slow");
    CHECK(events("GET", after::fin) == "accepted active closed:peer_left");
    CHECK(events("GARBAGE\r\n", after::nothing) == "accepted active closed:refused");
    CHECK(events(get("/", "Connection: close\r\n"), after::nothing) == "accepted active closed:last_answer");
    CHECK(events(get("/slow"), after::reset) == "accepted active closed:peer_left");
    CHECK(events(get("/short"), after::nothing) == "accepted active closed:failed");
    CHECK(events(get("/big"), after::no_reading) == "accepted active closed:slow");
    CHECK(events(get("/up", "Connection: upgrade\r\nUpgrade: x\r\n"), after::nothing) ==
          "accepted active upgraded closed:taker_ended");
    CHECK(events("", after::nothing, true) == "accepted active closed:over_limit");
    CHECK(events(get("/"), after::nothing, false, true) == "accepted active idle closed:shutdown");
    CHECK(events(get("/slow"), after::nothing, false, true) == "accepted active closed:shutdown");
}

TEST_CASE("counts are those of the whole connection") {
    const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    const std::string all = get("/") + post + get("/");
    recorder r;
    events(r, all, after::fin);
    CHECK(r.last.id == 0); // counted by basic_server, which is not there
    CHECK(r.last.requests == 3);
    CHECK(r.last.octets_in == all.size());
    const auto answers = flux_test::serve(make_app(), all);
    CHECK(r.last.octets_out == answers.octets.size() + 3 * std::string_view("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n").size());
    CHECK(r.remote.find("127.0.0.1") == 0);
}

TEST_CASE("a connection that is old enough ends after its next answer, which says so") {
    http::server_options options;
    options.lifetime = 10s;
    flux_test::client_script script;
    script.pieces = {get("/"), get("/"), get("/"), get("/")};
    script.pause = 6s;
    const auto s = flux_test::serve(make_app(), script, options);
    CHECK(s.stats.requests == 3); // at 0 s, 6 s and 12 s
    CHECK(s.octets.find("Connection: close\r\n") > s.octets.rfind("HTTP/1.1 200"));
    CHECK(s.took == 12s);
}

TEST_CASE("a body that came fast and then stopped is cut after the grace") {
    http::server_options options;
    flux_test::client_script script;
    script.pieces = {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + std::string(4'000'000, 'x')};
    const auto s = flux_test::serve(make_app(), script, options);
    CHECK(s.octets.starts_with("HTTP/1.1 408 "));
    CHECK(s.took >= 10s);
    CHECK(s.took < 13s); // and the linger
}

TEST_SUITE_END();
