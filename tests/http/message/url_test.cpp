// SPDX-License-Identifier: MIT
#include <flux/http/message/url.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>

namespace http = flux::http;

namespace {

flux::result<http::url> make(std::string_view text) {
    return http::url::parse(text);
}

} // namespace

TEST_SUITE("http/message/url") {
    TEST_CASE("the normal examples of reference resolution [RFC 3986 5.4.1]") {
        const std::pair<std::string_view, std::string_view> table[] = {
            {"g:h", "g:h"},
            {"g", "http://a/b/c/g"},
            {"./g", "http://a/b/c/g"},
            {"g/", "http://a/b/c/g/"},
            {"/g", "http://a/g"},
            {"//g", "http://g"},
            {"?y", "http://a/b/c/d;p?y"},
            {"g?y", "http://a/b/c/g?y"},
            {"#s", "http://a/b/c/d;p?q#s"},
            {"g#s", "http://a/b/c/g#s"},
            {"g?y#s", "http://a/b/c/g?y#s"},
            {";x", "http://a/b/c/;x"},
            {"g;x", "http://a/b/c/g;x"},
            {"g;x?y#s", "http://a/b/c/g;x?y#s"},
            {"", "http://a/b/c/d;p?q"},
            {".", "http://a/b/c/"},
            {"./", "http://a/b/c/"},
            {"..", "http://a/b/"},
            {"../", "http://a/b/"},
            {"../g", "http://a/b/g"},
            {"../..", "http://a/"},
            {"../../", "http://a/"},
            {"../../g", "http://a/g"},
        };
        for (const auto& row : table) {
            CHECK_MESSAGE(http::resolve_reference("http://a/b/c/d;p?q", row.first) == row.second, row.first);
        }
    }
    TEST_CASE("the abnormal examples of reference resolution [RFC 3986 5.4.2]") {
        const std::pair<std::string_view, std::string_view> table[] = {
            {"../../../g", "http://a/g"},
            {"../../../../g", "http://a/g"},
            {"/./g", "http://a/g"},
            {"/../g", "http://a/g"},
            {"g.", "http://a/b/c/g."},
            {".g", "http://a/b/c/.g"},
            {"g..", "http://a/b/c/g.."},
            {"..g", "http://a/b/c/..g"},
            {"./../g", "http://a/b/g"},
            {"./g/.", "http://a/b/c/g/"},
            {"g/./h", "http://a/b/c/g/h"},
            {"g/../h", "http://a/b/c/h"},
            {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
            {"g;x=1/../y", "http://a/b/c/y"},
            {"g?y/./x", "http://a/b/c/g?y/./x"},
            {"g?y/../x", "http://a/b/c/g?y/../x"},
            {"g#s/./x", "http://a/b/c/g#s/./x"},
            {"g#s/../x", "http://a/b/c/g#s/../x"},
            {"http:g", "http:g"},
        };
        for (const auto& row : table) {
            CHECK_MESSAGE(http::resolve_reference("http://a/b/c/d;p?q", row.first) == row.second, row.first);
        }
    }
    TEST_CASE("a relative path below an empty one gets its slash [RFC 3986 5.2.3]") {
        CHECK(http::resolve_reference("http://a", "g") == "http://a/g");
        CHECK(http::resolve_reference("http://a?q", "g") == "http://a/g");
        CHECK(http::resolve_reference("http://a?q", "") == "http://a?q");
        CHECK(http::resolve_reference("http://a/b", "//c/../d") == "http://c/d");
        CHECK(http::resolve_reference("http://a//b", "c") == "http://a//c");
    }

    TEST_CASE("a path does not become a host [RFC 3986 3.3, erratum 4547]") {
        CHECK(http::resolve_reference("http://a/b", "http:.///c/d") == "http:/.//c/d");
        CHECK(http::resolve_reference("http://a/b", "x:/..//c") == "x:/.//c");
        const auto base = http::url::parse("https://a.test/b");
        REQUIRE(base);
        for (const std::string_view location :
             {"https:.///evil.test/", "https:/.//evil.test/", "https:/..//u@evil.test/", "https:a/..//evil.test",
              "wss:.///evil.test"}) {
            CAPTURE(location);
            CHECK(!base->resolve(location));
        }
    }
    TEST_CASE("dot segments are removed as in the examples [RFC 3986 5.2.4]") {
        const std::pair<std::string_view, std::string_view> table[] = {
            {"/a/b/c/./../../g", "/a/g"},
            {"mid/content=5/../6", "mid/6"},
            {"", ""},
            {"/", "/"},
            {".", ""},
            {"..", ""},
            {"/.", "/"},
            {"/..", "/"},
            {"./a", "a"},
            {"../a", "a"},
            {"/a/.", "/a/"},
            {"/a/..", "/"},
            {"/a/../..", "/"},
            {"a/..", "/"},
            {"//a", "//a"},
            {"/a//../b", "/a/b"},
            {"/...", "/..."},
            {"/a/b/..", "/a/"},
            {"/%2e%2e/a", "/%2e%2e/a"},
        };
        for (const auto& row : table) {
            CHECK_MESSAGE(http::remove_dot_segments(row.first) == row.second, row.first);
        }
        std::string deep;
        for (int i = 0; i < 20'000; ++i) {
            deep += "/a";
        }
        for (int i = 0; i < 20'000; ++i) {
            deep += "/..";
        }
        CHECK(http::remove_dot_segments(deep) == "/");
    }
    TEST_CASE("a reference is split into its five parts [RFC 3986 B]") {
        const http::uri_parts p = http::split_uri("http://u@h:1/p;x?q?r#f#g");
        CHECK(p.scheme == "http");
        CHECK(p.authority == "u@h:1");
        CHECK(p.path == "/p;x");
        CHECK(p.query == "q?r");
        CHECK(p.fragment == "f#g");
        CHECK_FALSE(http::split_uri("a:b").has_authority);
        CHECK(http::split_uri("1a:b").path == "1a:b");
        CHECK(http::split_uri("/a:b").path == "/a:b");
        CHECK(http::split_uri("//h").has_authority);
        CHECK(http::split_uri("a?").has_query);
        CHECK(http::split_uri("?#").has_fragment);
        CHECK_FALSE(http::split_uri("a").has_query);
    }
    TEST_CASE("a URL is taken apart") {
        const http::url u = make("HTTPS://User:Pa%20ss@Example.COM:8443/a/b;c?x=1&y#frag").value();
        CHECK(u.text() == "https://User:Pa%20ss@example.com:8443/a/b;c?x=1&y#frag");
        CHECK(u.scheme() == "https");
        CHECK(u.userinfo() == "User:Pa%20ss");
        CHECK(u.host() == "example.com");
        CHECK(u.port() == 8443);
        CHECK(u.authority() == "example.com:8443");
        CHECK(u.path() == "/a/b;c");
        CHECK(u.query() == "x=1&y");
        CHECK(u.fragment() == "frag");
        CHECK(u.target() == "/a/b;c?x=1&y");
        CHECK(u.is_secure());
        CHECK_FALSE(u.is_websocket());
    }
    TEST_CASE("the port of the scheme is left out of the authority [RFC 9110 7.2]") {
        CHECK(make("http://a:80/")->authority() == "a");
        CHECK(make("https://a:443/")->authority() == "a");
        CHECK(make("http://a:443/")->authority() == "a:443");
        CHECK(make("http://a:/")->text() == "http://a/");
        CHECK(make("ws://a")->port() == 80);
        CHECK(make("wss://a")->port() == 443);
        CHECK(make("wss://a")->is_secure());
        CHECK(make("ws://a")->is_websocket());
        CHECK_FALSE(make("ws://a")->is_secure());
        CHECK(make("http://a")->target() == "/");
        CHECK(make("http://a?q")->target() == "/?q");
        CHECK(make("http://a?")->has_query());
        CHECK(make("http://a?")->target() == "/?");
        CHECK(make("http://a#")->has_fragment());
        CHECK(make("http://a#f")->target() == "/");
    }
    TEST_CASE("an IPv6 literal keeps its brackets, except for the resolver") {
        const http::url u = make("http://[2001:DB8::1]:81/").value();
        CHECK(u.host() == "[2001:db8::1]");
        CHECK(u.host_name() == "2001:db8::1");
        CHECK(u.authority() == "[2001:db8::1]:81");
        CHECK(make("http://h/")->host_name() == "h");
    }
    TEST_CASE("harmless octets that no URI may hold are encoded, as a browser does") {
        CHECK(make("http://a/b c\"<>\\^`{|}[]\xc3\xa9?d e[]#f g")->text() ==
              "http://a/b%20c%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D%C3%A9?d%20e%5B%5D#f%20g");
        CHECK(make("http://a/%41%2f")->path() == "/%41%2f");
    }
    TEST_CASE("what is not a URL is refused [RFC 3986 3]") {
        using namespace std::string_view_literals;
        for (const std::string_view text : {""sv,
                                            "a"sv,
                                            "/a"sv,
                                            "//a"sv,
                                            "http:"sv,
                                            "http:/"sv,
                                            "http:/a"sv,
                                            "http://"sv,
                                            "http:///a"sv,
                                            "ftp://a/"sv,
                                            "httpx://a/"sv,
                                            "://a"sv,
                                            "http://a b/"sv,
                                            "http://a:b/"sv,
                                            "http://a:65536/"sv,
                                            "http://a:1:2/"sv,
                                            "http://[::1/"sv,
                                            "http://::1/"sv,
                                            "http://[fe80::1%25eth0]/"sv,
                                            "http://u@v@a/"sv,
                                            "http://u p@a/"sv,
                                            "http://%zz@a/"sv,
                                            "http://a/%"sv,
                                            "http://a/%4"sv,
                                            "http://a/%zz"sv,
                                            "http://a/?%g0"sv,
                                            "http://a/#%"sv,
                                            "http://a/\r\nX: y"sv,
                                            "http://a/\tb"sv,
                                            "http://a/\x7f"sv,
                                            "http://a/\0b"sv,
                                            "http://a\\b/"sv,
                                            "http://\xc3\xa9/"sv,
                                            "http://a%/"sv,
                                            " http://a/"sv,
                                            "http://@/"sv,
                                            "http://:80/"sv,
                                            "javascript:x"sv}) {
            const auto r = http::url::parse(text);
            CHECK_FALSE_MESSAGE(r.has_value(), text);
            if (!r) {
                CHECK(r.error().is(flux::errc::invalid_argument));
            }
        }
        CHECK_FALSE(http::url::parse("http://a/" + std::string(2U << 20, 'x')).has_value());
    }
    TEST_CASE("the message of an error does not hold the text, which may hold a password") {
        const auto r = http::url::parse("http://me:secret@a b/");
        REQUIRE_FALSE(r);
        CHECK(r.error().message().find("secret") == std::string::npos);
        CHECK(r.error().message().find("bad host or port") != std::string::npos);
    }
    TEST_CASE("the text of a URL is parsed to the same URL again") {
        for (const std::string_view text :
             {"http://a", "HTTP://U:p@A:81/x y?q z#f", "wss://[::1]?a", "https://h:443/%41#"}) {
            const http::url once = make(text).value();
            const http::url twice = make(once.text()).value();
            CHECK(once == twice);
            CHECK(once.port() == twice.port());
            CHECK(once.target() == twice.target());
        }
    }
    TEST_CASE("a redirect is resolved against the URL that was asked [RFC 9110 10.2.2]") {
        const http::url base = make("http://u:p@a:81/b/c?q#f").value();
        CHECK(base.resolve("../x")->text() == "http://u:p@a:81/x");
        CHECK(base.resolve("/x y")->text() == "http://u:p@a:81/x%20y");
        CHECK(base.resolve("//other/x")->text() == "http://other/x");
        CHECK(base.resolve("https://other")->text() == "https://other/");
        CHECK(base.resolve("?z")->text() == "http://u:p@a:81/b/c?z");
        CHECK_FALSE(base.resolve("mailto:x").has_value());
        CHECK_FALSE(base.resolve("/\r\nX: y").has_value());
    }
    TEST_CASE("an origin is scheme, host and port [RFC 6454 4]") {
        CHECK(same_origin(*make("http://A/x"), *make("HTTP://a:80/y?z")));
        CHECK_FALSE(same_origin(*make("http://a/"), *make("https://a/")));
        CHECK_FALSE(same_origin(*make("http://a/"), *make("http://a:81/")));
        CHECK_FALSE(same_origin(*make("http://a/"), *make("http://b/")));
        CHECK_FALSE(same_origin(*make("http://a/"), *make("http://a.b/")));
        CHECK(same_origin(*make("http://u@a/"), *make("http://v@a/")));
    }
}
