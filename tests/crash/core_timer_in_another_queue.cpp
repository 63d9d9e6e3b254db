// expect: flux: misuse: timer belongs to another queue
// SPDX-License-Identifier: MIT
// Its place is a place in the other heap.
#include <flux/core/timer_queue.hpp>

int main() {
    flux::timer_queue queue;
    flux::timer_queue other;
    flux::timer t([](flux::timer&) noexcept {});
    queue.arm(t, flux::time_point(flux::seconds(1)));
    other.disarm(t);
}
