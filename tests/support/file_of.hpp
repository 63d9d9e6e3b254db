// SPDX-License-Identifier: MIT
// tests/support/file_of.hpp - files in memory, for tests that send them.
#pragma once

#include <flux/io/unique_fd.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

namespace test_support {

/// Octets that are the same each time, and in which no part looks like another.
inline std::string pattern(std::size_t n) {
    std::string text(n, '\0');
    std::uint32_t state = 4711;
    for (char& c : text) {
        state = state * 1'664'525U + 1'013'904'223U;
        c = static_cast<char>(state >> 24);
    }
    return text;
}

inline flux::unique_fd file_of(std::string_view text) {
    flux::unique_fd fd(::memfd_create("flux-test", MFD_CLOEXEC));
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<::ssize_t>(text.size()));
    return fd;
}

} // namespace test_support
