// SPDX-License-Identifier: MIT
#include <flux/zlib/compress.hpp> // also proves the header is self-contained

#include <flux/http/server/layers/request_id.hpp>
#include <flux/http/server/router.hpp>
#include <http/server/serve_octets.hpp>

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <map>
#include <string>

using namespace flux;

namespace {

struct answer {
    std::string head;
    std::string body; // without chunks, still coded
    bool whole = true;
    [[nodiscard]] bool says(const std::string& line) const { return head.find("\r\n" + line + "\r\n") != std::string::npos; }
};

answer ask(const http::router& app, const std::string& fields, const std::string& method = "GET", const std::string& body = "",
           const std::string& target = "/") {
    const auto served = flux_test::serve(
        app, method + " " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields + "\r\n" + body);
    answer a;
    const std::size_t end = served.octets.find("\r\n\r\n");
    REQUIRE(end != std::string::npos);
    a.head = served.octets.substr(0, end + 2);
    a.whole = !served.reset;
    std::string rest = served.octets.substr(end + 4);
    if (a.head.find("Transfer-Encoding: chunked") == std::string::npos || method == "HEAD") {
        a.body = rest;
        return a;
    }
    while (true) {
        const std::size_t line = rest.find("\r\n");
        if (line == std::string::npos) {
            a.whole = false;
            return a;
        }
        const std::size_t size = std::stoul(rest.substr(0, line), nullptr, 16);
        if (size == 0) {
            return a;
        }
        a.body += rest.substr(line + 2, size);
        rest.erase(0, line + 2 + size + 2);
    }
}

std::string gunzip(const std::string& coded) {
    zlib::decoder d(zlib::coding::gzip);
    std::string text;
    for (std::string_view rest = coded;;) {
        const zlib::decoder_step step = d.next(rest);
        rest.remove_prefix(step.consumed);
        if (step.event != zlib::decoder_event::data) {
            return step.event == zlib::decoder_event::need_more && d.finish() ? text : text + "[broken]";
        }
        text += step.data;
    }
}
std::string gzip(std::string_view text) {
    zlib::encoder e;
    byte_buffer out;
    e.write(text, out);
    e.finish(out);
    return std::string(out.view());
}

const std::string text(5000, 'x');
constexpr const char* accepts = "Accept-Encoding: gzip, br\r\n";

http::router app_with(http::any_handler h, http::compress_options options = {}) {
    http::router app;
    app.use(http::compress(options));
    app.any("/", std::move(h));
    return app;
}

} // namespace

TEST_SUITE("zlib/compress") {
    TEST_CASE("a text goes out coded to who accepts it, and plain to others; both say Vary [RFC 9110 12.5.5]") {
        const http::router app = app_with([] { return http::text(text).header("ETag", "\"v1\"").header("Accept-Ranges", "bytes"); });
        const answer coded = ask(app, accepts);
        CHECK(coded.says("Content-Encoding: gzip"));
        CHECK(coded.says("Vary: Accept-Encoding"));
        CHECK(coded.says("ETag: W/\"v1\"")); // the octets are others [RFC 9110 8.8.1]
        CHECK(coded.head.find("Accept-Ranges") == std::string::npos);
        CHECK(coded.says("Content-Length: " + std::to_string(coded.body.size())));
        CHECK(coded.body.size() < 100);
        CHECK((gunzip(coded.body) == text));
        for (const char* refuses : {"", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: identity, gzip;q=0.5\r\n"}) {
            CAPTURE(refuses);
            const answer plain = ask(app, refuses);
            CHECK((plain.body == text));
            CHECK(plain.says("Vary: Accept-Encoding"));
            CHECK(plain.says("ETag: \"v1\""));
            CHECK(plain.says("Accept-Ranges: bytes"));
        }
        const answer head = ask(app, accepts, "HEAD");
        CHECK(head.says("Content-Encoding: gzip"));
        CHECK(head.says("Content-Length: " + std::to_string(coded.body.size())));
        CHECK(head.body.empty());
    }

    TEST_CASE("what does not get smaller, or must not change, is left alone") {
        const auto untouched = [](http::response (*make)()) {
            const http::router app = app_with(make);
            const answer a = ask(app, accepts);
            return a.head.find("Content-Encoding: gzip") == std::string::npos && a.head.find("Vary") == std::string::npos;
        };
        CHECK(untouched([] { return http::text(std::string(511, 'x')); }));
        CHECK(!untouched([] { return http::text(std::string(512, 'x')); }));
        CHECK(untouched([] { return http::bytes(text); }));
        CHECK(untouched([] { return http::bytes(text, "image/png"); }));
        CHECK(untouched([] { return http::response().body(text); })); // no type at all
        CHECK(untouched([] { return http::text(text).code(http::status::partial_content); }));
        CHECK(untouched([] { return http::text(text).header("Content-Range", "bytes 0-4999/9000"); }));
        CHECK(untouched([] { return http::text(text).header("Cache-Control", "public, no-transform"); }));
        CHECK(untouched([] { return http::text(text).header("Content-Encoding", "br"); }));
        CHECK(untouched([] { return http::text(text).header("Content-Digest", "sha-256=:AA==:"); }));
        CHECK(untouched([] { return http::response(http::status::no_content); }));
        CHECK(untouched([] { return http::response(http::status::not_modified).header("Content-Type", "text/plain"); }));
        CHECK(!untouched([] { return http::json(text); }));
        CHECK(!untouched([] { return http::bytes(text, "image/svg+xml"); }));
        CHECK(!untouched([] { return http::bytes(text, "application/problem+json; charset=utf-8"); }));
        CHECK(!untouched([] { return http::text(text).code(http::status::not_found); }));
    }

    TEST_CASE("Vary keeps what it says") {
        CHECK(ask(app_with([] { return http::text(text).header("Vary", "Origin"); }), accepts).says("Vary: Origin, Accept-Encoding"));
        CHECK(ask(app_with([] { return http::text(text).header("Vary", "accept-encoding"); }), accepts).says("Vary: accept-encoding"));
        CHECK(ask(app_with([] { return http::text(text).header("Vary", "*"); }), accepts).says("Vary: *"));
        CHECK(ask(app_with([] { return http::text(text).header("Vary", "A").add_header("Vary", "B"); }), accepts)
                  .says("Vary: A, B, Accept-Encoding"));
    }

    TEST_CASE("a large body is coded while it is sent") {
        std::string large;
        while (large.size() < 1'000'000) {
            large += "line " + std::to_string(large.size()) + "\n";
        }
        const http::router app = app_with([&] { return http::text(large); });
        const answer a = ask(app, accepts);
        CHECK(a.says("Transfer-Encoding: chunked"));
        CHECK((gunzip(a.body) == large.substr(0, 1'000'000 + 100)));
    }

    TEST_CASE("a produced body is coded piece by piece, its trailers stay, and its length is not said") {
        const http::router app = app_with([] {
            return http::text("").stream([](http::body_writer& out) -> task<> {
                co_await out.write("first ");
                co_await out.flush();
                co_await out.write("second");
                ignore_result(out.add_trailer("Checksum", "1"), "this is chunked");
            }, 12);
        });
        http::compress_options options;
        options.min_octets = 5;
        const http::router small = app_with([] {
            return http::text("").stream([](http::body_writer& out) -> task<> { co_await out.write("first second"); }, 12);
        }, options);
        CHECK(ask(app, accepts).body == "first second"); // too small, and it says so
        CHECK(gunzip(ask(small, accepts).body) == "first second");
        const http::router unknown = app_with([] {
            return http::text("").stream([](http::body_writer& out) -> task<> {
                co_await out.write("first ");
                co_await out.flush();
                co_await out.write("second");
                ignore_result(out.add_trailer("Checksum", "1"), "this is chunked");
            });
        });
        const answer a = ask(unknown, accepts);
        CHECK(a.says("Transfer-Encoding: chunked"));
        CHECK(gunzip(a.body) == "first second");
        const auto raw = flux_test::serve(unknown, std::string("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n") + accepts + "\r\n");
        CHECK(raw.octets.find("\r\n0\r\nChecksum: 1\r\n\r\n") != std::string::npos);
    }

    TEST_CASE("a producer that fails ends the connection, not the coded content") {
        const http::router app = app_with([] {
            return http::text("").stream([](http::body_writer& out) -> task<> {
                co_await out.write(text);
                co_await out.flush();
                co_await fail(flux::errc::closed);
            });
        });
        CHECK(flux_test::serve(app, std::string("GET / HTTP/1.1\r\nHost: a\r\n") + accepts + "\r\n").reset);
    }

    TEST_CASE("what a streaming handler writes is coded, and can be read after each flush") {
        const http::router app = app_with([](http::request&, http::responder& out) -> task<> {
            out.header("Content-Type", "text/event-stream").header("ETag", "\"s\"");
            for (int i = 0; i < 3; ++i) {
                co_await out.write("data: x\n\n");
                co_await out.flush();
            }
        });
        const answer a = ask(app, accepts);
        CHECK(a.says("Content-Encoding: gzip"));
        CHECK(a.says("Vary: Accept-Encoding"));
        CHECK(a.says("ETag: W/\"s\""));
        CHECK(gunzip(a.body) == "data: x\n\ndata: x\n\ndata: x\n\n");
        const auto raw = flux_test::serve(app, std::string("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n") + accepts + "\r\n");
        std::size_t chunks = 0;
        for (std::size_t at = raw.octets.find("\r\n\r\n") + 4; raw.octets[at] != '0'; ++chunks) {
            at = raw.octets.find("\r\n", at) + 2 + std::stoul(raw.octets.substr(at), nullptr, 16) + 2;
        }
        CHECK(chunks >= 3);
        const answer plain = ask(app, "");
        CHECK(plain.body == "data: x\n\ndata: x\n\ndata: x\n\n");
        CHECK(plain.says("Vary: Accept-Encoding"));
        const answer head = ask(app, accepts, "HEAD");
        CHECK(head.says("Content-Encoding: gzip"));
        CHECK(head.body.empty());
    }

    TEST_CASE("a streaming handler that announces a small length, or writes nothing, is left alone") {
        const http::router announced = app_with([](http::request&, http::responder& out) -> task<> {
            out.header("Content-Type", "text/plain").length(4);
            co_await out.write("four");
        });
        CHECK(ask(announced, accepts).says("Content-Length: 4"));
        CHECK(ask(announced, accepts).body == "four");
        const http::router silent = app_with([](http::request&, http::responder& out) -> task<> {
            out.code(http::status::no_content);
            co_return;
        });
        CHECK(ask(silent, accepts).head.starts_with("HTTP/1.1 204"));
    }

    TEST_CASE("a streaming handler that fails behind its head ends the connection") {
        const http::router app = app_with([](http::request&, http::responder& out) -> task<> {
            out.header("Content-Type", "text/plain");
            co_await out.write(text);
            co_await out.flush();
            co_await fail(flux::errc::closed);
        });
        CHECK(flux_test::serve(app, std::string("GET / HTTP/1.1\r\nHost: a\r\n") + accepts + "\r\n").reset);
    }

    TEST_CASE("the answer of a layer inside is coded where the handler streams, and fields of a layer outside stay") {
        http::router app;
        app.use(http::request_id(1));
        app.use(http::compress());
        app.use([](http::request& req, http::next& inner) -> task<http::response> {
            if (req.header("X-Stop") == "yes") {
                co_return http::text(text);
            }
            co_return co_await inner(req);
        });
        app.get("/", [](http::request&, http::responder& out) -> task<> {
            out.header("Content-Type", "text/plain");
            co_await out.write("streamed");
        });
        const answer stopped = ask(app, std::string(accepts) + "X-Stop: yes\r\n");
        CHECK((gunzip(stopped.body) == text));
        CHECK(stopped.head.find("X-Request-Id: ") != std::string::npos);
        const answer streamed = ask(app, accepts);
        CHECK(gunzip(streamed.body) == "streamed");
        CHECK(streamed.head.find("X-Request-Id: ") != std::string::npos);
    }

    TEST_CASE("coded requests are decoded where that is asked for, within limits") {
        http::compress_options options;
        options.decode_requests = true;
        options.decoding.octets = 6000;
        const http::router app = app_with(
            [](http::request& req) -> task<http::response> {
                std::string body = co_await req.text();
                co_return http::bytes(std::move(body));
            },
            options);
        const auto post = [&](const std::string& fields, const std::string& body) {
            return ask(app, "Content-Length: " + std::to_string(body.size()) + "\r\n" + fields, "POST", body);
        };
        CHECK((post("Content-Encoding: gzip\r\n", gzip(text)).body == text));
        CHECK((post("Content-Encoding: identity\r\n", text).body == text));
        CHECK((post("", text).body == text));
        const answer unknown = post("Content-Encoding: br\r\n", text);
        CHECK(unknown.head.starts_with("HTTP/1.1 415"));
        CHECK(unknown.says("Accept-Encoding: gzip, deflate")); // [RFC 9110 15.5.16]
        CHECK(post("Content-Encoding: gzip, gzip\r\n", gzip(gzip(text))).head.starts_with("HTTP/1.1 415"));
        CHECK(post("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", gzip(gzip(text))).head.starts_with("HTTP/1.1 415"));
        CHECK(post("Content-Encoding: gzip\r\n", gzip(std::string(6001, 'x'))).head.starts_with("HTTP/1.1 413"));
        CHECK(post("Content-Encoding: gzip\r\n", text).head.starts_with("HTTP/1.1 400"));
        CHECK(post("Content-Encoding: gzip\r\n", gzip(text).substr(0, 20)).head.starts_with("HTTP/1.1 400"));
        const http::router off = app_with([](http::request& req) -> task<http::response> {
            std::string body = co_await req.text();
            co_return http::bytes(std::move(body));
        });
        const std::string coded = gzip(text);
        CHECK((ask(off, "Content-Length: " + std::to_string(coded.size()) + "\r\nContent-Encoding: gzip\r\n", "POST", coded).body == coded));
    }
}
