// SPDX-License-Identifier: MIT
// tests/fuzz/segments.hpp - cuts an input into pieces that the input itself chooses, and checks what must hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace fuzz {

// Aborts with the rule that was broken: libFuzzer keeps the input.
inline void require(bool holds, const char* rule) {
    if (!holds) {
        std::fprintf(stderr, "broken: %s\n", rule);
        std::abort();
    }
}

// Sizes of pieces, from a small generator seeded by the input.
class segmentation {
public:
    explicit segmentation(std::uint64_t seed) : state_(seed * 2 + 1) {}
    // From 1 to `left`; mostly small, because borders are where it goes wrong.
    std::size_t next(std::size_t left) {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        const std::uint64_t r = state_ >> 33;
        const std::size_t wide = (r & 7) == 0 ? left : 1 + (r >> 3) % 9;
        const std::size_t n = 1 + (r >> 7) % wide;
        return n < left ? n : left;
    }

private:
    std::uint64_t state_;
};

// Octets at an address of their own, in a block of exactly their size.
class exact_copy {
public:
    explicit exact_copy(std::string_view octets) : size_(octets.size()), octets_(new char[octets.size()]) {
        if (size_ != 0) {
            std::memcpy(octets_.get(), octets.data(), size_);
        }
    }
    [[nodiscard]] std::string_view view() const { return {octets_.get(), size_}; }

private:
    std::size_t size_;
    std::unique_ptr<char[]> octets_;
};

// The first octet of the input is the seed, the rest is the message.
struct seeded_input {
    std::uint64_t seed;
    std::string_view octets;
};
inline seeded_input split_seed(const std::uint8_t* data, std::size_t size) {
    const std::string_view all(reinterpret_cast<const char*>(data), size);
    return size == 0 ? seeded_input{0, all} : seeded_input{data[0], all.substr(1)};
}

} // namespace fuzz
