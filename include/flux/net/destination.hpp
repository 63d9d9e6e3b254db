// SPDX-License-Identifier: MIT
// flux/net/destination.hpp - whom a client wants to talk to, and what a connector is: how it gets there.
//
//   destination -> connector -> stream      connectors wrap connectors: tls over proxy over pinned over tcp
//
// Deliberately not here: any connector (connector.hpp), addresses (endpoint.hpp), URLs (http/message/url.hpp).
#pragma once

#include <flux/net/stream.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

/// A host by name or IP literal, a port, and whether the host has to prove its name. A value.
class destination {
public:
    /// Params  `to` a name, or an IP literal without brackets (`::1`, `fe80::1%eth0`); `wants_tls` see secure.
    destination(std::string to, std::uint16_t at_port, bool wants_tls = false)
        : host(std::move(to)), port(at_port), secure(wants_tls) {}
    destination(const destination&) = default;
    destination(destination&&) noexcept = default;
    destination& operator=(const destination&) = default;
    destination& operator=(destination&&) noexcept = default;
    ~destination() = default;

    [[nodiscard]] friend bool operator==(const destination&, const destination&) = default;

    /// `host:port`, with brackets around what has a colon.
    [[nodiscard]] std::string to_string() const {
        const bool brackets = host.find(':') != std::string::npos;
        std::string text;
        text.reserve(host.size() + 8);
        text.append(brackets ? "[" : "").append(host).append(brackets ? "]:" : ":").append(std::to_string(port));
        return text;
    }

    std::string host;
    std::uint16_t port;
    /// A TLS session with a peer that is certified as `host` is wanted on top of the connection. Connectors that do
    /// not secure ignore it.
    bool secure;
};

/// How connections come to be.
///
/// connect(d)    the operation copies `d` before it returns; it yields a connected stream. It may be called any
///               number of times, also while others are in flight, all of which the connector must outlive.
/// stream_type   what it yields
/// secures       true where `d.secure` is honoured: the stream is a TLS session then. Whoever wants TLS must not use a
///               connector without.
/// Errors   say what was tried (`connect 127.0.0.1:1: Connection refused`), have a phase (resolve, connect, tls), and
///          are retryable where nothing of the caller's was sent.
/// Cancel   at once, through the context, in every phase; what was opened is closed.
/// Threads  the thread of one reactor.
template <class C>
concept connector = requires(C& c, const destination& d) {
    typename C::stream_type;
    typename std::bool_constant<C::secures>;
    { c.connect(d) } -> operation_yielding<typename C::stream_type>;
} && buffered_stream<typename C::stream_type> && std::same_as<decltype(C::secures), const bool>;

} // namespace flux::inline FLUX_ABI
