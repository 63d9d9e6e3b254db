// SPDX-License-Identifier: MIT
#include <flux/net/connector.hpp> // also proves the header is self-contained

#include <flux/coro/when.hpp>
#include <flux/net/listener.hpp>
#include <flux/net/read.hpp>
#include <flux/net/system_resolver.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using test_support::on_each_driver;
using test_support::run;

static_assert(connector<tcp_connector> && connector<unix_connector> && connector<pinned_connector<tcp_connector>>);
static_assert(connector<basic_tcp_connector<system_resolver>>);

namespace {

std::uint16_t refusing_port() {
    const unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::sockaddr_storage address{};
    const ::socklen_t size = endpoint::loopback(0).to_sockaddr(address);
    REQUIRE(::bind(fd.get(), reinterpret_cast<::sockaddr*>(&address), size) == 0);
    return detail::name_of(fd.get(), &::getsockname).value().port(); // free again when fd closes
}

template <class Listener>
task<> greet_once(Listener& from) {
    auto stream = co_await from.accept();
    co_await stream.write_all(as_octets("hello"));
}

template <class C>
task<std::string> greeting_through(C& c, destination to) {
    auto stream = co_await c.connect(to);
    co_return co_await read_all(stream);
}

} // namespace

TEST_SUITE("net/connector") {

TEST_CASE("a destination is a value and prints as an authority") {
    const destination a("example.org", 443, true);
    destination b = a;
    CHECK(a == b);
    b.secure = false;
    CHECK(a != b);
    CHECK(a.to_string() == "example.org:443");
    CHECK(destination("::1", 80).to_string() == "[::1]:80");
    const destination moved = std::move(b);
    CHECK(moved.host == "example.org");
}

TEST_CASE("tcp: an IP literal and a name lead to the same listener") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto listener = tcp_listener::listen(r, endpoint::loopback(0)).value();
            const std::uint16_t port = listener.local_endpoint().value().port();
            tcp_connector c;
            for (const char* host : {"127.0.0.1", "localhost"}) {
                auto both = co_await when_all(greet_once(listener), greeting_through(c, destination(host, port)));
                CHECK(std::get<1>(both) == "hello");
            }
        };
        run(r, body());
    });
}

TEST_CASE("tcp: a refused connection says which address, where, and that it may be tried again") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = []() -> task<> {
            const std::uint16_t port = refusing_port();
            tcp_connector c;
            auto stream = co_await attempt(c.connect(destination("127.0.0.1", port)));
            REQUIRE(!stream);
            CHECK(stream.error().message() == "connect 127.0.0.1:" + std::to_string(port) + ": Connection refused");
            CHECK(stream.error().phase() == error_phase::connect);
            CHECK(stream.error().kind() == error_kind::network);
            CHECK(stream.error().retryable());
        };
        run(r, body());
    });
}

TEST_CASE("unix: every destination is the one socket") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            const std::string name = "@flux-connector-" + std::to_string(::getpid());
            auto listener = unix_listener::listen(r, endpoint::parse("unix:" + name).value()).value();
            unix_connector c(name);
            auto both = co_await when_all(greet_once(listener), greeting_through(c, destination("anything", 1)));
            CHECK(std::get<1>(both) == "hello");
        };
        run(r, body());
    });
}

TEST_CASE("unix: a path that cannot be is an error of connect, with its reason") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = []() -> task<> {
            unix_connector c(std::string(200, 'x'));
            auto stream = co_await attempt(c.connect(destination("h", 1)));
            REQUIRE(!stream);
            CHECK(stream.error().is(errc::invalid_argument));
            CHECK(stream.error().phase() == error_phase::connect);
            CHECK(stream.error().message().find("xxx") != std::string::npos);
        };
        run(r, body());
    });
}

TEST_CASE("pinned: host and port are sent elsewhere, everything else falls through") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto listener = tcp_listener::listen(r, endpoint::loopback(0)).value();
            const std::uint16_t port = listener.local_endpoint().value().port();
            pinned_connector<tcp_connector> c{tcp_connector()};
            c.pin("API.example.", 443, destination("192.0.2.1", 1));
            c.pin("api.example", 443, destination("127.0.0.1", port)); // replaces
            c.pin("any.example", 0, destination("127.0.0.1", 0));
            for (const destination& to : {destination("api.EXAMPLE", 443), destination("any.example.", port),
                                          destination("127.0.0.1", port)}) {
                auto both = co_await when_all(greet_once(listener), greeting_through(c, to));
                CHECK(std::get<1>(both) == "hello");
            }
        };
        run(r, body());
    });
}

}
