// SPDX-License-Identifier: MIT
// flux/http/message/head.hpp - a parsed request head or response head: views into the octets it was parsed from.
//
// Plain values without behaviour but asking. What they imply for body and connection: framing.hpp.
#pragma once

#include <flux/http/message/fields_view.hpp>
#include <flux/http/message/method.hpp>
#include <flux/http/message/status.hpp>
#include <flux/http/message/version.hpp>

#include <cstdint>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// How a request names its target. Source: RFC 9112 3.2.
enum class target_form : std::uint8_t {
    origin,    ///< `/path?query`
    absolute,  ///< `http://host/path?query`: to a proxy, but every server must take it
    authority, ///< `host:port`, CONNECT only
    asterisk,  ///< `*`, OPTIONS only
};

/// The head of a request. All views live as long as the octets that were parsed.
struct request_head {
    http::method method = http::method::other;
    target_form form = target_form::origin;
    http::version version = http::version::http_1_1;
    std::string_view method_token; ///< as sent; the only name of an unregistered method
    std::string_view target;       ///< as sent, octet by octet
    std::string_view authority;    ///< host and port: of the target if it has one, else of Host; may be empty in 1.0
    std::string_view path;         ///< path of the target as sent, "/" if the absolute form has none; else empty
    std::string_view query;        ///< after "?", without it
    bool has_query = false;        ///< tells `/?` from `/`
    fields_view fields;
};

/// The head of a response. All views live as long as the octets that were parsed.
struct response_head {
    http::status status = http::status::ok; ///< 100 to 999, registered or not
    http::version version = http::version::http_1_1;
    std::string_view reason; ///< as sent; may be empty
    fields_view fields;
};

} // namespace flux::inline FLUX_ABI::http
