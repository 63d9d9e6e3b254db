// SPDX-License-Identifier: MIT
// Proves the counters of support/counting_new.hpp, and brings them into this program.
#include <support/counting_new.hpp>

#include <support/counting_new.cpp> // NOLINT(bugprone-suspicious-include): once per program

#include <flux/config.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

using test_support::allocation_count;
using test_support::allocations_are_counted;
using test_support::failing_allocation;

namespace {

struct alignas(128) aligned {
    char octets[128];
};

// Out of line, so that no compiler sees a pair of new and delete that it may leave out.
[[gnu::noinline]] void keep(void* at) { asm volatile("" : : "r"(at) : "memory"); }

} // namespace

TEST_SUITE("support/counting_new") {

TEST_CASE("allocations are counted wherever no sanitizer is compiled in") {
    CHECK(allocations_are_counted() == !FLUX_SANITIZED);
}

TEST_CASE("every form of new and delete counts once") {
    if (!allocations_are_counted()) {
        return;
    }
    const allocation_count count;
    auto* one = new int(1);
    keep(one);
    CHECK(count.allocations() == 1);
    CHECK(count.octets() == sizeof(int));
    auto* many = new char[100];
    keep(many);
    CHECK(count.allocations() == 2);
    CHECK(count.octets() == sizeof(int) + 100);
    auto* big = new aligned;
    keep(big);
    auto* bigs = new aligned[2];
    keep(bigs);
    CHECK(count.allocations() == 4);
    auto* quiet = new (std::nothrow) int(2);
    keep(quiet);
    CHECK(count.allocations() == 5);
    CHECK(count.deallocations() == 0);
    delete one;
    delete[] many;
    delete big;
    delete[] bigs;
    delete quiet;
    CHECK(count.deallocations() == 5);
    delete static_cast<int*>(nullptr);
    CHECK(count.deallocations() == 5);
}

TEST_CASE("what another thread allocates is not counted here") {
    if (!allocations_are_counted()) {
        return;
    }
    std::uint64_t theirs = 0;
    std::uint64_t mine = 0;
    std::thread other;
    const auto work = [&] {
        const allocation_count count;
        for (int i = 0; i < 10; ++i) {
            keep(std::make_unique<int>(i).get());
        }
        theirs = count.allocations();
    };
    other = std::thread(work);
    {
        const allocation_count count;
        other.join();
        mine = count.allocations();
    }
    CHECK(theirs == 10);
    CHECK(mine == 0);
}

TEST_CASE("the n-th allocation fails, and only that one") {
    if (!allocations_are_counted()) {
        return;
    }
    std::vector<int> failures;
    for (std::uint64_t n = 1;; ++n) {
        const failing_allocation failure(n);
        int done = 0;
        try {
            for (; done < 3; ++done) {
                keep(std::make_unique<int>(done).get());
            }
        } catch (const std::bad_alloc&) {
            failures.push_back(done);
        }
        if (!failure.happened()) {
            CHECK(done == 3);
            break;
        }
    }
    CHECK(failures == std::vector<int>{0, 1, 2});
    const failing_allocation failure(1);
    CHECK(new (std::nothrow) int == nullptr);
    keep(std::make_unique<int>(1).get());
}

} // TEST_SUITE
