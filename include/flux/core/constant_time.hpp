// SPDX-License-Identifier: MIT
// flux/core/constant_time.hpp - comparing secrets without telling by the time it takes how much of them was right.
#pragma once

#include <flux/config.hpp>

#include <cstddef>
#include <string_view>

namespace flux::inline FLUX_ABI {

/// Whether two texts are equal, in a time that depends on their lengths only: for passwords and tokens.
[[nodiscard]] inline bool constant_time_equal(std::string_view a, std::string_view b) noexcept {
    unsigned differ = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const char other = b.empty() ? '\0' : b[i < b.size() ? i : 0];
        differ |= static_cast<unsigned char>(a[i] ^ other);
        asm volatile("" : "+r"(differ)); // so that the loop is not left early
    }
    return differ == 0;
}

} // namespace flux::inline FLUX_ABI
