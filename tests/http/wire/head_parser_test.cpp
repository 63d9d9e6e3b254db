// SPDX-License-Identifier: MIT
// What both parsers promise beyond their outcomes; the outcomes themselves are cases of tests/corpus/http1.
#include <flux/http/wire/head_parser.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "support/counting_new.hpp"

namespace http = flux::http;
using http::field;
using http::parse_state;

namespace {

const std::string hello = "GET /hello?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: wrk\r\nX-Some: y\r\n\r\n";
const std::string answer = "HTTP/1.1 404 Not Found\r\nServer: flux\r\nContent-Length: 0\r\n\r\n";

} // namespace

TEST_SUITE("http/wire/head_parser") {
    TEST_CASE("a request head is views into the octets that were parsed") {
        const http::limits lim;
        http::field_storage storage;
        http::request_parser parser(lim, storage);
        REQUIRE(parser.parse(hello) == parse_state::done);
        CHECK(parser.consumed() == hello.size());
        CHECK_FALSE(parser.error());
        const http::request_head h = parser.head(hello);
        CHECK(h.method == http::method::get);
        CHECK(h.method_token == "GET");
        CHECK(h.target == "/hello?x=1");
        CHECK(h.path == "/hello");
        CHECK(h.query == "x=1");
        CHECK(h.has_query);
        CHECK(h.authority == "127.0.0.1:8080");
        CHECK(h.fields.size() == 3);
        CHECK(h.fields.get(field::user_agent) == "wrk");
        CHECK(h.fields.get("x-some") == "y");
        CHECK(h.target.data() == hello.data() + 4);
        CHECK(h.fields[0].value.data() == hello.data() + hello.find("127"));
    }
    TEST_CASE("the octets may move between pieces and after the end") {
        const http::limits lim;
        http::field_storage storage;
        http::request_parser parser(lim, storage);
        for (std::size_t n = 0; n < hello.size(); ++n) {
            const std::string somewhere_else(hello, 0, n);
            REQUIRE(parser.parse(somewhere_else) == parse_state::need_more);
        }
        REQUIRE(parser.parse(hello) == parse_state::done);
        const std::string moved = hello;
        const http::request_head h = parser.head(moved);
        CHECK(h.target.data() == moved.data() + 4);
        CHECK(h.fields.get(field::host) == "127.0.0.1:8080");
    }
    TEST_CASE("after done or failed, parse() does nothing more until reset()") {
        const http::limits lim;
        http::field_storage storage;
        http::request_parser parser(lim, storage);
        REQUIRE(parser.parse("GET / HTTP/1.1\r\nHost : a") == parse_state::failed);
        CHECK(parser.error().code == http::errc::space_before_colon);
        CHECK(parser.error().offset == 20);
        CHECK(parser.parse(hello) == parse_state::failed);
        CHECK(parser.error().offset == 20);
        parser.reset();
        CHECK_FALSE(parser.error());
        REQUIRE(parser.parse(hello) == parse_state::done);
        CHECK(parser.parse(hello + "garbage\n\n") == parse_state::done);
        CHECK(parser.consumed() == hello.size());
    }
    TEST_CASE("an end of the stream is clean only before the first octet of a request line") {
        const http::limits lim;
        http::field_storage storage;
        http::request_parser parser(lim, storage);
        CHECK(parser.untouched());
        CHECK(parser.parse("") == parse_state::need_more);
        CHECK(parser.untouched());
        CHECK(parser.parse("\r") == parse_state::need_more);
        CHECK_FALSE(parser.untouched());
        CHECK(parser.parse("\r\n") == parse_state::need_more);
        CHECK(parser.untouched());
        CHECK(parser.parse("\r\nG") == parse_state::need_more);
        CHECK_FALSE(parser.untouched());
    }
    TEST_CASE("a warm parser does not allocate") {
        const http::limits lim;
        http::field_storage storage;
        storage.reserve(8);
        http::request_parser requests(lim, storage);
        http::response_parser responses(lim, storage);
        const test_support::allocation_count count;
        for (int i = 0; i < 3; ++i) {
            requests.reset();
            REQUIRE(requests.parse(std::string_view(hello).substr(0, 30)) == parse_state::need_more);
            REQUIRE(requests.parse(hello) == parse_state::done);
            REQUIRE(requests.head(hello).fields.size() == 3);
            responses.reset();
            REQUIRE(responses.parse(answer) == parse_state::done);
            REQUIRE(responses.head(answer).status == http::status::not_found);
        }
        CHECK(count.allocations() == 0);
    }
    TEST_CASE("a response head is views into the octets that were parsed") {
        const http::limits lim;
        http::field_storage storage;
        http::response_parser parser(lim, storage);
        CHECK(parser.untouched());
        REQUIRE(parser.parse(answer) == parse_state::done);
        CHECK(parser.consumed() == answer.size());
        const http::response_head h = parser.head(answer);
        CHECK(http::to_number(h.status) == 404);
        CHECK(h.reason == "Not Found");
        CHECK(h.version == http::version::http_1_1);
        CHECK(h.fields.get(field::server) == "flux");
        CHECK(h.reason.data() == answer.data() + 13);
    }
    TEST_CASE("a parser may be used for a pipelined request at another place of the buffer") {
        const http::limits lim;
        http::field_storage storage;
        http::request_parser parser(lim, storage);
        const std::string two = hello + "DELETE /b HTTP/1.1\r\nHost: b\r\n\r\n";
        REQUIRE(parser.parse(two) == parse_state::done);
        const std::string_view second = std::string_view(two).substr(parser.consumed());
        parser.reset();
        REQUIRE(parser.parse(second) == parse_state::done);
        CHECK(parser.head(second).method == http::method::delete_);
        CHECK(parser.head(second).authority == "b");
        CHECK(parser.head(second).fields.size() == 1);
    }
}
