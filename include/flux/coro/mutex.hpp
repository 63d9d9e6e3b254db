// SPDX-License-Identifier: MIT
// flux/coro/mutex.hpp - async_mutex: mutual exclusion between coroutines of one thread, across suspensions.
//
// Coroutines of one thread interleave only at co_await: a section without one needs no mutex. Deliberately not
// here: exclusion between threads (std::mutex, never held across co_await), shared locks, recursion.
#pragma once

#include <flux/core/vacate.hpp>
#include <flux/coro/wait_queue.hpp>

#include <optional>

namespace flux::inline FLUX_ABI {

class async_mutex;

namespace detail {

class mutex_lock_state;

} // namespace detail

/// Holds an async_mutex, and unlocks it when it dies. Empty after it was moved from.
class [[nodiscard]] mutex_guard {
public:
    mutex_guard(mutex_guard&& other) noexcept : mutex_(detail::vacate(other.mutex_)) {}
    mutex_guard& operator=(mutex_guard&& other) noexcept {
        if (this != &other) {
            unlock();
            mutex_ = detail::vacate(other.mutex_);
        }
        return *this;
    }
    ~mutex_guard() { unlock(); }

    /// Unlocks now. No effect on an empty guard.
    void unlock() noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return mutex_ != nullptr; }

private:
    friend class async_mutex;
    friend class detail::mutex_lock_state;
    explicit mutex_guard(async_mutex& mutex) noexcept : mutex_(&mutex) {}

    async_mutex* mutex_;
};

namespace detail {

class [[nodiscard]] mutex_lock_op {
public:
    using value_type = mutex_guard;
    using state_type = mutex_lock_state;
    explicit mutex_lock_op(async_mutex& mutex) noexcept : mutex_(&mutex) {}

private:
    friend class mutex_lock_state;
    async_mutex* mutex_;
};

} // namespace detail

/// A mutex that suspends instead of blocking.
///
/// Unlocking hands the mutex to whoever has waited longest: nobody can overtake, nobody starves.
/// Lifetime  outlives every wait and every guard.
/// Threads   one thread, that of the reactor whose coroutines lock it.
/// Cost      no allocation.
class async_mutex {
public:
    async_mutex() noexcept = default;
    async_mutex(const async_mutex&) = delete;
    async_mutex& operator=(const async_mutex&) = delete;
    ~async_mutex() { FLUX_ASSERT(!locked_, "async_mutex destroyed while it is locked"); }

    [[nodiscard]] bool is_locked() const noexcept { return locked_; }

    /// Waits for the mutex: `auto guard = co_await m.lock();`.
    /// Errors   the reason of the context if it is stopped, also where the mutex is free.
    /// Cancel   ends at once. Whoever was handed the mutex has it, even if a stop follows in the same turn.
    [[nodiscard]] detail::mutex_lock_op lock() noexcept { return detail::mutex_lock_op(*this); }
    /// The mutex if it is free now.
    [[nodiscard]] std::optional<mutex_guard> try_lock() noexcept {
        if (!acquire()) {
            return std::nullopt;
        }
        return mutex_guard(*this);
    }

private:
    friend class mutex_guard;
    friend class detail::mutex_lock_state;
    // A free mutex has no waiters, because unlock() hands it over: so this cannot overtake.
    [[nodiscard]] bool acquire() noexcept { return !detail::vacate_for(locked_, true); }
    void unlock() noexcept {
        if (waiters_.empty()) {
            locked_ = false;
        } else {
            waiters_.front().grant();
        }
    }

    detail::wait_node::queue waiters_;
    bool locked_ = false;
};

inline void mutex_guard::unlock() noexcept {
    if (mutex_ != nullptr) {
        detail::vacate(mutex_)->unlock();
    }
}

namespace detail {

class mutex_lock_state : public wait_node {
public:
    mutex_lock_state(mutex_lock_op op, context_node& ctx) noexcept : wait_node(ctx), mutex_(op.mutex_) {}

    bool await_ready() noexcept {
        return ready([this] { return mutex_->acquire(); });
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { wait_in(mutex_->waiters_, waiter); }
    [[nodiscard]] result<mutex_guard> take() noexcept {
        if (!granted()) {
            return fail(ctx().stop_error());
        }
        return mutex_guard(*mutex_);
    }

private:
    async_mutex* mutex_;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI
