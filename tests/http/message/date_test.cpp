// SPDX-License-Identifier: MIT
#include <flux/http/message/date.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>

namespace http = flux::http;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace {

constexpr sys_seconds at(long long unix_seconds) {
    return sys_seconds(seconds(unix_seconds));
}
constexpr long long example = 784111777; // Sun, 06 Nov 1994 08:49:37 GMT

} // namespace

TEST_SUITE("http/message/date") {
    TEST_CASE("a date is written as IMF-fixdate [RFC 9110 5.6.7]") {
        CHECK(http::format_date(at(example)) == "Sun, 06 Nov 1994 08:49:37 GMT");
        CHECK(http::format_date(at(0)) == "Thu, 01 Jan 1970 00:00:00 GMT");
        CHECK(http::format_date(at(-1)) == "Wed, 31 Dec 1969 23:59:59 GMT");
        CHECK(http::format_date(at(951782400)) == "Tue, 29 Feb 2000 00:00:00 GMT");
        CHECK(http::format_date(at(253402300799)) == "Fri, 31 Dec 9999 23:59:59 GMT");
    }
    TEST_CASE("all three forms of the example are read [RFC 9110 5.6.7]") {
        CHECK(http::parse_date("Sun, 06 Nov 1994 08:49:37 GMT") == at(example));
        CHECK(http::parse_date("Sunday, 06-Nov-94 08:49:37 GMT", at(example)) == at(example));
        CHECK(http::parse_date("Sun Nov  6 08:49:37 1994") == at(example));
        CHECK(http::parse_date("Sun Nov 16 08:49:37 1994") == at(example + 10 * 86400));
    }
    TEST_CASE("what is written is read again, for a second of every week of 200 years") {
        for (long long t = -2208988800; t < 4102444800; t += 7 * 86400 + 12345) {
            REQUIRE(http::parse_date(http::format_date(at(t))) == at(t));
        }
    }
    TEST_CASE("a year of two digits is at most 50 years ahead [RFC 9110 5.6.7]") {
        const sys_seconds in_2026 = at(1767225600);
        const auto year_of = [&](std::string_view two) {
            const auto t = http::parse_date("Friday, 01-Jan-" + std::string(two) + " 00:00:00 GMT", in_2026);
            return http::format_date(*t).substr(12, 4);
        };
        CHECK(year_of("26") == "2026");
        CHECK(year_of("76") == "2076");
        CHECK(year_of("77") == "1977");
        CHECK(year_of("99") == "1999");
        CHECK(year_of("00") == "2000");
        const sys_seconds in_1999 = at(915148800);
        CHECK(http::parse_date("Friday, 01-Jan-49 00:00:00 GMT", in_1999) ==
              http::parse_date("Fri, 01 Jan 2049 00:00:00 GMT"));
    }
    TEST_CASE("days are those of the calendar of std, in each month of ten thousand years") {
        long long differences = 0;
        for (int year = 0; year < 10'000; ++year) {
            for (unsigned month = 0; month < 14; ++month) {
                for (const unsigned day : {0U, 1U, 28U, 29U, 30U, 31U, 32U}) {
                    const std::chrono::year_month_day same{std::chrono::year(year), std::chrono::month(month),
                                                           std::chrono::day(day)};
                    const auto found = http::detail::date_parts{year, month, day}.to_time();
                    if (!same.ok() || !found) {
                        differences += same.ok() || found ? 1 : 0;
                        continue;
                    }
                    const std::chrono::sys_days days(same);
                    const http::detail::civil_date back(days.time_since_epoch().count());
                    const bool equal = *found == days && back.year == static_cast<unsigned>(year) &&
                                       back.month == month && back.day == day &&
                                       back.weekday == std::chrono::weekday(days).c_encoding();
                    differences += equal ? 0 : 1;
                }
            }
        }
        CHECK(differences == 0);
    }
    TEST_CASE("a leap second is a second") {
        CHECK(http::parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == http::parse_date("Sun, 01 Jan 2017 00:00:00 GMT"));
    }
    TEST_CASE("anything else is no date") {
        for (const std::string_view text : {"",
                                            "0",
                                            "784111777",
                                            "Sun, 06 Nov 1994 08:49:37",
                                            "Sun, 06 Nov 1994 08:49:37 UTC",
                                            "Sun, 06 Nov 1994 08:49:37 +0000",
                                            "sun, 06 nov 1994 08:49:37 gmt",
                                            "Sun, 6 Nov 1994 08:49:37 GMT",
                                            "Sun, 06 Nov 1994 8:49:37 GMT",
                                            "Sun, 31 Feb 1994 08:49:37 GMT",
                                            "Sun, 00 Nov 1994 08:49:37 GMT",
                                            "Sun, 06 Nov 1994 24:00:00 GMT",
                                            "Sun, 06 Nov 1994 08:60:37 GMT",
                                            "Sun, 06 Nov 1994 08:49:61 GMT",
                                            "Xun, 06 Nov 1994 08:49:37 GMT",
                                            "Sun, 06 Xov 1994 08:49:37 GMT",
                                            "Sun, 06 Nov 1994 08:49:37 GMT ",
                                            " Sun, 06 Nov 1994 08:49:37 GMT",
                                            "Sun, 06 Nov -994 08:49:37 GMT",
                                            "Sun, +6 Nov 1994 08:49:37 GMT",
                                            "Sun, 29 Feb 2001 00:00:00 GMT",
                                            "Sunday, 06-Nov-1994 08:49:37 GMT",
                                            "Sun, 06-Nov-94 08:49:37 GMT",
                                            "Sun Nov 06 08:49:37 1994 GMT",
                                            "Sun Nov  6 08:49:37 94",
                                            "Sun Nov   6 08:49:37 1994",
                                            "Sun, 06 Nov 1994 08-49-37 GMT",
                                            "Sunday",
                                            "Sun,",
                                            "Sun "}) {
            CHECK_FALSE_MESSAGE(http::parse_date(text).has_value(), text);
        }
    }
}
