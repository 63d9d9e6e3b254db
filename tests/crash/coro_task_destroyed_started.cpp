// expect: flux: misuse: a started task was destroyed before it finished
// SPDX-License-Identifier: MIT
// What it waits for would resume a frame that is gone.
#include <flux/coro/event.hpp>
#include <support/manual_loop.hpp>

#include <optional>

namespace {

flux::task<> waits(flux::async_event& event) { co_await event.wait(); }

} // namespace

int main() {
    test_support::manual_loop loop;
    flux::async_event event;
    std::optional<flux::detail::task_state<void>> started;
    started.emplace(waits(event), loop.root().node());
    started->await_suspend(std::noop_coroutine()).resume();
    started.reset();
}
