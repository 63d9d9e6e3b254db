// SPDX-License-Identifier: MIT
// flux/http/client/resend.hpp - whether a request may be sent once more by the client itself, and how its errors read.
//
//   no connection used, or it died in silence -> may_resend        an answer that says "not looked at" -> asks_again
//
// Deliberately not here: sending (client.hpp), retries that users ask for (resilience/retry.hpp).
#pragma once

#include <flux/http/client/client_exchange.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

// Connections in a row that end between their choice and their use: far more than one turn of a loop can spoil.
inline constexpr std::uint32_t max_stale = 1000;

inline constexpr seconds late_answer_time{1}; // for what a server said before it stopped to read
inline constexpr std::size_t one_record = 16'384; // octets, of TLS

/// Whether sending it once more cannot do what sending it once would not have done.
[[nodiscard]] inline bool may_resend(const client_exchange& ex, const error& e) noexcept {
    return ex.allow_resend && e.kind() == error_kind::network &&
           (!ex.sent_any || (ex.reused && !ex.got_any && is_idempotent(ex.method)));
}

[[nodiscard, gnu::cold]] inline error explained(client_exchange& ex, error e, error_phase phase) {
    const bool unsent = !ex.sent_any && e.kind() != error_kind::usage;
    if (e.phase() == error_phase::none) {
        e.phase(phase);
    }
    e.doing(ex.what()).attempt(ex.attempts).retryable(unsent || may_resend(ex, e));
    ex.end_trace(&e);
    return e;
}

/// Whether the head of the response says that the request was not looked at, so that another try is due:
///   417  the chain of servers does not do Expect: 100-continue [RFC 9110 10.1.1]
///   408  the server gave an idle connection up while the request was under way [RFC 9110 15.5.9]
[[nodiscard]] inline bool asks_again(const client_exchange& ex) noexcept {
    if (!ex.allow_resend) {
        return false;
    }
    switch (ex.head.status) {
    case status::expectation_failed: return ex.fields.contains(field::expect);
    case status::request_timeout: return ex.reused && !ex.persistent && is_idempotent(ex.method);
    default: return false;
    }
}
/// Makes the request ready for it. Returns what to say of the first try.
[[nodiscard, gnu::cold]] inline error say_again(client_exchange& ex) {
    if (ex.head.status == status::expectation_failed) {
        ex.fields.remove(field::expect);
    }
    return error(errc::unexpected_status).doing(std::to_string(to_number(ex.head.status))).phase(error_phase::head);
}

} // namespace flux::inline FLUX_ABI::http::detail
