// SPDX-License-Identifier: MIT
// flux/net/octet_input.hpp - octets that arrived and were not consumed yet, as one piece of text.
//
// They stay in the buffer that they arrived in; only what straddles two buffers is copied. Protocol code parses
// view() and consumes what it understood. Deliberately not here: receiving (stream.hpp).
#pragma once

#include <flux/core/buffer.hpp>
#include <flux/net/stream.hpp>

#include <cstddef>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::detail {

class octet_input {
public:
    [[nodiscard]] std::string_view view() const noexcept {
        return carry_.empty() ? as_text(arrived_.octets()) : carry_.view();
    }
    [[nodiscard]] bool empty() const noexcept { return carry_.empty() && arrived_.empty(); }

    /// Adds what arrived. While octets are carried over, the new ones join them.
    void add(received&& octets) {
        if (carry_.empty() && arrived_.empty()) {
            arrived_ = std::move(octets);
            return;
        }
        carry_over();
        carry_.append(as_text(octets.octets()));
    }
    /// Copies what is there, so that the shared receive buffer goes back while more is awaited.
    void carry_over() {
        if (!arrived_.empty()) {
            carry_.append(as_text(arrived_.octets()));
        }
        arrived_.reset();
    }
    void consume(std::size_t n) noexcept {
        if (!carry_.empty()) {
            carry_.consume(n);
            return;
        }
        arrived_.consume(n);
        if (arrived_.empty()) {
            arrived_.reset();
        }
    }
    /// Drops everything; a block above `kept_octets` is given back.
    void reset(std::size_t kept_octets = 4096) noexcept {
        arrived_.reset();
        carry_.clear();
        carry_.shrink_above(kept_octets);
    }

private:
    received arrived_;
    byte_buffer carry_;
};

} // namespace flux::inline FLUX_ABI::detail
