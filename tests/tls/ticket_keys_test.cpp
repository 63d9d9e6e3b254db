// SPDX-License-Identifier: MIT
#include <flux/tls/ticket_keys.hpp> // also proves the header is self-contained

#include <flux/net/read.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::ca;
using test_support::cert_lab;
using test_support::client_of;
using test_support::lab;
using test_support::named;
using test_support::server_of;
using test_support::shake;

namespace {

tls::server_settings own(const cert_lab::pair& p, tls::ticket_keys_ptr keys = nullptr) {
    tls::server_settings s = test_support::settings_of(p);
    s.ticket_secrets = std::move(keys);
    return s;
}
tls::server_settings strict(tls::server_settings s) {
    s.clients = tls::client_verification::required;
    s.client_authorities = tls::trust::file(ca().cert);
    return s;
}
tls::client_settings showing(const cert_lab::pair& who) {
    tls::client_settings s = test_support::trusting(ca());
    s.own = tls::identity::files(who.chain, who.key);
    return s;
}
tls::ticket_keys_ptr keys_of(const std::vector<std::string>& secrets) {
    auto keys = std::make_shared<tls::ticket_keys>();
    const auto set = keys->set(secrets);
    REQUIRE(set);
    return keys;
}
std::string secret(char c) { return std::string(32, c); }

/// A client that keeps its sessions, and what its last connection was.
struct visitor {
    explicit visitor(const tls::client_settings& s) : context(client_of(s)) {}
    /// Whether the connection was resumed; CHECKs that it was made.
    bool visits(const tls::server_config_ptr& to) {
        CHECK_MESSAGE(comes(to), why);
        return resumed;
    }
    bool comes(const tls::server_config_ptr& to) {
        testing::virtual_loop loop;
        auto raw = testing::make_memory_pair();
        test_support::tls_ends e{test_support::tls_end(std::move(raw.first), context, "a.test", sessions, "a.test:443"),
                                 test_support::tls_end(std::move(raw.second), to)};
        const auto out = shake(loop, e);
        why = out.near_text() + " | " + out.far_text();
        resumed = out.ok() && e.near.resumed();
        shown = e.far.peer_certificate() == nullptr ? "" : e.far.peer_certificate()->subject;
        if (out.ok()) {
            CHECK(e.far.resumed() == resumed);
        }
        e.near.close();
        return out.ok();
    }
    tls::client_context_ptr context;
    std::shared_ptr<tls::session_cache> sessions = std::make_shared<tls::session_cache>();
    bool resumed = false;
    std::string shown;
    std::string why;
};

// ---- TLS 1.2: flux's clients resume TLS 1.3 only, so the library's own is driven here ----

std::string taken(tls::engine& e) {
    std::string all(e.output().view());
    e.output().clear();
    return all;
}
struct old_client {
    explicit old_client(tls::client_settings s) {
        s.max_version = tls::version::tls_1_2;
        context = client_of(s);
    }
    /// Makes a connection; resumes the last one's session if it can. False: it failed.
    bool comes(const tls::server_config_ptr& to) {
        auto client = *context->connect("a.test");
        auto server = *to->find("a.test")->connect("http/1.1");
        ::wolfSSL_UseSessionTicket(client->native());
        if (session != nullptr) {
            ::wolfSSL_set_session(client->native(), session.get());
        }
        why.clear();
        bool made = false; // by the library itself: an engine would let go of the ticket
        for (int i = 0; i < 8 && !(made && server->is_complete()); ++i) {
            if (!made) {
                const int r = ::wolfSSL_connect(client->native());
                made = r == WOLFSSL_SUCCESS;
                const int code = made ? 0 : ::wolfSSL_get_error(client->native(), r);
                why = made || code == WOLFSSL_ERROR_WANT_READ ? "" : tls::detail::library_text(code);
            }
            server->feed(taken(*client));
            if (!server->is_complete() && server->handshake() == tls::engine::progress::failed) {
                why += " | " + server->take_error().message();
                return false;
            }
            client->feed(taken(*server));
        }
        if (!made || !server->is_complete()) {
            return false;
        }
        CHECK(client->protocol_version() == "TLSv1.2");
        resumed = server->resumed();
        shown = server->peer_chain().empty() ? "" : server->peer_chain().front().subject;
        session.reset(::wolfSSL_get1_session(client->native()));
        return true;
    }
    tls::client_context_ptr context;
    tls::detail::session_ptr session;
    bool resumed = false;
    std::string shown;
    std::string why;
};

} // namespace

TEST_SUITE("tls/ticket_keys") {

TEST_CASE("servers that share a secret resume each other's sessions; a foreign ticket makes a full handshake") {
    const auto& a = named("a", "DNS:a.test");
    // Two objects with the same secret stand for two processes.
    const auto one = server_of(own(a, keys_of({secret('1')})));
    const auto two = server_of(own(a, keys_of({secret('1')})));
    const auto foreign = server_of(own(a, keys_of({secret('2')})));
    visitor v(test_support::trusting(ca()));
    CHECK(!v.visits(one));
    CHECK(v.visits(two));
    CHECK(v.visits(one));
    CHECK(!v.visits(foreign));
    old_client old(test_support::trusting(ca()));
    REQUIRE_MESSAGE(old.comes(one), old.why);
    CHECK(!old.resumed);
    REQUIRE_MESSAGE(old.comes(two), old.why);
    CHECK(old.resumed);
}

TEST_CASE("a new secret seals at once, and older ones are accepted as long as they are on the list") {
    const auto& a = named("a", "DNS:a.test");
    auto keys = keys_of({secret('1')});
    const auto server = server_of(own(a, keys));
    visitor v(test_support::trusting(ca()));
    CHECK(!v.visits(server));
    REQUIRE(keys->set({secret('2'), secret('1')}));
    CHECK(v.visits(server)); // by the old one; the ticket it gets is by the new one
    REQUIRE(keys->set({secret('2')}));
    CHECK(v.visits(server));
    REQUIRE(keys->set({secret('3')}));
    CHECK(!v.visits(server));
    CHECK(v.visits(server));
}

TEST_CASE("random secrets are replaced by themselves, accepted one more period, and forgotten then") {
    tls::ticket_keys keys(1h);
    const tls::detail::digest scope{};
    const tls::detail::digest other{1};
    tls::detail::ticket_note note;
    note.issued = 1'700'000'000;
    note.has_peer = true;
    note.peer[3] = 7;
    unsigned char name[16];
    unsigned char iv[16];
    unsigned char mac[32];
    unsigned char ticket[190];
    const time_point start = time_point() + 1000h;
    const auto sealed = [&](time_point now) {
        std::memset(ticket, 'x', 100);
        return keys.seal(scope, note, name, iv, mac, ticket, 100, sizeof ticket, now);
    };
    const auto opened = [&](time_point now, const tls::detail::digest& by) {
        unsigned char copy[190];
        std::memcpy(copy, ticket, sizeof copy);
        const auto o = keys.open(by, name, iv, mac, copy, 100 + tls::detail::ticket_note::size, now);
        if (o.size != 0) {
            CHECK(o.size == 100);
            CHECK(copy[99] == 'x');
            CHECK(o.note.issued == note.issued);
            CHECK(o.note.has_peer);
            CHECK(o.note.peer == note.peer);
        }
        return o;
    };
    REQUIRE(sealed(start) == 100 + tls::detail::ticket_note::size);
    CHECK(std::string(reinterpret_cast<char*>(ticket), 100).find("xxxx") == std::string::npos);
    CHECK(opened(start, scope).by_newest);
    CHECK(opened(start + 59min, scope).by_newest);
    CHECK(opened(start, other).size == 0); // another server's
    const auto old = opened(start + 61min, scope);
    CHECK(old.size == 100);
    CHECK(!old.by_newest);
    CHECK(keys.size() == 2);
    CHECK(opened(start + 120min, scope).size == 100);
    CHECK(opened(start + 122min, scope).size == 0);
    REQUIRE(sealed(start + 122min) != 0);
    ticket[5] ^= 1;
    CHECK(opened(start + 122min, scope).size == 0);
    ticket[5] ^= 1;
    mac[0] ^= 1;
    CHECK(opened(start + 122min, scope).size == 0);
    for (int i = 0; i < 20; ++i) {
        REQUIRE(keys.rotate(start + 122min));
    }
    CHECK(keys.size() == tls::ticket_keys::max_keys);
    CHECK(keys.seal(scope, note, name, iv, mac, ticket, 100, 120) == 0); // no room
}

TEST_CASE("a secret that cannot be one is an error, and the keys stay") {
    tls::ticket_keys keys;
    REQUIRE(keys.set({secret('1'), secret('2')}));
    for (const auto& bad : {std::vector<std::string>{}, std::vector<std::string>{"short"}, std::vector<std::string>{secret('1'), secret('1')},
                            std::vector<std::string>(9, secret('1'))}) {
        const auto set = keys.set(bad);
        REQUIRE(!set);
        CHECK(set.error().is(tls::errc::bad_setting));
        CHECK(keys.size() == 2);
    }
    const auto made = tls::ticket_keys::make_secret();
    REQUIRE(made);
    CHECK(made->size() == 32);
    CHECK(*made != *tls::ticket_keys::make_secret());
    CHECK(keys.set({*made}));
    const auto& a = named("a", "DNS:a.test");
    for (const auto lifetime : {std::chrono::seconds(0), std::chrono::seconds(604'801)}) {
        auto s = own(a);
        s.ticket_lifetime = lifetime;
        const auto context = tls::server_context::make(s);
        REQUIRE(!context);
        CHECK(context.error().message().find("ticket_lifetime must be 1 s to 7 days") != std::string::npos);
    }
}

TEST_CASE("a session of one virtual host is none at another, though they share their secrets; a renewed certificate keeps it") {
    const auto& a = named("a", "DNS:a.test");
    const auto& renewed = named("a_renewed", "DNS:a.test");
    const auto& both = named("a_and_b", "DNS:a.test,DNS:b.test");
    const auto keys = keys_of({secret('1')});
    visitor v(test_support::trusting(ca()));
    CHECK(!v.visits(server_of(own(a, keys))));
    CHECK(v.visits(server_of(own(renewed, keys))));
    CHECK(!v.visits(server_of(own(both, keys))));
    CHECK(!v.visits(server_of(own(a, keys))));
    old_client old(test_support::trusting(ca()));
    REQUIRE_MESSAGE(old.comes(server_of(own(a, keys))), old.why);
    REQUIRE_MESSAGE(old.comes(server_of(own(renewed, keys))), old.why);
    CHECK(old.resumed);
}

TEST_CASE("no tickets, no resumption") {
    auto s = own(named("a", "DNS:a.test"));
    s.tickets = 0;
    const auto server = server_of(s);
    visitor v(test_support::trusting(ca()));
    CHECK(!v.visits(server));
    CHECK(!v.visits(server));
    old_client old(test_support::trusting(ca()));
    REQUIRE_MESSAGE(old.comes(server), old.why);
    REQUIRE_MESSAGE(old.comes(server), old.why);
    CHECK(!old.resumed);
}

TEST_CASE("a client of a resumed session is who it was, and on_peer is asked again, in both versions") {
    const auto& a = named("a", "DNS:a.test");
    const auto& mid = lab().issue(ca(), "mid", cert_lab::authority_spec());
    const std::vector<const cert_lab::pair*> users{&named("user", "DNS:user.test"), &named("user2", "URI:spiffe://a.test/2", mid)};
    for (const cert_lab::pair* user : users) {
        CAPTURE(user->name);
        int asked = 0;
        bool resumed = false;
        bool allowed = true;
        auto s = strict(own(a));
        s.on_peer = tls::make_peer_check([&](const tls::peer_info& who) -> result<void> {
            ++asked;
            resumed = who.resumed;
            CHECK(who.leaf->subject == "CN=" + user->name);
            CHECK(!who.der.empty());
            return allowed ? result<void>() : result<void>(fail(errc::unavailable));
        });
        const auto server = server_of(s);
        visitor v(showing(*user));
        CHECK(!v.visits(server));
        CHECK(asked == 1);
        for (int i = 2; i <= 4; ++i) { // also from a ticket that a resumed session was given
            CHECK(v.visits(server));
            CHECK(v.shown == "CN=" + user->name);
            CHECK(asked == i);
            CHECK(resumed);
        }
        allowed = false;
        CHECK(!v.comes(server));
        CHECK_MESSAGE(v.why.find("certificate refused") != std::string::npos, v.why);
        CHECK(asked == 5);
        allowed = true;
        asked = 0;
        old_client old(showing(*user));
        REQUIRE_MESSAGE(old.comes(server), old.why);
        CHECK(!old.resumed);
        REQUIRE_MESSAGE(old.comes(server), old.why);
        CHECK(old.resumed);
        CHECK(old.shown == "CN=" + user->name);
        CHECK(asked == 2);
        CHECK(resumed);
        allowed = false;
        CHECK(!old.comes(server));
        CHECK_MESSAGE(old.why.find("certificate refused") != std::string::npos, old.why);
    }
}

TEST_CASE("a session whose certificate was revoked since, or whose authority is not trusted any more, is not resumed") {
    const auto& a = named("a", "DNS:a.test");
    const auto& user = named("user", "DNS:user.test");
    const auto keys = std::make_shared<tls::ticket_keys>();
    const auto with_list = [&](const std::string& name, const std::string& lines) {
        auto s = strict(own(a, keys));
        s.revocation_lists = {tls::source::file(lab().revocation_list(ca(), name, lines))};
        return server_of(s);
    };
    const auto before = with_list("before", "");
    const auto after = with_list("after", lab().revoked_line(user));
    visitor v(showing(user));
    CHECK(!v.visits(before));
    CHECK(v.visits(before));
    CHECK(!v.comes(after));
    CHECK_MESSAGE(v.why.find("certificate revoked") != std::string::npos, v.why);
    old_client old(showing(user));
    REQUIRE_MESSAGE(old.comes(before), old.why);
    REQUIRE_MESSAGE(old.comes(before), old.why);
    CHECK(old.resumed);
    CHECK(!old.comes(after)); // a full handshake, which this library's client fails after a TLS 1.2 ticket (docs/tls.md, 3)
    CHECK_MESSAGE(old.why.find("Out of order") != std::string::npos, old.why);
    // Other authorities.
    auto s = strict(own(a, keys));
    s.client_authorities = tls::trust::file(lab().root("other_ca").cert);
    visitor again(showing(user));
    CHECK(!again.visits(before));
    CHECK(!again.comes(server_of(s)));
    CHECK_MESSAGE(again.why.find("unknown certificate authority") != std::string::npos, again.why);
}

TEST_CASE("a session whose certificate has expired since is not resumed") {
    const auto& user = named("user", "DNS:user.test");
    const auto context = *tls::server_context::make(strict(own(named("a", "DNS:a.test"))));
    auto engine = *context->connect("");
    const auto der = *tls::read_certificates(user.cert_pem(), "user");
    const auto until = tls::parse_certificate(der[0])->not_after;
    CHECK(engine->judge().take_session_peer(der, until - 1));
    CHECK(!engine->judge().take_session_peer(der, until + 1));
    CHECK(engine->peer_chain().empty()); // nobody has shown it on this connection
}

TEST_CASE("a client that showed no certificate never comes in by a ticket where one is required") {
    const auto& a = named("a", "DNS:a.test");
    const auto keys = std::make_shared<tls::ticket_keys>();
    const auto open = server_of(own(a, keys));
    auto optional_settings = strict(own(a, keys));
    optional_settings.clients = tls::client_verification::optional;
    const auto optional = server_of(optional_settings);
    const auto required = server_of(strict(own(a, keys)));
    visitor v(test_support::trusting(ca()));
    CHECK(!v.visits(open));
    CHECK(!v.comes(required));
    CHECK_MESSAGE(v.why.find("certificate_required") != std::string::npos, v.why);
    visitor w(test_support::trusting(ca()));
    CHECK(!w.visits(optional));
    CHECK(w.visits(optional));
    CHECK(w.shown.empty());
    CHECK(!w.comes(required));
    old_client old(test_support::trusting(ca()));
    REQUIRE_MESSAGE(old.comes(open), old.why);
    CHECK(!old.comes(required));
    // Where clients are not verified, a session of a verified one means nothing.
    const auto& user = named("user", "DNS:user.test");
    visitor u(showing(user));
    CHECK(!u.visits(required));
    CHECK(!u.visits(open));
    // Another process with the secrets does not know the client: it has to show its certificate again.
    const auto here = server_of(strict(own(a, keys_of({secret('1')}))));
    const auto there = server_of(strict(own(a, keys_of({secret('1')}))));
    visitor x(showing(user));
    CHECK(!x.visits(here));
    CHECK(!x.visits(there));
    CHECK(x.shown == "CN=user");
    CHECK(x.visits(there));
}

} // TEST_SUITE
