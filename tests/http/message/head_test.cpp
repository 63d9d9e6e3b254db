// SPDX-License-Identifier: MIT
#include <flux/http/message/head.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <type_traits>

TEST_SUITE("http/message/head") {
    TEST_CASE("heads are plain views: copying one copies no octets") {
        CHECK(std::is_trivially_copyable_v<flux::http::request_head>);
        CHECK(std::is_trivially_copyable_v<flux::http::response_head>);
    }
}
