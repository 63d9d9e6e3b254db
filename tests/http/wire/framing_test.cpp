// SPDX-License-Identifier: MIT
#include <flux/http/message/fields.hpp>
#include <flux/http/wire/framing.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

namespace http = flux::http;
using http::body_kind;
using http::field;

namespace {

http::body_framing request_with(const http::fields& f, http::version v = http::version::http_1_1) {
    http::request_head h;
    h.method = http::method::post;
    h.version = v;
    h.fields = f;
    return http::body_length(h);
}
http::body_framing response_with(http::status s, const http::fields& f, http::method asked = http::method::get) {
    http::response_head h;
    h.status = s;
    h.fields = f;
    return http::body_length(h, asked);
}

} // namespace

TEST_SUITE("http/wire/framing") {
    TEST_CASE("the cases of a request: none, a length, chunked [RFC 9112 6.3]") {
        http::fields f;
        CHECK(request_with(f).kind == body_kind::none);
        f.add(field::content_length, "42");
        CHECK(request_with(f).kind == body_kind::length);
        CHECK(request_with(f).length == 42);
        f.clear();
        f.add(field::transfer_encoding, "chunked");
        CHECK(request_with(f).kind == body_kind::chunked);
        CHECK(request_with(f, http::version::http_1_0).error.code == http::errc::transfer_coding_in_1_0);
    }
    TEST_CASE("an error says which line it is about") {
        http::fields f;
        f.add("A", "1").add(field::content_length, "5").add(field::content_length, "6");
        const http::body_framing b = request_with(f);
        CHECK(b.error.code == http::errc::repeated_content_length);
        CHECK(f.lines().substr(b.error.offset).starts_with("Content-Length: 6"));
        f.clear();
        f.add("A", "1").add(field::content_length, "x");
        CHECK(f.lines().substr(request_with(f).error.offset) == "x\r\n");
    }
    TEST_CASE("the cases of a response in the order of the standard [RFC 9112 6.3]") {
        http::fields none;
        http::fields both;
        both.add(field::content_length, "5").add(field::transfer_encoding, "chunked");
        CHECK(response_with(http::status::ok, both, http::method::head).kind == body_kind::none);      // 1
        CHECK(response_with(http::status::not_modified, both).kind == body_kind::none);                // 1
        CHECK(response_with(http::status::ok, both, http::method::connect).kind == body_kind::tunnel); // 2
        CHECK(response_with(http::status::switching_protocols, none).kind == body_kind::tunnel);
        CHECK(response_with(http::status::ok, both).error.code == http::errc::length_and_transfer_coding); // 3
        CHECK(response_with(http::status::ok, none).kind == body_kind::until_close);                       // 8
        CHECK(response_with(http::status::forbidden, none, http::method::connect).kind == body_kind::until_close);
    }
    TEST_CASE("many lines of one name are judged together") {
        http::fields f;
        f.add(field::transfer_encoding, "foo").add("X", "1").add(field::transfer_encoding, "chunked");
        CHECK(request_with(f).error.code == http::errc::unknown_transfer_coding);
        f.add(field::transfer_encoding, "chunked");
        CHECK(request_with(f).error.code == http::errc::bad_transfer_coding);
    }
    TEST_CASE("an HTTP/1.0 message is persistent only if it asks for it [RFC 9112 9.3]") {
        http::fields f;
        CHECK(http::connection_of(f, http::version::http_1_1).persistent);
        CHECK_FALSE(http::connection_of(f, http::version::http_1_0).persistent);
        f.add(field::connection, "keep-alive");
        CHECK(http::connection_of(f, http::version::http_1_0).persistent);
        f.add(field::connection, "Close");
        CHECK_FALSE(http::connection_of(f, http::version::http_1_1).persistent);
        CHECK(http::connection_of(f, http::version::http_1_1).close);
        CHECK(http::connection_of(f, http::version::http_1_1).keep_alive);
    }
}
