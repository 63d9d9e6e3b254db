// expect: flux: misuse: a stream was closed while an operation on it was in flight
// SPDX-License-Identifier: MIT
// The octets are there and the reader is in the ready queue, but it has not taken them yet.
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/net/socket_stream.hpp>

#include <tuple>

#include <sys/socket.h>

int main() {
    int both[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, both) != 0) {
        return 1;
    }
    flux::reactor r;
    flux::unix_stream stream(r, flux::unique_fd(both[0]));
    std::byte room[16];
    auto use = [&]() -> flux::task<> { std::ignore = co_await flux::attempt(stream.read_some(room)); };
    auto body = [&](flux::task_scope& scope) -> flux::task<> {
        scope.spawn(use);
        co_await flux::sleep_for(flux::milliseconds(1));
        if (::send(both[1], "x", 1, 0) == 1) {
            r.post([&] { stream.close(); }); // mail runs before what the completions made ready
        }
        co_await scope.join();
    };
    r.run(flux::with_scope(body));
}
