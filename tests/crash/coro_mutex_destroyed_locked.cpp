// expect: flux: misuse: async_mutex destroyed while it is locked
// SPDX-License-Identifier: MIT
// The guard would unlock memory that is gone.
#include <flux/coro/mutex.hpp>

#include <optional>

int main() {
    std::optional<flux::async_mutex> mutex(std::in_place);
    const auto guard = mutex->try_lock();
    mutex.reset();
}
