// SPDX-License-Identifier: MIT
// flux/http/message/cookie.hpp - Cookie as a server reads it, Set-Cookie as a server writes and a client reads it.
//
// Strict on output: what a browser would drop or misread is an error. As tolerant on input as user agents are.
// Deliberately not here: keeping cookies and deciding where to send them (client/cookie_jar).
#pragma once

#include <flux/core/result.hpp>
#include <flux/core/time.hpp>
#include <flux/http/message/date.hpp>
#include <flux/http/message/fields_view.hpp>
#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// One cookie of a request. Views into the field value; quotes around the value are a part of it [RFC 6265 5.4].
struct cookie_pair {
    std::string_view name;
    std::string_view value = {};
};

/// The cookies of one Cookie line in their order. Pieces without "=" or without a name are skipped.
/// Source  RFC 6265 4.2.1, 5.4.
class cookie_pairs {
public:
    class iterator {
    public:
        using value_type = cookie_pair;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;
        using pointer = const cookie_pair*;
        using reference = const cookie_pair&;

        iterator() noexcept = default;
        explicit iterator(std::string_view rest) noexcept : rest_(rest) { next(); }
        [[nodiscard]] const cookie_pair& operator*() const noexcept { return pair_; }
        [[nodiscard]] const cookie_pair* operator->() const noexcept { return &pair_; }
        iterator& operator++() noexcept {
            next();
            return *this;
        }
        void operator++(int) noexcept { next(); }
        [[nodiscard]] friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
            return it.pair_.name.empty();
        }

    private:
        void next() noexcept {
            pair_ = {};
            while (pair_.name.empty() && !rest_.empty()) {
                const std::size_t stop = rest_.find(';'); // quotes protect nothing here
                const std::string_view piece = rest_.substr(0, stop);
                rest_.remove_prefix(stop == std::string_view::npos ? rest_.size() : stop + 1);
                const std::size_t equals = piece.find('=');
                if (equals != std::string_view::npos) {
                    pair_ = {trim(piece.substr(0, equals)), trim(piece.substr(equals + 1))};
                }
            }
        }
        std::string_view rest_;
        cookie_pair pair_;
    };

    explicit cookie_pairs(std::string_view value) noexcept : value_(value) {}
    [[nodiscard]] iterator begin() const noexcept { return iterator(value_); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
    std::string_view value_;
};

/// The value of the first cookie of that name in a request; nothing if there is none. Names are case-sensitive.
[[nodiscard]] inline std::optional<std::string_view> find_cookie(const fields_view& fields,
                                                                 std::string_view name) noexcept {
    for (auto line = fields.get_all(field::cookie).begin(); !(line == std::default_sentinel); ++line) {
        for (const cookie_pair& c : cookie_pairs(*line)) {
            if (c.name == name) {
                return c.value;
            }
        }
    }
    return std::nullopt;
}

/// When a browser sends a cookie along with a request that another site caused.
enum class same_site : std::uint8_t {
    unset, ///< not said; browsers take it for lax
    lax,
    strict,
    none, ///< always; needs secure()
};

/// A cookie that a response sets. Build it, then `response.cookie(c)`.
///
/// text() refuses what a browser would drop or read differently: a name that is no token, a value with octets
/// outside of cookie-octet (encode it first), a path or domain with ";" or controls, the prefixes __Secure- and
/// __Host- without what they promise, SameSite=None without Secure.
/// Source  RFC 6265 4.1; RFC 6265bis for SameSite, Partitioned and the prefixes.
class set_cookie {
public:
    set_cookie(std::string_view name, std::string_view value) : name_(name), value_(value) {}

    /// A cookie that makes the browser forget the one of that name (and the same path and domain).
    [[nodiscard]] static set_cookie removal(std::string_view name) {
        set_cookie c(name, "");
        c.max_age(std::chrono::seconds(0)).expires(std::chrono::sys_seconds(std::chrono::seconds(0)));
        return c;
    }

    set_cookie& path(std::string_view p) {
        path_ = p;
        return *this;
    }
    set_cookie& domain(std::string_view d) {
        domain_ = d;
        return *this;
    }
    /// How long it is kept, counted from its arrival. Zero or less: forget it now.
    set_cookie& max_age(std::chrono::seconds s) {
        max_age_ = s;
        has_max_age_ = true;
        return *this;
    }
    set_cookie& expires(std::chrono::sys_seconds t) {
        expires_ = t;
        has_expires_ = true;
        return *this;
    }
    set_cookie& secure(bool yes = true) {
        secure_ = yes;
        return *this;
    }
    set_cookie& http_only(bool yes = true) {
        http_only_ = yes;
        return *this;
    }
    set_cookie& partitioned(bool yes = true) {
        partitioned_ = yes;
        return *this;
    }
    set_cookie& site(same_site s) {
        site_ = s;
        return *this;
    }

    /// The value of the Set-Cookie field.
    /// Errors  flux::errc::invalid_argument, with the reason; see the class.
    [[nodiscard]] result<std::string> try_text() const {
        if (const char* wrong = problem()) {
            return fail(error(flux::errc::invalid_argument).doing("set cookie " + printable_name() + ": " + wrong));
        }
        std::string out = name_ + '=' + value_;
        if (!path_.empty()) {
            out += "; Path=" + path_;
        }
        if (!domain_.empty()) {
            out += "; Domain=" + domain_;
        }
        if (has_max_age_) {
            out += "; Max-Age=" + std::to_string(max_age_.count() < 0 ? 0 : max_age_.count());
        }
        if (has_expires_) {
            out += "; Expires=" + format_date(expires_);
        }
        constexpr std::string_view sites[] = {"", "; SameSite=Lax", "; SameSite=Strict", "; SameSite=None"};
        out += sites[static_cast<std::size_t>(site_)];
        out += secure_ ? "; Secure" : "";
        out += http_only_ ? "; HttpOnly" : "";
        out += partitioned_ ? "; Partitioned" : "";
        return out;
    }
    /// As try_text(), but throws flux::error.
    [[nodiscard]] std::string text() const { return try_text().value(); }

private:
    [[nodiscard]] const char* problem() const noexcept {
        std::string_view bare = value_;
        if (bare.size() >= 2 && bare.front() == '"' && bare.back() == '"') {
            bare = bare.substr(1, bare.size() - 2);
        }
        if (!is_token(name_)) {
            return "the name is not a token";
        }
        if (!all(bare, octet_class::cookie)) {
            return "an octet that must be encoded in the value";
        }
        if (name_.size() + value_.size() > 4096) {
            return "name and value are longer than 4096 octets";
        }
        if (!is_attribute(path_) || (!path_.empty() && path_[0] != '/')) {
            return "the path is not absolute or has a forbidden octet";
        }
        if (!is_attribute(domain_) || !all(domain_, octet_class::reg_name)) {
            return "the domain is not a host name";
        }
        const auto since = expires_.time_since_epoch().count();
        if (has_expires_ && (since < -62135596800 || since > 253402300799)) {
            return "the year of the expiry date does not have four digits";
        }
        if (!secure_ && (site_ == same_site::none || partitioned_ || name_.starts_with("__Secure-"))) {
            return "SameSite=None, Partitioned and __Secure- need Secure";
        }
        if (name_.starts_with("__Host-") && (!secure_ || path_ != "/" || !domain_.empty())) {
            return "__Host- needs Secure, Path=/ and no Domain";
        }
        return nullptr;
    }
    [[nodiscard]] static bool is_attribute(std::string_view text) noexcept {
        for (const char c : text) {
            const auto u = static_cast<unsigned char>(c);
            if (u < 0x20 || u >= 0x7f || c == ';') {
                return false;
            }
        }
        return true;
    }
    [[nodiscard]] std::string printable_name() const { return is_token(name_) ? name_ : std::string("(bad name)"); }

    std::string name_;
    std::string value_;
    std::string path_;
    std::string domain_;
    std::chrono::seconds max_age_{};
    std::chrono::sys_seconds expires_{};
    same_site site_ = same_site::unset;
    bool secure_ = false;
    bool http_only_ = false;
    bool partitioned_ = false;
    bool has_max_age_ = false;
    bool has_expires_ = false;
};

namespace detail {

[[nodiscard]] constexpr bool is_date_delimiter(char c) noexcept {
    const auto u = static_cast<unsigned char>(c);
    return u == 0x09 || (u >= 0x20 && u <= 0x2f) || (u >= 0x3b && u <= 0x40) || (u >= 0x5b && u <= 0x60) ||
           (u >= 0x7b && u <= 0x7e);
}
// The digits at the start of `text`, if there are `least` to `most` of them; -1 otherwise.
[[nodiscard]] constexpr int leading_number(std::string_view text, std::size_t least, std::size_t most) noexcept {
    std::size_t n = 0;
    int value = 0;
    while (n < text.size() && is(text[n], octet_class::digit)) {
        if (++n > most) {
            return -1;
        }
        value = value * 10 + (text[n - 1] - '0');
    }
    return n >= least ? value : -1;
}
// hh:mm:ss with one or two digits each, and anything that is no digit behind it.
[[nodiscard]] constexpr bool read_cookie_time(std::string_view token, date_parts& d) noexcept {
    unsigned* const parts[] = {&d.hour, &d.minute, &d.second};
    for (std::size_t i = 0; i < 3; ++i) {
        const int n = leading_number(token, 1, 2);
        if (n < 0) {
            return false;
        }
        *parts[i] = static_cast<unsigned>(n);
        token.remove_prefix(token.size() > 1 && is(token[1], octet_class::digit) ? 2 : 1);
        if (i < 2 && !token.starts_with(':')) {
            return false;
        }
        token.remove_prefix(i < 2 ? 1 : 0);
    }
    return true;
}

} // namespace detail

/// Reads the date of an Expires attribute, by the tolerant algorithm that user agents use.
/// Source  RFC 6265 5.1.1.
[[nodiscard]] inline std::optional<std::chrono::sys_seconds> parse_cookie_date(std::string_view text) noexcept {
    detail::date_parts d;
    bool has_time = false;
    bool has_day = false;
    bool has_month = false;
    bool has_year = false;
    std::size_t i = 0;
    while (i < text.size()) {
        while (i < text.size() && detail::is_date_delimiter(text[i])) {
            ++i;
        }
        const std::size_t start = i;
        while (i < text.size() && !detail::is_date_delimiter(text[i])) {
            ++i;
        }
        const std::string_view token = text.substr(start, i - start);
        detail::date_parts t;
        if (!has_time && detail::read_cookie_time(token, t)) {
            has_time = true;
            d.hour = t.hour;
            d.minute = t.minute;
            d.second = t.second;
            continue;
        }
        if (const int day = detail::leading_number(token, 1, 2); !has_day && day >= 0) {
            has_day = true;
            d.day = static_cast<unsigned>(day);
            continue;
        }
        if (!has_month) {
            unsigned month = 0;
            while (month < 12 && !iequals(token.substr(0, 3), detail::month_names[month])) {
                ++month;
            }
            if (month < 12) {
                has_month = true;
                d.month = month + 1;
                continue;
            }
        }
        if (const int year = detail::leading_number(token, 2, 4); !has_year && year >= 0) {
            has_year = true;
            d.year = year >= 70 && year <= 99 ? year + 1900 : year < 70 ? year + 2000 : year;
        }
    }
    if (!has_time || !has_day || !has_month || !has_year || d.year < 1601 || d.second > 59) {
        return std::nullopt;
    }
    return d.to_time();
}

/// A Set-Cookie line as a client reads it. Views into the field value.
struct received_cookie {
    std::string_view name = {};
    std::string_view value = {};
    std::string_view domain = {}; ///< without a leading dot; empty: only the host that sent it
    std::string_view path = {};   ///< empty unless it starts with "/": then the default path applies
    std::optional<std::chrono::seconds> max_age = {}; ///< wins over `expires`
    std::optional<std::chrono::sys_seconds> expires = {};
    same_site site = same_site::unset;
    bool secure = false;
    bool http_only = false;
};

/// Reads one Set-Cookie value. Unknown attributes are ignored, of repeated ones the last counts.
/// Returns  nothing if there is no name, or a control octet in name or value.
/// Source   RFC 6265 5.2.
[[nodiscard]] inline std::optional<received_cookie> parse_set_cookie(std::string_view text) noexcept {
    const auto take_piece = [&text] {
        const std::size_t stop = text.find(';');
        const std::string_view piece = text.substr(0, stop);
        text.remove_prefix(stop == std::string_view::npos ? text.size() : stop + 1);
        return piece;
    };
    const auto split = [](std::string_view piece) {
        const std::size_t equals = piece.find('=');
        const bool has_value = equals != std::string_view::npos;
        return cookie_pair{trim(piece.substr(0, equals)),
                           has_value ? trim(piece.substr(equals + 1)) : std::string_view()};
    };
    received_cookie out;
    const std::string_view first = take_piece();
    if (first.find('=') == std::string_view::npos) {
        return std::nullopt;
    }
    const cookie_pair named = split(first);
    out.name = named.name;
    out.value = named.value;
    if (out.name.empty() || !all(out.name, octet_class::field_value) || !all(out.value, octet_class::field_value)) {
        return std::nullopt;
    }
    while (!text.empty()) {
        const auto [name, value] = split(take_piece());
        if (iequals(name, "expires")) {
            if (const auto t = parse_cookie_date(value)) {
                out.expires = t;
            }
        } else if (iequals(name, "max-age")) {
            const bool negative = value.starts_with('-');
            const std::string_view digits = value.substr(negative ? 1 : 0);
            std::uint64_t n = 0;
            if (!digits.empty() && all(digits, octet_class::digit)) {
                constexpr std::uint64_t most = 400ULL * 86400; // what user agents cut it to
                const bool fits = parse_decimal(digits, most, n);
                out.max_age = std::chrono::seconds(negative ? 0 : static_cast<long long>(fits ? n : most));
            }
        } else if (iequals(name, "domain")) {
            out.domain = value.substr(value.starts_with('.') ? 1 : 0);
        } else if (iequals(name, "path")) {
            out.path = value.starts_with('/') ? value : std::string_view();
        } else if (iequals(name, "secure")) {
            out.secure = true;
        } else if (iequals(name, "httponly")) {
            out.http_only = true;
        } else if (iequals(name, "samesite")) {
            out.site = iequals(value, "strict") ? same_site::strict
                       : iequals(value, "lax")  ? same_site::lax
                       : iequals(value, "none") ? same_site::none
                                                : same_site::unset;
        }
    }
    return out;
}

} // namespace flux::inline FLUX_ABI::http
