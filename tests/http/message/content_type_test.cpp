// SPDX-License-Identifier: MIT
#include <flux/http/message/content_type.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string_view>

using flux::http::content_type;

TEST_SUITE("http/message/content_type") {
    TEST_CASE("a media type is a type, a subtype and parameters [RFC 9110 8.3.1]") {
        const auto t = content_type::parse(" Text/HTML ; Charset=\"utf-8\" ;boundary=x");
        REQUIRE(t);
        CHECK(t->essence() == "Text/HTML");
        CHECK(t->type() == "Text");
        CHECK(t->subtype() == "HTML");
        CHECK(t->is("text/html"));
        CHECK_FALSE(t->is("text/plain"));
        CHECK(t->parameter("charset") == "utf-8");
        CHECK(t->parameter("BOUNDARY") == "x");
        CHECK_FALSE(t->parameter("q").has_value());
    }
    TEST_CASE("quoted parameters may hold semicolons and escapes [RFC 9110 5.6.6]") {
        const auto t = content_type::parse(R"(multipart/form-data; boundary="a;b\"c"; x=y)");
        REQUIRE(t);
        CHECK(t->parameter("boundary") == "a;b\"c");
        CHECK(t->parameter("x") == "y");
    }
    TEST_CASE("JSON is application/json and everything that ends in +json [RFC 6839 3.1]") {
        CHECK(content_type::parse("application/json")->is_json());
        CHECK(content_type::parse("application/problem+JSON; charset=utf-8")->is_json());
        CHECK_FALSE(content_type::parse("application/jsonx")->is_json());
        CHECK_FALSE(content_type::parse("text/+json")->is_json());
    }
    TEST_CASE("what is no media type is refused") {
        for (const std::string_view text :
             {"", "text", "text/", "/html", "text/html/x", "te xt/html", "text/ht ml", "text /html",
              "text/html; charset", "text/html; =x", "text/html; a=b c", "text/html; a=\"b", "text/html; a =b",
              "text/html, text/plain", "text/html; a="}) {
            CHECK_FALSE_MESSAGE(content_type::parse(text).has_value(), text);
        }
        CHECK(content_type::parse("text/html;").has_value()); // an empty piece is skipped
    }
}
