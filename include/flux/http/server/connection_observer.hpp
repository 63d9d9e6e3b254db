// SPDX-License-Identifier: MIT
// flux/http/server/connection_observer.hpp - what a connection tells its observer in the course of its life.
//
//   accepted -> active <-> idle -> closed        accepted -> active -> upgraded -> closed
//
// An observer is a type with `void on_connection(connection_event, const connection_info&) noexcept`; basic_server
// takes it as a parameter, so that a server without one has neither calls nor room for them. Deliberately not here:
// requests (layers, request::at_end).
#pragma once

#include <flux/core/time.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

enum class connection_event : std::uint8_t {
    accepted, ///< it exists; nothing was read
    active,   ///< octets of a request arrived
    idle,     ///< all requests are answered
    upgraded, ///< HTTP has ended, its taker has the stream
    closed,   ///< it ends; `reason` says why
};

/// Why a connection ended. The first that applies.
enum class close_reason : std::uint8_t {
    open,         ///< it has not
    peer_closed,  ///< the peer closed or reset it between requests
    peer_left,    ///< the peer closed or reset it in the middle of a request, or while it was answered
    last_answer,  ///< one side said `Connection: close`, or HTTP/1.0 did by itself; also max_requests and lifetime
    idle,         ///< idle_timeout; or head_timeout before the first octet
    slow,         ///< head_timeout in a head, the rate of a body, or write_timeout
    refused,      ///< the request could not be understood, or was over a limit
    failed,       ///< the answer could not be completed
    over_limit,   ///< max_connections or max_connections_per_peer
    shutdown,     ///< the server drains
    taker_ended,  ///< who took it over is done
};

[[nodiscard]] constexpr std::string_view to_string(close_reason r) noexcept {
    constexpr std::string_view names[] = {"open", "peer_closed", "peer_left",  "last_answer", "idle",       "slow",
                                          "refused", "failed",   "over_limit", "shutdown",    "taker_ended"};
    return names[static_cast<std::size_t>(r)];
}

/// What is known of a connection at an event. Views live as long as the call.
struct connection_info {
    std::uint64_t id = 0;            ///< counts the connections of this server, from 1
    time_point accepted_at{};
    std::string_view remote;         ///< the peer's address as text; made for the observer at `accepted`
    std::uint32_t requests = 0;      ///< whole heads
    std::uint64_t octets_in = 0;     ///< received, so far
    std::uint64_t octets_out = 0;    ///< taken by the kernel, so far
    close_reason reason = close_reason::open;
};

template <class O>
concept connection_observer = requires(O& o, const connection_info& info) {
    { o.on_connection(connection_event::accepted, info) } noexcept;
};

/// Nobody wants to know.
struct no_connection_observer {};

namespace detail {

template <class Stream>
[[nodiscard]] std::string remote_text(Stream& stream) {
    if constexpr (requires { stream.peer_endpoint(); }) {
        const auto peer = stream.peer_endpoint();
        return peer ? peer->to_string() : std::string();
    } else {
        return "memory";
    }
}

/// A connection's side of its observer. For no_connection_observer it is empty and does nothing.
template <class Observer>
class connection_log {
public:
    template <class Stream>
    connection_log(Observer* observer, std::uint64_t id, time_point now, Stream& stream)
        : observer_(observer), remote_(remote_text(stream)) {
        info_.id = id;
        info_.accepted_at = now;
        info_.remote = remote_;
        tell(connection_event::accepted);
    }
    connection_log(const connection_log&) = delete;
    connection_log& operator=(const connection_log&) = delete;
    ~connection_log() { tell(connection_event::closed); }

    void tell(connection_event e) noexcept { observer_->on_connection(e, info_); }
    void request() noexcept { ++info_.requests; }
    void in(std::uint64_t octets) noexcept { info_.octets_in += octets; }
    void out(std::uint64_t octets) noexcept { info_.octets_out += octets; }
    void ends(close_reason why) noexcept {
        if (info_.reason == close_reason::open) {
            info_.reason = why;
        }
    }

private:
    Observer* observer_;
    std::string remote_;
    connection_info info_;
};

template <>
class connection_log<no_connection_observer> {
public:
    template <class Stream>
    connection_log(no_connection_observer*, std::uint64_t, time_point, Stream&) noexcept {}
    void tell(connection_event) noexcept {}
    void request() noexcept {}
    void in(std::uint64_t) noexcept {}
    void out(std::uint64_t) noexcept {}
    void ends(close_reason) noexcept {}
};

} // namespace detail
} // namespace flux::inline FLUX_ABI::http
