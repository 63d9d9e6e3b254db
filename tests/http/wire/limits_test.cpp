// SPDX-License-Identifier: MIT
#include <flux/http/wire/limits.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

TEST_SUITE("http/wire/limits") {
    TEST_CASE("the defaults are those that are documented") {
        constexpr flux::http::limits lim;
        CHECK(lim.start_line_octets == 8192);
        CHECK(lim.field_line_octets == 8192);
        CHECK(lim.head_octets == 65536);
        CHECK(lim.max_fields == 100);
        CHECK(lim.empty_lines == 1);
        CHECK(lim.body_octets == 10 * 1024 * 1024);
        CHECK(lim.chunk_extension_octets == 4096);
        CHECK(lim.trailer_octets == 8192);
        CHECK(lim.max_trailers == 32);
    }
}
