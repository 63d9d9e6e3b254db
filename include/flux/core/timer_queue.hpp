// SPDX-License-Identifier: MIT
// flux/core/timer_queue.hpp - which timer fires next: a 4-ary heap with back indices.
//
// arm and disarm are O(log n); memory is 16 octets per armed timer, kept after use, so a warm queue does not
// allocate. Timers of one time fire in the order in which they were armed: a run in virtual time can be
// replayed, and nobody starves. Deliberately not here: reading a clock (the reactor), lazy re-arming (context).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/time.hpp>
#include <flux/core/vacate.hpp>

#include <cstddef>
#include <cstdint>

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
    std::uint32_t order_ = 0; // number of the call of arm(); wraps around
};

/// Threads  one. A timer belongs to one queue while it is armed.
class timer_queue {
public:
    timer_queue() noexcept = default;
    timer_queue(const timer_queue&) = delete; // the timers know their places in this heap
    timer_queue& operator=(const timer_queue&) = delete;
    ~timer_queue() { FLUX_ASSERT(heap_.empty(), "timer queue destroyed while timers are armed"); }

    /// Arms `t` for `at`, or moves it there if it is armed already, behind the others of that time.
    /// Errors  std::bad_alloc: `t` is as it was; never for a timer that is armed.
    void arm(timer& t, time_point at) {
        at = at < floor_ ? floor_ : at;
        if (t.is_armed()) {
            const std::size_t i = place_of(t);
            t.order_ = next_order_++;
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
        t.order_ = next_order_++;
        t.index_ = static_cast<std::uint32_t>(heap_.size() - 1);
        sift_up(heap_.size() - 1);
    }

    /// No effect on a timer that is not armed.
    void disarm(timer& t) noexcept {
        if (!t.is_armed()) {
            return;
        }
        const std::size_t i = place_of(t);
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
    /// Memory for `count` armed timers, so that arming them cannot fail.
    void reserve(std::size_t count) { heap_.reserve(count); }

    /// Fires every timer due at `now`, earliest first. Returns how many. A callback may arm and disarm
    /// anything and destroy its own timer; a timer that it arms for a time not after `now` fires in the
    /// next call, so this ends, and all that was due before has fired by then.
    std::size_t fire_due(time_point now) noexcept {
        // What callbacks arm for the past counts as `now`, and so comes behind everything that is due.
        const time_point outer_floor = detail::vacate_for(floor_, now);
        const std::uint32_t first_new = next_order_;
        std::size_t fired = 0;
        while (!heap_.empty() && heap_.front().at <= now && older(heap_.front().what->order_, first_new)) {
            timer& t = *heap_.front().what;
            disarm(t);
            ++fired;
            t.fire_(t);
        }
        floor_ = outer_floor;
        return fired;
    }

private:
    struct entry {
        entry(time_point when, timer& t) noexcept : at(when), what(&t) {}
        time_point at;
        timer* what;
    };

    // Right for any two that were armed less than 2^31 calls apart.
    static bool older(std::uint32_t a, std::uint32_t b) noexcept { return static_cast<std::int32_t>(a - b) < 0; }
    static bool before(const entry& a, const entry& b) noexcept {
        return a.at != b.at ? a.at < b.at : older(a.what->order_, b.what->order_);
    }
    [[nodiscard]] std::size_t place_of(const timer& t) const noexcept {
        FLUX_ASSERT(t.index_ < heap_.size() && heap_[t.index_].what == &t, "timer belongs to another queue");
        return t.index_;
    }
    void place(std::size_t i, const entry& e) noexcept {
        heap_[i] = e;
        e.what->index_ = static_cast<std::uint32_t>(i);
    }
    void sift_up(std::size_t i) noexcept {
        const entry e = heap_[i];
        while (i > 0) {
            const std::size_t parent = (i - 1) / 4;
            if (!before(e, heap_[parent])) {
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
                if (before(heap_[child], heap_[best])) {
                    best = child;
                }
            }
            if (!before(heap_[best], e)) {
                break;
            }
            place(i, heap_[best]);
            i = best;
        }
        place(i, e);
    }

    detail::dynamic_array<entry> heap_;
    time_point floor_ = time_point::min(); // arm() takes nothing earlier; set while timers fire
    std::uint32_t next_order_ = 0;
};

} // namespace flux::inline FLUX_ABI
