// SPDX-License-Identifier: MIT
#include <flux/http/message/cookie.hpp> // also proves the header is self-contained
#include <flux/http/message/fields.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>

namespace http = flux::http;
using http::same_site;
using http::set_cookie;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace {

std::string pairs(std::string_view value) {
    std::string out;
    for (const http::cookie_pair& c : http::cookie_pairs(value)) {
        out += std::string(c.name) + "=" + std::string(c.value) + "|";
    }
    return out;
}

} // namespace

TEST_SUITE("http/message/cookie") {
    TEST_CASE("cookies of a request are pairs between semicolons [RFC 6265 4.2.1]") {
        CHECK(pairs("a=1; b=2") == "a=1|b=2|");
        CHECK(pairs("a=1;b=2 ;  c = 3") == "a=1|b=2|c=3|");
        CHECK(pairs("a=\"x\"; b=y=z; c=") == "a=\"x\"|b=y=z|c=|");
        CHECK(pairs("a; =b; ;c=1") == "c=1|");
        CHECK(pairs("a=\"x;b=2\"") == "a=\"x|b=2\"|"); // quotes protect nothing [RFC 6265 5.4]
        CHECK(pairs("").empty());
    }
    TEST_CASE("a cookie is found in any Cookie line, by its exact name") {
        http::fields f;
        f.add("Cookie", "a=1; b=2").add("cookie", "c=3");
        CHECK(http::find_cookie(f, "a") == "1");
        CHECK(http::find_cookie(f, "c") == "3");
        CHECK_FALSE(http::find_cookie(f, "A").has_value());
        CHECK_FALSE(http::find_cookie(http::fields_view(), "a").has_value());
    }
    TEST_CASE("Set-Cookie is written with its attributes [RFC 6265 4.1]") {
        CHECK(set_cookie("sid", "abc").text() == "sid=abc");
        set_cookie c("__Host-sid", "\"a.b\"");
        c.path("/").max_age(seconds(60)).secure().http_only().site(same_site::strict);
        CHECK(c.text() == "__Host-sid=\"a.b\"; Path=/; Max-Age=60; SameSite=Strict; Secure; HttpOnly");
        set_cookie d("a", "");
        d.domain("example.com").expires(sys_seconds(seconds(784111777))).site(same_site::none).secure().partitioned();
        CHECK(d.text() ==
              "a=; Domain=example.com; Expires=Sun, 06 Nov 1994 08:49:37 GMT; SameSite=None; Secure; Partitioned");
        CHECK(set_cookie::removal("a").text() == "a=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        CHECK(set_cookie("a", "1").max_age(seconds(-5)).text() == "a=1; Max-Age=0");
    }
    TEST_CASE("a cookie that a browser would drop or misread is refused") {
        for (const std::string_view name : {"", "a b", "a=b", "a;b", "a\r\n", "\"a\"", "a,b"}) {
            CHECK_FALSE_MESSAGE(set_cookie(name, "1").try_text().has_value(), name);
        }
        for (const std::string_view value :
             {"a b", "a;b", "a,b", "a\"b", "a\\b", "a\r\nX: y", "\xc3\xa9", "\x7f", "\"", "\"a\"b\""}) {
            CHECK_FALSE_MESSAGE(set_cookie("a", value).try_text().has_value(), value);
        }
        for (const std::string_view path : {"a", "/a;b", "/a\r\nb", "/\x7f", "/\xc3\xa9"}) {
            CHECK_FALSE_MESSAGE(set_cookie("a", "1").path(path).try_text().has_value(), path);
        }
        for (const std::string_view domain : {"a b", "a;b", "a/b", "a\n"}) {
            CHECK_FALSE_MESSAGE(set_cookie("a", "1").domain(domain).try_text().has_value(), domain);
        }
        CHECK_FALSE(set_cookie("a", std::string(5000, 'x')).try_text().has_value());
        CHECK_THROWS_AS(static_cast<void>(set_cookie("a b", "1").text()), flux::error);
    }
    TEST_CASE("prefixes and SameSite=None promise Secure [RFC 6265bis 4.1.3]") {
        CHECK_FALSE(set_cookie("__Secure-a", "1").try_text().has_value());
        CHECK(set_cookie("__Secure-a", "1").secure().try_text().has_value());
        CHECK_FALSE(set_cookie("__Host-a", "1").secure().try_text().has_value());
        CHECK_FALSE(set_cookie("__Host-a", "1").secure().path("/x").try_text().has_value());
        CHECK_FALSE(set_cookie("__Host-a", "1").secure().path("/").domain("b").try_text().has_value());
        CHECK(set_cookie("__Host-a", "1").secure().path("/").try_text().has_value());
        CHECK_FALSE(set_cookie("a", "1").site(same_site::none).try_text().has_value());
        CHECK_FALSE(set_cookie("a", "1").partitioned().try_text().has_value());
    }
    TEST_CASE("a client reads the attributes of Set-Cookie [RFC 6265 5.2]") {
        const auto c = http::parse_set_cookie(
            "sid = a=b ; Path=/x; domain=.Example.com; MAX-AGE=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Secure; "
            "HttpOnly; SameSite=lax; Unknown=1");
        REQUIRE(c);
        CHECK(c->name == "sid");
        CHECK(c->value == "a=b");
        CHECK(c->path == "/x");
        CHECK(c->domain == "Example.com");
        CHECK(c->max_age == seconds(60));
        CHECK(c->expires == sys_seconds(seconds(784111777)));
        CHECK(c->secure);
        CHECK(c->http_only);
        CHECK(c->site == same_site::lax);
    }
    TEST_CASE("odd attributes are ignored or cut, the last of repeated ones counts [RFC 6265 5.2]") {
        CHECK(http::parse_set_cookie("a=1; path=x")->path.empty());
        CHECK(http::parse_set_cookie("a=1; path=/x; path=/y")->path == "/y");
        CHECK_FALSE(http::parse_set_cookie("a=1; max-age=x")->max_age.has_value());
        CHECK_FALSE(http::parse_set_cookie("a=1; max-age=+1")->max_age.has_value());
        CHECK(http::parse_set_cookie("a=1; max-age=-1")->max_age == seconds(0));
        CHECK(http::parse_set_cookie("a=1; max-age=99999999999999999999999")->max_age == seconds(400LL * 86400));
        CHECK_FALSE(http::parse_set_cookie("a=1; expires=soon")->expires.has_value());
        CHECK(http::parse_set_cookie("a=1; SameSite=x")->site == same_site::unset);
        CHECK(http::parse_set_cookie("a=")->value.empty());
        CHECK(http::parse_set_cookie("a=1;")->name == "a");
        for (const std::string_view text : {"", "a", "=1", ";a=1", "Secure", "a\x01=1", "a=1\x7f"}) {
            CHECK_FALSE_MESSAGE(http::parse_set_cookie(text).has_value(), text);
        }
    }
    TEST_CASE("dates of cookies are read in every form that servers send [RFC 6265 5.1.1]") {
        const sys_seconds t(seconds(784111777));
        for (const std::string_view text :
             {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
              "Sun, 06-Nov-1994 08:49:37 GMT", "6 nov 1994 8:49:37", "1994 nov 06 08:49:37 pst",
              "08:49:37 06 november 94", "Nov-06-1994/08:49:37", "06 Nov 1994 08:49:37x"}) {
            CHECK_MESSAGE(http::parse_cookie_date(text) == t, text);
        }
        for (const std::string_view text :
             {"", "06 Nov 1994", "08:49:37 06 1994", "08:49:37 Nov 1994", "24:00:00 06 Nov 1994",
              "08:60:00 06 Nov 1994", "08:49:60 06 Nov 1994", "08:49:37 31 Feb 1994", "08:49:37 06 Nov 1600",
              "8:49 06 Nov 1994", "08:49:371 06 Nov 1994", "08:49:37 006 Nov 1994x"}) {
            CHECK_FALSE_MESSAGE(http::parse_cookie_date(text).has_value(), text);
        }
        CHECK(http::format_date(*http::parse_cookie_date("01 Jan 69 00:00:00")).substr(12, 4) == "2069");
        CHECK(http::format_date(*http::parse_cookie_date("01 Jan 70 00:00:00")).substr(12, 4) == "1970");
    }
    TEST_CASE("what a server sets is what a client reads") {
        set_cookie c("n", "v");
        c.path("/p").domain("d.example").max_age(seconds(5)).secure().http_only().site(same_site::strict);
        const std::string text = c.text();
        const auto r = http::parse_set_cookie(text);
        REQUIRE(r);
        CHECK(r->name == "n");
        CHECK(r->domain == "d.example");
        CHECK(r->site == same_site::strict);
        CHECK(r->max_age == seconds(5));
    }
}
