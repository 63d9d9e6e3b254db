// expect: flux: misuse: an operation was started on a thread that does not own its reactor
// SPDX-License-Identifier: MIT
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
    auto body = [&]() -> flux::task<> { co_await stream.send_file(flux::as_octets("x"), 0, 0, 1); };
    other.run(body());
}
