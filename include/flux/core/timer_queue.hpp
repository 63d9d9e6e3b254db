// SPDX-License-Identifier: MIT
// flux/core/timer_queue.hpp - which timer fires next: a 4-ary heap with back indices.
//
// arm and disarm are O(log n); memory is 16 octets per armed timer, kept after use, so a warm queue does not
// allocate. Deliberately not here: reading a clock (the reactor), lazy re-arming (context).
#pragma once

#include <flux/core/time.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace flux::inline FLUX_ABI {

/// One pending call of `fire`. Immovable while armed; must be disarmed before it dies.
class timer {
public:
    using callback = void (*)(timer&) noexcept;

    explicit timer(callback fire) noexcept : fire_(fire) {}
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    ~timer() { FLUX_ASSERT(!is_armed(), "timer destroyed while armed"); }

    [[nodiscard]] bool is_armed() const noexcept { return index_ != idle; }

private:
    friend class timer_queue;
    static constexpr std::uint32_t idle = ~std::uint32_t{0};
    callback fire_;
    std::uint32_t index_ = idle;
};

class timer_queue {
public:
    /// Arms `t` for `at`, or moves it there if it is armed already.
    void arm(timer& t, time_point at) {
        if (t.is_armed()) {
            const std::size_t i = t.index_;
            const bool earlier = at < heap_[i].at;
            heap_[i].at = at;
            if (earlier) {
                sift_up(i);
            } else {
                sift_down(i);
            }
            return;
        }
        heap_.push_back(entry(at, t));
        t.index_ = static_cast<std::uint32_t>(heap_.size() - 1);
        sift_up(heap_.size() - 1);
    }

    /// No effect on a timer that is not armed.
    void disarm(timer& t) noexcept {
        if (!t.is_armed()) {
            return;
        }
        const std::size_t i = t.index_;
        t.index_ = timer::idle;
        const entry last = heap_.back();
        heap_.pop_back();
        if (i == heap_.size()) {
            return;
        }
        place(i, last);
        sift_up(i);
        sift_down(last.what->index_);
    }

    /// When the next timer is due; no_deadline if none is armed.
    [[nodiscard]] time_point next() const noexcept { return heap_.empty() ? no_deadline : heap_.front().at; }
    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }

    /// Fires every timer due at `now`, earliest first. Returns how many. A callback may arm and disarm
    /// anything; a timer that it arms for a time not after `now` fires in the next call, so this ends.
    std::size_t fire_due(time_point now) noexcept {
        std::size_t fired = 0;
        const std::size_t bound = heap_.size();
        while (fired < bound && !heap_.empty() && heap_.front().at <= now) {
            timer& t = *heap_.front().what;
            disarm(t);
            ++fired;
            t.fire_(t);
        }
        return fired;
    }

private:
    struct entry {
        entry(time_point when, timer& t) noexcept : at(when), what(&t) {}
        time_point at;
        timer* what;
    };

    void place(std::size_t i, const entry& e) noexcept {
        heap_[i] = e;
        e.what->index_ = static_cast<std::uint32_t>(i);
    }
    void sift_up(std::size_t i) noexcept {
        const entry e = heap_[i];
        while (i > 0) {
            const std::size_t parent = (i - 1) / 4;
            if (!(e.at < heap_[parent].at)) {
                break;
            }
            place(i, heap_[parent]);
            i = parent;
        }
        place(i, e);
    }
    void sift_down(std::size_t i) noexcept {
        const entry e = heap_[i];
        const std::size_t size = heap_.size();
        for (;;) {
            const std::size_t first = 4 * i + 1;
            if (first >= size) {
                break;
            }
            std::size_t best = first;
            for (std::size_t child = first + 1; child < first + 4 && child < size; ++child) {
                if (heap_[child].at < heap_[best].at) {
                    best = child;
                }
            }
            if (!(heap_[best].at < e.at)) {
                break;
            }
            place(i, heap_[best]);
            i = best;
        }
        place(i, e);
    }

    std::vector<entry> heap_;
};

} // namespace flux::inline FLUX_ABI
