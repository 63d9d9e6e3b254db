// SPDX-License-Identifier: MIT
// The HTTP client over TLS in memory: what only shows where both meet.
#include <flux/tls/https.hpp>

#include <flux/coro/sleep.hpp>
#include <http/client/memory_connector.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <tuple>
#include <utility>

using namespace flux;
using namespace flux_test;
using namespace std::chrono_literals;
using test_support::ca;
using test_support::cert_lab;

namespace {

const cert_lab::pair& cert_a() { return test_support::named("a_ip", "DNS:a.test,IP:127.0.0.1"); }
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

// Answers every request over a connection that it looks at only after a while.
task<> answers_late(peer& p) {
    co_await sleep_for(30ms);
    secure_stream s(std::move(p.stream), server());
    std::string left;
    while (co_await attempt(read_until(s, left, "\r\n\r\n"))) {
        left.clear();
        co_await s.write_all(as_octets("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
    }
}
task<> says_nothing(peer&) { co_await sleep_for(1h); }

/// Each handshake as `started host; ended host after n ms: outcome;`.
class handshakes final : public http::client_trace {
public:
    void handshake_started(std::string_view host) noexcept override {
        began_ = scheduler::current()->now();
        ((text += "started ") += host) += "; ";
    }
    void handshake_ended(std::string_view host, const error* why) noexcept override {
        const auto took = std::chrono::duration_cast<milliseconds>(scheduler::current()->now() - began_);
        ((text += "ended ") += host) += " after " + std::to_string(took.count()) + " ms: ";
        (text += why == nullptr ? "well" : to_string(why->kind())) += "; ";
    }
    void got_connection(duration, bool reused) noexcept override { text += reused ? "reused; " : "fresh; "; }
    void done(duration, const error* why) noexcept override { text += why == nullptr ? "done" : to_string(why->kind()); }
    std::string text;

private:
    time_point began_{};
};

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

TEST_CASE("a trace is told of the handshake, of whom it is with and how it ends") {
    SUBCASE("one, for the connection; none for the exchange that finds it warm, nor without TLS") {
        memory_net net;
        with_secure_peer(net, answers_late, [](secure_client& api) -> task<> {
            handshakes first;
            std::ignore = co_await api.get("https://a.test/").trace(first).text();
            CHECK(first.text == "started a.test; ended a.test after 30 ms: well; fresh; done");
            handshakes second;
            std::ignore = co_await api.get("https://a.test/").trace(second).text();
            CHECK(second.text == "reused; done");
            handshakes plain;
            auto refused = co_await api.get("http://a.test/").trace(plain); // the server says that it speaks TLS only
            CHECK(refused.code() == http::status::bad_request);
            std::ignore = co_await refused.text();
            CHECK(plain.text == "fresh; done");
        });
    }
    SUBCASE("with somebody else") {
        memory_net net;
        with_secure_peer(net, answers_late, [](secure_client& api) -> task<> {
            handshakes seen;
            auto failed = co_await attempt(api.get("https://b.test/").trace(seen).text());
            CHECK(!failed);
            CHECK(seen.text == "started b.test; ended b.test after 30 ms: tls; tls");
        });
    }
    SUBCASE("with nobody, until the time to connect is over, and until the request's is") {
        memory_net net;
        with_secure_peer(net, says_nothing, [](secure_client& api) -> task<> {
            handshakes seen;
            auto failed = co_await attempt(api.get("https://a.test/").timeout(1h).trace(seen).text());
            CHECK(!failed);
            const std::string most = std::to_string(api.options().pool.connect_timeout.count());
            CHECK(seen.text == "started a.test; ended a.test after " + most + " ms: timeout; timeout");
            handshakes left;
            failed = co_await attempt(api.get("https://a.test/").timeout(50ms).trace(left).text());
            CHECK(!failed);
            CHECK(left.text == "started a.test; timeout");
        });
    }
}

} // TEST_SUITE
