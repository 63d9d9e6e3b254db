// SPDX-License-Identifier: MIT
#include <flux/http/client/client.hpp> // also proves the header is self-contained

#include "http/client/memory_connector.hpp"

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>

using namespace flux;
using namespace flux_test;
using namespace std::chrono_literals;

namespace {

constexpr const char* hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

// Answers everything with 200 and "hello", and notes the heads.
task<> says_hello(peer& p) {
    for (;;) {
        std::string head = co_await p.head();
        if (head.empty()) {
            co_return;
        }
        p.net->heads.push_back(std::move(head));
        co_await p.say(hello);
    }
}

result<void> run(memory_net& net, memory_net::script serve, task<> (*test)(memory_client&, memory_net&),
                 const http::client_options& options = {}) {
    auto shuffled = with_peer(net, serve, options, test, 7);
    CHECK(shuffled);
    net = memory_net();
    auto done = with_peer(net, serve, options, test);
    if (!done) {
        FAIL_CHECK(done.error().message());
    }
    CHECK(net.open == 0);
    return done;
}

} // namespace

TEST_SUITE("http/client/client") {

TEST_CASE("one connection carries one exchange after the other [RFC 9112 9.3]") {
    memory_net net;
    auto done = run(net, says_hello, [](memory_client& api, memory_net&) -> task<> {
        for (int i = 0; i < 5; ++i) {
            auto r = co_await api.get("http://a.test/x?y#z");
            CHECK(r.code() == http::status::ok);
            CHECK(r.reused() == (i != 0));
            auto text = co_await r.text();
            CHECK(text == "hello");
        }
        const auto stats = api.stats();
        CHECK(stats.idle == 1);
        CHECK(stats.reuses == 4);
        CHECK(stats.dials == 1);
    });
    CHECK(done);
    CHECK(net.connects == 1);
    REQUIRE(net.heads.size() == 5);
    CHECK(net.heads[0] == "GET /x?y HTTP/1.1\r\nHost: a.test\r\nUser-Agent: flux/" FLUX_VERSION_STRING "\r\n\r\n");
}

TEST_CASE("what is set on a request is what is sent") {
    memory_net net;
    auto done = run(net, says_hello, [](memory_client& api, memory_net&) -> task<> {
        api.default_header("X-App", "t").default_header("X-Both", "default");
        auto text = co_await api.put("http://u:p%40@a.test:81/a b").query("k", "v&w").header("X-Both", "mine").body("abc").text();
        CHECK(text == "hello");
        co_await api.post("http://a.test").text();
        co_await api.get("http://a.test").header(http::field::user_agent, "me").header("Connection", "close").text();
    });
    CHECK(done);
    REQUIRE(net.heads.size() == 3);
    CHECK(net.heads[0] == "PUT /a%20b?k=v%26w HTTP/1.1\r\nHost: a.test:81\r\nX-Both: mine\r\nUser-Agent: flux/" FLUX_VERSION_STRING
                          "\r\nX-App: t\r\nAuthorization: Basic dTpwQA==\r\nContent-Length: 3\r\n\r\n");
    CHECK(net.heads[1].find("\r\nContent-Length: 0\r\n") != std::string::npos);
    CHECK(net.heads[2].find("User-Agent: me\r\n") != std::string::npos);
    CHECK(net.heads[2].find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("what could split the message is refused, and nothing goes on the wire") {
    memory_net net;
    auto done = run(net, says_hello, [](memory_client& api, memory_net& n) -> task<> {
        const auto refuses = [](const result<http::client_response>& r) {
            CHECK_FALSE(r);
            CHECK((!r && r.error().kind() == error_kind::usage));
        };
        const std::string url = "http://a.test/";
        auto a = co_await attempt(api.get(url).header("X", "a\r\nY: b"));
        refuses(a);
        auto b = co_await attempt(api.get(url).header("X y", "a"));
        refuses(b);
        auto c = co_await attempt(api.get("http://a.test/\r\nX: y"));
        refuses(c);
        auto d = co_await attempt(api.request("GET / HTTP/1.1\r\nX:", url));
        refuses(d);
        auto e = co_await attempt(api.get(url).header("Content-Length", "3"));
        refuses(e);
        auto f = co_await attempt(api.post(url).header("Transfer-Encoding", "chunked").body("x"));
        refuses(f);
        auto g = co_await attempt(api.get(url).add_header("Host", "a").add_header("Host", "b"));
        refuses(g);
        auto h = co_await attempt(api.get("https://a.test/"));
        refuses(h);
        auto i = co_await attempt(api.get("/relative"));
        refuses(i);
        auto j = co_await attempt(api.get(std::string("http://a.test/\0", 15)));
        refuses(j);
        auto k = co_await attempt(api.request(http::method::trace, url).body("x"));
        refuses(k);
        auto l = co_await attempt(api.request("CONNECT", url).body("x"));
        refuses(l);
        CHECK(n.connects == 0);
    });
    CHECK(done);
}

TEST_CASE("the chain of an error says what was being done") {
    memory_net net;
    net.refusals = {ECONNREFUSED};
    auto done = with_peer(net, says_hello, {}, [](memory_client& api, memory_net&) -> task<> {
        auto r = co_await attempt(api.get("http://user:secret@a.test/x?key=secret"));
        REQUIRE_FALSE(r);
        CHECK(r.error().message() == "GET http://a.test/x: connect memory: Connection refused");
        CHECK(r.error().kind() == error_kind::network);
        CHECK(r.error().phase() == error_phase::connect);
        CHECK(r.error().retryable());
        CHECK(r.error().attempt() == 1);
    });
    CHECK(done);
}

TEST_CASE("a body longer than the caller takes is an error that names the request and the limit") {
    memory_net net;
    auto done = with_peer(net, says_hello, {}, [](memory_client& api, memory_net&) -> task<> {
        auto response = co_await api.get("http://a.test/x?key=secret");
        const auto size = response.body().length().value();
        REQUIRE(size > 1);
        auto r = co_await attempt(response.text(size - 1));
        REQUIRE_FALSE(r);
        CHECK(r.error().message() == "GET http://a.test/x: the body is longer than " + std::to_string(size - 1) + " octets: limit exceeded");
        CHECK(r.error().kind() == error_kind::limit);
        CHECK(r.error().phase() == error_phase::body);
    });
    CHECK(done);
}

TEST_CASE("a response that ends before its framing does is an error, at every octet [RFC 9112 8]") {
    for (const std::string& whole : {std::string(hello), std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n")}) {
        for (std::size_t n = 0; n < whole.size(); ++n) {
            memory_net net;
            net.heads.push_back(whole.substr(0, n));
            auto done = with_peer(net, [](peer& p) -> task<> {
                std::string head = co_await p.head();
                co_await p.say(p.net->heads[0]);
                p.net->heads.push_back(std::move(head));
            }, {}, [](memory_client& api, memory_net& m) -> task<> {
                auto r = co_await attempt(api.post("http://a.test/").text());
                CHECK_FALSE(r);
                CHECK((!r && r.error().kind() == error_kind::network));
                CHECK(m.connects == 1);
                CHECK(api.stats().idle == 0);
            });
            CHECK(done);
        }
    }
}

TEST_CASE("a connection with octets behind the response is not used again [RFC 9112 9.2]") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        co_await p.say(std::string(hello) + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        head = co_await p.head();
    }, [](memory_client& api, memory_net& n) -> task<> {
        auto a = co_await api.get("http://a.test/").text();
        auto b = co_await api.get("http://a.test/").text();
        CHECK(a == "hello");
        CHECK(b == "hello");
        CHECK(n.connects == 2);
    });
    CHECK(done);
}

TEST_CASE("an idle connection that gets octets or ends leaves the pool at once") {
    for (const bool ends : {false, true}) {
        memory_net net;
        net.heads.push_back(ends ? "" : "x");
        auto done = with_peer(net, [](peer& p) -> task<> {
            const std::string first = p.net->heads[0];
            std::string head = co_await p.head();
            co_await p.say(hello);
            co_await sleep_for(10ms);
            if (first.empty()) {
                co_return;
            }
            co_await p.say(first);
            head = co_await p.head();
        }, {}, [](memory_client& api, memory_net& n) -> task<> {
            co_await api.get("http://a.test/").text();
            CHECK(api.stats().idle == 1);
            co_await sleep_for(20ms);
            CHECK(api.stats().idle == 0);
            CHECK(api.stats().lost == 1);
            auto again = co_await api.post("http://a.test/").text();
            CHECK(again == "hello");
            CHECK(n.connects == 2);
        });
        CHECK(done);
    }
}

TEST_CASE("a GET on a reused connection that dies before the response is sent again, a POST is not [RFC 9110 9.2.2]") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        co_await p.say(hello);
        head = co_await p.head(); // and dies with it
        p.net->heads.push_back(head);
        if (p.number >= 2) {
            co_await p.say(hello);
        }
    }, [](memory_client& api, memory_net& n) -> task<> {
        co_await api.get("http://a.test/").text();
        auto r = co_await api.get("http://a.test/");
        CHECK(r.attempts() == 2);
        CHECK_FALSE(r.reused());
        CHECK(n.connects == 2);
        co_await r.text();
        auto post = co_await attempt(api.post("http://a.test/"));
        CHECK_FALSE(post);
        CHECK((!post && post.error().kind() == error_kind::network));
        CHECK((!post && post.error().attempt() == 1));
        CHECK(n.connects == 2);
    });
    CHECK(done);
}

TEST_CASE("each phase has its timeout, and the whole exchange has one") {
    const auto silent = [](peer& p) -> task<> {
        std::string head = co_await p.head();
        p.net->heads.push_back(head);
        if (p.number == 1) {
            co_await p.say("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n");
            for (int i = 0; i < 3; ++i) {
                co_await p.say("x");
                co_await sleep_for(3s);
            }
        }
        co_await sleep_for(1h);
    };
    http::client_options options;
    options.first_byte_timeout = 2s;
    options.progress_timeout = 4s;
    options.pool.connect_timeout = 1s;
    memory_net net;
    auto done = run(net, silent, [](memory_client& api, memory_net& n) -> task<> {
        auto ctx = co_await this_context();
        const auto timed_out = [](const error& e, error_phase phase) {
            CHECK(e.kind() == error_kind::timeout);
            CHECK(e.phase() == phase);
        };
        time_point start = ctx.home().now();
        auto head = co_await attempt(api.get("http://a.test/"));
        REQUIRE_FALSE(head);
        timed_out(head.error(), error_phase::head);
        CHECK(ctx.home().now() - start == 2s);

        start = ctx.home().now();
        auto body = co_await attempt(api.get("http://a.test/").text());
        REQUIRE_FALSE(body);
        timed_out(body.error(), error_phase::body);
        CHECK(ctx.home().now() - start == 10s);

        start = ctx.home().now();
        auto whole = co_await attempt(api.get("http://a.test/").timeout(1500ms).text());
        REQUIRE_FALSE(whole);
        timed_out(whole.error(), error_phase::head);
        CHECK(ctx.home().now() - start == 1500ms);

        n.connect_delay = 3s;
        start = ctx.home().now();
        auto connect = co_await attempt(api.get("http://a.test/").text());
        REQUIRE_FALSE(connect);
        timed_out(connect.error(), error_phase::connect);
        CHECK(ctx.home().now() - start == 1s);
    }, options);
    CHECK(done);
}

TEST_CASE("the deadline of the exchange is not moved by progress") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        co_await p.say("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
        for (int i = 0; i < 500; ++i) {
            co_await p.say("x");
            co_await sleep_for(1s);
        }
    }, [](memory_client& api, memory_net&) -> task<> {
        auto r = co_await attempt(api.get("http://a.test/").timeout(5500ms).text());
        CHECK((!r && r.error().kind() == error_kind::timeout));
    });
    CHECK(done);
}

TEST_CASE("a status of 400 and above is an answer, and an error of the short form") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        for (;;) {
            std::string head = co_await p.head();
            if (head.empty()) {
                co_return;
            }
            co_await p.say("HTTP/1.1 404 Nope\r\nContent-Length: 4\r\n\r\nwhy?");
        }
    }, [](memory_client& api, memory_net&) -> task<> {
        auto r = co_await api.get("http://a.test/");
        CHECK(r.code() == http::status::not_found);
        CHECK_FALSE(r.ok());
        auto text = co_await attempt(api.get("http://a.test/").text());
        REQUIRE_FALSE(text);
        CHECK(text.error().kind() == error_kind::http);
        CHECK(text.error().message().find("404 Nope: why?") != std::string::npos);
    });
    CHECK(done);
}

TEST_CASE("interim responses are told and bounded; a switch that nobody asked for is refused [RFC 9110 15.2]") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        if (p.number == 0) {
            co_await p.say("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n");
            co_await sleep_for(1ms);
            co_await p.say(std::string("HTTP/1.1 102 P\r\n\r\n") + hello);
        } else if (p.number == 1) {
            for (int i = 0; i < 1000; ++i) {
                co_await p.say("HTTP/1.1 100 Continue\r\n\r\n");
            }
        } else {
            co_await p.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
        }
    }, [](memory_client& api, memory_net&) -> task<> {
        std::string seen;
        http::interim_listener note = [&seen](http::status s, const http::fields_view& f) {
            seen += std::to_string(http::to_number(s)) + std::string(f.get("link").value_or("-"));
        };
        auto text = co_await api.get("http://a.test/").header("Connection", "close").on_interim(std::move(note)).text();
        CHECK(text == "hello");
        CHECK(seen == "103<a>102-");
        auto flood = co_await attempt(api.get("http://a.test/"));
        CHECK((!flood && flood.error().code() == http::errc::too_many_interim));
        auto change = co_await attempt(api.get("http://a.test/"));
        CHECK((!change && change.error().kind() == error_kind::protocol));
    });
    CHECK(done);
}

TEST_CASE("a streamed body is chunked, or has the length that was said, and is made again for a redirect") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        std::string body = co_await p.body(head.find("chunked") != std::string::npos ? 20 : 6);
        p.net->heads.push_back(head + body);
        co_await p.say(p.number == 0 ? "HTTP/1.1 307 T\r\nLocation: /again\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" : hello);
    }, [](memory_client& api, memory_net& n) -> task<> {
        int made = 0;
        http::body_producer chunks = [&made](http::body_writer& out) -> task<> {
            ++made;
            co_await out.write("abc");
            co_await out.flush();
            co_await out.write("def");
        };
        auto text = co_await api.post("http://a.test/").stream(std::move(chunks)).text();
        CHECK(text == "hello");
        CHECK(made == 2);
        REQUIRE(n.heads.size() == 2);
        CHECK(n.heads[1].find("POST /again HTTP/1.1\r\n") == 0);
        CHECK(n.heads[1].find("\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n") != std::string::npos);

        http::body_producer wrong = [](http::body_writer& out) -> task<> { co_await out.write("abc"); };
        auto r = co_await attempt(api.post("http://a.test/").stream(std::move(wrong), 6));
        CHECK((!r && r.error().code() == http::errc::body_length_mismatch));
    });
    CHECK(done);
}

TEST_CASE("a body waits for 100 (Continue), a refusal saves it, and a server that says nothing gets it [RFC 9110 10.1.1]") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        if (p.number == 0) {
            CHECK(p.left.empty());
            co_await p.say("HTTP/1.1 100 Continue\r\n\r\n");
        } else if (p.number == 1) {
            co_await p.say("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
            head = co_await p.head();
            CHECK(head.empty());
            co_return;
        }
        std::string body = co_await p.body(4);
        CHECK(body == "data");
        co_await p.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    }, [](memory_client& api, memory_net&) -> task<> {
        auto ctx = co_await this_context();
        auto a = co_await api.put("http://a.test/").expect_continue().body("data").text();
        CHECK(a == "hello");
        auto b = co_await api.put("http://a.test/").expect_continue().body("data");
        CHECK(b.code() == http::status::content_too_large);
        CHECK(api.stats().idle == 0);
        const time_point start = ctx.home().now();
        auto c = co_await api.put("http://a.test/").expect_continue().body("data").text();
        CHECK(c == "hello");
        CHECK(ctx.home().now() - start >= 1s);
    });
    CHECK(done);
}

TEST_CASE("a short body that nobody read is read on the side, a long one costs the connection") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        const bool is_short = head.find("/short") != std::string::npos;
        co_await p.say(is_short ? "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc" : "HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\nabc");
        co_await sleep_for(10ms);
        if (is_short) {
            co_await p.say("def");
        }
        head = co_await p.head();
        if (!head.empty()) {
            co_await p.say(hello);
        }
        head = co_await p.head();
    }, [](memory_client& api, memory_net& n) -> task<> {
        {
            auto dropped = co_await api.get("http://a.test/short");
            CHECK(dropped.ok());
        }
        CHECK(api.stats().active == 1);
        co_await sleep_for(20ms);
        CHECK(api.stats().active == 0);
        CHECK(api.stats().idle == 1);
        auto text = co_await api.get("http://a.test/").text();
        CHECK(text == "hello");
        CHECK(n.connects == 1);
        {
            auto dropped = co_await api.get("http://b.test/long");
            CHECK(dropped.ok());
        }
        CHECK(api.stats().active == 0);
        {
            auto dropped = co_await api.get("http://c.test/short"); // and the client goes, too
            CHECK(dropped.ok());
        }
    });
    CHECK(done);
}

namespace {

class recorder : public http::client_trace {
public:
    std::string log;
    void started(std::string_view method, const http::url& to) noexcept override { (((log += method) += ' ') += to.text()) += '\n'; }
    void got_connection(duration at, bool reused) noexcept override { note(reused ? "reused" : "fresh", at); }
    void wrote_head(duration at) noexcept override { note("head out", at); }
    void wrote_request(duration at) noexcept override { note("all out", at); }
    void first_octet(duration at) noexcept override { note("octet", at); }
    void got_head(duration at, http::status s) noexcept override { note(std::to_string(http::to_number(s)), at); }
    void redirected(duration at, const http::url& to) noexcept override { note("-> " + std::string(to.text()), at); }
    void repeated(duration at, const error&) noexcept override { note("again", at); }
    void done(duration at, const error* why) noexcept override { note(why == nullptr ? "done" : why->code().message(), at); }

private:
    void note(const std::string& what, duration at) {
        log += what + ' ' + std::to_string(std::chrono::duration_cast<milliseconds>(at).count()) + '\n';
    }
};

} // namespace

TEST_CASE("a trace is told of every step with its time") {
    memory_net net;
    net.connect_delay = 5ms;
    auto done = with_peer(net, [](peer& p) -> task<> {
        std::string head = co_await p.head();
        co_await sleep_for(2ms);
        co_await p.say("HTTP/1.1 302 F\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
        head = co_await p.head();
        co_await sleep_for(3ms);
        co_await p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        co_await sleep_for(4ms);
        co_await p.say("xy");
        head = co_await p.head();
    }, {}, [](memory_client& api, memory_net&) -> task<> {
        recorder seen;
        auto text = co_await api.get("http://a.test/a").trace(seen).text();
        CHECK(text == "xy");
        CHECK(seen.log == "GET http://a.test/a\nfresh 5\nhead out 5\nall out 5\noctet 7\n302 7\n-> http://a.test/b 7\n"
                          "reused 7\nhead out 7\nall out 7\noctet 10\n200 10\ndone 14\n");
        recorder dropped;
        {
            auto r = co_await api.get("http://b.test/a").max_redirects(0).trace(dropped);
            CHECK(r.code() == http::status::found);
        }
        CHECK(dropped.log.ends_with("302 7\ndone 7\n"));
        recorder failed;
        auto refused = co_await attempt(api.get("https://b.test/a").trace(failed));
        CHECK_FALSE(refused);
        CHECK(failed.log == "GET https://b.test/a\nnot available here 0\n");
    });
    CHECK(done);
}

TEST_CASE("cookies go where they belong, hop by hop [RFC 6265 5.4]") {
    memory_net net;
    auto done = run(net, [](peer& p) -> task<> {
        for (;;) {
            std::string head = co_await p.head();
            if (head.empty()) {
                co_return;
            }
            const bool first = head.find("GET /login") == 0;
            p.net->heads.push_back(std::move(head));
            co_await p.say(first ? "HTTP/1.1 302 F\r\nLocation: http://b.test/\r\nSet-Cookie: s=1; Path=/\r\nContent-Length: 0\r\n\r\n" : hello);
        }
    }, [](memory_client& api, memory_net& n) -> task<> {
        api.use_cookies(std::make_shared<http::cookie_jar>());
        co_await api.get("http://a.test/login").text();
        co_await api.get("http://a.test/x").text();
        co_await api.get("http://a.test/x").header("Cookie", "mine=2").text();
        REQUIRE(n.heads.size() == 4);
        CHECK(n.heads[1].find("Cookie") == std::string::npos);
        CHECK(n.heads[2].find("\r\nCookie: s=1\r\n") != std::string::npos);
        CHECK(n.heads[3].find("\r\nCookie: mine=2\r\n") != std::string::npos);
    });
    CHECK(done);
}

namespace {

// What a connector with proxies has to say, without one.
struct way_through {
    enum class kinds { direct, forward } kind = kinds::direct;
    struct proxy {
        [[nodiscard]] std::string authorization() const { return "Basic eA=="; }
    };
    const proxy* via = nullptr;
};
class proxied_connector : public memory_connector {
public:
    using memory_connector::memory_connector;
    [[nodiscard]] way_through route_of(const destination& to) const {
        static const way_through::proxy p;
        return to.host == "direct.test" ? way_through() : way_through{way_through::kinds::forward, &p};
    }
};

} // namespace

TEST_CASE("a forward proxy gets the absolute form and its own credentials, nobody else does [RFC 9112 3.2.2]") {
    memory_net net;
    auto done = run(net, says_hello, [](memory_client&, memory_net& n) -> task<> {
        http::basic_client<proxied_connector> api({}, proxied_connector(n));
        co_await api.get("http://a.test:81/x?y").text();
        co_await api.get("http://direct.test/x").text();
        REQUIRE(n.heads.size() == 2);
        CHECK(n.heads[0].find("GET http://a.test:81/x?y HTTP/1.1\r\nHost: a.test:81\r\n") == 0);
        CHECK(n.heads[0].find("Proxy-Authorization: Basic eA==\r\n") != std::string::npos);
        CHECK(n.heads[1].find("GET /x HTTP/1.1\r\nHost: direct.test\r\n") == 0);
        CHECK(n.heads[1].find("Proxy-Authorization") == std::string::npos);
    });
    CHECK(done);
}

TEST_CASE("a request stopped at any moment leaves no connection in use and nothing behind") {
    for (int stop_at = 0; stop_at < 40; ++stop_at) {
        memory_net net;
        net.connect_delay = 5ms;
        net.streams.always_suspend = true;
        net.heads.push_back(std::to_string(stop_at));
        auto done = with_peer(net, [](peer& p) -> task<> {
            std::string head = co_await p.head();
            co_await sleep_for(5ms);
            co_await p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for (int i = 0; i < 5; ++i) {
                co_await sleep_for(3ms);
                co_await p.say("1\r\nx\r\n");
            }
            co_await p.say("0\r\n\r\n");
            head = co_await p.head();
        }, {}, [](memory_client& api, memory_net& n) -> task<> {
            const int at = std::stoi(n.heads[0]);
            auto r = co_await attempt(with_timeout(milliseconds(at), api.get("http://a.test/").text()));
            CHECK(static_cast<bool>(r) == (at > 25));
            co_await sleep_for(1ms);
            const auto stats = api.stats();
            CHECK(stats.active == 0);
            CHECK(stats.dialling == 0);
            CHECK(stats.waiting == 0);
            CHECK(stats.idle == (r ? 1 : 0));
        });
        CHECK(done);
        CHECK(net.open == 0);
    }
}

} // TEST_SUITE
