// SPDX-License-Identifier: MIT
// flux/tls/client_hello.hpp - the first message of a TLS client, read before there is a TLS engine.
//
//   octets -> records -> one handshake message -> client_hello      (sans I/O; nothing is consumed)
//
// The certificate and the configuration are chosen by what is in here; the same octets are then given to the
// engine. An own parser, because the library's fails when the message spans records. Deliberately not here: what
// is chosen (certificate_table.hpp), cryptography.
#pragma once

#include <flux/tls/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::tls {

/// What a client says about itself. Source  RFC 8446 4.1.2, RFC 6066 3 (server name), RFC 7301 (ALPN).
struct client_hello {
    std::string server_name;              ///< lower case, without a final dot; empty: none was sent
    std::vector<std::string> protocols;   ///< ALPN, in the client's order
    std::vector<std::uint16_t> versions;  ///< 0x0303 is TLS 1.2, 0x0304 TLS 1.3; without the greased ones
    std::vector<std::uint16_t> suites;
    std::vector<std::uint16_t> groups;
    std::vector<std::uint16_t> signature_schemes;
    std::vector<std::uint16_t> extensions; ///< the types of all of them, in the client's order; fingerprint.hpp makes use of it
    std::string peer;                     ///< the client's address, where the transport knows one

    [[nodiscard]] bool offers_protocol(std::string_view name) const noexcept {
        return std::find(protocols.begin(), protocols.end(), name) != protocols.end();
    }
    [[nodiscard]] bool offers_version(std::uint16_t v) const noexcept {
        return std::find(versions.begin(), versions.end(), v) != versions.end();
    }
};

/// Where a client_hello_reader stands.
enum class hello_state : std::uint8_t {
    need_more,
    complete,
    plain_http, ///< an HTTP request without TLS
    not_tls,
    failed,     ///< alert() is what the peer must hear
};

namespace detail {

// Reads big-endian numbers and vectors with a length in front; past the end it only remembers that it failed.
class wire_reader {
public:
    explicit wire_reader(std::string_view octets) noexcept : left_(octets) {}

    [[nodiscard]] bool failed() const noexcept { return failed_; }
    [[nodiscard]] bool empty() const noexcept { return left_.empty(); }
    [[nodiscard]] std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(number(1)); }
    [[nodiscard]] std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(number(2)); }
    [[nodiscard]] std::uint32_t u24() noexcept { return number(3); }
    std::string_view take(std::size_t n) noexcept {
        if (n > left_.size()) {
            failed_ = true;
            left_ = {};
            return {};
        }
        const std::string_view taken = left_.substr(0, n);
        left_.remove_prefix(n);
        return taken;
    }
    [[nodiscard]] wire_reader vector8() noexcept { return sub(u8()); }
    [[nodiscard]] wire_reader vector16() noexcept { return sub(u16()); }

private:
    std::uint32_t number(std::size_t n) noexcept {
        std::uint32_t value = 0;
        for (const char c : take(n)) {
            value = value << 8 | static_cast<std::uint8_t>(c);
        }
        return value;
    }
    wire_reader sub(std::size_t n) noexcept {
        wire_reader inner(take(n));
        inner.failed_ = failed_;
        return inner;
    }
    std::string_view left_;
    bool failed_ = false;
};

// GREASE values mean nothing [RFC 8701].
[[nodiscard]] constexpr bool is_grease(std::uint16_t v) noexcept { return (v & 0x0f0f) == 0x0a0a && (v >> 8) == (v & 0xff); }

// False if the list is cut off.
[[nodiscard]] inline bool read_list16(wire_reader list, std::vector<std::uint16_t>& into) {
    while (!list.empty()) {
        const std::uint16_t v = list.u16();
        if (!list.failed() && !is_grease(v)) {
            into.push_back(v);
        }
    }
    return !list.failed();
}

} // namespace detail

/// Recognises a ClientHello in the octets that came so far.
///
/// Cost  each octet is looked at a constant number of times however they are cut; the message is copied once.
class client_hello_reader {
public:
    /// The whole message, at most; browsers send up to 2 KiB, with post-quantum keys.
    static constexpr std::size_t max_octets = 65'536;
    /// Of ALPN, at most: they are kept while the connection lasts, in 16 times the memory that they take on the wire.
    static constexpr std::size_t max_protocols = 255;

    /// Params  `all` everything that came since the connection began, with what earlier calls saw.
    [[nodiscard]] hello_state read(std::string_view all) {
        while (state_ == hello_state::need_more && record(all)) {
        }
        return state_;
    }
    /// After `complete`, once.
    [[nodiscard]] client_hello take() noexcept { return std::move(hello_); }
    /// After `failed`.
    [[nodiscard]] tls::alert alert() const noexcept { return alert_; }

private:
    static constexpr std::size_t record_header = 5;
    static constexpr std::size_t max_record = 16'384;

    // One more record, if it is whole. False: nothing more can be done now.
    bool record(std::string_view all) {
        const std::string_view rest = all.substr(at_);
        if (rest.empty()) {
            return false;
        }
        if (at_ == 0 && rest[0] != 22) {
            return first_octet_is_foreign(rest);
        }
        if (rest[0] != 22) {
            return fail(tls::alert::unexpected_message);
        }
        if (rest.size() >= 2 && rest[1] != 3) {
            return at_ == 0 ? end(hello_state::not_tls) : fail(tls::alert::decode_error);
        }
        if (rest.size() < record_header) {
            return false;
        }
        const std::size_t length = static_cast<std::size_t>(static_cast<std::uint8_t>(rest[3])) << 8 |
                                   static_cast<std::uint8_t>(rest[4]);
        if (length == 0) { // RFC 8446 5.1: no empty handshake fragments
            return fail(tls::alert::unexpected_message);
        }
        if (length > max_record) {
            return fail(tls::alert::record_overflow);
        }
        // The header of the message may be judged before the record is whole: a scanner learns at once.
        if (message_.empty() && rest.size() > record_header && rest[record_header] != 1) {
            return fail(tls::alert::unexpected_message);
        }
        if (rest.size() < record_header + length) {
            return false;
        }
        message_.append(rest.substr(record_header, length));
        at_ += record_header + length;
        return message();
    }
    bool message() {
        if (message_.size() < 4) {
            return true;
        }
        detail::wire_reader in(message_);
        std::ignore = in.u8();
        const std::size_t length = in.u24();
        if (length > max_octets) {
            return fail(tls::alert::illegal_parameter);
        }
        if (message_.size() < 4 + length) {
            return true;
        }
        if (message_.size() > 4 + length) { // nothing may follow it in its record
            return fail(tls::alert::unexpected_message);
        }
        return body(detail::wire_reader(in.take(length)));
    }
    bool body(detail::wire_reader in) {
        const std::uint16_t legacy_version = in.u16();
        std::ignore = in.take(32);
        std::ignore = in.vector8();
        const bool suites = detail::read_list16(in.vector16(), hello_.suites);
        std::ignore = in.vector8();
        if (!suites || in.failed() || hello_.suites.empty()) {
            return fail(tls::alert::decode_error);
        }
        if (!in.empty()) {
            detail::wire_reader extensions = in.vector16();
            while (!extensions.empty()) {
                const std::uint16_t type = extensions.u16();
                if (!extension(type, extensions.vector16())) {
                    return fail(tls::alert::decode_error);
                }
            }
            if (extensions.failed() || in.failed() || !in.empty()) {
                return fail(tls::alert::decode_error);
            }
        }
        if (hello_.versions.empty()) { // then everything up to the legacy version, at most TLS 1.2
            for (std::uint16_t v = std::min<std::uint16_t>(legacy_version, 0x0303); v >= 0x0300; --v) {
                hello_.versions.push_back(v);
            }
        }
        return end(hello_state::complete);
    }
    bool extension(std::uint16_t type, detail::wire_reader data) {
        if (data.failed() || !first_of_its_kind(type)) {
            return false;
        }
        if (!detail::is_grease(type)) {
            hello_.extensions.push_back(type);
        }
        switch (type) {
        case 0: return server_name(data);
        case 10: return list(data.vector16(), data, hello_.groups);
        case 13: return list(data.vector16(), data, hello_.signature_schemes);
        case 16: return protocols(data);
        case 43: return list(data.vector8(), data, hello_.versions);
        default: return true;
        }
    }
    // RFC 8446 4.2: at most one of each kind; of those that are read here, two could be read differently elsewhere.
    bool first_of_its_kind(std::uint16_t type) noexcept {
        const std::uint64_t bit = type < 64 ? std::uint64_t{1} << type : 0;
        const bool first = (seen_ & bit) == 0;
        seen_ |= bit;
        return first;
    }
    static bool list(detail::wire_reader inner, const detail::wire_reader& outer, std::vector<std::uint16_t>& into) {
        if (inner.failed() || !outer.empty()) {
            return false;
        }
        return detail::read_list16(inner, into);
    }
    bool server_name(detail::wire_reader data) {
        detail::wire_reader names = data.vector16();
        while (!names.empty()) {
            const std::uint8_t kind = names.u8();
            const detail::wire_reader name = names.vector16();
            if (names.failed()) {
                return false;
            }
            if (kind == 0 && hello_.server_name.empty() && !host_name(name)) {
                return false;
            }
        }
        return !names.failed() && !data.failed() && data.empty();
    }
    // A name is letters, digits, '-', '_' and '.': what a table can hold, and what may be logged.
    bool host_name(detail::wire_reader name) {
        std::string text;
        while (!name.empty()) {
            char c = static_cast<char>(name.u8());
            if (c >= 'A' && c <= 'Z') {
                c = static_cast<char>(c - 'A' + 'a');
            }
            const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
            if (!plain || text.size() == 254) {
                return false;
            }
            text.push_back(c);
        }
        if (!text.empty() && text.back() == '.') {
            text.pop_back();
        }
        if (text.empty()) {
            return false;
        }
        hello_.server_name = std::move(text);
        return true;
    }
    bool protocols(detail::wire_reader data) {
        detail::wire_reader list = data.vector16();
        while (!list.empty()) {
            const std::size_t n = list.u8();
            const std::string_view name = list.take(n);
            if (n == 0 || list.failed() || hello_.protocols.size() == max_protocols) {
                return false;
            }
            hello_.protocols.emplace_back(name);
        }
        return !list.failed() && !data.failed() && data.empty() && !hello_.protocols.empty();
    }

    // An HTTP method is upper-case letters; "PRI * HTTP/2.0" is one, too.
    bool first_octet_is_foreign(std::string_view all) {
        constexpr std::size_t enough = 8;
        for (std::size_t i = 0; i < all.size() && i < enough; ++i) {
            if (all[i] == ' ' && i >= 3) {
                return end(hello_state::plain_http);
            }
            if (all[i] < 'A' || all[i] > 'Z') {
                return end(hello_state::not_tls);
            }
        }
        return all.size() < enough ? false : end(hello_state::plain_http);
    }
    bool end(hello_state state) noexcept {
        state_ = state;
        message_ = std::string();
        return false;
    }
    bool fail(tls::alert why) noexcept {
        alert_ = why;
        return end(hello_state::failed);
    }

    std::string message_; // of the handshake, without record headers
    std::size_t at_ = 0;  // of the next record
    std::uint64_t seen_ = 0; // extensions
    client_hello hello_;
    hello_state state_ = hello_state::need_more;
    tls::alert alert_ = tls::alert::decode_error;
};

} // namespace flux::inline FLUX_ABI::tls
