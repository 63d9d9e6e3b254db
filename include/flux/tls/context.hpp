// SPDX-License-Identifier: MIT
// flux/tls/context.hpp - settings, checked and loaded: what connections are made from.
//
//   server_settings -> server_context (immutable, shared by workers) -> engine per connection
//   client_settings -> client_context
//
// Fixed for everybody: TLS 1.2 and 1.3, nine suites with forward secrecy and authenticated encryption, X25519
// before P-256 and P-384, no session cache (the library's is one for all contexts of the process, and would resume
// a session of one virtual host at another), tickets for servers of the same names only. What the linked library
// cannot do is an error here. Deliberately not here: which context a client gets (certificate_table.hpp).
#pragma once

#include <flux/tls/crypto_device.hpp>
#include <flux/tls/engine.hpp>
#include <flux/tls/ocsp_staple.hpp>
#include <flux/tls/settings.hpp>
#include <flux/tls/ticket_keys.hpp>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <string.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::tls {

namespace detail {

// Where distributions keep the bundle of trusted authorities.
[[nodiscard]] inline result<std::string> system_bundle() {
    for (const char* path : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                             "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
        if (::access(path, R_OK) == 0) {
            return std::string(path);
        }
    }
    return flux::fail(make_error(errc::bad_file, "this system has no bundle of certificate authorities"));
}

[[nodiscard]] inline const unsigned char* octets_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

/// The library's context and what flux knows beside it.
class context_core {
public:
    context_core() = default;
    context_core(const context_core&) = delete;
    context_core& operator=(const context_core&) = delete;

    [[nodiscard]] WOLFSSL_CTX* native() const noexcept { return context_.get(); }
    [[nodiscard]] const anchor_set& anchors() const noexcept { return anchors_; }

    [[nodiscard]] result<void> begin(bool is_server, const common_settings& s) {
        if (auto r = library_ready(); !r) {
            return r;
        }
        if (s.min_version > s.max_version) {
            return bad("the lowest version is above the highest");
        }
        if (s.min_rsa_bits < 2048 || s.min_rsa_bits > 16'384) {
            return bad("min_rsa_bits must be 2048 to 16384");
        }
        context_.reset(::wolfSSL_CTX_new(method(is_server, s.max_version)));
        if (context_ == nullptr) {
            return flux::fail(make_error(errc::out_of_memory));
        }
        const int lowest = s.min_version == version::tls_1_3 ? WOLFSSL_TLSV1_3 : WOLFSSL_TLSV1_2;
        if ((is_server || s.max_version == version::tls_1_3) &&
            ::wolfSSL_CTX_SetMinVersion(native(), lowest) != WOLFSSL_SUCCESS) {
            return bad("the lowest TLS version cannot be set");
        }
        ::wolfSSL_CTX_set_session_cache_mode(native(), WOLFSSL_SESS_CACHE_OFF);
        if (::wolfSSL_CTX_SetMinRsaKey_Sz(native(), static_cast<short>(s.min_rsa_bits)) != WOLFSSL_SUCCESS ||
            ::wolfSSL_CTX_SetMinEccKey_Sz(native(), 256) != WOLFSSL_SUCCESS) {
            return bad("the lowest key sizes cannot be set");
        }
        if (auto r = set_groups(is_server, s.max_version); !r) {
            return r;
        }
        if (is_server && s.max_version == version::tls_1_2 &&
            ::wolfSSL_CTX_set_max_proto_version(native(), TLS1_2_VERSION) != WOLFSSL_SUCCESS) {
            return bad("the highest TLS version cannot be set");
        }
        return {};
    }
    /// After the identity, if there is one.
    [[nodiscard]] result<void> set_suites() {
        const bool aes_first = use_crypto_device(native());
        const std::string list = aes_first ? aes_suites() + ':' + chacha_suites() : chacha_suites() + ':' + aes_suites();
        return ::wolfSSL_CTX_set_cipher_list(native(), list.c_str()) == WOLFSSL_SUCCESS ? result<void>()
                                                                                        : bad("no cipher suites");
    }

    /// Loads the chain and the key, and proves that they belong together. The own chain's facts go to `own`.
    [[nodiscard]] result<void> set_identity(const identity& i, std::vector<certificate>& own) {
        const std::string name = i.chain().name("certificate");
        const std::string key_name = i.key().name("private key");
        auto text = i.chain().read();
        if (!text) {
            return flux::fail(std::move(text).error());
        }
        auto chain = read_certificates(*text, name);
        if (!chain) {
            return flux::fail(std::move(chain).error());
        }
        for (const std::string& der : *chain) {
            auto c = parse_certificate(der);
            if (!c) {
                return flux::fail(make_error(errc::bad_file, name + ": certificate cannot be read"));
            }
            own.push_back(*std::move(c));
        }
        if (auto weak = own_weakness(own.front())) {
            return flux::fail(make_error(weak->code, name + ": " + weak->what));
        }
        std::string joined;
        for (const std::string& der : *chain) {
            joined += der;
        }
        own_octets_ = joined.size();
        const int r = chain->size() == 1
                          ? ::wolfSSL_CTX_use_certificate_buffer(native(), octets_of(joined), static_cast<long>(joined.size()),
                                                                 WOLFSSL_FILETYPE_ASN1)
                          : use_chain(*chain);
        if (r != WOLFSSL_SUCCESS) {
            return flux::fail(make_error(errc::bad_file, name + ": " + library_text(r)));
        }
        auto key = private_key(i.key(), key_name);
        if (!key) {
            return flux::fail(std::move(key).error());
        }
        const int loaded = ::wolfSSL_CTX_use_PrivateKey_buffer(native(), octets_of(*key), static_cast<long>(key->size()),
                                                               WOLFSSL_FILETYPE_ASN1);
        const bool belongs = loaded == WOLFSSL_SUCCESS && is_pair(*key, own.front());
        wipe(*key);
        if (loaded != WOLFSSL_SUCCESS) {
            return flux::fail(make_error(errc::bad_file, key_name + ": no usable private key"));
        }
        if (!belongs) {
            return flux::fail(make_error(errc::bad_file, key_name + ": the private key does not belong to " + name));
        }
        return {};
    }

    /// The issuer of the own certificate, which must be in its chain, may vouch for OCSP responses. It vouches for no
    /// client: a path must end at one of the anchors().
    [[nodiscard]] result<void> add_issuer(const identity& i, const std::vector<certificate>& own) {
        auto text = i.chain().read();
        if (!text) {
            return flux::fail(std::move(text).error());
        }
        const std::string name = i.chain().name("certificate");
        auto chain = read_certificates(*text, name);
        if (!chain) {
            return flux::fail(std::move(chain).error());
        }
        for (std::size_t k = 0; k < chain->size() && k < own.size(); ++k) {
            const std::string& der = (*chain)[k];
            if (own[k].subject_name == own.front().issuer_name &&
                ::wolfSSL_CTX_load_verify_buffer_ex(native(), octets_of(der), static_cast<long>(der.size()), WOLFSSL_FILETYPE_ASN1,
                                                    0, WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY) == WOLFSSL_SUCCESS) {
                return {};
            }
        }
        return flux::fail(make_error(errc::bad_setting, name + ": ocsp_response needs the issuer's certificate in the chain"));
    }
    /// Octets of the own chain.
    [[nodiscard]] std::size_t own_octets() const noexcept { return own_octets_; }

    [[nodiscard]] result<void> set_trust(const trust& t) {
        if (t.uses_system()) {
            auto path = system_bundle();
            if (!path) {
                return flux::fail(std::move(path).error());
            }
            // One authority that the library cannot read must not take the others away.
            if (auto r = add_authorities(source::file(*std::move(path)), true); !r) {
                return r;
            }
        }
        for (const source& s : t.sources()) {
            if (auto r = add_authorities(s, false); !r) {
                return r;
            }
        }
        if (anchors_.empty()) {
            return bad("no certificate authority is trusted");
        }
        anchors_.seal();
        return {};
    }
    [[nodiscard]] result<void> set_revocation(const std::vector<source>& lists) {
        if (lists.empty()) {
            return {};
        }
#if defined(HAVE_CRL)
        if (::wolfSSL_CTX_EnableCRL(native(), WOLFSSL_CRL_CHECK) != WOLFSSL_SUCCESS) {
            return bad("revocation lists cannot be used");
        }
        for (const source& s : lists) {
            const std::string name = s.name("revocation list");
            auto text = s.read();
            if (!text) {
                return flux::fail(std::move(text).error());
            }
            const bool is_pem = !text->starts_with('\x30');
            const int r = ::wolfSSL_CTX_LoadCRLBuffer(native(), octets_of(*text), static_cast<long>(text->size()),
                                                      is_pem ? WOLFSSL_FILETYPE_PEM : WOLFSSL_FILETYPE_ASN1);
            if (r != WOLFSSL_SUCCESS) {
                return flux::fail(make_error(errc::bad_file, name + ": " + library_text(r)));
            }
        }
        return {};
#else
        return bad("the TLS library was built without revocation lists");
#endif
    }

    [[nodiscard]] static failure bad(const char* why) { return flux::fail(make_error(errc::bad_setting, why)); }

private:
    // A server's groups can only be set while TLS 1.3 is among its versions.
    [[nodiscard]] static WOLFSSL_METHOD* method(bool is_server, version highest) noexcept {
        if (is_server) {
            return ::wolfTLS_server_method();
        }
        return highest == version::tls_1_2 ? ::wolfTLSv1_2_client_method() : ::wolfTLS_client_method();
    }
    // A server that only prefers these would take any curve that a client of TLS 1.2 names first: the others have to be
    // disabled. A client of TLS 1.2 names the three one by one.
    [[nodiscard]] result<void> set_groups(bool is_server, version highest) {
        int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
        bool all = true;
        if (!is_server && highest == version::tls_1_2) {
            for (const int g : groups) {
                all = all && ::wolfSSL_CTX_UseSupportedCurve(native(), static_cast<word16>(g)) == WOLFSSL_SUCCESS;
            }
        } else {
            all = ::wolfSSL_CTX_set_groups(native(), groups, 3) == WOLFSSL_SUCCESS;
        }
#if defined(OPENSSL_EXTRA)
        if (is_server) {
            all = all && ::wolfSSL_CTX_set1_curves_list(native(), "X25519:P-256:P-384") == WOLFSSL_SUCCESS;
        }
#endif
        return all ? result<void>() : bad("X25519, P-256 and P-384 are not all supported");
    }
    [[nodiscard]] static std::string aes_suites() {
        return "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
               "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
    }
    [[nodiscard]] static std::string chacha_suites() {
        return "TLS13-CHACHA20-POLY1305-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
    }
    [[nodiscard]] static std::optional<finding> own_weakness(const certificate& c) {
        if (c.key == key_kind::rsa && c.key_bits < 2048) {
            return finding(errc::weak_key, "RSA key of " + std::to_string(c.key_bits) + " bits");
        }
        if (c.key == key_kind::elliptic && c.key_bits < 256) {
            return finding(errc::weak_key, "elliptic key of " + std::to_string(c.key_bits) + " bits");
        }
        return std::nullopt;
    }
    [[nodiscard]] int use_chain(const std::vector<std::string>& chain) {
        std::string text;
        for (const std::string& der : chain) {
            text += to_pem(der);
        }
        return ::wolfSSL_CTX_use_certificate_chain_buffer(native(), octets_of(text), static_cast<long>(text.size()));
    }
    [[nodiscard]] static std::string to_pem(std::string_view der) {
        constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        std::string text = "-----BEGIN CERTIFICATE-----\n";
        for (std::size_t i = 0; i < der.size(); i += 3) {
            std::uint32_t bits = 0;
            const std::size_t n = std::min<std::size_t>(3, der.size() - i);
            for (std::size_t k = 0; k < 3; ++k) {
                bits = bits << 8 | (k < n ? static_cast<std::uint8_t>(der[i + k]) : 0U);
            }
            for (std::size_t k = 0; k < 4; ++k) {
                text += k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=';
            }
            text += i % 48 == 45 ? "\n" : "";
        }
        text += "\n-----END CERTIFICATE-----\n";
        return text;
    }
    // The library takes any two keys of one curve for a pair: the public point is computed and compared.
    [[nodiscard]] bool is_pair(std::string_view key_der, const certificate& c) const {
        std::string point;
        if (c.key == key_kind::elliptic) {
            const auto key = std::make_unique<ecc_key>();
            unsigned char octets[256];
            unsigned size = sizeof octets;
            unsigned at = 0;
            if (::wc_ecc_init(key.get()) != 0) {
                return false;
            }
            if (::wc_EccPrivateKeyDecode(octets_of(key_der), &at, key.get(), static_cast<unsigned>(key_der.size())) == 0 &&
                ::wc_ecc_make_pub(key.get(), nullptr) == 0 && ::wc_ecc_export_x963(key.get(), octets, &size) == 0) {
                point.assign(reinterpret_cast<const char*>(octets), size);
            }
            ::wc_ecc_free(key.get());
            return !point.empty() && c.public_key.ends_with(point);
        }
#if defined(HAVE_ED25519)
        if (c.key == key_kind::edwards && c.key_bits == 256) {
            const auto key = std::make_unique<ed25519_key>();
            unsigned char octets[ED25519_PUB_KEY_SIZE];
            unsigned at = 0;
            if (::wc_ed25519_init(key.get()) != 0) {
                return false;
            }
            if (::wc_Ed25519PrivateKeyDecode(octets_of(key_der), &at, key.get(), static_cast<unsigned>(key_der.size())) == 0 &&
                ::wc_ed25519_make_public(key.get(), octets, sizeof octets) == 0) {
                point.assign(reinterpret_cast<const char*>(octets), sizeof octets);
            }
            ::wc_ed25519_free(key.get());
            return !point.empty() && c.public_key.ends_with(point);
        }
#endif
        return ::wolfSSL_CTX_check_private_key(native()) == WOLFSSL_SUCCESS;
    }
    // The block with the key; other blocks of the file (parameters, certificates) are skipped.
    [[nodiscard]] static result<std::string> private_key(const source& s, const std::string& name) {
        auto text = s.read();
        if (!text) {
            return text;
        }
        if (text->starts_with('\x30')) {
            return text;
        }
        auto blocks = read_pem(*text, name);
        wipe(*text);
        if (!blocks) {
            return flux::fail(std::move(blocks).error());
        }
        result<std::string> key = flux::fail(make_error(errc::bad_file, name + ": no private key in it"));
        for (pem_block& b : *blocks) {
            if (b.label.ends_with("PRIVATE KEY") && !key) {
                if (b.label.starts_with("ENCRYPTED") || b.text.find("ENCRYPTED") != std::string::npos) {
                    key = flux::fail(make_error(errc::bad_file, name + ": the private key is encrypted"));
                    break;
                }
                key = std::move(b.der);
            }
        }
        for (pem_block& b : *blocks) {
            wipe(b.text);
            wipe(b.der);
        }
        return key;
    }
    static void wipe(std::string& secret) noexcept { ::explicit_bzero(secret.data(), secret.size()); }
    [[nodiscard]] result<void> add_authorities(const source& s, bool skip_bad) {
        const std::string name = s.name("certificate authorities");
        auto text = s.read();
        if (!text) {
            return flux::fail(std::move(text).error());
        }
        auto all = read_certificates(*text, name);
        if (!all) {
            return flux::fail(std::move(all).error());
        }
        for (const std::string& der : *all) {
            auto c = parse_certificate(der);
            const int r = !c ? ASN_PARSE_E
                             : ::wolfSSL_CTX_load_verify_buffer_ex(native(), octets_of(der), static_cast<long>(der.size()),
                                                                   WOLFSSL_FILETYPE_ASN1, 0, WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY);
            if (r == WOLFSSL_SUCCESS) {
                anchors_.add(*c);
            } else if (!skip_bad) {
                const std::string which = c ? quoted(c->subject) + ": " : std::string();
                return flux::fail(make_error(errc::bad_file, name + ": " + which + library_text(r)));
            }
        }
        return {};
    }

    context_ptr context_;
    anchor_set anchors_;
    std::size_t own_octets_ = 0;
};

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
    /// Params   protocol  what ALPN chose; empty: none.  offers_tls_1_3  whether the client does. Errors  as engine::make().
    [[nodiscard]] result<std::unique_ptr<engine>> connect(std::string_view protocol, bool offers_tls_1_3 = true) const {
        if (!offers_tls_1_3 && older_ != nullptr) {
            return older_->connect(protocol);
        }
        engine_setup setup;
        setup.context = native();
        setup.is_server = true;
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
