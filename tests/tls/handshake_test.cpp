// SPDX-License-Identifier: MIT
#include <flux/tls/engine.hpp> // also proves the header is self-contained

#include <flux/net/read.hpp>
#include <flux/testing/fail_point.hpp>
#include <flux/tls/connector.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace flux;
using test_support::ca;
using test_support::cert_lab;
using test_support::client_of;
using test_support::drain;
using test_support::server_of;
using test_support::shake;
using progress = tls::engine::progress;

namespace {

const cert_lab::pair& cert_a() { return test_support::named("a", "DNS:a.test"); }
/// Gives `octets` in two pieces, with a look between them; what the engine says to the second.
progress feed_cut(tls::engine& e, const std::string& octets, std::size_t at) {
    e.feed(std::string_view(octets).substr(0, at));
    if (e.has_input()) {
        const auto early = e.handshake();
        if (early != progress::want_more) {
            return early;
        }
    }
    e.feed(std::string_view(octets).substr(at));
    return e.handshake();
}

struct engines {
    std::unique_ptr<tls::engine> client;
    std::unique_ptr<tls::engine> server;
};
engines make_engines(const tls::client_context_ptr& c, const tls::server_context_ptr& s) {
    return {*c->connect("a.test"), *s->connect("http/1.1")};
}

} // namespace

TEST_SUITE("tls/engine") {

TEST_CASE("a handshake whose octets are cut at any place ends the same way") {
    const auto c = client_of(ca());
    tls::server_settings s = test_support::settings_of(cert_a());
    const auto made = tls::server_context::make(s);
    REQUIRE(made);
    std::size_t first = 1;
    std::size_t second = 1;
    std::size_t third = 1;
    int rounds = 0;
    for (bool more = true; more; ++rounds) {
        engines e = make_engines(c, *made);
        REQUIRE(e.client->handshake() == progress::want_more);
        const std::string hello = drain(*e.client);
        REQUIRE(feed_cut(*e.server, hello, std::min(first, hello.size())) == progress::want_more);
        const std::string flight = drain(*e.server);
        REQUIRE(feed_cut(*e.client, flight, std::min(second, flight.size())) == progress::done);
        const std::string finished = drain(*e.client);
        REQUIRE(feed_cut(*e.server, finished, std::min(third, finished.size())) == progress::done);
        more = first < hello.size() || second < flight.size() || third < finished.size();
        first += 1;
        second += 1;
        third += 1;
    }
    MESSAGE("handshakes: " << rounds);
    CHECK(rounds > 600);
}

TEST_CASE("octet by octet the library is called for whole records only") {
    const auto c = client_of(ca());
    const auto made = tls::server_context::make(test_support::settings_of(cert_a()));
    REQUIRE(made);
    engines e = make_engines(c, *made);
    int calls = 0;
    auto give = [&](tls::engine& from, tls::engine& to) {
        for (const char octet : drain(from)) {
            to.feed(std::string_view(&octet, 1));
            if (to.has_input()) {
                ++calls;
                REQUIRE(to.handshake() != progress::failed);
            }
        }
    };
    REQUIRE(e.client->handshake() == progress::want_more);
    for (int i = 0; i < 3; ++i) {
        give(*e.client, *e.server);
        give(*e.server, *e.client);
    }
    CHECK(e.client->is_complete());
    CHECK(e.server->is_complete());
    CHECK(calls <= 12);
}

TEST_CASE("a client offers nine suites with forward secrecy, TLS 1.3 and 1.2, and X25519 first") {
    const auto c = client_of(ca());
    auto engine = *c->connect("a.test");
    REQUIRE(engine->handshake() == progress::want_more);
    tls::client_hello_reader reader;
    REQUIRE(reader.read(engine->output().view()) == tls::hello_state::complete);
    const tls::client_hello hello = reader.take();
    CHECK(hello.server_name == "a.test");
    CHECK(hello.versions == std::vector<std::uint16_t>{0x0304, 0x0303});
    CHECK(hello.groups == std::vector<std::uint16_t>{0x001d, 0x0017, 0x0018});
    CHECK(hello.protocols == std::vector<std::string>{"http/1.1"});
    std::vector<std::uint16_t> suites = hello.suites;
    std::sort(suites.begin(), suites.end());
    const std::vector<std::uint16_t> allowed{0x00ff, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9};
    for (const std::uint16_t suite : suites) {
        CHECK_MESSAGE(std::binary_search(allowed.begin(), allowed.end(), suite), suite);
    }
    CHECK(suites.size() >= 9);
}

TEST_CASE("both sides can be kept to one version, and have none in common then") {
    tls::server_settings s = test_support::settings_of(cert_a());
    tls::client_settings c = test_support::trusting(ca());
    s.min_version = tls::version::tls_1_3;
    c.max_version = tls::version::tls_1_2;
    auto out = shake(client_of(c), server_of(s));
    REQUIRE(!out.near);
    CHECK_MESSAGE(out.near.error().kind() == error_kind::tls, out.near_text());
    CHECK(!out.far);
    s.min_version = tls::version::tls_1_2;
    testing::virtual_loop loop;
    auto e = test_support::make_tls_ends(client_of(c), server_of(s));
    out = shake(loop, e);
    CHECK_MESSAGE(out.ok(), out.near_text() << out.far_text());
    CHECK(e.near.protocol_version() == "TLSv1.2");
}

TEST_CASE("a record that was changed on its way is an error, and nothing of it is read") {
    const auto c = client_of(ca());
    const auto made = tls::server_context::make(test_support::settings_of(cert_a()));
    engines e = make_engines(c, *made);
    REQUIRE(shake(*e.client, *e.server));
    REQUIRE(e.client->write(as_octets("the secret")) == progress::done);
    std::string record = drain(*e.client);
    CHECK(record.find("secret") == std::string::npos);
    record[10] = static_cast<char>(record[10] ^ 1);
    e.server->feed(record);
    std::byte room[64];
    std::size_t n = 0;
    REQUIRE(e.server->read(room, n) == progress::failed);
    CHECK_MESSAGE(e.server->take_error().is(tls::errc::bad_record), e.server->take_error().message());
    CHECK(n == 0);
    CHECK(!e.server->output().empty()); // the alert
    CHECK(e.server->read(room, n) == progress::failed);
    CHECK(e.server->write(as_octets("more")) == progress::failed);
}

TEST_CASE("a handshake and an exchange cope with every fault at every operation of the transport, at either end") {
    const auto c = client_of(ca());
    const auto s = server_of(cert_a());
    for (const bool at_client : {true, false}) {
        CAPTURE(at_client);
        auto scenario = [&](testing::fail_plan& plan) -> task<> {
            using faulty = testing::faulty_stream<testing::memory_stream>;
            testing::memory_options options;
            options.always_suspend = true;
            auto raw = testing::make_memory_pair(options);
            testing::fail_plan none;
            tls::tls_stream<faulty> near(faulty(std::move(raw.first), at_client ? plan : none), c, "a.test");
            tls::tls_stream<faulty> far(faulty(std::move(raw.second), at_client ? none : plan), s);
            auto ask = [](tls::tls_stream<faulty>& end) -> task<> {
                const auto sent = co_await attempt(end.write_all(as_octets("question")));
                result<received> heard = fail(errc::closed);
                if (sent) {
                    heard = co_await attempt(end.receive());
                }
                end.close();
                if (!heard) {
                    co_await fail(heard.error());
                }
                if (as_text(heard->octets()) != "answer") {
                    co_await fail(errc::protocol);
                }
            };
            auto answer = [](tls::tls_stream<faulty>& end) -> task<> {
                auto heard = co_await attempt(end.receive());
                if (heard) {
                    const auto sent = co_await attempt(end.write_all(as_octets("answer")));
                    ignore_result(sent, "the client judges");
                }
                end.close();
            };
            co_await when_all(ask(near), answer(far));
        };
        const auto summary = testing::for_each_fault(scenario);
        REQUIRE_MESSAGE(summary, summary.error().message());
        CHECK(summary->operations >= 4);
        CHECK(summary->runs > 20);
    }
}

} // TEST_SUITE

TEST_SUITE("tls/session_cache") {

namespace {

// One connection of `sessions` to `host`; whether it was resumed.
bool connect_once(const tls::client_context_ptr& c, const tls::server_config_ptr& s, const std::shared_ptr<tls::session_cache>& sessions,
                  const std::string& key, std::string* why = nullptr) {
    testing::virtual_loop loop;
    auto raw = testing::make_memory_pair();
    test_support::tls_ends e{test_support::tls_end(std::move(raw.first), c, "a.test", sessions, key),
                             test_support::tls_end(std::move(raw.second), s)};
    const auto out = shake(loop, e);
    if (why != nullptr) {
        *why = out.near_text();
    }
    if (!out.ok()) {
        return false;
    }
    const bool resumed = e.near.resumed();
    CHECK(resumed == e.far.resumed());
    e.near.close();
    return resumed;
}

} // namespace

TEST_CASE("a TLS 1.3 session is resumed once, by the same origin, and by its own server only") {
    const auto c = client_of(ca());
    const auto s = server_of(cert_a());
    auto sessions = std::make_shared<tls::session_cache>();
    CHECK(!connect_once(c, s, sessions, "a.test:443"));
    CHECK(sessions->size() == 1);
    CHECK(!connect_once(c, s, sessions, "a.test:444"));
    CHECK(sessions->size() == 2);
    CHECK(connect_once(c, s, sessions, "a.test:443"));
    CHECK(connect_once(c, s, sessions, "a.test:443"));
    // Another server, which cannot read the ticket: a full handshake, not a failure.
    CHECK(!connect_once(c, server_of(cert_a()), sessions, "a.test:443"));
    CHECK(sessions->size() == 2);
}

TEST_CASE("a connection that ends before its ticket came keeps no session: the offered ticket has had its use [RFC 8446 C.4]") {
    const auto c = client_of(ca());
    const auto s = server_of(cert_a());
    auto sessions = std::make_shared<tls::session_cache>();
    CHECK(!connect_once(c, s, sessions, "k"));
    REQUIRE(sessions->size() == 1);
    {
        testing::virtual_loop loop;
        auto raw = testing::make_memory_pair();
        test_support::tls_end near(std::move(raw.first), c, "a.test", sessions, "k");
        test_support::tls_end far(std::move(raw.second), s);
        auto both = [&]() -> task<> { co_await when_all(near.handshake(), far.handshake()); };
        REQUIRE(loop.run(both()));
        CHECK(near.resumed());
        near.close(); // has read nothing
    }
    CHECK(sessions->size() == 0);
    std::string why;
    CHECK(!connect_once(c, s, sessions, "k", &why));
    CHECK(why == "ok");
    CHECK(connect_once(c, s, sessions, "k"));
}

TEST_CASE("no ticket of TLS 1.2 is asked for, and no session kept: a rejected one would fail the handshake") {
    tls::client_settings settings = test_support::trusting(ca());
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) {
        settings.max_version = highest;
        const auto context = client_of(settings);
        const auto engine = context->connect("a.test").value();
        REQUIRE(engine->handshake() == progress::want_more);
        tls::client_hello_reader reader;
        REQUIRE(reader.read(engine->output().view()) == tls::hello_state::complete);
        const tls::client_hello hello = reader.take();
        constexpr std::uint16_t session_ticket = 35; // RFC 5077 3.2
        CHECK(std::count(hello.extensions.begin(), hello.extensions.end(), session_ticket) == 0);
    }
    const auto c = client_of(settings);
    auto sessions = std::make_shared<tls::session_cache>();
    CHECK(!connect_once(c, server_of(cert_a()), sessions, "k"));
    CHECK(sessions->size() == 0);
    CHECK(!connect_once(c, server_of(cert_a()), sessions, "k"));
}

TEST_CASE("no session is resumed past the end of the certificate that its server had shown: the next handshake is a full one") {
    const auto c = client_of(ca());
    const auto s = server_of(cert_a());
    auto sessions = std::make_shared<tls::session_cache>();
    CHECK(!connect_once(c, s, sessions, "k"));
    for (const bool past : {false, true}) {
        CAPTURE(past);
        tls::session_cache::entry kept = sessions->take("k");
        REQUIRE(!kept.chain.empty());
        kept.chain.front().not_after = std::time(nullptr) + (past ? -1 : 86'400); // as if it had been issued for less
        sessions->put(std::move(kept));
        std::string why;
        CHECK(connect_once(c, s, sessions, "k", &why) == !past);
        CHECK(why == "ok");
    }
    CHECK(sessions->size() == 1);
    CHECK(connect_once(c, s, sessions, "k"));
}

TEST_CASE("on_peer judges a resumed session by what the server had shown") {
    int asked = 0;
    bool allowed = true;
    bool resumed = false;
    tls::client_settings settings = test_support::trusting(ca());
    settings.on_peer = tls::make_peer_check([&](const tls::peer_info& who) -> result<void> {
        ++asked;
        resumed = who.resumed;
        CHECK(who.leaf->subject == "CN=a");
        CHECK(!who.der.empty());
        return allowed ? result<void>() : result<void>(fail(errc::unavailable));
    });
    const auto c = client_of(settings);
    const auto s = server_of(cert_a());
    auto sessions = std::make_shared<tls::session_cache>();
    CHECK(!connect_once(c, s, sessions, "k"));
    CHECK(asked == 1);
    CHECK(!resumed);
    CHECK(connect_once(c, s, sessions, "k"));
    CHECK(asked == 2);
    CHECK(resumed);
    allowed = false;
    std::string why;
    CHECK(!connect_once(c, s, sessions, "k", &why));
    CHECK(asked == 3);
    CHECK(why == "TLS: not available here: certificate refused");
}

TEST_CASE("a check that throws has refused: a client's certificate, and the server of a resumed session") {
    const auto throwing = tls::make_peer_check([](const tls::peer_info&) -> result<void> { throw 42; });
    tls::server_settings s = test_support::settings_of(cert_a());
    s.clients = tls::client_verification::required;
    s.client_authorities = tls::trust::file(ca().cert);
    s.on_peer = throwing;
    tls::client_settings c = test_support::trusting(ca());
    c.own = tls::identity::files(cert_a().chain, cert_a().key);
    CHECK(shake(client_of(c), server_of(s)).far_text() == "TLS: on_peer threw an exception: certificate refused");
    bool throws = false;
    c.on_peer = tls::make_peer_check([&](const tls::peer_info&) -> result<void> {
        if (throws) {
            throw 42;
        }
        return {};
    });
    const auto context = client_of(c);
    const auto server = server_of(cert_a());
    auto sessions = std::make_shared<tls::session_cache>();
    CHECK(!connect_once(context, server, sessions, "k"));
    throws = true;
    std::string why;
    CHECK(!connect_once(context, server, sessions, "k", &why));
    CHECK(why == "TLS: on_peer threw an exception: certificate refused");
}

TEST_CASE("a session is kept, too, where the server closed first") {
    const auto c = client_of(ca());
    const auto s = server_of(cert_a());
    auto sessions = std::make_shared<tls::session_cache>();
    {
        testing::virtual_loop loop;
        auto raw = testing::make_memory_pair();
        test_support::tls_ends e{test_support::tls_end(std::move(raw.first), c, "a.test", sessions, "k"),
                                 test_support::tls_end(std::move(raw.second), s)};
        REQUIRE(shake(loop, e).ok());
        e.far.close();
        auto end = [&]() -> task<> {
            const auto last = co_await e.near.receive();
            CHECK(last.empty());
        };
        REQUIRE(loop.run(end()));
        e.near.close();
    }
    CHECK(sessions->size() == 1);
    CHECK(connect_once(c, s, sessions, "k"));
}

TEST_CASE("a connection that failed leaves no session; one that was only cut off does [RFC 8446 6.2]") {
    for (const bool cut : {false, true}) {
        CAPTURE(cut);
        const auto c = client_of(ca());
        const auto made = tls::server_context::make(test_support::settings_of(cert_a()));
        REQUIRE(made);
        engines e = make_engines(c, *made);
        REQUIRE(shake(*e.client, *e.server));
        REQUIRE(e.client->peek() == progress::want_more);
        CHECK(e.client->session() != nullptr);
        if (cut) {
            e.client->feed_end();
        } else {
            e.client->feed(std::string("\x17\3\3\0\x14", 5) + std::string(20, 'x'));
        }
        CHECK(e.client->peek() == progress::failed);
        CHECK((e.client->session() != nullptr) == cut);
    }
}

TEST_CASE("a server's on_peer is told what the client asked for, in a session that is resumed, too") {
    std::vector<std::string> asked;
    tls::server_settings s = test_support::settings_of(cert_a());
    s.clients = tls::client_verification::required;
    s.client_authorities = tls::trust::file(ca().cert);
    s.on_peer = tls::make_peer_check([&](const tls::peer_info& who) -> result<void> {
        asked.push_back(std::string(who.server_name) + (who.resumed ? " resumed" : ""));
        return {};
    });
    tls::client_settings c = test_support::trusting(ca());
    c.own = tls::identity::files(cert_a().chain, cert_a().key);
    const auto context = client_of(c);
    const auto server = server_of(s);
    auto sessions = std::make_shared<tls::session_cache>();
    CHECK(!connect_once(context, server, sessions, "k"));
    CHECK(connect_once(context, server, sessions, "k"));
    CHECK(asked == std::vector<std::string>{"a.test", "a.test resumed"});
}

} // TEST_SUITE
