// SPDX-License-Identifier: MIT
#include <flux/http/message/request.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <flux/http/message/response.hpp>

#include <http/server/parsed_request.hpp>

#include <string>

namespace http = flux::http;

TEST_SUITE("http/message/request") {

    TEST_CASE("a cookie is found by its name, the first of that name, on every Cookie line [RFC 6265 5.4]") {
        test_support::parsed_request req("GET / HTTP/1.1", "Host: a\r\nCookie: a=1; b=\"2\"; a=3\r\nCookie: c=4; x\r\n");
        CHECK(req->cookie("a") == "1");
        CHECK(req->cookie("b") == "\"2\"");
        CHECK(req->cookie("c") == "4");
        CHECK_FALSE(req->cookie("A").has_value());
        CHECK_FALSE(req->cookie("x").has_value());
        CHECK_FALSE(req->cookie("").has_value());
    }

    TEST_CASE("an answer sets cookies, each on a line of its own, and refuses what browsers would misread") {
        http::set_cookie c("a", "1");
        c.http_only();
        auto answer = http::text("x").cookie(c).cookie(http::set_cookie::removal("b"));
        CHECK(answer.fields().get("Set-Cookie") == "a=1; HttpOnly");
        std::size_t lines = 0;
        for (const auto f : answer.fields()) {
            lines += f.id == http::field::set_cookie ? 1 : 0;
        }
        CHECK(lines == 2);
        CHECK_THROWS_AS(answer.cookie(http::set_cookie("a", "1; Domain=evil")), flux::error);
    }

    TEST_CASE("observers of the end are told once, in their order, whatever they throw") {
        test_support::parsed_request req("GET / HTTP/1.1");
        std::string log;
        for (const char name : {'a', 'b'}) {
            req->at_end([&log, name](const http::request&, const http::exchange_end& end) {
                log += name + std::to_string(end.sent);
                throw 1;
            });
        }
        CHECK(req->is_observed());
        req->finish({http::status::ok, true, 0, 7, nullptr});
        req->finish({http::status::ok, true, 0, 8, nullptr});
        CHECK(log == "a7b7");
        CHECK_FALSE(req->is_observed());
    }

} // TEST_SUITE
