// SPDX-License-Identifier: MIT
// Who gets a connection when all origins together have as many as they may.
#include <flux/http/client/client.hpp>

#include <http/client/memory_connector.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

using namespace flux;
using namespace flux_test;
using namespace std::chrono_literals;

namespace {

// Answers after 10 ms; `/soon` after 7, `/long` after a minute.
task<> answers(peer& p) {
    for (;;) {
        const std::string head = co_await p.head();
        if (head.empty()) {
            co_return;
        }
        const flux::duration soon = head.starts_with("GET /soon") ? 7ms : 10ms;
        co_await sleep_for(head.starts_with("GET /long") ? flux::duration(1min) : soon);
        co_await p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

task<> ask_for_ever(memory_client* api, std::string url) {
    for (;;) {
        co_await api->get(url).text();
    }
}
task<> ask(memory_client* api, std::string url) { co_await api->get(url).text(); }

http::client_options two_in_all() {
    http::client_options o;
    o.pool.max_total = 2;
    return o;
}

/// How long one request takes while `crowd` is at it.
template <class Crowd>
duration time_of_another(Crowd crowd, const char* url = "http://b.test/") {
    memory_net net;
    duration took{};
    const auto done = with_peer(net, answers, two_in_all(), [&](memory_client& api, memory_net&) -> task<> {
        auto ctx = co_await this_context();
        task_scope scope(ctx, scope_policy::collect);
        co_await crowd(scope, api);
        const time_point start = ctx.home().now();
        const auto got = co_await attempt(api.get(url).timeout(10s).text());
        took = ctx.home().now() - start;
        CHECK(got);
        scope.stop();
        ignore_result(co_await attempt(scope.join()), "it was stopped");
    });
    CHECK(done);
    return took;
}

} // namespace

TEST_SUITE("http/client/pool_fairness") {

TEST_CASE("an origin with more requests than connections lets another one in when its turn has come") {
    const duration took = time_of_another([](task_scope& scope, memory_client& api) -> task<> {
        for (int i = 0; i < 8; ++i) {
            scope.spawn(ask_for_ever, &api, std::string("http://a.test/"));
        }
        co_await sleep_for(5ms);
    });
    CHECK(took <= 60ms); // six are before it, a round may overtake it, two at a time; the answer itself
}

TEST_CASE("an origin whose requests were served or have gone does not stand in the way of the next one") {
    for (const bool served : {true, false}) {
        CAPTURE(served);
        const duration took = time_of_another([served](task_scope& scope, memory_client& api) -> task<> {
            // One connection of a.test is taken for a long time. Somebody waited for a second one, which c.test has, and got
            // the first when that was free, or has gone.
            scope.spawn(ask, &api, std::string(served ? "http://a.test/" : "http://a.test/long"));
            scope.spawn(ask_for_ever, &api, std::string("http://c.test/"));
            co_await sleep_for(1ms);
            if (served) {
                scope.spawn(ask, &api, std::string("http://a.test/long")); // over the connection that is free at 10 ms
            } else {
                scope.spawn(with_timeout(2ms, ask(&api, "http://a.test/")));
            }
            scope.spawn(ask_for_ever, &api, std::string("http://c.test/"));
            scope.spawn(ask_for_ever, &api, std::string("http://c.test/"));
            co_await sleep_for(20ms);
        });
        CHECK(took <= 60ms);
    }
}

TEST_CASE("an origin whose connections are taken for long gets another one after some rounds of the others") {
    const auto crowd = [](task_scope& scope, memory_client& api) -> task<> {
        scope.spawn(ask, &api, std::string("http://a.test/long"));
        for (int i = 0; i < 3; ++i) {
            scope.spawn(ask_for_ever, &api, std::string("http://c.test/"));
        }
        co_await sleep_for(20ms);
    };
    CHECK(time_of_another(crowd, "http://a.test/") <= 500ms);
}

TEST_CASE("origins that are busy all the time share the connections, and keep them") {
    struct crowd {
        const char* url;
        int askers;
        int least; // answers in two seconds
    };
    struct busy {
        std::uint32_t max_total;
        std::vector<crowd> crowds;
    };
    const std::vector<busy> all{
        // a fifth of those who ask, and half of the connections, 7 ms each
        {10, {{"http://a.test/", 10, 400}, {"http://b.test/soon", 40, 1400}}},
        // where the connections cannot be shared evenly, they stay where they are all the same
        {9, {{"http://a.test/", 25, 700}, {"http://b.test/", 25, 700}}},
        {10, {{"http://a.test/", 20, 550}, {"http://b.test/", 20, 550}, {"http://c.test/soon", 20, 550}}},
    };
    for (const busy& b : all) {
        CAPTURE(b.max_total);
        CAPTURE(b.crowds.size());
        memory_net net;
        http::client_options options;
        options.pool.max_total = b.max_total;
        const auto done = with_peer(net, answers, options, [&](memory_client& api, memory_net&) -> task<> {
            auto ctx = co_await this_context();
            task_scope scope(ctx, scope_policy::collect);
            std::vector<int> served(b.crowds.size());
            const auto count = [](memory_client* c, std::string url, int* n) -> task<> {
                for (;; ++*n) {
                    co_await c->get(url).text();
                }
            };
            // they come in turn
            for (int i = 0; i < 40; ++i) {
                for (std::size_t k = 0; k < b.crowds.size(); ++k) {
                    const int n = b.crowds[k].askers;
                    if ((i + 1) * n / 40 != i * n / 40) {
                        scope.spawn(count, &api, std::string(b.crowds[k].url), &served[k]);
                    }
                }
            }
            co_await sleep_for(2s);
            scope.stop();
            ignore_result(co_await attempt(scope.join()), "it was stopped");
            for (std::size_t k = 0; k < served.size(); ++k) {
                CAPTURE(k);
                CHECK(served[k] >= b.crowds[k].least);
            }
            CHECK(net.connects <= 30);
        });
        CHECK(done);
    }
}

} // TEST_SUITE
