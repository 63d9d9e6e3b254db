// SPDX-License-Identifier: MIT
// After 101 and CONNECT: the connection belongs to who asked.
#include <flux/http/client/client.hpp>

#include "http/client/memory_connector.hpp"


#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace flux_test;
using namespace std::chrono_literals;

namespace {

task<> send(raw_stream& s, std::string text) { co_await s.write_all(as_octets(text)); }
task<std::string> hear(raw_stream& s) {
    auto octets = co_await s.receive();
    co_return std::string(as_text(octets.octets()));
}

// 101 with the first octets of the other protocol right behind it, then an echo in brackets until the end.
task<> switches(peer& p) {
    std::string head = co_await p.head();
    p.net->heads.push_back(head);
    const bool connects = head.starts_with("CONNECT ");
    co_await p.say(connects ? "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nfirst" // a length means nothing here
                            : "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\nConnection: upgrade\r\n\r\nfirst");
    for (;;) {
        auto octets = co_await attempt(p.stream.receive());
        if (!octets || octets->empty()) {
            break;
        }
        const std::string text = "<" + std::string(as_text(octets->octets())) + ">";
        octets->reset();
        co_await p.say(text);
    }
    p.net->heads.push_back("end");
}

} // namespace

TEST_SUITE("http/client/switch") {

TEST_CASE("an upgrade hands the connection out, with the octets behind the head, and it counts until it is closed [RFC 9110 7.8]") {
    for (const bool connects : {false, true}) {
        CAPTURE(connects);
        memory_net net;
        http::client_options options;
        options.pool.max_per_origin = 1;
        options.timeout = 1s;
        net.heads.push_back(connects ? "CONNECT" : "GET");
        auto done = with_peer(net, switches, options, [](memory_client& api, memory_net& n) -> task<> {
            const std::string method = n.heads[0];
            n.heads.clear();
            raw_stream s;
            {
                auto request = api.request(method, "http://a.test:81/chat");
                if (method == "GET") {
                    request.upgrade("echo/1, other");
                }
                auto r = co_await std::move(request);
                CHECK(r.is_switched());
                auto none = co_await r.text();
                CHECK(none == "");
                s = r.take_stream();
                auto twice = r.take_stream();
                CHECK_FALSE(twice.is_open());
            }
            CHECK(n.heads[0].starts_with(method == "GET" ? "GET /chat HTTP/1.1\r\n" : "CONNECT a.test:81 HTTP/1.1\r\n"));
            CHECK((n.heads[0].find("\r\nConnection: upgrade\r\n") != std::string::npos) == (method == "GET"));
            CHECK(s.is_open());
            CHECK(s.underlying<test_support::any_stream>() != nullptr);
            CHECK(api.stats().active == 1);
            auto first = co_await hear(s);
            CHECK(first == "first");
            co_await sleep_for(10s); // no timeout of the exchange goes on
            co_await send(s, "ping");
            auto echo = co_await hear(s);
            CHECK(echo == "<ping>");
            auto waits = co_await attempt(api.get("http://a.test:81/"));
            CHECK((!waits && waits.error().is(errc::timed_out))); // the cap of one connection
            CHECK(n.connects == 1);
            s.close();
            CHECK_FALSE(s.is_open());
            CHECK(api.stats().active == 0);
            CHECK(api.stats().idle == 0);
            co_await sleep_for(1ms);
            CHECK(n.heads.back() == "end");
        });
        CHECK(done);
    }
}

TEST_CASE("a switched connection that nobody takes is closed; one that outlives its client goes on") {
    memory_net net;
    auto done = with_peer(net, switches, {}, [](memory_client& api, memory_net& n) -> task<> {
        {
            auto r = co_await api.get("http://a.test/").upgrade("echo/1");
            CHECK(api.stats().active == 1);
        }
        CHECK(api.stats().active == 0);
        co_await sleep_for(1ms);
        CHECK(n.heads.back() == "end");
        raw_stream s;
        {
            memory_client brief({}, memory_connector(n));
            auto r = co_await brief.get("http://a.test/").upgrade("echo/1");
            s = r.take_stream();
        }
        auto first = co_await hear(s);
        CHECK(first == "first");
        co_await send(s, "on");
        auto echo = co_await hear(s);
        CHECK(echo == "<on>");
        s.abort();
    });
    CHECK(done);
}

TEST_CASE("a server may answer an offer as if there was none; it may not choose what was not offered") {
    memory_net net;
    auto done = with_peer(net, [](peer& p) -> task<> {
        for (std::string head = co_await p.head(); !head.empty(); head = co_await p.head()) {
            const bool declines = head.find("/declines") != std::string::npos;
            co_await p.say(declines ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
                                    : head.find("/unnamed") != std::string::npos
                                          ? "HTTP/1.1 101 Switching Protocols\r\n\r\n"
                                          : "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n");
        }
    }, {}, [](memory_client& api, memory_net&) -> task<> {
        auto r = co_await api.get("http://a.test/declines").upgrade("echo/1");
        CHECK_FALSE(r.is_switched());
        CHECK_FALSE(r.take_stream().is_open());
        auto text = co_await r.text();
        CHECK(text == "hello");
        CHECK(api.stats().idle == 1);
        for (const char* path : {"http://a.test/unnamed", "http://a.test/other"}) {
            auto wrong = co_await attempt(api.get(path).upgrade("echo/1"));
            CHECK((!wrong && wrong.error().code() == http::errc::unexpected_upgrade));
        }
        auto unasked = co_await attempt(api.get("http://a.test/other").header("Upgrade", "other").header("Connection", "close"));
        CHECK((!unasked && unasked.error().code() == http::errc::unexpected_upgrade));
        CHECK(api.stats().active == 0);
    });
    CHECK(done);
}

TEST_CASE("stopped at any moment, before or after the switch, nothing is left in use") {
    for (int stop_at = 0; stop_at < 30; ++stop_at) {
        CAPTURE(stop_at);
        memory_net net;
        net.connect_delay = 5ms;
        net.streams.always_suspend = true;
        net.heads.push_back(std::to_string(stop_at));
        auto done = with_peer(net, [](peer& p) -> task<> {
            std::string head = co_await p.head();
            co_await sleep_for(5ms);
            co_await p.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\n\r\n");
            co_await sleep_for(5ms);
            co_await p.say("tick");
            auto gone = co_await attempt(p.stream.receive());
        }, {}, [](memory_client& api, memory_net& n) -> task<> {
            const auto talk = [](memory_client& c) -> task<> {
                auto r = co_await c.get("http://a.test/").upgrade("echo/1");
                auto s = r.take_stream();
                auto tick = co_await hear(s);
                co_await send(s, "tock");
                co_await sleep_for(5ms);
            };
            const int at = std::stoi(n.heads[0]);
            auto r = co_await attempt(with_timeout(milliseconds(at), talk(api)));
            CHECK(static_cast<bool>(r) == (at > 20));
            CHECK(api.stats().active == 0);
            co_await sleep_for(1ms);
            CHECK(api.stats().dialling == 0);
            CHECK(api.stats().idle == 0);
        });
        CHECK(done);
        CHECK(net.open == 0);
    }
}

} // TEST_SUITE
