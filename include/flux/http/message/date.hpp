// SPDX-License-Identifier: MIT
// flux/http/message/date.hpp - HTTP dates: written as IMF-fixdate, read in all three forms of the standard.
//
// No locale and no time zone: an HTTP date is UTC to the second. Deliberately not here: the clock, and keeping a
// formatted date for a second (server).
#pragma once

#include <flux/core/time.hpp>
#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// Octets of an IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.
inline constexpr std::size_t date_size = 29;

namespace detail {

inline constexpr std::string_view day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
inline constexpr std::string_view long_day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                      "Thursday", "Friday", "Saturday"};
inline constexpr std::string_view month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

[[nodiscard]] constexpr char* put_digits(char* out, unsigned value, unsigned digits) noexcept {
    for (unsigned i = digits; i-- > 0; value /= 10) {
        out[i] = static_cast<char>('0' + value % 10);
    }
    return out + digits;
}

// Reads a date from left to right; once something does not fit, it stays not ok.
class date_reader {
public:
    constexpr explicit date_reader(std::string_view text) noexcept : rest_(text) {}

    constexpr void expect(std::string_view text) noexcept {
        ok_ = ok_ && rest_.starts_with(text);
        rest_.remove_prefix(ok_ ? text.size() : 0);
    }
    [[nodiscard]] constexpr unsigned number(std::size_t digits) noexcept {
        unsigned n = 0;
        ok_ = ok_ && rest_.size() >= digits && all(rest_.substr(0, digits), octet_class::digit);
        for (std::size_t i = 0; ok_ && i < digits; ++i) {
            n = n * 10 + static_cast<unsigned>(rest_[i] - '0');
        }
        rest_.remove_prefix(ok_ ? digits : 0);
        return n;
    }
    // The index of the name that comes next.
    template <std::size_t N>
    [[nodiscard]] constexpr unsigned name(const std::string_view (&names)[N]) noexcept {
        for (unsigned i = 0; ok_ && i < N; ++i) {
            if (rest_.starts_with(names[i])) {
                rest_.remove_prefix(names[i].size());
                return i;
            }
        }
        ok_ = false;
        return 0;
    }
    [[nodiscard]] constexpr bool starts_with(std::string_view text) const noexcept { return rest_.starts_with(text); }
    [[nodiscard]] constexpr bool at_end() const noexcept { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

// Days that `seconds` since 1970 fill, rounded down.
constexpr long long whole_days(long long seconds) noexcept {
    return (seconds >= 0 ? seconds : seconds - 86'399) / 86'400;
}

// The Gregorian calendar in whole numbers: std::chrono::year_month_day does the same in eighty functions, which every
// program that serves would carry.
struct civil_date {
    /// Params  days  since 1970-01-01; from the year 0 on.
    constexpr explicit civil_date(long long days) noexcept {
        // Counted from 0000-03-01, so that the leap day is the last of its year; eras of 400 years are all alike.
        const auto since = static_cast<unsigned long long>(days + 719'468 + 146'097); // and one era more: January of 0 comes before
        const auto of_era = static_cast<unsigned>(since % 146'097);
        const unsigned year_of_era = (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
        const unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        const unsigned months = (5 * of_year + 2) / 153; // since March
        day = of_year - (153 * months + 2) / 5 + 1;
        month = months < 10 ? months + 3 : months - 9;
        year = static_cast<unsigned>(since / 146'097) * 400 - 400 + year_of_era + (month <= 2 ? 1U : 0U);
        weekday = static_cast<unsigned>((since + 3) % 7);
    }
    unsigned year;
    unsigned month;   // from 1
    unsigned day;     // from 1
    unsigned weekday; // from Sunday, 0
};

// The way back. Params  year  from -399 on; month and day as in civil_date.
[[nodiscard]] constexpr long long days_since_epoch(int year, unsigned month, unsigned day) noexcept {
    const long long y = year + 400 - (month <= 2 ? 1 : 0); // begins in March, and is not negative
    const unsigned of_year = (153 * (month <= 2 ? month + 9 : month - 3) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719'468 - 146'097;
}

struct date_parts {
    int year = 0;
    unsigned month = 0; // from 1
    unsigned day = 0;
    unsigned hour = 0;
    unsigned minute = 0;
    unsigned second = 0;

    constexpr void read_time(date_reader& in) noexcept {
        hour = in.number(2);
        in.expect(":");
        minute = in.number(2);
        in.expect(":");
        second = in.number(2);
    }
    [[nodiscard]] constexpr std::optional<std::chrono::sys_seconds> to_time() const noexcept {
        constexpr unsigned char days_of[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        if (month - 1 > 11 || day - 1 >= days_of[month - 1] + (leap && month == 2 ? 1U : 0U) || hour > 23 ||
            minute > 59 || second > 60) { // 60: a leap second
            return std::nullopt;
        }
        return std::chrono::sys_seconds(
            seconds(days_since_epoch(year, month, day) * 86'400 + hour * 3600 + minute * 60 + second));
    }
};

// What std::chrono::floor says, without what it instantiates.
[[nodiscard]] inline std::chrono::sys_seconds wall_second() noexcept {
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    return std::chrono::sys_seconds(std::chrono::seconds(now));
}

} // namespace detail

/// Writes `t` as IMF-fixdate, without a terminating NUL.
/// Params  t  a year from 0 to 9999.
/// Source  RFC 9110 5.6.7.
inline void format_date(std::chrono::sys_seconds t, char (&out)[date_size]) noexcept {
    const long long seconds = t.time_since_epoch().count();
    const long long days = detail::whole_days(seconds);
    const auto second_of_day = static_cast<unsigned>(seconds - days * 86'400);
    const detail::civil_date date(days);
    const auto put = [](char* p, std::string_view text) { return p + text.copy(p, text.size()); };
    char* p = put(put(out, detail::day_names[date.weekday]), ", ");
    p = put(detail::put_digits(p, date.day, 2), " ");
    p = put(put(p, detail::month_names[date.month - 1]), " ");
    p = put(detail::put_digits(p, date.year, 4), " ");
    p = put(detail::put_digits(p, second_of_day / 3600, 2), ":");
    p = put(detail::put_digits(p, second_of_day / 60 % 60, 2), ":");
    put(detail::put_digits(p, second_of_day % 60, 2), " GMT");
}
[[nodiscard]] inline std::string format_date(std::chrono::sys_seconds t) {
    char text[date_size];
    format_date(t, text);
    return {text, date_size};
}

/// Reads an HTTP date: IMF-fixdate, the form of RFC 850, or that of asctime().
///
/// The name of the day must be one, but it is not compared with the date. Case matters, as in the grammar.
/// Params   now  a year from 0 to 9999; decides the century of a year with two digits: at most 50 years after it.
/// Returns  nothing for anything else.
/// Source   RFC 9110 5.6.7.
[[nodiscard]] inline std::optional<std::chrono::sys_seconds> parse_date(std::string_view text,
                                                                        std::chrono::sys_seconds now) noexcept {
    detail::date_parts d;
    detail::date_reader in(text);
    if (text.size() == date_size && text[3] == ',') { // Sun, 06 Nov 1994 08:49:37 GMT
        static_cast<void>(in.name(detail::day_names));
        in.expect(", ");
        d.day = in.number(2);
        in.expect(" ");
        d.month = in.name(detail::month_names) + 1;
        in.expect(" ");
        d.year = static_cast<int>(in.number(4));
        in.expect(" ");
        d.read_time(in);
        in.expect(" GMT");
    } else if (text.size() > 3 && text[3] == ' ') { // Sun Nov  6 08:49:37 1994
        static_cast<void>(in.name(detail::day_names));
        in.expect(" ");
        d.month = in.name(detail::month_names) + 1;
        in.expect(" ");
        if (in.starts_with(" ")) {
            in.expect(" ");
            d.day = in.number(1);
        } else {
            d.day = in.number(2);
        }
        in.expect(" ");
        d.read_time(in);
        in.expect(" ");
        d.year = static_cast<int>(in.number(4));
    } else { // Sunday, 06-Nov-94 08:49:37 GMT
        static_cast<void>(in.name(detail::long_day_names));
        in.expect(", ");
        d.day = in.number(2);
        in.expect("-");
        d.month = in.name(detail::month_names) + 1;
        in.expect("-");
        const auto two = static_cast<int>(in.number(2));
        in.expect(" ");
        d.read_time(in);
        in.expect(" GMT");
        const auto this_year =
            static_cast<int>(detail::civil_date(detail::whole_days(now.time_since_epoch().count())).year);
        d.year = this_year - this_year % 100 + two;
        if (d.year > this_year + 50) {
            d.year -= 100;
        } else if (d.year <= this_year - 50) {
            d.year += 100;
        }
    }
    return in.at_end() ? d.to_time() : std::nullopt;
}
[[nodiscard]] inline std::optional<std::chrono::sys_seconds> parse_date(std::string_view text) noexcept {
    return parse_date(text, detail::wall_second());
}

} // namespace flux::inline FLUX_ABI::http
