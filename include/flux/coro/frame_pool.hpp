// SPDX-License-Identifier: MIT
// flux/coro/frame_pool.hpp - where coroutine frames live: a thread-local free list per 16-octet size class.
//
// A warm thread allocates frames without touching the heap. Frames above 2 KiB go to the heap. A frame may be
// freed on another thread than it was allocated on; it then joins that thread's list. Under a sanitizer every
// frame is a heap block of its own, so that use after free is seen.
#pragma once

#include <flux/config.hpp>

#include <cstddef>
#include <cstdint>
#include <new>

namespace flux::inline FLUX_ABI {

/// Counters of the calling thread's coroutine frames, for tests and debug pages.
struct frame_stats {
    std::uint64_t allocated = 0; ///< frames created since the thread started
    std::uint64_t live = 0;      ///< frames that exist now (created minus freed on this thread; may wrap)
};

namespace detail {

class frame_pool {
public:
    static constexpr std::size_t granule = 16;
    static constexpr std::size_t classes = 128; // up to 2 KiB

    frame_pool() noexcept = default;
    frame_pool(const frame_pool&) = delete;
    frame_pool& operator=(const frame_pool&) = delete;
    ~frame_pool() {
        for (node*& list : free_) {
            while (list != nullptr) {
                node* next = list->next;
                ::operator delete(list);
                list = next;
            }
        }
    }

    [[nodiscard]] void* allocate(std::size_t size) {
        void* frame = take(size);
        ++stats_.allocated; // after take(): where it throws there is no frame
        ++stats_.live;
        return frame;
    }

    void release(void* frame, std::size_t size) noexcept {
        --stats_.live;
        const std::size_t index = (size + granule - 1) / granule;
        if (FLUX_SANITIZED || index > classes) {
            ::operator delete(frame);
            return;
        }
        node*& list = free_[index - 1];
        list = ::new (frame) node(list);
    }

    // noinline: a coroutine may resume on a stack where the compiler cached another thread's address.
    [[nodiscard, gnu::noinline]] static void* allocate_here(std::size_t size) { return local().allocate(size); }
    [[gnu::noinline]] static void release_here(void* frame, std::size_t size) noexcept { local().release(frame, size); }
    [[nodiscard, gnu::noinline]] static frame_stats stats_here() noexcept { return local().stats_; }

private:
    [[nodiscard]] static frame_pool& local() noexcept {
        static thread_local frame_pool pool;
        return pool;
    }
    struct node {
        explicit node(node* n) noexcept : next(n) {}
        node* next;
    };

    [[nodiscard]] void* take(std::size_t size) {
        const std::size_t index = (size + granule - 1) / granule;
        if (FLUX_SANITIZED || index > classes) {
            return ::operator new(size);
        }
        node*& list = free_[index - 1];
        if (list == nullptr) {
            return ::operator new(index * granule);
        }
        node* taken = list;
        list = taken->next;
        return taken;
    }

    node* free_[classes] = {};
    frame_stats stats_;
};

} // namespace detail

/// Frame counters of the calling thread.
[[nodiscard]] inline frame_stats coroutine_frame_stats() noexcept { return detail::frame_pool::stats_here(); }

} // namespace flux::inline FLUX_ABI
