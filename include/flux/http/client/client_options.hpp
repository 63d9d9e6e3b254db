// SPDX-License-Identifier: MIT
// flux/http/client/client_options.hpp - every limit and timeout of a client, with unit, default and effect.
//
// The octets of one response are limited by http::limits. A timeout of zero or less means none; a timeout fails
// with flux::errc::timed_out, and the error's phase and text say which part of the exchange it was.
#pragma once

#include <flux/core/time.hpp>
#include <flux/http/client/redirect.hpp>
#include <flux/http/wire/limits.hpp>
#include <flux/version.hpp>

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

namespace flux::inline FLUX_ABI::http {

namespace detail {

// A response is read as a stream, and text() has a limit of its own.
[[nodiscard]] constexpr limits response_limits() noexcept {
    limits l;
    l.body_octets = std::numeric_limits<std::int64_t>::max();
    return l;
}

} // namespace detail

/// Limits of the connections of one client in one reactor.
struct pool_options {
    /// Connections, 100. To one origin: being opened, in use and idle taken together. More requests wait in turn.
    std::uint32_t max_per_origin = 100;
    /// Connections, 1000. To all origins. Idle ones of other origins make room first, the longest idle one first.
    std::uint32_t max_total = 1000;
    /// Connections, 100. Idle ones of one origin; 0: none is kept.
    std::uint32_t max_idle_per_origin = 100;
    /// 30 s. How long a connection may be idle. A server's `Keep-Alive: timeout=` shortens it.
    milliseconds idle_timeout{30'000};
    /// 1 s. How much earlier than the server announced a connection is given up.
    milliseconds keep_alive_margin{1'000};
    /// 10 s. For one connection: name look-up, all addresses, proxies and TLS. Over it: timeout, phase connect.
    milliseconds connect_timeout{10'000};
};
static_assert(__is_trivially_copyable(pool_options));

/// How a client behaves. Views are copied by the client.
struct client_options {
    http::limits limits = detail::response_limits();
    pool_options pool = {};
    redirect_options redirects = {};

    /// 5 min. The whole exchange: waiting for a connection, redirects, repetitions, and the body until it was read.
    milliseconds timeout{300'000};
    /// 30 s. From the last octet of the request to the end of the response's head; interim responses do not extend it.
    milliseconds first_byte_timeout{30'000};
    /// 30 s. Between two arrivals of octets of the response's body, and for each write of the request.
    milliseconds progress_timeout{30'000};
    /// 1 s. How long a request with `Expect: 100-continue` keeps its body back.
    milliseconds continue_timeout{1'000};
    /// Responses, 20. Interim (1xx) ones before the final one.
    std::uint32_t max_interim = 20;
    /// Repetitions, 3. On another connection, of a request that provably had no effect.
    std::uint32_t max_resends = 3;

    /// Relative references are resolved against it: `api.get("users/1")`. Empty: URLs must be absolute.
    std::string_view base_url = {};
    /// The User-Agent of requests that have none; empty: none.
    std::string_view user_agent = "flux/" FLUX_VERSION_STRING;
};
static_assert(__is_trivially_copyable(client_options));

} // namespace flux::inline FLUX_ABI::http
