// SPDX-License-Identifier: MIT
// tests/support/manual_loop.hpp - a loop that a test turns by hand, pass by pass, in virtual time. No kernel.
//
// For tests that have to say what happens in one pass and what in the next; everything else can use
// flux/testing/virtual_loop.hpp. Other threads may push mail; serve() waits for it.
#pragma once

#include <flux/coro/scope.hpp>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace test_support {

class manual_loop final : public flux::scheduler {
public:
    manual_loop() : manual_loop(std::make_shared<letter_box>()) {}
    ~manual_loop() {
        if (scope_.size() != 0) { // a test has failed half-way: let it report that, not an abort
            root_.stop(flux::stop_reason::shutdown);
            drain();
        }
    }

    /// The context of what spawn() starts.
    [[nodiscard]] flux::context root() noexcept { return flux::context(root_); }
    /// Starts a child of root(); runs first in the next turn.
    template <class... Args>
    void spawn(Args&&... args) {
        scope_.spawn(std::forward<Args>(args)...);
    }
    /// Children that have not ended.
    [[nodiscard]] std::size_t live() const noexcept { return scope_.size(); }

    /// One turn: mail, due timers, then one pass of the ready queue. Returns how many things were run.
    std::size_t turn() {
        const std::size_t mails = mailbox()->run_all();
        const std::size_t timers = timer_heap().fire_due(now());
        return mails + timers + run_ready();
    }
    /// Only the timers of a turn.
    void fire_due() { timer_heap().fire_due(now()); }
    /// Turns until nothing is left to do at this time.
    void drain() {
        while (turn() != 0) {
        }
    }
    /// Moves the time, and stops at each timer on the way.
    void advance(flux::duration d) {
        const flux::time_point target = now() + d;
        drain();
        while (timers().next() <= target) {
            set_now(timers().next());
            drain();
        }
        set_now(target);
        drain();
    }
    /// Moves the time without running anything.
    void jump(flux::duration d) { set_now(now() + d); }
    [[nodiscard]] flux::duration elapsed() const noexcept { return now() - epoch(); }

    /// Runs one operation to its end; time jumps when nothing is ready. Throws std::logic_error when it hangs.
    template <flux::operation Op>
    flux::result<flux::value_of<Op>> run(Op&& op) {
        return drive(std::forward<Op>(op), [this] {
            if (timers().next() == flux::no_deadline) {
                throw std::logic_error("nothing is ready and no timer is armed");
            }
            set_now(timers().next());
        });
    }
    /// The same, but waits for mail where run() would jump.
    template <flux::operation Op>
    flux::result<flux::value_of<Op>> serve(Op&& op) {
        return drive(std::forward<Op>(op), [this] {
            if (mailbox()->announce_sleep()) {
                box_->sleep();
                mailbox()->announce_awake();
            }
        });
    }

private:
    class letter_box final : public flux::detail::mailbox {
    public:
        void sleep() {
            std::unique_lock lock(mutex_);
            woken_cv_.wait(lock, [this] { return woken_; });
            woken_ = false;
        }

    protected:
        void wake() noexcept override {
            const std::lock_guard lock(mutex_);
            woken_ = true;
            woken_cv_.notify_one();
        }

    private:
        std::mutex mutex_;
        std::condition_variable woken_cv_;
        bool woken_ = false;
    };

    static constexpr flux::time_point epoch() noexcept { return flux::time_point(flux::hours(1000)); }

    explicit manual_loop(std::shared_ptr<letter_box> box) : scheduler(box), box_(std::move(box)) { set_now(epoch()); }

    template <class Op>
    static flux::task<> keep_outcome(Op op, flux::detail::outcome<flux::value_of<Op>>& end) {
        try {
            auto r = co_await flux::attempt(std::move(op));
            if (!r) {
                end.set_error(std::move(r).error());
            } else if constexpr (std::is_void_v<flux::value_of<Op>>) {
                end.set_value();
            } else {
                end.set_value(*std::move(r));
            }
        } catch (...) {
            end.set_current_exception();
        }
    }
    template <class Op, class Idle>
    flux::result<flux::value_of<Op>> drive(Op&& op, Idle idle) {
        flux::detail::outcome<flux::value_of<Op>> end;
        flux::task_scope scope{root()};
        scope.spawn(keep_outcome(std::remove_cvref_t<Op>(std::forward<Op>(op)), end));
        try {
            while (scope.size() != 0) {
                if (turn() == 0) {
                    idle();
                }
            }
        } catch (...) {
            root_.stop(flux::stop_reason::shutdown);
            drain();
            throw;
        }
        return end.take();
    }

    std::shared_ptr<letter_box> box_;
    thread_binding binding_{*this};
    flux::detail::context_node root_{*this};
    flux::task_scope scope_{flux::context(root_), flux::scope_policy::collect};
};

/// Frames alive on this thread since the object was made: a leak check for a test case.
class frame_check {
public:
    [[nodiscard]] std::uint64_t alive() const noexcept { return flux::coroutine_frame_stats().live - at_start_; }
    [[nodiscard]] std::uint64_t made() const noexcept { return flux::coroutine_frame_stats().allocated - made_before_; }

private:
    std::uint64_t at_start_ = flux::coroutine_frame_stats().live;
    std::uint64_t made_before_ = flux::coroutine_frame_stats().allocated;
};

} // namespace test_support
