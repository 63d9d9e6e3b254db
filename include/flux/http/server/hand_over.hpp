// SPDX-License-Identifier: MIT
// flux/http/server/hand_over.hpp - answers that end HTTP on a connection: an upgrade, a tunnel.
//
//   request -> handler -> switch_protocol() | tunnel() -> head is sent -> taker(raw_stream)
//
// Deliberately not here: the stream that the taker gets (net/raw_stream.hpp), when it is called (exchange_run.hpp).
#pragma once

#include <flux/http/message/request.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/net/raw_stream.hpp>

#include <iterator>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// Whether the client offers to speak `protocol` instead of HTTP from here on: Upgrade names it, with that version if
/// `protocol` has one, and Connection says that it is meant for this hop. Never in HTTP/1.0. Case does not matter.
/// Source  RFC 9110 7.8.
[[nodiscard]] inline bool asks_upgrade(const request& req, std::string_view protocol) noexcept {
    if (!connection_of(req.head()).upgrade) {
        return false;
    }
    const bool any_version = protocol.find('/') == std::string_view::npos;
    for (auto it = req.fields().get_all(field::upgrade).begin(); !(it == std::default_sentinel); ++it) {
        for (const std::string_view offer : list_elements(*it)) {
            if (iequals(any_version ? offer.substr(0, offer.find('/')) : offer, protocol)) {
                return true;
            }
        }
    }
    return false;
}

/// An answer that ends HTTP on the connection: 101 with `protocol`, then `take` gets the stream.
///
/// Answer it only to a request that asks for the upgrade (asks_upgrade()), over HTTP/1.1; else it becomes
/// 500. What is left of the request's body is dropped first. The request has ended when `take` is called: copy what
/// it needs.
/// Source  RFC 9110 7.8.
[[nodiscard]] inline response switch_protocol(std::string_view protocol, stream_taker take) {
    return response(status::switching_protocols).header(field::upgrade, protocol).hand_over(std::move(take));
}

/// The answer 200 to CONNECT, after which `take` gets the stream. To any other request it becomes 500.
/// Source  RFC 9110 9.3.6.
[[nodiscard]] inline response tunnel(stream_taker take) { return response(status::ok).hand_over(std::move(take)); }

} // namespace flux::inline FLUX_ABI::http
