// SPDX-License-Identifier: MIT
// flux/http/wire/multipart_parser.hpp - multipart content over segments as they come, sans I/O.
//
//   preamble -> delimiter -> header -> data -> delimiter -> header -> ... -> last delimiter -> done
//
// Data is handed out as spans of the segment it was given; only headers of parts are collected. A delimiter may be cut
// anywhere. What a segment ends with and what may be the start of a delimiter is kept as its length only: it is the
// start of the delimiter, octet by octet, whose text we have. Strict: CR LF everywhere, and what starts like a delimiter
// is one or is an error. Deliberately not here: what the header of a part means, reading from a connection.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/message/fields_view.hpp>
#include <flux/http/wire/errc.hpp>
#include <flux/http/wire/field_section.hpp>
#include <flux/http/wire/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace flux::inline FLUX_ABI::http {

/// Limits on multipart content, beside that of the whole body. More than a limit is answered 413.
struct multipart_limits {
    std::uint32_t max_parts = 1000;
    std::uint32_t header_octets = 8192;   ///< the header of one part
    std::uint32_t max_fields = 16;        ///< lines of the header of one part
    std::uint32_t preamble_octets = 4096; ///< before the first delimiter; they are dropped
    std::uint64_t part_octets = ~std::uint64_t{0}; ///< data of one part
};
static_assert(__is_trivially_copyable(multipart_limits));

enum class multipart_event : std::uint8_t {
    need_more, ///< the segment is used up
    part,      ///< a part begins: fields()
    data,      ///< a span of its data; call again with the rest of the segment
    part_end,  ///< the part is complete
    done,      ///< the last delimiter was read; whatever follows means nothing
    failed,    ///< see error()
};

struct multipart_step {
    multipart_event event = multipart_event::need_more;
    std::size_t consumed = 0;   ///< octets of the segment that are dealt with
    std::string_view data = {}; ///< for multipart_event::data: not empty; lives as long as segment and parser
};

/// Takes multipart content apart.
/// Cost    linear; allocates for the delimiter and for headers of parts, and keeps that memory.
/// Source  RFC 2046 5.1.1.
class multipart_parser {
public:
    /// Params  boundary  must be valid; see is_boundary().
    explicit multipart_parser(std::string_view boundary, const multipart_limits& lim = multipart_limits())
        : limits_(lim), delimiter_("\r\n--"), section_(header_limits_, detail::field_section::kind::head) {
        FLUX_CHECK(is_boundary(boundary), "multipart_parser: not a boundary");
        delimiter_ += boundary;
        header_limits_.head_octets = lim.header_octets;
        header_limits_.field_line_octets = lim.header_octets;
        header_limits_.max_fields = lim.max_fields;
    }
    multipart_parser(const multipart_parser&) = delete;
    multipart_parser& operator=(const multipart_parser&) = delete;

    /// 1 to 70 octets that may stand in a boundary, the last one no space. Source: RFC 2046 5.1.1.
    [[nodiscard]] static bool is_boundary(std::string_view text) noexcept {
        if (text.empty() || text.size() > 70 || text.back() == ' ') {
            return false;
        }
        for (const char c : text) {
            const bool word = is(c, octet_class::alpha) || is(c, octet_class::digit);
            if (!word && std::string_view("'()+_,-./:=? ").find(c) == std::string_view::npos) {
                return false;
            }
        }
        return true;
    }

    /// Looks at a segment, or at what is left of one.
    [[nodiscard]] multipart_step next(std::string_view segment) {
        std::size_t used = 0;
        for (;;) {
            const std::string_view rest = segment.substr(used);
            switch (state_) {
            case state::preamble:
            case state::data: {
                const multipart_step step = scan(rest);
                used += step.consumed;
                if (step.event == multipart_event::data && state_ == state::preamble) {
                    if (step.data.size() > limits_.preamble_octets - taken_) {
                        return fail(errc::part_too_large);
                    }
                    taken_ += step.data.size();
                    continue; // dropped
                }
                if (step.event == multipart_event::data) {
                    if (step.data.size() > limits_.part_octets - taken_) {
                        return fail(errc::part_too_large);
                    }
                    taken_ += step.data.size();
                }
                if (step.event == multipart_event::part_end) {
                    const bool was_part = state_ == state::data;
                    state_ = state::after_delimiter;
                    padding_ = 0;
                    if (!was_part) {
                        continue;
                    }
                }
                return {step.event, used, step.data};
            }
            case state::header: {
                const multipart_step step = read_header(rest);
                return {step.event, used + step.consumed, {}};
            }
            case state::done: return {multipart_event::done, used, {}};
            case state::failed: return {multipart_event::failed, used, {}};
            default: break;
            }
            if (rest.empty()) {
                return {multipart_event::need_more, used, {}};
            }
            ++used;
            if (!after_delimiter(rest.front())) {
                return fail(state_ == state::failed ? error_ : errc::malformed_multipart);
            }
        }
    }

    /// The header of the part that began last. Valid until the next part begins.
    [[nodiscard]] fields_view fields() const noexcept {
        return {header_.data(), entries_.begin(), entries_.size(), section_.present(), section_.repeated()};
    }
    [[nodiscard]] errc error() const noexcept { return error_; }
    /// Parts that began so far.
    [[nodiscard]] std::uint32_t parts() const noexcept { return parts_; }

private:
    enum class state : std::uint8_t { preamble, after_delimiter, dash, line_feed, header, data, done, failed };

    multipart_step fail(errc code) noexcept {
        state_ = state::failed;
        error_ = code;
        return {multipart_event::failed, 0, {}};
    }

    // Data up to a delimiter, or the delimiter: part_end. Octets of earlier segments that turned out to be data are
    // handed out from the text of the delimiter.
    [[nodiscard]] multipart_step scan(std::string_view segment) noexcept {
        if (matched_ != 0) {
            std::size_t n = 0;
            while (n < segment.size() && matched_ + n < delimiter_.size() && segment[n] == delimiter_[matched_ + n]) {
                ++n;
            }
            if (matched_ + n == delimiter_.size()) {
                matched_ = assumed_ = 0;
                return {multipart_event::part_end, n, {}};
            }
            if (n == segment.size()) {
                matched_ += n;
                return {multipart_event::need_more, n, {}};
            }
            // CR is only at the start of a delimiter, so none of these octets can start another one.
            const std::string_view held = std::string_view(delimiter_).substr(assumed_, matched_ - assumed_);
            matched_ = assumed_ = 0;
            if (!held.empty()) {
                return {multipart_event::data, 0, held};
            }
        }
        for (std::size_t at = segment.find('\r'); at != std::string_view::npos; at = segment.find('\r', at + 1)) {
            const std::string_view here = segment.substr(at, delimiter_.size());
            if (!std::string_view(delimiter_).starts_with(here)) {
                continue;
            }
            if (at != 0) {
                return {multipart_event::data, at, segment.substr(0, at)};
            }
            if (here.size() == delimiter_.size()) {
                return {multipart_event::part_end, here.size(), {}};
            }
            matched_ = here.size();
            return {multipart_event::need_more, here.size(), {}};
        }
        return segment.empty() ? multipart_step() : multipart_step{multipart_event::data, segment.size(), segment};
    }

    // One octet behind the boundary: "--", or white space and CR LF. False: neither.
    [[nodiscard]] bool after_delimiter(char c) {
        switch (state_) {
        case state::after_delimiter:
            if (c == ' ' || c == '\t') {
                return ++padding_ <= 64; // transport padding, which nobody has a use for
            }
            if (c == '-' && padding_ == 0) {
                state_ = state::dash;
                return true;
            }
            state_ = state::line_feed;
            return c == '\r';
        case state::dash: state_ = state::done; return c == '-';
        case state::line_feed:
            if (c != '\n') {
                return false;
            }
            if (parts_ == limits_.max_parts) {
                static_cast<void>(fail(errc::too_many_parts));
                return false;
            }
            ++parts_;
            state_ = state::header;
            header_.clear();
            entries_.clear();
            section_.begin(0);
            return true;
        default: return false;
        }
    }

    [[nodiscard]] multipart_step read_header(std::string_view segment) {
        const std::size_t before = header_.size();
        header_.append(segment.substr(0, limits_.header_octets - std::min<std::size_t>(before, limits_.header_octets)));
        switch (section_.parse(header_.data(), header_.size(), entries_)) {
        case parse_state::need_more: return {multipart_event::need_more, segment.size(), {}};
        case parse_state::failed: break;
        case parse_state::done: {
            const std::size_t consumed = section_.position() - before;
            header_.resize(section_.position());
            state_ = state::data;
            taken_ = 0;
            matched_ = assumed_ = 2; // the line end of the header may be that of the delimiter, if there is no data
            return {multipart_event::part, consumed, {}};
        }
        }
        const errc why = section_.error();
        const bool large = why == errc::head_too_large || why == errc::field_too_large || why == errc::too_many_fields;
        return fail(large ? errc::part_too_large : errc::malformed_multipart);
    }

    multipart_limits limits_;
    limits header_limits_;
    std::string delimiter_; // with the line end before it
    std::string header_;
    field_storage entries_;
    detail::field_section section_;
    std::uint64_t taken_ = 0;   // of the preamble or the part
    std::size_t matched_ = 2;   // octets of a delimiter at the end of what was seen
    std::size_t assumed_ = 2;   // how many of them were not there: content may begin with a delimiter
    std::uint32_t parts_ = 0;
    std::uint8_t padding_ = 0;
    state state_ = state::preamble;
    errc error_ = errc::none;
};

} // namespace flux::inline FLUX_ABI::http
