// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/default_fields.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <http/server/layered.hpp>
#include <http/server/memory_sink.hpp>
#include <http/server/parsed_request.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::default_fields>);

namespace {

using flux::task;
using test_support::layered;
using test_support::parsed_request;

} // namespace

TEST_SUITE("http/server/layers/default_fields") {

    TEST_CASE("fields are added where the handler set none of that name") {
        test_support::manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const layered h([] { return http::text("x").header("x-frame-options", "SAMEORIGIN"); },
                        http::security_fields().set("Content-Security-Policy", "default-src 'self'"));
        auto r = loop.run(h->call(req));
        REQUIRE(r.has_value());
        CHECK(r->fields().get("X-Content-Type-Options") == "nosniff");
        CHECK(r->fields().get("X-Frame-Options") == "SAMEORIGIN");
        CHECK(r->fields().get("Referrer-Policy") == "strict-origin-when-cross-origin");
        CHECK(r->fields().get("content-security-policy") == "default-src 'self'");
    }

    TEST_CASE("a streamed answer has them as well, and its handler's own instead") {
        test_support::manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const layered h(
            [](http::request&, http::responder& out) -> task<> {
                out.header("a", "mine");
                co_await out.write("x");
            },
            http::default_fields().set("A", "default").set("B", "default"));
        test_support::memory_sink sink;
        http::responder out(sink);
        CHECK(loop.run(h->call_streaming(req, out)).has_value());
        CHECK(sink.text() == "200\na: mine\nB: default\n\nx");
    }

    TEST_CASE("what could split a message is refused when it is set") {
        CHECK_THROWS_AS(static_cast<void>(http::default_fields().set("a", "b\r\nc: d")), flux::error);
    }

} // TEST_SUITE
