// expect: flux: misuse: async_semaphore destroyed while a coroutine waits for it
// SPDX-License-Identifier: MIT
// Nobody could ever resume the coroutine.
#include <flux/coro/semaphore.hpp>
#include <support/manual_loop.hpp>

#include <optional>

int main() {
    test_support::manual_loop loop;
    std::optional<flux::async_semaphore> semaphore(std::in_place, 0U);
    loop.spawn(semaphore->acquire());
    loop.drain();
    semaphore.reset();
}
