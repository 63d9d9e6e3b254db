// SPDX-License-Identifier: MIT
#include <flux/zlib/decoder.hpp> // also proves the header is self-contained

#include <flux/zlib/encoder.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

namespace {

namespace http = flux::http;
namespace zlib = flux::zlib;

std::string encoded(std::string_view text, zlib::coding c, int level = 6) {
    zlib::encoder e(c, level);
    flux::byte_buffer out;
    e.write(text, out);
    e.finish(out);
    return std::string(out.view());
}

std::string bare_deflate(std::string_view text) {
    std::string wrapped = encoded(text, zlib::coding::deflate);
    return wrapped.substr(2, wrapped.size() - 6);
}

struct outcome {
    std::string data;
    http::errc failed = http::errc::none;
    bool whole = false;
};

// Gives the text in pieces of `size` octets.
outcome decode(std::string_view text, zlib::coding c, std::size_t size, zlib::decoder_limits limits = {}) {
    zlib::decoder d(c, limits);
    outcome out;
    for (std::size_t at = 0; at < text.size(); at += size) {
        std::string_view rest = text.substr(at, size);
        for (;;) {
            const zlib::decoder_step step = d.next(rest);
            REQUIRE(step.consumed <= rest.size());
            rest.remove_prefix(step.consumed);
            if (step.event == zlib::decoder_event::failed) {
                out.failed = d.failed();
                CHECK(!d.finish());
                CHECK(d.next("more").event == zlib::decoder_event::failed); // and stays so
                return out;
            }
            if (step.event == zlib::decoder_event::need_more) {
                CHECK(rest.empty());
                break;
            }
            REQUIRE(!step.data.empty());
            out.data += step.data;
        }
        CHECK(d.taken() == std::min(at + size, text.size()));
    }
    CHECK(d.given() == out.data.size());
    out.whole = d.finish().has_value();
    return out;
}

std::string some_text(std::size_t octets) {
    std::mt19937 random(7);
    std::string text;
    while (text.size() < octets) {
        text += "line " + std::to_string(random() % 1000) + " of the text\n";
    }
    text.resize(octets);
    return text;
}

constexpr std::size_t piece_sizes[] = {1, 2, 3, 7, 4096, 1U << 20};

} // namespace

TEST_SUITE("zlib/decoder") {
    TEST_CASE("decodes gzip, the zlib format and bare deflate, in pieces of any size [RFC 9110 8.4.1]") {
        for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{100'000}}) {
            const std::string text = some_text(length);
            for (const std::size_t size : piece_sizes) {
                CAPTURE(length);
                CAPTURE(size);
                for (const zlib::coding c : {zlib::coding::gzip, zlib::coding::deflate}) {
                    const outcome out = decode(encoded(text, c), c, size);
                    CHECK(out.whole);
                    CHECK((out.data == text));
                }
                const outcome bare = decode(bare_deflate(text), zlib::coding::deflate, size);
                CHECK(bare.whole);
                CHECK((bare.data == text));
            }
        }
    }

    TEST_CASE("decodes the octets of another encoder") {
        // printf hello | gzip -9
        constexpr std::string_view hello("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07\x00"
                                         "\x86\xa6\x10\x36\x05\x00\x00\x00", 25);
        const outcome out = decode(hello, zlib::coding::gzip, 25);
        CHECK(out.whole);
        CHECK(out.data == "hello");
    }

    TEST_CASE("gzip members one after the other are one content [RFC 1952 2.2]") {
        const std::string two = encoded("one ", zlib::coding::gzip) + encoded("", zlib::coding::gzip) +
                                encoded("two", zlib::coding::gzip);
        for (const std::size_t size : piece_sizes) {
            const outcome out = decode(two, zlib::coding::gzip, size);
            CHECK(out.whole);
            CHECK(out.data == "one two");
        }
    }

    TEST_CASE("no octets at all are whole and empty") {
        for (const zlib::coding c : {zlib::coding::gzip, zlib::coding::deflate}) {
            zlib::decoder d(c);
            CHECK(d.next("").event == zlib::decoder_event::need_more);
            CHECK(d.finish());
        }
    }

    TEST_CASE("content that ends early is not whole, wherever it ends") {
        const std::string text = some_text(300);
        for (const zlib::coding c : {zlib::coding::gzip, zlib::coding::deflate}) {
            const std::string coded = encoded(text, c);
            for (std::size_t n = 1; n < coded.size(); ++n) {
                CAPTURE(n);
                const outcome out = decode(std::string_view(coded).substr(0, n), c, 5);
                CHECK(out.failed == http::errc::none);
                CHECK(!out.whole);
                CHECK(text.starts_with(out.data));
            }
        }
    }

    TEST_CASE("octets after the end are refused") {
        for (const std::size_t size : piece_sizes) {
            CHECK(decode(encoded("text", zlib::coding::deflate) + "x", zlib::coding::deflate, size).failed ==
                  http::errc::bad_content_coding);
            CHECK(decode(encoded("text", zlib::coding::gzip) + "x", zlib::coding::gzip, size).failed ==
                  http::errc::bad_content_coding);
            CHECK(decode(bare_deflate("text") + "x", zlib::coding::deflate, size).failed ==
                  http::errc::bad_content_coding);
        }
    }

    TEST_CASE("a changed octet is found by checksum or length [RFC 1952 2.3.1]") {
        const std::string text = some_text(500);
        const std::string coded = encoded(text, zlib::coding::gzip);
        for (std::size_t i = 0; i < coded.size(); ++i) {
            if (i >= 4 && i < 10) {
                continue; // time, extra flags and system: no part of the content
            }
            std::string changed = coded;
            changed[i] = static_cast<char>(changed[i] ^ 0x10);
            const outcome out = decode(changed, zlib::coding::gzip, 64);
            CAPTURE(i);
            // another distance may lead to the same octets
            CHECK((out.failed == http::errc::bad_content_coding || !out.whole || out.data == text));
        }
        CHECK(decode("this is no gzip", zlib::coding::gzip, 4).failed == http::errc::bad_content_coding);
        CHECK(decode("\xff\xff\xff\xff", zlib::coding::deflate, 1).failed == http::errc::bad_content_coding);
        // the zlib format with a preset dictionary, which HTTP does not have
        CHECK(decode(std::string("\x78\xbb\x00\x00\x00\x01\x00\x00", 8), zlib::coding::deflate, 8).failed ==
              http::errc::bad_content_coding);
    }

    TEST_CASE("decoded content has a limit, which may be reached exactly") {
        const std::string text = some_text(50'000);
        for (const std::size_t size : {std::size_t{13}, std::size_t{1} << 20}) {
            zlib::decoder_limits limits;
            limits.octets = text.size();
            CHECK(decode(encoded(text, zlib::coding::gzip), zlib::coding::gzip, size, limits).whole);
            limits.octets = text.size() - 1;
            const outcome out = decode(encoded(text, zlib::coding::gzip), zlib::coding::gzip, size, limits);
            CHECK(out.failed == http::errc::body_too_large);
            CHECK(out.data.size() <= limits.octets);
            limits.octets = 0;
            CHECK(decode(encoded("", zlib::coding::gzip), zlib::coding::gzip, size, limits).whole);
            CHECK(decode(encoded("x", zlib::coding::gzip), zlib::coding::gzip, size, limits).failed ==
                  http::errc::body_too_large);
        }
    }

    TEST_CASE("content that expands too far is refused long before its limit") {
        const std::string bomb = encoded(std::string(64U << 20, '\0'), zlib::coding::gzip, 9);
        REQUIRE(bomb.size() < 80'000);
        zlib::decoder_limits limits;
        limits.octets = 1U << 30;
        const outcome out = decode(bomb, zlib::coding::gzip, 1U << 20, limits);
        CHECK(out.failed == http::errc::body_too_large);
        CHECK(out.data.size() <= limits.ratio * bomb.size());
        limits.ratio = 2000; // more than there can be
        CHECK(decode(bomb, zlib::coding::gzip, 1U << 20, limits).whole);
        limits.ratio = 200;
        limits.ratio_from = 64U << 20; // or counted only later
        CHECK(decode(bomb, zlib::coding::gzip, 1U << 20, limits).whole);
    }

    TEST_CASE("moves, in the middle of a content too") {
        const std::string coded = encoded("moved content", zlib::coding::gzip);
        zlib::decoder first(zlib::coding::gzip);
        CHECK(first.next(std::string_view(coded).substr(0, 10)).event == zlib::decoder_event::need_more);
        zlib::decoder second(std::move(first));
        const zlib::decoder_step step = second.next(std::string_view(coded).substr(10));
        CHECK(step.event == zlib::decoder_event::data);
        CHECK(step.data == "moved content");
    }

    TEST_CASE("names of codings compare in any case [RFC 9110 8.4.1]") {
        CHECK(zlib::to_coding("GZip") == zlib::coding::gzip);
        CHECK(zlib::to_coding("x-gzip") == zlib::coding::gzip);
        CHECK(zlib::to_coding("deflate") == zlib::coding::deflate);
        CHECK(!zlib::to_coding("br"));
        CHECK(!zlib::to_coding(""));
        CHECK(zlib::to_string(zlib::coding::deflate) == "deflate");
    }
}
