// SPDX-License-Identifier: MIT
// flux/net/network_set.hpp - a set of IP networks, such as the proxies that one trusts.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/net/endpoint.hpp>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI {

/// Networks in CIDR form. An IPv4 address that is mapped into IPv6 counts as IPv4.
///
/// Threads  const functions: any, at the same time.  Cost  contains(): linear in the number of networks.
class network_set {
public:
    network_set() noexcept = default;

    /// Params  text  "10.0.0.0/8", "2001:db8::/32", or one address. Bits behind the prefix must be zero.
    /// Errors  throws flux::error (errc::invalid_argument) that names the text.
    network_set& add(std::string_view text) {
        const std::size_t slash = text.find('/');
        const auto address = endpoint::parse_ip(text.substr(0, slash), 0);
        network n;
        if (!address || address->address().size() > sizeof n.octets) {
            refuse(text);
        }
        n.size = static_cast<unsigned char>(address->address().size());
        std::memcpy(n.octets, address->address().data(), n.size);
        n.bits = n.size * 8U;
        if (slash != std::string_view::npos) {
            n.bits = 0;
            const std::string_view digits = text.substr(slash + 1);
            if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string_view::npos) {
                refuse(text);
            }
            for (const char c : digits) {
                n.bits = n.bits * 10 + static_cast<unsigned>(c - '0');
            }
        }
        if (n.bits > n.size * 8U || !ends_in_zeros(n)) {
            refuse(text);
        }
        networks_.push_back(n);
        return *this;
    }

    [[nodiscard]] bool contains(const endpoint& e) const noexcept {
        if (!e.is_ip()) {
            return false;
        }
        std::span<const std::byte> address = e.address();
        constexpr std::byte mapped[12] = {{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, std::byte{0xff}, std::byte{0xff}};
        if (address.size() == 16 && std::memcmp(mapped, address.data(), sizeof mapped) == 0) {
            address = address.subspan(12);
        }
        for (const network& n : networks_) {
            if (n.size == address.size() && has_prefix(address.data(), n)) {
                return true;
            }
        }
        return false;
    }
    [[nodiscard]] bool empty() const noexcept { return networks_.empty(); }

private:
    struct network {
        std::byte octets[16] = {};
        unsigned bits = 0;
        unsigned char size = 0;
    };
    [[nodiscard]] static bool ends_in_zeros(const network& n) noexcept {
        for (unsigned i = n.bits; i < n.size * 8U; ++i) {
            if ((n.octets[i / 8] & (std::byte{0x80} >> (i % 8))) != std::byte{0}) {
                return false;
            }
        }
        return true;
    }
    [[nodiscard]] static bool has_prefix(const std::byte* address, const network& n) noexcept {
        const unsigned whole = n.bits / 8;
        if (std::memcmp(address, n.octets, whole) != 0) {
            return false;
        }
        const unsigned rest = n.bits % 8;
        return rest == 0 || (address[whole] >> (8 - rest)) == (n.octets[whole] >> (8 - rest));
    }
    [[noreturn, gnu::cold]] static void refuse(std::string_view text) {
        detail::throw_error(error(errc::invalid_argument).doing("network \"" + std::string(text) + '"'));
    }

    detail::dynamic_array<network> networks_;
};

} // namespace flux::inline FLUX_ABI
