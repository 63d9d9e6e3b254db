// SPDX-License-Identifier: MIT
#include <flux/http/message/version.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

TEST_SUITE("http/message/version") {
    TEST_CASE("versions are ordered") { CHECK(flux::http::version::http_1_0 < flux::http::version::http_1_1); }
}
