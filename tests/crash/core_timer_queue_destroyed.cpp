// expect: flux: misuse: timer queue destroyed while timers are armed
// SPDX-License-Identifier: MIT
// A timer that is disarmed later would write to a heap that is gone.
#include <flux/core/timer_queue.hpp>

#include <optional>

int main() {
    flux::timer t([](flux::timer&) noexcept {});
    std::optional<flux::timer_queue> queue(std::in_place);
    queue->arm(t, flux::time_point(flux::seconds(1)));
    queue.reset();
}
