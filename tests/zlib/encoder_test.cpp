// SPDX-License-Identifier: MIT
#include <flux/zlib/encoder.hpp> // also proves the header is self-contained

#include <flux/zlib/decoder.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {

namespace zlib = flux::zlib;

// What the decoder makes of all that came out so far.
std::string decoded(std::string_view coded, zlib::coding c, bool& whole) {
    zlib::decoder d(c);
    std::string text;
    for (;;) {
        const zlib::decoder_step step = d.next(coded);
        coded.remove_prefix(step.consumed);
        if (step.event != zlib::decoder_event::data) {
            REQUIRE(step.event == zlib::decoder_event::need_more);
            whole = d.finish().has_value();
            return text;
        }
        text += step.data;
    }
}

} // namespace

TEST_SUITE("zlib/encoder") {
    TEST_CASE("what was written can be decoded after a flush, and is whole after the end") {
        for (const zlib::coding c : {zlib::coding::gzip, zlib::coding::deflate}) {
            zlib::encoder e(c);
            flux::byte_buffer out;
            std::string text;
            bool whole = true;
            for (int i = 0; i < 50; ++i) {
                const std::string piece = "event " + std::to_string(i) + std::string(static_cast<std::size_t>(i) * 400, 'x');
                text += piece;
                e.write(piece, out);
                e.flush(out);
                CHECK((decoded(out.view(), c, whole) == text));
                CHECK(!whole);
            }
            e.finish(out);
            CHECK((decoded(out.view(), c, whole) == text));
            CHECK(whole);
            CHECK(out.size() < text.size() / 10);
        }
    }

    TEST_CASE("octets that cannot be made smaller come out whole, too") {
        std::string noise(1U << 20, '\0');
        std::uint32_t x = 1;
        for (char& octet : noise) {
            x = x * 1664525 + 1013904223;
            octet = static_cast<char>(x >> 24);
        }
        zlib::encoder e(zlib::coding::gzip, 1);
        flux::byte_buffer out;
        e.write(noise, out);
        e.finish(out);
        bool whole = false;
        CHECK((decoded(out.view(), zlib::coding::gzip, whole) == noise));
        CHECK(whole);
    }

    TEST_CASE("after a reset it is as new, and the same octets come out") {
        zlib::encoder e(zlib::coding::gzip);
        flux::byte_buffer first;
        e.write("the same text", first);
        e.finish(first);
        flux::byte_buffer second;
        e.reset();
        e.write("the same text", second);
        e.finish(second);
        CHECK(first.view() == second.view());
        CHECK(first.view().substr(4, 4) == std::string_view("\0\0\0\0", 4)); // no time [RFC 1952 2.3.1]
    }

    TEST_CASE("levels out of range are taken for the nearest, and a finished encoder gives nothing") {
        for (const int level : {-5, 0, 99}) {
            zlib::encoder e(zlib::coding::gzip, level);
            flux::byte_buffer out;
            e.write("text", out);
            e.finish(out);
            bool whole = false;
            CHECK(decoded(out.view(), zlib::coding::gzip, whole) == "text");
            const std::size_t size = out.size();
            e.write("late", out);
            CHECK(out.size() == size);
        }
    }
}
