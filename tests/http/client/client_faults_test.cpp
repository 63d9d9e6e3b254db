// SPDX-License-Identifier: MIT
// The client with every kind of fault at every operation of its streams.
#include <flux/http/client/client.hpp>

#include "http/client/memory_connector.hpp"

#include <flux/testing/fail_point.hpp>

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace flux_test;
using namespace std::chrono_literals;

namespace {

using faulty = test_support::any_end<flux::testing::faulty_stream<flux::testing::memory_stream>>;

class faulty_connector {
public:
    using stream_type = faulty;
    static constexpr bool secures = false;
    faulty_connector(memory_net& net, flux::testing::fail_plan& plan) noexcept : net_(&net), plan_(&plan) {}
    [[nodiscard]] task<faulty> connect(const destination&) { return run(net_, plan_); }

private:
    static task<faulty> run(memory_net* net, flux::testing::fail_plan* plan) {
        if (auto point = plan->point(); !point) {
            co_return fail(point.error());
        }
        auto stream = co_await attempt(net->dial());
        if (!stream) {
            co_return fail(stream.error());
        }
        auto end = faulty::connected(flux::testing::faulty_stream<flux::testing::memory_stream>(*std::move(stream), *plan));
        co_await end.ready();
        co_return end;
    }
    memory_net* net_;
    flux::testing::fail_plan* plan_;
};

constexpr std::size_t large = 40'000;
constexpr std::size_t small = 600; // the half of its write holds the whole head

// /redirect -> 302 /chunked; /chunked; everything with a body: 200 "ok" once the body is there.
task<> serve_all(peer& p) {
    for (;;) {
        std::string head = co_await p.head();
        if (head.empty()) {
            co_return;
        }
        p.net->heads.push_back(head.substr(0, head.find(' ', 5)));
        if (head.starts_with("GET /redirect")) {
            co_await p.say("HTTP/1.1 302 F\r\nLocation: /chunked\r\nContent-Length: 2\r\n\r\nno");
        } else if (head.starts_with("GET")) {
            co_await p.say("HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            co_await sleep_for(1ms);
            co_await p.say("3\r\nabc\r\n0\r\nX: y\r\n\r\n");
        } else {
            const std::size_t size = head.find("Content-Length: 600\r\n") == std::string::npos ? large : small;
            std::string body = co_await p.body(size);
            if (body.size() != size) {
                co_return;
            }
            p.net->heads.back() += " whole";
            co_await p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }
}

task<> scenario(flux::testing::fail_plan* plan) {
    auto ctx = co_await this_context();
    memory_net net;
    net.serve = serve_all;
    task_scope peers(ctx, scope_policy::collect);
    net.scope = &peers;
    result<void> end;
    {
        http::client_options options;
        options.first_byte_timeout = 2s;
        options.progress_timeout = 2s;
        http::basic_client<faulty_connector> api(options, faulty_connector(net, *plan));
        for (int i = 0; i < 2 && end; ++i) {
            auto got = co_await attempt(api.get("http://a.test/redirect").text());
            if (got) {
                CHECK(*got == "abc");
            } else {
                end = fail(got.error());
            }
        }
        for (const std::size_t size : {small, large}) {
            auto post = co_await attempt(api.post("http://a.test/").body(std::string(size, 'x')).text());
            if (post) {
                CHECK(*post == "ok");
            } else if (end) {
                end = fail(post.error());
            }
        }
        const auto settled = co_await attempt(sleep_for(5s));
        ignore_result(settled, "it was stopped, perhaps");
        const auto stats = api.stats();
        CHECK(stats.active == 0);
        CHECK(stats.waiting == 0);
        CHECK(stats.dialling == 0);
    }
    const auto settled = co_await attempt(sleep_for(1ms));
    ignore_result(settled, "it was stopped, perhaps");
    peers.stop();
    const auto joined = co_await attempt(peers.join());
    ignore_result(joined, "they were stopped");
    std::size_t posts = 0; // one of each size
    for (const std::string& head : net.heads) {
        posts += head.starts_with("POST") ? 1U : 0U;
    }
    CHECK(posts <= 2); // whatever happened, a server never sees it twice
    if (!end) {
        co_await fail(end.error());
    }
}

} // namespace

TEST_SUITE("http/client/client_faults") {

TEST_CASE("any fault at any operation ends the request or is coped with; nothing leaks, and no POST is seen twice") {
    auto each = [](flux::testing::fail_plan& plan) { return scenario(&plan); };
    auto done = flux::testing::for_each_fault(each);
    if (!done) {
        FAIL_CHECK(done.error().message());
    } else {
        CHECK(done->operations > 10);
        CHECK(done->runs > 50);
    }
}

} // TEST_SUITE
