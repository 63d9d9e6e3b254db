// SPDX-License-Identifier: MIT
// tests/odr/shared.hpp - what both translation units instantiate, so that the linker can compare.
#pragma once

#include <flux.hpp>

#include <memory>

inline int use_shared(const flux::result<int>& r, const flux::error& e) {
    flux::timer_queue timers;
    flux::unique_function<int()> f = [p = std::make_unique<int>(2)] { return *p; };
    const flux::result<int> failed = flux::failure(e);
    return r.value_or(0) + failed.value_or(5) + f() + static_cast<int>(e.kind());
}
