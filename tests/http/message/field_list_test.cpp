// SPDX-License-Identifier: MIT
#include <flux/http/message/field_list.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace http = flux::http;

namespace {

std::vector<std::string> elements(std::string_view value) {
    std::vector<std::string> out;
    for (const std::string_view e : http::list_elements(value)) {
        out.emplace_back(e);
    }
    return out;
}
using strings = std::vector<std::string>;

} // namespace

TEST_SUITE("http/message/field_list") {
    TEST_CASE("a list is split at commas, trimmed, without its empty elements [RFC 9110 5.6.1]") {
        CHECK(elements("a, b ,\tc") == strings{"a", "b", "c"});
        CHECK(elements(" , a,, ,b,") == strings{"a", "b"});
        CHECK(elements("").empty());
        CHECK(elements(" , ,").empty());
        CHECK(elements("a") == strings{"a"});
    }
    TEST_CASE("commas inside quoted strings do not separate [RFC 9110 5.6.4]") {
        CHECK(elements("\"a,b\", c") == strings{"\"a,b\"", "c"});
        CHECK(elements(R"("a\",b", c)") == strings{R"("a\",b")", "c"});
        CHECK(elements("a=\"x,y\";b, c") == strings{"a=\"x,y\";b", "c"});
        CHECK(elements("\"a, b") == strings{"\"a, b"});
        CHECK(elements("\"a\\") == strings{"\"a\\"});
    }
    TEST_CASE("a token is found in any case, but not as a part of an element") {
        CHECK(http::list_has_token("keep-alive, Close", "close"));
        CHECK_FALSE(http::list_has_token("closefoo", "close"));
        CHECK_FALSE(http::list_has_token("close foo", "close"));
        CHECK_FALSE(http::list_has_token("close;a=b", "close"));
        CHECK_FALSE(http::list_has_token("\"close\"", "close"));
        CHECK_FALSE(http::list_has_token("", ""));
    }
    TEST_CASE("a parameter is split at its first equals sign") {
        const http::parameter p = http::to_parameter("q = 0.5=x");
        CHECK(p.name == "q");
        CHECK(p.value == "0.5=x");
        CHECK(p.has_value);
        CHECK_FALSE(http::to_parameter("secure").has_value);
        CHECK(http::to_parameter("a=").has_value);
        CHECK(http::to_parameter("a=").value.empty());
    }
    TEST_CASE("quoted strings are recognised as a whole and decoded [RFC 9110 5.6.4]") {
        CHECK(http::is_quoted_string("\"\""));
        CHECK(http::is_quoted_string(R"("a\"b")"));
        CHECK_FALSE(http::is_quoted_string("\""));
        CHECK_FALSE(http::is_quoted_string("a"));
        CHECK_FALSE(http::is_quoted_string("\"a\"b\""));
        CHECK_FALSE(http::is_quoted_string(R"("a\")"));
        CHECK_FALSE(http::is_quoted_string("\"a\nb\""));
        CHECK(http::unquote(R"("a\"b\\c")") == R"(a"b\c)");
        CHECK(http::unquote("token") == "token");
    }
    TEST_CASE("quoting leaves tokens alone and can be undone") {
        CHECK(http::quote("token") == "token");
        CHECK(http::quote("") == "\"\"");
        for (const std::string_view text : {"a b", "a\"b", "a\\b", "\\\"", "\xc3\xa9", ","}) {
            CHECK(http::is_quoted_string(http::quote(text)));
            CHECK(http::unquote(http::quote(text)) == text);
        }
    }
}
