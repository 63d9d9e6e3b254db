// SPDX-License-Identifier: MIT
#include <flux/http/message/octets.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace http = flux::http;
using http::octet_class;

namespace {

std::string members(octet_class k, unsigned from, unsigned to) {
    std::string out;
    for (unsigned c = from; c < to; ++c) {
        if (http::is(static_cast<char>(c), k)) {
            out += static_cast<char>(c);
        }
    }
    return out;
}

} // namespace

TEST_SUITE("http/message/octets") {
    TEST_CASE("a token is made of letters, digits and fifteen other octets [RFC 9110 5.6.2]") {
        CHECK(members(octet_class::token, 0, 256) ==
              "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~");
        CHECK(http::is_token("a"));
        CHECK_FALSE(http::is_token(""));
        CHECK_FALSE(http::is_token("a b"));
    }
    TEST_CASE("a field value holds every octet but controls and DEL, and HTAB [RFC 9110 5.5]") {
        for (unsigned c = 0; c < 256; ++c) {
            const bool allowed = c == '\t' || (c >= 0x20 && c != 0x7f);
            CHECK(http::is(static_cast<char>(c), octet_class::field_value) == allowed);
        }
    }
    TEST_CASE("a target holds the visible octets without those that no user agent sends [RFC 9112 3.2]") {
        for (unsigned c = 0; c < 256; ++c) {
            const bool allowed = c > 0x20 && c < 0x7f && c != '"' && c != '#' && c != '<' && c != '>';
            CHECK(http::is(static_cast<char>(c), octet_class::target) == allowed);
        }
    }
    TEST_CASE("the classes of URIs are those of the grammar [RFC 3986 2, 3]") {
        CHECK(members(octet_class::unreserved, 0x21, 0x30) == "-.");
        CHECK(members(octet_class::reg_name, 0x21, 0x30) == "!$&'()*+,-.");
        CHECK(members(octet_class::reg_name, 0x3a, 0x41) == ";=");
        CHECK(members(octet_class::path, 0x3a, 0x41) == ":;=@");
        CHECK(members(octet_class::query, 0x3a, 0x41) == ":;=?@");
        CHECK(members(octet_class::scheme, 0x21, 0x30) == "+-.");
        CHECK(members(octet_class::path, 0x5b, 0x61) == "_");
        for (unsigned c = 0x7f; c < 256; ++c) {
            CHECK_FALSE(http::is(static_cast<char>(c), octet_class::query));
            CHECK_FALSE(http::is(static_cast<char>(c), octet_class::cookie));
        }
    }
    TEST_CASE("a cookie octet is visible and neither quote, comma, semicolon nor backslash [RFC 6265 4.1.1]") {
        CHECK(members(octet_class::cookie, 0x20, 0x30) == "!#$%&'()*+-./");
        CHECK_FALSE(http::is(';', octet_class::cookie));
        CHECK_FALSE(http::is('\\', octet_class::cookie));
    }
    TEST_CASE("case folding touches ASCII letters only") {
        for (unsigned c = 0; c < 256; ++c) {
            const char in = static_cast<char>(c);
            CHECK((http::lower(in) == in) == !(in >= 'A' && in <= 'Z'));
        }
        CHECK(http::iequals("Content-Length", "cONTENT-lENGTH"));
        CHECK_FALSE(http::iequals("a", "ab"));
        CHECK_FALSE(http::iequals("@", "`"));
        CHECK_FALSE(http::iequals("\xc9", "\xe9"));
    }
    TEST_CASE("hexadecimal digits have their value, other octets none") {
        CHECK(http::hex_value('0') == 0);
        CHECK(http::hex_value('9') == 9);
        CHECK(http::hex_value('a') == 10);
        CHECK(http::hex_value('F') == 15);
        for (const char c : std::string_view("/:@G`g \xff")) {
            CHECK(http::hex_value(c) == -1);
        }
    }
    TEST_CASE("trimming drops SP and HTAB at both ends only [RFC 9110 5.6.3]") {
        CHECK(http::trim(" \t a b \t ") == "a b");
        CHECK(http::trim(" \t ").empty());
        CHECK(http::trim("\r\na") == "\r\na");
    }
    TEST_CASE("a decimal number is digits alone and at most the maximum") {
        std::uint64_t n = 7;
        CHECK(http::parse_decimal("0", 0, n));
        CHECK(n == 0);
        CHECK(http::parse_decimal("00000000000000000000000000012", 99, n));
        CHECK(n == 12);
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        CHECK(http::parse_decimal("9223372036854775807", most, n));
        CHECK(n == most);
        using namespace std::string_view_literals;
        for (const std::string_view bad :
             {""sv, "+1"sv, "-1"sv, " 1"sv, "1 "sv, "0x1"sv, "1a"sv, "1\0"sv, "9223372036854775808"sv,
              "18446744073709551617"sv, "99999999999999999999"sv}) {
            CHECK_FALSE(http::parse_decimal(bad, most, n));
        }
        CHECK_FALSE(http::parse_decimal("6", 5, n));
        CHECK_FALSE(http::parse_decimal("00000000000000000000x", most, n));
    }
}
