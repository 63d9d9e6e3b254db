// expect: flux: misuse: received octets outlive their reactor
// SPDX-License-Identifier: MIT
#include <flux/net/socket_stream.hpp>

#include <optional>

#include <sys/socket.h>

int main() {
    int both[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, both) != 0 || ::send(both[1], "x", 1, 0) != 1) {
        return 1;
    }
    flux::received kept;
    std::optional<flux::reactor> r(std::in_place);
    auto body = [&]() -> flux::task<> {
        flux::unix_stream stream(*r, flux::unique_fd(both[0]));
        kept = co_await stream.receive();
    };
    r->run(body());
    r.reset();
}
