// SPDX-License-Identifier: MIT
// flux/zlib/coding.hpp - the content codings that zlib can do, and their names.
//
// Deliberately not here: which coding a message is sent with (http/message/content_coding.hpp).
#pragma once

#include <flux/http/message/octets.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace flux::inline FLUX_ABI::zlib {

/// A content coding that zlib can do. Source: RFC 9110 8.4.1.2, 8.4.1.3.
enum class coding : std::uint8_t {
    gzip,    ///< RFC 1952; also under the name x-gzip
    deflate, ///< RFC 1950: the zlib format. A decoder takes bare RFC 1951 as well, which some senders mean by it
};

[[nodiscard]] constexpr std::string_view to_string(coding c) noexcept { return c == coding::gzip ? "gzip" : "deflate"; }

/// The coding of that name, in any case; nothing for names of other codings.
[[nodiscard]] constexpr std::optional<coding> to_coding(std::string_view name) noexcept {
    if (http::iequals(name, "gzip") || http::iequals(name, "x-gzip")) {
        return coding::gzip;
    }
    if (http::iequals(name, "deflate")) {
        return coding::deflate;
    }
    return std::nullopt;
}

} // namespace flux::inline FLUX_ABI::zlib
