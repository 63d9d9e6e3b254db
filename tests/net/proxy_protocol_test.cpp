// SPDX-License-Identifier: MIT
#include <flux/net/proxy_protocol.hpp> // also proves the header is self-contained

#include <flux/http/server/server.hpp>
#include <flux/testing/memory_listener.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace std::chrono_literals;
using state = proxy_header::state;

namespace {

std::string block(char command, char family, const std::string& rest) {
    std::string text("\r\n\r\n\0\r\nQUIT\n", 12);
    text += command;
    text += family;
    text += static_cast<char>(rest.size() >> 8);
    text += static_cast<char>(rest.size() & 255);
    return text + rest;
}
const std::string v4_rest("\x0a\x01\x02\x03\x7f\x00\x00\x01\x12\x34\x00\x50", 12);

std::string show(std::string_view octets) {
    const proxy_header h = parse_proxy_header(octets);
    if (h.outcome != state::done) {
        return h.outcome == state::failed ? "failed" : "more";
    }
    return (h.source ? h.source->to_string() : std::string("self")) + " " + std::to_string(h.size);
}

} // namespace

TEST_SUITE_BEGIN("net/proxy_protocol");

TEST_CASE("version 1: one line of at most 107 octets") {
    const std::string line = "PROXY TCP4 10.1.2.3 127.0.0.1 4660 80\r\n";
    CHECK(show(line + "GET /") == "10.1.2.3:4660 39");
    CHECK(show("PROXY TCP6 2001:db8::1 ::1 1 2\r\n") == "[2001:db8::1]:1 32");
    CHECK(show("PROXY UNKNOWN\r\n") == "self 15");
    CHECK(show("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nx") == "self 35");
    for (std::size_t n = 0; n < line.size(); ++n) {
        CHECK(show(line.substr(0, n)) == "more");
    }
    for (const char* const bad :
         {"GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY TCP4 10.1.2.3 127.0.0.1 4660 80\n", "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
          "PROXY TCP4 10.1.2.3 127.0.0.1 4660\r\n", "PROXY TCP4 10.1.2.3 127.0.0.1 4660 80 1\r\n",
          "PROXY TCP4 ::1 127.0.0.1 1 1\r\n", "PROXY TCP6 10.1.2.3 ::1 1 1\r\n", "PROXY TCP4 10.1.2.3 127.0.0.1 65536 80\r\n",
          "PROXY TCP4 10.1.2.3 127.0.0.1 01 80\r\n", "PROXY TCP4 10.1.2.3  127.0.0.1 1 80\r\n", "PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
          "PROXY TCP4 10.1.2.3 127.0.0.1 -1 80\r\n", "proxy TCP4 10.1.2.3 127.0.0.1 1 80\r\n"}) {
        CAPTURE(bad);
        CHECK(show(bad) == "failed");
    }
    CHECK(show("PROXY UNKNOWN " + std::string(100, 'x')) == "failed");
}

TEST_CASE("version 2: a binary block with addresses and TLVs") {
    CHECK(show(block('\x21', '\x11', v4_rest) + "GET") == "10.1.2.3:4660 28");
    CHECK(show(block('\x21', '\x11', v4_rest + std::string("\x04\x00\x03tlv", 6))) == "10.1.2.3:4660 34");
    std::string v6_rest(36, '\0');
    v6_rest[15] = 1;
    v6_rest[33] = 7;
    CHECK(show(block('\x21', '\x21', v6_rest)) == "[::1]:7 52");
    CHECK(show(block('\x20', '\0', "")) == "self 16");
    CHECK(show(block('\x21', '\0', "")) == "self 16");
    const std::string whole = block('\x21', '\x11', v4_rest);
    for (std::size_t n = 0; n < whole.size(); ++n) {
        CHECK(show(whole.substr(0, n)) == "more");
    }
    CHECK(show(block('\x11', '\x11', v4_rest)) == "failed");
    CHECK(show(block('\x22', '\x11', v4_rest)) == "failed");
    CHECK(show(block('\x21', '\x11', v4_rest.substr(1))) == "failed");
    CHECK(show(block('\x21', '\x11', std::string(5000, 'x'))) == "failed");
}

TEST_CASE("a server behind a trusted proxy sees the client; others get no word in") {
    http::router app;
    app.get("/", [](http::request& req) { return std::string(req.remote()); });
    network_set trusted;
    trusted.add("127.0.0.0/8");
    auto scenario = [&app, &trusted](const std::string& octets, const char* from) -> task<std::string> {
        auto ctx = co_await this_context();
        auto listener = testing::memory_listener(testing::memory_listener_options());
        auto client = listener.connect(endpoint::parse(from).value()).value();
        http::basic_server<proxy_listener<testing::memory_listener>> server(app);
        task_scope scope(ctx, scope_policy::collect);
        proxy_listener<testing::memory_listener> proxied(std::move(listener), trusted);
        scope.spawn(server.serve(std::move(proxied)));
        for (const char c : octets) {
            auto written = co_await attempt(client.write_all(as_octets(std::string_view(&c, 1))));
            ignore_result(written, "it may be refused");
        }
        std::string got;
        auto answer = co_await attempt(with_timeout(1min, client.receive()));
        if (answer) {
            got = as_text(answer->octets());
        }
        client.close();
        scope.stop(stop_reason::shutdown);
        auto joined = co_await attempt(scope.join());
        ignore_result(joined, "it was stopped");
        co_return got.substr(got.rfind('\n') + 1);
    };
    const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const auto ask = [&](const std::string& octets, const char* from) {
        testing::virtual_loop loop;
        auto r = loop.run(scenario(octets, from));
        return r ? *r : r.error().message();
    };
    CHECK(ask("PROXY TCP4 10.1.2.3 127.0.0.1 4660 80\r\n" + get, "127.0.0.1:9") == "10.1.2.3:4660");
    CHECK(ask(block('\x21', '\x11', v4_rest) + get, "127.0.0.1:9") == "10.1.2.3:4660");
    CHECK(ask("PROXY UNKNOWN\r\n" + get, "127.0.0.1:9") == "127.0.0.1:9");
    CHECK(ask(get, "127.0.0.1:9").empty());
    CHECK(ask("PROXY TCP4 10.1.2.3 127.0.0.1 4660 80\r\n" + get, "10.9.9.9:9").empty());
    CHECK(ask("PROXY TCP4 ", "127.0.0.1:9").empty());
}

TEST_SUITE_END();
