// SPDX-License-Identifier: MIT
#include <flux/http/message/method.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>

namespace http = flux::http;
using http::method;

TEST_SUITE("http/message/method") {
    TEST_CASE("every registered method is found by exactly its token") {
        for (std::size_t i = 1; i < http::detail::method_count; ++i) {
            const auto m = static_cast<method>(i);
            CHECK_FALSE(http::to_string(m).empty());
            CHECK(http::to_method(http::to_string(m)) == m);
            CHECK(http::to_method(std::string(http::to_string(m)) + "X") == method::other);
        }
    }
    TEST_CASE("methods are case-sensitive [RFC 9110 9.1]") {
        CHECK(http::to_method("get") == method::other);
        CHECK(http::to_method("Post") == method::other);
        CHECK(http::to_method("") == method::other);
        CHECK(http::to_method("PRI") == method::other);
        CHECK(http::to_string(method::other).empty());
    }
    TEST_CASE("safe methods are those that only read [RFC 9110 9.2.1]") {
        for (const method m : {method::get, method::head, method::options, method::trace, method::query,
                               method::propfind, method::report, method::search}) {
            CHECK(http::is_safe(m));
            CHECK(http::is_idempotent(m));
        }
        for (const method m : {method::other, method::post, method::put, method::delete_, method::patch,
                               method::connect, method::lock}) {
            CHECK_FALSE(http::is_safe(m));
        }
    }
    TEST_CASE("PUT and DELETE may be repeated, POST and PATCH may not [RFC 9110 9.2.2]") {
        CHECK(http::is_idempotent(method::put));
        CHECK(http::is_idempotent(method::delete_));
        for (const method m : {method::other, method::post, method::patch, method::connect, method::lock}) {
            CHECK_FALSE(http::is_idempotent(m));
        }
    }
}
