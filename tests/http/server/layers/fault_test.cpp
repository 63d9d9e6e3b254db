// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/fault.hpp> // also proves the header is self-contained

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>

#include <http/server/serve_octets.hpp>

namespace http = flux::http;

namespace {

struct world {
    http::fault_plan plan{7};
    http::router app;
    int calls = 0;
    world() {
        app.use(http::fault_layer(plan));
        app.get("/", [this] {
            ++calls;
            return "0123456789";
        });
        app.get("/streamed", [](http::request&, http::responder& out) -> flux::task<> { co_await out.write("0123456789"); });
    }
    flux_test::served ask(std::string path = "/") {
        return flux_test::serve(app, "GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
};

} // namespace

TEST_SUITE("http/server/layers/fault") {

    TEST_CASE("nothing is wrong until the plan says so") {
        world w;
        for (int i = 0; i < 50; ++i) {
            const auto s = w.ask();
            CHECK(s.octets.ends_with("0123456789"));
            CHECK(s.took < flux::seconds(1));
        }
    }

    TEST_CASE("requests wait within the bounds") {
        world w;
        w.plan.delay(flux::milliseconds(10'000), flux::milliseconds(10'100));
        flux::duration least = flux::hours(1);
        flux::duration most{};
        for (int i = 0; i < 50; ++i) {
            const flux::duration took = w.ask().took;
            least = std::min(least, took);
            most = std::max(most, took);
        }
        CHECK(least >= flux::seconds(10));
        CHECK(least < flux::milliseconds(10'040));
        CHECK(most > flux::milliseconds(10'060));
        w.plan.clear();
        CHECK(w.ask().took < flux::seconds(10));
    }

    TEST_CASE("a share of the requests is refused before the handler") {
        world w;
        w.plan.fail(0.25, http::status::bad_gateway);
        int refused = 0;
        for (int i = 0; i < 400; ++i) {
            refused += w.ask().octets.starts_with("HTTP/1.1 502 ") ? 1 : 0;
        }
        CHECK(refused > 60);
        CHECK(refused < 140);
        CHECK(w.calls == 400 - refused);
        w.plan.fail(1);
        CHECK(w.ask().octets.starts_with("HTTP/1.1 503 "));
        CHECK(w.ask("/streamed").octets.starts_with("HTTP/1.1 503 "));
    }

    TEST_CASE("an answer that breaks off cannot be taken for whole") {
        world w;
        w.plan.cut(1);
        const auto s = w.ask();
        CHECK(s.reset);
        CHECK(s.octets.find("0123456789") == std::string::npos);
        CHECK(w.ask("/streamed").octets.find("0123456789") != std::string::npos);
    }

    TEST_CASE("the same seed gives the same faults") {
        const auto pattern = [] {
            world w;
            w.plan.fail(0.5);
            std::string text;
            for (int i = 0; i < 64; ++i) {
                text += w.ask().octets[9];
            }
            return text;
        };
        const std::string once = pattern();
        CHECK(once == pattern());
        CHECK(once.find('2') != std::string::npos);
        CHECK(once.find('5') != std::string::npos);
    }

} // TEST_SUITE
