// SPDX-License-Identifier: MIT
// flux/http/message/range.hpp - which octets of a representation a Range field asks for.
//
//   "bytes=0-99,-50" + size --select_ranges()--> whole (200) | ranges (206) | none (416)
//
// Decides as the servers do that clients are used to: a malformed value of the unit bytes asks for nothing (416), one
// that asks for more octets than there are, or for too many ranges, gets the whole (200). Deliberately not here: If-Range
// (conditional.hpp), the answer.
#pragma once

#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// Octets first, first + 1, ... of a representation; never empty.
struct byte_range {
    std::uint64_t first = 0;
    std::uint64_t size = 0;
    [[nodiscard]] friend constexpr bool operator==(const byte_range&, const byte_range&) noexcept = default;
};

enum class range_answer : std::uint8_t {
    whole,         ///< the Range field says nothing, or is not honoured: 200
    partial,       ///< 206 with the selected ranges
    unsatisfiable, ///< 416 with `Content-Range: bytes */size`
};

/// The octets that a request asks for. As a value, without allocation.
class range_selection {
public:
    /// Ranges of one answer. Each of them costs a part of the answer, and a read.
    static constexpr std::size_t max_ranges = 16;

    constexpr explicit range_selection(range_answer a = range_answer::whole) noexcept : answer_(a) {}

    [[nodiscard]] constexpr range_answer answer() const noexcept { return answer_; }
    /// 1 to max_ranges for range_answer::partial, else 0. In the order asked for; they may overlap.
    [[nodiscard]] constexpr std::size_t size() const noexcept { return count_; }
    /// i < size().
    [[nodiscard]] constexpr const byte_range& operator[](std::size_t i) const noexcept { return ranges_[i]; }
    [[nodiscard]] constexpr const byte_range* begin() const noexcept { return ranges_; }
    [[nodiscard]] constexpr const byte_range* end() const noexcept { return ranges_ + count_; }

    // For select_ranges(). False: too many.
    constexpr bool add(byte_range r) noexcept {
        if (count_ == max_ranges) {
            return false;
        }
        answer_ = range_answer::partial;
        ranges_[count_++] = r;
        return true;
    }

private:
    byte_range ranges_[max_ranges];
    std::size_t count_ = 0;
    range_answer answer_;
};

namespace detail {

class range_reader {
public:
    constexpr explicit range_reader(std::string_view text) noexcept : rest_(text) {}

    constexpr void skip_spaces() noexcept {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) {
            rest_.remove_prefix(1);
        }
    }
    [[nodiscard]] constexpr bool at(char c) const noexcept { return !rest_.empty() && rest_.front() == c; }
    [[nodiscard]] constexpr bool at_end() const noexcept { return rest_.empty(); }
    [[nodiscard]] constexpr bool take(char c) noexcept {
        const bool there = at(c);
        rest_.remove_prefix(there ? 1 : 0);
        return there;
    }
    // False: no digit, or 2^63 or more.
    [[nodiscard]] constexpr bool number(std::uint64_t& n) noexcept {
        std::size_t digits = 0;
        while (digits < rest_.size() && is(rest_[digits], octet_class::digit)) {
            ++digits;
        }
        const bool ok = parse_decimal(rest_.substr(0, digits), INT64_MAX, n);
        rest_.remove_prefix(digits);
        return ok;
    }

private:
    std::string_view rest_;
};

// One range of a set. `malformed`: no range at all; an empty `range`: one that selects nothing.
struct range_spec {
    byte_range range;
    bool malformed = false;
    bool from_start = false; ///< begins with the first octet, whether or not there is one
};

[[nodiscard]] constexpr range_spec read_range_spec(range_reader& in, std::uint64_t size) noexcept {
    range_spec spec;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    if (in.take('-')) {
        spec.malformed = !in.number(last);
        const std::uint64_t length = last < size ? last : size;
        spec.range = {size - length, length};
        spec.from_start = length == size;
        return spec;
    }
    spec.malformed = !in.number(first);
    in.skip_spaces();
    spec.malformed = spec.malformed || !in.take('-');
    in.skip_spaces();
    if (spec.malformed) {
        return spec;
    }
    const bool is_open = in.at_end() || in.at(',');
    if (!is_open && !in.number(last)) {
        spec.malformed = true;
    }
    const std::uint64_t end = is_open || last >= size ? size : last + 1;
    spec.range = {first, first < end ? end - first : 0};
    spec.from_start = first == 0;
    return spec;
}

} // namespace detail

/// Selects the octets that a Range field asks for.
///
/// Params   value  of the field; empty if there is none.
///          size   octets of the representation.
///          most   ranges that are honoured, at most range_selection::max_ranges; with more of them the whole is sent.
/// Returns  whole for other units than bytes, for more ranges than `most`, and for ranges that are larger in sum than
///          the representation: honouring them costs more than it saves. Unsatisfiable if no range overlaps the
///          representation, or the value is malformed. Otherwise the ranges that overlap it, cut to its size.
/// Source   RFC 9110 14.1.2, 14.2, 17.15 (abuse).
[[nodiscard]] constexpr range_selection select_ranges(std::string_view value, std::uint64_t size,
                                                      std::size_t most = range_selection::max_ranges) noexcept {
    constexpr std::string_view unit = "bytes=";
    if (value.size() <= unit.size() || !iequals(value.substr(0, unit.size()), unit)) {
        return range_selection();
    }
    const range_selection none(range_answer::unsatisfiable);
    range_selection selected = none;
    detail::range_reader in(value.substr(unit.size()));
    std::uint64_t sum = 0;
    bool too_much = false;
    do {
        in.skip_spaces();
        const detail::range_spec spec = detail::read_range_spec(in, size);
        in.skip_spaces();
        if (spec.malformed || (!in.at_end() && !in.at(','))) {
            return none;
        }
        if (spec.range.size == 0 && spec.from_start && size == 0) {
            return range_selection(); // all octets of an empty representation
        }
        if (spec.range.size != 0 && !too_much) {
            if (selected.size() == most || !selected.add(spec.range)) {
                return range_selection();
            }
            sum += spec.range.size;
            too_much = sum > size;
        }
    } while (in.take(','));
    return too_much ? range_selection() : selected;
}

/// The value of Content-Range for one range of a representation: `bytes 0-99/1234`.
[[nodiscard]] inline std::string content_range(byte_range r, std::uint64_t size) {
    std::string text = "bytes ";
    text += std::to_string(r.first);
    text += '-';
    text += std::to_string(r.first + r.size - 1);
    text += '/';
    text += std::to_string(size);
    return text;
}
/// The value of Content-Range of a 416 answer.
[[nodiscard]] inline std::string content_range_of_none(std::uint64_t size) {
    std::string text = "bytes */";
    text += std::to_string(size);
    return text;
}

} // namespace flux::inline FLUX_ABI::http
