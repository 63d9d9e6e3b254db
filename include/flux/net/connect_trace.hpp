// SPDX-License-Identifier: MIT
// flux/net/connect_trace.hpp - who wants to know how a connection comes to be: look-up, each address tried, handshakes.
//
//     co_await with_value<connect_trace_key>(&mine, c.connect(to));
//
// Deliberately not here: what TLS agreed on, what is sent on the connection.
#pragma once

#include <flux/coro/context.hpp>
#include <flux/net/endpoint.hpp>

#include <string_view>

namespace flux::inline FLUX_ABI {

/// Told of every step of connecting, on the reactor thread, from inside it: note and return. `why` is null where it went
/// well. Attempts that another one has won against end with errc::canceled. The time of a step is that of the call. A step
/// that an exception other than flux::error leaves (no memory) has no end; whoever connects gets the exception.
class connect_trace {
public:
    connect_trace() = default;
    connect_trace(const connect_trace&) = delete;
    connect_trace& operator=(const connect_trace&) = delete;
    virtual ~connect_trace() = default;

    virtual void resolve_started(std::string_view /*host*/) noexcept {}
    virtual void resolve_ended(std::string_view /*host*/, const error* /*why*/) noexcept {}
    virtual void attempt_started(const endpoint& /*peer*/) noexcept {}
    virtual void attempt_ended(const endpoint& /*peer*/, const error* /*why*/) noexcept {}
    /// TLS, where it is asked for. `host` is who is verified: through a proxy with TLS there are two, the proxy first.
    virtual void handshake_started(std::string_view /*host*/) noexcept {}
    virtual void handshake_ended(std::string_view /*host*/, const error* /*why*/) noexcept {}
};

/// Under which key connectors look for a trace in their context. It outlives the operation.
struct connect_trace_key : context_key<connect_trace*> {};

namespace detail {
/// Null where nobody wants to know.
[[nodiscard]] inline connect_trace* trace_of(context ctx) noexcept {
    connect_trace* const* trace = ctx.get<connect_trace_key>();
    return trace != nullptr ? *trace : nullptr;
}
} // namespace detail

} // namespace flux::inline FLUX_ABI
