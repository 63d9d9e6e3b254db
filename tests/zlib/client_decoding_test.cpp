// SPDX-License-Identifier: MIT
#include <flux/zlib/client_decoding.hpp> // also proves the header is self-contained
#include <flux/zlib/encoder.hpp>

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "http/client/memory_connector.hpp"

using namespace flux;
using namespace flux_test;

TEST_SUITE("zlib/client_decoding") {

    TEST_CASE("a client asks for codings, removes the ones it knows and leaves others [RFC 9110 8.4, 12.5.3]") {
        memory_net net;
        auto done = with_peer(
            net,
            [](peer& p) -> task<> {
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
            },
            {},
            [](memory_client& api, memory_net& n) -> task<> {
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

    namespace {

    std::string coded(zlib::coding c, std::string_view text) {
        byte_buffer out;
        zlib::encoder e(c);
        e.write(text, out);
        e.finish(out);
        return std::string(out.view());
    }

    // Answers /gzip, /deflate, /bomb, /cut, ... with what the name says.
    std::string answer_to(std::string_view head) {
        const std::string_view path = head.substr(head.find(' ') + 1, head.find(' ', 5) - head.find(' ') - 1);
        const bool deflate = path == "/deflate";
        std::string body = coded(deflate ? zlib::coding::deflate : zlib::coding::gzip,
                                 path == "/bomb" ? std::string(20'000'000, '0') : std::string("hello world"));
        std::string fields = deflate ? "Content-Encoding: DEFLATE\r\n" : "Content-Encoding: gzip\r\n";
        if (path == "/cut") {
            body.resize(body.size() - 1);
        } else if (path == "/surplus") {
            body += "x";
        } else if (path == "/broken") {
            body[body.size() - 6] = static_cast<char>(body[body.size() - 6] ^ 1); // the checksum
        } else if (path == "/list") {
            fields = "Content-Encoding: gzip, br\r\n";
        } else if (path == "/lines") {
            fields = "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n";
        } else if (path == "/empty") {
            body.clear();
        }
        const std::string start = "HTTP/1.1 200 OK\r\nX-One: 1\r\n" + fields + "ETag: \"e\"\r\n";
        if (path == "/chunked") {
            char size[24];
            std::snprintf(size, sizeof(size), "%zx\r\n", body.size());
            return start + "Transfer-Encoding: chunked\r\n\r\n" + size + body + "\r\n0\r\nX-Sum: 7\r\n\r\n";
        }
        return start + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
               (head.starts_with("HEAD") ? std::string() : body);
    }
    task<> codes(peer& p) {
        for (;;) {
            std::string head = co_await p.head();
            if (head.empty()) {
                co_return;
            }
            std::string answer = answer_to(head);
            p.net->heads.push_back(std::move(head));
            co_await p.say(std::move(answer));
        }
    }

    void runs(task<> (*test)(memory_client&, memory_net&)) {
        memory_net net;
        auto done = with_peer(net, codes, {}, test);
        if (!done) {
            FAIL_CHECK(done.error().message());
        }
    }

    } // namespace

    TEST_CASE("what was decoded says nothing of its coding any more [RFC 9110 8.4, 8.6]") {
        runs([](memory_client& api, memory_net& n) -> task<> {
            api.use_decoding(zlib::client_decoding());
            for (const char* path : {"/gzip", "/deflate", "/chunked"}) {
                auto r = co_await api.get(std::string("http://a.test") + path);
                CHECK_FALSE(r.fields().contains(http::field::content_encoding));
                CHECK_FALSE(r.fields().contains(http::field::content_length));
                CHECK(r.header("X-One") == "1");
                CHECK(r.header("ETag") == "\"e\"");
                CHECK_FALSE(r.body().length().has_value());
                const auto text = co_await r.text();
                CHECK(text == "hello world");
                CHECK((r.trailers().get("X-Sum") == "7") == (std::string_view(path) == "/chunked"));
            }
            auto head = co_await api.head("http://a.test/gzip"); // nothing to decode: it says what GET would
            CHECK(head.header("Content-Encoding") == "gzip");
            const auto empty = co_await api.get("http://a.test/empty").text();
            CHECK(empty.empty());
            CHECK(n.connects == 1);
        });
    }

    TEST_CASE("who asks for a coding, or for a range, gets what comes as it comes [RFC 9110 14.2]") {
        runs([](memory_client& api, memory_net& n) -> task<> {
            api.use_decoding(zlib::client_decoding());
            for (const char* name : {"Accept-Encoding", "Range"}) {
                const char* value = name[0] == 'A' ? "gzip" : "bytes=0-";
                auto r = co_await api.get("http://a.test/gzip").header(std::string_view(name), value);
                CHECK(r.header("Content-Encoding") == "gzip");
                CHECK(r.fields().contains(http::field::content_length));
                const auto text = co_await r.text();
                CHECK(text == coded(zlib::coding::gzip, "hello world"));
            }
            for (const char* path : {"/list", "/lines"}) { // a chain of codings is not taken apart
                auto r = co_await api.get(std::string("http://a.test") + path);
                CHECK(r.fields().contains(http::field::content_encoding));
                const auto text = co_await r.text();
                CHECK(text == coded(zlib::coding::gzip, "hello world"));
            }
            CHECK(n.connects == 1);
        });
        runs([](memory_client& api, memory_net& n) -> task<> { // not asked to decode at all
            const auto text = co_await api.get("http://a.test/gzip").text();
            CHECK(text == coded(zlib::coding::gzip, "hello world"));
            CHECK(n.heads[0].find("Accept-Encoding") == std::string::npos);
        });
    }

    TEST_CASE("what is cut, broken, too long or a bomb is an error, and the next request is answered") {
        runs([](memory_client& api, memory_net&) -> task<> {
            api.use_decoding(zlib::client_decoding());
            for (const char* path : {"/cut", "/broken", "/surplus"}) {
                const auto text = co_await attempt(api.get(std::string("http://a.test") + path).text());
                REQUIRE_FALSE(text);
                CHECK_MESSAGE(text.error().kind() == error_kind::protocol, path);
                CHECK(text.error().message().starts_with(std::string("GET http://a.test") + path + ": "));
            }
            const auto bomb = co_await attempt(api.get("http://a.test/bomb").text(100'000'000));
            REQUIRE_FALSE(bomb);
            CHECK(bomb.error().kind() == error_kind::limit);
            CHECK(bomb.error().message().starts_with("GET http://a.test/bomb: "));
            const auto text = co_await api.get("http://a.test/gzip").text();
            CHECK(text == "hello world");
        });
    }

} // TEST_SUITE
