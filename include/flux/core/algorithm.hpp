// SPDX-License-Identifier: MIT
// flux/core/algorithm.hpp - std::min, max, equal and lower_bound without the rest of <algorithm>, and a sort.
//
// All of <algorithm> costs a user's translation unit about as much as <string> (docs/decisions/0007). In libstdc++ the
// four above are in a header that <string> includes as well. What else flux would use is a loop of three lines, so it is
// written there.
#pragma once

#include <flux/config.hpp>

#include <cstddef>

#if defined(_GLIBCXX_RELEASE) && _GLIBCXX_RELEASE == 12
#include <bits/stl_algobase.h>
#else
#include <algorithm>
#endif

namespace flux::inline FLUX_ABI::detail {

template <class T>
void sift_down(T* all, std::size_t at, std::size_t size) noexcept {
    T value = static_cast<T&&>(all[at]);
    for (std::size_t child; (child = 2 * at + 1) < size; at = child) {
        if (child + 1 < size && all[child] < all[child + 1]) {
            ++child;
        }
        if (!(value < all[child])) {
            break;
        }
        all[at] = static_cast<T&&>(all[child]);
    }
    all[at] = static_cast<T&&>(value);
}

/// Sorts by `<`: a heap sort, so n log n for every input, and equal elements in any order. For what is sorted once.
/// T must not throw when compared or moved.
template <class T>
[[gnu::cold]] void sort_in_place(T* all, std::size_t size) noexcept {
    for (std::size_t i = size / 2; i > 0; --i) {
        sift_down(all, i - 1, size);
    }
    for (std::size_t end = size; end > 1; --end) {
        T last = static_cast<T&&>(all[end - 1]);
        all[end - 1] = static_cast<T&&>(all[0]);
        all[0] = static_cast<T&&>(last);
        sift_down(all, 0, end - 1);
    }
}

} // namespace flux::inline FLUX_ABI::detail
