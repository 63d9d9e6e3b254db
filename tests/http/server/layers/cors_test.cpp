// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/cors.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include <http/server/layered.hpp>
#include <http/server/memory_sink.hpp>
#include <http/server/parsed_request.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::cors>);

namespace {

using flux::task;
using http::response;
using test_support::layered;
using test_support::parsed_request;

// "status|name: value|..." of the answer, without a body; "inside" if the handler was called.
std::string ask(http::cors layer, std::string_view line, std::string fields) {
    test_support::manual_loop loop;
    parsed_request req(line, "Host: h\r\n" + fields);
    bool called = false;
    const layered h(
        [&called] {
            called = true;
            return response();
        },
        std::move(layer));
    auto r = loop.run(h->call(req));
    REQUIRE(r.has_value());
    std::string text = std::to_string(to_number(r->code())) + (called ? "|inside" : "");
    for (const auto f : r->fields()) {
        text += "|" + std::string(f.name) + ": " + std::string(f.value);
    }
    return text;
}
std::string get(http::cors layer, std::string origin) {
    return ask(std::move(layer), "GET / HTTP/1.1", origin.empty() ? "" : "Origin: " + origin + "\r\n");
}
std::string preflight(http::cors layer, std::string origin, std::string rest = "") {
    return ask(std::move(layer), "OPTIONS / HTTP/1.1",
               "Origin: " + origin + "\r\nAccess-Control-Request-Method: PUT\r\n" + rest);
}
http::cors one() {
    return http::cors().origin("https://a.example");
}
const std::string vary_all = "|Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

} // namespace

TEST_SUITE("http/server/layers/cors") {

    TEST_CASE("an answer is marked for an origin that is allowed, and for no other [Fetch 3.2]") {
        CHECK(get(one(), "https://a.example") == "200|inside|Vary: Origin|Access-Control-Allow-Origin: https://a.example");
        for (const char* other : {"https://b.example", "http://a.example", "https://a.example:8443", "https://a.example.b",
                                  "https://A.example", "null", "https://a.example/"}) {
            CAPTURE(other);
            CHECK(get(one(), other) == "200|inside|Vary: Origin");
        }
        CHECK(get(one(), "") == "200|inside|Vary: Origin");
        CHECK(get(http::cors().origin("null"), "null") == "200|inside|Vary: Origin|Access-Control-Allow-Origin: null");
    }

    TEST_CASE("any origin is a star, on which nothing depends") {
        CHECK(get(http::cors().any_origin(), "https://x") == "200|inside|Access-Control-Allow-Origin: *");
        CHECK(get(http::cors().any_origin(), "") == "200|inside");
    }

    TEST_CASE("a function may decide about origins") {
        const auto layer = [] {
            return http::cors().origin_if([](std::string_view o) { return o.ends_with(".a.example"); });
        };
        CHECK(get(layer(), "https://x.a.example") == "200|inside|Vary: Origin|Access-Control-Allow-Origin: https://x.a.example");
        CHECK(get(layer(), "https://a.example") == "200|inside|Vary: Origin");
    }

    TEST_CASE("credentials and exposed fields are said with the origin") {
        CHECK(get(one().credentials().expose("X-Total"), "https://a.example") ==
              "200|inside|Vary: Origin|Access-Control-Allow-Origin: https://a.example|"
              "Access-Control-Allow-Credentials: true|Access-Control-Expose-Headers: X-Total");
        CHECK(get(one().credentials().expose("X-Total"), "https://b") == "200|inside|Vary: Origin");
    }

    TEST_CASE("a preflight is answered without the handler") {
        CHECK(preflight(one(), "https://a.example") ==
              "204" + vary_all + "|Access-Control-Allow-Origin: https://a.example|Access-Control-Allow-Methods: GET, HEAD, POST");
        CHECK(preflight(one().methods("PUT").max_age(std::chrono::minutes(10)).credentials(), "https://a.example") ==
              "204" + vary_all +
                  "|Access-Control-Allow-Origin: https://a.example|Access-Control-Allow-Credentials: true"
                  "|Access-Control-Allow-Methods: PUT|Access-Control-Max-Age: 600");
        CHECK(preflight(one(), "https://b.example") == "204" + vary_all);
    }

    TEST_CASE("a preflight asks for fields by name") {
        const std::string wants = "Access-Control-Request-Headers: content-type,x-a\r\n";
        const std::string yes = "204" + vary_all + "|Access-Control-Allow-Origin: https://a.example|Access-Control-Allow-Methods: PUT";
        CHECK(preflight(one().methods("PUT"), "https://a.example", wants) == "204" + vary_all);
        CHECK(preflight(one().methods("PUT").headers("Content-Type"), "https://a.example", wants) == "204" + vary_all);
        CHECK(preflight(one().methods("PUT").headers("X-A, Content-Type"), "https://a.example", wants) ==
              yes + "|Access-Control-Allow-Headers: X-A, Content-Type");
        CHECK(preflight(one().methods("PUT").headers("*"), "https://a.example", wants) ==
              yes + "|Access-Control-Allow-Headers: content-type,x-a");
        CHECK(preflight(one().methods("PUT").headers("*"), "https://a.example", "Access-Control-Request-Headers: a b\r\n") ==
              "204" + vary_all);
    }

    TEST_CASE("OPTIONS that is no preflight reaches the handler") {
        CHECK(ask(one(), "OPTIONS / HTTP/1.1", "Origin: https://a.example\r\n").starts_with("200|inside"));
        CHECK(ask(one(), "OPTIONS / HTTP/1.1", "Access-Control-Request-Method: PUT\r\n").starts_with("200|inside"));
        CHECK(ask(one(), "GET / HTTP/1.1", "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n").starts_with("200|inside"));
    }

    TEST_CASE("Vary of the handler stays, and is said once") {
        test_support::manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const auto vary = [&](std::string_view own) {
            const layered h([own] { return response().header("Vary", own); }, one());
            auto r = loop.run(h->call(req));
            std::string all;
            for (const auto f : r->fields()) {
                all += std::string(f.value) + "|";
            }
            return all;
        };
        CHECK(vary("Accept-Encoding") == "Accept-Encoding|Origin|");
        CHECK(vary("accept-encoding, origin") == "accept-encoding, origin|");
        CHECK(vary("*") == "*|");
    }

    TEST_CASE("a streamed answer is marked before its head goes out") {
        test_support::manual_loop loop;
        parsed_request req("GET / HTTP/1.1", "Host: h\r\nOrigin: https://a.example\r\n");
        const layered h([](http::request&, http::responder& out) -> task<> { co_await out.write("x"); }, one());
        test_support::memory_sink sink;
        http::responder out(sink);
        CHECK(loop.run(h->call_streaming(req, out)).has_value());
        CHECK(sink.text() == "200\nVary: Origin\nAccess-Control-Allow-Origin: https://a.example\n\nx");
    }

    TEST_CASE("what browsers would misread is refused when it is set") {
        for (const char* bad : {"", "a.example", "https://", "://a", "https://a/", "https://a/b", "https://a b", "*", "https://*.a",
                                "https://u@a", "https://a,https://b", "https://a\r\nx: y"}) {
            CAPTURE(bad);
            CHECK_THROWS_AS(static_cast<void>(http::cors().origin(bad)), flux::error);
        }
        CHECK_THROWS_AS(static_cast<void>(http::cors().any_origin().credentials()), flux::error);
        CHECK_THROWS_AS(static_cast<void>(http::cors().credentials().any_origin()), flux::error);
        CHECK_THROWS_AS(static_cast<void>(http::cors().headers("a\r\nb")), flux::error);
    }

} // TEST_SUITE
