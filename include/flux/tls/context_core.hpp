// SPDX-License-Identifier: MIT
// flux/tls/context_core.hpp - context_core: owns the library's context, and loads what is common to both sides into it.
//
//   settings -> versions, groups, suites | certificate and key, proved to be a pair | authorities | revocation lists
//
// Fixed for everybody: nine suites with forward secrecy and authenticated encryption, X25519 before P-256 and P-384, no
// session cache (the library's is one for all contexts of the process, and would resume a session of one virtual host
// at another). What the linked library cannot do is an error here. Deliberately not here: what only servers or only
// clients have (context.hpp).
#pragma once

#include <flux/tls/crypto_device.hpp>
#include <flux/tls/library.hpp>
#include <flux/tls/settings.hpp>
#include <flux/tls/verify.hpp>

#include <algorithm>
#include <memory>
#include <optional>
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
        if (is_server) { // "off" still leaves sessions with tickets in the cache of the whole process, 37 KB for each
            ::wolfSSL_CTX_set_session_cache_mode(native(), WOLFSSL_SESS_CACHE_NO_INTERNAL);
        }
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

} // namespace detail

} // namespace flux::inline FLUX_ABI::tls
