// SPDX-License-Identifier: MIT
#include <flux/http/client/connect_tunnel.hpp> // also proves the header is self-contained

#include <flux/testing/fail_point.hpp>
#include <support/canned_connector.hpp>
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace std::chrono_literals;
using test_support::any_stream;
using test_support::connect_once;
using test_support::outcome;
using canned_peer = test_support::basic_canned_peer<any_stream>;
template <bool Secures = false>
using canned_connector = test_support::canned_connector<Secures, any_stream>;

namespace {

outcome run(canned_peer& peer, destination to = destination("a.example", 443), const char* proxy = "http://proxy:3128") {
    http::proxy_connector<canned_connector<>> c(canned_connector<>(peer), http::proxy::parse(proxy).value());
    return connect_once(std::move(c), peer, std::move(to));
}
/// Lets operations of the connection to the proxy fail.
class faulty_connector {
public:
    using stream_type = testing::faulty_stream<any_stream>;
    static constexpr bool secures = false;
    faulty_connector(canned_peer& p, testing::fail_plan& plan) : peer_(&p), plan_(&plan) {}
    task<stream_type> connect(const destination& to) { return run(peer_, plan_, to); }

private:
    static task<stream_type> run(canned_peer* peer, testing::fail_plan* plan, destination to) {
        canned_connector<> next(*peer);
        auto stream = co_await next.connect(to);
        co_return stream_type(std::move(stream), *plan);
    }
    canned_peer* peer_;
    testing::fail_plan* plan_;
};

template <class Make>
void survives_every_fault(std::string says, Make make) {
    const auto scenario = [&](testing::fail_plan& plan) -> task<> {
        canned_peer peer(says, true);
        auto c = make(faulty_connector(peer, plan));
        auto stream = co_await attempt(c.connect(destination("a.example", 443)));
        if (!stream) {
            CHECK(stream.error().phase() == error_phase::connect);
            CHECK(stream.error().message().find("through proxy") != std::string::npos);
            co_await fail(stream.error());
        }
        const std::string first = co_await read_all(*stream);
        CHECK(first == "hello");
    };
    const auto summary = testing::for_each_fault(scenario);
    CHECK_MESSAGE(summary.has_value(), (summary ? "" : summary.error().message()));
    CHECK(summary->operations > 5);
}

constexpr const char* failed = "CONNECT a.example:443 through proxy:3128: ";

} // namespace

static_assert(connector<http::proxy_connector<canned_connector<>>>);
static_assert(connector<http::routed_connector<canned_connector<>>>);

TEST_SUITE("http/client/connect_tunnel") {

TEST_CASE("CONNECT has exact octets, with credentials if there are any [RFC 9110 9.3.6]") {
    canned_peer peer("HTTP/1.1 200 Connection established\r\n\r\n");
    auto o = run(peer);
    CHECK(o.error.empty());
    CHECK(o.heard == "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
    CHECK(peer.asked.back() == "proxy:3128");
    o = run(peer, destination("::1", 8443), "http://Aladdin:open%20sesame@proxy");
    CHECK(o.heard == "CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
    CHECK(peer.asked.back() == "proxy:80");
}

TEST_CASE("every 2xx opens the tunnel; its Content-Length means nothing, and what the target sends first is not lost") {
    for (const char* head : {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 Connection established\r\n\r\n", "HTTP/1.1 204\r\n\r\n",
                             "HTTP/1.1 299 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                             "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 200 OK\r\nVia: z\r\n\r\n"}) {
        for (const std::string& first : {std::string("220 hello\r\n"), std::string("\r\n\r\n"), std::string("H"), std::string()}) {
            CAPTURE(head);
            canned_peer peer(head + first, true);
            const auto o = run(peer);
            CHECK(o.error.empty());
            CHECK(o.next == first);
        }
    }
}

TEST_CASE("the same octets one at a time") {
    canned_peer peer("HTTP/1.1 200 OK\r\nVia: z\r\n\r\nhello", true);
    peer.options.max_read = 1;
    CHECK(run(peer).next == "hello");
}

TEST_CASE("a refusal keeps status, reason and the start of the body") {
    canned_peer forbidden("HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\n\r\nnot\x01you\r\n:-(and more that is not read");
    auto o = run(forbidden);
    CHECK(o.error == std::string(failed) + "403 Forbidden: \"not you  :-\": the proxy refused the connection");
    CHECK(o.kind == error_kind::http);
    CHECK(o.phase == error_phase::connect);
    CHECK(o.retryable);
    CHECK(o.took == 0s);

    canned_peer credentials("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nProxy-Authenticate: Basic\r\n\r\n");
    o = run(credentials);
    CHECK(o.error == std::string(failed) + "407 Proxy Authentication Required: the proxy wants other credentials");
    CHECK(o.kind == error_kind::http);

    canned_peer gateway("HTTP/1.1 502 Bad Gateway\r\n\r\nno route", true);
    o = run(gateway);
    CHECK(o.error == std::string(failed) + "502 Bad Gateway: \"no route\": the proxy cannot reach the target");
    CHECK(o.kind == error_kind::network);

    canned_peer redirect("HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n");
    CHECK(run(redirect).error == std::string(failed) + "302 Found: the proxy refused the connection");
}

TEST_CASE("a refusal's body is bounded in octets and in time") {
    canned_peer large("HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000\r\n\r\n" + std::string(5000, 'x'));
    auto o = run(large);
    CHECK(o.error.find("\"" + std::string(256, 'x') + "\"") != std::string::npos);
    CHECK(o.took == 0s);
    canned_peer slow("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nabc");
    o = run(slow);
    CHECK(o.error.find("\"abc\"") != std::string::npos);
    CHECK(o.took == 1s);
}

TEST_CASE("heads without end, too many interim answers and octets that are no HTTP are refused") {
    canned_peer endless("HTTP/1.1 200 OK\r\n" + [] {
        std::string fields;
        for (int i = 0; i < 99; ++i) {
            fields += "X-" + std::to_string(i) + ": " + std::string(200, 'y') + "\r\n";
        }
        return fields;
    }());
    auto o = run(endless);
    CHECK(o.kind == error_kind::limit);
    std::string flood;
    for (int i = 0; i < 6; ++i) {
        flood += "HTTP/1.1 100 Continue\r\n\r\n";
    }
    canned_peer interim(flood + "HTTP/1.1 200 OK\r\n\r\n");
    o = run(interim);
    CHECK(o.error.starts_with(failed));
    CHECK(o.kind == error_kind::limit);
    for (const char* odd : {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\n\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n"}) {
        canned_peer peer(odd);
        o = run(peer);
        CHECK(o.error.starts_with(failed));
        CHECK(o.kind == error_kind::protocol);
    }
}

TEST_CASE("an answer that ends or stops anywhere is an error") {
    const std::string whole = "HTTP/1.1 200 OK\r\nVia: z\r\n\r\n";
    for (std::size_t n = 0; n < whole.size(); ++n) {
        CAPTURE(n);
        canned_peer cut(whole.substr(0, n), true);
        auto o = run(cut);
        CHECK(o.error == std::string(failed) + "the connection ended: the proxy's answer is invalid");
        canned_peer silent(whole.substr(0, n));
        o = run(silent);
        CHECK(o.error == std::string(failed) + "timed out");
        CHECK(o.took == 10s);
        CHECK(o.kind == error_kind::timeout);
    }
}

TEST_CASE("what could split the request is refused before anything is sent") {
    canned_peer peer("HTTP/1.1 200 OK\r\n\r\n");
    for (const char* host : {"", "a\r\nX: y", "a b", "a/b", "u@h", "fe80::1%lo"}) {
        const auto o = run(peer, destination(host, 1));
        CHECK(o.kind == error_kind::usage);
        CHECK(!o.retryable);
    }
    CHECK(peer.asked.empty());
}

TEST_CASE("a proxy with TLS needs a connector with TLS, which gets the proxy's name") {
    canned_peer peer("HTTP/1.1 200 OK\r\n\r\n");
    const auto o = run(peer, destination("a.example", 443), "https://proxy");
    CHECK(o.error.starts_with("proxy proxy:443: a proxy with TLS needs a connector with TLS: "));
    CHECK(o.kind == error_kind::usage);
    http::proxy_connector<canned_connector<true>> c(canned_connector<true>(peer), http::proxy::parse("https://proxy").value());
    CHECK(connect_once(std::move(c), peer, destination("a.example", 443)).error.empty());
    CHECK(peer.asked.back() == "proxy:443+");
}

TEST_CASE("routes: direct, forward, tunnel, SOCKS; plain to the target in each case") {
    canned_peer peer("HTTP/1.1 200 OK\r\n\r\n");
    const auto with = [&](const char* proxy, const char* no_proxy, destination to) {
        auto rules = http::proxy_rules::only(http::proxy::parse(proxy).value(), no_proxy);
        return connect_once(http::routed_connector<canned_connector<true>>(canned_connector<true>(peer), std::move(rules)), peer, std::move(to));
    };
    auto o = with("p:1", "a.example", destination("a.example", 443, true));
    CHECK(o.heard.empty());
    CHECK(peer.asked.back() == "a.example:443");
    o = with("p:1", "", destination("a.example", 80));
    CHECK(o.heard.empty());
    CHECK(peer.asked.back() == "p:1");
    o = with("https://p:1", "", destination("a.example", 80));
    CHECK(peer.asked.back() == "p:1+");
    o = with("p:1", "", destination("a.example", 443, true));
    CHECK(o.heard.starts_with("CONNECT a.example:443 HTTP/1.1\r\n"));
    CHECK(peer.asked.back() == "p:1");
    peer.says = std::string("\5\0\5\0\0\1\0\0\0\0\0\0", 12);
    o = with("socks5://p", "", destination("a.example", 80));
    CHECK(o.error.empty());
    CHECK(o.heard == std::string("\5\1\0\5\1\0\3\x09", 8) + "a.example" + std::string("\0\x50", 2));
    CHECK(peer.asked.back() == "p:1080");

    http::routed_connector<canned_connector<>> c(canned_connector<>(peer), http::proxy_rules::only(http::proxy::parse("p:1").value()));
    CHECK(c.route_of(destination("a.example", 80)).kind == http::route_kind::forward);
    CHECK(c.route_of(destination("a.example", 443, true)).kind == http::route_kind::tunnel);
    CHECK(c.route_of(destination("a.example", 80)).via->where.to_string() == "p:1");
}

TEST_CASE("whichever operation on the way fails or is stopped, the error says so and nothing is left") {
    survives_every_fault("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVia: z\r\n\r\nhello", [](faulty_connector c) {
        return http::proxy_connector<faulty_connector>(c, http::proxy::parse("me:secret@proxy:1").value());
    });
    survives_every_fault(std::string("\5\2\1\0\5\0\0\1\0\0\0\0\0\0hello", 19), [](faulty_connector c) {
        return socks5_connector<faulty_connector>(c, destination("proxy", 1), socks5_credentials("me", "secret"));
    });
}

}
