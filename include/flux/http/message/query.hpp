// SPDX-License-Identifier: MIT
// flux/http/message/query.hpp - percent-encoding, and the name=value pairs of a query or a form.
#pragma once

#include <flux/http/message/octets.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// Removes percent-encoding. A `%` that no two hexadecimal digits follow stays as it is.
/// Params  plus_is_space  as in queries and forms.
[[nodiscard]] inline std::string percent_decode(std::string_view text, bool plus_is_space = false) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
            out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            out += plus_is_space && c == '+' ? ' ' : c;
        }
    }
    return out;
}

/// The first value of that name in `a=1&b=2`, decoded; nothing if there is none.
[[nodiscard]] inline std::optional<std::string> query_value(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::size_t end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        const std::size_t equals = pair.find('=');
        if (percent_decode(pair.substr(0, equals), true) == name) {
            return percent_decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
        }
        query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    }
    return std::nullopt;
}

} // namespace flux::inline FLUX_ABI::http
