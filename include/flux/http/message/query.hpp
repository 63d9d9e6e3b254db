// SPDX-License-Identifier: MIT
// flux/http/message/query.hpp - percent-encoding, and the name=value pairs of queries and forms.
//
// A query and a body of type application/x-www-form-urlencoded have the same grammar. Deliberately not here:
// multipart forms, and URLs as a whole (url.hpp).
#pragma once

#include <flux/core/result.hpp>
#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::http {

namespace detail {

// Whether text[i] starts a triplet "%41".
[[nodiscard]] constexpr bool is_triplet(std::string_view text, std::size_t i) noexcept {
    return text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
}

inline void put_triplet(char c, std::string& out) {
    constexpr char digits[] = "0123456789ABCDEF"; // upper case: RFC 3986 2.1
    const auto u = static_cast<unsigned char>(c);
    out += '%';
    out += digits[u >> 4];
    out += digits[u & 15];
}

} // namespace detail

/// Removes percent-encoding. A `%` that no two hexadecimal digits follow stays as it is.
/// Params  plus_is_space  as in queries and forms.
[[nodiscard]] inline std::string percent_decode(std::string_view text, bool plus_is_space = false) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (detail::is_triplet(text, i)) {
            out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            out += plus_is_space && c == '+' ? ' ' : c;
        }
    }
    return out;
}

/// Removes percent-encoding where nothing may be doubtful, as in a path that becomes a file name.
/// Errors  flux::errc::invalid_argument: a `%` without two hexadecimal digits, or an encoded NUL.
[[nodiscard]] inline result<std::string> try_percent_decode(std::string_view text) {
    for (std::size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 1)) {
        if (!detail::is_triplet(text, i) || text.substr(i, 3) == "%00") {
            return fail(flux::errc::invalid_argument);
        }
    }
    return percent_decode(text);
}

/// Encodes every octet that is not in class `keep`. For a piece of a path, a name or a value the default fits:
/// only letters, digits and - . _ ~ stay.
[[nodiscard]] inline std::string percent_encode(std::string_view text, octet_class keep = octet_class::unreserved) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (is(c, keep)) {
            out += c;
        } else {
            detail::put_triplet(c, out);
        }
    }
    return out;
}

/// One pair of a query, as sent. `a` and `a=` differ only in `has_value`.
struct query_pair {
    std::string_view raw_name;
    std::string_view raw_value = {};
    bool has_value = false;

    [[nodiscard]] std::string name() const { return percent_decode(raw_name, true); }
    [[nodiscard]] std::string value() const { return percent_decode(raw_value, true); }
};

/// The pairs of `a=1&b=2` in their order; empty pieces are skipped. Views into the text, no allocation.
class query_pairs {
public:
    class iterator {
    public:
        using value_type = query_pair;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;
        using pointer = const query_pair*;
        using reference = const query_pair&;

        iterator() noexcept = default;
        explicit iterator(std::string_view rest) noexcept : rest_(rest) { next(); }
        [[nodiscard]] const query_pair& operator*() const noexcept { return pair_; }
        [[nodiscard]] const query_pair* operator->() const noexcept { return &pair_; }
        iterator& operator++() noexcept {
            next();
            return *this;
        }
        void operator++(int) noexcept { next(); }
        [[nodiscard]] friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept { return it.end_; }

    private:
        void next() noexcept {
            while (!rest_.empty()) {
                const std::size_t stop = rest_.find('&');
                const std::string_view piece = rest_.substr(0, stop);
                rest_.remove_prefix(stop == std::string_view::npos ? rest_.size() : stop + 1);
                if (!piece.empty()) {
                    const std::size_t equals = piece.find('=');
                    const bool has_value = equals != std::string_view::npos;
                    pair_ = {piece.substr(0, equals), has_value ? piece.substr(equals + 1) : std::string_view(),
                             has_value};
                    return;
                }
            }
            end_ = true;
        }
        std::string_view rest_;
        query_pair pair_;
        bool end_ = false;
    };

    explicit query_pairs(std::string_view query) noexcept : query_(query) {}
    [[nodiscard]] iterator begin() const noexcept { return iterator(query_); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
    std::string_view query_;
};

/// The first value of that name in `a=1&b=2`, decoded; nothing if there is none.
[[nodiscard]] inline std::optional<std::string> query_value(std::string_view query, std::string_view name) {
    for (const query_pair& pair : query_pairs(query)) {
        if (pair.raw_name == name ||
            (pair.raw_name.find_first_of("%+") != std::string_view::npos && pair.name() == name)) {
            return pair.value();
        }
    }
    return std::nullopt;
}

/// All pairs of a query or a form, decoded.
/// Params  max_pairs  bound on what a peer can make us allocate; 1000 by default.
/// Errors  flux::errc::limit: more pairs than that.
template <class = void>
[[nodiscard]] result<std::vector<std::pair<std::string, std::string>>>
decode_form(std::string_view text, std::size_t max_pairs = 1000) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const query_pair& pair : query_pairs(text)) {
        if (out.size() == max_pairs) {
            return fail(flux::errc::limit);
        }
        out.emplace_back(pair.name(), pair.value());
    }
    return out;
}

/// Builds `a=1&b=2` for a query or a form body: names and values are encoded, a space becomes "+".
class query_builder {
public:
    query_builder& add(std::string_view name, std::string_view value) {
        if (!text_.empty()) {
            text_ += '&';
        }
        put(name);
        text_ += '=';
        put(value);
        return *this;
    }
    [[nodiscard]] const std::string& text() const& noexcept { return text_; }
    [[nodiscard]] std::string text() && noexcept { return std::move(text_); }

private:
    void put(std::string_view part) {
        for (const char c : part) {
            if (c == ' ') {
                text_ += '+';
            } else if (is(c, octet_class::unreserved)) {
                text_ += c;
            } else {
                detail::put_triplet(c, text_);
            }
        }
    }
    std::string text_;
};

} // namespace flux::inline FLUX_ABI::http
