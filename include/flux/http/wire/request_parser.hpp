// SPDX-License-Identifier: MIT
// flux/http/wire/request_parser.hpp - request heads from octets; see head_parser.hpp for what both parsers promise.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/message/head.hpp>
#include <flux/http/message/host.hpp>
#include <flux/http/message/scan.hpp>
#include <flux/http/wire/head_parser_base.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// Reads the head of one request: an empty line if limits allow it, request line, field lines, empty line.
///
/// Accepts HTTP/1.0 and HTTP/1.1 (1.2 to 1.9 count as 1.1). Requires exactly one valid Host in 1.1, at most one in
/// 1.0; an absolute target wins over Host. Checks that the form of the target fits the method.
///
/// Params   lim      borrowed; must outlive the parser.
///          storage  where the entries go: borrowed, must outlive the parser and the heads it returns; cleared by
///                   reset(). Give it capacity once and parsing never allocates.
/// Threads  one at a time.
/// Cost     linear in the octets, however often parse() is called; no allocation but growth of `storage`.
/// Source   RFC 9112 2.2, 2.3, 3, 5; RFC 9110 5.5, 7.2.
class request_parser : public detail::head_parser {
public:
    request_parser(const limits& lim, field_storage& storage) noexcept : head_parser(lim, storage) { reset(); }

    /// Makes ready for the next head.
    void reset() noexcept {
        restart();
        state_ = state::start;
        empty_lines_ = 0;
    }

    /// Continues with all octets of the head so far.
    ///
    /// Params   octets  starts with the first octet of the head, and with everything that was there before;
    ///                  octets beyond the head are not looked at.
    /// Returns  done: head() and consumed() are valid. failed: error() says why, and parse() stays failed.
    [[nodiscard]] parse_state parse(std::string_view octets) {
        if (outcome_ != parse_state::need_more) {
            return outcome_;
        }
        if (state_ != state::fields && !take_usual_line(octets)) {
            const parse_state s = parse_start_line(octets);
            if (s != parse_state::done) {
                return s;
            }
        }
        const parse_state s = parse_fields(octets);
        return s == parse_state::done ? finish(octets.data()) : s;
    }

    /// The method, once the request line is whole; before that, and if it is none, method::other.
    [[nodiscard]] http::method method() const noexcept {
        return state_ == state::fields ? method_ : http::method::other;
    }

    /// The parsed head. Call only when done.
    /// Params  octets  as for the last parse(), at whatever address it is now.
    [[nodiscard]] request_head head(std::string_view octets) const noexcept {
        request_head parsed;
        read_head(octets, parsed);
        return parsed;
    }
    /// The same, put where it is to stay: sets every member of `parsed`.
    void read_head(std::string_view octets, request_head& parsed) const noexcept {
        FLUX_CHECK(outcome_ == parse_state::done && octets.size() >= at_, "head() of an unfinished request");
        const char* const base = octets.data();
        const char* const path = base + path_;
        const char* const target_end = base + target_ + target_size_;
        const char* const question = detail::find_octet(path, target_end, base + at_, '?');
        parsed.method = method_;
        parsed.form = form_;
        parsed.version = version_;
        parsed.method_token = {base + start_, method_size_};
        parsed.target = {base + target_, target_size_};
        parsed.authority = {base + authority_, authority_size_};
        parsed.path = {path, static_cast<std::size_t>(question - path)};
        parsed.has_query = question != target_end;
        parsed.query = {};
        if (parsed.has_query) {
            parsed.query = {question + 1, static_cast<std::size_t>(target_end - question - 1)};
        }
        if (question == path && form_ == target_form::absolute) {
            parsed.path = "/";
        }
        parsed.fields = view(base);
    }

private:
    enum class state : std::uint8_t { start, start_lf, method, target, version, version_cr, line_lf, fields };

    [[nodiscard, gnu::noinline]] parse_state parse_start_line(std::string_view octets) noexcept {
        const char* const base = octets.data();
        const char* p = base + at_;
        const char* end = base + std::min<std::size_t>(octets.size(), bound_);
        for (;;) {
            switch (state_) {
            case state::start:
                if (p == end) {
                    return pause(base, p);
                }
                if (*p == '\r' || *p == '\n') {
                    if (*p == '\n') {
                        return fail(errc::bad_line_ending, base, p);
                    }
                    if (empty_lines_ >= limits_->empty_lines) {
                        return fail(errc::too_many_empty_lines, base, p);
                    }
                    ++p;
                    state_ = state::start_lf;
                    continue;
                }
                state_ = state::method;
                [[fallthrough]];
            case state::method:
                p = detail::scan_class(p, end, octet_class::token);
                if (p == end) {
                    return pause(base, p);
                }
                if (*p != ' ' || p == base + start_) {
                    const bool ended = *p == '\r' || *p == '\n';
                    return fail(ended ? errc::bad_request_line : errc::bad_method, base, p);
                }
                method_size_ = static_cast<std::uint32_t>(p - base) - start_;
                method_ = to_method({base + start_, method_size_});
                ++p;
                target_ = static_cast<std::uint32_t>(p - base);
                state_ = state::target;
                [[fallthrough]];
            case state::target:
                p = detail::scan_target(p, end, base);
                if (p == end) {
                    return pause(base, p);
                }
                if (*p != ' ' || p == base + target_) {
                    const bool ended = *p == '\r' || *p == '\n';
                    return fail(ended ? errc::bad_request_line : errc::bad_target, base, p);
                }
                target_size_ = static_cast<std::uint32_t>(p - base) - target_;
                if (const errc e = classify_target(base); e != errc::none) {
                    return fail(e, target_);
                }
                ++p;
                state_ = state::version;
                [[fallthrough]];
            case state::version: {
                const char* const text = base + target_ + target_size_ + 1;
                for (; p - text < 8; ++p) {
                    if (p == end) {
                        return pause(base, p);
                    }
                    if (!is_version_octet(*p, p - text)) {
                        return fail(errc::bad_version, base, p);
                    }
                }
                if (text[5] != '1') {
                    return fail(errc::version_not_supported, base, text + 5);
                }
                version_ = text[7] == '0' ? version::http_1_0 : version::http_1_1;
                state_ = state::version_cr;
            }
                [[fallthrough]];
            case state::version_cr:
                if (p == end) {
                    return pause(base, p);
                }
                if (*p != '\r') {
                    return fail(*p == '\n' ? errc::bad_line_ending : errc::bad_version, base, p);
                }
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
                return start_line_done(base, p + 1);
            case state::start_lf:
                if (p == end) {
                    return pause(base, p);
                }
                if (*p != '\n') {
                    return fail(errc::bad_line_ending, base, p);
                }
                ++p;
                ++empty_lines_;
                set_bound(static_cast<std::uint32_t>(p - base));
                end = base + std::min<std::size_t>(octets.size(), bound_);
                state_ = state::start;
                continue;
            case state::fields:
                return parse_state::done;
            }
        }
    }

    // `GET /path HTTP/1.1` CRLF as the first octets, complete, with one of four methods, in one go. If it is
    // anything else nothing is changed, and the line is judged state by state.
    [[nodiscard]] bool take_usual_line(std::string_view octets) noexcept {
        const char* const base = octets.data();
        const char* const end = base + std::min<std::size_t>(octets.size(), bound_);
        if (at_ != 0 || end - base < 16) {
            return false;
        }
        std::uint32_t method_size = 3;
        http::method m;
        if (detail::starts_with_word<std::uint32_t>(base, "GET ")) {
            m = method::get;
        } else if (detail::starts_with_word<std::uint32_t>(base, "POST")) {
            m = method::post;
            method_size = 4;
        } else if (detail::starts_with_word<std::uint32_t>(base, "HEAD")) {
            m = method::head;
            method_size = 4;
        } else if (detail::starts_with_word<std::uint32_t>(base, "PUT ")) {
            m = method::put;
        } else {
            return false;
        }
        const char* const target = base + method_size + 1;
        if (target[-1] != ' ' || target[0] != '/') {
            return false;
        }
        const char* const p = detail::scan_target(target, end, base);
        if (end - p < 11 || *p != ' ' || !detail::starts_with_word<std::uint64_t>(p + 1, "HTTP/1.1") ||
            !detail::starts_with_word<std::uint16_t>(p + 9, "\r\n")) {
            return false;
        }
        method_ = m;
        method_size_ = method_size;
        target_ = path_ = method_size + 1;
        target_size_ = static_cast<std::uint32_t>(p - target);
        authority_size_ = 0;
        form_ = target_form::origin;
        version_ = version::http_1_1;
        begin_fields(base, p + 11);
        state_ = state::fields;
        return true;
    }

    // Source: RFC 9112 3.2. The octets have been checked; this is about the form and its authority.
    [[nodiscard]] errc classify_target(const char* base) noexcept {
        const std::string_view target(base + target_, target_size_);
        path_ = target_;
        authority_size_ = 0;
        form_ = target_form::origin;
        if (method_ == method::connect) {
            form_ = target_form::authority;
            const host_port hp = split_host_port(target);
            if (!hp.valid || hp.port.empty()) {
                return errc::bad_target_form;
            }
            authority_ = target_;
            authority_size_ = target_size_;
            path_ = target_ + target_size_;
            return errc::none;
        }
        if (target[0] == '/') {
            return errc::none;
        }
        if (target == "*") {
            form_ = target_form::asterisk;
            path_ = target_ + target_size_;
            return method_ == method::options ? errc::none : errc::bad_target_form;
        }
        return classify_absolute(target);
    }
    // scheme "://" host [ ":" port ] [ "/" ... ] [ "?" ... ], without user information [RFC 9110 4.2.4].
    [[nodiscard, gnu::cold]] errc classify_absolute(std::string_view target) noexcept {
        form_ = target_form::absolute;
        const std::size_t colon = target.find(':');
        if (colon == std::string_view::npos || !is(target[0], octet_class::alpha) ||
            !all(target.substr(0, colon), octet_class::scheme) || !target.substr(colon).starts_with("://")) {
            return errc::bad_target;
        }
        const std::size_t start = colon + 3;
        const std::size_t stop = std::min(target.find_first_of("/?", start), target.size());
        if (!split_host_port(target.substr(start, stop - start)).valid) {
            return errc::bad_target;
        }
        authority_ = target_ + static_cast<std::uint32_t>(start);
        authority_size_ = static_cast<std::uint32_t>(stop - start);
        path_ = target_ + static_cast<std::uint32_t>(stop);
        return errc::none;
    }
    [[nodiscard]] static bool is_version_octet(char c, std::ptrdiff_t i) noexcept {
        constexpr std::string_view form = "HTTP/0.0"; // 0 stands for any digit
        const char want = form[static_cast<std::size_t>(i)];
        return want == '0' ? is(c, octet_class::digit) : c == want;
    }
    [[nodiscard]] parse_state start_line_done(const char* base, const char* p) noexcept {
        begin_fields(base, p);
        state_ = state::fields;
        return parse_state::done;
    }

    // Source: RFC 9112 3.2: 400 for no Host in 1.1, for more than one, for an invalid one.
    [[nodiscard]] parse_state finish(const char* base) noexcept {
        const field_set present = section_.present();
        if (!present.contains(field::host)) {
            return version_ == version::http_1_0 ? outcome_ : fail(errc::missing_host, at_);
        }
        const field_entry* host = storage_->data();
        while (host->id != field::host) {
            ++host;
        }
        if (section_.repeated().contains(field::host)) {
            do {
                ++host;
            } while (host->id != field::host);
            return fail(errc::repeated_host, host->name_at);
        }
        const char* const value = base + host->value_at;
        if (!detail::is_plain_host(value, host->value_size, base + at_) &&
            !split_host_port({value, host->value_size}).valid) {
            return fail(errc::bad_host, host->value_at);
        }
        if (authority_size_ == 0) {
            authority_ = host->value_at;
            authority_size_ = host->value_size;
        }
        return outcome_;
    }

    std::uint32_t target_ = 0;
    std::uint32_t target_size_ = 0;
    std::uint32_t method_size_ = 0;
    std::uint32_t authority_ = 0;
    std::uint32_t authority_size_ = 0;
    std::uint32_t path_ = 0;
    std::uint32_t empty_lines_ = 0;
    state state_ = state::start;
    http::method method_ = http::method::other;
    target_form form_ = target_form::origin;
    http::version version_ = http::version::http_1_1;
};

} // namespace flux::inline FLUX_ABI::http
