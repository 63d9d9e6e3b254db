// expect: flux: misuse: async_event destroyed while a coroutine waits for it
// SPDX-License-Identifier: MIT
// Nobody could ever resume the coroutine.
#include <flux/coro/event.hpp>
#include <support/manual_loop.hpp>

#include <optional>

int main() {
    test_support::manual_loop loop;
    std::optional<flux::async_event> event(std::in_place);
    loop.spawn(event->wait());
    loop.drain();
    event.reset();
}
