// SPDX-License-Identifier: MIT
// flux/http/server/client_address.hpp - the client that a trusted proxy speaks for: Forwarded, X-Forwarded-For.
//
// Both fields are written by whoever sends the request. Each proxy adds the address of its own peer at the end; so the
// list is read from the end, as long as the address that said it is one of a proxy that is trusted. Deliberately not
// here: the PROXY protocol (net/proxy_protocol.hpp), whose word request::remote() gives.
#pragma once

#include <flux/http/message/field_list.hpp>
#include <flux/http/message/request.hpp>
#include <flux/net/network_set.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// Which field one's proxies write. The other one is the client's own invention, and must not be asked.
enum class forwarding : std::uint8_t {
    x_forwarded_for, ///< a list of addresses
    forwarded,       ///< `for=` of RFC 7239
};

namespace detail {

// "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1"; nothing for "unknown" and hidden names.
[[nodiscard]] inline std::optional<endpoint> forwarded_address(std::string_view text) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
        text = text.substr(1, text.size() - 2);
    }
    const bool bracket = text.starts_with('[');
    const std::size_t close = bracket ? text.find(']') : std::string_view::npos;
    if (bracket && close == text.size() - 1) {
        text = text.substr(1, close - 1);
    }
    const bool has_port = bracket ? close + 1 < text.size() : text.find(':') != std::string_view::npos && text.find(':') == text.rfind(':');
    if (text.empty() || (text[0] < '0' && text[0] != '[') || text.starts_with("unix:")) {
        return std::nullopt;
    }
    auto e = has_port ? endpoint::parse(text) : endpoint::parse_ip(text, 0);
    return e && e->is_ip() && !e->is_wildcard() ? std::optional(*e) : std::nullopt;
}

// The value of for= in one element of Forwarded.
[[nodiscard]] inline std::string_view for_parameter(std::string_view element) {
    for (;;) {
        const std::size_t end = find_unquoted(element, ';');
        const std::string_view pair = trim(element.substr(0, end));
        if (pair.size() >= 4 && iequals(pair.substr(0, 4), "for=")) {
            return pair.substr(4);
        }
        if (end >= element.size()) {
            return {};
        }
        element.remove_prefix(end + 1);
    }
}

} // namespace detail

/// The address of the client that sent a request, as far as proxies that are trusted tell.
///
/// Params   trusted  the networks of one's own proxies. A peer that is in none of them is the client itself.
///          by       the field that those proxies write
/// Returns  the last address in the list that no trusted proxy has; where the list ends or is not understood before,
///          the last proxy. Nothing if the peer has no IP address. Port 0 where none was said.
/// Source   RFC 7239 4, 7.4 (Forwarded).
[[nodiscard]] inline std::optional<endpoint> client_address(const request& req, const network_set& trusted, forwarding by) {
    const auto peer = endpoint::parse(req.remote());
    if (!peer || !peer->is_ip()) {
        return std::nullopt;
    }
    endpoint client = *peer;
    if (!trusted.contains(client)) {
        return client;
    }
    flux::detail::dynamic_array<std::string_view> list;
    const name_ref name = by == forwarding::forwarded ? name_ref(field::forwarded) : name_ref(field::x_forwarded_for);
    for (auto it = req.fields().get_all(name).begin(); !(it == std::default_sentinel); ++it) {
        for (const std::string_view element : list_elements(*it)) {
            list.push_back(element);
        }
    }
    while (!list.empty() && trusted.contains(client)) {
        const std::string_view said = list.back();
        list.pop_back();
        const auto address = detail::forwarded_address(by == forwarding::forwarded ? detail::for_parameter(said) : said);
        if (!address) {
            break;
        }
        client = *address;
    }
    return client;
}

} // namespace flux::inline FLUX_ABI::http
