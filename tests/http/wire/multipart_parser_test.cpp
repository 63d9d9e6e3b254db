// SPDX-License-Identifier: MIT
#include <flux/http/wire/multipart_parser.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace http = flux::http;

namespace {

// What comes of content that arrives in these pieces: "[name: value]data|" per part, "." at the end, an error's name,
// or "..." if more is awaited.
std::string read(const std::vector<std::string_view>& pieces, std::string_view boundary = "b",
                 http::multipart_limits lim = {}) {
    http::multipart_parser parser(boundary, lim);
    std::string log;
    for (std::string_view piece : pieces) {
        std::size_t steps = 0;
        for (;;) {
            REQUIRE(++steps < 10'000);
            const auto step = parser.next(piece);
            REQUIRE(step.consumed <= piece.size());
            piece.remove_prefix(step.consumed);
            switch (step.event) {
            case http::multipart_event::part:
                log += "[";
                for (const auto f : parser.fields()) {
                    log += std::string(f.name) + ": " + std::string(f.value) + ";";
                }
                log += "]";
                continue;
            case http::multipart_event::data:
                CHECK_FALSE(step.data.empty());
                log += step.data;
                continue;
            case http::multipart_event::part_end: log += "|"; continue;
            case http::multipart_event::done: return log + ".";
            case http::multipart_event::failed: return log + std::string(http::describe(parser.error()).name);
            case http::multipart_event::need_more: CHECK(piece.empty()); break;
            }
            break;
        }
    }
    return log + "...";
}

// Whole, cut in two at every place, and octet by octet.
void check(std::string_view content, const std::string& expected, std::string_view boundary = "b",
           http::multipart_limits lim = {}) {
    CAPTURE(content);
    CHECK(read({content}, boundary, lim) == expected);
    for (std::size_t i = 0; i <= content.size(); ++i) {
        const std::string cut = read({content.substr(0, i), content.substr(i)}, boundary, lim);
        if (cut != expected) {
            CAPTURE(i);
            CHECK(cut == expected);
        }
    }
    std::vector<std::string_view> octets;
    for (std::size_t i = 0; i < content.size(); ++i) {
        octets.push_back(content.substr(i, 1));
    }
    CHECK(read(octets, boundary, lim) == expected);
}

} // namespace

TEST_SUITE("http/wire/multipart_parser") {

    TEST_CASE("parts are header, data and delimiter [RFC 2046 5.1.1]") {
        check("--b\r\nA: 1\r\n\r\ndata\r\n--b\r\nB: 2\r\nC: 3\r\n\r\nmore\r\ndata\r\n--b--\r\n", "[A: 1;]data|[B: 2;C: 3;]more\r\ndata|.");
        check("--b\r\nA: 1\r\n\r\n\r\n--b--", "[A: 1;]|.");
        check("--b\r\nA: 1\r\n\r\n--b--", "[A: 1;]|.");
        check("--b\r\n\r\nno header\r\n--b--", "[]no header|.");
        check("--b--", ".");
        check("\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--", "[A: 1;]x|.");
    }

    TEST_CASE("what is before the first and behind the last delimiter is dropped [RFC 2046 5.1.1]") {
        check("This is a preamble.\r\n--\r\n-b\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--epilogue\r\n--b\r\nA: 2\r\n\r\ny", "[A: 1;]x|.");
        check("\r\n\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--", "[A: 1;]x|.");
        check("no delimiter", "...");
        check("-\r\n--b--", ".");
    }

    TEST_CASE("white space behind a delimiter is padding [RFC 2046 5.1.1]") {
        check("--b \t \r\nA: 1\r\n\r\nx\r\n--b \r\nA: 2\r\n\r\ny\r\n--b--  \r\n", "[A: 1;]x|[A: 2;]y|.");
        check("--b" + std::string(64, ' ') + "\r\n\r\nx", "[]x...");
        check("--b" + std::string(65, ' ') + "\r\n\r\nx", "malformed_multipart");
    }

    TEST_CASE("what only resembles a delimiter is data") {
        check("--b\r\n\r\n\r\r\n\r\n-\r\n--\r\n--a\r\n-b\n--b\r--b--b\r\n--b--", "[]\r\r\n\r\n-\r\n--\r\n--a\r\n-b\n--b\r--b--b|.");
        check("--b\r\n\r\n\r\n\r\n\r\n--b--", "[]\r\n\r\n|.");
        check("--abcabd\r\n\r\n\r\n--abcabc\r\n--abcab\r\n--abcabd--", "[]\r\n--abcabc\r\n--abcab|.", "abcabd");
    }

    TEST_CASE("what starts like a delimiter is one, or an error") {
        check("--b\r\n\r\nx\r\n--bc\r\n", "[]x|malformed_multipart");
        check("--b\r\n\r\nx\r\n--b-\r\n", "[]x|malformed_multipart");
        check("--b\r\n\r\nx\r\n--b -- ", "[]x|malformed_multipart");
        check("--b\n\nx", "malformed_multipart");
        check("--b\rx", "malformed_multipart");
        check("--b\r\n\r\nx\r\n--b\r\r\n", "[]x|malformed_multipart");
    }

    TEST_CASE("headers of parts are as strict as those of messages [RFC 9112 5.1]") {
        check("--b\r\nA : 1\r\n\r\n", "malformed_multipart");
        check("--b\r\nA\r\n\r\n", "malformed_multipart");
        check("--b\r\nA: 1\r\n folded\r\n\r\n", "malformed_multipart");
        check("--b\r\nA: 1\n\r\n", "malformed_multipart");
        check(std::string_view("--b\r\nA: \0\r\n\r\n", 13), "malformed_multipart");
    }

    TEST_CASE("content that ends early is awaited") {
        const std::string_view whole = "--b\r\nA: 1\r\n\r\nx\r\n--b--";
        for (std::size_t i = 0; i < whole.size(); ++i) {
            CHECK(read({whole.substr(0, i)}).ends_with("..."));
        }
    }

    TEST_CASE("every limit is met exactly, and one octet more is too much") {
        http::multipart_limits lim;
        lim.max_parts = 2;
        const std::string part = "--b\r\n\r\nx\r\n";
        check(part + part + "--b--", "[]x|[]x|.", "b", lim);
        check(part + part + part, "[]x|[]x|too_many_parts", "b", lim);

        lim = {};
        lim.part_octets = 3;
        check("--b\r\n\r\nabc\r\n--b\r\n\r\nabc\r\n--b--", "[]abc|[]abc|.", "b", lim);
        CHECK(read({"--b\r\n\r\nabcd\r\n--b--"}, "b", lim) == "[]part_too_large");
        CHECK(read({"--b\r\n\r\nab\r\n--", "c\r\n--b--"}, "b", lim) == "[]abpart_too_large");

        lim = {};
        lim.preamble_octets = 3;
        check("abc\r\n--b--", ".", "b", lim);
        check("abcd\r\n--b--", "part_too_large", "b", lim);

        lim = {};
        lim.header_octets = 8;
        check("--b\r\nA: 1\r\n\r\nx", "[A: 1;]x...", "b", lim);
        check("--b\r\nA: 12\r\n\r\nx", "part_too_large", "b", lim);

        lim = {};
        lim.max_fields = 1;
        check("--b\r\nA: 1\r\n\r\nx", "[A: 1;]x...", "b", lim);
        check("--b\r\nA: 1\r\nB: 2\r\n\r\nx", "part_too_large", "b", lim);
    }

    TEST_CASE("a boundary is 1 to 70 of the octets that may be in one [RFC 2046 5.1.1]") {
        using http::multipart_parser;
        for (const char* good : {"b", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "gc0pJq0M:08jU534c0p", "a b", "'()+_,-./:=?"}) {
            CHECK(multipart_parser::is_boundary(good));
        }
        CHECK(multipart_parser::is_boundary(std::string(70, 'x')));
        for (const char* bad : {"", " ", "a ", "a\"b", "a\r\nb", "a;b", "\xc3\xa9", "a*b"}) {
            CHECK_FALSE(multipart_parser::is_boundary(bad));
        }
        CHECK_FALSE(multipart_parser::is_boundary(std::string(71, 'x')));
        const std::string longest(70, '-');
        check("--" + longest + "\r\n\r\n" + std::string(71, '-') + "\r\n--" + longest + "--", "[]" + std::string(71, '-') + "|.", longest);
    }

} // TEST_SUITE
