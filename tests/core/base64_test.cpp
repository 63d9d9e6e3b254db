// SPDX-License-Identifier: MIT
#include <flux/core/base64.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>

TEST_SUITE("core/base64") {

    TEST_CASE("the examples of the RFC [RFC 4648 10]") {
        constexpr std::string_view cases[][2] = {{"", ""},           {"f", "Zg=="},       {"fo", "Zm8="},      {"foo", "Zm9v"},
                                                 {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
        for (const auto& [plain, coded] : cases) {
            CHECK(flux::base64_encode(plain) == coded);
            CHECK(flux::base64_decode(coded) == plain);
        }
    }

    TEST_CASE("all octets in all places come back") {
        std::string all;
        for (int i = 0; i < 256; ++i) {
            all += static_cast<char>(i);
            CHECK(flux::base64_decode(flux::base64_encode(all)) == all);
        }
    }

    TEST_CASE("nothing but the one encoding of some octets is read [RFC 4648 3.5]") {
        for (const std::string_view bad : {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zg==Zg==",
                                           "Zm-_", "Z=g=", "Zm9v=", "\xff\xff\xff\xff"}) {
            CAPTURE(bad);
            CHECK_FALSE(flux::base64_decode(bad).has_value());
        }
    }

} // TEST_SUITE
