// SPDX-License-Identifier: MIT
// tests/support/tls_ends.hpp - both ends of a TLS connection in memory, as engines or as streams, and how their handshake went.
#pragma once

#include <flux/coro/when.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <flux/tls/stream.hpp>
#include <support/tls_certs.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

namespace test_support {

using tls_end = flux::tls::tls_stream<flux::testing::memory_stream>;

inline flux::tls::server_settings settings_of(const cert_lab::pair& p) {
    return flux::tls::server_settings(flux::tls::identity::files(p.chain, p.key));
}
inline flux::tls::server_context_ptr context_of(const flux::tls::server_settings& s) {
    auto context = flux::tls::server_context::make(s);
    REQUIRE_MESSAGE(context, context.error().message());
    return *context;
}
inline flux::tls::server_context_ptr context_of(const cert_lab::pair& p) { return context_of(settings_of(p)); }
inline flux::tls::server_config_ptr server_of(const flux::tls::server_settings& s) {
    return std::make_shared<flux::tls::server_config>(context_of(s));
}
inline flux::tls::server_config_ptr server_of(const cert_lab::pair& p) { return server_of(settings_of(p)); }
inline flux::tls::client_settings trusting(const cert_lab::pair& root) {
    flux::tls::client_settings s;
    s.authorities = flux::tls::trust::file(root.cert);
    return s;
}
inline flux::tls::client_context_ptr client_of(const flux::tls::client_settings& s) {
    auto context = flux::tls::client_context::make(s);
    REQUIRE_MESSAGE(context, context.error().message());
    return *context;
}
inline flux::tls::client_context_ptr client_of(const cert_lab::pair& root) { return client_of(trusting(root)); }

struct tls_ends {
    tls_end near;
    tls_end far;
};
inline tls_ends make_tls_ends(const flux::tls::client_context_ptr& c, const flux::tls::server_config_ptr& s,
                              const std::string& host = "a.test", flux::testing::memory_options options = {}) {
    auto raw = flux::testing::make_memory_pair(options);
    return {tls_end(std::move(raw.first), c, host), tls_end(std::move(raw.second), s)};
}

// ---- engines alone ----

inline void carry(flux::tls::engine& from, flux::tls::engine& to) {
    to.feed(from.output().view());
    from.output().clear();
}
inline std::string drain(flux::tls::engine& e) {
    std::string all(e.output().view());
    e.output().clear();
    return all;
}
/// Whether two engines make their handshake. What either has to say afterwards (tickets) has reached the other.
inline bool shake(flux::tls::engine& client, flux::tls::engine& server) {
    for (int turn = 0; turn < 8 && !(client.is_complete() && server.is_complete()); ++turn) {
        for (flux::tls::engine* e : {&client, &server}) {
            if (!e->is_complete() && e->handshake() == flux::tls::engine::progress::failed) {
                return false;
            }
            carry(*e, e == &client ? server : client);
        }
    }
    return client.is_complete() && server.is_complete();
}
/// An engine makes its handshake with what is at the other end of `to`.
inline flux::task<> shake(flux::tls::engine& e, flux::testing::memory_stream& to) {
    while (e.handshake() == flux::tls::engine::progress::want_more) {
        co_await to.write_all(flux::as_octets(drain(e)));
        const auto heard = co_await to.receive();
        e.feed(flux::as_text(heard.octets()));
    }
    co_await to.write_all(flux::as_octets(drain(e)));
}

// ---- streams ----

struct handshake_outcome {
    flux::result<void> near; // the handshake and, for TLS 1.3, the first octets from the server
    flux::result<void> far;
    [[nodiscard]] bool ok() const { return near.has_value() && far.has_value(); }
    [[nodiscard]] std::string near_text() const { return near ? "ok" : near.error().message(); }
    [[nodiscard]] std::string far_text() const { return far ? "ok" : far.error().message(); }
};

/// Makes the handshake at both ends; the server then says one octet, the client hears it.
inline handshake_outcome shake(flux::testing::virtual_loop& loop, tls_ends& e) {
    handshake_outcome out;
    auto client = [](tls_end& s, flux::result<void>& into) -> flux::task<> {
        into = co_await flux::attempt(s.handshake());
        if (into) {
            auto heard = co_await flux::attempt(s.receive());
            into = heard ? flux::result<void>() : flux::result<void>(flux::fail(heard.error()));
        }
        if (!into) {
            s.close();
        }
    };
    auto server = [](tls_end& s, flux::result<void>& into) -> flux::task<> {
        into = co_await flux::attempt(s.write_all(flux::as_octets("!")));
        if (!into) {
            s.close();
        }
    };
    auto both = [&]() -> flux::task<> { co_await flux::when_all(client(e.near, out.near), server(e.far, out.far)); };
    auto r = loop.run(both());
    REQUIRE_MESSAGE(r, r.error().message());
    return out;
}
inline handshake_outcome shake(const flux::tls::client_context_ptr& c, const flux::tls::server_config_ptr& s,
                               const std::string& host = "a.test") {
    flux::testing::virtual_loop loop;
    tls_ends e = make_tls_ends(c, s, host);
    return shake(loop, e);
}

} // namespace test_support
