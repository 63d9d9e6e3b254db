// SPDX-License-Identifier: MIT
#include <flux/http/server/peer_table.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <string>

using flux::endpoint;
using flux::http::detail::peer_table;

namespace {

peer_table::key key(const char* where) {
    const auto k = peer_table::key_of(endpoint::parse(where).value());
    REQUIRE(k);
    return *k;
}

} // namespace

TEST_SUITE_BEGIN("http/server/peer_table");

TEST_CASE("a peer is an IPv4 address, or an IPv6 network of 64 bits, whatever the port") {
    CHECK(key("10.0.0.1:1") == key("10.0.0.1:2"));
    CHECK(key("10.0.0.1:1") != key("10.0.0.2:1"));
    CHECK(key("[2001:db8:1:2::1]:1") == key("[2001:db8:1:2:ffff::9]:2"));
    CHECK(key("[2001:db8:1:2::1]:1") != key("[2001:db8:1:4::1]:1"));
    CHECK(key("[::1]:1") != key("0.0.0.1:1"));
    CHECK(key("[::1]:1") != 0);
    CHECK_FALSE(peer_table::key_of(endpoint::parse("unix:/x").value()));
    CHECK_FALSE(peer_table::key_of(endpoint()));
}

TEST_CASE("counts agree with a map through any mix of additions and removals") {
    peer_table table;
    std::map<peer_table::key, std::uint32_t> model;
    std::uint64_t dice = 7;
    for (int i = 0; i < 20'000; ++i) {
        dice = dice * 6364136223846793005U + 1442695040888963407U;
        const peer_table::key k = 1 + (dice >> 33) % 300;
        if (model[k] != 0 && (dice >> 20 & 1) != 0) {
            table.remove(k);
            --model[k];
        } else {
            table.add(k);
            ++model[k];
        }
        REQUIRE(table.count(k) == model[k]);
    }
    std::size_t present = 0;
    for (const auto& [k, n] : model) {
        CHECK(table.count(k) == n);
        present += n == 0 ? 0 : 1;
    }
    CHECK(table.peers() == present);
    CHECK(table.count(999'999) == 0);
    table.remove(999'999);
}

TEST_SUITE_END();
