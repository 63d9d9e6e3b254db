// SPDX-License-Identifier: MIT
// flux/http/wire/response_parser.hpp - response heads from octets; see head_parser.hpp for what both parsers promise.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/message/head.hpp>
#include <flux/http/wire/head_parser_base.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// Reads the head of one response: status line, field lines, empty line. Nothing may come before it.
///
/// The space before an empty reason phrase may be missing, as many servers leave it out. The status is 100 to 999.
///
/// Params, Threads, Cost  as request_parser.
/// Source   RFC 9112 4, 5.
class response_parser : public detail::head_parser {
public:
    response_parser(const limits& lim, field_storage& storage) noexcept : head_parser(lim, storage) { reset(); }

    /// Makes ready for the next head.
    void reset() noexcept {
        restart();
        state_ = state::status_line;
    }

    /// As request_parser::parse().
    [[nodiscard]] parse_state parse(std::string_view octets) {
        if (outcome_ != parse_state::need_more) {
            return outcome_;
        }
        if (state_ != state::fields) {
            const parse_state s = parse_start_line(octets);
            if (s != parse_state::done) {
                return s;
            }
        }
        return parse_fields(octets);
    }

    /// The parsed head. Call only when done. Params: as request_parser::head().
    [[nodiscard]] response_head head(std::string_view octets) const noexcept {
        FLUX_CHECK(outcome_ == parse_state::done && octets.size() >= at_, "head() of an unfinished response");
        return {.status = static_cast<http::status>(status_),
                .version = version_,
                .reason = {octets.data() + reason_, reason_size_},
                .fields = view(octets.data())};
    }

private:
    enum class state : std::uint8_t { status_line, after_status, reason, line_lf, fields };

    [[nodiscard]] parse_state parse_start_line(std::string_view octets) noexcept {
        const char* const base = octets.data();
        const char* p = base + at_;
        const char* const end = base + std::min<std::size_t>(octets.size(), bound_);
        switch (state_) {
        case state::status_line:
            if (p == base && end - p >= 8 && detail::starts_with_word<std::uint64_t>(p, "HTTP/1.1")) {
                p += 8;
            }
            for (; p - base < 12; ++p) { // "HTTP/1.1 200"
                if (p == end) {
                    return pause(base, p);
                }
                if (const errc e = judge(base, p); e != errc::none) {
                    return fail(e, base, e == errc::version_not_supported ? base + 5 : p);
                }
            }
            status_ = static_cast<std::uint16_t>((base[9] - '0') * 100 + (base[10] - '0') * 10 + (base[11] - '0'));
            version_ = base[7] == '0' ? version::http_1_0 : version::http_1_1;
            reason_ = 12;
            reason_size_ = 0;
            state_ = state::after_status;
            [[fallthrough]];
        case state::after_status:
            if (p == end) {
                return pause(base, p);
            }
            if (*p == ' ') {
                ++p;
                reason_ = 13;
            } else if (*p != '\r') {
                return fail(*p == '\n' ? errc::bad_line_ending : errc::bad_status_line, base, p);
            }
            state_ = state::reason;
            [[fallthrough]];
        case state::reason:
            p = detail::scan_field_value(p, end, base);
            if (p == end) {
                return pause(base, p);
            }
            if (*p != '\r') {
                return fail(*p == '\n' ? errc::bad_line_ending : errc::bad_status_line, base, p);
            }
            reason_size_ = static_cast<std::uint32_t>(p - base) - reason_;
            ++p;
            state_ = state::line_lf;
            [[fallthrough]];
        case state::line_lf:
            if (p == end) {
                return pause(base, p);
            }
            if (*p != '\n') {
                return fail(errc::bad_line_ending, base, p);
            }
            begin_fields(base, p + 1);
            state_ = state::fields;
            return parse_state::done;
        case state::fields:
            break;
        }
        return parse_state::done;
    }

    // One octet of "HTTP/d.d ddd", where the first digit of the status is not 0.
    [[nodiscard]] static errc judge(const char* base, const char* p) noexcept {
        constexpr std::string_view form = "HTTP/0.0 100"; // 0 stands for any digit, 1 for 1 to 9
        const auto i = static_cast<std::size_t>(p - base);
        const bool fits = form[i] == '0'   ? is(*p, octet_class::digit)
                          : form[i] == '1' ? *p != '0' && is(*p, octet_class::digit)
                                           : *p == form[i];
        if (!fits) {
            return i < 8 ? errc::bad_version : errc::bad_status_line;
        }
        return i == 7 && base[5] != '1' ? errc::version_not_supported : errc::none;
    }

    std::uint32_t reason_ = 0;
    std::uint32_t reason_size_ = 0;
    std::uint16_t status_ = 0;
    state state_ = state::status_line;
    http::version version_ = http::version::http_1_1;
};

} // namespace flux::inline FLUX_ABI::http
