// SPDX-License-Identifier: MIT
#include <flux/http/wire/response_parser.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace http = flux::http;
using http::parse_state;

TEST_SUITE("http/wire/response_parser") {
    TEST_CASE("every status from 100 to 999 is taken, and no other [RFC 9110 15]") {
        const http::limits lim;
        http::field_storage storage;
        http::response_parser parser(lim, storage);
        for (int n = 0; n < 1000; ++n) {
            std::string digits = std::to_string(n);
            digits.insert(0, 3 - digits.size(), '0');
            const std::string octets = "HTTP/1.1 " + digits + " x\r\n\r\n";
            parser.reset();
            const parse_state s = parser.parse(octets);
            CHECK(s == (n >= 100 ? parse_state::done : parse_state::failed));
            if (s == parse_state::done) {
                CHECK(http::to_number(parser.head(octets).status) == static_cast<unsigned>(n));
            }
        }
    }
    TEST_CASE("a head that never ends is refused at its limit") {
        const http::limits lim;
        http::field_storage storage;
        http::response_parser parser(lim, storage);
        std::string endless = "HTTP/1.1 200 OK\r\n";
        while (endless.size() < 100'000) {
            endless += "X: " + std::string(5000, 'x') + "\r\n";
        }
        CHECK(parser.parse(endless) == parse_state::failed);
        CHECK(parser.error().code == http::errc::head_too_large);
    }
}
