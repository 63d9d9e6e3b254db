// SPDX-License-Identifier: MIT
// flux/coro/sleep.hpp - waiting for a time: sleep_for and sleep_until.
//
// Deliberately not here: limits on other operations (with.hpp), reading the clock (context::home().now()).
#pragma once

#include <flux/core/time.hpp>
#include <flux/coro/operation.hpp>

#include <cerrno>

namespace flux::inline FLUX_ABI {

namespace detail {

class sleep_state;

class [[nodiscard]] sleep_op {
public:
    using value_type = void;
    using state_type = sleep_state;
    explicit sleep_op(time_point until) noexcept : until_(until) {}
    explicit sleep_op(duration length) noexcept : length_(length), relative_(true) {}

    [[nodiscard]] time_point until(const scheduler& home) const noexcept {
        return relative_ ? deadline_after(home.now(), length_) : until_;
    }

private:
    time_point until_{};
    duration length_{};
    bool relative_ = false;
};

// Either the timer or the stop hook ends it; the one that comes first takes the other away.
class sleep_state : public suspension, private timer {
public:
    sleep_state(sleep_op op, context_node& ctx) noexcept : suspension(ctx, &on_stop), timer(&on_timer), op_(op) {}

    bool await_ready() noexcept {
        stopped_ = ctx().stopped();
        return stopped_;
    }
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
        try {
            home().arm(*this, op_.until(home()));
        } catch (...) { // the timer queue had to grow and could not
            no_memory_ = true;
            return false;
        }
        suspend(waiter);
        return true;
    }
    [[nodiscard]] result<void> take() {
        if (no_memory_) {
            return fail(error::from_errno(ENOMEM));
        }
        if (stopped_) {
            return fail(ctx().stop_error());
        }
        return {};
    }

private:
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<sleep_state&>(hook);
        self.stopped_ = true;
        self.home().disarm(self);
        self.finish();
    }
    static void on_timer(timer& t) noexcept { static_cast<sleep_state&>(t).finish(); }

    sleep_op op_;
    bool stopped_ = false;
    bool no_memory_ = false;
};

} // namespace detail

/// Waits for `d`, counted from when it is awaited: `co_await sleep_for(200ms);`.
///
/// Zero or less does not wait for time, but lets everything else that is ready run first. A length that does
/// not fit the clock waits for ever.
/// Errors   the reason of the context (errc::canceled, errc::timed_out, ...) if it is stopped meanwhile; ENOMEM.
/// Cancel   ends at once.
/// Threads  the reactor thread.
/// Cost     one timer; no allocation once the timer queue is warm.
template <class Rep, class Period>
[[nodiscard]] detail::sleep_op sleep_for(std::chrono::duration<Rep, Period> d) noexcept {
    return detail::sleep_op(deadline_after(time_point(), d) - time_point());
}

/// Waits until the clock of the scheduler shows `at`; a time that has passed is as sleep_for(0s).
/// Otherwise as sleep_for. `sleep_until(no_deadline)` waits until the context is stopped.
[[nodiscard]] inline detail::sleep_op sleep_until(time_point at) noexcept { return detail::sleep_op(at); }

} // namespace flux::inline FLUX_ABI
