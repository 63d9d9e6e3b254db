// SPDX-License-Identifier: MIT
#include <flux/http/server/hand_over.hpp> // also proves the header is self-contained

#include "serve_octets.hpp"

#include <flux/net/listener.hpp>
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using namespace flux;
using namespace std::chrono_literals;
using flux_test::client_script;
using flux_test::serve;
using flux_test::served;

namespace {

// Sends back what it gets, in capitals, until the end.
task<> shout(http::raw_stream& stream) {
    for (;;) {
        auto octets = co_await stream.receive();
        if (octets.empty()) {
            break;
        }
        std::string text(as_text(octets.octets()));
        for (char& c : text) {
            c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        }
        co_await stream.write_all(as_octets(text));
    }
}

http::router make_app() {
    http::router app;
    app.get("/shout", [](http::request& req) -> http::response {
        if (!http::asks_upgrade(req, "shout")) {
            return http::response(http::status::upgrade_required).header("upgrade", "shout");
        }
        return http::switch_protocol("shout", shout);
    });
    app.post("/shout", [](http::request&) -> task<http::response> { co_return http::switch_protocol("shout", shout); });
    app.get("/unasked", [] { return http::switch_protocol("shout", shout); });
    app.get("/tunnel", [] { return http::tunnel(shout); });
    app.get("/101", [] { return http::status::switching_protocols; });
    app.get("/99", [] { return static_cast<http::status>(99); });
    app.get("/", [] { return "hello"; });
    app.get("/byte", [] {
        return http::switch_protocol("bytes", [](http::raw_stream& stream) -> task<> {
            std::byte one[1];
            std::string all;
            while (co_await stream.read_some(one) == 1) {
                all += static_cast<char>(one[0]);
            }
            all += stream.underlying<test_support::any_stream>() != nullptr ? " memory" : "";
            all += stream.underlying<tcp_stream>() != nullptr ? " tcp" : "";
            const const_buffer list[] = {as_octets(all), as_octets("|")};
            co_await stream.write_all(list);
            ignore_result(stream.shutdown_write(), "it closes anyway");
        });
    });
    app.get("/fails", [] {
        return http::switch_protocol("shout", [](http::raw_stream&) -> task<> { co_await fail(errc::eof); });
    });
    app.get("/throws", [] {
        return http::switch_protocol("shout", [](http::raw_stream&) -> task<> {
            co_await sleep_for(1ms);
            throw std::runtime_error("oops");
        });
    });
    app.fallback([](http::request& req) -> http::response {
        if (req.method() == http::method::connect && req.target() == "a:1") {
            return http::tunnel(shout);
        }
        return http::response(http::status::ok).body("no tunnel");
    });
    return app;
}

std::string get(std::string_view path, std::string_view fields) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
constexpr std::string_view upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: shout/2, other\r\n";
constexpr std::string_view switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: upgrade\r\n\r\n";

} // namespace

TEST_SUITE_BEGIN("http/server/hand_over");

TEST_CASE("an upgrade hands the stream over, and the octets that were read already come first [RFC 9110 7.8]") {
    const served s = serve(make_app(), get("/shout", upgrade) + "early");
    CHECK(s.octets == std::string(switched) + "EARLY");
    CHECK_FALSE(s.reset);
    CHECK(s.stats.requests == 1);
}

TEST_CASE("any split of the input, and any size of reads, gives the taker the same octets") {
    const std::string octets = get("/", "") + get("/byte", upgrade) + "GET / HTTP/1.1\r\n\r\n";
    const served whole = serve(make_app(), octets);
    CHECK(whole.octets.find("hello") != std::string::npos);
    CHECK(whole.octets.ends_with("\r\n\r\nGET / HTTP/1.1\r\n\r\n memory|"));
    for (std::size_t cut = 1; cut < octets.size(); ++cut) {
        client_script script;
        script.pieces = {octets.substr(0, cut), octets.substr(cut)};
        script.pause = 1ms;
        REQUIRE(serve(make_app(), script).octets == whole.octets);
    }
    testing::memory_options awkward;
    awkward.max_read = 3;
    awkward.always_suspend = true;
    client_script script;
    script.pieces = {octets};
    CHECK(serve(make_app(), script, {}, awkward).octets == whole.octets);
}

TEST_CASE("a body before the upgrade is read or dropped first [RFC 9110 7.8]") {
    const served s = serve(make_app(), "POST /shout HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n" + std::string(upgrade) +
                                           "\r\nbodymore");
    CHECK(s.octets == std::string(switched) + "MORE");
}

TEST_CASE("an upgrade that was not asked for is 500, and HTTP goes on") {
    for (const char* const path : {"/unasked", "/tunnel", "/101", "/99"}) {
        CAPTURE(path);
        const served s = serve(make_app(), get(path, "") + get("/", ""));
        CHECK(s.octets.starts_with("HTTP/1.1 500 "));
        CHECK(s.octets.ends_with("hello"));
    }
    CHECK(serve(make_app(), get("/shout", "Upgrade: shout\r\n")).octets.starts_with("HTTP/1.1 426 "));
    CHECK(serve(make_app(), get("/shout", "Connection: upgrade\r\nUpgrade: other\r\n")).octets.starts_with("HTTP/1.1 426 "));
    const served old = serve(make_app(), "GET /unasked HTTP/1.0\r\n" + std::string(upgrade) + "\r\n");
    CHECK(old.octets.starts_with("HTTP/1.1 500 "));
}

TEST_CASE("a tunnel answers CONNECT without framing fields [RFC 9110 9.3.6]") {
    const served s = serve(make_app(), "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nhi");
    CHECK(s.octets == "HTTP/1.1 200 OK\r\n\r\nHI");
    const served refused = serve(make_app(), "CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\nhi");
    CHECK(refused.octets.starts_with("HTTP/1.1 500 "));
    CHECK(refused.octets.find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("a taker that fails or throws resets the connection") {
    CHECK(serve(make_app(), get("/fails", upgrade)).reset);
    const served thrown = serve(make_app(), get("/throws", upgrade));
    CHECK(thrown.reset);
    CHECK(thrown.octets.find('[') == std::string::npos); // nothing left the connection
}

TEST_CASE("no timeout of the server applies after the upgrade") {
    client_script script;
    script.pieces = {get("/shout", upgrade), "late"};
    script.pause = 3h;
    const served s = serve(make_app(), script);
    CHECK(s.octets == std::string(switched) + "LATE");
}

TEST_CASE("a closed handle fails instead of waiting") {
    testing::virtual_loop loop;
    auto scenario = []() -> task<> {
        http::raw_stream closed;
        std::byte one[1];
        CHECK_FALSE(closed.is_open());
        const auto read = co_await attempt(closed.read_some(one));
        CHECK((!read && read.error().is(errc::closed)));
        const auto written = co_await attempt(closed.write_all(as_octets("x")));
        CHECK((!written && written.error().is(errc::closed)));
        CHECK_FALSE(closed.shutdown_write());
    };
    CHECK(loop.run(scenario()));
}

TEST_SUITE_END();
