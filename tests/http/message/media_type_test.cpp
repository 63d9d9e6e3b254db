// SPDX-License-Identifier: MIT
#include <flux/http/message/media_type.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>

TEST_SUITE("http/message/media_type") {
    namespace http = flux::http;

    TEST_CASE("every extension of the table is found, in any case") {
        for (const auto& e : http::detail::extension_types) {
            CHECK(http::media_type_of(std::string("name.") + std::string(e.extension)) == e.type);
        }
        CHECK(http::media_type_of("PHOTO.JPG") == "image/jpeg");
        CHECK(http::media_type_of("a/b.c/index.HTML") == "text/html");
        CHECK(http::media_type_of(".css") == "text/css");
    }

    TEST_CASE("what has no known extension has no type") {
        for (const char* name : {"", "html", "a.", "a.nothing", "a.b/html", "a.html/", "dir.html/name", "a.averyveryverylongextension"}) {
            CAPTURE(name);
            CHECK(http::media_type_of(name).empty());
        }
    }
}
