// SPDX-License-Identifier: MIT
// flux/coro/semaphore.hpp - async_semaphore: at most so many at a time, between coroutines of one thread.
//
// Deliberately not here: limits that adapt to load (resilience/), counting across threads.
#pragma once

#include <flux/core/vacate.hpp>
#include <flux/coro/wait_queue.hpp>

#include <cstddef>
#include <optional>

namespace flux::inline FLUX_ABI {

class async_semaphore;

namespace detail {

class semaphore_acquire_state;

} // namespace detail

/// Holds permits of an async_semaphore, and gives them back when it dies. Empty after it was moved from.
class [[nodiscard]] semaphore_permit {
public:
    semaphore_permit(semaphore_permit&& other) noexcept
        : semaphore_(detail::vacate(other.semaphore_)), count_(detail::vacate(other.count_)) {}
    semaphore_permit& operator=(semaphore_permit&& other) noexcept {
        if (this != &other) {
            release();
            semaphore_ = detail::vacate(other.semaphore_);
            count_ = detail::vacate(other.count_);
        }
        return *this;
    }
    ~semaphore_permit() { release(); }

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    /// Gives the permits back now. No effect on an empty one.
    void release() noexcept;
    /// Lets the permits go without giving them back: somebody calls async_semaphore::release(n) later, or they
    /// are used up for good. Returns how many.
    std::size_t forget() noexcept {
        semaphore_ = nullptr;
        return detail::vacate(count_);
    }

private:
    friend class async_semaphore;
    friend class detail::semaphore_acquire_state;
    semaphore_permit(async_semaphore& semaphore, std::size_t count) noexcept : semaphore_(&semaphore), count_(count) {}

    async_semaphore* semaphore_;
    std::size_t count_;
};

namespace detail {

class [[nodiscard]] semaphore_acquire_op {
public:
    using value_type = semaphore_permit;
    using state_type = semaphore_acquire_state;
    semaphore_acquire_op(async_semaphore& semaphore, std::size_t count) noexcept
        : semaphore_(&semaphore), count_(count) {}

private:
    friend class semaphore_acquire_state;
    async_semaphore* semaphore_;
    std::size_t count_;
};

} // namespace detail

/// A counter of permits to take and give back.
///
/// Strictly first come, first served: a request for many permits that cannot be met yet holds up smaller ones
/// behind it, so it does not starve.
/// Lifetime  outlives every wait and every permit.
/// Threads   one thread, that of the reactor whose coroutines use it.
/// Cost      no allocation.
class async_semaphore {
public:
    /// Params   permits  how many there are at first; more may be added by release().
    explicit async_semaphore(std::size_t permits) noexcept : permits_(permits) {}
    async_semaphore(const async_semaphore&) = delete;
    async_semaphore& operator=(const async_semaphore&) = delete;
    ~async_semaphore() { FLUX_ASSERT(waiters_.empty(), "async_semaphore destroyed while a coroutine waits for it"); }

    /// Permits that are free now.
    [[nodiscard]] std::size_t available() const noexcept { return permits_; }

    /// Waits for `count` permits and takes all of them at once: `auto permit = co_await s.acquire();`.
    /// Params   count  more than will ever exist waits until the context is stopped.
    /// Errors   the reason of the context if it is stopped, also where permits are free.
    /// Cancel   ends at once, and lets smaller requests behind it pass. Whoever was given permits has them, even
    ///          if a stop follows in the same turn.
    [[nodiscard]] detail::semaphore_acquire_op acquire(std::size_t count = 1) noexcept {
        return detail::semaphore_acquire_op(*this, count);
    }
    /// The permits if they are free now and nobody waits.
    [[nodiscard]] std::optional<semaphore_permit> try_acquire(std::size_t count = 1) noexcept {
        if (!take(count)) {
            return std::nullopt;
        }
        return semaphore_permit(*this, count);
    }
    /// Adds permits. What a semaphore_permit holds comes back by itself.
    void release(std::size_t count = 1) noexcept {
        permits_ += count;
        serve();
    }

private:
    friend class detail::semaphore_acquire_state;
    [[nodiscard]] bool take(std::size_t count) noexcept {
        if (!waiters_.empty() || permits_ < count) {
            return false;
        }
        permits_ -= count;
        return true;
    }
    void serve() noexcept;

    detail::wait_node::queue waiters_;
    std::size_t permits_;
};

inline void semaphore_permit::release() noexcept {
    if (semaphore_ != nullptr) {
        detail::vacate(semaphore_)->release(detail::vacate(count_));
    }
}

namespace detail {

class semaphore_acquire_state : public wait_node {
public:
    semaphore_acquire_state(semaphore_acquire_op op, context_node& ctx) noexcept
        : wait_node(ctx, &leave_and_serve), semaphore_(op.semaphore_), count_(op.count_) {}

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    bool await_ready() noexcept {
        return ready([this] { return semaphore_->take(count_); });
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { wait_in(semaphore_->waiters_, waiter); }
    [[nodiscard]] result<semaphore_permit> take() noexcept {
        if (!granted()) {
            return fail(ctx().stop_error());
        }
        return semaphore_permit(*semaphore_, count_);
    }

private:
    // The one that leaves may have been what held up the others.
    static void leave_and_serve(stop_hook& hook) noexcept {
        leave(hook);
        static_cast<semaphore_acquire_state&>(hook).semaphore_->serve();
    }

    async_semaphore* semaphore_;
    std::size_t count_;
};

} // namespace detail

inline void async_semaphore::serve() noexcept {
    while (!waiters_.empty()) {
        auto& first = static_cast<detail::semaphore_acquire_state&>(waiters_.front());
        if (first.count() > permits_) {
            break;
        }
        permits_ -= first.count();
        first.grant();
    }
}

} // namespace flux::inline FLUX_ABI
