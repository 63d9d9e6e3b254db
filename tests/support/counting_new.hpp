// SPDX-License-Identifier: MIT
// tests/support/counting_new.hpp - how often this thread allocated, and an allocation that fails on demand.
//
// Works in a program into which counting_new.cpp was compiled: link it, or include it in exactly one source of
// the program. Elsewhere, and where a sanitizer needs operator new for itself, everything here still compiles and
// links; allocations_are_counted() is false then, and a test has to skip what it cannot see:
//
//     const allocation_count count;
//     serve_one_request();
//     if (allocations_are_counted()) { CHECK(count.allocations() == 0); }
#pragma once

#include <cstddef>
#include <cstdint>

namespace test_support {

struct allocation_log {
    std::uint64_t allocations = 0;   // calls of any operator new that succeeded
    std::uint64_t deallocations = 0; // calls of any operator delete for something
    std::uint64_t octets = 0;        // asked for, in all
    std::uint64_t fail_in = 0;       // the n-th allocation from now throws std::bad_alloc; 0: none does
};

// Defined by counting_new.cpp.
[[gnu::weak]] allocation_log& allocations_of_this_thread() noexcept;

[[nodiscard]] inline bool allocations_are_counted() noexcept { return &allocations_of_this_thread != nullptr; }

/// Counts from its construction on, for the thread that made it. All zeros where nothing is counted.
class allocation_count {
public:
    allocation_count() noexcept : before_(now()) {}
    [[nodiscard]] std::uint64_t allocations() const noexcept { return now().allocations - before_.allocations; }
    [[nodiscard]] std::uint64_t deallocations() const noexcept { return now().deallocations - before_.deallocations; }
    [[nodiscard]] std::uint64_t octets() const noexcept { return now().octets - before_.octets; }

private:
    [[nodiscard]] static allocation_log now() noexcept {
        return allocations_are_counted() ? allocations_of_this_thread() : allocation_log();
    }
    allocation_log before_;
};

/// While it lives, the n-th allocation of this thread throws std::bad_alloc, once. n counts from 1.
class failing_allocation {
public:
    explicit failing_allocation(std::uint64_t n) noexcept { set(n); }
    failing_allocation(const failing_allocation&) = delete;
    failing_allocation& operator=(const failing_allocation&) = delete;
    ~failing_allocation() { set(0); }

    /// Whether it has failed: the loop over n = 1, 2, ... ends when it has not.
    [[nodiscard]] bool happened() const noexcept {
        return allocations_are_counted() && allocations_of_this_thread().fail_in == 0;
    }

private:
    static void set(std::uint64_t n) noexcept {
        if (allocations_are_counted()) {
            allocations_of_this_thread().fail_in = n;
        }
    }
};

} // namespace test_support
