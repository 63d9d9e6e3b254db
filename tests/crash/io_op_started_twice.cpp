// expect: flux: misuse: an operation was started twice
// SPDX-License-Identifier: MIT
#include <flux/io/reactor.hpp>

#include <poll.h>
#include <sys/eventfd.h>

int main() {
    flux::reactor r;
    flux::detail::io_op op(flux::detail::io_kind::poll, ::eventfd(0, 0),
                           [](flux::detail::io_op&, const flux::detail::io_op::completion&) noexcept {});
    op.events = POLLIN;
    r.driver().start(op);
    r.driver().start(op);
}
