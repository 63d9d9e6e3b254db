// expect: flux: misuse: a descriptor was closed while operations on it were in flight
// SPDX-License-Identifier: MIT
// With epoll this can be seen; a ring keeps the file open until the operation ends.
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/net/udp.hpp>

#include <tuple>

int main() {
    flux::reactor_options options;
    options.driver = flux::driver_kind::epoll;
    flux::reactor r(options);
    std::byte room[16];
    auto body = [&](flux::task_scope& scope) -> flux::task<> {
        flux::udp_socket socket = flux::udp_socket::bind(r, flux::endpoint::loopback(0)).value();
        auto use = [&]() -> flux::task<> { std::ignore = co_await flux::attempt(socket.receive_from(room)); };
        scope.spawn(use);
        co_await flux::sleep_for(flux::milliseconds(1));
        socket.close();
    };
    r.run(flux::with_scope(body));
}
