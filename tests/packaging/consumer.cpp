// SPDX-License-Identifier: MIT
// What another project does with flux, in one of its two translation units.
#include <flux.hpp>

#include <cstdio>
#include <type_traits>

bool other_unit_agrees(const flux::result<int>& mine);

int main() {
    static_assert(FLUX_VERSION == FLUX_VERSION_MAJOR * 10000 + FLUX_VERSION_MINOR * 100 + FLUX_VERSION_PATCH);
    static_assert(!std::is_copy_constructible_v<flux::unique_function<void()>>);
    flux::timer_queue timers;
    const flux::result<int> mine = 42;
    if (!other_unit_agrees(mine)) {
        return 1;
    }
    std::printf("flux %s\n", FLUX_VERSION_STRING);
    return 0;
}
