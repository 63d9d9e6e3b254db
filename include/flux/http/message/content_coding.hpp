// SPDX-License-Identifier: MIT
// flux/http/message/content_coding.hpp - which content coding a client prefers: Accept-Encoding with its weights.
//
// Deliberately not here: coding and decoding (flux/zlib.hpp).
#pragma once

#include <flux/http/message/field_list.hpp>
#include <flux/http/message/fields_view.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// A weight: `0`, `1`, `0.5`, `0.125`, ... in thousandths. Returns: nothing for anything else.
/// Source   RFC 9110 12.4.2.
[[nodiscard]] constexpr std::optional<unsigned> parse_weight(std::string_view text) noexcept {
    if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1') || (text.size() > 1 && text[1] != '.')) {
        return std::nullopt;
    }
    unsigned n = text[0] == '1' ? 1000 : 0;
    unsigned unit = 100;
    for (std::size_t i = 2; i < text.size(); ++i, unit /= 10) {
        if (!is(text[i], octet_class::digit)) {
            return std::nullopt;
        }
        n += unit * static_cast<unsigned>(text[i] - '0');
    }
    return n <= 1000 ? std::optional<unsigned>(n) : std::nullopt;
}

/// What Accept-Encoding says about content codings.
///
///     const accepted_codings accepts(req.fields());
///     if (accepts.prefers("gzip")) { ... }
///
/// A client that sends no such field gets content without a coding: it may be anything, and everything understands that.
/// Threads  as a value; borrows the fields.
/// Source   RFC 9110 12.5.3.
class accepted_codings {
public:
    explicit accepted_codings(const fields_view& request) noexcept : fields_(request) {}

    /// The weight of a coding in thousandths; 0: not accepted. "*" stands for codings that are not named.
    /// A weight that is malformed counts as 0.
    [[nodiscard]] unsigned weight(std::string_view coding) const noexcept {
        const int named = find(coding);
        const int w = named >= 0 ? named : find("*");
        return w >= 0 ? static_cast<unsigned>(w) : 0;
    }
    /// The weight of content without a coding: 0 only if it, or everything that is not named, is refused; 1, the
    /// least, if nothing is said about it.
    [[nodiscard]] unsigned weight_of_identity() const noexcept {
        if (const int named = find("identity"); named >= 0) {
            return static_cast<unsigned>(named);
        }
        return find("*") == 0 ? 0 : 1;
    }
    /// Whether content in this coding is accepted, and not less welcome than without a coding.
    [[nodiscard]] bool prefers(std::string_view coding) const noexcept {
        const unsigned w = weight(coding);
        return w != 0 && w >= weight_of_identity();
    }
    /// The coding with the largest weight, the first one of equals; nothing if none is preferred to no coding.
    [[nodiscard]] std::optional<std::size_t> best_of(std::span<const std::string_view> codings) const noexcept {
        const std::size_t best = best_of(codings.data(), codings.size());
        return best < codings.size() ? std::optional<std::size_t>(best) : std::nullopt;
    }
    // The same of an array; `count` if none is preferred.
    [[nodiscard]] std::size_t best_of(const std::string_view* codings, std::size_t count) const noexcept {
        std::size_t best = count;
        for (std::size_t i = 0; i < count; ++i) {
            if (prefers(codings[i]) && (best == count || weight(codings[i]) > weight(codings[best]))) {
                best = i;
            }
        }
        return best;
    }

private:
    // gzip and x-gzip are one coding [RFC 9110 8.4.1.3].
    [[nodiscard]] static constexpr std::string_view without_x(std::string_view name) noexcept {
        return iequals(name, "x-gzip") ? name.substr(2) : name;
    }
    // In thousandths; -1: not named.
    [[nodiscard]] int find(std::string_view coding) const noexcept {
        coding = without_x(coding);
        for (const std::string_view line : fields_.get_all(field::accept_encoding)) {
            for (const std::string_view element : list_elements(line)) {
                const std::size_t end = element.find(';');
                if (!iequals(without_x(trim(element.substr(0, end))), coding)) {
                    continue;
                }
                int w = 1000;
                for (const std::string_view piece : semicolon_elements(element.substr(end == std::string_view::npos ? element.size() : end))) {
                    if (const parameter p = to_parameter(piece); iequals(p.name, "q")) {
                        const auto said = parse_weight(p.value);
                        w = said ? static_cast<int>(*said) : 0;
                    }
                }
                return w;
            }
        }
        return -1;
    }

    fields_view fields_;
};

} // namespace flux::inline FLUX_ABI::http
