// SPDX-License-Identifier: MIT
// Proxies that are spoken to over TLS: TLS to the target inside of it, and no connection for anybody else.
#include <flux/tls/https.hpp>

#include <flux/coro/sleep.hpp>
#include <flux/http/client/connect_tunnel.hpp>
#include <flux/net/read.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::ca;
using testing::memory_stream;

namespace proxy_test { // named: frames of coroutines in headers have members of these types

tls::server_config_ptr server_for(const std::string& names, const std::string& file) {
    return test_support::server_of(test_support::named(file, names));
}
const tls::server_config_ptr& proxies() {
    static const auto made = server_for("DNS:proxy-a.test,DNS:proxy-b.test", "proxies");
    return made;
}
const tls::server_config_ptr& targets() {
    static const auto made = server_for("DNS:one.test,DNS:two.test,DNS:direct.test", "targets");
    return made;
}

/// Everything that listens: the two proxies, and what is reached without one.
struct world {
    std::vector<std::string> connects; ///< whom the client connected to
    std::vector<std::string> heard;    ///< "<at>: <first line>"
    task_scope* scope = nullptr;
};

template <class Stream>
task<std::string> head_of(Stream& s, std::string& left) {
    const auto n = co_await attempt(read_until(s, left, "\r\n\r\n"));
    std::string head = n ? left.substr(0, *n) : std::string();
    left.erase(0, head.size());
    co_return head;
}

// Answers until the end, with where it is; after "/stray" it says something that nobody asked for.
template <class Stream>
task<> answer(world* w, Stream& s, std::string at) {
    std::string left;
    for (;;) {
        const std::string head = co_await head_of(s, left);
        if (head.empty()) {
            co_return;
        }
        w->heard.push_back(at + ": " + head.substr(0, head.find(" HTTP/")));
        const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(at.size()) + "\r\n\r\n" + at;
        co_await s.write_all(as_octets(text));
        if (head.starts_with("GET /stray")) {
            co_await sleep_for(1s);
            co_await s.write_all(as_octets("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
        }
    }
}

task<> serve_at(world* w, memory_stream raw, destination where) {
    if (!where.host.starts_with("proxy-")) {
        if (where.port == 80) {
            co_await answer(w, raw, where.host);
            co_return;
        }
        tls::tls_stream<memory_stream> s(std::move(raw), targets());
        co_await answer(w, s, where.host);
        co_return;
    }
    tls::tls_stream<memory_stream> outer(std::move(raw), proxies());
    std::string left;
    const std::string head = co_await head_of(outer, left);
    if (!head.starts_with("CONNECT ")) {
        // A forward proxy that plays the target, too.
        w->heard.push_back(where.host + ": " + head.substr(0, head.find(" HTTP/")));
        const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(where.host.size()) + "\r\n\r\n" + where.host;
        co_await outer.write_all(as_octets(text));
        co_await answer(w, outer, where.host);
        co_return;
    }
    const std::string to = head.substr(8, head.find(" HTTP/") - 8);
    w->heard.push_back(where.host + ": CONNECT " + to);
    co_await outer.write_all(as_octets("HTTP/1.1 200 OK\r\n\r\n"));
    tls::tls_stream<tls::tls_stream<memory_stream>> inner(std::move(outer), targets());
    co_await answer(w, inner, to + " through " + where.host);
}

class world_connector {
public:
    using stream_type = memory_stream;
    static constexpr bool secures = false;
    explicit world_connector(world& w) noexcept : world_(&w) {}
    [[nodiscard]] task<memory_stream> connect(const destination& to) { return dial(world_, to); }

private:
    static task<memory_stream> dial(world* w, destination to) {
        w->connects.push_back(to.host);
        auto ends = testing::make_memory_pair();
        w->scope->spawn(serve_quietly, w, std::move(ends.second), std::move(to));
        co_return std::move(ends.first);
    }
    static task<> serve_quietly(world* w, memory_stream raw, destination where) {
        auto end = co_await attempt(serve_at(w, std::move(raw), std::move(where)));
        ignore_result(end, "a connection ends somehow");
    }
    world* world_;
};

// TLS to the target, over the route to it, over TLS to the proxy: as examples/flux_get.cpp has it.
using to_proxy = tls::connector<world_connector>;
using routes = http::routed_connector<to_proxy>;
using client = http::basic_client<tls::connector<routes>>;

http::proxy_rules rules() {
    return http::proxy_rules::from_variables([](std::string_view name) -> const char* {
        return name == "https_proxy"  ? "https://proxy-a.test:443"
               : name == "http_proxy" ? "https://user:word@proxy-b.test:443"
               : name == "no_proxy"   ? "direct.test"
                                      : nullptr;
    }).value();
}

template <class Test>
void with_world(world& w, Test test) {
    testing::virtual_loop loop;
    auto scenario = [](world* at, Test* t) -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx, scope_policy::collect);
        at->scope = &scope;
        const auto trusting = test_support::client_of(ca());
        {
            client api({}, tls::connector<routes>(trusting, routes(to_proxy(trusting, world_connector(*at)), rules())));
            auto end = co_await attempt((*t)(api, *at));
            CHECK_MESSAGE(end, (end ? std::string() : end.error().message()));
        }
        co_await sleep_for(1ms);
        scope.stop();
        auto joined = co_await attempt(scope.join());
        ignore_result(std::move(joined), "it was stopped");
    };
    auto done = loop.run(scenario(&w, &test));
    CHECK_MESSAGE(done, (done ? std::string() : done.error().message()));
}

using lines = std::vector<std::string>;

} // namespace proxy_test

using namespace proxy_test;

TEST_SUITE("tls/proxy") {

TEST_CASE("each destination goes its own way, and no connection serves another way, however often they alternate") {
    world w;
    with_world(w, [](client& api, world& at) -> task<> {
        for (int i = 0; i < 3; ++i) {
            auto one = co_await api.get("https://one.test/").text();
            CHECK(one == "one.test:443 through proxy-a.test");
            auto two = co_await api.get("https://two.test/").text();
            CHECK(two == "two.test:443 through proxy-a.test");
            auto plain = co_await api.get("http://one.test/p").text();
            CHECK(plain == "proxy-b.test");
            auto direct = co_await api.get("https://direct.test/").text();
            CHECK(direct == "direct.test");
            auto bare = co_await api.get("http://direct.test/").text();
            CHECK(bare == "direct.test");
        }
        CHECK(api.stats().idle == 5);
        CHECK(at.connects == lines{"proxy-a.test", "proxy-a.test", "proxy-b.test", "direct.test", "direct.test"});
        CHECK(lines(at.heard.begin(), at.heard.begin() + 7) ==
              lines{"proxy-a.test: CONNECT one.test:443", "one.test:443 through proxy-a.test: GET /",
                    "proxy-a.test: CONNECT two.test:443", "two.test:443 through proxy-a.test: GET /",
                    "proxy-b.test: GET http://one.test/p", "direct.test: GET /", "direct.test: GET /"});
    });
}

TEST_CASE("an idle connection of TLS inside TLS is watched, too") {
    world w;
    with_world(w, [](client& api, world& at) -> task<> {
        auto text = co_await api.get("https://one.test/stray").text();
        CHECK(text == "one.test:443 through proxy-a.test");
        CHECK(api.stats().idle == 1);
        co_await sleep_for(500ms);
        CHECK(api.stats().idle == 1); // the tickets of both sessions
        co_await sleep_for(1s);
        CHECK(api.stats().idle == 0);
        CHECK(api.stats().lost == 1);
        auto again = co_await api.get("https://one.test/");
        CHECK_FALSE(again.reused());
        co_await again.text();
        CHECK(at.connects.size() == 2);
    });
}

TEST_CASE("a target that is not who it should be, and a proxy that is not, are told apart; stopped at any time nothing is left") {
    world w;
    with_world(w, [](client& api, world& at) -> task<> {
        auto wrong = co_await attempt(api.get("https://three.test/"));
        REQUIRE_FALSE(wrong);
        CHECK(wrong.error().kind() == error_kind::tls);
        CHECK(wrong.error().message().find("three.test") != std::string::npos);
        CHECK(at.heard == lines{"proxy-a.test: CONNECT three.test:443"});
        for (int i = 0; i < 60; ++i) {
            auto scope_ctx = co_await this_context();
            task_scope scope(scope_ctx);
            const auto ask = [](client* c) -> task<> { co_await c->get("https://one.test/").header("Connection", "close").text(); };
            scope.spawn(ask, &api);
            for (int turn = 0; turn < i; ++turn) {
                co_await sleep_for(0s);
            }
            scope.stop();
            auto joined = co_await attempt(scope.join());
            ignore_result(joined, "it was stopped, or had ended");
            co_await sleep_for(1ms);
            CHECK(api.stats().active == 0);
            CHECK(api.stats().dialling == 0);
        }
    });
}

} // TEST_SUITE
