// SPDX-License-Identifier: MIT
#include <flux/net/connect.hpp> // also proves the header is self-contained

#include <flux/coro/with.hpp>
#include <flux/net/listener.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <netinet/tcp.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

namespace {

/// A TCP address whose kernel queue is full: connecting to it goes on for ever.
class silent_listener {
public:
    silent_listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        ::sockaddr_storage address{};
        ::socklen_t size = endpoint::loopback(0).to_sockaddr(address);
        REQUIRE(::bind(fd_.get(), reinterpret_cast<::sockaddr*>(&address), size) == 0);
        REQUIRE(::listen(fd_.get(), 0) == 0);
        where_ = detail::name_of(fd_.get(), &::getsockname).value();
        size = where_.to_sockaddr(address);
        for (int i = 0; i < 4; ++i) {
            fill_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            std::ignore = ::connect(fill_.back().get(), reinterpret_cast<::sockaddr*>(&address), size);
        }
    }
    [[nodiscard]] const endpoint& where() const { return where_; }

private:
    unique_fd fd_;
    endpoint where_;
    std::vector<unique_fd> fill_;
};

endpoint refusing_address() {
    const unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::sockaddr_storage address{};
    const ::socklen_t size = endpoint::loopback(0).to_sockaddr(address);
    REQUIRE(::bind(fd.get(), reinterpret_cast<::sockaddr*>(&address), size) == 0);
    return detail::name_of(fd.get(), &::getsockname).value(); // free again when fd closes
}

} // namespace

TEST_SUITE("net/connect") {

TEST_CASE("tcp_connect yields a stream that works") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener listener = tcp_listener::listen(r, endpoint::loopback(0)).value();
            const endpoint where = listener.local_endpoint().value();
            tcp_stream client = co_await tcp_connect(where);
            tcp_stream server = co_await listener.accept();
            co_await client.write_all(as_octets("ping"));
            std::byte room[8];
            std::size_t n = co_await server.read_some(room);
            CHECK(as_text(const_buffer(room, n)) == "ping");
            co_await server.write_all(as_octets("pong"));
            n = co_await client.read_some(room);
            CHECK(as_text(const_buffer(room, n)) == "pong");
            CHECK(client.peer_endpoint().value() == where);
            int no_delay = 0;
            ::socklen_t size = sizeof no_delay;
            ::getsockopt(client.native_handle(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
            CHECK(no_delay == 1);
        };
        run(r, body());
    });
}

TEST_CASE("an error says which address, in which phase, and that trying again is safe") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            const endpoint where = refusing_address();
            const auto s = co_await attempt(tcp_connect(where));
            REQUIRE(!s);
            CHECK(s.error().code() == std::errc::connection_refused);
            CHECK(s.error().phase() == error_phase::connect);
            CHECK(s.error().peer() == where.to_string());
            CHECK(s.error().retryable());
            CHECK(s.error().message().find("connect " + where.to_string() + ": ") == 0);
        };
        run(r, body());
    });
}

TEST_CASE("an attempt ends at its limit, with the address in the error") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            const silent_listener silent;
            const auto s = co_await attempt(with_timeout(20ms, tcp_connect(silent.where())));
            REQUIRE(!s);
            CHECK(s.error().is(errc::timed_out));
            CHECK(s.error().phase() == error_phase::connect);
            CHECK(s.error().peer() == silent.where().to_string());
        };
        run(r, body());
    });
}

TEST_CASE("what cannot be an address is refused without a system call") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            const auto s = co_await attempt(tcp_connect(endpoint()));
            CHECK(s.error().is(errc::invalid_argument));
            const auto u = co_await attempt(unix_connect(endpoint::parse("unix:/nowhere/at/all").value()));
            CHECK(u.error().code() == std::errc::no_such_file_or_directory);
        };
        run(r, body());
    });
}

TEST_CASE("many connections at once all succeed") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            tcp_listener listener = tcp_listener::listen(r, endpoint::loopback(0)).value();
            const endpoint where = listener.local_endpoint().value();
            int connected = 0;
            auto one = [&]() -> task<> {
                tcp_stream s = co_await tcp_connect(where);
                std::byte room[1];
                const std::size_t n = co_await s.read_some(room);
                connected += n == 1 ? 1 : 0;
            };
            for (int i = 0; i < 200; ++i) {
                scope.spawn(one);
            }
            for (int i = 0; i < 200; ++i) {
                tcp_stream s = co_await listener.accept();
                co_await s.write_all(as_octets("x"));
            }
            co_await scope.join();
            CHECK(connected == 200);
        };
        run(r, with_scope(body));
    });
}

} // TEST_SUITE
