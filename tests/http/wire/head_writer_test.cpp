// SPDX-License-Identifier: MIT
#include <flux/http/wire/head_parser.hpp>
#include <flux/http/wire/head_writer.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace http = flux::http;
using http::body_kind;
using http::field;

namespace {

std::string response(const http::response_start& start, const http::fields& f = {}) {
    std::string whole;
    std::string by_line;
    http::string_sink a(whole);
    http::string_sink b(by_line);
    const http::errc first = http::write_response_head(a, start, f);
    const http::errc second = http::write_response_head(b, start, f.view());
    CHECK(first == second);
    CHECK(whole == by_line); // the list that owns its text and the view over it are written alike
    return first == http::errc::none ? whole : std::string(http::describe(first).name);
}
std::string request(const http::request_start& start, const http::fields& f = {}) {
    std::string whole;
    http::string_sink sink(whole);
    const http::errc e = http::write_request_head(sink, start, f);
    std::string by_line;
    http::string_sink other(by_line);
    CHECK(http::write_request_head(other, start, f.view()) == e);
    CHECK(whole == by_line);
    return e == http::errc::none ? whole : std::string(http::describe(e).name);
}

} // namespace

TEST_SUITE("http/wire/head_writer") {
    TEST_CASE("a response is status line, date, fields, framing, empty line") {
        http::fields f;
        f.add(field::server, "flux").add(field::content_type, "text/plain");
        CHECK(response({.length = 13, .date = "Sun, 06 Nov 1994 08:49:37 GMT"}, f) ==
              "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: flux\r\n"
              "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n");
        CHECK(response({}) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    TEST_CASE("a status line has three digits, a space and the reason, which may be empty [RFC 9112 4]") {
        const auto line = [](unsigned n) {
            const std::string whole = response({.status = static_cast<http::status>(n), .body = body_kind::none});
            return whole.substr(0, whole.find("\r\n"));
        };
        CHECK(line(404) == "HTTP/1.1 404 Not Found");
        CHECK(line(599) == "HTTP/1.1 599 ");
        CHECK(line(999) == "HTTP/1.1 999 ");
        CHECK(line(511) == "HTTP/1.1 511 Network Authentication Required");
        CHECK(line(99) == "invalid_head");
        CHECK(line(1000) == "invalid_head");
    }
    TEST_CASE("the framing line says what is done, and nothing else says it") {
        CHECK(response({.body = body_kind::chunked}) == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        CHECK(response({.body = body_kind::until_close}) == "HTTP/1.1 200 OK\r\n\r\n");
        CHECK(response({.length = UINT64_MAX}) == "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n");
        http::fields f;
        f.add("A", "1").add(field::content_length, "99").add(field::transfer_encoding, "gzip");
        f.add("B", "2").add(field::connection, "x").add("Keep-Alive", "timeout=5");
        CHECK(response({.length = 3}, f) == "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nContent-Length: 3\r\n\r\n");
    }
    TEST_CASE("1xx and 204 carry no framing line [RFC 9110 8.6]") {
        for (const http::status s : {http::status::continue_, http::status::no_content, http::status::early_hints}) {
            CHECK(response({.status = s, .length = 5}).find("Content-Length") == std::string::npos);
            CHECK(response({.status = s, .body = body_kind::chunked}).find("Transfer") == std::string::npos);
        }
        CHECK(response({.status = http::status::not_modified, .length = 5}).find("Content-Length: 5") !=
              std::string::npos);
    }
    TEST_CASE("the connection line is the engine's word") {
        using http::connection_line;
        CHECK(response({.connection = connection_line::close}).find("\r\nConnection: close\r\n\r\n") !=
              std::string::npos);
        CHECK(response({.connection = connection_line::keep_alive}).find("\r\nConnection: keep-alive\r\n") !=
              std::string::npos);
        http::fields f;
        f.add(field::upgrade, "websocket");
        CHECK(response({.status = http::status::switching_protocols, .connection = connection_line::upgrade}, f) ==
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    }
    TEST_CASE("a Date among the fields wins, an unusual one is written as it is given") {
        http::fields f;
        f.add(field::date, "mine");
        CHECK(response({.date = "Sun, 06 Nov 1994 08:49:37 GMT"}, f) ==
              "HTTP/1.1 200 OK\r\nDate: mine\r\nContent-Length: 0\r\n\r\n");
        CHECK(response({.date = "short"}) == "HTTP/1.1 200 OK\r\nDate: short\r\nContent-Length: 0\r\n\r\n");
    }
    TEST_CASE("a request starts with its Host [RFC 9110 7.2]") {
        http::fields f;
        f.add("Accept", "*/*");
        CHECK(request({.target = "/a?b", .host = "h:8080"}, f) ==
              "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nAccept: */*\r\n\r\n");
        f.add("host", "other");
        CHECK(request({.host = "h"}, f) == "GET / HTTP/1.1\r\nHost: other\r\nAccept: */*\r\n\r\n");
        CHECK(request({.method = "POST", .host = "h", .body = body_kind::length, .length = 7}) ==
              "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n");
        CHECK(request({.method = "PUT", .host = "h", .body = body_kind::chunked}) ==
              "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    }
    TEST_CASE("what could split a request is refused, and nothing is written [RFC 9112 3]") {
        for (const std::string_view method : {"", "GET ", "G T", "GET\r\n", "G\x01", "GET/"}) {
            CHECK(request({.method = method, .host = "h"}) == "invalid_head");
        }
        for (const std::string_view target : {"", "/ ", "/a b", "/\r\nX: y", "/#a", "/\x7f", "/\xc3\xa9", "/\t"}) {
            CHECK(request({.target = target, .host = "h"}) == "invalid_head");
        }
        for (const std::string_view host : {"", "a b", "a\r\nX: y", "u@h", "h/", "h:x"}) {
            CHECK(request({.host = host}) == "invalid_head");
        }
        std::string untouched = "x";
        http::string_sink sink(untouched);
        CHECK(http::write_request_head(sink, {.target = "/ ", .host = "h"}, http::fields()) ==
              http::errc::invalid_head);
        CHECK(untouched == "x");
    }
    TEST_CASE("what is written is parsed again, for every registered status and method") {
        const http::limits lim;
        http::field_storage storage;
        http::response_parser responses(lim, storage);
        http::fields f;
        f.add("A", "").add(field::etag, "\"x\"");
        for (unsigned n = 100; n < 1000; ++n) {
            const std::string octets = response({.status = static_cast<http::status>(n), .length = n}, f);
            responses.reset();
            REQUIRE(responses.parse(octets) == http::parse_state::done);
            const http::response_head h = responses.head(octets);
            CHECK(http::to_number(h.status) == n);
            CHECK(h.reason == http::reason_phrase(static_cast<http::status>(n)));
            CHECK(h.fields.get("etag") == "\"x\"");
        }
        http::request_parser requests(lim, storage);
        for (std::size_t i = 1; i < http::detail::method_count; ++i) {
            const auto m = static_cast<http::method>(i);
            const bool connect = m == http::method::connect;
            const std::string octets =
                request({.method = http::to_string(m), .target = connect ? "h:1" : "/x", .host = "h"}, f);
            requests.reset();
            REQUIRE(requests.parse(octets) == http::parse_state::done);
            CHECK(requests.head(octets).method == m);
        }
    }
}
