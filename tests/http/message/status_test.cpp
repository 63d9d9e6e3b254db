// SPDX-License-Identifier: MIT
#include <flux/http/message/status.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

namespace http = flux::http;
using http::status;

TEST_SUITE("http/message/status") {
    TEST_CASE("61 codes have a reason phrase, no other has one [RFC 9110 15]") {
        unsigned named = 0;
        for (unsigned n = 0; n < 1000; ++n) {
            named += http::reason_phrase(static_cast<status>(n)).empty() ? 0U : 1U;
        }
        CHECK(named == 61);
        CHECK(http::reason_phrase(status::ok) == "OK");
        CHECK(http::reason_phrase(status::content_too_large) == "Content Too Large");
        CHECK(http::reason_phrase(static_cast<status>(306)).empty());
        CHECK(http::reason_phrase(static_cast<status>(418)).empty());
    }
    TEST_CASE("the class of a code is its first digit, and above 599 it is 5xx [RFC 9110 15]") {
        for (unsigned n = 100; n < 1000; ++n) {
            const auto s = static_cast<status>(n);
            CHECK(http::is_informational(s) == (n < 200));
            CHECK(http::is_success(s) == (n >= 200 && n < 300));
            CHECK(http::is_redirection(s) == (n >= 300 && n < 400));
            CHECK(http::is_client_error(s) == (n >= 400 && n < 500));
            CHECK(http::is_server_error(s) == (n >= 500));
        }
    }
    TEST_CASE("1xx, 204 and 304 never have content [RFC 9110 6.4.1]") {
        CHECK(http::is_bodyless(status::continue_));
        CHECK(http::is_bodyless(status::switching_protocols));
        CHECK(http::is_bodyless(static_cast<status>(199)));
        CHECK(http::is_bodyless(status::no_content));
        CHECK(http::is_bodyless(status::not_modified));
        for (const status s : {status::ok, status::reset_content, status::found, status::not_found}) {
            CHECK_FALSE(http::is_bodyless(s));
        }
    }
}
