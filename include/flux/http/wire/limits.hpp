// SPDX-License-Identifier: MIT
// flux/http/wire/limits.hpp - every limit on the octets of one message, with unit, default and answer.
//
// One struct for both directions: a server applies it to requests, a client to responses (where the status
// column only says how a gateway would answer). Limits in time are not here; they belong to the connection.
#pragma once

#include <flux/config.hpp>

#include <cstdint>
#include <type_traits>

namespace flux::inline FLUX_ABI::http {

/// The limits of one message. A limit of zero allows nothing; there is no "unlimited" but the largest number.
///
/// A message that reaches a limit exactly is accepted, one octet more is not. Octet counts include CRLF.
struct limits {
    /// Octets, 8192. Request line, or status line. Over it: 414 URI Too Long.
    std::uint32_t start_line_octets = 8192;
    /// Octets, 8192. One field line. Over it: 431 Request Header Fields Too Large.
    std::uint32_t field_line_octets = 8192;
    /// Octets, 65536. The whole head: empty lines before it, start line, fields, empty line. Over it: 431.
    std::uint32_t head_octets = 65536;
    /// Lines, 100. Field lines of a head. Over it: 431.
    std::uint32_t max_fields = 100;
    /// Lines, 1. Empty lines before a request line [RFC 9112 2.2]; none is ever allowed before a status line.
    /// Over it: 400 Bad Request.
    std::uint32_t empty_lines = 1;
    /// Octets, 10 MiB. Content after chunked coding is removed. Over it: 413 Content Too Large.
    std::uint64_t body_octets = 10U << 20;
    /// Octets, 4096. Chunk extensions of one body, all chunks taken together. Over it: 400.
    std::uint32_t chunk_extension_octets = 4096;
    /// Octets, 8192. The whole trailer section; each line also obeys field_line_octets. Over it: 431.
    std::uint32_t trailer_octets = 8192;
    /// Lines, 32. Trailer lines. Over it: 431.
    std::uint32_t max_trailers = 32;
};
static_assert(std::is_trivially_destructible_v<limits>);

} // namespace flux::inline FLUX_ABI::http
