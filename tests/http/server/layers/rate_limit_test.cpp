// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/rate_limit.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <http/server/layered.hpp>
#include <http/server/parsed_request.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::rate_limit<>>);

namespace {

using test_support::layered;
using test_support::manual_loop;
using test_support::parsed_request;

std::string by_field(const http::request& req) {
    return std::string(req.header("K"));
}

// "200", or "429 after so many seconds".
std::string ask(manual_loop& loop, const layered& h, std::string key) {
    parsed_request req("GET / HTTP/1.1", "Host: h\r\nK: " + key + "\r\n");
    auto r = loop.run(h->call(req));
    REQUIRE(r.has_value());
    const auto after = r->fields().get("Retry-After");
    return std::to_string(to_number(r->code())) + (after ? " " + std::string(*after) : "");
}

} // namespace

TEST_SUITE("http/server/layers/rate_limit") {

    TEST_CASE("a burst passes, then one request per interval") {
        manual_loop loop;
        const layered h([] { return "x"; }, http::rate_limit(0.5, 3, by_field));
        for (int i = 0; i < 3; ++i) {
            CHECK(ask(loop, h, "a") == "200");
        }
        CHECK(ask(loop, h, "a") == "429 2");
        loop.jump(flux::milliseconds(500));
        CHECK(ask(loop, h, "a") == "429 2");
        loop.jump(flux::milliseconds(600));
        CHECK(ask(loop, h, "a") == "429 1");
        loop.jump(flux::milliseconds(900));
        CHECK(ask(loop, h, "a") == "200");
        CHECK(ask(loop, h, "a") == "429 2");
        loop.jump(flux::hours(1));
        for (int i = 0; i < 3; ++i) {
            CHECK(ask(loop, h, "a") == "200");
        }
        CHECK(ask(loop, h, "a").starts_with("429"));
    }

    TEST_CASE("clients have buckets of their own, and an empty key is not limited") {
        manual_loop loop;
        const layered h([] { return "x"; }, http::rate_limit(1, 1, by_field));
        CHECK(ask(loop, h, "a") == "200");
        CHECK(ask(loop, h, "b") == "200");
        CHECK(ask(loop, h, "a") == "429 1");
        CHECK(ask(loop, h, "b") == "429 1");
        CHECK(ask(loop, h, "") == "200");
        CHECK(ask(loop, h, "") == "200");
    }

    TEST_CASE("refused requests cost a client nothing") {
        manual_loop loop;
        const layered h([] { return "x"; }, http::rate_limit(1, 1, by_field));
        CHECK(ask(loop, h, "a") == "200");
        for (int i = 0; i < 100; ++i) {
            CHECK(ask(loop, h, "a") == "429 1");
        }
        loop.jump(flux::seconds(1));
        CHECK(ask(loop, h, "a") == "200");
    }

    TEST_CASE("more clients than the table holds are let in rather than kept out, and a busy one is remembered") {
        manual_loop loop;
        const layered h([] { return "x"; }, http::rate_limit(1, 10, by_field, 64));
        for (int i = 0; i < 10; ++i) {
            CHECK(ask(loop, h, "busy") == "200");
        }
        for (int i = 0; i < 10'000; ++i) {
            CHECK(ask(loop, h, "other " + std::to_string(i)) == "200");
        }
        CHECK(ask(loop, h, "busy").starts_with("429"));
    }

    TEST_CASE("odd numbers are taken for the nearest that makes sense") {
        manual_loop loop;
        const layered never([] { return "x"; }, http::rate_limit(0, 0, by_field));
        CHECK(ask(loop, never, "a") == "200");
        CHECK(ask(loop, never, "a").starts_with("429"));
        const layered huge([] { return "x"; }, http::rate_limit(1e300, 4'000'000'000U, by_field));
        for (int i = 0; i < 100; ++i) {
            CHECK(ask(loop, huge, "a") == "200");
        }
        const layered rare([] { return "x"; }, http::rate_limit(1e-300, 4'000'000'000U, by_field));
        for (int i = 0; i < 100; ++i) {
            CHECK(ask(loop, rare, "a") == "200");
        }
    }

    TEST_CASE("a client is an IPv4 address, or the network of an IPv6 address") {
        CHECK(http::client_network("127.0.0.1:4711") == "127.0.0.1");
        CHECK(http::client_network("127.0.0.1:4712") == "127.0.0.1");
        CHECK(http::client_network("[2001:db8:1:2::1]:80") == http::client_network("[2001:db8:1:2:3:4:5:6]:81"));
        CHECK(http::client_network("[2001:db8:1:2::1]:80") != http::client_network("[2001:db8:1:3::1]:80"));
        CHECK(http::client_network("[fe80::1%eth0]:80").size() == 8);
        CHECK(http::client_network("unix:/run/a:b") == "unix:/run/a:b");
        CHECK(http::client_network("") == "");
    }

    TEST_CASE("all workers share one bucket: together they are let in as often as one alone") {
        http::detail::bucket_table table(1024);
        const flux::time_point now = flux::time_point(flux::hours(1));
        std::atomic<int> taken{0};
        std::vector<std::thread> workers;
        for (int w = 0; w < 4; ++w) {
            workers.emplace_back([&] {
                for (int i = 0; i < 2000; ++i) {
                    taken += table.take("shared", now, flux::seconds(1), 100) == flux::duration(0) ? 1 : 0;
                    static_cast<void>(table.take("other " + std::to_string(i), now, flux::seconds(1), 1));
                }
            });
        }
        for (std::thread& w : workers) {
            w.join();
        }
        CHECK(taken == 100);
    }

    TEST_CASE("the hash differs for texts that differ, and from table to table") {
        const http::detail::keyed_hash h;
        const http::detail::keyed_hash other;
        std::set<std::uint64_t> seen;
        std::string text;
        for (int i = 0; i < 1000; ++i) {
            seen.insert(h(text));
            CHECK(h(text) != other(text));
            text += static_cast<char>(i % 3);
        }
        CHECK(seen.size() == 1000);
    }

} // TEST_SUITE
