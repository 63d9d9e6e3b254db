// expect: flux: misuse: a reactor must run on the thread that created it
// SPDX-License-Identifier: MIT
// A ring takes work from one thread only: the loop would spin without ever getting anything done.
#include <flux/io/reactor.hpp>

#include <thread>

int main() {
    flux::reactor r;
    std::thread([&r] { r.run([]() -> flux::task<> { co_return; }()); }).join();
}
