// SPDX-License-Identifier: MIT
#include <flux/http/wire/errc.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <system_error>

namespace http = flux::http;

TEST_SUITE("http/wire/errc") {
    TEST_CASE("every code has a name, a meaning, an answer and somebody at fault") {
        for (std::size_t i = 1; i < http::detail::errc_count; ++i) {
            const auto code = static_cast<http::errc>(i);
            const http::errc_info& row = http::describe(code);
            CHECK(row.code == code);
            CHECK_FALSE(row.name.empty());
            CHECK_FALSE(row.meaning.empty());
            CHECK(http::to_number(row.answer) >= 400);
            CHECK(http::make_error_code(code).message() == row.meaning);
        }
    }
    TEST_CASE("a code becomes a flux::error of its kind") {
        CHECK(flux::error(http::make_error_code(http::errc::obs_fold)).kind() == flux::error_kind::protocol);
        CHECK(flux::error(http::make_error_code(http::errc::head_too_large)).kind() == flux::error_kind::limit);
        CHECK(flux::error(http::make_error_code(http::errc::incomplete_body)).kind() == flux::error_kind::network);
        CHECK(flux::error(http::make_error_code(http::errc::invalid_head)).kind() == flux::error_kind::usage);
        const std::error_code code = http::errc::bad_host;
        CHECK((code == http::errc::bad_host));
        CHECK(std::string(code.category().name()) == "http");
        CHECK(http::http_category().message(9999) == "unknown http error");
    }
    TEST_CASE("framing doubts are answered with 400, limits with their own status") {
        using http::describe;
        using http::errc;
        CHECK(describe(errc::length_and_transfer_coding).answer == http::status::bad_request);
        CHECK(describe(errc::unknown_transfer_coding).answer == http::status::not_implemented);
        CHECK(describe(errc::version_not_supported).answer == http::status::http_version_not_supported);
        CHECK(describe(errc::start_line_too_large).answer == http::status::uri_too_long);
        CHECK(describe(errc::too_many_fields).answer == http::status::request_header_fields_too_large);
        CHECK(describe(errc::body_too_large).answer == http::status::content_too_large);
    }
    TEST_CASE("a message error is true if there is one") {
        CHECK_FALSE(http::message_error());
        CHECK(http::message_error{http::errc::bad_host, 3});
        CHECK(http::message_error{http::errc::bad_host, 3}.answer() == http::status::bad_request);
    }
}
