// SPDX-License-Identifier: MIT
#include <flux/tls/client_hello.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace flux;
using tls::client_hello;
using tls::client_hello_reader;
using tls::hello_state;

namespace {

std::string u8(std::size_t n) { return std::string(1, static_cast<char>(n)); }
std::string u16(std::size_t n) { return u8(n >> 8) + u8(n & 0xff); }
std::string vector8(const std::string& s) { return u8(s.size()) + s; }
std::string vector16(const std::string& s) { return u16(s.size()) + s; }
std::string extension(unsigned type, const std::string& body) { return u16(type) + vector16(body); }
std::string name(const std::string& host) { return extension(0, vector16(u8(0) + vector16(host))); }
std::string record(const std::string& body) { return "\x16\x03\x01" + vector16(body); }

std::string message(const std::string& extensions, const std::string& suites = u16(0x1301) + u16(0xc02b), unsigned version = 0x0303) {
    std::string body = u16(version) + std::string(32, 'r') + vector8("session") + vector16(suites) + vector8(u8(0));
    body += extensions.empty() ? "" : vector16(extensions);
    return u8(1) + u8(body.size() >> 16) + u16(body.size() & 0xffff) + body;
}
std::string usual() {
    return name("A.Test.") + extension(10, vector16(u16(0x2a2a) + u16(0x001d) + u16(0x0017))) +
           extension(13, vector16(u16(0x0403))) + extension(16, vector16(vector8("h2") + vector8("http/1.1"))) +
           extension(43, vector8(u16(0x0304) + u16(0x0303))) + extension(21, std::string(9, '\0'));
}

struct verdict {
    hello_state state;
    client_hello hello;
    tls::alert alert{};
};
verdict read(const std::string& octets) {
    client_hello_reader reader;
    verdict v{reader.read(octets), {}, {}};
    v.alert = reader.alert();
    v.hello = reader.take();
    return v;
}
void check_usual(const client_hello& h) {
    CHECK(h.server_name == "a.test");
    CHECK(h.groups == std::vector<std::uint16_t>{0x001d, 0x0017});
    CHECK(h.signature_schemes == std::vector<std::uint16_t>{0x0403});
    CHECK(h.protocols == std::vector<std::string>{"h2", "http/1.1"});
    CHECK(h.versions == std::vector<std::uint16_t>{0x0304, 0x0303});
    CHECK(h.suites == std::vector<std::uint16_t>{0x1301, 0xc02b});
    CHECK(h.offers_protocol("h2"));
    CHECK(!h.offers_protocol("h3"));
    CHECK(h.offers_version(0x0304));
}

} // namespace

TEST_SUITE("tls/client_hello") {

TEST_CASE("reads what a client says, cut at any octet, in one record or in many [RFC 8446 5.1]") {
    const std::string whole = message(usual());
    std::vector<std::string> forms{record(whole)};
    for (const std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{50}}) {
        std::string pieces;
        for (std::size_t i = 0; i < whole.size(); i += size) {
            pieces += record(whole.substr(i, size));
        }
        forms.push_back(pieces);
    }
    for (const std::string& octets : forms) {
        check_usual(read(octets).hello);
        for (std::size_t cut = 0; cut < octets.size(); ++cut) {
            client_hello_reader reader;
            REQUIRE(reader.read(octets.substr(0, cut)) == hello_state::need_more);
            REQUIRE(reader.read(octets) == hello_state::complete);
            CHECK(reader.take().server_name == "a.test");
        }
        client_hello_reader reader;
        for (std::size_t n = 1; n < octets.size(); ++n) {
            REQUIRE(reader.read(octets.substr(0, n)) == hello_state::need_more);
        }
        REQUIRE(reader.read(octets) == hello_state::complete);
        check_usual(reader.take());
    }
}

TEST_CASE("a client without extensions speaks what its version says") {
    CHECK(read(record(message(""))).hello.versions == std::vector<std::uint16_t>{0x0303, 0x0302, 0x0301, 0x0300});
    CHECK(read(record(message("", u16(1), 0x0301))).hello.versions == std::vector<std::uint16_t>{0x0301, 0x0300});
    CHECK(read(record(message(""))).hello.server_name.empty());
}

TEST_CASE("what is no TLS is told apart, and an HTTP request from the rest") {
    for (const char* text : {"GET / HTTP/1.1\r\n", "POST /x", "OPTIONS *", "PRI * HTTP/2.0\r\n", "PROPFIND /"}) {
        CHECK(read(text).state == hello_state::plain_http);
    }
    for (const char* text : {"get / HTTP/1.1", "SSH-2.0-x", "\x80\x2e\x01", " GET", "G1T /", "\x16\x02\x01xx"}) {
        CHECK_MESSAGE(read(text).state == hello_state::not_tls, text);
    }
    CHECK(read("GET").state == hello_state::need_more);
    CHECK(read("").state == hello_state::need_more);
    CHECK(read("\x16").state == hello_state::need_more);
}

TEST_CASE("a broken message is refused with the alert that the RFC names") {
    using tls::alert;
    const auto refused = [](const std::string& octets, alert with) {
        const verdict v = read(octets);
        CHECK(v.state == hello_state::failed);
        CHECK(v.alert == with);
    };
    refused(record(""), alert::unexpected_message);
    refused(std::string("\x16\x03\x01\x40\x01", 5), alert::record_overflow);
    refused(record("\x02xxxx"), alert::unexpected_message); // a ServerHello
    refused(record(message(usual()) + "x"), alert::unexpected_message);
    refused(record(message(usual()).substr(0, 60)) + "\x17\x03\x03" + vector16("x"), alert::unexpected_message);
    refused(record(std::string("\x01\x7f\xff\xff", 4)), alert::illegal_parameter);
    refused(record(message("", "")), alert::decode_error);            // no suites
    refused(record(message("", u16(1) + "x")), alert::decode_error);  // half a suite
    refused(record(message(name("a.test") + name("b.test"))), alert::decode_error);
    refused(record(message(name(""))), alert::decode_error);
    refused(record(message(name("a\0b" + std::string(1, '\0') + "c"))), alert::decode_error);
    refused(record(message(name(std::string(300, 'a')))), alert::decode_error);
    refused(record(message(name("a/../b"))), alert::decode_error);
    refused(record(message(extension(16, vector16(u8(0))))), alert::decode_error);
    refused(record(message(extension(16, ""))), alert::decode_error);
    std::string protocols;
    for (int i = 0; i < 255; ++i) {
        protocols += u8(1) + "p";
    }
    CHECK(read(record(message(extension(16, vector16(protocols))))).hello.protocols.size() == 255);
    refused(record(message(extension(16, vector16(protocols + u8(1) + "p")))), alert::decode_error);
    refused(record(message(extension(43, u8(3) + u16(0x0304)))), alert::decode_error);
    refused(record(message(u16(0) + u16(99) + "x")), alert::decode_error);
}

TEST_CASE("no octet of a message can be changed so that the reader runs away") {
    const std::string good = record(message(usual()));
    int complete = 0;
    for (std::size_t i = 0; i < good.size(); ++i) {
        for (const int change : {0x01, 0x80, 0xff}) {
            std::string bad = good;
            bad[i] = static_cast<char>(bad[i] ^ change);
            complete += read(bad).state == hello_state::complete ? 1 : 0;
        }
        CHECK(read(good.substr(0, i)).state == hello_state::need_more);
    }
    CHECK(complete > 0);
}

} // TEST_SUITE
