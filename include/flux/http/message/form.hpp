// SPDX-License-Identifier: MIT
// flux/http/message/form.hpp - the fields of a form that a browser sent as application/x-www-form-urlencoded.
//
//     auto form = co_await req.read<http::form>();
//     if (const auto name = form.get("name")) ...
//
// Deliberately not here: forms with files (server/multipart.hpp), the encoding itself (query.hpp).
#pragma once

#include <flux/http/message/query.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::http {

/// Names and values, decoded, in the order of the form.
class form {
public:
    static constexpr std::size_t max_fields = 1000; ///< what a body may hold to be read as a form

    form() noexcept = default;
    explicit form(std::vector<std::pair<std::string, std::string>> pairs) noexcept : pairs_(std::move(pairs)) {}

    /// The first value of that name; nothing if there is none.
    [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const& noexcept {
        for (const auto& [key, value] : pairs_) {
            if (key == name) {
                return value;
            }
        }
        return std::nullopt;
    }
    void get(std::string_view name) const&& = delete;
    template <class = void>
    [[nodiscard]] std::vector<std::string_view> get_all(std::string_view name) const& {
        std::vector<std::string_view> all;
        for (const auto& [key, value] : pairs_) {
            if (key == name) {
                all.push_back(value);
            }
        }
        return all;
    }
    void get_all(std::string_view name) const&& = delete;
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& pairs() const& noexcept { return pairs_; }
    void pairs() const&& = delete;
    [[nodiscard]] std::size_t size() const noexcept { return pairs_.size(); }

private:
    std::vector<std::pair<std::string, std::string>> pairs_;
};

/// Makes `req.read<http::form>()` work. Fails for a body with more than max_fields fields.
template <class = void>
[[nodiscard]] result<void> from_body(std::string_view body, form& out) {
    auto pairs = decode_form(body, form::max_fields);
    if (!pairs) {
        return fail(std::move(pairs).error());
    }
    out = form(*std::move(pairs));
    return {};
}
[[nodiscard]] constexpr std::string_view body_content_type(std::type_identity<form>) noexcept {
    return "application/x-www-form-urlencoded";
}

} // namespace flux::inline FLUX_ABI::http
