// SPDX-License-Identifier: MIT
// flux/testing/prng.hpp - a small generator whose numbers depend on nothing but its seed.
//
// The standard's engines are fixed, but its distributions differ between libraries, and a failing seed has to
// replay everywhere. The state counts up in odd steps of 2^64 divided by the golden ratio; each number is the
// state after two rounds of xor-shift and multiply, so that one changed bit of the seed changes half of all
// bits. Period 2^64. Not for secrets.
#pragma once

#include <flux/core/time.hpp>

#include <cstddef>
#include <cstdint>

namespace flux::inline FLUX_ABI::testing {

class prng {
public:
    explicit constexpr prng(std::uint64_t seed) noexcept : state_(seed) {}

    [[nodiscard]] constexpr std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }

    /// Uniform in 0..n-1; 0 for n = 0. The bias is below 2^-32 for n below 2^32.
    [[nodiscard]] constexpr std::uint64_t below(std::uint64_t n) noexcept {
        if (n <= 0xffffffffU) {
            return ((next() >> 32) * n) >> 32;
        }
        return next() % n;
    }
    /// Uniform in low..high, both included.
    [[nodiscard]] constexpr std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
        return low + below(high - low + 1);
    }
    /// Uniform in 0..most, both included; zero for a negative `most`.
    [[nodiscard]] constexpr duration up_to(duration most) noexcept {
        return most <= duration::zero() ? duration::zero()
                                        : duration(static_cast<duration::rep>(
                                              below(static_cast<std::uint64_t>(most.count()) + 1)));
    }
    /// True with probability `p`. 0 and less is never, 1 and more is always; draws a number in any case.
    [[nodiscard]] constexpr bool chance(double p) noexcept {
        return static_cast<double>(next() >> 11) * 0x1p-53 < p;
    }
    /// A generator of its own for one part of a run: what the part draws does not disturb the others.
    [[nodiscard]] constexpr prng fork() noexcept { return prng(next()); }

private:
    std::uint64_t state_;
};

} // namespace flux::inline FLUX_ABI::testing
