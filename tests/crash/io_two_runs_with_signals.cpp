// expect: flux: misuse: run\(\) in two threads at once: only one of them can handle_signals
// SPDX-License-Identifier: MIT
#include <flux/coro/sleep.hpp>
#include <flux/io/run.hpp>

#include <thread>
#include <tuple>

int main() {
    auto body = []() -> flux::task<> {
        std::thread([] { std::ignore = flux::run([]() -> flux::task<> { co_return; }()); }).join();
        co_return;
    };
    return flux::run(body());
}
