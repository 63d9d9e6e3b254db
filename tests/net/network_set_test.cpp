// SPDX-License-Identifier: MIT
#include <flux/net/network_set.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

using namespace flux;

TEST_SUITE_BEGIN("net/network_set");

TEST_CASE("an address is in a network if it has its prefix") {
    network_set s;
    CHECK(s.empty());
    s.add("10.0.0.0/8").add("192.168.1.128/25").add("2001:db8::/33").add("::1").add("1.2.3.4");
    const auto in = [&](const char* text) { return s.contains(endpoint::parse(text).value()); };
    CHECK(in("10.255.0.1:1"));
    CHECK_FALSE(in("11.0.0.1:1"));
    CHECK(in("192.168.1.128:1"));
    CHECK_FALSE(in("192.168.1.127:1"));
    CHECK(in("[2001:db8:7fff::1]:1"));
    CHECK_FALSE(in("[2001:db8:8000::1]:1"));
    CHECK(in("[::1]:5"));
    CHECK_FALSE(in("[::2]:5"));
    CHECK(in("1.2.3.4:9"));
    CHECK(in("[::ffff:10.1.1.1]:1"));
    CHECK_FALSE(in("unix:/x"));
    network_set all;
    all.add("0.0.0.0/0");
    CHECK(all.contains(endpoint::loopback(1)));
}

TEST_CASE("what is no network is refused") {
    network_set s;
    for (const char* const bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "::/129", "a", "10.0.0.0/8x", "10.0.0.0/-1",
                                  "10.0.0.0/0008", "1.2.3", "::1/127"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(s.add(bad), error);
    }
    CHECK(s.empty());
}

TEST_SUITE_END();
