// SPDX-License-Identifier: MIT
// The client against a server: flux's own, or the one that tests/peer/client_servers_test.sh names in the environment.
//
//   FLUX_PEER_URL      where it is
//   FLUX_PEER_CAN      of "echo chunked trailers continue close" what it offers
//   FLUX_PEER_RESTART  a command that ends the server and starts it again at the same place
#include <flux/coro/map.hpp>
#include <flux/coro/scope.hpp>
#include <flux/http/client/client.hpp>
#include <flux/http/server/server.hpp>
#include <flux/io/reactor.hpp>
#include <flux/net/listener.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "support/driver_matrix.hpp"
#include "support/transport_sockets.hpp"

namespace {

namespace http = flux::http;

struct place {
    std::string url;
    std::string can;
    const char* restart = nullptr;
    [[nodiscard]] bool offers(std::string_view what) const { return can.find(what) != std::string::npos; }
};

std::string pattern(std::size_t size) {
    std::string out(size, '\0');
    std::uint32_t x = 1;
    for (char& c : out) {
        x = x * 1664525 + 1013904223;
        c = static_cast<char>(x >> 24);
    }
    return out;
}
flux::task<> send_pieces(http::body_writer* out, const std::string* all) {
    for (std::size_t at = 0; at < all->size(); at += 100'000) {
        co_await out->write(std::string_view(*all).substr(at, 100'000));
    }
}

template <class Client>
flux::task<> keep_alive(Client* api, const place* p) {
    for (int i = 0; i < 50; ++i) {
        auto r = co_await api->get(p->url + "/hello");
        CHECK(r.code() == http::status::ok);
        CHECK(r.reused() == (i != 0));
        const auto text = co_await r.text();
        CHECK(text == "hello");
    }
    auto head = co_await api->head(p->url + "/hello");
    CHECK(head.header("Content-Length") == "5");
    const auto nothing = co_await head.text();
    CHECK(nothing.empty());
    auto missing = co_await api->get(p->url + "/missing");
    CHECK(missing.code() == http::status::not_found);
    const auto page = co_await missing.text();
    auto after = co_await api->get(p->url + "/hello");
    CHECK(after.reused());
    CHECK(api->stats().dials == 1);
}
template <class Client>
flux::task<> large_bodies(Client* api, const place* p) {
    const std::string big = co_await api->get(p->url + "/big").text(100'000'000);
    CHECK(big == pattern(8'000'000));
    if (p->offers("echo")) {
        auto back = co_await api->post(p->url + "/echo").static_body(big);
        CHECK(back.code() == http::status::ok);
        const auto text = co_await back.text(100'000'000);
        CHECK(text == big);
        auto pieces = [&big](http::body_writer& out) { return send_pieces(&out, &big); };
        auto request = api->post(p->url + "/echo").stream(pieces); // chunked
        auto chunked = co_await std::move(request);
        const auto again = co_await chunked.text(100'000'000);
        CHECK(again == big);
    }
}
template <class Client>
flux::task<> framing(Client* api, const place* p) {
    if (p->offers("chunked")) {
        auto r = co_await api->get(p->url + "/chunked");
        CHECK_FALSE(r.body().length().has_value());
        const auto text = co_await r.text();
        CHECK(text == "one two three");
        if (p->offers("trailers")) {
            CHECK(r.trailers().get("X-Sum") == "13");
        }
    }
    if (p->offers("continue")) {
        auto r = co_await api->post(p->url + "/echo").expect_continue().body("with permission");
        const auto text = co_await r.text();
        CHECK(text == "with permission");
    }
    if (p->offers("close")) {
        auto r = co_await api->get(p->url + "/hello").header("Connection", "close");
        const auto text = co_await r.text();
        CHECK(text == "hello");
    }
    auto last = co_await api->get(p->url + "/hello");
    CHECK(last.ok());
}
// The server ends and comes back while connections to it are idle: no GET fails.
template <class Client>
flux::task<> restarts(Client* api, const place* p) {
    auto get = [api, p](int) { return api->get(p->url + "/hello").text(); };
    const std::vector<int> several = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int i = 0; i < 5; ++i) {
        const auto texts = co_await flux::map(several, 4, get);
        CHECK(texts == std::vector<std::string>(8, "hello"));
        REQUIRE(std::system(p->restart) == 0);
    }
    const auto text = co_await get(0);
    CHECK(text == "hello");
}

template <class Client>
flux::task<> visit(const place* p) {
    auto limit = co_await flux::within(flux::seconds(100));
    Client api;
    co_await keep_alive(&api, p);
    co_await large_bodies(&api, p);
    co_await framing(&api, p);
    if (p->restart != nullptr) {
        co_await restarts(&api, p);
    }
}

http::router make_app() {
    http::router app;
    app.get("/hello", [] { return "hello"; });
    app.get("/big", [] { return http::bytes(pattern(8'000'000)); });
    app.get("/chunked", [](http::request&, http::responder& out) -> flux::task<> {
        co_await out.write("one ");
        co_await out.flush();
        co_await out.write("two three");
        static_cast<void>(out.add_trailer("X-Sum", "13"));
    });
    app.post("/echo", [](http::request& req) -> flux::task<http::response> {
        std::string body = co_await req.text();
        co_return http::bytes(std::move(body));
    });
    return app;
}
flux::task<> serve_and_visit(const http::router* app) {
    auto ctx = co_await flux::this_context();
    auto& home = static_cast<flux::reactor&>(ctx.home());
    auto listener = flux::tcp_listener::listen(home, flux::endpoint::loopback(0)).value();
    place here;
    here.url = "http://" + listener.local_endpoint().value().to_string();
    here.can = "echo chunked trailers continue close";
    const auto server = test_support::make_server(*app);
    flux::task_scope scope(ctx, flux::scope_policy::collect);
    scope.spawn(server->serve(std::move(listener)));
    auto visits = test_support::over_tls() ? visit<http::basic_client<test_support::any_connector>>(&here) : visit<http::client>(&here);
    const auto done = co_await flux::attempt(std::move(visits));
    if (!done) {
        FAIL_CHECK(done.error().message());
    }
    scope.stop();
    const auto joined = co_await flux::attempt(scope.join());
    flux::ignore_result(joined, "it was stopped");
}

} // namespace

TEST_SUITE("client/real_server") {
    TEST_CASE("keep-alive, bodies in both directions, chunks, trailers, 100-continue, restarts") {
        if (const char* url = std::getenv("FLUX_PEER_URL")) {
            const char* can = std::getenv("FLUX_PEER_CAN");
            place there;
            there.url = url;
            there.can = can == nullptr ? "" : can;
            there.restart = std::getenv("FLUX_PEER_RESTART");
            flux::reactor r;
            r.run(visit<http::client>(&there)); // what fails throws
            return;
        }
        const http::router app = make_app();
        test_support::on_each_driver([&app](const flux::reactor_options& options) {
            flux::reactor r(options);
            test_support::run(r, serve_and_visit(&app));
        });
    }
}
