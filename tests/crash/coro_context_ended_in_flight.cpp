// expect: flux: misuse: context ended while operations under it were in flight
// SPDX-License-Identifier: MIT
// A stop could no longer reach them, and they would unlink from a list that is gone.
#include <flux/coro/event.hpp>
#include <support/manual_loop.hpp>

#include <optional>

int main() {
    test_support::manual_loop loop;
    flux::async_event event;
    std::optional<flux::detail::context_node> node(std::in_place, loop);
    flux::detail::event_wait_state wait(event.wait(), *node);
    if (!wait.await_ready()) {
        wait.await_suspend(std::noop_coroutine());
    }
    node.reset();
}
