// expect: flux: misuse: an operation was destroyed while the kernel owns its memory
// SPDX-License-Identifier: MIT
// The kernel would write into freed memory when octets arrive.
#include <flux/io/reactor.hpp>

#include <memory>

#include <sys/socket.h>

int main() {
    flux::reactor r;
    int both[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, both) != 0) {
        return 1;
    }
    char room[16];
    auto op = std::make_unique<flux::detail::io_op>(flux::detail::io_kind::read, both[0],
                                                    [](flux::detail::io_op&, const flux::detail::io_op::completion&) noexcept {});
    op->data = room;
    op->size = sizeof room;
    r.driver().start(*op);
    op.reset();
}
