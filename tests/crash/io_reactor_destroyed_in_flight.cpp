// expect: flux: misuse: reactor destroyed while operations are in flight
// SPDX-License-Identifier: MIT
#include <flux/io/reactor.hpp>

#include <optional>

#include <poll.h>
#include <sys/eventfd.h>

int main() {
    flux::detail::io_op op(flux::detail::io_kind::poll, ::eventfd(0, 0),
                           [](flux::detail::io_op&, const flux::detail::io_op::completion&) noexcept {});
    op.events = POLLIN;
    std::optional<flux::reactor> r(std::in_place);
    r->driver().start(op);
    r.reset();
}
