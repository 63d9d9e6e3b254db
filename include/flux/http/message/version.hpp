// SPDX-License-Identifier: MIT
// flux/http/message/version.hpp - the HTTP version of a message.
#pragma once

#include <flux/config.hpp>

#include <cstdint>

namespace flux::inline FLUX_ABI::http {

/// The version whose rules govern a message; ordered, so `v >= version::http_1_1` reads as it should.
///
/// A message that says HTTP/1.2 to HTTP/1.9 is handled by the rules of 1.1 [RFC 9110 2.5].
enum class version : std::uint8_t { http_1_0 = 10, http_1_1 = 11 };

} // namespace flux::inline FLUX_ABI::http
