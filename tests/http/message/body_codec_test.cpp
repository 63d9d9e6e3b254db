// SPDX-License-Identifier: MIT
#include <flux/http/message/body_codec.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <flux/http/message/form.hpp>

#include <string>

namespace http = flux::http;

namespace shop {

struct order {
    int id = 0;
};
bool from_body(std::string_view, order&);
std::string to_body(const order&);

struct plain {};
constexpr std::string_view body_content_type(std::type_identity<plain>) {
    return "text/plain";
}
struct no_default {
    explicit no_default(int) {}
};
bool from_body(std::string_view, no_default&);

} // namespace shop

TEST_SUITE("http/message/body_codec") {

    TEST_CASE("the hooks are found beside the type") {
        static_assert(http::readable_body<shop::order> && http::writable_body<shop::order>);
        static_assert(!http::readable_body<shop::plain> && !http::writable_body<shop::plain>);
        static_assert(!http::readable_body<shop::no_default>);
        static_assert(http::readable_body<http::form> && !http::writable_body<http::form>);
        static_assert(!http::readable_body<int> && !http::writable_body<std::string>);
        CHECK(http::content_type_of<shop::order>() == "application/json");
        CHECK(http::content_type_of<shop::plain>() == "text/plain");
        CHECK(http::content_type_of<http::form>() == "application/x-www-form-urlencoded");
    }

    TEST_CASE("a type is read from its own media type, in any case and with parameters") {
        CHECK(http::accepts_content_type<shop::order>("application/json"));
        CHECK(http::accepts_content_type<shop::order>("Application/JSON; charset=utf-8"));
        CHECK(http::accepts_content_type<shop::order>("application/vnd.shop+json"));
        CHECK(http::accepts_content_type<shop::plain>("text/plain"));
        for (const char* other : {"", "json", "text/plain", "application/jsonp", "application/json; charset", "a/b, application/json"}) {
            CAPTURE(other);
            CHECK_FALSE(http::accepts_content_type<shop::order>(other));
        }
        CHECK_FALSE(http::accepts_content_type<shop::plain>("application/json"));
        CHECK_FALSE(http::accepts_content_type<http::form>("multipart/form-data; boundary=x"));
    }

} // TEST_SUITE
