// expect: flux: misuse: timer destroyed while armed
// SPDX-License-Identifier: MIT
// The queue would fire a timer that is gone.
#include <flux/core/timer_queue.hpp>

#include <optional>

int main() {
    flux::timer_queue queue;
    std::optional<flux::timer> t(std::in_place, [](flux::timer&) noexcept {});
    queue.arm(*t, flux::time_point(flux::seconds(1)));
    t.reset();
}
