// SPDX-License-Identifier: MIT
#include <flux/tls/fingerprint.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace flux;

namespace {

tls::client_hello browser() {
    tls::client_hello h;
    h.versions = {0x0304, 0x0303};
    h.suites = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
    h.extensions = {0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015};
    h.signature_schemes = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601};
    h.protocols = {"h2", "http/1.1"};
    return h;
}

} // namespace

TEST_SUITE("tls/fingerprint") {

TEST_CASE("SHA-256 is SHA-256 [FIPS 180-4]") {
    CHECK(tls::detail::sha256_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(tls::detail::sha256_text("", 8) == "e3b0c442");
}

TEST_CASE("the same client has the same JA4, whatever order it sends suites and extensions in") {
    tls::client_hello h = browser();
    CHECK(tls::ja4(h) == "t13d1516h2_8daaf6152771_e5627efa2ab1"); // the example of the method's authors
    std::reverse(h.suites.begin(), h.suites.end());
    std::reverse(h.extensions.begin(), h.extensions.end());
    CHECK(tls::ja4(h) == "t13d1516h2_8daaf6152771_e5627efa2ab1");
    std::reverse(h.signature_schemes.begin(), h.signature_schemes.end()); // this order counts
    CHECK(tls::ja4(h) != "t13d1516h2_8daaf6152771_e5627efa2ab1");
    CHECK(tls::ja4(h).starts_with("t13d1516h2_8daaf6152771_"));
}

TEST_CASE("what a client leaves out is zeros") {
    tls::client_hello h;
    CHECK(tls::ja4(h) == "t00i000000_000000000000_000000000000");
    h.versions = {0x0303, 0x0302};
    h.protocols = {"\x02x"};
    h.suites.assign(120, 0x1301);
    CHECK(tls::ja4(h).starts_with("t12i990008_"));
    h.extensions = {0, 16};
    h.protocols = {"http/1.1"};
    CHECK(tls::ja4(h).starts_with("t12d9902h1_"));
    CHECK(tls::ja4(h).ends_with("_000000000000"));
}

} // TEST_SUITE
