// SPDX-License-Identifier: MIT
#include <flux/http/server/route_pattern.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace {

using flux::http::relation;
using flux::http::route_pattern;
using kind = route_pattern::segment_kind;

// What the constructor says is wrong with a pattern; empty if nothing is.
std::string complaint(std::string_view pattern) {
    try {
        const route_pattern p(pattern);
        return {};
    } catch (const flux::error& e) {
        CHECK(e.is(flux::errc::invalid_argument));
        CHECK(e.message().find("route pattern \"") == 0);
        return e.message();
    }
}
bool complains(std::string_view pattern, std::string_view about) {
    const std::string text = complaint(pattern);
    CAPTURE(pattern);
    CAPTURE(text);
    return text.find(about) != std::string::npos;
}

relation compare(std::string_view a, std::string_view b) {
    const route_pattern x(a);
    const route_pattern y(b);
    CHECK(y.compare(x) == flux::http::inverse(x.compare(y)));
    return x.compare(y);
}

} // namespace

TEST_SUITE("http/server/route_pattern") {

    TEST_CASE("a pattern is an optional method, an optional host and a path") {
        const route_pattern all("GET Example.COM/users/{id}/files/{path...}");
        CHECK(all.method() == "GET");
        CHECK(all.host() == "example.com");
        CHECK(all.path() == "/users/{id}/files/{path...}");
        CHECK(all.text() == "Example.COM/users/{id}/files/{path...}");
        CHECK(all.full_text() == "GET Example.COM/users/{id}/files/{path...}");
        REQUIRE(all.segments().size() == 4);
        CHECK(all.segments()[0].kind == kind::literal);
        CHECK(all.segments()[0].text == "users");
        CHECK(all.segments()[1].kind == kind::param);
        CHECK(all.segments()[3].kind == kind::rest);
        REQUIRE(all.params().size() == 2);
        CHECK(all.params()[0].name == "id");
        CHECK(all.params()[0].segment == 1);
        CHECK_FALSE(all.params()[0].rest);
        CHECK(all.params()[1].name == "path");
        CHECK(all.params()[1].segment == 3);
        CHECK(all.params()[1].rest);

        const route_pattern bare("/");
        CHECK(bare.method().empty());
        CHECK(bare.host().empty());
        REQUIRE(bare.segments().size() == 1);
        CHECK(bare.segments()[0].kind == kind::rest);
        CHECK(bare.params().empty());
        CHECK(route_pattern("/{$}").segments()[0].kind == kind::end);
        CHECK(route_pattern("POST \t /x").method() == "POST");
        CHECK(route_pattern("BREW", "/pot").method() == "BREW");
        CHECK(route_pattern("", "/pot").method().empty());
        CHECK(route_pattern("[::1]/x").host() == "[::1]");
    }

    TEST_CASE("literals are kept decoded") {
        CHECK(route_pattern("/a%20b").segments()[0].text == "a b");
        CHECK(route_pattern("/a%2Fb").segments()[0].text == "a/b");
        CHECK(route_pattern("/caf\xc3\xa9").segments()[0].text == "caf\xc3\xa9");
        CHECK(route_pattern("/caf%c3%a9").segments()[0].text == "caf\xc3\xa9");
        CHECK(route_pattern("/...").segments()[0].text == "...");
        CHECK(route_pattern("/.well-known/x").segments()[0].text == ".well-known");
    }

    TEST_CASE("what is wrong with a pattern is said") {
        CHECK(complains("", "no path"));
        CHECK(complains("GET", "no path"));
        CHECK(complains("GET ", "a method, then host or path"));
        CHECK(complains(" /x", "a method, then host or path"));
        CHECK(complains("G(T /x", "a method is a token"));
        CHECK(complains("/a b", "a method is a token"));
        CHECK(complains("{id}/x", "a parameter in the host"));
        CHECK(complains("example.com:80/x", "without a port"));
        CHECK(complains("ex<mple.com/x", "a host is"));
        CHECK(complains("user@example.com/x", "a host is"));
        CHECK(complains("/a//b", "an empty segment"));
        CHECK(complains("//", "an empty segment"));
        CHECK(complains("/a/../b", "dot segments"));
        CHECK(complains("/a/.", "dot segments"));
        CHECK(complains("/a/%2e%2E/b", "dot segments"));
        CHECK(complains("/a/..%2fb", "dot segments"));
        CHECK(complains("/a%00", "%00"));
        CHECK(complains("/a%", "two hexadecimal digits"));
        CHECK(complains("/a%2", "two hexadecimal digits"));
        CHECK(complains("/a%zz", "two hexadecimal digits"));
        CHECK(complains("/a?b", "percent-encoded"));
        CHECK(complains("/a#b", "percent-encoded"));
        CHECK(complains("/a\\b", "percent-encoded"));
        CHECK(complains("/a}", "percent-encoded"));
        CHECK(complains("/a{b}", "a whole segment"));
        CHECK(complains("/{b}c", "a whole segment"));
        CHECK(complains("/{b", "a whole segment"));
        CHECK(complains("/{", "a whole segment"));
        CHECK(complains("/{}", "without a name"));
        CHECK(complains("/{...}", "without a name"));
        CHECK(complains("/{a-b}", "letters, digits and _"));
        CHECK(complains("/{a b}", "a method is a token"));
        CHECK(complains("/{1a}", "begin with a digit"));
        CHECK(complains("/{a}/{a}", "the same name"));
        CHECK(complains("/{a}/{a...}", "the same name"));
        CHECK(complains("/{$}/a", "must be at the end"));
        CHECK(complains("/{a...}/b", "must be at the end"));
        CHECK(complains("/{a...}/", "must be at the end"));
        CHECK(complains("/" + std::string(256, 'a'), "255 octets"));
        CHECK(complaint("/" + std::string(255, 'a')).empty());
        CHECK(complaint("/{_x1}/{Y...}").empty());
    }

    TEST_CASE("sixteen parameters and sixty-four segments are the most") {
        std::string params;
        for (int i = 0; i < 16; ++i) {
            params += "/{p" + std::to_string(i) + "}";
        }
        CHECK(complaint(params).empty());
        CHECK(complains(params + "/{q}", "more than 16 parameters"));
        CHECK(complains(params + "/{q...}", "more than 16 parameters"));
        std::string deep;
        for (int i = 0; i < 64; ++i) {
            deep += "/x";
        }
        CHECK(complaint(deep).empty());
        CHECK(complains(deep + "/", "more than 64 segments"));
        CHECK(complains(deep + "/x", "more than 64 segments"));
    }

    TEST_CASE("a method that is given apart is not given in the pattern too") {
        CHECK_THROWS_WITH_AS(route_pattern("GET", "GET /x"),
                             "route pattern \"GET /x\": a space; the method is given apart: invalid argument",
                             flux::error);
        CHECK_THROWS_AS(route_pattern("G T", "/x"), flux::error);
    }

    TEST_CASE("a message names the pattern") {
        CHECK(complaint("/a/{}") == "route pattern \"/a/{}\": a parameter without a name: invalid argument");
    }

    // The examples of Go's documentation, and those around them.
    TEST_CASE("of two patterns one is more specific, or they conflict, or they share nothing") {
        CHECK(compare("/a", "/a") == relation::same);
        CHECK(compare("/{x}", "/{y}") == relation::same);
        CHECK(compare("/a/", "/a/{rest...}") == relation::same);
        CHECK(compare("/a", "/b") == relation::disjoint);
        CHECK(compare("/a", "/a/") == relation::disjoint);
        CHECK(compare("/a/{x}", "/a/{$}") == relation::disjoint);
        CHECK(compare("/a/b", "/a") == relation::disjoint);

        CHECK(compare("/images/thumbnails/", "/images/") == relation::more_specific);
        CHECK(compare("/a/b", "/a/{x}") == relation::more_specific);
        CHECK(compare("/a/{x}", "/a/{x...}") == relation::more_specific);
        CHECK(compare("/a/{$}", "/a/") == relation::more_specific);
        CHECK(compare("/a/{x}/c", "/a/") == relation::more_specific);
        CHECK(compare("/b/{x}", "/") == relation::more_specific);
        CHECK(compare("GET /a", "/a") == relation::more_specific);
        CHECK(compare("HEAD /a", "GET /a") == relation::more_specific);
        CHECK(compare("GET /a/b", "GET /a/{x}") == relation::more_specific);

        CHECK(compare("/posts/{id}", "/{resource}/latest") == relation::overlapping);
        CHECK(compare("/{x}/", "/a/{y}/") == relation::more_general);
        CHECK(compare("/a/{x}/", "/{y}/b/") == relation::overlapping);
        CHECK(compare("GET /a/{x}", "/a/b") == relation::overlapping);
        CHECK(compare("HEAD /a/{x}", "GET /a/b") == relation::overlapping);
        CHECK(compare("GET /{x}", "POST /a") == relation::disjoint);
        CHECK(compare("/{x}/{y}", "/a/{z...}") == relation::overlapping);

        CHECK(compare("h.test/{x}", "/a") == relation::disjoint);
        CHECK(compare("h.test/a", "g.test/a") == relation::disjoint);
        CHECK(compare("h.test/a", "H.TEST/a") == relation::same);
    }

} // TEST_SUITE
