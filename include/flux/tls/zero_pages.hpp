// SPDX-License-Identifier: MIT
// flux/tls/zero_pages.hpp - gives the pages of a block that hold nothing but zeros back to the kernel.
//
// A session of Debian's wolfSSL has 37 KiB, of which a server uses the first 521 octets: the rest is room for a client's
// chain, cleared when it is made, and then never touched. A page of zeros that was given back reads as zeros again, so
// nobody can tell, whatever the library's build puts there.
#pragma once

#include <flux/config.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::tls::detail {

/// Returns  how many octets were given back.
/// Params   block  from malloc, private to this process; nobody else writes to it at the time.
/// Cost     reads the block; one system call for each run of such pages. Whoever writes there later pays a page fault.
inline std::size_t drop_zero_pages(void* block, std::size_t size) noexcept {
    static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    const std::size_t before = (page - begin % page) % page;
    auto* const octets = static_cast<char*>(block);
    std::size_t dropped = 0;
    std::size_t run = before; // where the pages of zeros began that `at` goes on with
    for (std::size_t at = before; before <= size; at += page) {
        const bool whole = size - at >= page;
        // Each octet equals the one before it, and the first is zero.
        if (whole && octets[at] == 0 && std::memcmp(octets + at, octets + at + 1, page - 1) == 0) {
            continue;
        }
        if (at > run && ::madvise(octets + run, at - run, MADV_DONTNEED) == 0) {
            dropped += at - run;
        }
        if (!whole) {
            break;
        }
        run = at + page;
    }
    return dropped;
}

} // namespace flux::inline FLUX_ABI::tls::detail
