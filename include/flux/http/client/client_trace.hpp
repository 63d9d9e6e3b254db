// SPDX-License-Identifier: MIT
// flux/http/client/client_trace.hpp - who wants to know how an exchange goes, step by step, with times.
//
//   started -> (look-up, attempts, handshakes) -> got_connection -> wrote_head -> wrote_request -> first_octet -> got_head
//           -> done             (repeated, redirected: from the look-up again)
//
// Deliberately not here: what to do with it (metrics, logs); how connections come to be (connectors).
#pragma once

#include <flux/core/error.hpp>
#include <flux/core/time.hpp>
#include <flux/http/message/status.hpp>
#include <flux/http/message/url.hpp>
#include <flux/net/connect_trace.hpp>

#include <string_view>

namespace flux::inline FLUX_ABI::tls {
struct connection_facts; // of the optional part: flux/tls/connection_facts.hpp
}

namespace flux::inline FLUX_ABI::http {

/// Told of every step of one exchange, on the reactor thread, from inside it: note and return.
///
/// `at` is the time since the request was awaited. done() comes exactly once if started() did, and last; `why` is null if
/// the whole body was read, errc::canceled if nobody wanted it. What connect_trace tells is of the connection that the first
/// of those who wait for one would get; it may come to be for somebody else, or for later. It has no time: what it is by the
/// clock when it is told is its time, and a step that goes on beyond done() has no end. Below a layer that sends a request
/// several times, each time is told from started() to done().
/// Lifetime  until done(), the last one.
class client_trace : public connect_trace {
public:
    virtual void started(std::string_view /*method*/, const http::url& /*to*/) noexcept {}
    virtual void got_connection(duration /*at*/, bool /*reused*/) noexcept {}
    /// Right after got_connection(), where it is a TLS connection.
    virtual void got_tls(const tls::connection_facts& /*facts*/) noexcept {}
    virtual void wrote_head(duration /*at*/) noexcept {}
    virtual void wrote_request(duration /*at*/) noexcept {}
    virtual void first_octet(duration /*at*/) noexcept {}
    virtual void got_head(duration /*at*/, status /*s*/) noexcept {}
    virtual void redirected(duration /*at*/, const http::url& /*to*/) noexcept {}
    virtual void repeated(duration /*at*/, const error& /*why*/) noexcept {}
    virtual void done(duration /*at*/, const error* /*why*/) noexcept {}
};

} // namespace flux::inline FLUX_ABI::http
