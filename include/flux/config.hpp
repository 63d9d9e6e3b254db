// SPDX-License-Identifier: MIT
// flux/config.hpp - what flux needs from compiler and platform, and the two assertion levels.
//
// FLUX_ASSERT is on in every build: it guards rules whose violation would corrupt memory.
// FLUX_CHECK is on only with -DFLUX_CHECKED=1: it guards rules whose violation gives wrong results.
#pragma once

#include <flux/version.hpp>

#include <cstdio>
#include <cstdlib>

#if !defined(__linux__)
#error "flux needs Linux: its reactor is built on io_uring and epoll"
#endif
#if !defined(__cplusplus) || __cplusplus < 202002L
#error "flux needs C++20: add -std=c++20"
#endif
#if !defined(__cpp_impl_coroutine) && !defined(__cpp_coroutines)
#error "flux needs C++20 coroutines: use g++ >= 12.2 or clang >= 14 with -std=c++20"
#endif
#if !defined(__cpp_exceptions)
#error "flux needs exceptions: a task has to carry the exceptions of user code"
#endif

namespace flux::inline FLUX_ABI::detail {

// One line that names the rule, then abort: continuing would let the kernel or a stale frame write into
// freed memory.
[[noreturn, gnu::cold, gnu::noinline]] inline void assertion_failed(const char* rule, const char* file,
                                                                    int line) noexcept {
    std::fprintf(stderr, "flux: misuse: %s (%s:%d)\n", rule, file, line);
    std::abort();
}

} // namespace flux::inline FLUX_ABI::detail

#define FLUX_ASSERT(condition, rule)                                                               \
    ((condition) ? static_cast<void>(0)                                                            \
                 : ::flux::detail::assertion_failed(rule, __FILE__, __LINE__))
#if defined(FLUX_CHECKED) && FLUX_CHECKED
#define FLUX_CHECK(condition, rule) FLUX_ASSERT(condition, rule)
#else
#define FLUX_CHECK(condition, rule) static_cast<void>(0)
#endif

// Set where AddressSanitizer or ThreadSanitizer is compiled in: memory pools step aside then, so that
// the sanitizer sees every frame and buffer on its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLUX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define FLUX_SANITIZED 1
#endif
#endif
#if !defined(FLUX_SANITIZED)
#define FLUX_SANITIZED 0
#endif
