// SPDX-License-Identifier: MIT
// flux/http/server/peer_table.hpp - how many connections each peer has.
//
// A peer is an IPv4 address or an IPv6 network of 64 bits: whoever has one address of it has them all. Open
// addressing with a secret in the hash, so that nobody can choose addresses that collide.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/net/endpoint.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <sys/random.h>

namespace flux::inline FLUX_ABI::http::detail {

class peer_table {
public:
    /// A peer; never zero.
    using key = std::uint64_t;

    /// Nothing for peers that have no address of their own (Unix sockets).
    [[nodiscard]] static std::optional<key> key_of(const endpoint& peer) noexcept {
        if (!peer.is_ip()) {
            return std::nullopt;
        }
        const std::span<const std::byte> address = peer.address();
        const std::size_t n = std::min<std::size_t>(address.size(), 8);
        key k = 0;
        for (std::size_t i = 0; i < n; ++i) {
            k = k << 8 | std::to_integer<key>(address[i]);
        }
        return n == 4 ? k | key{1} << 32 : k | 1U; // no IPv6 network begins with so many zeros; its last bit is the price
    }

    [[nodiscard]] std::size_t count(key k) const noexcept {
        const std::size_t i = find(k);
        return i == nowhere ? 0 : slots_[i].count;
    }
    void add(key k) {
        if (2 * (used_ + 1) > slots_.size()) {
            grow();
        }
        slot& s = slots_[place(k)];
        used_ += s.count == 0 ? 1 : 0;
        s.peer = k;
        ++s.count;
    }
    void remove(key k) noexcept {
        std::size_t i = find(k);
        if (i == nowhere || --slots_[i].count != 0) {
            return;
        }
        --used_;
        // Moves back what was displaced by the slot that is free now.
        for (std::size_t j = next(i); slots_[j].count != 0; j = next(j)) {
            const std::size_t home = start(slots_[j].peer);
            const bool between = i <= j ? i < home && home <= j : i < home || home <= j;
            if (!between) {
                slots_[i] = slots_[j];
                slots_[j].count = 0;
                i = j;
            }
        }
    }
    [[nodiscard]] std::size_t peers() const noexcept { return used_; }

private:
    static constexpr std::size_t nowhere = ~std::size_t{0};
    struct slot {
        key peer = 0;
        std::uint32_t count = 0; // 0: free
    };

    [[nodiscard]] std::size_t start(key k) const noexcept {
        std::uint64_t x = (k ^ secret_) * 0x9e3779b97f4a7c15U;
        x ^= x >> 32;
        x *= 0xd6e8feb86659fd93U;
        return (x ^ (x >> 32)) & (slots_.size() - 1);
    }
    [[nodiscard]] std::size_t next(std::size_t i) const noexcept { return (i + 1) & (slots_.size() - 1); }
    // Where `k` is, or the free slot where it belongs. There is always a free one.
    [[nodiscard]] std::size_t place(key k) const noexcept {
        std::size_t i = start(k);
        while (slots_[i].count != 0 && slots_[i].peer != k) {
            i = next(i);
        }
        return i;
    }
    [[nodiscard]] std::size_t find(key k) const noexcept {
        if (slots_.empty()) {
            return nowhere;
        }
        const std::size_t i = place(k);
        return slots_[i].count == 0 ? nowhere : i;
    }
    void grow() {
        if (slots_.empty() && ::getrandom(&secret_, sizeof secret_, 0) < 0) {
            secret_ = reinterpret_cast<std::uintptr_t>(this); // better than a constant
        }
        flux::detail::dynamic_array<slot> old;
        old.swap(slots_);
        slots_.resize(old.empty() ? 64 : 2 * old.size());
        for (const slot& s : old) {
            if (s.count != 0) {
                slots_[place(s.peer)] = s;
            }
        }
    }

    flux::detail::dynamic_array<slot> slots_; // a power of two, at most half full
    std::size_t used_ = 0;
    std::uint64_t secret_ = 0;
};

} // namespace flux::inline FLUX_ABI::http::detail
