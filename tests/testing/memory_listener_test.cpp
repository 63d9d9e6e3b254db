// SPDX-License-Identifier: MIT
#include <flux/testing/memory_listener.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::memory_listener;
using flux::testing::memory_listener_options;
using flux::testing::memory_stream;
using flux::testing::virtual_loop;

namespace {

bool is_errno(const error& e, int number) { return e.code() == std::error_code(number, std::system_category()); }

task<> echo(memory_stream s) {
    for (;;) {
        auto r = co_await s.receive();
        if (r.empty()) {
            break;
        }
        co_await s.write_all(r.octets());
    }
}

task<> serve_all(memory_listener& listener) {
    auto ctx = co_await this_context();
    task_scope connections(ctx);
    for (;;) {
        auto s = co_await attempt(listener.accept());
        if (!s) {
            CHECK(s.error().is(errc::closed));
            break;
        }
        connections.spawn(echo, *std::move(s));
    }
    co_await connections.join();
}

task<> expect_accept_fails(memory_listener& listener, errc code, int& failed) {
    auto r = co_await attempt(listener.accept());
    failed += !r && r.error().is(code);
}

} // namespace

TEST_SUITE("testing/memory_listener") {

TEST_CASE("a server runs over it, whether its operations wait or not") {
    for (const bool suspend : {false, true}) {
        memory_listener_options options;
        options.streams.always_suspend = suspend;
        options.streams.max_read = 3;
        memory_listener listener(options);
        virtual_loop loop;
        int answers = 0;
        auto body = [&](task_scope& scope) -> task<> {
            scope.spawn(serve_all, std::ref(listener));
            for (int i = 0; i < 5; ++i) {
                auto s = listener.connect().value();
                co_await s.write_all(as_octets("hello"));
                s.shutdown_write().value();
                std::string seen;
                for (;;) {
                    auto r = co_await s.receive();
                    if (r.empty()) {
                        break;
                    }
                    seen += as_text(r.octets());
                }
                answers += seen == "hello";
            }
            listener.close();
        };
        const auto r = loop.run(with_scope(body));
        CHECK(r);
        CHECK(answers == 5);
    }
}

TEST_CASE("both sides know both endpoints; ports of clients differ") {
    memory_listener listener(endpoint::ipv4({10, 0, 0, 9}, 443));
    CHECK(listener.local_endpoint()->to_string() == "10.0.0.9:443");
    auto first = listener.connect().value();
    auto second = listener.connect().value();
    auto third = listener.connect(endpoint::ipv4({10, 1, 1, 1}, 7)).value();
    CHECK(listener.waiting() == 3);
    CHECK(first.peer_endpoint()->to_string() == "10.0.0.9:443");
    CHECK(*first.local_endpoint() != *second.local_endpoint());
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto one = co_await listener.accept();
        auto two = co_await listener.accept();
        auto three = co_await listener.accept();
        CHECK(*one.peer_endpoint() == *first.local_endpoint());
        CHECK(*two.peer_endpoint() == *second.local_endpoint());
        CHECK(three.peer_endpoint()->to_string() == "10.1.1.1:7");
        CHECK(three.local_endpoint()->to_string() == "10.0.0.9:443");
    };
    CHECK(loop.run(body()));
}

TEST_CASE("close ends an accept in flight, and later ones fail too") {
    memory_listener listener(endpoint::loopback(1));
    virtual_loop loop;
    int failed = 0;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(expect_accept_fails, std::ref(listener), errc::closed, std::ref(failed));
        co_await sleep_for(1ms);
        listener.close();
        CHECK(!listener.is_open());
        co_await scope.join();
        CHECK(failed == 1);
        co_await expect_accept_fails(listener, errc::closed, failed);
        CHECK(failed == 2);
    };
    CHECK(loop.run(with_scope(body)));
    CHECK(is_errno(listener.connect().error(), ECONNREFUSED));
    CHECK(listener.local_endpoint().error().is(errc::closed));
    CHECK(listener.waiting() == 0);
}

TEST_CASE("who connected and was not accepted sees a reset when the listener closes") {
    memory_listener listener(endpoint::loopback(1));
    auto client = listener.connect().value();
    listener.close();
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto r = co_await attempt(client.receive());
        CHECK(is_errno(r.error(), ECONNRESET));
    };
    CHECK(loop.run(body()));
}

TEST_CASE("a second accept in flight fails with errc::overlap") {
    memory_listener listener(endpoint::loopback(1));
    virtual_loop loop;
    int failed = 0;
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(expect_accept_fails, std::ref(listener), errc::canceled, std::ref(failed));
        co_await sleep_for(1ms);
        co_await expect_accept_fails(listener, errc::overlap, failed);
        CHECK(failed == 1);
        scope.stop();
        co_await shield(scope.join());
        CHECK(failed == 2);
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("an accept that is stopped loses no connection") {
    memory_listener listener(endpoint::loopback(1));
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto none = co_await attempt(with_timeout(1s, listener.accept()));
        CHECK(none.error().is(errc::timed_out));
        auto client = listener.connect().value();
        auto s = co_await listener.accept();
        co_await client.write_all(as_octets("x"));
        auto r = co_await s.receive();
        CHECK(r.size() == 1);
    };
    CHECK(loop.run(body()));
}

TEST_CASE("connections beyond the backlog are refused") {
    memory_listener listener(memory_listener_options{.backlog = 2});
    std::vector<memory_stream> clients;
    for (int i = 0; i < 2; ++i) {
        clients.push_back(listener.connect().value());
    }
    const auto third = listener.connect();
    REQUIRE(!third);
    CHECK(is_errno(third.error(), ECONNREFUSED));
    CHECK(third.error().phase() == error_phase::connect);
    CHECK(third.error().retryable());
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto s = co_await listener.accept();
        CHECK(listener.connect());
    };
    CHECK(loop.run(body()));
}

TEST_CASE("an injected error fails one accept and leaves the queue alone") {
    memory_listener listener(endpoint::loopback(1));
    virtual_loop loop;
    auto body = [&](task_scope& scope) -> task<> {
        auto client = listener.connect().value();
        listener.inject_error(EMFILE);
        auto r = co_await attempt(listener.accept());
        CHECK(is_errno(r.error(), EMFILE));
        auto s = co_await listener.accept();
        CHECK(s.is_open());
        auto later = [](memory_listener& l) -> task<> {
            co_await sleep_for(1ms);
            l.inject_error(ENFILE);
        };
        scope.spawn(later, std::ref(listener));
        auto waiting = co_await attempt(listener.accept());
        CHECK(is_errno(waiting.error(), ENFILE));
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("under a stopped context nothing is accepted") {
    memory_listener listener(endpoint::loopback(1));
    auto client = listener.connect().value();
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto ctx = co_await this_context();
        ctx.stop(stop_reason::shutdown);
        auto r = co_await attempt(listener.accept());
        CHECK(r.error().is(errc::shutdown));
    };
    CHECK(loop.run(body()));
    CHECK(listener.waiting() == 1);
}

TEST_CASE("a listener that moved goes on listening; an empty one is closed") {
    memory_listener empty;
    CHECK(!empty.is_open());
    memory_listener first(endpoint::loopback(1));
    auto client = first.connect().value();
    empty = std::move(first);
    CHECK(empty.is_open());
    CHECK(empty.waiting() == 1);
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto s = co_await empty.accept();
        CHECK(s.is_open());
    };
    CHECK(loop.run(body()));
}

} // TEST_SUITE
