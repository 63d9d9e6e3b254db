// SPDX-License-Identifier: MIT
// flux/core/vacate.hpp - what a variable held, with something else in its place.
//
// std::exchange does the same with four functions and five classes of traits for each type of variable, of which a
// program that includes flux has dozens (docs/decisions/0007).
#pragma once

#include <flux/config.hpp>

namespace flux::inline FLUX_ABI::detail {

/// Moves out of `from` and leaves T{} there. Neither may throw.
template <class T>
[[nodiscard, gnu::always_inline]] inline T vacate(T& from) noexcept {
    T held = static_cast<T&&>(from);
    from = T{};
    return held;
}

template <class T>
struct itself {
    using type = T;
};

/// Moves out of `from` and leaves `next` there. Neither may throw.
template <class T>
[[nodiscard, gnu::always_inline]] inline T vacate_for(T& from, typename itself<T>::type next) noexcept {
    T held = static_cast<T&&>(from);
    from = static_cast<T&&>(next);
    return held;
}

} // namespace flux::inline FLUX_ABI::detail
