// SPDX-License-Identifier: MIT
#include <flux/http/wire/octet_sink.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cstring>
#include <string>

TEST_SUITE("http/wire/octet_sink") {
    TEST_CASE("a string sink appends what was committed and nothing else") {
        std::string text = "a";
        flux::http::string_sink sink(text);
        std::memcpy(sink.prepare(10), "bcXXXXXXXX", 10);
        sink.commit(2);
        CHECK(text == "abc");
        std::memcpy(sink.prepare(1), "d", 1);
        sink.commit(1);
        CHECK(text == "abcd");
    }
}
