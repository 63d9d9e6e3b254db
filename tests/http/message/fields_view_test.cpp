// SPDX-License-Identifier: MIT
#include <flux/http/message/fields.hpp>
#include <flux/http/message/fields_view.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace http = flux::http;
using http::field;

namespace {

http::fields sample() {
    http::fields f;
    f.add("Set-Cookie", "a=1").add("X-One", "1").add("connection", "foo").add("set-cookie", "b=2");
    f.add("x-one", "2").add("Connection", "bar, Close");
    return f;
}

} // namespace

TEST_SUITE("http/message/fields_view") {
    TEST_CASE("the first value of a name is found in any case, by text and by enumerator") {
        const http::fields owner = sample();
        const http::fields_view view = owner;
        CHECK(view.size() == 6);
        CHECK(view.get("SET-COOKIE") == "a=1");
        CHECK(view.get(field::set_cookie) == "a=1");
        CHECK(view.get(std::string("X-ONE")) == "1");
        CHECK_FALSE(view.get("X-Two").has_value());
        CHECK_FALSE(view.get(field::host).has_value());
        CHECK(view.find("x-one") == 1);
        CHECK(view.find(field::host) == view.size());
        CHECK(view[0].name == "Set-Cookie");
        CHECK(view[3].name == "set-cookie");
        CHECK(view[3].id == field::set_cookie);
    }
    TEST_CASE("all values of a name come in their order, and no other") {
        const http::fields owner = sample();
        std::vector<std::string> cookies;
        for (const std::string_view v : owner.get_all(field::set_cookie)) {
            cookies.emplace_back(v);
        }
        CHECK(cookies == std::vector<std::string>{"a=1", "b=2"});
        std::vector<std::string> ones;
        for (const std::string_view v : owner.get_all("X-one")) {
            ones.emplace_back(v);
        }
        CHECK(ones == std::vector<std::string>{"1", "2"});
        for ([[maybe_unused]] const std::string_view v : owner.get_all("X-Two")) {
            CHECK(false);
        }
    }
    TEST_CASE("a token is looked for in all lines of the name") {
        const http::fields owner = sample();
        CHECK(owner.has_token(field::connection, "close"));
        CHECK(owner.has_token("CONNECTION", "FOO"));
        CHECK_FALSE(owner.has_token(field::connection, "clos"));
        CHECK_FALSE(owner.has_token(field::te, "close"));
    }
    TEST_CASE("what is present and what is repeated is known without a search") {
        const http::fields owner = sample();
        CHECK(owner.view().present() == http::field_set(field::set_cookie, field::connection));
        CHECK(owner.view().repeated() == http::field_set(field::set_cookie, field::connection));
        CHECK(http::fields_view().present().empty());
    }
    TEST_CASE("iteration gives every line in its order") {
        const http::fields owner = sample();
        std::string names;
        for (const http::field_view f : owner) {
            names += std::string(f.name) + " ";
        }
        CHECK(names == "Set-Cookie X-One connection set-cookie x-one Connection ");
        CHECK(http::fields_view().begin() == http::fields_view().end());
    }
}
