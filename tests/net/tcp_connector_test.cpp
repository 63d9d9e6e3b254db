// SPDX-License-Identifier: MIT
#include <flux/net/tcp_connector.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/dns_server.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::dns_builder;
using test_support::dns_question;
using test_support::dns_server;
using test_support::on_each_driver;
using test_support::run;
using list = std::vector<std::string>;

namespace {

/// Lets the loop turn n times.
task<> turns(int n) {
    for (int i = 0; i < n; ++i) {
        co_await sleep_for(0s);
    }
}

/// What happens, with the millisecond in which it does.
class journal {
public:
    void note(scheduler& home, const std::string& what) {
        if (!started_) {
            start_ = home.now();
            started_ = true;
        }
        const auto ms = std::chrono::duration_cast<milliseconds>(home.now() - start_).count();
        lines.push_back(std::to_string(ms) + " " + what);
    }
    list lines;

private:
    bool started_ = false;
    time_point start_{};
};

/// Addresses that arrive when they are told to.
class scripted_names {
public:
    struct arrival {
        milliseconds at;
        address_family family;
        list addresses;
    };
    explicit scripted_names(std::vector<arrival> all, bool fails = false) : all_(std::move(all)), fails_(fails) {}
    task<> lookup(const std::string& host, address_feed& to) { return run(all_, fails_, host, to); }

private:
    static task<> run(std::vector<arrival> all, bool fails, std::string host, address_feed& to) {
        auto ctx = co_await this_context();
        const time_point start = ctx.home().now();
        for (const arrival& a : all) {
            co_await sleep_until(start + a.at);
            for (const std::string& text : a.addresses) {
                to.add(endpoint::parse_ip(text, 0).value());
            }
            to.answered(a.family);
        }
        if (fails) {
            co_await fail(detail::resolve_error(error(resolve_errc::no_such_name), host));
        }
    }
    std::vector<arrival> all_;
    bool fails_;
};

/// Streams are only names here; connecting takes as long as the plan says, and fails if it says so.
class scripted_dialer {
public:
    using stream_type = testing::memory_stream;
    struct plan {
        milliseconds takes{10};
        int error_number = 0;
        bool hangs = false;
    };
    scripted_dialer(journal& j, std::map<std::string, plan> plans) : journal_(&j), plans_(std::move(plans)) {}
    task<testing::memory_stream> dial(const endpoint& to) {
        const auto found = plans_.find(to.to_string());
        return run(journal_, to, found == plans_.end() ? plan() : found->second);
    }

private:
    static task<testing::memory_stream> run(journal* j, endpoint to, plan p) {
        auto ctx = co_await this_context();
        j->note(ctx.home(), "try " + to.to_string());
        auto slept = co_await attempt(sleep_until(p.hangs ? no_deadline : ctx.home().now() + p.takes));
        if (!slept) {
            j->note(ctx.home(), "stop " + to.to_string());
            co_return fail(std::move(slept).error());
        }
        if (p.error_number != 0) {
            j->note(ctx.home(), "fail " + to.to_string());
            co_return fail(error::from_errno(p.error_number).doing("connect " + to.to_string()).phase(error_phase::connect));
        }
        j->note(ctx.home(), "win " + to.to_string());
        auto pair = testing::make_memory_pair();
        co_return std::move(pair.first);
    }
    journal* journal_;
    std::map<std::string, plan> plans_;
};

using virtual_connector = basic_tcp_connector<scripted_names, scripted_dialer>;
using plan = scripted_dialer::plan;
constexpr auto v4 = address_family::ipv4;
constexpr auto v6 = address_family::ipv6;

plan takes(milliseconds t) {
    plan p;
    p.takes = t;
    return p;
}
plan refuses(milliseconds after = milliseconds(10)) {
    plan p;
    p.takes = after;
    p.error_number = ECONNREFUSED;
    return p;
}
plan hangs() {
    plan p;
    p.hangs = true;
    return p;
}

/// Connects to host:80 once; yields what happened, and the error's text as the last line.
list race(std::vector<scripted_names::arrival> names, std::map<std::string, plan> plans, tcp_connect_options o = {}) {
    journal j;
    virtual_connector c(scripted_names(std::move(names)), o, scripted_dialer(j, std::move(plans)));
    testing::virtual_loop loop;
    auto main = [&]() -> task<> {
        auto ctx = co_await this_context();
        j.note(ctx.home(), "start");
        auto s = co_await attempt(c.connect(destination("host", 80)));
        j.note(ctx.home(), s ? "connected" : s.error().message());
    };
    REQUIRE(loop.run(main()));
    return j.lines;
}

} // namespace

TEST_SUITE("net/tcp_connector") {

TEST_CASE("IPv6 comes first, and nothing else is tried when it is fast [RFC 8305 5]") {
    CHECK(race({{1ms, v6, {"::1"}}, {1ms, v4, {"10.0.0.1"}}}, {}) ==
          list{"0 start", "1 try [::1]:80", "11 win [::1]:80", "11 connected"});
}

TEST_CASE("IPv4 alone waits 50 ms for IPv6, and no longer [RFC 8305 3]") {
    CHECK(race({{1ms, v4, {"10.0.0.1"}}, {40ms, v6, {"::1"}}}, {}) ==
          list{"0 start", "40 try [::1]:80", "50 win [::1]:80", "50 connected"});
    CHECK(race({{1ms, v4, {"10.0.0.1"}}, {4000ms, v6, {"::1"}}}, {}) ==
          list{"0 start", "51 try 10.0.0.1:80", "61 win 10.0.0.1:80", "61 connected"});
    CHECK(race({{1ms, v4, {"10.0.0.1"}}, {7ms, v6, {}}}, {}) ==
          list{"0 start", "7 try 10.0.0.1:80", "17 win 10.0.0.1:80", "17 connected"});
}

TEST_CASE("IPv6 addresses are tried although IPv4 is not known yet [RFC 8305 3]") {
    CHECK(race({{1ms, v6, {"::1"}}, {4000ms, v4, {"10.0.0.1"}}}, {}) ==
          list{"0 start", "1 try [::1]:80", "11 win [::1]:80", "11 connected"});
}

TEST_CASE("the next attempt starts after 250 ms, families take turns, and losers are stopped [RFC 8305 4, 5]") {
    CHECK(race({{1ms, v6, {"::1", "::2"}}, {1ms, v4, {"10.0.0.1", "10.0.0.2"}}},
               {{"[::1]:80", hangs()}, {"10.0.0.1:80", hangs()}, {"[::2]:80", hangs()}, {"10.0.0.2:80", takes(20ms)}}) ==
          list{"0 start", "1 try [::1]:80", "251 try 10.0.0.1:80", "501 try [::2]:80", "751 try 10.0.0.2:80",
               "771 win 10.0.0.2:80", "771 stop [::1]:80", "771 stop 10.0.0.1:80", "771 stop [::2]:80", "771 connected"});
}

TEST_CASE("after a failure the next attempt starts at once [RFC 8305 5]") {
    CHECK(race({{1ms, v6, {"::1"}}, {1ms, v4, {"10.0.0.1"}}}, {{"[::1]:80", refuses(3ms)}}) ==
          list{"0 start", "1 try [::1]:80", "4 fail [::1]:80", "4 try 10.0.0.1:80", "14 win 10.0.0.1:80", "14 connected"});
}

TEST_CASE("after a failure the next attempt starts at once, also while an earlier one goes on") {
    CHECK(race({{1ms, v6, {"::1", "::2"}}, {1ms, v4, {"10.0.0.1"}}}, {{"[::1]:80", hangs()}, {"10.0.0.1:80", refuses()}}) ==
          list{"0 start", "1 try [::1]:80", "251 try 10.0.0.1:80", "261 fail 10.0.0.1:80", "261 try [::2]:80",
               "271 win [::2]:80", "271 stop [::1]:80", "271 connected"});
}

TEST_CASE("a slow first attempt may still win") {
    CHECK(race({{1ms, v6, {"::1"}}, {1ms, v4, {"10.0.0.1"}}}, {{"[::1]:80", takes(260ms)}, {"10.0.0.1:80", takes(100ms)}}) ==
          list{"0 start", "1 try [::1]:80", "251 try 10.0.0.1:80", "261 win [::1]:80", "261 stop 10.0.0.1:80", "261 connected"});
}

TEST_CASE("two that connect in the same turn: one wins, the other one's stream is closed") {
    const list l = race({{1ms, v6, {"::1"}}, {1ms, v4, {"10.0.0.1"}}}, {{"[::1]:80", takes(350ms)}, {"10.0.0.1:80", takes(100ms)}});
    CHECK(l.back() == "351 connected");
    CHECK(std::count_if(l.begin(), l.end(), [](const std::string& s) { return s.starts_with("351 win"); }) >= 1);
}

TEST_CASE("addresses that come late are tried when nothing else is left") {
    CHECK(race({{1ms, v6, {"::1"}}, {500ms, v4, {"10.0.0.1"}}}, {{"[::1]:80", refuses()}}) ==
          list{"0 start", "1 try [::1]:80", "11 fail [::1]:80", "500 try 10.0.0.1:80", "510 win 10.0.0.1:80", "510 connected"});
}

TEST_CASE("when all fail, the error has the last one's cause and what became of the others") {
    const list l = race({{1ms, v6, {"::1"}}, {1ms, v4, {"10.0.0.1"}}}, {{"[::1]:80", refuses()}, {"10.0.0.1:80", refuses()}});
    CHECK(l.back() == "21 connect host:80 ([::1]:80: Connection refused): connect 10.0.0.1:80: Connection refused");
    CHECK(race({{1ms, v4, {"10.0.0.1"}}, {1ms, v6, {}}}, {{"10.0.0.1:80", refuses()}}).back() ==
          "11 connect host:80: connect 10.0.0.1:80: Connection refused");
}

TEST_CASE("IPv4 first, and one family only") {
    tcp_connect_options o;
    o.prefer = address_preference::ipv4_first;
    CHECK(race({{1ms, v6, {"::1"}}, {2ms, v4, {"10.0.0.1"}}}, {}, o) ==
          list{"0 start", "2 try 10.0.0.1:80", "12 win 10.0.0.1:80", "12 connected"});
    o.families = address_families::ipv6_only;
    CHECK(race({{1ms, v4, {"10.0.0.1"}}, {2ms, v6, {"::1"}}}, {}, o) ==
          list{"0 start", "2 try [::1]:80", "12 win [::1]:80", "12 connected"});
}

TEST_CASE("an address that failed or was too slow is tried last for a minute") {
    journal j;
    virtual_connector c(scripted_names({{0ms, v6, {"::1"}}, {0ms, v4, {"10.0.0.1"}}}), {},
                        scripted_dialer(j, {{"[::1]:80", hangs()}}));
    testing::virtual_loop loop;
    auto main = [&]() -> task<> {
        for (const seconds pause : {0s, 58s, 3s}) {
            co_await sleep_for(pause);
            auto ctx = co_await this_context();
            const time_point start = ctx.home().now();
            std::ignore = co_await c.connect(destination("host", 80));
            j.lines.push_back(std::to_string((ctx.home().now() - start) / 1ms));
        }
        auto other_port = co_await attempt(c.connect(destination("host", 81))); // another address
        CHECK(other_port.has_value());
    };
    REQUIRE(loop.run(main()));
    CHECK(j.lines == list{"0 try [::1]:80", "250 try 10.0.0.1:80", "260 win 10.0.0.1:80", "260 stop [::1]:80", "260",
                          "58260 try 10.0.0.1:80", "58270 win 10.0.0.1:80", "10",
                          "61270 try [::1]:80", "61520 try 10.0.0.1:80", "61530 win 10.0.0.1:80", "61530 stop [::1]:80", "260",
                          "61530 try [::1]:81", "61540 win [::1]:81"});
}

TEST_CASE("what the memory of addresses holds is bounded") {
    detail::address_memory<flux::clock> m;
    const time_point now = time_point() + 1h;
    for (int i = 0; i < 1000; ++i) {
        m.failed(endpoint::ipv4({10, 0, static_cast<std::uint8_t>(i / 256), static_cast<std::uint8_t>(i % 256)}, 80), now + 1s);
    }
    CHECK(m.size() == 256);
    CHECK(!m.is_bad(endpoint::ipv4({10, 0, 0, 0}, 80), now));
    CHECK(m.is_bad(endpoint::ipv4({10, 0, 3, 231}, 80), now));
    CHECK(!m.is_bad(endpoint::ipv4({10, 0, 3, 231}, 80), now + 1s));
    m.succeeded(endpoint::ipv4({10, 0, 3, 231}, 80));
    CHECK(!m.is_bad(endpoint::ipv4({10, 0, 3, 231}, 80), now));
}

TEST_CASE("a failed look-up is the error, and a host without addresses as well") {
    journal j;
    virtual_connector c(scripted_names({}, true), {}, scripted_dialer(j, {}));
    virtual_connector d(scripted_names({{1ms, v4, {}}, {1ms, v6, {}}}), {}, scripted_dialer(j, {}));
    testing::virtual_loop loop;
    auto main = [&]() -> task<> {
        auto s = co_await attempt(c.connect(destination("host", 80)));
        CHECK(s.error().message() == "resolve host: no such host");
        CHECK(s.error().phase() == error_phase::resolve);
        s = co_await attempt(d.connect(destination("host", 80)));
        CHECK(s.error().message() == "resolve host: the host has no address");
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("a look-up that takes too long is given up with its own phase; what came by then is tried") {
    for (const bool some : {false, true}) {
        CAPTURE(some);
        journal j;
        tcp_connect_options options;
        options.resolve_timeout = 2s;
        std::vector<scripted_names::arrival> arrivals;
        if (some) {
            arrivals.push_back({1s, v4, {"192.0.2.1"}});
        }
        arrivals.push_back({100s, v6, {"2001:db8::1"}});
        virtual_connector c(scripted_names(arrivals), options, scripted_dialer(j, {{"192.0.2.1:80", refuses()}}));
        testing::virtual_loop loop;
        auto scenario = [&]() -> task<> {
            auto ctx = co_await this_context();
            const time_point start = ctx.home().now();
            auto stream = co_await attempt(c.connect(destination("a.test", 80)));
            REQUIRE_FALSE(stream);
            CHECK(ctx.home().now() - start == 2s);
            CHECK(stream.error().retryable());
            CHECK(stream.error().phase() == (some ? error_phase::connect : error_phase::resolve));
            CHECK(stream.error().kind() == (some ? error_kind::network : error_kind::timeout));
            if (!some) {
                CHECK(stream.error().message() == "resolve a.test: timed out");
            }
        };
        auto done = loop.run(scenario());
        CHECK(done);
    }
}

TEST_CASE("a look-up without a limit of its own waits for as long as it takes") {
    journal j;
    tcp_connect_options options;
    options.resolve_timeout = 0s;
    const std::vector<scripted_names::arrival> late = {{1000s, v4, {"192.0.2.1"}}, {1000s, v6, {}}};
    virtual_connector c(scripted_names(late), options, scripted_dialer(j, {{"192.0.2.1:80", refuses()}}));
    testing::virtual_loop loop;
    auto scenario = [&]() -> task<> {
        auto stream = co_await attempt(c.connect(destination("a.test", 80)));
        REQUIRE_FALSE(stream);
        CHECK(stream.error().phase() == error_phase::connect);
    };
    REQUIRE(loop.run(scenario()));
    CHECK(loop.elapsed() >= 1000s);
}

TEST_CASE("stopped at any time: at once, with the reason, what was being done and in which phase") {
    for (int ms = 0; ms < 700; ms += 7) {
        journal j;
        virtual_connector c(scripted_names({{100ms, v6, {"::1"}}, {101ms, v4, {"10.0.0.1"}}}), {},
                            scripted_dialer(j, {{"[::1]:80", hangs()}, {"10.0.0.1:80", hangs()}}));
        testing::virtual_loop loop;
        auto main = [&]() -> task<> {
            auto ctx = co_await this_context();
            const time_point start = ctx.home().now();
            auto s = co_await attempt(with_timeout(milliseconds(ms), c.connect(destination("host", 80))));
            REQUIRE(!s);
            CHECK(ctx.home().now() - start == milliseconds(ms));
            CHECK(s.error().is(errc::timed_out));
            CHECK(s.error().phase() == (ms < 100 ? error_phase::resolve : error_phase::connect));
            CHECK(s.error().message() == (ms < 100 ? "resolve host: timed out" : "connect host:80: timed out"));
            CHECK(s.error().retryable());
        };
        CAPTURE(ms);
        REQUIRE(loop.run(main()));
    }
}

TEST_CASE("a trace sees the look-up and every attempt") {
    class tracer : public connect_trace {
    public:
        void resolve_started(std::string_view host) noexcept override { lines.push_back("resolve " + std::string(host)); }
        void resolve_ended(std::string_view, const error* why) noexcept override { lines.push_back(why ? why->message() : "resolved"); }
        void attempt_started(const endpoint& e) noexcept override { lines.push_back("try " + e.to_string()); }
        void attempt_ended(const endpoint& e, const error* why) noexcept override {
            lines.push_back(e.to_string() + " " + (why ? why->message() : "connected"));
        }
        list lines;
    };
    journal j;
    tracer t;
    virtual_connector c(scripted_names({{0ms, v6, {"::1"}}, {0ms, v4, {"10.0.0.1"}}}), {}, scripted_dialer(j, {{"[::1]:80", hangs()}}));
    testing::virtual_loop loop;
    auto main = [&]() -> task<> {
        std::ignore = co_await with_value<connect_trace_key>(&t, c.connect(destination("host", 80)));
        CHECK(t.lines == list{"resolve host", "resolved", "try [::1]:80", "try 10.0.0.1:80", "10.0.0.1:80 connected", "[::1]:80 canceled"});
        t.lines.clear();
        std::ignore = co_await with_value<connect_trace_key>(&t, c.connect(destination("10.0.0.9", 80)));
        CHECK(t.lines == list{"try 10.0.0.9:80", "10.0.0.9:80 connected"});
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("a copy shares nothing that changes, and connections outlive the connector that makes them")  {
    journal j;
    testing::virtual_loop loop;
    auto main = [&]() -> task<> {
        auto c = std::make_unique<virtual_connector>(scripted_names({{0ms, v6, {"::1"}}, {0ms, v4, {"10.0.0.1"}}}),
                                                     tcp_connect_options(), scripted_dialer(j, {{"[::1]:80", hangs()}}));
        std::ignore = co_await c->connect(destination("host", 80));
        virtual_connector copy = *c;
        j.lines.clear();
        auto last = c->connect(destination("host", 80));
        c.reset();
        std::ignore = co_await std::move(last);
        CHECK(j.lines == list{"260 try 10.0.0.1:80", "270 win 10.0.0.1:80"});
        j.lines.clear();
        std::ignore = co_await copy.connect(destination("host", 80)); // it has not learned of ::1
        CHECK(j.lines.front() == "270 try [::1]:80");
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("over sockets: names from a server, IPv6 refused, IPv4 connected; stopped anywhere nothing is left") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto listener = tcp_listener::listen(r, endpoint::loopback(0)).value();
        const std::uint16_t port = listener.local_endpoint().value().port();
        dns_server server(r, [](const dns_question& q, bool) -> dns_server::answers {
            dns_builder b(q);
            q.type == 1 ? b.v4(q.text, {127, 0, 0, 1}, 0) : b.v6(q.text, 1, 0);
            return {b.text()};
        });
        dns_options o;
        o.hosts = "";
        o.config.emplace();
        o.config->servers.push_back(server.where());
        tcp_connector c{dns_resolver(o)};
        auto body = [&](task_scope& scope) -> task<> {
            server.start(scope);
            for (int i = 0; i < 3; ++i) {
                auto stream = co_await c.connect(destination("a.example", port));
                auto peer = stream.peer_endpoint();
                CHECK(peer->to_string() == "127.0.0.1:" + std::to_string(port));
                std::ignore = co_await listener.accept();
            }
            int won = 0;
            for (int us = 0; us < 3000; us += 30) {
                auto stream = co_await attempt(with_timeout(microseconds(us), c.connect(destination("a.example", port))));
                CHECK((stream.has_value() || stream.error().is(errc::timed_out)));
                won += stream.has_value() ? 1 : 0;
            }
            MESSAGE(won, " of 100 connected in time");
            scope.stop();
        };
        auto main = [&]() -> task<> { co_await with_scope(body); };
        run(r, main());
    });
}

TEST_CASE("over sockets: stopped after every number of turns of the loop, also while an answer comes over TCP, nothing is left") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto listener = tcp_listener::listen(r, endpoint::loopback(0)).value();
        const std::uint16_t port = listener.local_endpoint().value().port();
        dns_server server(r, [](const dns_question& q, bool tcp) -> dns_server::answers {
            dns_builder b(q);
            if (q.type == 1 && !tcp) {
                return {b.truncated().text()};
            }
            q.type == 1 ? b.v4(q.text, {127, 0, 0, 1}, 0) : b.v6(q.text, 1, 0);
            return {b.text()};
        });
        dns_options o;
        o.hosts = "";
        o.config.emplace();
        o.config->servers.push_back(server.where());
        tcp_connector c{dns_resolver(o)};
        int stopped = 0;
        int connected = 0;
        auto body = [&](task_scope& scope) -> task<> {
            server.start(scope);
            for (int n = 0; n < 60; ++n) {
                auto first = co_await when_any(c.connect(destination("a.example", port)), turns(n));
                (first.index() == 0 ? connected : stopped) += 1;
            }
            scope.stop();
        };
        auto main = [&]() -> task<> { co_await with_scope(body); };
        run(r, main());
        CHECK(stopped > 5);
        MESSAGE(stopped, " stopped, ", connected, " connected");
    });
}

}
