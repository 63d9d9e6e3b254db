// SPDX-License-Identifier: MIT
// flux/http/message/method.hpp - request methods: the registered ones by name, any other as its token.
//
// Methods are case-sensitive: `get` is an unregistered method, not GET [RFC 9110 9.1].
#pragma once

#include <flux/config.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// The methods of the IANA registry (PRI excepted: it is reserved and never a request).
///
/// `other` is any other token; the token itself travels beside the enumerator.
enum class method : std::uint8_t {
    other,
    get, head, post, put, delete_, connect, options, trace, patch, query,
    acl, baseline_control, bind, checkin, checkout, copy, label, link, lock, merge, mkactivity, mkcalendar,
    mkcol, mkredirectref, mkworkspace, move, orderpatch, propfind, proppatch, rebind, report, search, unbind,
    uncheckout, unlink, unlock, update, updateredirectref, version_control,
};

namespace detail {

struct method_entry {
    std::string_view name;
    bool safe;
    bool idempotent;
};

// In the order of the enumerators. Properties as registered.
inline constexpr method_entry methods[] = {
    {"", false, false},
    {"GET", true, true},
    {"HEAD", true, true},
    {"POST", false, false},
    {"PUT", false, true},
    {"DELETE", false, true},
    {"CONNECT", false, false},
    {"OPTIONS", true, true},
    {"TRACE", true, true},
    {"PATCH", false, false},
    {"QUERY", true, true},
    {"ACL", false, true},
    {"BASELINE-CONTROL", false, true},
    {"BIND", false, true},
    {"CHECKIN", false, true},
    {"CHECKOUT", false, true},
    {"COPY", false, true},
    {"LABEL", false, true},
    {"LINK", false, true},
    {"LOCK", false, false},
    {"MERGE", false, true},
    {"MKACTIVITY", false, true},
    {"MKCALENDAR", false, true},
    {"MKCOL", false, true},
    {"MKREDIRECTREF", false, true},
    {"MKWORKSPACE", false, true},
    {"MOVE", false, true},
    {"ORDERPATCH", false, true},
    {"PROPFIND", true, true},
    {"PROPPATCH", false, true},
    {"REBIND", false, true},
    {"REPORT", true, true},
    {"SEARCH", true, true},
    {"UNBIND", false, true},
    {"UNCHECKOUT", false, true},
    {"UNLINK", false, true},
    {"UNLOCK", false, true},
    {"UPDATE", false, true},
    {"UPDATEREDIRECTREF", false, true},
    {"VERSION-CONTROL", false, true},
};
inline constexpr std::size_t method_count = sizeof(methods) / sizeof(methods[0]);
static_assert(method_count == static_cast<std::size_t>(method::version_control) + 1);

} // namespace detail

/// The token of a registered method; empty for `other`.
[[nodiscard]] constexpr std::string_view to_string(method m) noexcept {
    return detail::methods[static_cast<std::size_t>(m)].name;
}

/// The registered method of exactly this spelling, or `other`.
[[nodiscard]] constexpr method to_method(std::string_view token) noexcept {
    if (token == "GET") {
        return method::get;
    }
    if (token == "POST") {
        return method::post;
    }
    for (std::size_t i = 1; i < detail::method_count; ++i) {
        if (detail::methods[i].name == token) {
            return static_cast<method>(i);
        }
    }
    return method::other;
}

/// Whether the request is read-only by definition. `other`: no. Source: RFC 9110 9.2.1.
[[nodiscard]] constexpr bool is_safe(method m) noexcept { return detail::methods[static_cast<std::size_t>(m)].safe; }

/// Whether sending it twice has the effect of sending it once. `other`: no. Source: RFC 9110 9.2.2.
[[nodiscard]] constexpr bool is_idempotent(method m) noexcept {
    return detail::methods[static_cast<std::size_t>(m)].idempotent;
}

} // namespace flux::inline FLUX_ABI::http
