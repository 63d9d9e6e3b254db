// SPDX-License-Identifier: MIT
#include <flux/core/constant_time.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>

TEST_SUITE("core/constant_time") {

    TEST_CASE("texts are equal if all of their octets and their lengths are") {
        using flux::constant_time_equal;
        CHECK(constant_time_equal("", ""));
        CHECK(constant_time_equal("secret", "secret"));
        CHECK_FALSE(constant_time_equal("", "x"));
        CHECK_FALSE(constant_time_equal("x", ""));
        CHECK_FALSE(constant_time_equal("secret", "secreT"));
        CHECK_FALSE(constant_time_equal("Secret", "secret"));
        CHECK_FALSE(constant_time_equal("secretsecret", "secret"));
        CHECK_FALSE(constant_time_equal("ss", "s"));
        CHECK_FALSE(constant_time_equal("s", "ss"));
        for (int bit = 0; bit < 8; ++bit) {
            CHECK_FALSE(constant_time_equal("a", std::string(1, static_cast<char>('a' ^ 1 << bit))));
        }
    }

} // TEST_SUITE
