// SPDX-License-Identifier: MIT
// flux/http/wire/framing.hpp - what a head says about its body, its connection and its expectation.
//
// The one place that decides the length of a message. Both directions follow RFC 9112 6.3 case by case; where the
// text lets a recipient repair a doubtful message, the answer here is an error.
// Deliberately not here: reading the body, and limits on it: a length is a fact, its acceptance is policy.
#pragma once

#include <flux/http/message/field_list.hpp>
#include <flux/http/message/head.hpp>
#include <flux/http/wire/errc.hpp>

#include <cstdint>
#include <limits>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// How the end of a body is known.
enum class body_kind : std::uint8_t {
    none,        ///< there is no body
    length,      ///< a known number of octets, perhaps 0
    chunked,     ///< chunked coding says when it ends
    until_close, ///< the connection's end is the body's end (responses only)
    tunnel,      ///< HTTP ends here: after CONNECT or 101 the octets belong to another protocol
};

/// The framing of one body, or why it cannot be known. `error` is empty if it can.
struct body_framing {
    body_kind kind = body_kind::none;
    std::uint64_t length = 0; ///< octets, for body_kind::length
    message_error error = {}; ///< offset: from the start of the head
};

/// The largest Content-Length or chunk size that is not an overflow: what a file offset can hold.
inline constexpr std::uint64_t max_body_length = std::numeric_limits<std::int64_t>::max();

namespace detail {

[[nodiscard]] inline body_framing bad_framing(errc code, std::uint64_t offset) noexcept {
    return {body_kind::none, 0, {code, offset}};
}

// The offset of the line with that name that comes n-th, counted from 0.
[[nodiscard]] inline std::uint64_t line_offset(const fields_view& fields, field id, unsigned n) noexcept {
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (fields.entry(i).id == id && n-- == 0) {
            return fields.entry(i).name_at;
        }
    }
    return 0;
}

// Judges all Transfer-Encoding lines together: only "chunked", once, is known.
[[nodiscard]] inline errc judge_transfer_coding(const fields_view& fields) noexcept {
    bool unknown = false;
    unsigned chunked = 0;
    bool chunked_last = false;
    for (auto it = fields.get_all(field::transfer_encoding).begin(); !(it == std::default_sentinel); ++it) {
        std::string_view rest = *it;
        for (bool more = true; more;) {
            const std::size_t comma = find_unquoted(rest, ',');
            more = comma < rest.size();
            const std::string_view coding = trim(rest.substr(0, comma));
            rest.remove_prefix(more ? comma + 1 : comma);
            const std::string_view name = trim(coding.substr(0, coding.find(';')));
            if (!is_token(name)) {
                return errc::bad_transfer_coding; // an empty element too: no repair where framing is at stake
            }
            chunked_last = iequals(name, "chunked");
            if (!chunked_last) {
                unknown = true;
            } else if (coding.size() != name.size() || ++chunked > 1) {
                return errc::bad_transfer_coding; // chunked has no parameters and is applied once
            }
        }
    }
    if (!chunked_last) {
        return errc::chunked_not_last;
    }
    return unknown ? errc::unknown_transfer_coding : errc::none;
}

// Cases 3 to 6 of RFC 9112 6.3, the same for both directions but for what the caller does without either field.
[[nodiscard, gnu::noinline]] inline body_framing framing_by_fields(const fields_view& fields, version v) noexcept {
    const bool coding = fields.present().contains(field::transfer_encoding);
    const bool length = fields.present().contains(field::content_length);
    if (coding) {
        const std::uint64_t at = line_offset(fields, field::transfer_encoding, 0);
        if (length) { // 3: request smuggling or response splitting, not a message
            return bad_framing(errc::length_and_transfer_coding, at);
        }
        if (v == version::http_1_0) { // 6.1: framing is faulty
            return bad_framing(errc::transfer_coding_in_1_0, at);
        }
        if (const errc e = judge_transfer_coding(fields); e != errc::none) { // 4
            return bad_framing(e, at);
        }
        return {body_kind::chunked, 0, {}};
    }
    if (fields.repeated().contains(field::content_length)) { // 5, without the repair of equal values
        return bad_framing(errc::repeated_content_length, line_offset(fields, field::content_length, 1));
    }
    const std::size_t i = fields.find(field::content_length);
    std::uint64_t n = 0;
    if (!parse_decimal(fields[i].value, max_body_length, n)) { // 5
        return bad_framing(errc::bad_content_length, fields.entry(i).value_at);
    }
    return {body_kind::length, n, {}}; // 6
}

inline constexpr field_set framing_fields(field::transfer_encoding, field::content_length);

} // namespace detail

/// The framing of a request's body.
///
/// CONNECT is no exception: without framing fields it has no body, and what follows its head belongs to the tunnel
/// if the server agrees to one.
/// Returns  none (which for a request is a length of zero), length or chunked; never until_close.
/// Errors   400: {length_and_transfer_coding, transfer_coding_in_1_0, bad_transfer_coding, chunked_not_last,
///          bad_content_length, repeated_content_length}. 501: unknown_transfer_coding.
/// Source   RFC 9112 6.1, 6.2, 6.3.
[[nodiscard]] inline body_framing body_length(const request_head& head) noexcept {
    if (!head.fields.present().intersects(detail::framing_fields)) {
        return {}; // 7
    }
    return detail::framing_by_fields(head.fields, head.version);
}

/// The framing of a response's body.
///
/// Params   asked  method of the request that is answered
/// Errors   as for requests; to a client they mean: close, and believe nothing.
/// Source   RFC 9112 6.3.
[[nodiscard]] inline body_framing body_length(const response_head& head, method asked) noexcept {
    if (head.status == status::switching_protocols || (asked == method::connect && is_success(head.status))) {
        return {body_kind::tunnel, 0, {}}; // 2; framing fields are ignored there
    }
    if (asked == method::head || is_bodyless(head.status)) {
        return {}; // 1
    }
    if (!head.fields.present().intersects(detail::framing_fields)) {
        return {body_kind::until_close, 0, {}}; // 8
    }
    return detail::framing_by_fields(head.fields, head.version);
}

/// What the Connection field of a message says, under the rules of its version.
struct connection_options {
    bool persistent = false; ///< another message may follow on this connection
    bool upgrade = false;    ///< Upgrade is meant for this hop (1.1 only)
    bool close = false;      ///< "close" was said
    bool keep_alive = false; ///< "keep-alive" was said; it matters in 1.0 only
};

namespace detail {

[[nodiscard, gnu::noinline]] inline connection_options read_connection(const fields_view& fields) noexcept {
    connection_options out;
    for (auto it = fields.get_all(field::connection).begin(); !(it == std::default_sentinel); ++it) {
        if (*it == "keep-alive") { // what nearly every browser sends
            out.keep_alive = true;
            continue;
        }
        for (const std::string_view option : list_elements(*it)) {
            out.close = out.close || iequals(option, "close");
            out.keep_alive = out.keep_alive || iequals(option, "keep-alive");
            out.upgrade = out.upgrade || iequals(option, "upgrade");
        }
    }
    out.upgrade = out.upgrade && fields.present().contains(field::upgrade);
    return out;
}

} // namespace detail

/// Source  RFC 9112 9.3; RFC 9110 7.6.1, 7.8. "closefoo" is not "close".
[[nodiscard]] inline connection_options connection_of(const fields_view& fields, version v) noexcept {
    connection_options out;
    if (fields.present().contains(field::connection)) {
        out = detail::read_connection(fields);
        out.upgrade = out.upgrade && v >= version::http_1_1;
    }
    out.persistent = !out.close && (v >= version::http_1_1 || out.keep_alive);
    return out;
}
[[nodiscard]] inline connection_options connection_of(const request_head& head) noexcept {
    return connection_of(head.fields, head.version);
}
[[nodiscard]] inline connection_options connection_of(const response_head& head) noexcept {
    return connection_of(head.fields, head.version);
}

/// What a request expects before it sends its body.
enum class expectation : std::uint8_t {
    none,
    continue_, ///< a 100 (Continue), or a final answer, before the body comes
    unknown,   ///< something else: answer 417
};

/// Source  RFC 9110 10.1.1: an HTTP/1.0 request cannot expect anything, and without a body there is nothing to
/// wait for; both give none.
[[nodiscard]] inline expectation expectation_of(const request_head& head, const body_framing& body) noexcept {
    if (!head.fields.present().contains(field::expect) || head.version == version::http_1_0) {
        return expectation::none;
    }
    for (auto it = head.fields.get_all(field::expect).begin(); !(it == std::default_sentinel); ++it) {
        for (const std::string_view e : list_elements(*it)) {
            if (!iequals(e, "100-continue")) {
                return expectation::unknown;
            }
        }
    }
    const bool has_body = body.kind == body_kind::chunked || (body.kind == body_kind::length && body.length != 0);
    return has_body ? expectation::continue_ : expectation::none;
}

} // namespace flux::inline FLUX_ABI::http
