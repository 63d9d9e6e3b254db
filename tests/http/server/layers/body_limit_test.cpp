// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/body_limit.hpp> // also proves the header is self-contained

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>

#include <http/server/serve_octets.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::body_limit>);

namespace {

using flux::task;
using http::request;

struct world {
    http::router app;
    int calls = 0;
    world() {
        app.use(http::body_limit(4));
        app.post("/read", [this](request& req) -> task<std::string> {
            ++calls;
            co_return co_await req.text();
        });
        app.post("/ignore", [this] {
            ++calls;
            return "ignored";
        });
        app.post("/stream", [this](request& req, http::responder& out) -> task<> {
            ++calls;
            const std::string body = co_await req.text();
            co_await out.write(body);
        });
    }
    std::string ask(std::string path, std::string rest) {
        return flux_test::serve(app, "POST " + path + " HTTP/1.1\r\nHost: a\r\n" + rest).octets;
    }
};

} // namespace

TEST_SUITE("http/server/layers/body_limit") {

    TEST_CASE("a body of the limit passes, and one octet more is answered 413") {
        for (const std::string path : {"/read", "/stream"}) {
            CAPTURE(path);
            world w;
            CHECK(w.ask(path, "Content-Length: 4\r\n\r\nabcd").ends_with("abcd" + std::string(path == "/read" ? "" : "\r\n0\r\n\r\n")));
            CHECK(w.ask(path, "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n").starts_with("HTTP/1.1 200 "));
            CHECK(w.ask(path, "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n").starts_with("HTTP/1.1 413 "));
            CHECK(w.calls == 3);
            CHECK(w.ask(path, "Content-Length: 5\r\n\r\nabcde").starts_with("HTTP/1.1 413 "));
            CHECK(w.calls == 3);
        }
    }

    TEST_CASE("a client that waits for 100 is told 413 instead, and sends nothing") {
        world w;
        const std::string answer = w.ask("/read", "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        CHECK(answer.starts_with("HTTP/1.1 413 "));
        CHECK(answer.find("100 Continue") == std::string::npos);
        CHECK(w.calls == 0);
    }

    TEST_CASE("a body that nobody reads meets no limit but the server's, and no body is fine") {
        world w;
        CHECK(w.ask("/ignore", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n").starts_with("HTTP/1.1 200 "));
        CHECK(w.ask("/read", "\r\n").starts_with("HTTP/1.1 200 "));
    }

    TEST_CASE("the connection is used again after a small refused body") {
        world w;
        const std::string both = w.ask("/read", "Content-Length: 5\r\n\r\nabcdePOST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        CHECK(both.starts_with("HTTP/1.1 413 "));
        CHECK(both.find("HTTP/1.1 200 ") != std::string::npos);
        CHECK(both.ends_with("hi"));
    }

} // TEST_SUITE
