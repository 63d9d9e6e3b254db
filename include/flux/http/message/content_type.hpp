// SPDX-License-Identifier: MIT
// flux/http/message/content_type.hpp - media types: what Content-Type says, and how it is compared.
//
// A view; it allocates only to hand out a parameter. Deliberately not here: choosing among the types of Accept.
#pragma once

#include <flux/http/message/field_list.hpp>
#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// `type/subtype; name=value ...`, parsed. Lives as long as the text it was parsed from.
class content_type {
public:
    /// Returns  nothing if type or subtype is no token, or a parameter is not `token=token` or `token="quoted"`.
    /// Source   RFC 9110 8.3.1.
    [[nodiscard]] static std::optional<content_type> parse(std::string_view value) noexcept {
        value = trim(value);
        const std::string_view essence = trim(value.substr(0, value.find(';')));
        const std::size_t slash = essence.find('/');
        if (slash == std::string_view::npos || !is_token(essence.substr(0, slash)) ||
            !is_token(essence.substr(slash + 1))) {
            return std::nullopt;
        }
        content_type out;
        out.essence_ = essence;
        out.type_size_ = slash;
        out.parameters_ = value.substr(value.find(';') == std::string_view::npos ? value.size() : value.find(';') + 1);
        for (const std::string_view piece : semicolon_elements(out.parameters_)) {
            const std::size_t equals = piece.find('=');
            if (equals == std::string_view::npos || !is_token(piece.substr(0, equals)) ||
                !(is_token(piece.substr(equals + 1)) || is_quoted_string(piece.substr(equals + 1)))) {
                return std::nullopt;
            }
        }
        return out;
    }

    /// `type/subtype` as sent, without parameters.
    [[nodiscard]] std::string_view essence() const noexcept { return essence_; }
    [[nodiscard]] std::string_view type() const noexcept { return essence_.substr(0, type_size_); }
    [[nodiscard]] std::string_view subtype() const noexcept { return essence_.substr(type_size_ + 1); }

    /// Whether it is `type/subtype`, in any case and with any parameters.
    [[nodiscard]] bool is(std::string_view type_and_subtype) const noexcept {
        return iequals(essence_, type_and_subtype);
    }
    /// Whether the subtype is `json` or ends in `+json`.
    [[nodiscard]] bool is_json() const noexcept {
        const std::string_view s = subtype();
        return iequals(s, "json") || (s.size() > 5 && iequals(s.substr(s.size() - 5), "+json"));
    }

    /// The value of a parameter, its quotes removed; names compare in any case. Nothing if it is not there.
    [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const {
        for (const std::string_view piece : semicolon_elements(parameters_)) {
            const http::parameter p = to_parameter(piece);
            if (iequals(p.name, name)) {
                return unquote(p.value);
            }
        }
        return std::nullopt;
    }

private:
    content_type() noexcept = default;
    std::string_view essence_;
    std::string_view parameters_;
    std::size_t type_size_ = 0;
};

} // namespace flux::inline FLUX_ABI::http
