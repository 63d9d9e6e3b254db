// expect: flux: misuse: channel destroyed while a coroutine waits for it
// SPDX-License-Identifier: MIT
// Nobody could ever resume the coroutine.
#include <flux/coro/channel.hpp>
#include <support/manual_loop.hpp>

#include <optional>

int main() {
    test_support::manual_loop loop;
    std::optional<flux::channel<int>> ch(std::in_place, 1U);
    loop.spawn(ch->receive());
    loop.drain();
    ch.reset();
}
