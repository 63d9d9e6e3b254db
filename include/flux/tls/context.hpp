// SPDX-License-Identifier: MIT
// flux/tls/context.hpp - settings, checked and loaded: what connections are made from.
//
//   server_settings -> server_context (immutable, shared by workers) -> engine per connection
//   client_settings -> client_context
//
// What both sides have is loaded by context_core.hpp. Deliberately not here: which context a client gets
// (certificate_table.hpp).
#pragma once

#include <flux/tls/context_core.hpp>
#include <flux/tls/engine.hpp>
#include <flux/tls/ocsp_staple.hpp>
#include <flux/tls/settings.hpp>
#include <flux/tls/ticket_keys.hpp>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::tls {

namespace detail {

// As the library wants ALPN to be.
[[nodiscard]] inline result<std::string> joined_protocols(const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& n : names) {
        if (n.empty() || n.size() > 255 || n.find(',') != std::string::npos) {
            return flux::fail(make_error(errc::bad_setting, "an application protocol has 1 to 255 octets and no comma"));
        }
        list += list.empty() ? "" : ",";
        list += n;
    }
    return list;
}

} // namespace detail

/// One identity of a server, with everything that its connections need.
///
/// Threads  immutable; any number of threads may make connections from it.
/// Cost     about 150 KiB, and the trusted authorities of clients.
class server_context {
public:
    /// Errors   errc::bad_file, bad_setting, weak_key: nothing has been opened to the network by then. Reads files.
    [[nodiscard]] static result<std::shared_ptr<const server_context>> make(const server_settings& s) {
        std::shared_ptr<server_context> c(new server_context(s));
        if (auto r = c->load(c->settings_); !r) {
            return flux::fail(std::move(r).error());
        }
        return std::shared_ptr<const server_context>(std::move(c));
    }

    [[nodiscard]] WOLFSSL_CTX* native() const noexcept { return core_.native(); }
    [[nodiscard]] const server_settings& settings() const noexcept { return settings_; }
    /// When the stapled response becomes too old to be sent; 0: there is none, or it says nothing about it.
    [[nodiscard]] unix_seconds staple_expires() const noexcept {
        return older_ != nullptr ? older_->staple_expires() : staple_.expires();
    }
    /// The own chain, the server's certificate first.
    [[nodiscard]] const std::vector<certificate>& chain() const noexcept { return own_; }
    [[nodiscard]] unix_seconds expires() const noexcept { return own_.front().not_after; }

    /// An engine for one connection.
    /// Params   protocol  what ALPN chose; empty: none.  offers_tls_1_3  whether the client does.
    ///          server_name  what it asked for.  Errors  as engine::make().
    [[nodiscard]] result<std::unique_ptr<engine>> connect(std::string_view protocol, bool offers_tls_1_3 = true,
                                                          std::string_view server_name = {}) const {
        if (!offers_tls_1_3 && older_ != nullptr) {
            return older_->connect(protocol, true, server_name);
        }
        engine_setup setup;
        setup.context = native();
        setup.is_server = true;
        setup.server_name = server_name;
        setup.expected.role = peer_role::client;
        setup.expected.anchors = &core_.anchors();
        setup.expected.min_rsa_bits = settings_.min_rsa_bits;
        setup.protocols = protocol;
        setup.on_peer = check_.get();
        return engine::make(setup);
    }

private:
    explicit server_context(const server_settings& s) : settings_(s) {
        if (settings_.ticket_secrets == nullptr) {
            settings_.ticket_secrets = std::make_shared<ticket_keys>();
        }
    }

    [[nodiscard]] result<void> load(const server_settings& s) {
        if (auto r = core_.begin(true, s); !r) {
            return r;
        }
        if (auto names = detail::joined_protocols(s.protocols); !names) {
            return flux::fail(std::move(names).error());
        }
        if (s.own.chain().empty() || s.own.key().empty()) {
            return detail::context_core::bad("a server needs a certificate and its private key");
        }
        if (auto r = core_.set_identity(s.own, own_); !r) {
            return r;
        }
        int mode = WOLFSSL_VERIFY_NONE;
        if (s.clients != client_verification::none) {
            if (s.client_authorities.empty()) {
                return detail::context_core::bad("client certificates need client_authorities");
            }
            if (auto r = core_.set_trust(s.client_authorities); !r) {
                return r;
            }
            if (auto r = core_.set_revocation(s.revocation_lists); !r) {
                return r;
            }
            mode = WOLFSSL_VERIFY_PEER;
            mode |= s.clients == client_verification::required ? WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
            check_ = with_allowed_uris(s);
        } else if (!s.allowed_uris.empty() || s.on_peer != nullptr || !s.revocation_lists.empty()) {
            return detail::context_core::bad("on_peer, allowed_uris and revocation_lists need clients to be verified");
        }
        engine_callbacks::install(*native(), mode);
        if (auto r = core_.set_suites(); !r) {
            return r;
        }
        if (auto r = set_tickets(s); !r) {
            return r;
        }
        return set_staple(s);
    }
    [[nodiscard]] result<void> set_tickets(const server_settings& s) {
        if (s.tickets == 0) {
            ::wolfSSL_CTX_no_ticket_TLSv13(native());
            ::wolfSSL_CTX_NoTicketTLSv12(native());
            return {};
        }
        if (s.tickets > 16 || (s.max_version == version::tls_1_3 &&
                               ::wolfSSL_CTX_set_num_tickets(native(), s.tickets) != WOLFSSL_SUCCESS)) {
            return detail::context_core::bad("that many tickets cannot be sent");
        }
        constexpr std::int64_t week = 604'800;
        const std::int64_t lifetime = s.ticket_lifetime.count();
        if (lifetime < 1 || lifetime > week) {
            return detail::context_core::bad("ticket_lifetime must be 1 s to 7 days");
        }
        std::vector<std::string> names = own_.front().dns_names;
        for (const auto* more : {&own_.front().addresses, &own_.front().uris}) {
            names.insert(names.end(), more->begin(), more->end());
        }
        const bool verifies = s.clients != client_verification::none;
        const bool installed = tickets_.install(*native(), s.ticket_secrets,
                                                std::move(names), lifetime, verifies, s.clients == client_verification::required);
        return installed ? result<void>() : detail::context_core::bad("the TLS library cannot make tickets");
    }
    // Stapling in TLS 1.3 loses memory for each client that asks (wolfSSL 5.5.4), and it is a context as a whole that
    // staples: so those who can do no better than TLS 1.2 get one of their own.
    [[nodiscard]] result<void> set_staple(const server_settings& s) {
        if (s.ocsp_response.empty()) {
            return s.ocsp_in_tls_1_3 ? detail::context_core::bad("ocsp_in_tls_1_3 needs an ocsp_response") : result<void>();
        }
        if (s.max_version == version::tls_1_2 || s.ocsp_in_tls_1_3) {
            return staple(s);
        }
        if (s.min_version == version::tls_1_3) {
            return detail::context_core::bad("ocsp_response with TLS 1.3 alone needs ocsp_in_tls_1_3");
        }
        server_settings older = s;
        older.max_version = version::tls_1_2;
        auto made = make(older);
        if (!made) {
            return flux::fail(std::move(made).error());
        }
        older_ = *std::move(made);
        return {};
    }
    [[nodiscard]] result<void> staple(const server_settings& s) {
        auto response = s.ocsp_response.read();
        if (!response) {
            return flux::fail(std::move(response).error());
        }
        const std::string name = s.ocsp_response.name("OCSP response");
        if (auto r = staple_.take(*std::move(response), name, own_.front(), std::time(nullptr)); !r) {
            return r;
        }
        if (auto r = core_.add_issuer(s.own, own_); !r) {
            return r;
        }
        if (!staple_.install(*native())) {
            return detail::context_core::bad("the TLS library cannot staple OCSP responses");
        }
        return prove_staple(name);
    }
    // The library judges a response when a client asks, and a bad one fails that client's handshake: one is made here.
    [[nodiscard]] result<void> prove_staple(const std::string& name) const {
        const bool old = settings_.min_version == version::tls_1_2; // loses nothing
        const detail::context_ptr client(::wolfSSL_CTX_new(old ? ::wolfTLSv1_2_client_method() : ::wolfTLSv1_3_client_method()));
        auto server = connect({});
        if (client == nullptr || !server) {
            return flux::fail(make_error(errc::out_of_memory));
        }
        engine_callbacks::install(*client, WOLFSSL_VERIFY_NONE);
        engine_setup setup;
        setup.context = client.get();
        auto asking = engine::make(setup);
        if (!asking || !detail::staple_box::ask_for(*(*asking)->native())) {
            return detail::context_core::bad("the TLS library cannot ask for OCSP responses");
        }
        const auto hello = (*asking)->handshake();
        (*server)->feed((*asking)->output().view());
        if (hello != engine::progress::want_more || (*server)->handshake() != engine::progress::want_more) {
            return flux::fail(make_error(errc::bad_file, name + ": " + (*server)->take_error().message()));
        }
        // What was sent has room for the response, or it is not in there.
        if ((*server)->output().size() < staple_.size() + core_.own_octets()) {
            return flux::fail(make_error(errc::bad_file, name + ": the TLS library does not take it for one about this certificate"));
        }
        return {};
    }
    [[nodiscard]] static peer_check with_allowed_uris(const server_settings& s) {
        if (s.allowed_uris.empty()) {
            return s.on_peer;
        }
        return make_peer_check([allowed = s.allowed_uris, next = s.on_peer](const peer_info& who) -> result<void> {
            const auto& uris = who.leaf->uris;
            const bool known = std::any_of(uris.begin(), uris.end(), [&](const std::string& u) {
                return std::find(allowed.begin(), allowed.end(), u) != allowed.end();
            });
            if (!known) {
                return flux::fail(make_error(errc::certificate_refused, names_of(*who.leaf) + " is not on the list"));
            }
            return next != nullptr ? (*next)(who) : result<void>();
        });
    }

    server_settings settings_;
    detail::context_core core_;
    std::vector<certificate> own_;
    peer_check check_;
    detail::ticket_box tickets_;
    detail::staple_box staple_;
    std::shared_ptr<const server_context> older_; // for clients without TLS 1.3, where it differs; else null
};

/// What a client's connections are made from.
///
/// Threads  immutable; any number of threads may make connections from it.
/// Cost     with the system's authorities about 7 ms and 300 KiB: make one and share it.
class client_context {
public:
    /// Errors   errc::bad_file, bad_setting, weak_key. Reads files.
    [[nodiscard]] static result<std::shared_ptr<const client_context>> make(const client_settings& s = client_settings()) {
        std::shared_ptr<client_context> c(new client_context(s));
        if (auto r = c->load(s); !r) {
            return flux::fail(std::move(r).error());
        }
        return std::shared_ptr<const client_context>(std::move(c));
    }

    [[nodiscard]] WOLFSSL_CTX* native() const noexcept { return core_.native(); }
    [[nodiscard]] const client_settings& settings() const noexcept { return settings_; }

    /// An engine for one connection to `host`, a DNS name or a literal address.
    /// Errors   errc::bad_setting for an empty host.
    [[nodiscard]] result<std::unique_ptr<engine>> connect(std::string_view host) const {
        if (host.empty()) {
            return detail::context_core::bad("a connection needs the name of its server");
        }
        engine_setup setup;
        setup.context = native();
        setup.expected.role = peer_role::server;
        setup.expected.host = host;
        setup.expected.anchors = &core_.anchors();
        setup.expected.min_rsa_bits = settings_.min_rsa_bits;
        setup.protocols = protocols_;
        setup.on_peer = settings_.on_peer.get();
        return engine::make(setup);
    }

private:
    explicit client_context(const client_settings& s) : settings_(s) {}

    [[nodiscard]] result<void> load(const client_settings& s) {
        if (auto r = core_.begin(false, s); !r) {
            return r;
        }
        auto names = detail::joined_protocols(s.protocols);
        if (!names) {
            return flux::fail(std::move(names).error());
        }
        protocols_ = *std::move(names);
        if (!s.own.empty()) {
            if (auto r = core_.set_identity(s.own, own_); !r) {
                return r;
            }
        }
        if (!s.danger_no_verify) {
            if (auto r = core_.set_trust(s.authorities); !r) {
                return r;
            }
            if (auto r = core_.set_revocation(s.revocation_lists); !r) {
                return r;
            }
        } else if (s.on_peer != nullptr || !s.revocation_lists.empty()) {
            return detail::context_core::bad("danger_no_verify leaves nothing for on_peer and revocation_lists");
        }
        engine_callbacks::install(*native(), s.danger_no_verify ? WOLFSSL_VERIFY_NONE : WOLFSSL_VERIFY_PEER);
        return core_.set_suites();
    }

    client_settings settings_;
    detail::context_core core_;
    std::vector<certificate> own_;
    std::string protocols_;
};

} // namespace flux::inline FLUX_ABI::tls
