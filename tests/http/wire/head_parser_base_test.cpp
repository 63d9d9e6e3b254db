// SPDX-License-Identifier: MIT
#include <flux/http/wire/head_parser_base.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <type_traits>

TEST_SUITE("http/wire/head_parser_base") {
    TEST_CASE("a parser is not copied: it refers to the storage of its connection") {
        CHECK_FALSE(std::is_copy_constructible_v<flux::http::detail::head_parser>);
        CHECK_FALSE(std::is_copy_assignable_v<flux::http::detail::head_parser>);
    }
}
