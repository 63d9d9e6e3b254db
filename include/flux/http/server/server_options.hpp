// SPDX-License-Identifier: MIT
// flux/http/server/server_options.hpp - every tunable of an HTTP server, with unit, default and effect.
//
// All limits in time are on by default. Limits in octets of one message are http::limits.
#pragma once

#include <flux/core/time.hpp>
#include <flux/http/wire/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace flux::inline FLUX_ABI::http {

/// What a server does with connections over its limit.
enum class overload : std::uint8_t {
    refuse, ///< accepts them, answers 503 with Retry-After, closes
    pause,  ///< accepts no more until one ends: they wait in the kernel's backlog
};

/// Tunables of a server; copied when it is made. A duration of zero means "at once", not "never",
/// which is milliseconds::max().
struct server_options {
    /// Octets of one request; see http::limits for each default and the status it answers.
    http::limits limits{};

    /// From the first octet of a head to its last: then 408 and close. A new connection gets the same time to send
    /// its first octet: then it is closed silently.
    milliseconds head_timeout{10'000};
    /// From the end of a response to the first octet of the next request. Then the connection is closed.
    milliseconds idle_timeout{60'000};
    /// A body must arrive at `body_min_rate` octets per second on average after this grace period, and never stop for
    /// longer than it. Then 408.
    milliseconds body_grace{10'000};
    std::uint32_t body_min_rate = 1024;
    /// From the end of the head to the end of the handler, unless it streams its answer. Then the handler's
    /// context is stopped, and 503 is answered if nothing was sent.
    milliseconds handler_timeout{60'000};
    /// How long a peer may refuse to read, also in the middle of a streamed answer; see write_min_rate. Then the
    /// connection is reset.
    milliseconds write_timeout{30'000};
    /// A write that takes longer goes on as long as the peer acknowledges this many octets per second on average over
    /// nine tenths of a write_timeout. Zero: any octet will do. Where a stream does not tell (memory), or answers to pipelined
    /// requests were gathered, one write of some 64 KiB must end within write_timeout.
    std::uint32_t write_min_rate = 256;
    /// After the last answer of a connection that is closed while the peer still sends: how long to read and
    /// drop, so that the answer is not lost to a reset, and how many octets.
    milliseconds linger_timeout{2'000};
    std::size_t linger_octets = 1U << 20;

    /// Octets of answers to pipelined requests that are gathered before they are written. While the peer does not
    /// read them, none of its further requests is looked at: this bounds how deep a pipeline can be.
    std::size_t pipeline_octets = 65'536;

    /// Octets of a request body that the handler did not read which are dropped so that the connection can be
    /// used again; with more, it is closed.
    std::size_t drain_octets = 65'536;
    /// Requests on one connection; the last one is answered with `Connection: close`.
    std::uint32_t max_requests = 1'000'000;
    /// Age of a connection from which on the next answer is the last one, and says `Connection: close`.
    milliseconds lifetime{3'600'000};
    /// Connections at the same time on one worker. What becomes of more: `over_limit`.
    std::size_t max_connections = 100'000;
    /// Connections at the same time from one IPv4 address or one IPv6 network of 64 bits, on one worker; more are
    /// answered 503 and closed. Off by default: behind a proxy or a NAT, many clients have one address.
    std::size_t max_connections_per_peer = std::numeric_limits<std::size_t>::max();
    /// What becomes of connections over max_connections.
    overload over_limit = overload::refuse;
    /// What a 503 for too many connections says in Retry-After.
    seconds retry_after{1};

    /// After a stop: how long connections are still accepted, while every answer says `Connection: close` and
    /// request::draining() is true, so that a load balancer can look elsewhere first.
    milliseconds drain_notice{0};
    /// When the listener is closed, idle connections are, too. One that has not sent its first request yet gets this
    /// much time for the first octet of it, and one whose head has begun to arrive for the rest of it: then 408.
    /// A head behind answers that were being written has at least this long after them, in a drain or not.
    milliseconds fresh_grace{1'000};
    /// After that: how long requests in flight may take. Then their contexts are stopped with `shutdown`.
    milliseconds drain_timeout{15'000};

    /// A reset while a handler runs stops its context with `disconnected` at once. The end of the request stream
    /// (FIN) may be a client that left, or one that only half-closed and waits: the handler gets this much time.
    milliseconds end_grace{1'000};
};
static_assert(std::is_trivially_destructible_v<server_options>);

} // namespace flux::inline FLUX_ABI::http
