// SPDX-License-Identifier: MIT
#include <flux/http/message/host.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string_view>

namespace http = flux::http;

TEST_SUITE("http/message/host") {
    TEST_CASE("takes every form of an IPv6 address [RFC 3986 3.2.2]") {
        for (const std::string_view text :
             {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1::8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "2001:DB8::1",
              "::ffff:1.2.3.4", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1::2:1.2.3.4", "::0.0.0.0", "fe80::1",
              "0000:0000:0000:0000:0000:0000:0000:0001", "::255.255.255.255"}) {
            CHECK_MESSAGE(http::is_ipv6(text), text);
        }
    }
    TEST_CASE("refuses what is no IPv6 address [RFC 3986 3.2.2]") {
        for (const std::string_view text : {"",
                                            ":",
                                            ":::",
                                            "1",
                                            "1:",
                                            ":1",
                                            "1:2",
                                            "1:2:3:4:5:6:7",
                                            "1:2:3:4:5:6:7:8:9",
                                            "1::2::3",
                                            "12345::",
                                            "g::",
                                            "1:2:3:4:5:6:7:",
                                            ":1:2:3:4:5:6:7",
                                            "1:2:3:4:5:6:7:8::",
                                            "::1:2:3:4:5:6:7:8",
                                            "1.2.3.4",
                                            "::1.2.3",
                                            "::1.2.3.4.5",
                                            "::1.2.3.256",
                                            "::1.2.3.04",
                                            "::1.2.3.",
                                            "::.1.2.3",
                                            "::1..2.3",
                                            "1:2:3:4:5:6:7:1.2.3.4",
                                            "::1.2.3.4:5",
                                            "fe80::1%eth0",
                                            " ::1",
                                            "::1 ",
                                            "::1234.2.3.4",
                                            "1:::2",
                                            "::12345",
                                            "::-1"}) {
            CHECK_FALSE_MESSAGE(http::is_ipv6(text), text);
        }
    }
    TEST_CASE("a literal of the future starts with v, a version and a dot [RFC 3986 3.2.2]") {
        CHECK(http::is_ip_literal("v1.a"));
        CHECK(http::is_ip_literal("VF.a:b!"));
        CHECK(http::is_ip_literal("::1"));
        for (const std::string_view text : {"", "v", "v1", "v.a", "v1.", "vg.a", "v1.a/b", "v1.a b"}) {
            CHECK_FALSE_MESSAGE(http::is_ip_literal(text), text);
        }
    }
    TEST_CASE("splits host and port [RFC 3986 3.2]") {
        const http::host_port plain = http::split_host_port("example.com:8080");
        CHECK(plain.valid);
        CHECK(plain.host == "example.com");
        CHECK(plain.port == "8080");
        CHECK(plain.number == 8080);
        const http::host_port literal = http::split_host_port("[::1]:1");
        CHECK(literal.valid);
        CHECK(literal.host == "[::1]");
        CHECK(literal.number == 1);
        CHECK(http::split_host_port("a").port.empty());
        CHECK(http::split_host_port("a:").valid);
        CHECK(http::split_host_port("a:0065535").number == 65535);
    }
    TEST_CASE("refuses an authority with anything else in it [RFC 9110 4.2.1]") {
        for (const std::string_view text :
             {"", ":80", "a b", "u@a", "a:b", "a:65536", "a:80:80", "a/", "[::1", "[::1]x", "a%4", "a%zz", "a\\b",
              "\"a\"", "a:-1", "a: 1", "[]", "a:99999999999999999999"}) {
            CHECK_FALSE_MESSAGE(http::split_host_port(text).valid, text);
        }
    }
}
