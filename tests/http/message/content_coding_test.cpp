// SPDX-License-Identifier: MIT
#include <flux/http/message/content_coding.hpp> // also proves the header is self-contained

#include <flux/http/message/fields.hpp>

#include <doctest/doctest.h>

namespace {

namespace http = flux::http;

http::fields accept(std::string_view value) {
    http::fields f;
    f.add(http::field::accept_encoding, value);
    return f;
}
bool gzip(std::string_view value) {
    const http::fields f = accept(value);
    return http::accepted_codings(f).prefers("gzip");
}

} // namespace

TEST_SUITE("http/message/content_coding") {
    TEST_CASE("weights are numbers from 0 to 1 with up to three decimals [RFC 9110 12.4.2]") {
        CHECK(http::parse_weight("0") == 0U);
        CHECK(http::parse_weight("0.") == 0U);
        CHECK(http::parse_weight("1") == 1000U);
        CHECK(http::parse_weight("1.000") == 1000U);
        CHECK(http::parse_weight("0.5") == 500U);
        CHECK(http::parse_weight("0.05") == 50U);
        CHECK(http::parse_weight("0.001") == 1U);
        for (const char* text : {"", ".5", "2", "1.001", "0.0001", "-1", "0,5", "0.x", "1.1", "00", "0x1", " 1"}) {
            CAPTURE(text);
            CHECK(!http::parse_weight(text));
        }
    }

    TEST_CASE("a coding is preferred if it is accepted and not less welcome than none [RFC 9110 12.5.3]") {
        CHECK(gzip("gzip"));
        CHECK(gzip("GZIP"));
        CHECK(gzip("x-gzip"));
        CHECK(gzip("br, gzip;q=0.1"));
        CHECK(gzip("gzip ; q=0.5"));
        CHECK(gzip("*"));
        CHECK(gzip("gzip;q=0.001"));
        CHECK(gzip("gzip, identity"));
        CHECK(gzip("identity;q=0.5, gzip;q=0.5"));
        CHECK(gzip("gzip, *;q=0"));
        CHECK(!gzip(""));
        CHECK(!gzip("br"));
        CHECK(!gzip("gzip;q=0"));
        CHECK(!gzip("gzip;q=0.000"));
        CHECK(!gzip("*;q=0"));
        CHECK(!gzip("gzip;q=0, *"));
        CHECK(!gzip("identity, gzip;q=0.9"));
        CHECK(!gzip("gzip;q=x"));
        CHECK(!gzip("gzip;q=7"));
        CHECK(!gzip("gzipped"));
        CHECK(!http::accepted_codings(http::fields()).prefers("gzip")); // who says nothing gets no coding
    }

    TEST_CASE("the best of several is the one with the largest weight, the first of equals") {
        constexpr std::string_view codings[] = {"br", "gzip"};
        const auto best = [&](std::string_view value) -> int {
            const http::fields f = accept(value);
            const auto found = http::accepted_codings(f).best_of(codings);
            return found ? static_cast<int>(*found) : -1;
        };
        CHECK(best("gzip, br") == 0);
        CHECK(best("gzip, br;q=0.5") == 1);
        CHECK(best("gzip;q=0.2, br;q=0.5") == 0);
        CHECK(best("gzip") == 1);
        CHECK(best("*") == 0);
        CHECK(best("br;q=0, *") == 1);
        CHECK(best("identity") == -1);
        CHECK(best("deflate") == -1);
    }

    TEST_CASE("several lines are one list") {
        http::fields f;
        f.add(http::field::accept_encoding, "br").add(http::field::accept_encoding, "gzip;q=0.5");
        const http::accepted_codings accepts(f);
        CHECK(accepts.weight("br") == 1000);
        CHECK(accepts.weight("gzip") == 500);
        CHECK(accepts.weight("deflate") == 0);
        CHECK(accepts.weight_of_identity() == 1);
    }

    TEST_CASE("content without a coding is acceptable unless it is refused [RFC 9110 12.5.3]") {
        const auto identity = [](std::string_view value) {
            const http::fields f = accept(value);
            return http::accepted_codings(f).weight_of_identity();
        };
        CHECK(identity("gzip") == 1);
        CHECK(identity("gzip, identity;q=0") == 0);
        CHECK(identity("gzip, *;q=0") == 0);
        CHECK(identity("*;q=0, identity;q=0.3") == 300);
    }
}
