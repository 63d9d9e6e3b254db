// expect: flux: misuse: an operation was started on a thread that does not own its reactor
// SPDX-License-Identifier: MIT
// Listeners do not move between threads: each reactor has its own.
#include <flux/net/listener.hpp>

int main() {
    flux::reactor mine;
    flux::reactor other;
    auto listener = flux::tcp_listener::listen(mine, flux::endpoint::loopback(0)).value();
    auto body = [&]() -> flux::task<> { auto stream = co_await listener.accept(); };
    other.run(body());
}
