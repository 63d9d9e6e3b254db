// SPDX-License-Identifier: MIT
// flux/coro/event.hpp - async_event: a flag that coroutines of one thread can wait for.
//
// Deliberately not here: handing over values (channel.hpp), counting (semaphore.hpp), signals from other
// threads (the mailbox of a scheduler).
#pragma once

#include <flux/coro/wait_queue.hpp>

namespace flux::inline FLUX_ABI {

class async_event;

namespace detail {

class event_wait_state;

class [[nodiscard]] event_wait_op {
public:
    using value_type = void;
    using state_type = event_wait_state;
    explicit event_wait_op(async_event& event) noexcept : event_(&event) {}

private:
    friend class event_wait_state;
    async_event* event_;
};

} // namespace detail

/// A manual-reset event: wait() lets everybody pass while it is set.
///
/// Lifetime  outlives every wait.
/// Threads   one thread, that of the reactor whose coroutines wait.
/// Cost      no allocation.
class async_event {
public:
    explicit async_event(bool set = false) noexcept : set_(set) {}
    async_event(const async_event&) = delete;
    async_event& operator=(const async_event&) = delete;
    ~async_event() { FLUX_ASSERT(waiters_.empty(), "async_event destroyed while a coroutine waits for it"); }

    [[nodiscard]] bool is_set() const noexcept { return set_; }
    /// Lets everybody who waits now pass, in the order in which they came, even if reset() follows at once.
    void set() noexcept {
        set_ = true;
        while (!waiters_.empty()) {
            waiters_.front().grant();
        }
    }
    void reset() noexcept { set_ = false; }

    /// Waits until the event is set; does not suspend if it is.
    /// Errors   the reason of the context if it is stopped, also where the event is set already.
    /// Cancel   ends at once. A wait that set() has ended succeeds, even if a stop follows in the same turn.
    [[nodiscard]] detail::event_wait_op wait() noexcept { return detail::event_wait_op(*this); }

private:
    friend class detail::event_wait_state;
    detail::wait_node::queue waiters_;
    bool set_;
};

namespace detail {

class event_wait_state : public wait_node {
public:
    event_wait_state(event_wait_op op, context_node& ctx) noexcept : wait_node(ctx), event_(op.event_) {}

    bool await_ready() noexcept {
        return ready([this] { return event_->set_; });
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { wait_in(event_->waiters_, waiter); }
    [[nodiscard]] result<void> take() noexcept {
        if (!granted()) {
            return fail(ctx().stop_error());
        }
        return {};
    }

private:
    async_event* event_;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI
