// SPDX-License-Identifier: MIT
// flux/http/message/field_list.hpp - the inner grammar of field values: comma lists, parameters, quoted strings.
//
// All views, no allocation but unquote(). Recipients' rules: empty list elements are skipped [RFC 9110 5.6.1.2].
// Framing fields do not go through here: they are judged by stricter rules (wire/framing.hpp).
#pragma once

#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

namespace detail {

// The index of the first `stop` of `text` outside quoted strings, or its size.
[[nodiscard]] constexpr std::size_t find_unquoted(std::string_view text, char stop) noexcept {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '"') {
            quoted = !quoted;
        } else if (quoted && c == '\\') {
            ++i;
        } else if (!quoted && c == stop) {
            return i;
        }
    }
    return text.size();
}

// A forward range over the trimmed, non-empty pieces of a text between separators.
template <char Separator>
class split_range {
public:
    class iterator {
    public:
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;
        using pointer = const std::string_view*;
        using reference = std::string_view;

        constexpr iterator() noexcept = default;
        constexpr explicit iterator(std::string_view rest) noexcept : rest_(rest) { next(); }
        [[nodiscard]] constexpr std::string_view operator*() const noexcept { return piece_; }
        [[nodiscard]] constexpr const std::string_view* operator->() const noexcept { return &piece_; }
        constexpr iterator& operator++() noexcept {
            next();
            return *this;
        }
        constexpr void operator++(int) noexcept { next(); }
        [[nodiscard]] friend constexpr bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
            return it.piece_.empty();
        }

    private:
        constexpr void next() noexcept {
            piece_ = {};
            while (piece_.empty() && !rest_.empty()) {
                const std::size_t n = find_unquoted(rest_, Separator);
                piece_ = trim(rest_.substr(0, n));
                rest_.remove_prefix(n < rest_.size() ? n + 1 : n);
            }
        }
        std::string_view piece_;
        std::string_view rest_;
    };

    constexpr explicit split_range(std::string_view text) noexcept : text_(text) {}
    [[nodiscard]] constexpr iterator begin() const noexcept { return iterator(text_); }
    [[nodiscard]] constexpr std::default_sentinel_t end() const noexcept { return {}; }

private:
    std::string_view text_;
};

} // namespace detail

/// The elements of one field value that is a comma-separated list, trimmed, empty ones skipped.
///
/// Commas inside quoted strings do not separate. `for (std::string_view e : list_elements(value))`.
/// Source  RFC 9110 5.6.1.
using list_elements = detail::split_range<','>;

/// The pieces of `type/subtype; a=1; b="x"` or of a Cookie value between semicolons.
using semicolon_elements = detail::split_range<';'>;

/// Whether the comma-separated list holds `token`, in any case; elements with parameters do not match.
[[nodiscard]] constexpr bool list_has_token(std::string_view value, std::string_view token) noexcept {
    for (const std::string_view element : list_elements(value)) {
        if (iequals(element, token)) {
            return true;
        }
    }
    return false;
}

/// One `name=value` of a semicolon list. `value` is raw: a quoted string keeps its quotes (see unquote()).
struct parameter {
    std::string_view name;
    std::string_view value;
    bool has_value = false; ///< tells `a=` from `a`
};

/// Splits one piece of a semicolon list at its first "=".
[[nodiscard]] constexpr parameter to_parameter(std::string_view piece) noexcept {
    const std::size_t eq = piece.find('=');
    if (eq == std::string_view::npos) {
        return {trim(piece), {}, false};
    }
    return {trim(piece.substr(0, eq)), trim(piece.substr(eq + 1)), true};
}

/// Whether `text` is a quoted-string from its first to its last octet. Source: RFC 9110 5.6.4.
[[nodiscard]] constexpr bool is_quoted_string(std::string_view text) noexcept {
    if (text.size() < 2 || text.front() != '"' || text.back() != '"') {
        return false;
    }
    const std::string_view inner = text.substr(1, text.size() - 2);
    for (std::size_t i = 0; i < inner.size(); ++i) {
        if (inner[i] == '"') {
            return false;
        }
        if (inner[i] == '\\' && ++i == inner.size()) {
            return false; // the closing quote is escaped
        }
        if (!is(inner[i], octet_class::field_value)) {
            return false;
        }
    }
    return true;
}

/// The text that a quoted-string stands for; anything else unchanged.
[[nodiscard]] inline std::string unquote(std::string_view text) {
    if (!is_quoted_string(text)) {
        return std::string(text);
    }
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        }
        out += text[i];
    }
    return out;
}

/// `text` as a token if it is one, else as a quoted-string.
/// Params  text  must hold only field-value octets: nothing can quote CR, LF or NUL.
[[nodiscard]] inline std::string quote(std::string_view text) {
    if (is_token(text)) {
        return std::string(text);
    }
    std::string out(1, '"');
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    out += '"';
    return out;
}

} // namespace flux::inline FLUX_ABI::http
