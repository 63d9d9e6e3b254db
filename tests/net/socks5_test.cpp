// SPDX-License-Identifier: MIT
#include <flux/net/socks5.hpp> // also proves the header is self-contained

#include <support/canned_connector.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace flux;
using namespace std::chrono_literals;
using test_support::canned_connector;
using test_support::canned_peer;
using test_support::outcome;

namespace {

using under_test = socks5_connector<canned_connector<>>;
const std::string none("\5\0", 2);
const std::string with_user("\5\2", 2);
const std::string yes("\5\0\0\1\0\0\0\0\0\0", 10);
const std::string greeting("\5\1\0", 3);

outcome run(canned_peer& peer, destination to, socks5_credentials who = {}) {
    return test_support::connect_once(under_test(canned_connector<>(peer), destination("proxy", 1080), std::move(who)), peer, std::move(to));
}

} // namespace

static_assert(connector<under_test>);

TEST_SUITE("net/socks5") {

TEST_CASE("names go to the proxy as they are, addresses as addresses [RFC 1928 4]") {
    canned_peer peer(none + yes);
    CHECK(run(peer, destination("a.example", 443)).heard == greeting + std::string("\5\1\0\3\x09" "a.example\1\xbb", 16));
    CHECK(peer.asked.back() == "proxy:1080");
    CHECK(run(peer, destination("192.0.2.1", 80)).heard == greeting + std::string("\5\1\0\1\xc0\0\2\1\0\x50", 10));
    CHECK(run(peer, destination("::1", 80)).heard == greeting + std::string("\5\1\0\4", 4) + std::string(15, '\0') + std::string("\1\0\x50", 3));
}

TEST_CASE("user and password, where the proxy wants them [RFC 1929]") {
    canned_peer peer(with_user + std::string("\1\0", 2) + yes);
    const auto o = run(peer, destination("a", 1), socks5_credentials("me", "secret"));
    CHECK(o.error.empty());
    CHECK(o.heard == std::string("\5\2\0\2", 4) + "\1\2me\6secret" + std::string("\5\1\0\3\1a\0\1", 8));
    canned_peer open(none + yes); // it does not want them
    CHECK(run(open, destination("a", 1), socks5_credentials("me", "secret")).error.empty());
}

TEST_CASE("what the target sends first is not lost, whatever address the reply has") {
    for (const std::string& reply : {yes, std::string("\5\0\0\3\4host\0\1", 11), std::string("\5\0\0\4", 4) + std::string(18, 'x'),
                                     std::string("\5\0\0\3\0\0\1", 7)}) {
        canned_peer peer(none + reply + "220 hello", true);
        CHECK(run(peer, destination("a", 1)).next == "220 hello");
    }
}

TEST_CASE("refusals have their reason, kind and the proxy's name") {
    struct row {
        char reply;
        const char* text;
        error_kind kind;
    };
    for (const row& r : {row{1, "general failure: the proxy cannot reach the target", error_kind::network},
                         row{2, "not allowed by its rules: the proxy refused the connection", error_kind::http},
                         row{3, "network unreachable: the proxy cannot reach the target", error_kind::network},
                         row{4, "host unreachable: the proxy cannot reach the target", error_kind::network},
                         row{5, "connection refused: the proxy cannot reach the target", error_kind::network},
                         row{6, "TTL expired: the proxy cannot reach the target", error_kind::network},
                         row{7, "command not supported: the proxy refused the connection", error_kind::http},
                         row{8, "address type not supported: the proxy refused the connection", error_kind::http},
                         row{9, "reply 9: the proxy refused the connection", error_kind::http}}) {
        canned_peer peer(none + std::string("\5", 1) + r.reply + std::string("\0\1\0\0\0\0\0\0", 8));
        const auto o = run(peer, destination("a", 1));
        CHECK(o.error == std::string("socks5 a:1 through proxy:1080: ") + r.text);
        CHECK(o.kind == r.kind);
        CHECK(o.phase == error_phase::connect);
        CHECK(o.retryable);
    }
    canned_peer no_method(std::string("\5\xff", 2));
    CHECK(run(no_method, destination("a", 1)).error == "socks5 a:1 through proxy:1080: the proxy wants other credentials");
    canned_peer wrong(with_user + std::string("\1\1", 2));
    CHECK(run(wrong, destination("a", 1), socks5_credentials("a", "b")).error.ends_with("the proxy wants other credentials"));
}

TEST_CASE("answers that are no SOCKS 5 are refused") {
    for (const std::string& odd : {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string("\4\0", 2), std::string("\5\1", 2),
                                   std::string("\5\2", 2), none + std::string("\4\0\0\1\0\0\0\0\0\0", 10),
                                   none + std::string("\5\0\0\2\0\0\0\0\0\0", 10)}) {
        canned_peer peer(odd);
        const auto o = run(peer, destination("a", 1));
        CHECK(o.error == "socks5 a:1 through proxy:1080: the proxy's answer is invalid");
        CHECK(o.kind == error_kind::protocol);
    }
}

TEST_CASE("a connection that ends anywhere in between is an error, and one that says nothing ends with the deadline") {
    const std::string whole = with_user + std::string("\1\0", 2) + yes;
    for (std::size_t n = 0; n < whole.size(); ++n) {
        CAPTURE(n);
        canned_peer cut(whole.substr(0, n), true);
        auto o = run(cut, destination("a", 1), socks5_credentials("a", "b"));
        CHECK(o.error == "socks5 a:1 through proxy:1080: the connection ended: the proxy's answer is invalid");
        canned_peer silent(whole.substr(0, n));
        o = run(silent, destination("a", 1), socks5_credentials("a", "b"));
        CHECK(o.error == "socks5 a:1 through proxy:1080: timed out");
        CHECK(o.kind == error_kind::timeout);
        CHECK(o.took == 10s);
    }
}

TEST_CASE("what cannot be written is refused before anything is sent") {
    canned_peer peer(none + yes);
    for (const std::string& host : {std::string(), std::string(256, 'a'), std::string("a\0b", 3), std::string("a b"), std::string("fe80::1%lo")}) {
        const auto o = run(peer, destination(host, 1));
        CHECK(o.error.ends_with("the host cannot be given to a SOCKS proxy: invalid argument"));
        CHECK(o.kind == error_kind::usage);
    }
    CHECK(run(peer, destination("a", 1), socks5_credentials("", "x")).kind == error_kind::usage);
    CHECK(run(peer, destination("a", 1), socks5_credentials("x", "")).kind == error_kind::usage);
    CHECK(run(peer, destination("a", 1), socks5_credentials(std::string(256, 'u'), "x")).kind == error_kind::usage);
    CHECK(peer.asked.empty());
}

TEST_CASE("a proxy that cannot be reached is named as such") {
    canned_peer peer("");
    peer.refuses = ECONNREFUSED;
    const auto o = run(peer, destination("a", 1));
    CHECK(o.error == "proxy proxy:1080: connect proxy:1080: Connection refused");
    CHECK(o.kind == error_kind::network);
    CHECK(o.retryable);
}

}
