// SPDX-License-Identifier: MIT
// flux/http/message/host.hpp - the host and port of an authority: splitting and strict validation.
//
// Used for Host fields, request targets and URLs. Deliberately not here: user information (url.hpp), names
// and addresses of the resolver.
#pragma once

#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// Whether `text` is an IPv6 address, without brackets and without a zone. Source: RFC 3986 3.2.2.
[[nodiscard]] constexpr bool is_ipv6(std::string_view text) noexcept {
    unsigned groups = 0; // of 16 bits; an IPv4 tail counts as two
    bool gap = false;    // "::" was seen
    std::size_t i = 0;
    if (text.starts_with("::")) {
        gap = true;
        i = 2;
    } else if (text.starts_with(':')) {
        return false;
    }
    while (i < text.size()) {
        const std::size_t start = i;
        while (i < text.size() && i - start < 5 && is(text[i], octet_class::hex)) {
            ++i;
        }
        const std::size_t digits = i - start;
        if (i < text.size() && text[i] == '.') { // IPv4 tail: to the end
            unsigned octets = 0;
            std::string_view tail = text.substr(start);
            while (true) {
                const std::size_t dot = tail.find('.');
                const std::string_view part = tail.substr(0, dot);
                std::uint64_t value = 0;
                if (part.size() > 3 || (part.size() > 1 && part[0] == '0') || !parse_decimal(part, 255, value)) {
                    return false;
                }
                ++octets;
                if (dot == std::string_view::npos) {
                    break;
                }
                tail.remove_prefix(dot + 1);
            }
            groups += 2;
            i = text.size();
            if (octets != 4) {
                return false;
            }
            break;
        }
        if (digits == 0 || digits > 4) {
            return false;
        }
        ++groups;
        if (i == text.size()) {
            break;
        }
        if (text[i] != ':') {
            return false;
        }
        ++i;
        if (i < text.size() && text[i] == ':') {
            if (gap) {
                return false;
            }
            gap = true;
            ++i;
        } else if (i == text.size()) {
            return false; // a single colon at the end
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/// Whether `text` is the inside of brackets: an IPv6 address, or a future form "v1.x". Source: RFC 3986 3.2.2.
[[nodiscard]] constexpr bool is_ip_literal(std::string_view text) noexcept {
    if (text.empty() || lower(text[0]) != 'v') {
        return is_ipv6(text);
    }
    const std::size_t dot = text.find('.');
    if (dot == std::string_view::npos || dot < 2 || dot + 1 == text.size() ||
        !all(text.substr(1, dot - 1), octet_class::hex)) {
        return false;
    }
    for (const char c : text.substr(dot + 1)) {
        if (!is(c, octet_class::reg_name) && c != ':') {
            return false;
        }
    }
    return true;
}

/// A host and, perhaps, a port.
struct host_port {
    std::string_view host;    ///< an IPv6 literal keeps its brackets
    std::string_view port;    ///< digits as written; empty if there was none, or nothing after the colon
    std::uint16_t number = 0; ///< of the port, where there is one
    bool valid = false;
};

/// Splits and checks `host [ ":" port ]`. The host must not be empty; the port may be, and is at most 65535.
/// Returns  `valid` false for anything else: user information, spaces, broken percent triplets, bad literals.
/// Source   RFC 3986 3.2.2, 3.2.3; RFC 9110 4.2.1 (an empty host is invalid in http and https).
[[nodiscard]] constexpr host_port split_host_port(std::string_view text) noexcept {
    host_port out;
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const char* p = begin;
    if (p != end && *p == '[') {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos || !is_ip_literal(text.substr(1, close - 1))) {
            return out;
        }
        p += close + 1;
    } else {
        while (p != end) {
            if (is(*p, octet_class::reg_name)) {
                ++p;
            } else if (*p == '%' && end - p > 2 && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
                p += 3;
            } else {
                break;
            }
        }
    }
    out.host = {begin, static_cast<std::size_t>(p - begin)};
    if (out.host.empty()) {
        return out;
    }
    if (p != end) {
        if (*p != ':') {
            return out;
        }
        out.port = {p + 1, static_cast<std::size_t>(end - p - 1)};
        unsigned number = 0;
        for (const char c : out.port) {
            const unsigned d = static_cast<unsigned char>(c) - unsigned{'0'};
            number = number * 10 + d;
            if (d > 9 || number > 65535) {
                return out;
            }
        }
        out.number = static_cast<std::uint16_t>(number);
    }
    out.valid = true;
    return out;
}

} // namespace flux::inline FLUX_ABI::http
