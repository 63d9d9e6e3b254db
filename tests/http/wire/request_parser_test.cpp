// SPDX-License-Identifier: MIT
#include <flux/http/wire/request_parser.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace http = flux::http;
using http::parse_state;

namespace {

http::message_error error_of(const std::string& octets) {
    const http::limits lim;
    http::field_storage storage;
    http::request_parser parser(lim, storage);
    static_cast<void>(parser.parse(octets));
    return parser.error();
}

} // namespace

TEST_SUITE("http/wire/request_parser") {
    TEST_CASE("every octet is judged at every place of a request: 256 values, no surprise") {
        // A request in which any single octet is replaced either still parses, or fails at that octet or later:
        // never before it, because everything before it was fine.
        const std::string good = "GET /a?b HTTP/1.1\r\nHost: example.com:80\r\nX-Y: z\r\n\r\n";
        const http::limits lim;
        http::field_storage storage;
        http::request_parser parser(lim, storage);
        unsigned early = 0;
        for (std::size_t at = 0; at < good.size(); ++at) {
            for (unsigned c = 0; c < 256; ++c) {
                std::string changed = good;
                changed[at] = static_cast<char>(c);
                parser.reset();
                if (parser.parse(changed) == parse_state::failed) {
                    const http::message_error e = parser.error();
                    // judged as a whole: the version at its first digit, the host at its start, a target likewise
                    const bool whole = e.code == http::errc::version_not_supported || e.code == http::errc::bad_host ||
                                       e.code == http::errc::bad_target || e.code == http::errc::bad_target_form;
                    early += e.offset < at && !whole ? 1U : 0U;
                }
            }
        }
        CHECK(early == 0);
    }
    TEST_CASE("an error has a code, an offset and an answer") {
        const http::message_error e = error_of("GET / HTTP/2.0\r\n\r\n");
        CHECK(e.code == http::errc::version_not_supported);
        CHECK(e.offset == 11);
        CHECK(e.answer() == http::status::http_version_not_supported);
    }
    TEST_CASE("a head without end costs no more than its limit") {
        const http::limits lim;
        http::field_storage storage;
        http::request_parser parser(lim, storage);
        const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
        std::string endless = start;
        while (endless.size() < 200'000) {
            endless += "X-Filler: " + std::string(4000, 'x') + "\r\n";
        }
        CHECK(parser.parse(endless) == parse_state::failed);
        CHECK(parser.error().code == http::errc::head_too_large);
        CHECK(parser.error().offset == lim.head_octets);
    }
    TEST_CASE("field names of 16 octets and more are known too, and lines at the very end of the buffer") {
        for (const std::string name : {"TE", "Via", "Host2", "Accept-Encoding", "If-Modified-Since",
                                       "Sec-WebSocket-Extensions", "Strict-Transport-Security"}) {
            const std::string octets = "GET / HTTP/1.1\r\nHost: a\r\n" + name + ":b\r\n\r\n";
            const http::limits lim;
            http::field_storage storage;
            http::request_parser parser(lim, storage);
            REQUIRE(parser.parse(octets) == parse_state::done);
            CHECK(parser.head(octets).fields[1].id == http::to_field(name));
            CHECK(parser.head(octets).fields[1].value == "b");
        }
    }
}
