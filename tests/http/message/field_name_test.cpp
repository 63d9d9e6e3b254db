// SPDX-License-Identifier: MIT
#include <flux/http/message/field_name.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cctype>
#include <memory>
#include <string>

namespace http = flux::http;
using http::field;

TEST_SUITE("http/message/field_name") {
    TEST_CASE("every well-known name is found in every case") {
        for (std::size_t i = 1; i < http::detail::field_count; ++i) {
            const auto f = static_cast<field>(i);
            std::string name(http::to_string(f));
            CHECK(http::to_field(name) == f);
            for (std::size_t k = 0; k < name.size(); ++k) {
                name[k] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[k])));
                CHECK(http::to_field(name) == f);
            }
            for (std::size_t k = 0; k < name.size(); ++k) {
                name[k] = http::lower(name[k]);
                CHECK(http::to_field(name) == f);
            }
        }
    }
    TEST_CASE("a name that differs in one octet is another name") {
        unsigned wrong = 0;
        for (std::size_t i = 1; i < http::detail::field_count; ++i) {
            const std::string_view name = http::to_string(static_cast<field>(i));
            const std::unique_ptr<char[]> exact(new char[name.size()]); // a read past the end is seen by ASan
            for (std::size_t k = 0; k < name.size(); ++k) {
                for (unsigned c = 0; c < 256; ++c) {
                    name.copy(exact.get(), name.size());
                    exact[k] = static_cast<char>(c);
                    const bool same = http::iequals({exact.get(), name.size()}, name);
                    wrong += (http::to_field({exact.get(), name.size()}) == static_cast<field>(i)) == same ? 0U : 1U;
                }
            }
            CHECK(http::to_field(std::string(name) + "x") == field::other);
            CHECK(http::to_field(name.substr(1)) != static_cast<field>(i));
        }
        CHECK(wrong == 0);
    }
    TEST_CASE("what is no well-known name is `other`, also the empty and the very long one") {
        for (const char* name : {"", "a", "Hos", "Hostt", "X-Request-ID", "Content_Length"}) {
            CHECK(http::to_field(name) == field::other);
        }
        CHECK(http::to_field(std::string(300, 'a')) == field::other);
        CHECK(http::to_string(field::other).empty());
    }
    TEST_CASE("a set holds the names that were put in, and never `other`") {
        http::field_set set;
        CHECK(set.empty());
        set.insert(field::other);
        CHECK(set.empty());
        set.insert(field::host);
        set.insert(field::x_forwarded_for);
        CHECK(set.contains(field::host));
        CHECK(set.contains(field::x_forwarded_for));
        CHECK_FALSE(set.contains(field::other));
        CHECK_FALSE(set.contains(field::te));
        CHECK(set.intersects(http::field_set(field::te, field::host)));
        CHECK_FALSE(set.intersects(http::field_set(field::te)));
        CHECK((set & http::field_set(field::host)) == http::field_set(field::host));
    }
}
