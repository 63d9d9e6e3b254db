// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/fault.hpp> // also proves the header is self-contained

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include <http/server/serve_octets.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::fault_layer>);

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
        app.get("/long", [] { return std::string(1000, 'x'); });
        app.get("/empty", [] { return http::response(http::status::no_content); });
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

    TEST_CASE("a corrupted body has one wrong octet, and its framing is right") {
        world w;
        w.plan.corrupt(1);
        bool differ = false;
        const std::string right = "0123456789";
        std::string before;
        for (int i = 0; i < 20; ++i) {
            const auto s = w.ask();
            CHECK_FALSE(s.reset);
            CHECK(s.octets.find("Content-Length: 10\r\n") != std::string::npos);
            const std::string body = s.octets.substr(s.octets.find("\r\n\r\n") + 4);
            REQUIRE(body.size() == right.size());
            int wrong = 0;
            for (std::size_t at = 0; at < right.size(); ++at) {
                wrong += body[at] != right[at] ? 1 : 0;
            }
            CHECK(wrong == 1);
            differ = differ || (i != 0 && body != before);
            before = body;
        }
        CHECK(differ); // the place is drawn
        CHECK(w.ask("/streamed").octets.find(right) != std::string::npos);
        CHECK(w.ask("/empty").octets.starts_with("HTTP/1.1 204 "));
    }

    TEST_CASE("a body that drips takes its time, and is whole") {
        world w;
        w.plan.drip(1, flux::milliseconds(10'000));
        const auto s = w.ask("/long");
        CHECK(s.octets.ends_with(std::string(1000, 'x')));
        CHECK(s.took >= flux::seconds(9));
        CHECK(s.took < flux::seconds(10));
        CHECK(w.ask("/streamed").took < flux::seconds(1));
        CHECK(w.ask("/empty").took < flux::seconds(1));
        w.plan.cut(1);
        const auto half = w.ask("/long");
        CHECK(half.reset);
        CHECK(half.took >= flux::seconds(9));
        w.plan.clear();
        const auto well = w.ask("/long");
        CHECK(well.took < flux::seconds(1));
        CHECK(well.octets.ends_with(std::string(1000, 'x')));
    }

    TEST_CASE("a time that is not much drips too") {
        world w;
        w.plan.drip(1, flux::milliseconds(9));
        const auto s = w.ask("/long");
        CHECK(s.octets.ends_with(std::string(1000, 'x')));
        CHECK(s.took >= flux::microseconds(8100));
        CHECK(s.took < flux::milliseconds(9));
    }

    TEST_CASE("what is left of a body that breaks off has the wrong octet") {
        world w;
        w.plan.cut(1);
        w.plan.corrupt(1);
        w.plan.drip(1, flux::seconds(1)); // so that all of it is read before the connection is reset
        for (int i = 0; i < 20; ++i) {
            const auto s = w.ask("/long");
            CHECK(s.reset);
            const std::string half = s.octets.substr(s.octets.find("\r\n\r\n") + 4);
            CHECK(std::count(half.begin(), half.end(), 'x' ^ 1) == 1);
        }
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
