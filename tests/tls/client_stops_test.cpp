// SPDX-License-Identifier: MIT
// The client stopped in the phases that names, proxies and TLS add, over the kernel's sockets on both drivers; those of
// plain HTTP are in tests/http/client/client_sockets_test.cpp.
#include <flux/coro/event.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/http/client/connect_tunnel.hpp>
#include <flux/net/listener.hpp>
#include <flux/net/read.hpp>
#include <flux/tls/https.hpp>
#include <support/dns_server.hpp>
#include <support/driver_matrix.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>

using namespace flux;
using namespace std::chrono_literals;
using test_support::ca;
using test_support::cert_lab;
using test_support::dns_question;
using test_support::dns_server;

namespace {

using route = http::routed_connector<tcp_connector>;
using secure_client = http::basic_client<tls::connector<route>>;

// What the one who is connected to does not go beyond.
enum class phase { resolve, proxy_reply, socks_reply, handshake, handshake_in_tunnel, head, body };
struct named_phase {
    phase where;
    const char* name;
};
constexpr named_phase all_phases[] = {
    {phase::resolve, "the look-up"},
    {phase::proxy_reply, "waiting for the answer to CONNECT"},
    {phase::socks_reply, "waiting for a SOCKS proxy"},
    {phase::handshake, "the handshake"},
    {phase::handshake_in_tunnel, "the handshake inside of CONNECT"},
    {phase::head, "waiting for the head over TLS"},
    {phase::body, "reading the body over TLS"},
};

struct stage {
    explicit stage(phase p) : where(p) {}
    phase where;
    async_event reached; // the phase is on
    async_event over;    // peers may go
};

const cert_lab::pair& own() { return test_support::named("stops", "IP:127.0.0.1"); }

task<bool> hear_something(tcp_stream* stream) {
    auto octets = co_await attempt(stream->receive());
    co_return octets && !octets->empty();
}
task<bool> serve_part(tls::tls_stream<tcp_stream>* stream, bool with_head) {
    std::string head;
    auto done = co_await attempt(read_until(*stream, head, "\r\n\r\n"));
    if (done && with_head) {
        const auto sent = co_await attempt(stream->write_all(as_octets("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")));
        co_return sent.has_value();
    }
    co_return done.has_value();
}
task<> await_the_end(stage* s, bool arrived) {
    if (arrived) {
        s->reached.set();
    }
    const auto waited = co_await attempt(s->over.wait());
    ignore_result(waited, "a stop ends it, too");
}

task<> hold(tcp_stream stream, stage* s) {
    if (s->where == phase::head || s->where == phase::body) {
        static const auto config = test_support::server_of(own());
        tls::tls_stream<tcp_stream> secure(std::move(stream), config);
        const bool arrived = co_await serve_part(&secure, s->where == phase::body);
        co_await await_the_end(s, arrived);
        co_return;
    }
    bool arrived = co_await hear_something(&stream);
    if (s->where == phase::handshake_in_tunnel) {
        const auto sent = co_await attempt(stream.write_all(as_octets("HTTP/1.1 200 Go on\r\n\r\n")));
        const bool hello = co_await hear_something(&stream);
        arrived = arrived && sent && hello;
    }
    co_await await_the_end(s, arrived);
}
task<> accept_all(tcp_listener* listener, stage* s) {
    auto ctx = co_await this_context();
    task_scope peers(ctx, scope_policy::collect);
    for (;;) {
        auto stream = co_await attempt(listener->accept());
        if (!stream) {
            break;
        }
        peers.spawn(hold, *std::move(stream), s);
    }
    const auto joined = co_await attempt(peers.join());
    ignore_result(joined, "they were stopped");
}

task<> one_request(secure_client* api, std::string url, result<std::string>* out) {
    *out = co_await attempt(api->get(url).text());
}

task<> stop_in(phase where, stop_reason why) {
    auto ctx = co_await this_context();
    reactor& home = reactor::of(ctx.home());
    stage s(where);
    dns_server names(home, [&s](const dns_question&, bool) {
        s.reached.set();
        return dns_server::answers();
    });
    auto listener = tcp_listener::listen(home, endpoint::loopback(0)).value();
    const std::string there = listener.local_endpoint().value().to_string();
    const bool is_tunnel = where == phase::proxy_reply || where == phase::handshake_in_tunnel;
    http::proxy_rules rules;
    if (is_tunnel || where == phase::socks_reply) {
        rules = http::proxy_rules::only(http::proxy::parse((is_tunnel ? "http://" : "socks5://") + there).value());
    }
    const std::string url = where == phase::resolve ? "https://a.test/" : "https://" + there + "/";
    task_scope peers(ctx, scope_policy::collect);
    names.start(peers);
    peers.spawn(accept_all, &listener, &s);
    {
        static const auto trusting = test_support::client_of(ca());
        dns_options how;
        how.config.emplace();
        how.config->servers.push_back(names.where());
        secure_client api({}, tls::connector<route>(trusting, route(tcp_connector(dns_resolver(how)), std::move(rules))));
        result<std::string> outcome = fail(errc::overlap);
        task_scope scope(ctx, scope_policy::collect);
        scope.spawn(one_request, &api, url, &outcome);
        co_await s.reached.wait();
        if (why == stop_reason::timed_out) { // from here: a deadline that passes earlier is one in another phase
            scope.ctx().node().limit(deadline_after(ctx.home().now(), 20ms));
        } else {
            scope.stop(why);
        }
        auto joined = co_await attempt(scope.join());
        ignore_result(joined, "it was stopped");
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error().is(to_errc(why)));
        CHECK(outcome.error().kind() == (why == stop_reason::timed_out ? error_kind::timeout : error_kind::cancelled));
        CHECK(outcome.error().message().starts_with("GET https://"));
        for (int turn = 0; turn < 1000 && api.stats().dialling != 0; ++turn) {
            co_await sleep_for(1ms); // a dial that was given up ends in the next turns
        }
        const auto stats = api.stats();
        CHECK(stats.active + stats.waiting + stats.dialling + stats.idle == 0);
    }
    s.over.set();
    peers.stop();
    auto joined = co_await attempt(peers.join());
    ignore_result(joined, "they were stopped");
}

} // namespace

TEST_SUITE("tls/client_stops") {

TEST_CASE("a stop during look-up, proxies, handshake, head or body leaves no descriptor and no task behind") {
    for (const named_phase& p : all_phases) {
        for (const stop_reason why : {stop_reason::canceled, stop_reason::timed_out, stop_reason::shutdown}) {
            CAPTURE(p.name);
            CAPTURE(static_cast<int>(why));
            test_support::on_each_driver([&p, why](const reactor_options& options) {
                reactor r(options);
                test_support::run(r, stop_in(p.where, why));
            });
        }
    }
}

} // TEST_SUITE
