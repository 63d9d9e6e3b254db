// SPDX-License-Identifier: MIT
#include <flux/http/message/problem.hpp> // also proves the header is self-contained

#include <flux/http/server/handler.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {

namespace http = flux::http;

std::string body_of(const http::response& r) { return std::string(r.octets()); }

} // namespace

TEST_SUITE("http/message/problem") {
    TEST_CASE("a problem is its code, in both places, and a type that says nothing more [RFC 9457 3, 4.2.1]") {
        const http::response r = http::problem(http::status::not_found);
        CHECK(r.code() == http::status::not_found);
        CHECK(r.fields().get("Content-Type") == "application/problem+json");
        CHECK(body_of(r) == "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404}\n");
    }

    TEST_CASE("members are those of the RFC and one's own, in order") {
        const http::response r = http::problem(http::status::conflict)
                                     .member("order", 17)
                                     .detail("paid \"already\"")
                                     .type("https://a.test/paid")
                                     .title("Paid")
                                     .instance("/orders/17")
                                     .member("state", "paid");
        CHECK(body_of(r) == "{\"type\":\"https://a.test/paid\",\"title\":\"Paid\",\"status\":409,\"order\":17,"
                            "\"detail\":\"paid \\\"already\\\"\",\"instance\":\"/orders/17\",\"state\":\"paid\"}\n");
        const http::response twice = http::problem(http::status::conflict).title("a").title("b");
        CHECK(body_of(twice) == "{\"type\":\"about:blank\",\"title\":\"b\",\"status\":409}\n");
    }

    TEST_CASE("nothing that comes from outside leaves its string [RFC 8259 7]") {
        CHECK(http::json_string("a\"b\\c") == "\"a\\\"b\\\\c\"");
        CHECK(http::json_string("\n\r\t\x01\x7f") == "\"\\u000a\\u000d\\u0009\\u0001\\u007f\"");
        CHECK(http::json_string(std::string_view("\0", 1)) == "\"\\u0000\"");
        CHECK(http::json_string("d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x98\x80") == "\"d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x98\x80\"");
        // not UTF-8: cut short, too long, a surrogate, beyond the last character, a stray octet [RFC 3629 4]
        for (const std::string_view bad : {std::string_view("\xc3"), std::string_view("\xc0"), std::string_view("\x80"),
                                           std::string_view("\xff")}) {
            CHECK(http::json_string(bad) == "\"\xef\xbf\xbd\"");
        }
        CHECK(http::json_string("\xed\xa0\x80") == "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
        CHECK(http::json_string("\xe0\x80\x80").size() == 11);
        CHECK(http::json_string("\xf4\x90\x80\x80").size() == 14);
        CHECK(http::json_string("\xe2\x82\"") == "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\"");
    }

    TEST_CASE("a handler may return one") {
        http::any_handler h([] { return http::problem(http::status::gone).detail("moved away"); });
        http::request req;
        const http::response r = h.call_sync(req);
        CHECK(r.code() == http::status::gone);
        CHECK(body_of(r).find("\"detail\":\"moved away\"") != std::string::npos);
    }
}
