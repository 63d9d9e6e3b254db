// SPDX-License-Identifier: MIT
// flux/http/server/server_options.hpp - every tunable of an HTTP server, with unit, default and effect.
//
// All limits in time are on by default. Limits in octets of one message are http::limits.
#pragma once

#include <flux/core/time.hpp>
#include <flux/http/wire/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace flux::inline FLUX_ABI::http {

/// Tunables of a server; copied when it is made. A duration of zero means "at once", not "never".
struct server_options {
    /// Octets of one request; see http::limits for each default and the status it answers.
    http::limits limits{};

    /// From the first octet of a head to its last: then 408 and close. A new connection gets the same time to send
    /// its first octet: then it is closed silently.
    milliseconds head_timeout{10'000};
    /// From the end of a response to the first octet of the next request. Then the connection is closed.
    milliseconds idle_timeout{60'000};
    /// A body must arrive at `body_min_rate` octets per second on average after this grace period. Then 408.
    milliseconds body_grace{10'000};
    std::uint32_t body_min_rate = 1024;
    /// From the end of the head to the end of the handler, unless it streams its answer. Then the handler's
    /// context is stopped, and 503 is answered if nothing was sent.
    milliseconds handler_timeout{60'000};
    /// For one write to be taken by the kernel: how long a peer may refuse to read. Then the connection is reset.
    milliseconds write_timeout{30'000};
    /// After the last answer of a connection that is closed while the peer still sends: how long to read and
    /// drop, so that the answer is not lost to a reset, and how many octets.
    milliseconds linger_timeout{2'000};
    std::size_t linger_octets = 1U << 20;

    /// Octets of a request body that the handler did not read which are dropped so that the connection can be
    /// used again; with more, it is closed.
    std::size_t drain_octets = 65'536;
    /// Requests on one connection; the last one is answered with `Connection: close`.
    std::uint32_t max_requests = 1'000'000;
    /// Connections at the same time on one worker; more are answered 503 and closed.
    std::size_t max_connections = 100'000;

    /// After a stop: how long requests in flight may take. Then their contexts are stopped with `shutdown`.
    milliseconds drain_timeout{15'000};

    /// A reset while a handler runs stops its context with `disconnected` at once. The end of the request stream
    /// (FIN) may be a client that left, or one that only half-closed and waits: the handler gets this much time.
    milliseconds end_grace{1'000};
};
static_assert(std::is_trivially_destructible_v<server_options>);

} // namespace flux::inline FLUX_ABI::http
