// SPDX-License-Identifier: MIT
#include <flux/testing.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>

using namespace flux;

TEST_SUITE("testing") {

TEST_CASE("one include gives every tool: faults over a simulated network, fed in pieces") {
    const testing::leak_snapshot before;
    const auto pieces = testing::segments::each("hello", 2);
    for (std::uint64_t at = 0; at < 5; ++at) {
        testing::sim_world world(at);
        testing::fail_plan plan(testing::fault::error, at);
        auto listener = world.host("server").listen(80).value();
        auto client = [](testing::sim_world& w, testing::fail_plan& p, const testing::segments& text) -> task<> {
            auto s = co_await w.host("client").connect("server", 80);
            testing::faulty_stream<testing::memory_stream> faulty(std::move(s), p);
            co_await feed(faulty, text);
        };
        std::string seen;
        auto body = [&](task_scope& scope) -> task<> {
            scope.spawn(client, std::ref(world), std::ref(plan), std::cref(pieces));
            auto s = co_await listener.accept();
            for (;;) {
                auto r = co_await s.receive();
                if (r.empty()) {
                    break;
                }
                seen += as_text(r.octets());
            }
        };
        const auto r = world.run(with_scope(body));
        CHECK(r.has_value() == (at >= 3)); // three pieces are three operations
        CHECK(plan.fired() == (at < 3));
        if (r) {
            CHECK(seen == "hello");
        } else {
            CHECK(r.error().is(errc::injected));
        }
    }
    CHECK(before.difference_to(testing::leak_snapshot()) == "");
}

} // TEST_SUITE
