// SPDX-License-Identifier: MIT
// flux/http/server/error_answer.hpp - the status that stands for an error which left a handler.
//
// The one table: what the peer did wrong is 4xx, what an upstream did is 502 or 504, a limit of our own in
// time is 503, everything else is 500 and says nothing about its cause to the peer.
#pragma once

#include <flux/coro/context.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/wire/errc.hpp>

#include <string>

namespace flux::inline FLUX_ABI::http {

namespace detail {

/// A short answer in plain text: the status and its reason.
[[nodiscard, gnu::cold]] inline response plain_answer(status code) {
    std::string text = std::to_string(to_number(code));
    text += ' ';
    text += reason_phrase(code);
    text += '\n';
    return http::text(std::move(text)).code(code);
}

/// What an error of the request's own body means.
[[nodiscard]] inline status status_of_body_error(const error& e) noexcept {
    if (e.code().category() == http_category()) {
        return describe(static_cast<errc>(e.code().value())).answer;
    }
    return e.is(flux::errc::timed_out) ? status::request_timeout : status::bad_request;
}

/// Whether it says what is wrong with the content of the request, read by its handler.
[[nodiscard]] inline bool is_about_content(const error& e) noexcept {
    const int code = e.code().value();
    return e.code().category() == http_category() && code >= static_cast<int>(errc::unsupported_content) &&
           code <= static_cast<int>(errc::part_too_large);
}

} // namespace detail

/// The status that answers an error from elsewhere than the request itself.
[[nodiscard, gnu::cold]] inline status status_of(const error& e) noexcept {
    if (e.is(flux::errc::limit)) {
        return status::content_too_large;
    }
    if (detail::is_about_content(e)) {
        return detail::status_of_body_error(e);
    }
    if (e.is(flux::errc::shutdown)) {
        return status::service_unavailable;
    }
    switch (e.kind()) {
    case error_kind::timeout: return status::gateway_timeout;
    case error_kind::network:
    case error_kind::tls:
    case error_kind::protocol:
    case error_kind::http: return status::bad_gateway;
    case error_kind::cancelled:
    case error_kind::limit:
    case error_kind::usage: break;
    }
    return status::internal_server_error;
}

namespace detail {

/// The answer to an error that left a handler.
/// Params  body  what is wrong with the request's body, or null; stopped  why the handler's context was, if it was
[[nodiscard, gnu::cold]] inline response answer_of_error(const error& e, const error* body, stop_reason stopped) {
    if (stopped == stop_reason::timed_out || stopped == stop_reason::shutdown) {
        return plain_answer(status::service_unavailable).header(field::retry_after, "1");
    }
    return plain_answer(body != nullptr ? status_of_body_error(*body) : status_of(e));
}

} // namespace detail
} // namespace flux::inline FLUX_ABI::http
