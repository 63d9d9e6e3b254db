// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/timeout.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <flux/coro/sleep.hpp>

#include <http/server/layered.hpp>
#include <http/server/memory_sink.hpp>
#include <http/server/parsed_request.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::timeout>);

namespace {

using flux::task;
using http::request;
using http::response;
using test_support::code_of;
using test_support::layered;
using test_support::manual_loop;
using test_support::memory_sink;
using test_support::parsed_request;


task<response> slow(request&) {
    co_await flux::sleep_for(flux::seconds(10));
    co_return http::text("slow");
}

} // namespace

TEST_SUITE("http/server/layers/timeout") {

    TEST_CASE("timeout answers 503 when the time is over, and stops what is inside") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const test_support::frame_check frames;
        const layered h(slow, http::timeout(flux::seconds(2)));
        const auto before = loop.elapsed();
        auto r = loop.run(h->call(req));
        CHECK(code_of(r) == 503);
        CHECK(loop.elapsed() - before == flux::seconds(2));
        CHECK(frames.alive() == 0);

        const layered patient(slow, http::timeout(flux::seconds(11)));
        r = loop.run(patient->call(req));
        CHECK(code_of(r) == 200);
        const layered at_once([] { return "x"; }, http::timeout(flux::hours::max()));
        r = loop.run(at_once->call(req));
        CHECK(code_of(r) == 200);
    }

    TEST_CASE("timeout leaves other time-outs and other errors alone") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const layered inside(
            [](request& q) -> task<response> { co_return co_await flux::with_timeout(flux::seconds(1), slow(q)); },
            http::timeout(flux::seconds(2)));
        auto r = loop.run(inside->call(req));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().is(flux::errc::timed_out));

        const layered h(slow, http::timeout(flux::seconds(2)));
        r = loop.run(flux::with_timeout(flux::seconds(1), h->call(req)));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().is(flux::errc::timed_out));

        const layered failing([](request&) -> task<response> { co_return flux::fail(flux::errc::closed); },
                              http::timeout(flux::seconds(2)));
        r = loop.run(failing->call(req));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().is(flux::errc::closed));
    }

    TEST_CASE("timeout cannot answer once a streaming handler has sent the head") {
        manual_loop loop;
        const layered h(
            [](request&, http::responder& out) -> task<> {
                co_await out.write("half");
                co_await flux::sleep_for(flux::seconds(10));
            },
            http::timeout(flux::seconds(2)));
        parsed_request req("GET / HTTP/1.1");
        memory_sink sink;
        http::responder out(sink);
        const auto end = loop.run(h->call_streaming(req, out));
        REQUIRE_FALSE(end.has_value());
        CHECK(end.error().is(flux::errc::timed_out));

        const layered silent([](request&, http::responder&) -> task<> { co_await flux::sleep_for(flux::seconds(10)); },
                             http::timeout(flux::seconds(2)));
        memory_sink second;
        http::responder other(second);
        CHECK(loop.run(silent->call_streaming(req, other)).has_value());
        CHECK(second.text().starts_with("503\n"));
    }

} // TEST_SUITE
