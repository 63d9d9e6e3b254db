// SPDX-License-Identifier: MIT
// tests/support/allocated.hpp - how many octets malloc has given out and not got back, to all threads.
#pragma once

#include <cstddef>

#include <malloc.h>

extern "C" [[gnu::weak]] std::size_t __sanitizer_get_current_allocated_bytes(); // a sanitizer's malloc has its own books

namespace test_support {

inline long allocated() noexcept {
    if (&__sanitizer_get_current_allocated_bytes != nullptr) {
        return static_cast<long>(__sanitizer_get_current_allocated_bytes());
    }
    const struct mallinfo2 info = ::mallinfo2();
    return static_cast<long>(info.uordblks + info.hblkhd);
}

} // namespace test_support
