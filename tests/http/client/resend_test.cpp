// SPDX-License-Identifier: MIT
#include <flux/http/client/resend.hpp> // also proves the header is self-contained

#include "http/client/memory_connector.hpp"

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace flux_test;
using namespace std::chrono_literals;

namespace {

constexpr const char* hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

bool expects(const std::string& head) { return head.find("\r\nExpect: 100-continue\r\n") != std::string::npos; }

// 417 to whatever expects, with a body; the rest gets "hello".
task<> expects_nothing(peer& p) {
    for (;;) {
        std::string head = co_await p.head();
        if (head.empty()) {
            co_return;
        }
        p.net->heads.push_back(head);
        if (expects(head)) {
            co_await p.say("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
            head = co_await p.head();
            CHECK(head.empty()); // the body never came: nothing else can
            co_return;
        }
        std::string body = co_await p.body(head.find("chunked") != std::string::npos ? 14 : 4);
        p.net->heads.back() += body;
        co_await p.say(hello);
    }
}

} // namespace

TEST_SUITE("http/client/resend") {

TEST_CASE("a 417 is answered by the same request without the expectation, once [RFC 9110 10.1.1]") {
    memory_net net;
    auto done = with_peer(net, expects_nothing, {}, [](memory_client& api, memory_net& n) -> task<> {
        auto a = co_await api.post("http://a.test/").expect_continue().body("data");
        CHECK(a.code() == http::status::ok);
        CHECK(a.attempts() == 2);
        auto text = co_await a.text();
        CHECK(text == "hello");
        REQUIRE(n.heads.size() == 2);
        CHECK(expects(n.heads[0]));
        CHECK_FALSE(expects(n.heads[1]));
        CHECK(n.heads[1].ends_with("Content-Length: 4\r\n\r\ndata"));

        int made = 0;
        http::body_producer chunks = [&made](http::body_writer& out) -> task<> {
            ++made;
            co_await out.write("data");
        };
        auto b = co_await api.post("http://a.test/").expect_continue().stream(std::move(chunks)).text();
        CHECK(b == "hello");
        CHECK(made == 1);
        CHECK(n.heads.back().ends_with("\r\n\r\n4\r\ndata\r\n0\r\n\r\n"));

        auto c = co_await api.post("http://a.test/").expect_continue().body("data").no_resend();
        CHECK(c.code() == http::status::expectation_failed);
        auto said = co_await c.text();
        CHECK(said == "no");
    });
    CHECK(done);
}

TEST_CASE("a server that says 417 to everything has the last word") {
    memory_net net;
    auto done = with_peer(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        co_await p.say("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }, {}, [](memory_client& api, memory_net&) -> task<> {
        auto r = co_await api.put("http://a.test/").expect_continue().body("data");
        CHECK(r.code() == http::status::expectation_failed);
        CHECK(r.attempts() == 2);
    });
    CHECK(done);
    CHECK(net.connects == 2);
}

TEST_CASE("nothing is expected for a request without content [RFC 9110 10.1.1]") {
    memory_net net;
    auto done = with_peer(net, [](peer& p) -> task<> {
        for (std::string head = co_await p.head(); !head.empty(); head = co_await p.head()) {
            p.net->heads.push_back(head);
            co_await p.say(hello);
        }
    }, {}, [](memory_client& api, memory_net& n) -> task<> {
        co_await api.get("http://a.test/").expect_continue().text();
        co_await api.post("http://a.test/").expect_continue().body("").text();
        REQUIRE(n.heads.size() == 2);
        CHECK_FALSE(expects(n.heads[0]));
        CHECK_FALSE(expects(n.heads[1]));
    });
    CHECK(done);
}

TEST_CASE("a 408 for an idle connection that crosses a request: a GET goes out again, a POST does not [RFC 9110 15.5.9]") {
    memory_net net;
    net.streams.always_suspend = true;
    auto done = with_peer(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        p.net->heads.push_back(head);
        co_await p.say(hello);
        head = co_await p.head();
        if (!head.empty()) {
            p.net->heads.push_back(head);
            co_await p.say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    }, {}, [](memory_client& api, memory_net& n) -> task<> {
        auto first = co_await api.get("http://a.test/1").text();
        CHECK(first == "hello");
        auto again = co_await api.get("http://a.test/2");
        CHECK(again.code() == http::status::ok);
        CHECK(again.attempts() == 2);
        co_await again.text();
        CHECK(n.connects == 2);
        auto post = co_await api.post("http://a.test/3").body("x");
        CHECK(post.code() == http::status::request_timeout);
        CHECK(post.attempts() == 1);
        CHECK(n.connects == 2);
    });
    CHECK(done);
}

} // TEST_SUITE
