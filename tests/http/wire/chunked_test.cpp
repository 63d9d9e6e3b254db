// SPDX-License-Identifier: MIT
#include <flux/http/wire/chunked.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "support/counting_new.hpp"

namespace http = flux::http;
using http::chunk_event;
using http::field;

TEST_SUITE("http/wire/chunked") {
    TEST_CASE("data comes as spans of the segment, without a copy") {
        const http::limits lim;
        http::chunked_decoder decoder(lim);
        const std::string segment = "5\r\nhello\r\n3\r\nfoo\r\n0\r\n\r\nNEXT";
        http::chunk_step s = decoder.next(segment);
        CHECK(s.event == chunk_event::data);
        CHECK(s.data == "hello");
        CHECK(s.data.data() == segment.data() + 3);
        CHECK(s.consumed == 8);
        s = decoder.next(std::string_view(segment).substr(8));
        CHECK(s.data == "foo");
        s = decoder.next(std::string_view(segment).substr(8 + s.consumed));
        CHECK(s.event == chunk_event::done);
        CHECK(decoder.done());
        CHECK(decoder.content_octets() == 8);
        CHECK(decoder.next("more").consumed == 0);
        CHECK(decoder.next("more").event == chunk_event::done);
    }
    TEST_CASE("a chunk that comes in pieces is handed on piece by piece") {
        const http::limits lim;
        http::chunked_decoder decoder(lim);
        CHECK(decoder.next("a").event == chunk_event::need_more);
        CHECK(decoder.next("\r\n0123").data == "0123");
        CHECK(decoder.next("").event == chunk_event::need_more);
        CHECK(decoder.next("456").data == "456");
        CHECK(decoder.next("789\r").data == "789");
        CHECK(decoder.next("\r\n0\r").event == chunk_event::need_more);
        CHECK(decoder.next("\n\r\n").event == chunk_event::done);
    }
    TEST_CASE("an error stays, and its offset counts from the start of the body") {
        const http::limits lim;
        http::chunked_decoder decoder(lim);
        CHECK(decoder.next("3\r\nabc").event == chunk_event::data);
        CHECK(decoder.next("\r\n").event == chunk_event::need_more);
        CHECK(decoder.next("zz").event == chunk_event::failed);
        CHECK(decoder.error().code == http::errc::bad_chunk_size);
        CHECK(decoder.error().offset == 8);
        CHECK(decoder.next("0\r\n\r\n").event == chunk_event::failed);
        decoder.reset();
        CHECK_FALSE(decoder.error());
        CHECK(decoder.next("0\r\n\r\n").event == chunk_event::done);
    }
    TEST_CASE("a body without trailers is decoded without allocation, and so is the next one") {
        const http::limits lim;
        http::chunked_decoder decoder(lim);
        const test_support::allocation_count count;
        for (int i = 0; i < 3; ++i) {
            decoder.reset();
            REQUIRE(decoder.next("3;ext=1\r\nabc").event == chunk_event::data);
            REQUIRE(decoder.next("\r\n0\r\n\r\n").event == chunk_event::done);
        }
        CHECK(count.allocations() == 0);
    }
    TEST_CASE("trailers are a list of their own, gone after reset") {
        const http::limits lim;
        http::chunked_decoder decoder(lim);
        REQUIRE(decoder.next("0\r\nX-Sum: 1\r\nCookie: a=b\r\nx-sum: 2\r\nETag: \"e\"\r\n\r\n").event ==
                chunk_event::done);
        CHECK(decoder.trailers().size() == 3);
        CHECK(decoder.trailers().get("x-sum") == "1");
        CHECK(decoder.trailers().present() == http::field_set(field::etag));
        CHECK_FALSE(decoder.trailers().contains(field::cookie));
        decoder.reset();
        CHECK(decoder.trailers().empty());
    }
    TEST_CASE("a chunk header is the size in hexadecimal and CR LF") {
        const http::chunk_header one(1);
        const http::chunk_header some(0xabcdef);
        const http::chunk_header most(UINT64_MAX);
        CHECK(one.view() == "1\r\n");
        CHECK(some.view() == "abcdef\r\n");
        CHECK(most.view() == "ffffffffffffffff\r\n");
    }
    TEST_CASE("what is encoded is decoded again") {
        const http::limits lim;
        for (const std::size_t size : {1U, 15U, 16U, 255U, 4096U, 100'000U}) {
            const std::string data(size, 'd');
            const http::chunk_header header(size);
            const std::string wire = std::string(header.view()) + data + "\r\n" + std::string(http::last_chunk);
            http::chunked_decoder decoder(lim);
            const http::chunk_step s = decoder.next(wire);
            CHECK(s.data == data);
            CHECK(decoder.next(std::string_view(wire).substr(s.consumed)).event == chunk_event::done);
        }
    }
    TEST_CASE("trailers are written behind the last chunk [RFC 9112 7.1.2]") {
        std::string out = "x";
        http::string_sink sink(out);
        http::fields trailers;
        CHECK(http::write_last_chunk(sink, trailers) == http::errc::none);
        CHECK(out == "x0\r\n\r\n");
        trailers.add("X-Sum", "1").add("Grpc-Status", "0");
        CHECK(http::write_last_chunk(sink, trailers) == http::errc::none);
        CHECK(out == "x0\r\n\r\n0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n");
    }
    TEST_CASE("a field that frames, routes or authenticates is not sent as a trailer [RFC 9110 6.5.1]") {
        for (const field f : {field::content_length, field::transfer_encoding, field::host, field::set_cookie,
                              field::authorization, field::content_type, field::trailer, field::connection}) {
            std::string out;
            http::string_sink sink(out);
            http::fields trailers;
            trailers.add(f, "1");
            CHECK_FALSE(http::allowed_as_trailer(f));
            CHECK(http::write_last_chunk(sink, trailers) == http::errc::forbidden_trailer);
            CHECK(out.empty());
        }
        CHECK(http::allowed_as_trailer(field::etag));
        CHECK(http::allowed_as_trailer(field::other));
    }
}
