// SPDX-License-Identifier: MIT
// flux/http/message/octets.hpp - which octet may stand where in HTTP and in URIs, as one constexpr table.
//
// Locale-free: everything works on ASCII values. Deliberately not here: scanning of long runs (scan.hpp).
#pragma once

#include <flux/config.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// Grammar classes of octets. One octet is usually in several; test with `is(octet, class)`.
enum class octet_class : std::uint16_t {
    token = 1 << 0,       ///< tchar: methods, field names, list tokens [RFC 9110 5.6.2]
    field_value = 1 << 1, ///< HTAB, SP, VCHAR, obs-text [RFC 9110 5.5]
    target = 1 << 2,      ///< what a request target may hold on the wire; see scan.hpp
    digit = 1 << 3,       ///< 0-9
    hex = 1 << 4,         ///< 0-9 a-f A-F
    alpha = 1 << 5,       ///< a-z A-Z
    unreserved = 1 << 6,  ///< ALPHA DIGIT - . _ ~ [RFC 3986 2.3]
    reg_name = 1 << 7,    ///< unreserved and sub-delims: a host name without percent triplets [RFC 3986 3.2.2]
    path = 1 << 8,        ///< pchar and "/", without percent triplets [RFC 3986 3.3]
    query = 1 << 9,       ///< pchar, "/", "?", without percent triplets; also fragments [RFC 3986 3.4]
    scheme = 1 << 10,     ///< ALPHA DIGIT + - . [RFC 3986 3.1]
    cookie = 1 << 11,     ///< cookie-octet [RFC 6265 4.1.1]
};

namespace detail {

constexpr std::array<std::uint16_t, 256> make_octet_classes() noexcept {
    std::array<std::uint16_t, 256> table{};
    const auto has = [](std::string_view set, unsigned c) {
        return set.find(static_cast<char>(c)) != std::string_view::npos;
    };
    for (unsigned c = 0; c < 256; ++c) {
        unsigned bits = 0;
        const auto put = [&bits](bool yes, octet_class k) { bits |= yes ? static_cast<unsigned>(k) : 0U; };
        const bool digit = c >= '0' && c <= '9';
        const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool visible = c > 0x20 && c < 0x7f;
        const bool unreserved = digit || alpha || (visible && has("-._~", c));
        const bool reg_name = unreserved || (visible && has("!$&'()*+,;=", c));
        const bool path = reg_name || c == ':' || c == '@' || c == '/';
        put(digit || alpha || (visible && has("!#$%&'*+-.^_`|~", c)), octet_class::token);
        put(visible || c == ' ' || c == '\t' || c >= 0x80, octet_class::field_value);
        put(visible && !has("\"#<>", c), octet_class::target);
        put(digit, octet_class::digit);
        put(digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'), octet_class::hex);
        put(alpha, octet_class::alpha);
        put(unreserved, octet_class::unreserved);
        put(reg_name, octet_class::reg_name);
        put(path, octet_class::path);
        put(path || c == '?', octet_class::query);
        put(digit || alpha || (visible && has("+-.", c)), octet_class::scheme);
        put(visible && !has("\",;\\", c), octet_class::cookie);
        table[c] = static_cast<std::uint16_t>(bits);
    }
    return table;
}

inline constexpr std::array<std::uint16_t, 256> octet_classes = make_octet_classes();

} // namespace detail

[[nodiscard]] constexpr bool is(char octet, octet_class k) noexcept {
    return (detail::octet_classes[static_cast<unsigned char>(octet)] & static_cast<unsigned>(k)) != 0;
}

/// Whether every octet of `text` is in `k`; true for empty text.
[[nodiscard]] constexpr bool all(std::string_view text, octet_class k) noexcept {
    for (const char c : text) {
        if (!is(c, k)) {
            return false;
        }
    }
    return true;
}

/// Whether `text` is a token: one or more tchar. Source: RFC 9110 5.6.2.
[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
    return !text.empty() && all(text, octet_class::token);
}

/// ASCII lower case; other octets unchanged.
[[nodiscard]] constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

/// Equality without regard to ASCII case.
[[nodiscard]] constexpr bool iequals(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

/// The value of one hexadecimal digit, or -1.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// `text` without leading and trailing SP and HTAB (OWS, RFC 9110 5.6.3).
[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
        text.remove_suffix(1);
    }
    return text;
}

/// Reads 1*DIGIT that fill the whole of `text`; leading zeros count for nothing.
/// Returns  false if it is empty, holds anything but digits, or the number exceeds `max`.
[[nodiscard]] constexpr bool parse_decimal(std::string_view text, std::uint64_t max, std::uint64_t& value) noexcept {
    if (text.empty()) {
        return false;
    }
    while (text.size() > 19 && text[0] == '0') {
        text.remove_prefix(1);
    }
    std::uint64_t n = 0;
    for (const char c : text) {
        const unsigned d = static_cast<unsigned char>(c) - unsigned{'0'};
        if (d > 9) {
            return false;
        }
        n = n * 10 + d; // 19 digits fit; more are refused below
    }
    value = n;
    return text.size() <= 19 && n <= max;
}

} // namespace flux::inline FLUX_ABI::http
