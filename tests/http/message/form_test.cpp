// SPDX-License-Identifier: MIT
#include <flux/http/message/form.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace http = flux::http;

TEST_SUITE("http/message/form") {

    TEST_CASE("names and values are decoded, in order, repeated ones all") {
        http::form f;
        REQUIRE(from_body("a=1&b+c=%C3%A9+d&a=2&e&=x", f).has_value());
        CHECK(f.size() == 5);
        CHECK(f.get("a") == "1");
        CHECK(f.get_all("a") == std::vector<std::string_view>{"1", "2"});
        CHECK(f.get("b c") == "\xc3\xa9 d");
        CHECK(f.get("e") == "");
        CHECK(f.get("") == "x");
        CHECK_FALSE(f.get("missing").has_value());
        CHECK(f.get_all("missing").empty());
        CHECK(f.pairs()[2].second == "2");
    }

    TEST_CASE("an empty body is a form without fields, and too many fields are none") {
        http::form f;
        CHECK(from_body("", f).has_value());
        CHECK(f.size() == 0);
        std::string many;
        for (std::size_t i = 0; i < http::form::max_fields; ++i) {
            many += "a=&";
        }
        CHECK(from_body(many, f).has_value());
        CHECK(f.size() == http::form::max_fields);
        CHECK_FALSE(from_body(many + "a=", f).has_value());
    }

} // TEST_SUITE
