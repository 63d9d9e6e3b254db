// SPDX-License-Identifier: MIT
// flux/http/message/conditional.hpp - entity tags, and what If-Match and its relatives decide.
//
//   fields of the request + validators of the representation --evaluate()--> proceed | 304 | 412
//
// Pure functions: whoever has a representation with validators asks them before it acts. Deliberately not here: making
// validators, ranges (range.hpp).
#pragma once

#include <flux/core/time.hpp>
#include <flux/http/message/date.hpp>
#include <flux/http/message/fields_view.hpp>
#include <flux/http/message/method.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// An entity tag: `"opaque"` or `W/"opaque"`. A view.
struct entity_tag {
    std::string_view opaque = {}; ///< between the quotes
    bool weak = false;

    /// Reads the tag that `text` is. Returns: nothing if it is something else.
    [[nodiscard]] static constexpr std::optional<entity_tag> parse(std::string_view text) noexcept {
        const std::size_t size = text.size();
        std::optional<entity_tag> tag = take(text);
        return text.empty() && size != 0 ? tag : std::nullopt;
    }
    /// Reads the tag at the front of `text`, and removes it. Source: RFC 9110 8.8.3.
    [[nodiscard]] static constexpr std::optional<entity_tag> take(std::string_view& text) noexcept {
        entity_tag tag;
        std::string_view rest = text;
        if (rest.starts_with("W/")) {
            tag.weak = true;
            rest.remove_prefix(2);
        }
        if (!rest.starts_with('"')) {
            return std::nullopt;
        }
        rest.remove_prefix(1);
        const std::size_t end = rest.find('"');
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        tag.opaque = rest.substr(0, end);
        for (const char c : tag.opaque) {
            if (c == ' ' || !is(c, octet_class::field_value) || c == '\t') {
                return std::nullopt;
            }
        }
        text = rest.substr(end + 1);
        return tag;
    }
};

/// Whether two tags stand for the same octets. Source: RFC 9110 8.8.3.2.
[[nodiscard]] constexpr bool matches_strongly(const entity_tag& a, const entity_tag& b) noexcept {
    return !a.weak && !b.weak && a.opaque == b.opaque;
}
/// Whether two tags stand for the same content.
[[nodiscard]] constexpr bool matches_weakly(const entity_tag& a, const entity_tag& b) noexcept {
    return a.opaque == b.opaque;
}

/// What is known about the representation that a request is about.
struct validators {
    std::string_view etag = {}; ///< as in ETag, quotes included; empty: none
    std::optional<std::chrono::sys_seconds> modified = {};
    /// Whether `modified` says that the octets are the same: not if they may have changed twice within that second.
    bool modified_is_strong = true;
    bool exists = true; ///< false: there is no representation yet, as before a PUT
};

enum class precondition : std::uint8_t {
    proceed,      ///< as if the request had no condition
    not_modified, ///< 304
    failed,       ///< 412
};

namespace detail {

// Whether one of the listed tags, or "*", is the current one. A list is given up where it is malformed.
[[nodiscard]] inline bool lists_tag(const fields_view& fields, field name, const validators& now, bool strongly) noexcept {
    const std::optional<entity_tag> current = entity_tag::parse(now.etag);
    for (std::string_view rest : fields.get_all(name)) {
        if (trim(rest) == "*") {
            return now.exists;
        }
        while (now.exists && current) {
            while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t' || rest.front() == ',')) {
                rest.remove_prefix(1);
            }
            const auto tag = entity_tag::take(rest);
            if (!tag) {
                break;
            }
            if (strongly ? matches_strongly(*tag, *current) : matches_weakly(*tag, *current)) {
                return true;
            }
            rest = trim(rest);
            if (!rest.starts_with(',')) {
                break;
            }
        }
    }
    return false;
}

// The one date of a field; nothing if it is missing, repeated or no date.
[[nodiscard]] inline std::optional<std::chrono::sys_seconds> date_of(const fields_view& fields, field name) noexcept {
    std::optional<std::chrono::sys_seconds> date;
    bool first = true;
    for (const std::string_view value : fields.get_all(name)) {
        if (!first) {
            return std::nullopt;
        }
        first = false;
        date = parse_date(trim(value));
    }
    return date;
}

} // namespace detail

/// Evaluates the conditions of a request, in the order that RFC 9110 gives.
///
/// A condition on a date is ignored where no date is known, or the one given is no date. Call it once the answer
/// without conditions would be a success; for anything but GET and HEAD, before the change is made.
/// Source   RFC 9110 13.1, 13.2.2.
[[nodiscard]] inline precondition evaluate(http::method m, const fields_view& fields, const validators& now) noexcept {
    const bool reads = m == http::method::get || m == http::method::head;
    if (fields.contains(field::if_match)) {
        if (!detail::lists_tag(fields, field::if_match, now, true)) {
            return precondition::failed;
        }
    } else if (const auto date = detail::date_of(fields, field::if_unmodified_since);
               date && now.modified && *now.modified > *date) {
        return precondition::failed;
    }
    if (fields.contains(field::if_none_match)) {
        if (detail::lists_tag(fields, field::if_none_match, now, false)) {
            return reads ? precondition::not_modified : precondition::failed;
        }
    } else if (reads) {
        const auto date = detail::date_of(fields, field::if_modified_since);
        if (date && now.modified && *now.modified <= *date) {
            return precondition::not_modified;
        }
    }
    return precondition::proceed;
}

/// Whether Range is to be honoured as far as If-Range says: there is none, or it names exactly these octets.
/// Source   RFC 9110 13.1.5: a tag by the strong comparison, a date if it is the same and a strong validator.
[[nodiscard]] inline bool if_range_holds(const fields_view& fields, const validators& now) noexcept {
    const auto value = fields.get(field::if_range);
    if (!value) {
        return true;
    }
    if (value->ends_with('"')) {
        const auto wanted = entity_tag::parse(*value);
        const auto current = entity_tag::parse(now.etag);
        return wanted && current && matches_strongly(*wanted, *current);
    }
    const auto date = detail::date_of(fields, field::if_range);
    return date && now.modified && now.modified_is_strong && *date == *now.modified;
}

} // namespace flux::inline FLUX_ABI::http
