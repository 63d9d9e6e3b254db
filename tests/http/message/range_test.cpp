// SPDX-License-Identifier: MIT
#include <flux/http/message/range.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>

namespace {

namespace http = flux::http;

// "200", "416", or the ranges as first+size.
std::string select(std::string_view value, std::uint64_t size, std::size_t most = 16) {
    const http::range_selection s = http::select_ranges(value, size, most);
    switch (s.answer()) {
    case http::range_answer::whole: CHECK(s.size() == 0); return "200";
    case http::range_answer::unsatisfiable: CHECK(s.size() == 0); return "416";
    case http::range_answer::partial: break;
    }
    std::string text;
    for (const http::byte_range& r : s) {
        text += (text.empty() ? "" : " ") + std::to_string(r.first) + "+" + std::to_string(r.size);
    }
    return text;
}

} // namespace

TEST_SUITE("http/message/range") {
    TEST_CASE("one range, cut to the size of the representation [RFC 9110 14.1.2]") {
        CHECK(select("bytes=0-0", 1000) == "0+1");
        CHECK(select("bytes=0-99", 1000) == "0+100");
        CHECK(select("bytes=500-999", 1000) == "500+500");
        CHECK(select("bytes=500-1000", 1000) == "500+500");
        CHECK(select("bytes=500-9223372036854775807", 1000) == "500+500");
        CHECK(select("bytes=999-", 1000) == "999+1");
        CHECK(select("bytes=0-", 1000) == "0+1000");
        CHECK(select("bytes=-1", 1000) == "999+1");
        CHECK(select("bytes=-1000", 1000) == "0+1000");
        CHECK(select("bytes=-5000", 1000) == "0+1000");
        CHECK(select("bytes=0000000000000000000000007-8", 1000) == "7+2");
        CHECK(select("BYTES=1-2", 1000) == "1+2"); // range units compare in any case [RFC 9110 14.1]
    }

    TEST_CASE("several ranges, in the order asked for; those that select nothing are left out [RFC 9110 14.2]") {
        CHECK(select("bytes=0-0,-1", 1000) == "0+1 999+1");
        CHECK(select("bytes=500-600,601-999", 1000) == "500+101 601+399");
        CHECK(select("bytes= 0-0 , 5-5 ,\t-1", 1000) == "0+1 5+1 999+1");
        CHECK(select("bytes=9-9,0-5,3-7", 1000) == "9+1 0+6 3+5"); // they may overlap
        CHECK(select("bytes=0-0,2000-3000", 1000) == "0+1");
        CHECK(select("bytes=2000-3000,0-0", 1000) == "0+1");
        CHECK(select("bytes=5-3,0-0", 1000) == "0+1");
    }

    TEST_CASE("nothing to select is 416 [RFC 9110 15.5.17]") {
        CHECK(select("bytes=1000-", 1000) == "416");
        CHECK(select("bytes=1000-1001", 1000) == "416");
        CHECK(select("bytes=-0", 1000) == "416");
        CHECK(select("bytes=5-3", 1000) == "416");
        CHECK(select("bytes=1000-,2000-", 1000) == "416");
        CHECK(select("bytes=1-", 0) == "416");
    }

    TEST_CASE("a malformed set of ranges is 416, wherever it is malformed [RFC 9110 14.2]") {
        for (const char* value :
             {"bytes=x", "bytes=-", "bytes=--1", "bytes=1", "bytes=1-2-3", "bytes=1-x", "bytes=0x1-2", "bytes=+1-2",
              "bytes=,", "bytes=0-0,", "bytes=,0-0", "bytes=0-0,,1-1", "bytes=0-0;1-1", "bytes=0-0, x",
              "bytes=9223372036854775808-", "bytes=0-9223372036854775808", "bytes=-18446744073709551617",
              "bytes=0-999,0-999,x", "bytes= ", "bytes=0-0 1-1"}) {
            CAPTURE(value);
            CHECK(select(value, 1000) == "416");
        }
    }

    TEST_CASE("other units, and no range at all, get the whole [RFC 9110 14.2]") {
        for (const char* value : {"", "bytes", "bytes=", "byte=0-1", "lines=0-1", "bytes 0-1", "bytes =0-1", " bytes=0-1"}) {
            CAPTURE(value);
            CHECK(select(value, 1000) == "200");
        }
    }

    TEST_CASE("an empty representation is sent whole to who asks for it from its start") {
        CHECK(select("bytes=0-", 0) == "200");
        CHECK(select("bytes=0-5", 0) == "200");
        CHECK(select("bytes=-5", 0) == "200");
    }

    TEST_CASE("ranges that are larger in sum than the representation get the whole [RFC 9110 17.15]") {
        CHECK(select("bytes=0-,0-0", 1000) == "200");
        CHECK(select("bytes=0-499,500-999", 1000) == "0+500 500+500");
        CHECK(select("bytes=0-500,500-999", 1000) == "200");
        CHECK(select("bytes=0-9,0-9,0-9", 25) == "200");
        constexpr auto most = static_cast<std::uint64_t>(INT64_MAX);
        CHECK(select("bytes=0-,0-,0-,0-", most) == "200"); // and the sum does not wrap around
    }

    TEST_CASE("too many ranges get the whole [RFC 9110 17.15]") {
        std::string value = "bytes=0-0";
        for (int i = 1; i < 16; ++i) {
            value += "," + std::to_string(2 * i) + "-" + std::to_string(2 * i);
        }
        CHECK(http::select_ranges(value, 1000).size() == 16);
        CHECK(select(value + ",40-40", 1000) == "200");
        CHECK(http::select_ranges(value + ",2000-", 1000).size() == 16); // those that select nothing do not count
        CHECK(select("bytes=0-0,1-1,2-2", 1000, 2) == "200");
        CHECK(select("bytes=0-0,1-1", 1000, 1) == "200");
        CHECK(select("bytes=0-0", 1000, 0) == "200");
    }

    TEST_CASE("Content-Range says first, last and size [RFC 9110 14.4]") {
        CHECK(http::content_range({0, 1}, 1) == "bytes 0-0/1");
        CHECK(http::content_range({500, 500}, 1000) == "bytes 500-999/1000");
        CHECK(http::content_range_of_none(47) == "bytes */47");
    }
}
