// SPDX-License-Identifier: MIT
// flux/tls/fingerprint.hpp - SHA-256 in a word, and what kind of program a ClientHello comes from.
//
// The same client gives the same text wherever it connects to and in whatever order it shuffles what has no order.
// Deliberately not here: what to make of it. A fingerprint is a hint and no proof: whoever wants can copy another's.
#pragma once

#include <flux/tls/client_hello.hpp>
#include <flux/tls/library.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flux::inline FLUX_ABI::tls {

namespace detail {

using digest = std::array<unsigned char, 32>;

[[nodiscard]] inline digest sha256(std::string_view octets) noexcept {
    digest d{};
    ::wc_Sha256Hash(reinterpret_cast<const unsigned char*>(octets.data()), static_cast<unsigned>(octets.size()), d.data());
    return d;
}
/// The first `digits` hexadecimal digits of it.
[[nodiscard]] inline std::string sha256_text(std::string_view octets, std::size_t digits = 64) {
    constexpr char hex[] = "0123456789abcdef";
    std::string text;
    for (const unsigned char c : sha256(octets)) {
        text += hex[c >> 4];
        text += hex[c & 15];
    }
    return text.substr(0, digits);
}
[[nodiscard]] inline std::string hex_list(const std::vector<std::uint16_t>& numbers) {
    constexpr char hex[] = "0123456789abcdef";
    std::string text;
    for (const unsigned n : numbers) {
        text += text.empty() ? "" : ",";
        for (const int shift : {12, 8, 4, 0}) {
            text += hex[n >> shift & 15];
        }
    }
    return text;
}
[[nodiscard]] inline std::string two_digits(std::size_t n) {
    n = std::min<std::size_t>(n, 99);
    return {static_cast<char>('0' + n / 10), static_cast<char>('0' + n % 10)};
}

} // namespace detail

/// JA4 of a client over TCP: "t13d1516h2_8daaf6152771_e5627efa2ab1".
///
/// Version, whether it sent a name, how many suites and extensions, the ends of its first application protocol; then the
/// suites in numerical order, hashed; then the extensions in numerical order and the signature schemes in the client's.
/// Cost  two SHA-256 of some hundred octets.
[[nodiscard]] inline std::string ja4(const client_hello& hello) {
    const std::uint16_t highest = hello.versions.empty() ? std::uint16_t{0} : *std::max_element(hello.versions.begin(), hello.versions.end());
    std::string text = "t";
    switch (highest) {
    case 0x0304: text += "13"; break;
    case 0x0303: text += "12"; break;
    case 0x0302: text += "11"; break;
    case 0x0301: text += "10"; break;
    case 0x0300: text += "s3"; break;
    default: text += "00";
    }
    std::vector<std::uint16_t> suites = hello.suites;
    std::vector<std::uint16_t> extensions = hello.extensions;
    const auto has = [&](std::uint16_t type) { return std::find(extensions.begin(), extensions.end(), type) != extensions.end(); };
    text += has(0) ? 'd' : 'i';
    text += detail::two_digits(suites.size()) + detail::two_digits(extensions.size());
    if (hello.protocols.empty()) {
        text += "00";
    } else {
        const std::string& name = hello.protocols.front();
        const auto plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
        if (plain(name.front()) && plain(name.back())) {
            text += name.front();
            text += name.back();
        } else {
            constexpr char hex[] = "0123456789abcdef";
            text += hex[static_cast<std::uint8_t>(name.front()) >> 4];
            text += hex[static_cast<std::uint8_t>(name.back()) & 15];
        }
    }
    std::sort(suites.begin(), suites.end());
    std::sort(extensions.begin(), extensions.end());
    std::erase_if(extensions, [](std::uint16_t type) { return type == 0 || type == 16; });
    std::string rest = detail::hex_list(extensions);
    if (!hello.signature_schemes.empty()) {
        rest += '_' + detail::hex_list(hello.signature_schemes);
    }
    const std::string none(12, '0');
    text += '_' + (suites.empty() ? none : detail::sha256_text(detail::hex_list(suites), 12));
    text += '_' + (extensions.empty() ? none : detail::sha256_text(rest, 12));
    return text;
}

} // namespace flux::inline FLUX_ABI::tls
