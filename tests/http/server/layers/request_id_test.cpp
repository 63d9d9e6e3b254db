// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/request_id.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>

#include <http/server/layered.hpp>
#include <http/server/memory_sink.hpp>
#include <http/server/parsed_request.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::request_id>);

namespace {

using flux::task;
using http::request;
using http::response;
using test_support::code_of;
using test_support::layered;
using test_support::manual_loop;
using test_support::memory_sink;
using test_support::parsed_request;


} // namespace

TEST_SUITE("http/server/layers/request_id") {

    TEST_CASE("request_id makes an id that the handler and the answer have") {
        manual_loop loop;
        std::string seen;
        const layered h(
            [&seen](request&) -> task<std::string> {
                auto ctx = co_await flux::this_context();
                seen = *ctx.get<http::request_id_key>();
                co_return seen;
            },
            http::request_id(1));
        std::set<std::string> ids;
        for (int i = 0; i < 100; ++i) {
            parsed_request req("GET / HTTP/1.1");
            auto r = loop.run(h->call(req));
            REQUIRE(r.has_value());
            CHECK(r->fields().get("X-Request-Id") == seen);
            CHECK(seen.size() == 32);
            CHECK(seen.find_first_not_of("0123456789abcdef") == std::string::npos);
            CHECK(http::request_id::is_valid(seen));
            ids.insert(seen);
        }
        CHECK(ids.size() == 100);

        const layered same_seed([] { return "x"; }, http::request_id(1));
        const layered other_seed([] { return "x"; }, http::request_id(2));
        const layered random([] { return "x"; }, http::request_id());
        parsed_request req("GET / HTTP/1.1");
        auto a = loop.run(same_seed->call(req));
        auto b = loop.run(other_seed->call(req));
        auto c = loop.run(random->call(req));
        CHECK(ids.contains(std::string(*a->fields().get("X-Request-Id"))));
        CHECK_FALSE(ids.contains(std::string(*b->fields().get("X-Request-Id"))));
        CHECK_FALSE(ids.contains(std::string(*c->fields().get("X-Request-Id"))));
    }

    TEST_CASE("request_id takes the id of the request if nothing can misread it") {
        manual_loop loop;
        const layered h([] { return "x"; }, http::request_id(1));
        const auto echo = [&](std::string_view id) {
            parsed_request req("GET / HTTP/1.1", "Host: h\r\nx-request-ID: " + std::string(id) + "\r\n");
            auto r = loop.run(h->call(req));
            return std::string(*r->fields().get("X-Request-Id"));
        };
        const std::string longest(128, 'x');
        for (const std::string_view id :
             {"a", "Root=1-67891233-abcdef012345678912345678", "A/b+c==", "a.b_c~d:e", longest.c_str()}) {
            CHECK(echo(id) == id);
        }
        const std::string too_long(129, 'x');
        for (const std::string_view id :
             {"", "a b", "a,b", "a\"b", "<a>", "a\tb", "a;b", "caf\xc3\xa9", too_long.c_str()}) {
            CAPTURE(id);
            CHECK(echo(id) != id);
            CHECK(echo(id).size() == 32);
        }
    }

    TEST_CASE("request_id tells a streaming handler's head") {
        manual_loop loop;
        const layered h([](request&, http::responder& out) -> task<> { co_await out.write("b"); }, http::request_id());
        parsed_request req("GET / HTTP/1.1", "Host: h\r\nX-Request-Id: mine\r\n");
        memory_sink sink;
        http::responder out(sink);
        CHECK(loop.run(h->call_streaming(req, out)).has_value());
        CHECK(sink.text() == "200\nX-Request-Id: mine\n\nb");
    }

} // TEST_SUITE
