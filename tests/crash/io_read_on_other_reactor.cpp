// expect: flux: misuse: an operation was started on a thread that does not own its reactor
// SPDX-License-Identifier: MIT
// Nobody would ever wake this read: its own reactor does not run.
#include <flux/net/socket_stream.hpp>

#include <sys/socket.h>

int main() {
    int both[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, both) != 0) {
        return 1;
    }
    flux::reactor mine;
    flux::reactor other;
    flux::unix_stream stream(mine, flux::unique_fd(both[0]));
    auto body = [&]() -> flux::task<> { auto octets = co_await stream.receive(); };
    other.run(body());
}
