// SPDX-License-Identifier: MIT
#include <flux/net/system_resolver.hpp> // also proves the header is self-contained

#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

TEST_SUITE("net/system_resolver") {

TEST_CASE("literals and localhost have their addresses") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto main = []() -> task<> {
            system_resolver names;
            const auto v6 = co_await resolve(names, "::1", 80);
            REQUIRE(v6.size() == 1);
            CHECK(v6[0].to_string() == "[::1]:80");
            const auto local = co_await resolve(names, "localhost", 80);
            REQUIRE(!local.empty());
            for (const endpoint& e : local) {
                CHECK(e.is_loopback());
            }
            address_feed feed(address_families::ipv4_only);
            co_await names.lookup("127.0.0.1", feed);
            CHECK(feed.is_answered(address_family::ipv4));
            CHECK(feed.is_answered(address_family::ipv6));
        };
        run(r, main());
    });
}

TEST_CASE("a name that does not exist is an error of phase resolve") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto main = []() -> task<> {
            system_resolver names;
            auto all = co_await attempt(resolve(names, "no such name", 80));
            REQUIRE(!all);
            CHECK(all.error().message().starts_with("resolve no such name: "));
            CHECK(all.error().phase() == error_phase::resolve);
            CHECK(all.error().retryable());
        };
        run(r, main());
    });
}

TEST_CASE("a stop ends it at once, before, while and after the call runs, many times") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto main = []() -> task<> {
            system_resolver names;
            for (int i = 0; i < 200; ++i) {
                auto all = co_await attempt(with_timeout(microseconds(i * 5), resolve(names, "localhost", 80)));
                CHECK((all.has_value() || all.error().is(errc::timed_out)));
            }
            std::vector<task<std::vector<endpoint>>> many; // more than the pool has threads: some wait in its queue
            for (int i = 0; i < 50; ++i) {
                many.push_back(resolve(names, "localhost", 80));
            }
            auto end = co_await attempt(with_timeout(1us, when_all(std::move(many))));
            CHECK((end.has_value() || end.error().is(errc::timed_out)));
        };
        run(r, main());
    });
}

}
