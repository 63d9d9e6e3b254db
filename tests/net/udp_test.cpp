// SPDX-License-Identifier: MIT
#include <flux/net/udp.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

TEST_SUITE("net/udp") {

TEST_CASE("a datagram arrives whole, with its sender") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            udp_socket a = udp_socket::bind(r, endpoint::loopback(0)).value();
            udp_socket b = udp_socket::bind(r, endpoint::loopback(0)).value();
            const endpoint to_b = b.local_endpoint().value();
            co_await a.send_to(as_octets("one"), to_b);
            co_await a.send_to(as_octets(""), to_b);
            co_await a.send_to(as_octets("three"), to_b);
            std::byte room[16];
            const datagram first = co_await b.receive_from(room);
            CHECK(as_text(const_buffer(room, first.size)) == "one");
            CHECK(first.peer == a.local_endpoint().value());
            CHECK(!first.truncated);
            const datagram empty = co_await b.receive_from(room);
            CHECK(empty.size == 0);
            CHECK(!empty.truncated);
            const datagram third = co_await b.receive_from(room);
            CHECK(as_text(const_buffer(room, third.size)) == "three");
            co_await b.send_to(as_octets("back"), third.peer);
            const datagram back = co_await a.receive_from(room);
            CHECK(back.peer == to_b);
        };
        run(r, body());
    });
}

TEST_CASE("one that is longer than the buffer is cut, and says so") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            udp_socket a = udp_socket::bind(r, endpoint::loopback(0)).value();
            udp_socket b = udp_socket::bind(r, endpoint::loopback(0)).value();
            co_await a.send_to(as_octets("0123456789"), b.local_endpoint().value());
            co_await a.send_to(as_octets("next"), b.local_endpoint().value());
            std::byte room[4];
            const datagram cut = co_await b.receive_from(room);
            CHECK(cut.truncated);
            CHECK(as_text(const_buffer(room, cut.size)) == "0123");
            const datagram next = co_await b.receive_from(room);
            CHECK(!next.truncated);
            CHECK(as_text(const_buffer(room, next.size)) == "next");
        };
        run(r, body());
    });
}

TEST_CASE("one that is too long to be sent is an error") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            udp_socket a = udp_socket::bind(r, endpoint::loopback(0)).value();
            const std::string huge(70'000, 'x');
            const auto sent = co_await attempt(a.send_to(as_octets(huge), a.local_endpoint().value()));
            REQUIRE(!sent);
            CHECK(sent.error().code() == std::errc::message_size);
        };
        run(r, body());
    });
}

TEST_CASE("a connected socket hears its peer only, and of a port that nobody has") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            udp_socket peer = udp_socket::bind(r, endpoint::loopback(0)).value();
            udp_socket stranger = udp_socket::bind(r, endpoint::loopback(0)).value();
            udp_socket a = udp_socket::connect(r, peer.local_endpoint().value()).value();
            co_await a.send(as_octets("hello"));
            std::byte room[16];
            const datagram got = co_await peer.receive_from(room);
            co_await stranger.send_to(as_octets("no"), got.peer);
            co_await peer.send_to(as_octets("yes"), got.peer);
            const datagram answer = co_await a.receive_from(room);
            CHECK(as_text(const_buffer(room, answer.size)) == "yes");
            peer.close();
            co_await a.send(as_octets("anybody?"));
            const auto refused = co_await attempt(a.receive_from(room));
            REQUIRE(!refused);
            CHECK(refused.error().code() == std::errc::connection_refused);
        };
        run(r, body());
    });
}

TEST_CASE("several receives may wait on one socket, and each datagram goes to one of them") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            udp_socket a = udp_socket::bind(r, endpoint::loopback(0)).value();
            udp_socket b = udp_socket::bind(r, endpoint::loopback(0)).value();
            std::multiset<std::string> heard;
            auto hear = [&]() -> task<> {
                std::byte room[8];
                const datagram d = co_await b.receive_from(room);
                heard.emplace(as_text(const_buffer(room, d.size)));
            };
            for (int i = 0; i < 20; ++i) {
                scope.spawn(hear);
            }
            co_await sleep_for(0s);
            co_await sleep_for(0s);
            std::multiset<std::string> said;
            for (int i = 0; i < 20; ++i) {
                const std::string text = std::to_string(i);
                said.insert(text);
                co_await a.send_to(as_octets(text), b.local_endpoint().value());
            }
            co_await scope.join();
            CHECK(heard == said);
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("operations on a closed socket fail and do not end the program") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            udp_socket s = udp_socket::bind(r, endpoint::loopback(0)).value();
            udp_socket moved = std::move(s);
            CHECK(!s.is_open());
            CHECK(moved.is_open());
            moved.close();
            CHECK(moved.native_handle() == -1);
            std::byte room[4];
            const auto got = co_await attempt(moved.receive_from(room));
            CHECK(got.error().code() == std::errc::bad_file_descriptor);
            const auto sent = co_await attempt(moved.send(as_octets("x")));
            CHECK(sent.error().code() == std::errc::bad_file_descriptor);
        };
        run(r, body());
    });
}

TEST_CASE("an address that is taken or is none is refused with its text") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        const udp_socket first = udp_socket::bind(r, endpoint::loopback(0)).value();
        const endpoint where = first.local_endpoint().value();
        const auto second = udp_socket::bind(r, where);
        REQUIRE(!second);
        CHECK(second.error().code() == std::errc::address_in_use);
        CHECK(second.error().message().find(where.to_string()) != std::string::npos);
        CHECK(!udp_socket::bind(r, endpoint()));
        CHECK(!udp_socket::connect(r, endpoint()));
    });
}

} // TEST_SUITE
