// SPDX-License-Identifier: MIT
// One client in several threads, each with a reactor of its own.
#include <flux/http/client/client.hpp>

#include <flux/coro/sleep.hpp>
#include <flux/http/server/server.hpp>
#include <flux/net/listener.hpp>

#include <support/transport_sockets.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;

namespace {

template <class Client>
task<> use(Client api, std::string url, std::atomic<int>* good) {
    for (int i = 0; i < 50; ++i) {
        auto text = co_await attempt(api.get(url).text());
        *good += text && *text == "Hello, World!" ? 1 : 0;
    }
    // A reactor's pool is its own.
    *good += api.stats().dials == 1 ? 1 : 0;
}

template <class Client>
void share_a_client() {
    http::router app;
    app.get("/", [] { return "Hello, World!"; });
    std::atomic<std::uint16_t> port{0};
    std::atomic<reactor*> serving{nullptr};
    std::thread server_thread([&] {
        reactor r;
        auto listener = tcp_listener::listen(r, endpoint::loopback(0)).value();
        port = listener.local_endpoint().value().port();
        const auto server = test_support::make_server(app);
        serving = &r;
        r.run(server->serve(std::move(listener)));
    });
    while (serving.load() == nullptr) {
        std::this_thread::yield();
    }
    const std::string url = "http://127.0.0.1:" + std::to_string(port.load()) + "/";
    std::atomic<int> good{0};
    {
        std::optional<Client> api;
        api.emplace();
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([copy = *api, &url, &good]() mutable {
                reactor r;
                r.run(use<Client>(std::move(copy), url, &good));
            });
        }
        api.reset();
        for (std::thread& t : threads) {
            t.join();
        }
    }
    CHECK(good == 4 * 51);
    // The client goes while the loop that has its pool goes on: the pool is told through the loop's mailbox.
    {
        std::optional<Client> api;
        api.emplace();
        std::atomic<bool> used{false};
        std::atomic<bool> gone{false};
        std::thread other([&url, &used, &gone, client = &*api]() {
            reactor r;
            const auto scenario = [](Client* c, std::string where, std::atomic<bool>* u, std::atomic<bool>* g) -> task<> {
                auto text = co_await c->get(where).text();
                CHECK(text == "Hello, World!");
                *u = true;
                while (!g->load()) {
                    co_await sleep_for(1ms);
                }
                co_await sleep_for(5ms);
            };
            r.run(scenario(client, url, &used, &gone));
        });
        while (!used.load()) {
            std::this_thread::yield();
        }
        api.reset();
        gone = true;
        other.join();
    }
    serving.load()->post([&serving] { serving.load()->root().stop(stop_reason::shutdown); });
    server_thread.join();
}

} // namespace

TEST_SUITE("http/client/client_threads") {

TEST_CASE("threads that share a client share no connection and no state, also when its last copy goes elsewhere") {
    if (test_support::over_tls()) {
        share_a_client<http::basic_client<test_support::any_connector>>();
    } else {
        share_a_client<http::client>();
    }
}

} // TEST_SUITE
