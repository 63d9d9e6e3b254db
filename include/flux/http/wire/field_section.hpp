// SPDX-License-Identifier: MIT
// flux/http/wire/field_section.hpp - the field lines of heads and of trailers, read as far as octets are there.
//
//   line_start -> name -> space -> value -> value_lf -> line_start -> ... -> section_lf -> done
//
// Each state consumes a run of octets and remembers where it stopped, so that a section that comes in pieces
// costs linear work and is judged octet by octet the same as when it comes whole. Limits are applied by
// shortening the readable range, never after the fact: also their errors do not depend on the pieces.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/message/fields_view.hpp>
#include <flux/http/message/scan.hpp>
#include <flux/http/wire/errc.hpp>
#include <flux/http/wire/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace flux::inline FLUX_ABI::http {

/// What a parser says after it has seen some octets.
enum class parse_state : std::uint8_t {
    need_more, ///< all octets were acceptable; call again with more
    done,      ///< the thing is complete
    failed,    ///< it cannot become acceptable; ask for the error
};

namespace detail {

class field_section {
public:
    enum class kind : std::uint8_t { head, trailers };

    explicit field_section(const limits& lim, kind k) noexcept : limits_(&lim), kind_(k) {}

    // Params  at  where the first field line starts; what comes before it counts for the limit of a head
    void begin(std::uint32_t at) noexcept {
        at_ = at;
        state_ = state::line_start;
        present_ = {};
        repeated_ = {};
    }

    [[nodiscard]] std::uint32_t position() const noexcept { return at_; }
    [[nodiscard]] errc error() const noexcept { return error_; }
    [[nodiscard]] field_set present() const noexcept { return present_; }
    [[nodiscard]] field_set repeated() const noexcept { return repeated_; }

    // Appends the complete lines of [base, base + size) to `out`. After `done`, position() is behind the empty
    // line; after `failed`, position() is the offending octet and error() says why.
    [[nodiscard]] parse_state parse(const char* base, std::size_t size, field_storage& out) {
        if (state_ == state::line_start &&
            take_usual_lines(base, base + std::min<std::size_t>(size, max_octets()), out)) {
            return parse_state::done;
        }
        return parse_by_state(base, size, out);
    }

private:
    enum class state : std::uint8_t { line_start, name, space, value, value_lf, section_lf };

    [[nodiscard, gnu::noinline]] parse_state parse_by_state(const char* base, std::size_t size, field_storage& out) {
        const char* p = base + at_;
        const std::uint32_t end_limit = max_octets();
        const char* const section_end = base + std::min<std::size_t>(size, end_limit);
        const char* end = section_end; // while in a line: of the line
        state s = state_;
        if (s != state::line_start && s != state::section_lf) {
            end = base + std::min<std::size_t>(size, bound_);
        }
        for (;;) {
            switch (s) {
            case state::line_start:
                bound_ = end_limit;
                if (p == end) {
                    return pause(s, base, p);
                }
                if (*p == '\r') {
                    ++p;
                    s = state::section_lf;
                    continue;
                }
                if (*p == ' ' || *p == '\t') {
                    return fail(errc::obs_fold, base, p);
                }
                if (out.size() >= max_lines()) {
                    return fail(kind_ == kind::head ? errc::too_many_fields : errc::trailers_too_large, base, p);
                }
                line_ = static_cast<std::uint32_t>(p - base);
                bound_ =
                    end_limit - line_ < limits_->field_line_octets ? end_limit : line_ + limits_->field_line_octets;
                end = base + std::min<std::size_t>(size, bound_);
                s = state::name;
                [[fallthrough]];
            case state::name: {
                p = scan_token(p, end, base);
                if (p == end) {
                    return pause(s, base, p);
                }
                const char* const name = base + line_;
                const auto n = static_cast<std::size_t>(p - name);
                if (*p != ':' || n == 0) {
                    return fail(name_error(*p, n), base, p);
                }
                if (n > 0xffff) {
                    return fail(errc::field_too_large, base, p);
                }
                id_ = to_field({name, n});
                name_size_ = static_cast<std::uint16_t>(n);
                ++p;
                s = state::space;
            }
                [[fallthrough]];
            case state::space:
                while (p != end && (*p == ' ' || *p == '\t')) {
                    ++p;
                }
                if (p == end) {
                    return pause(s, base, p);
                }
                value_ = static_cast<std::uint32_t>(p - base);
                s = state::value;
                [[fallthrough]];
            case state::value:
                p = scan_field_value(p, end, base);
                if (p == end) {
                    return pause(s, base, p);
                }
                if (*p != '\r') {
                    return fail(*p == '\n' ? errc::bad_line_ending : errc::bad_field_value, base, p);
                }
                ++p;
                s = state::value_lf;
                [[fallthrough]];
            case state::value_lf:
                if (p == end) {
                    return pause(s, base, p);
                }
                if (*p != '\n') {
                    return fail(errc::bad_line_ending, base, p);
                }
                out.push_back({line_, value_, value_size(base + value_, p - 1), name_size_, id_});
                repeated_.insert(present_ & field_set(id_));
                present_.insert(id_);
                ++p;
                end = section_end;
                s = state::line_start;
                at_ = static_cast<std::uint32_t>(p - base);
                if (take_usual_lines(base, end, out)) {
                    return parse_state::done;
                }
                p = base + at_;
                continue;
            case state::section_lf:
                if (p == end) {
                    return pause(s, base, p);
                }
                if (*p != '\n') {
                    return fail(errc::bad_line_ending, base, p);
                }
                at_ = static_cast<std::uint32_t>(p + 1 - base);
                return parse_state::done;
            }
        }
    }

    [[nodiscard]] std::uint32_t max_octets() const noexcept {
        return kind_ == kind::head ? limits_->head_octets : limits_->trailer_octets;
    }
    [[nodiscard]] std::uint32_t max_lines() const noexcept {
        return kind_ == kind::head ? limits_->max_fields : limits_->max_trailers;
    }

    // Takes complete lines that need no second look, from at_ on, and the empty line if they reach it: then true.
    // at_ is where the first other line starts. Tried once per line, so that work stays linear.
    [[nodiscard]] bool take_usual_lines(const char* base, const char* end, field_storage& out) {
        const std::ptrdiff_t line_limit = limits_->field_line_octets;
        const char* p = base + at_;
        for (std::size_t room = max_lines() - std::min<std::size_t>(out.size(), max_lines()); end - p >= 4; --room) {
            const char* const name = p;
            std::size_t n = near_colon(name, end, base);
            const bool near = n < 16;
            field id = near ? to_field({name, n}) : field::other; // a well-known name is also a valid one
            if (id == field::other) {
                n = static_cast<std::size_t>(scan_token(name, end, base) - name);
                id = near ? field::other : to_field({name, n});
            }
            // Room for ":", a space and one octet; a name, a colon; a value that neither is empty nor starts with
            // a second space: everything else is for the states.
            if (end - name < static_cast<std::ptrdiff_t>(n + 3) || n - 1 >= 0xffff || name[n] != ':' || room == 0) {
                break;
            }
            const char* const value = name + n + (name[n + 1] == ' ' ? 2 : 1);
            if (static_cast<unsigned char>(*value) <= ' ') {
                break;
            }
            const char* const stop = scan_field_value(value, end, base);
            if (end - stop < 2 || !is_crlf(stop) || stop + 2 - name > line_limit) {
                break;
            }
            p = stop + 2;
            out.push_back({static_cast<std::uint32_t>(name - base), static_cast<std::uint32_t>(value - base),
                           value_size(value, stop), static_cast<std::uint16_t>(n), id});
            repeated_.insert(present_ & field_set(id));
            present_.insert(id);
            if (end - p >= 2 && is_crlf(p)) {
                at_ = static_cast<std::uint32_t>(p + 2 - base);
                return true;
            }
        }
        at_ = static_cast<std::uint32_t>(p - base);
        return false;
    }
    [[nodiscard]] static bool is_crlf(const char* p) noexcept {
        std::uint16_t have;
        std::uint16_t want;
        std::memcpy(&have, p, 2);
        std::memcpy(&want, "\r\n", 2);
        return have == want;
    }
    // Without the whitespace at the end.
    [[nodiscard]] static std::uint32_t value_size(const char* value, const char* end) noexcept {
        while (end != value && (end[-1] == ' ' || end[-1] == '\t')) {
            --end;
        }
        return static_cast<std::uint32_t>(end - value);
    }
    [[nodiscard]] static errc name_error(char stop, std::size_t name_size) noexcept {
        if (name_size == 0) {
            return errc::bad_field_name;
        }
        switch (stop) {
        case ' ':
        case '\t':
            return errc::space_before_colon;
        case '\r':
        case '\n':
            return errc::missing_colon;
        default:
            return errc::bad_field_name;
        }
    }
    [[nodiscard]] parse_state pause(state s, const char* base, const char* p) noexcept {
        state_ = s;
        at_ = static_cast<std::uint32_t>(p - base);
        if (at_ < bound_) {
            return parse_state::need_more;
        }
        const bool whole = bound_ == (kind_ == kind::head ? limits_->head_octets : limits_->trailer_octets);
        const errc over = kind_ == kind::head ? errc::head_too_large : errc::trailers_too_large;
        error_ = whole ? over : errc::field_too_large;
        return parse_state::failed;
    }
    [[nodiscard]] parse_state fail(errc code, const char* base, const char* p) noexcept {
        at_ = static_cast<std::uint32_t>(p - base);
        error_ = code;
        return parse_state::failed;
    }

    const limits* limits_;
    std::uint32_t at_ = 0;    // octets already judged
    std::uint32_t bound_ = 0; // what the current line, or between lines the section, must not exceed
    std::uint32_t line_ = 0;  // start of the current line, which is that of its name
    std::uint32_t value_ = 0;
    std::uint16_t name_size_ = 0;
    field id_ = field::other;
    kind kind_;
    state state_ = state::line_start;
    errc error_ = errc::none;
    field_set present_;
    field_set repeated_;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
