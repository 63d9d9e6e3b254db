// SPDX-License-Identifier: MIT
#include <flux/zlib/client_decoding.hpp> // also proves the header is self-contained

#include "http/client/memory_connector.hpp"

#include <flux/zlib/encoder.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace flux_test;

TEST_SUITE("zlib/client_decoding") {

TEST_CASE("a client asks for codings, removes the ones it knows and leaves others [RFC 9110 8.4, 12.5.3]") {
    memory_net net;
    auto done = with_peer(net, [](peer& p) -> task<> {
        for (;;) {
            std::string head = co_await p.head();
            if (head.empty()) {
                co_return;
            }
            const bool brotli = head.find("GET /br") == 0;
            p.net->heads.push_back(std::move(head));
            byte_buffer coded;
            zlib::encoder gzip(zlib::coding::gzip);
            gzip.write(std::string(100'000, 'x'), coded);
            gzip.finish(coded);
            std::string body(coded.view());
            if (p.net->heads.size() == 3) {
                body.resize(body.size() - 9);
            }
            co_await p.say("HTTP/1.1 200 OK\r\nContent-Encoding: " + std::string(brotli ? "br" : "gzip") +
                           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        }
    }, {}, [](memory_client& api, memory_net& n) -> task<> {
        api.use_decoding(zlib::client_decoding());
        auto text = co_await api.get("http://a.test/").text();
        CHECK(text == std::string(100'000, 'x'));
        auto raw = co_await api.get("http://a.test/br").text();
        CHECK(raw.size() < 1000);
        auto cut = co_await attempt(api.get("http://a.test/").text());
        REQUIRE_FALSE(cut);
        CHECK(cut.error().kind() == error_kind::protocol);
        auto ranged = co_await api.get("http://a.test/").header("Range", "bytes=0-").text();
        REQUIRE(n.heads.size() == 4);
        CHECK(n.heads[0].find("\r\nAccept-Encoding: gzip, deflate\r\n") != std::string::npos);
        CHECK(n.heads[3].find("Accept-Encoding") == std::string::npos);
        CHECK(n.connects == 1);
    });
    CHECK(done);
    if (!done) {
        FAIL_CHECK(done.error().message());
    }
}

} // TEST_SUITE
