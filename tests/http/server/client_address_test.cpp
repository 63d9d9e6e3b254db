// SPDX-License-Identifier: MIT
#include <flux/http/server/client_address.hpp> // also proves the header is self-contained

#include <http/server/parsed_request.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using test_support::parsed_request;

namespace {

class from final : public http::request::remote_source {
public:
    explicit from(std::string_view where) : text_(where) {}
    [[nodiscard]] std::string_view text() override { return text_; }

private:
    std::string text_;
};

std::string client(std::string_view peer, const std::string& fields, http::forwarding by) {
    network_set trusted;
    trusted.add("10.0.0.0/8").add("fd00::/8");
    from source(peer);
    parsed_request parsed("GET / HTTP/1.1", "Host: a\r\n" + fields);
    http::request& req = parsed;
    const http::request_head head = req.head();
    req.assign(head, &source);
    const auto c = http::client_address(req, trusted, by);
    return c ? c->to_string() : "none";
}
std::string by_list(std::string_view peer, const std::string& list) {
    return client(peer, "X-Forwarded-For: " + list + "\r\n", http::forwarding::x_forwarded_for);
}
std::string by_forwarded(std::string_view peer, const std::string& list) {
    return client(peer, "Forwarded: " + list + "\r\n", http::forwarding::forwarded);
}

} // namespace

TEST_SUITE_BEGIN("http/server/client_address");

TEST_CASE("the word of a peer that is not trusted counts for nothing") {
    CHECK(by_list("192.0.2.9:5", "1.1.1.1") == "192.0.2.9:5");
    CHECK(by_list("unix:", "1.1.1.1") == "none");
}

TEST_CASE("a list is read from its end, as long as trusted proxies speak") {
    CHECK(by_list("10.0.0.1:5", "192.0.2.1") == "192.0.2.1:0");
    CHECK(by_list("10.0.0.1:5", "6.6.6.6, 192.0.2.1, 10.0.0.7") == "192.0.2.1:0");
    CHECK(by_list("10.0.0.1:5", "6.6.6.6\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.7") == "192.0.2.1:0");
    CHECK(by_list("10.0.0.1:5", "10.0.0.3, 10.0.0.7") == "10.0.0.3:0");
    CHECK(by_list("10.0.0.1:5", "2001:db8::1") == "[2001:db8::1]:0");
    CHECK(by_list("[fd00::1]:5", "[2001:db8::1]:80") == "[2001:db8::1]:80");
    CHECK(by_list("10.0.0.1:5", "192.0.2.1:443") == "192.0.2.1:443");
    CHECK(by_list("10.0.0.1:5", "") == "10.0.0.1:5");
}

TEST_CASE("what is not understood ends the list at the proxy that said it") {
    for (const char* const bad : {"unknown", "_hidden", "1.2.3", "1.2.3.4:x", "[::1", "example.com", "unix:/x", "*", ":80"}) {
        CAPTURE(bad);
        CHECK(by_list("10.0.0.1:5", "6.6.6.6, " + std::string(bad)) == "10.0.0.1:5");
        CHECK(by_list("10.0.0.1:5", "6.6.6.6, " + std::string(bad) + ", 10.0.0.7") == "10.0.0.7:0");
    }
    // A quote that does not end hides the commas behind it, so the whole list counts for nothing.
    CHECK(by_list("10.0.0.1:5", "6.6.6.6, \"1.1.1.1, 10.0.0.7") == "10.0.0.1:5");
}

TEST_CASE("Forwarded says it in parameters [RFC 7239 4]") {
    CHECK(by_forwarded("10.0.0.1:5", "for=192.0.2.1;proto=http;by=10.0.0.1") == "192.0.2.1:0");
    CHECK(by_forwarded("10.0.0.1:5", "For=\"[2001:db8:cafe::17]:4711\"") == "[2001:db8:cafe::17]:4711");
    CHECK(by_forwarded("10.0.0.1:5", "for=6.6.6.6, proto=https; FOR=192.0.2.1, for=10.0.0.7") == "192.0.2.1:0");
    CHECK(by_forwarded("10.0.0.1:5", "by=1.1.1.1") == "10.0.0.1:5");
    CHECK(by_forwarded("10.0.0.1:5", "for=unknown, for=10.0.0.7") == "10.0.0.7:0");
    CHECK(client("10.0.0.1:5", "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=192.0.2.1\r\n", http::forwarding::forwarded) == "192.0.2.1:0");
}

TEST_SUITE_END();
