// SPDX-License-Identifier: MIT
// The global operator new and delete of a test program, counting per thread. Empty in sanitizer builds, whose
// own operators find more than a count.
#include <support/counting_new.hpp>

#include <flux/config.hpp>

#if !FLUX_SANITIZED

#include <cstddef>
#include <cstdlib>
#include <new>

namespace test_support {

namespace {

constinit thread_local allocation_log log_of_this_thread;

void* counted_allocation(std::size_t size, std::size_t alignment) noexcept {
    allocation_log& log = log_of_this_thread;
    if (log.fail_in > 0 && --log.fail_in == 0) {
        return nullptr;
    }
    const std::size_t at_least = size == 0 ? 1 : size;
    void* at = alignment <= alignof(std::max_align_t)
                   ? std::malloc(at_least)
                   : std::aligned_alloc(alignment, (at_least + alignment - 1) / alignment * alignment);
    if (at != nullptr) {
        ++log.allocations;
        log.octets += size;
    }
    return at;
}

void* counted_or_throw(std::size_t size, std::size_t alignment) {
    void* at = counted_allocation(size, alignment);
    if (at == nullptr) {
        throw std::bad_alloc();
    }
    return at;
}

void counted_release(void* at) noexcept {
    log_of_this_thread.deallocations += at != nullptr ? 1 : 0;
    std::free(at);
}

} // namespace

allocation_log& allocations_of_this_thread() noexcept { return log_of_this_thread; }

} // namespace test_support

using test_support::counted_allocation;
using test_support::counted_or_throw;
using test_support::counted_release;

// All of them, or the ones that the library would call in turn were counted twice or not at all.
void* operator new(std::size_t n) { return counted_or_throw(n, 1); }
void* operator new[](std::size_t n) { return counted_or_throw(n, 1); }
void* operator new(std::size_t n, std::align_val_t a) { return counted_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return counted_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return counted_allocation(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return counted_allocation(n, 1); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
    return counted_allocation(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
    return counted_allocation(n, static_cast<std::size_t>(a));
}
void operator delete(void* at) noexcept { counted_release(at); }
void operator delete[](void* at) noexcept { counted_release(at); }
void operator delete(void* at, std::size_t) noexcept { counted_release(at); }
void operator delete[](void* at, std::size_t) noexcept { counted_release(at); }
void operator delete(void* at, std::align_val_t) noexcept { counted_release(at); }
void operator delete[](void* at, std::align_val_t) noexcept { counted_release(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { counted_release(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { counted_release(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { counted_release(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { counted_release(at); }
void operator delete(void* at, std::align_val_t, const std::nothrow_t&) noexcept { counted_release(at); }
void operator delete[](void* at, std::align_val_t, const std::nothrow_t&) noexcept { counted_release(at); }

#endif
