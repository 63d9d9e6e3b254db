// SPDX-License-Identifier: MIT
#include <flux/http/wire/field_section.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace http = flux::http;
using http::field;
using http::parse_state;
using http::detail::field_section;

TEST_SUITE("http/wire/field_section") {
    TEST_CASE("a section may start anywhere, and what comes before counts for the limit of a head") {
        http::limits lim;
        lim.head_octets = 15;
        http::field_storage lines;
        field_section section(lim, field_section::kind::head);
        section.begin(5);
        const std::string fits = "12345A: bcd\r\n\r\n";
        CHECK(section.parse(fits.data(), fits.size(), lines) == parse_state::done);
        CHECK(section.position() == 15);
        CHECK(lines.size() == 1);
        lines.clear();
        section.begin(5);
        const std::string over = "12345A: bcde\r\n\r\n";
        CHECK(section.parse(over.data(), over.size(), lines) == parse_state::failed);
        CHECK(section.error() == http::errc::head_too_large);
        CHECK(section.position() == 15);
    }
    TEST_CASE("a trailer section has limits of its own") {
        http::limits lim;
        lim.trailer_octets = 10;
        http::field_storage lines;
        field_section section(lim, field_section::kind::trailers);
        section.begin(0);
        const std::string over = "A: bcdefgh\r\n\r\n";
        CHECK(section.parse(over.data(), over.size(), lines) == parse_state::failed);
        CHECK(section.error() == http::errc::trailers_too_large);
    }
    TEST_CASE("which names are present and which are repeated is known at the end, whatever the pieces") {
        const http::limits lim;
        const std::string text = "Host: a\r\nX: 1\r\nTE: b\r\nhost: c\r\nx: 2\r\n\r\n";
        for (std::size_t cut = 0; cut < text.size(); ++cut) {
            http::field_storage lines;
            field_section section(lim, field_section::kind::head);
            section.begin(0);
            static_cast<void>(section.parse(text.data(), cut, lines));
            REQUIRE(section.parse(text.data(), text.size(), lines) == parse_state::done);
            CHECK(lines.size() == 5);
            CHECK(section.present() == http::field_set(field::host, field::te));
            CHECK(section.repeated() == http::field_set(field::host));
        }
    }
    TEST_CASE("a section that comes octet by octet costs linear work") {
        // 60 000 octets in 60 000 pieces: judging each piece from the start would take minutes.
        http::limits lim;
        lim.field_line_octets = 60'000;
        const std::string text = "X: " + std::string(50'000, 'v') + "\r\nA" + std::string(9'000, 'n') + ": v\r\n\r\n";
        http::field_storage lines;
        field_section section(lim, field_section::kind::head);
        section.begin(0);
        for (std::size_t n = 0; n < text.size(); ++n) {
            REQUIRE(section.parse(text.data(), n, lines) == parse_state::need_more);
            REQUIRE(section.position() == n); // everything that is there has been judged
        }
        CHECK(section.parse(text.data(), text.size(), lines) == parse_state::done);
        CHECK(lines.size() == 2);
    }
}
