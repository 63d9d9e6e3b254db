// SPDX-License-Identifier: MIT
// support/octets.hpp - octets for tests: from hexadecimal digits and back, and random ones.
#pragma once

#include <flux/testing/prng.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace test_support {

using octets = std::vector<unsigned char>;

/// Params  text  pairs of digits
inline octets from_hex(std::string_view text) {
    octets out;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        out.push_back(static_cast<unsigned char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
    }
    return out;
}
/// Params  from  octets, or text
template <class Octets>
std::string to_hex(const Octets& from) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const auto each : from) {
        const auto octet = static_cast<unsigned char>(each);
        text += digits[octet >> 4];
        text += digits[octet & 15];
    }
    return text;
}
inline octets random_octets(flux::testing::prng& random, std::size_t n) {
    octets out(n);
    for (unsigned char& octet : out) {
        octet = static_cast<unsigned char>(random.next());
    }
    return out;
}

} // namespace test_support
