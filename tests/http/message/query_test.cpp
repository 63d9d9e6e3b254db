// SPDX-License-Identifier: MIT
#include <flux/http/message/query.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace http = flux::http;

namespace {

std::string pairs(std::string_view query) {
    std::string out;
    for (const http::query_pair& p : http::query_pairs(query)) {
        out += std::string(p.raw_name) + (p.has_value ? "=" : "!") + std::string(p.raw_value) + " ";
    }
    return out;
}

} // namespace

TEST_SUITE("http/message/query") {
    TEST_CASE("percent-encoding keeps only unreserved octets unless told otherwise [RFC 3986 2.1]") {
        CHECK(http::percent_encode("aZ09-._~") == "aZ09-._~");
        CHECK(http::percent_encode("a b/\xc3\xa9%") == "a%20b%2F%C3%A9%25");
        CHECK(http::percent_encode("/a b", http::octet_class::path) == "/a%20b");
        CHECK(http::percent_encode(std::string_view("\0", 1)) == "%00");
    }
    TEST_CASE("every octet survives encoding and decoding") {
        for (unsigned c = 0; c < 256; ++c) {
            const std::string one(1, static_cast<char>(c));
            CHECK(http::percent_decode(http::percent_encode(one)) == one);
            CHECK(http::percent_decode(http::percent_encode(one), true) == one);
        }
    }
    TEST_CASE("decoding takes both cases and leaves a broken triplet alone") {
        CHECK(http::percent_decode("%4a%4A%2f") == "JJ/");
        CHECK(http::percent_decode("%") == "%");
        CHECK(http::percent_decode("%4") == "%4");
        CHECK(http::percent_decode("%zz%4g") == "%zz%4g");
        CHECK(http::percent_decode("%2541") == "%41"); // once, not twice
        CHECK(http::percent_decode("a+b") == "a+b");
        CHECK(http::percent_decode("a+b%2B", true) == "a b+");
    }
    TEST_CASE("strict decoding refuses broken triplets and NUL") {
        CHECK(http::try_percent_decode("%41b").value() == "Ab");
        for (const std::string_view bad : {"%", "%4", "a%zz", "%%41", "%00", "a%00b", "%4%41"}) {
            CHECK_FALSE_MESSAGE(http::try_percent_decode(bad).has_value(), bad);
        }
    }
    TEST_CASE("a query is pairs between ampersands; empty pieces are skipped") {
        CHECK(pairs("a=1&b=2") == "a=1 b=2 ");
        CHECK(pairs("a&b=&=c&&d=e=f&") == "a! b= =c d=e=f ");
        CHECK(pairs("").empty());
        CHECK(pairs("&&").empty());
    }
    TEST_CASE("the first value of a name is found by its decoded name") {
        CHECK(http::query_value("a=1&a=2", "a") == "1");
        CHECK(http::query_value("b%20c=x+y", "b c") == "x y");
        CHECK(http::query_value("b+c=%26", "b c") == "&");
        CHECK(http::query_value("a", "a") == "");
        CHECK_FALSE(http::query_value("aa=1", "a").has_value());
        CHECK_FALSE(http::query_value("", "a").has_value());
    }
    TEST_CASE("a form is decoded whole, up to its limit") {
        const auto form = http::decode_form("a=1&b+c=%C3%A9&d");
        REQUIRE(form);
        CHECK(form->size() == 3);
        CHECK((*form)[1].first == "b c");
        CHECK((*form)[1].second == "\xc3\xa9");
        CHECK((*form)[2].second.empty());
        CHECK(http::decode_form("a&b&c", 2).error().is(flux::errc::limit));
        CHECK(http::decode_form("a&b&c", 3).has_value());
    }
    TEST_CASE("what a builder writes is read again") {
        http::query_builder b;
        b.add("a", "1").add("b c", "x&y=z").add("", "").add("\xc3\xa9", "+%");
        CHECK(b.text() == "a=1&b+c=x%26y%3Dz&=&%C3%A9=%2B%25");
        const auto form = http::decode_form(b.text());
        REQUIRE(form);
        CHECK((*form)[1] == std::pair<std::string, std::string>("b c", "x&y=z"));
        CHECK((*form)[3] == std::pair<std::string, std::string>("\xc3\xa9", "+%"));
    }
}
