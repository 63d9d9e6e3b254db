// SPDX-License-Identifier: MIT
#include <flux/coro/frame_pool.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/mutex.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>
#include <utility>
#include <vector>

using namespace flux;
using detail::frame_pool;
using test_support::frame_check;
using test_support::manual_loop;

namespace {

/// Calls f on a thread of its own, whose pool is new.
template <class F>
void on_new_thread(F f) {
    std::thread(f).join();
}

void* allocate(std::size_t size) { return frame_pool::allocate_here(size); }
void release(void* frame, std::size_t size) { frame_pool::release_here(frame, size); }

} // namespace

TEST_SUITE("coro/frame_pool") {

TEST_CASE("counts frames that exist, and frames that ever did") {
    on_new_thread([] {
        void* a = allocate(100);
        void* b = allocate(5000);
        CHECK(coroutine_frame_stats().allocated == 2);
        CHECK(coroutine_frame_stats().live == 2);
        release(a, 100);
        release(b, 5000);
        CHECK(coroutine_frame_stats().allocated == 2);
        CHECK(coroutine_frame_stats().live == 0);
    });
}

TEST_CASE("a frame is usable from its first to its last octet in every size class") {
    const frame_check check;
    for (int round = 0; round < 2; ++round) { // the second round takes what the first one gave back
        std::vector<std::pair<unsigned char*, std::size_t>> frames;
        for (std::size_t size = 1; size <= 2112; size += 7) {
            auto* octets = static_cast<unsigned char*>(allocate(size));
            CHECK(reinterpret_cast<std::uintptr_t>(octets) % alignof(std::max_align_t) == 0);
            for (std::size_t i = 0; i < size; ++i) {
                octets[i] = static_cast<unsigned char>(size);
            }
            frames.emplace_back(octets, size);
        }
        bool intact = true;
        for (const auto& [octets, size] : frames) {
            for (std::size_t i = 0; i < size; ++i) {
                intact = intact && octets[i] == static_cast<unsigned char>(size);
            }
            release(octets, size);
        }
        CHECK(intact);
    }
    CHECK(check.alive() == 0);
}

#if !FLUX_SANITIZED
TEST_CASE("a frame of the same size class is used again, last in first out") {
    on_new_thread([] {
        constexpr std::size_t small = frame_pool::granule + 1;
        constexpr std::size_t large = 2 * frame_pool::granule; // the same class
        void* a = allocate(small);
        void* b = allocate(large);
        release(a, small);
        release(b, large);
        CHECK(allocate(large - 1) == b);
        CHECK(allocate(large) == a);
        void* other_class = allocate(large + 1);
        CHECK(other_class != a);
        CHECK(other_class != b);
        release(other_class, large + 1);
        release(a, large);
        release(b, large);
    });
}

TEST_CASE("an allocation that fails is not counted") {
    on_new_thread([] {
        volatile std::size_t too_much = ~std::size_t{0} / 2 - 4096;
        CHECK_THROWS_AS(static_cast<void>(allocate(too_much)), std::bad_alloc);
        CHECK(coroutine_frame_stats().allocated == 0);
        CHECK(coroutine_frame_stats().live == 0);
    });
}
#endif

TEST_CASE("a frame may be freed on another thread, and serves that one from then on") {
    void* frame = allocate(300);
    on_new_thread([frame] {
        release(frame, 300);
        void* again = allocate(300);
        CHECK((FLUX_SANITIZED || again == frame));
        release(again, 300);
    });
}

TEST_CASE("each task is one frame, and nothing else is") {
    manual_loop loop;
    async_event event(true);
    async_mutex mutex;
    auto leaf = []() -> task<int> { co_return 1; };
    auto body = [&]() -> task<> {
        const frame_check frames;
        auto one = co_await leaf();
        CHECK(one == 1);
        CHECK(frames.made() == 1);
        CHECK(frames.alive() == 0);
        co_await event.wait();
        auto guard = co_await mutex.lock();
        CHECK(frames.made() == 1);
    };
    CHECK(loop.run(body()));
}

} // TEST_SUITE
