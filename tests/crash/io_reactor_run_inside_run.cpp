// expect: flux: misuse: a reactor is already running on this thread
// SPDX-License-Identifier: MIT
#include <flux/io/reactor.hpp>

int main() {
    flux::reactor r;
    auto inner = []() -> flux::task<> { co_return; };
    auto outer = [&]() -> flux::task<> {
        r.run(inner());
        co_return;
    };
    r.run(outer());
}
