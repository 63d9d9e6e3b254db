// SPDX-License-Identifier: MIT
// The HTTP client over TLS in memory: what only shows where both meet.
#include <flux/tls/https.hpp>

#include <flux/coro/sleep.hpp>
#include <http/client/memory_connector.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>

using namespace flux;
using namespace flux_test;
using namespace std::chrono_literals;
using test_support::cert_lab;

namespace {

const cert_lab::pair& ca() { return cert_lab::shared().root("ca"); }
const cert_lab::pair& cert_a() {
    cert_lab::spec s;
    s.san = "DNS:a.test,IP:127.0.0.1";
    return cert_lab::shared().issue(ca(), "a_ip", s);
}
const tls::server_config_ptr& server() {
    static const auto made = test_support::server_of(cert_a());
    return made;
}
const tls::client_context_ptr& trusting() {
    static const auto made = test_support::client_of(ca());
    return made;
}

using secure_client = http::basic_client<tls::connector<memory_connector>>;

/// Runs `test(client)` on a virtual clock, with `serve` at the other end of every connection.
template <class Test>
void with_secure_peer(memory_net& net, memory_net::script serve, Test test) {
    testing::virtual_loop loop;
    net.serve = serve;
    auto scenario = [](memory_net* n, Test* t) -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx, scope_policy::collect);
        n->scope = &scope;
        {
            secure_client api({}, tls::connector<memory_connector>(trusting(), memory_connector(*n)));
            auto end = co_await attempt((*t)(api));
            CHECK_MESSAGE(end, (end ? std::string() : end.error().message()));
        }
        co_await sleep_for(1ms);
        scope.stop();
        auto joined = co_await attempt(scope.join());
        ignore_result(std::move(joined), "it was stopped");
    };
    auto done = loop.run(scenario(&net, &test));
    CHECK_MESSAGE(done, (done ? std::string() : done.error().message()));
    CHECK(net.open == 0);
}

using secure_stream = tls::tls_stream<test_support::any_stream>;

// Answers one request; then says what the request's path names, after a second.
task<> answers_and_then(peer& p) {
    secure_stream s(std::move(p.stream), server());
    std::string left;
    for (;;) {
        const auto n = co_await attempt(read_until(s, left, "\r\n\r\n"));
        if (!n) {
            co_return;
        }
        const std::string head = left.substr(0, *n);
        left.erase(0, *n);
        co_await s.write_all(as_octets("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
        co_await sleep_for(1s);
        if (head.starts_with("GET /stray")) {
            co_await s.write_all(as_octets("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"));
        } else if (head.starts_with("GET /farewell")) {
            ignore_result(s.shutdown_write(), "the client notices");
        }
    }
}

} // namespace

TEST_SUITE("tls/client") {

TEST_CASE("an idle connection that gets octets or a farewell leaves the pool, one that gets tickets does not") {
    for (const char* const path : {"/quiet", "/stray", "/farewell"}) {
        CAPTURE(path);
        memory_net net;
        const bool stays = std::string_view(path) == "/quiet";
        with_secure_peer(net, answers_and_then, [&](secure_client& api) -> task<> {
            const std::string url = std::string("https://a.test") + path;
            auto first = co_await api.get(url).text();
            CHECK(first == "hello");
            CHECK(api.stats().idle == 1);
            co_await sleep_for(500ms); // the tickets have come by now
            CHECK(api.stats().idle == 1);
            co_await sleep_for(1s);
            CHECK(api.stats().idle == (stays ? 1 : 0));
            CHECK(api.stats().lost == (stays ? 0 : 1));
            auto second = co_await api.get(url);
            CHECK(second.reused() == stays);
            co_await second.text();
        });
        CHECK(net.connects == (stays ? 1 : 2));
    }
}

} // TEST_SUITE
