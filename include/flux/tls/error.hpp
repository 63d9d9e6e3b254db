// SPDX-License-Identifier: MIT
// flux/tls/error.hpp - what can go wrong with TLS, in words, and the alerts of the protocol.
//
// An error is one of errc; what only this connection knows (the names a certificate has, the alert the peer sent)
// is in the chain before it: `TLS: certificate is for "b.test", not "a.test": name mismatch`. Deliberately not
// here: how the library's numbers become these (library.hpp).
#pragma once

#include <flux/core/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::tls {

/// What ended a TLS connection, or kept a configuration from being used. All have the kind error_kind::tls, but
/// bad_setting and bad_file, which are usage.
enum class errc : int {
    certificate_expired = 1,   ///< a certificate of the peer's chain is no longer valid
    certificate_not_yet_valid, ///< or not yet
    name_mismatch,             ///< the certificate is for other names; common names do not count
    unknown_authority,         ///< no trusted authority signed the chain, or an intermediate is missing
    self_signed,               ///< the peer's certificate is its own authority, and not a trusted one
    certificate_revoked,       ///< a revocation list names it
    revocation_unknown,        ///< revocation lists are required and none covers it
    name_not_permitted,        ///< an authority of the chain may not vouch for this name
    path_too_long,             ///< an authority of the chain may not have that many below it
    not_an_authority,          ///< a certificate signed another one and may not
    wrong_usage,               ///< the certificate is not meant for this
    weak_key,                  ///< RSA below 2048 bits, or an elliptic curve below 256
    weak_signature,            ///< signed with MD5 or SHA-1
    bad_certificate,           ///< cannot be read, or its signature is wrong
    certificate_refused,       ///< on_peer said no
    certificate_required,      ///< the peer has to show a certificate and has none
    no_common_version,         ///< no protocol version that both sides allow
    no_common_cipher,          ///< no cipher suite, group or signature algorithm that both sides allow
    no_common_protocol,        ///< no application protocol (ALPN) that both sides allow
    peer_alert,                ///< the peer ended the connection with an alert
    truncated,                 ///< the stream ended without close_notify: octets may be missing
    not_tls,                   ///< the peer speaks something else
    plain_http,                ///< the peer sent an HTTP request without TLS
    decode_error,              ///< a message of the peer cannot be read
    bad_record,                ///< a record of the peer fails its authentication
    handshake_failed,          ///< any other reason
    refused_name,              ///< no configuration serves the name that the client asked for
    refused,                   ///< the on_client_hello hook said no
    bad_setting,               ///< a setting cannot be used, or the TLS library that is linked cannot honour it
    bad_file,                  ///< a certificate, key or list cannot be read or used
    out_of_memory,             ///< the TLS library had no memory
    flooded,                   ///< too many records in a row that carry no data, or too many warning alerts
};

/// An alert as it is on the wire. Source  RFC 8446 6.2, RFC 5246 7.2.
enum class alert : std::uint8_t {
    close_notify = 0,
    unexpected_message = 10,
    bad_record_mac = 20,
    record_overflow = 22,
    handshake_failure = 40,
    bad_certificate = 42,
    unsupported_certificate = 43,
    certificate_revoked = 44,
    certificate_expired = 45,
    certificate_unknown = 46,
    illegal_parameter = 47,
    unknown_ca = 48,
    access_denied = 49,
    decode_error = 50,
    decrypt_error = 51,
    protocol_version = 70,
    insufficient_security = 71,
    internal_error = 80,
    inappropriate_fallback = 86,
    user_canceled = 90,
    no_renegotiation = 100,
    missing_extension = 109,
    unsupported_extension = 110,
    unrecognized_name = 112,
    bad_certificate_status_response = 113,
    unknown_psk_identity = 115,
    certificate_required = 116,
    no_application_protocol = 120,
};

/// The alert's name in the RFC; "unknown" for numbers that have none.
[[nodiscard]] constexpr std::string_view to_string(alert a) noexcept {
    switch (a) {
    case alert::close_notify: return "close_notify";
    case alert::unexpected_message: return "unexpected_message";
    case alert::bad_record_mac: return "bad_record_mac";
    case alert::record_overflow: return "record_overflow";
    case alert::handshake_failure: return "handshake_failure";
    case alert::bad_certificate: return "bad_certificate";
    case alert::unsupported_certificate: return "unsupported_certificate";
    case alert::certificate_revoked: return "certificate_revoked";
    case alert::certificate_expired: return "certificate_expired";
    case alert::certificate_unknown: return "certificate_unknown";
    case alert::illegal_parameter: return "illegal_parameter";
    case alert::unknown_ca: return "unknown_ca";
    case alert::access_denied: return "access_denied";
    case alert::decode_error: return "decode_error";
    case alert::decrypt_error: return "decrypt_error";
    case alert::protocol_version: return "protocol_version";
    case alert::insufficient_security: return "insufficient_security";
    case alert::internal_error: return "internal_error";
    case alert::inappropriate_fallback: return "inappropriate_fallback";
    case alert::user_canceled: return "user_canceled";
    case alert::no_renegotiation: return "no_renegotiation";
    case alert::missing_extension: return "missing_extension";
    case alert::unsupported_extension: return "unsupported_extension";
    case alert::unrecognized_name: return "unrecognized_name";
    case alert::bad_certificate_status_response: return "bad_certificate_status_response";
    case alert::unknown_psk_identity: return "unknown_psk_identity";
    case alert::certificate_required: return "certificate_required";
    case alert::no_application_protocol: return "no_application_protocol";
    }
    return "unknown";
}

namespace detail {

class tls_domain final : public error_domain {
public:
    [[nodiscard]] const char* name() const noexcept override { return "tls"; }
    [[nodiscard]] std::string message(int code) const override { return text(static_cast<errc>(code)); }
    [[nodiscard]] error_kind kind_of(int code) const noexcept override {
        const auto c = static_cast<errc>(code);
        return c == errc::bad_setting || c == errc::bad_file ? error_kind::usage : error_kind::tls;
    }
    [[nodiscard]] static const char* text(errc code) noexcept {
        switch (code) {
        case errc::certificate_expired: return "certificate expired";
        case errc::certificate_not_yet_valid: return "certificate not yet valid";
        case errc::name_mismatch: return "name mismatch";
        case errc::unknown_authority: return "unknown certificate authority";
        case errc::self_signed: return "self-signed certificate that is not trusted";
        case errc::certificate_revoked: return "certificate revoked";
        case errc::revocation_unknown: return "no revocation list covers the certificate";
        case errc::name_not_permitted: return "certificate authority may not vouch for this name";
        case errc::path_too_long: return "certificate path too long";
        case errc::not_an_authority: return "certificate was signed by one that is no authority";
        case errc::wrong_usage: return "certificate is not meant for this use";
        case errc::weak_key: return "key too weak";
        case errc::weak_signature: return "signature algorithm too weak";
        case errc::bad_certificate: return "bad certificate";
        case errc::certificate_refused: return "certificate refused";
        case errc::certificate_required: return "peer sent no certificate";
        case errc::no_common_version: return "no common protocol version";
        case errc::no_common_cipher: return "no common cipher suite";
        case errc::no_common_protocol: return "no common application protocol";
        case errc::peer_alert: return "peer ended the connection";
        case errc::truncated: return "stream ended without close_notify";
        case errc::not_tls: return "peer does not speak TLS";
        case errc::plain_http: return "plain HTTP request on a TLS port";
        case errc::decode_error: return "message cannot be read";
        case errc::bad_record: return "record fails its authentication";
        case errc::handshake_failed: return "handshake failed";
        case errc::refused_name: return "no certificate for the requested name";
        case errc::refused: return "refused by configuration";
        case errc::bad_setting: return "setting cannot be used";
        case errc::bad_file: return "cannot be used";
        case errc::out_of_memory: return "out of memory";
        case errc::flooded: return "too many records without data";
        }
        return "unknown TLS error";
    }
};

} // namespace detail

[[nodiscard]] inline const error_domain& tls_category() noexcept {
    return flux::detail::the_domain<detail::tls_domain>();
}
[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), tls_category()};
}

/// The error of a TLS connection: `TLS: <what>: <the code's words>`.
[[nodiscard]] inline error make_error(errc code, std::string what = {}) {
    error e(make_error_code(code));
    if (!what.empty()) {
        e.doing(std::move(what));
    }
    e.doing("TLS").phase(error_phase::tls);
    return e;
}

namespace detail {

/// What an alert of the peer means for this end.
[[nodiscard]] inline error alert_error(alert a) {
    std::string what = "peer sent alert ";
    what += to_string(a);
    what += " (" + std::to_string(static_cast<int>(a)) + ')';
    switch (a) {
    case alert::protocol_version: return make_error(errc::no_common_version, std::move(what));
    case alert::no_application_protocol: return make_error(errc::no_common_protocol, std::move(what));
    case alert::certificate_required: what += ": it wants a client certificate"; break;
    default: break;
    }
    return make_error(errc::peer_alert, std::move(what));
}

} // namespace detail

} // namespace flux::inline FLUX_ABI::tls

template <>
struct std::is_error_code_enum<flux::tls::errc> : std::true_type {};
