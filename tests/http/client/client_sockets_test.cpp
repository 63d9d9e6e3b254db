// SPDX-License-Identifier: MIT
// The client over the kernel's sockets: what a warm request costs, and a stop in every phase on both drivers; the phases
// of look-up, proxies and the handshake are in tests/tls/client_stops_test.cpp.
#include <flux/http/client/client.hpp>

#include "support/counting_new.hpp"
#include "support/driver_matrix.hpp"

#include <flux/coro/event.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/http/server/server.hpp>
#include <flux/net/listener.hpp>
#include <flux/net/read.hpp>
#include <flux/resilience/retry.hpp>
#include <support/transport_sockets.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>

using namespace flux;
using namespace std::chrono_literals;

namespace {

using test_support::any_connector;
using test_support::any_tcp;
using test_support::over_tls;

// ---- what it costs ----

struct cost {
    std::uint64_t allocations = 0;
    std::uint64_t frames = 0;
    std::uint64_t requests = 0;
    bool ok = true;
};

template <class Client>
task<> ask(Client* api, const std::string* url, int times, cost* out) {
    for (int i = 0; i < times; ++i) {
        auto r = co_await attempt(api->get(*url));
        out->ok = out->ok && r && r->code() == http::status::ok;
        if (r) {
            const auto piece = co_await attempt(r->body().next());
            out->ok = out->ok && piece && *piece == "Hello, World!";
        }
        ++out->requests;
    }
}

// Both ends are counted. Without TLS, the server allocates nothing and has no frames for such a request.
template <class Connector>
task<> measure(cost* out, int callers) {
    auto ctx = co_await this_context();
    reactor& home = reactor::of(ctx.home());
    http::router app;
    app.get("/hello/{name}", [] { return "Hello, World!"; });
    auto listener = tcp_listener::listen(home, endpoint::loopback(0)).value();
    const std::string url = "http://127.0.0.1:" + std::to_string(listener.local_endpoint().value().port()) + "/hello/you?x=1";
    const auto server = test_support::make_server(app);
    task_scope serving(ctx, scope_policy::collect);
    serving.spawn(server->serve(std::move(listener)));
    {
        http::basic_client<Connector> api;
        for (int round = 0; round < 2; ++round) {
            const bool counted = round == 1;
            task_scope scope(ctx);
            std::vector<cost> each(static_cast<std::size_t>(callers));
            for (cost& c : each) {
                scope.spawn(ask<http::basic_client<Connector>>, &api, &url, 100, &c);
            }
            const std::uint64_t frames = coroutine_frame_stats().allocated;
            const test_support::allocation_count count;
            const auto joined = co_await attempt(scope.join());
            out->ok = out->ok && joined;
            if (counted) {
                out->allocations = count.allocations();
                out->frames = coroutine_frame_stats().allocated - frames;
            }
            for (const cost& c : each) {
                out->ok = out->ok && c.ok;
                out->requests += counted ? c.requests : 0;
            }
        }
        CHECK(api.stats().dials == static_cast<std::uint64_t>(callers));
        CHECK(api.stats().idle == static_cast<std::uint32_t>(callers));
    }
    serving.stop();
    const auto ended = co_await attempt(serving.join());
    ignore_result(ended, "it was stopped");
}

// ---- stops ----

enum class phase { connect, wait, write, expect, head, body, redirect, retry };
constexpr phase all_phases[] = {phase::connect, phase::wait, phase::write, phase::expect,
                                phase::head, phase::body, phase::redirect, phase::retry};

struct stage {
    async_event reached; // the phase is on
    async_event over;    // peers may go
};

// Goes as far as the phase demands, and then does nothing until the end.
task<> hold(any_tcp stream, phase where, stage* s) {
    std::string head;
    const auto got = co_await attempt(read_until(stream, head, "\r\n\r\n"));
    if (!got) {
        co_return;
    }
    if (where == phase::body) {
        const auto sent = co_await attempt(stream.write_all(as_octets("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")));
        ignore_result(sent, "the client may have gone");
    }
    if (where == phase::retry) {
        const auto sent = co_await attempt(stream.write_all(as_octets(
            "HTTP/1.1 503 Later\r\nRetry-After: 20\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")));
        ignore_result(sent, "the client may have gone");
        const auto end = co_await attempt(stream.receive()); // the client has read it
        ignore_result(end, "the client may have gone");
    }
    if (where == phase::redirect && head.find("GET /second") == std::string::npos) {
        const auto sent = co_await attempt(
            stream.write_all(as_octets("HTTP/1.1 302 Found\r\nLocation: /second\r\nContent-Length: 0\r\n\r\n")));
        ignore_result(sent, "the client may have gone");
        head.clear();
        const auto again = co_await attempt(read_until(stream, head, "\r\n\r\n"));
        ignore_result(again, "the client may have gone");
    }
    s->reached.set();
    const auto waited = co_await attempt(s->over.wait());
    ignore_result(waited, "a stop ends it, too");
}

task<> accept_all(tcp_listener* listener, phase where, stage* s) {
    auto ctx = co_await this_context();
    task_scope peers(ctx, scope_policy::collect);
    for (;;) {
        auto stream = co_await attempt(listener->accept());
        if (!stream) {
            break;
        }
        peers.spawn(hold, any_tcp::accepted(*std::move(stream)), where, s);
    }
    const auto joined = co_await attempt(peers.join());
    ignore_result(joined, "they were stopped");
}

template <class Client>
task<> one_request(Client* api, std::string url, phase where, result<std::string>* out) {
    auto request = api->get(url);
    if (where == phase::write || where == phase::expect) {
        request = api->put(url).body(std::string(std::size_t{64} << 20, 'x'));
        if (where == phase::expect) {
            request.expect_continue();
        }
    }
    *out = co_await attempt(std::move(request).text());
}

template <class Connector>
task<> stop_in(phase where, stop_reason why) {
    auto ctx = co_await this_context();
    reactor& home = reactor::of(ctx.home());
    stage s;
    listen_options how;
    how.backlog = where == phase::connect ? 0 : 16;
    auto listener = tcp_listener::listen(home, endpoint::loopback(0), how).value();
    const endpoint there = listener.local_endpoint().value();
    const std::string url = "http://" + there.to_string() + "/";
    task_scope peers(ctx, scope_policy::collect);
    std::vector<unique_fd> crowd;
    if (where == phase::connect) {
        // Nobody accepts: once the backlog is full, the kernel does not answer.
        for (int i = 0; i < 4; ++i) {
            unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            ::sockaddr_storage address{};
            const ::socklen_t size = there.to_sockaddr(address);
            std::ignore = ::connect(fd.get(), reinterpret_cast<const ::sockaddr*>(&address), size);
            crowd.push_back(std::move(fd));
        }
    } else {
        peers.spawn(accept_all, &listener, where, &s);
    }
    {
        http::client_options options;
        options.continue_timeout = 1h;
        options.pool.max_per_origin = where == phase::wait ? 1 : 8;
        http::basic_client<Connector> api(options);
        if (where == phase::retry) {
            api.use(http::retry());
        }
        result<std::string> outcome = fail(errc::overlap);
        result<std::string> other = fail(errc::overlap);
        task_scope first(ctx, scope_policy::collect);
        task_scope scope(ctx, scope_policy::collect);
        if (where == phase::wait) {
            first.spawn(one_request<http::basic_client<Connector>>, &api, url, phase::head, &other);
            co_await s.reached.wait();
        }
        scope.spawn(one_request<http::basic_client<Connector>>, &api, url, where, &outcome);
        if (where != phase::connect) {
            co_await s.reached.wait();
        }
        if (why == stop_reason::timed_out) { // from here: a deadline that passes earlier is one in another phase
            scope.ctx().node().limit(deadline_after(ctx.home().now(), 20ms));
        } else {
            co_await sleep_for(20ms);
            scope.stop(why);
        }
        auto joined = co_await attempt(scope.join());
        ignore_result(joined, "it was stopped");
        first.stop();
        joined = co_await attempt(first.join());
        ignore_result(joined, "it was stopped");
        REQUIRE_FALSE(outcome);
        const error_kind wanted = why == stop_reason::timed_out ? error_kind::timeout : error_kind::cancelled;
        CHECK(outcome.error().kind() == wanted);
        CHECK(outcome.error().is(to_errc(why)));
        CHECK(outcome.error().message().find("http://127.0.0.1") != std::string::npos);
        for (int turn = 0; turn < 1000 && api.stats().dialling != 0; ++turn) {
            co_await sleep_for(1ms); // a dial that was given up ends in the next turns
        }
        const auto stats = api.stats();
        CHECK(stats.active == 0);
        CHECK(stats.waiting == 0);
        CHECK(stats.dialling == 0);
        CHECK(stats.idle == 0);
    }
    s.over.set();
    peers.stop();
    auto joined = co_await attempt(peers.join());
    ignore_result(joined, "they were stopped");
}

// ---- what a client tells, and how long it and what it gave may live ----

class recorder : public http::client_trace {
public:
    std::string log;
    void attempt_started(const endpoint& peer) noexcept override { log += "try " + std::to_string(peer.port() == 0) + ' '; }
    void attempt_ended(const endpoint&, const error* why) noexcept override { log += why == nullptr ? "connected " : "failed "; }
    void got_connection(duration, bool reused) noexcept override { log += reused ? "again " : "new "; }
    void wrote_request(duration) noexcept override { log += "written "; }
    void got_head(duration, http::status s) noexcept override { log += std::to_string(http::to_number(s)) + ' '; }
    void done(duration, const error* why) noexcept override { log += why == nullptr ? "done" : "error"; }
};

// A server of two pages for as long as the test runs.
class hello_server {
public:
    explicit hello_server(const context& ctx) : serving_(ctx, scope_policy::collect) {
        app_.get("/", [] { return "Hello, World!"; });
        app_.get("/echo", [](http::request& req) {
            return http::asks_upgrade(req, "echo") ? http::switch_protocol("echo", [](raw_stream& s) -> task<> {
                for (;;) {
                    auto octets = co_await s.receive();
                    if (octets.empty()) {
                        break;
                    }
                    co_await s.write_all(octets.octets());
                }
            }) : http::response(http::status::upgrade_required);
        });
        auto listener = tcp_listener::listen(reactor::of(ctx.home()), endpoint::loopback(0)).value();
        url = "http://" + listener.local_endpoint().value().to_string();
        http::server_options options;
        options.drain_timeout = 50ms; // an upgraded connection ends when its owner says so
        server_ = test_support::make_server(app_, options);
        serving_.spawn(server_->serve(std::move(listener)));
    }
    task<> end() {
        serving_.stop();
        const auto ended = co_await attempt(serving_.join());
        ignore_result(ended, "it was stopped");
    }
    std::string url;

private:
    http::router app_;
    std::unique_ptr<test_support::any_server> server_;
    task_scope serving_;
};

template <class Connector>
task<> trace_two() {
    auto ctx = co_await this_context();
    http::basic_client<Connector> api;
    recorder refused;
    const auto nobody = co_await attempt(api.get("http://127.0.0.1:1/").trace(refused));
    CHECK_FALSE(nobody);
    CHECK(refused.log == "try 0 failed error");
    hello_server server(ctx);
    for (const char* connected : {"try 0 connected new ", "again "}) {
        recorder seen;
        const auto text = co_await api.get(server.url).trace(seen).text();
        CHECK(text == "Hello, World!");
        CHECK(seen.log == connected + std::string("written 200 done"));
    }
    co_await server.end();
}

template <class Connector>
task<> outlive(http::basic_client<Connector>* c) {
    auto ctx = co_await this_context();
    hello_server server(ctx);
    auto text = co_await c->get(server.url).text();
    CHECK(text == "Hello, World!");
    std::optional<http::client_response> kept;
    {
        http::basic_client<Connector> own;
        auto r1 = co_await own.get(server.url);
        kept.emplace(std::move(r1));
    }
    auto late = co_await kept->text();
    CHECK(late == "Hello, World!");
    kept.reset();
    co_await server.end();
}
template <class Connector>
void use_in_two_loops(const reactor_options& options) {
    http::basic_client<Connector> api;
    for (int i = 0; i < 2; ++i) {
        reactor r(options);
        r.run(outlive<Connector>(&api));
    }
}

template <class Connector>
task<> talk_upgraded(raw_stream* keep) {
    auto ctx = co_await this_context();
    hello_server server(ctx);
    const std::string url = server.url + "/echo";
    http::basic_client<Connector> api;
    auto plain = co_await api.get(url);
    CHECK(plain.code() == http::status::upgrade_required);
    co_await plain.text();
    auto r1 = co_await api.get(url).upgrade("echo");
    CHECK(r1.reused());
    auto s = r1.take_stream();
    CHECK(s.template underlying<typename Connector::stream_type>() != nullptr);
    const std::string much(1'000'000, 'm');
    task_scope writing(ctx);
    const auto write = [](raw_stream* to, const std::string* text) -> task<> { co_await to->write_all(as_octets(*text)); };
    writing.spawn(write, &s, &much);
    std::size_t n = 0;
    bool same = true;
    while (n < much.size()) {
        auto octets = co_await s.receive();
        n += octets.size();
        same = same && !octets.empty() && as_text(octets.octets()).find_first_not_of('m') == std::string_view::npos;
    }
    co_await writing.join();
    CHECK(same);
    CHECK(n == much.size());
    CHECK(s.shutdown_write());
    auto end = co_await s.receive();
    CHECK(end.empty());
    CHECK(api.stats().active == 1);
    s = raw_stream();
    CHECK(api.stats().active == 0);

    auto r2 = co_await api.get(url).upgrade("echo");
    *keep = r2.take_stream();
    co_await server.end();
}

} // namespace

TEST_SUITE("http/client/client_sockets") {

TEST_CASE("a warm GET allocates nothing and takes at most 3 frames, its body included; over TLS 5 of either more at each end") {
    for (const int callers : {1, 16}) {
        test_support::on_each_driver([callers](const reactor_options& options) {
            reactor r(options);
            cost c;
            const test_support::library_allocations counted;
            r.run(over_tls() ? measure<any_connector>(&c, callers) : measure<tcp_connector>(&c, callers));
            CHECK(c.ok);
            CHECK(c.requests == static_cast<std::uint64_t>(callers) * 100);
            CHECK(c.frames <= c.requests * (3 + 2 * test_support::tls_costs()));
            if (test_support::allocations_are_counted()) {
                CHECK(c.allocations <= c.requests * 2 * test_support::tls_costs());
            }
        });
    }
}

TEST_CASE("a stop in any phase, for any reason, leaves no descriptor and no task behind") {
    for (const phase where : all_phases) {
        for (const stop_reason why : {stop_reason::canceled, stop_reason::timed_out, stop_reason::shutdown}) {
            if (where == phase::retry && why == stop_reason::timed_out) {
                continue; // it does not begin to wait beyond the deadline
            }
            CAPTURE(static_cast<int>(where));
            CAPTURE(static_cast<int>(why));
            test_support::on_each_driver([where, why](const reactor_options& options) {
                reactor r(options);
                r.run(over_tls() ? stop_in<any_connector>(where, why) : stop_in<tcp_connector>(where, why));
            });
        }
    }
}

TEST_CASE("a trace is told of the addresses that are tried for it, and of what comes then") {
    test_support::on_each_driver([](const reactor_options& options) {
        reactor r(options);
        r.run(over_tls() ? trace_two<any_connector>() : trace_two<tcp_connector>());
    });
}

TEST_CASE("a client may outlive the loop, a response the client, and one client may be used by one loop after another") {
    test_support::on_each_driver(over_tls() ? use_in_two_loops<any_connector> : use_in_two_loops<tcp_connector>);
}

TEST_CASE("two ends of an upgraded connection talk in a protocol of their own, both ways at once, and past the end of the loop") {
    test_support::on_each_driver([](const reactor_options& options) {
        raw_stream kept;
        {
            reactor r(options);
            r.run(over_tls() ? talk_upgraded<any_connector>(&kept) : talk_upgraded<tcp_connector>(&kept));
        }
        CHECK_FALSE(kept.is_open());
    });
}

} // TEST_SUITE
