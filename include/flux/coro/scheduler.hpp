// SPDX-License-Identifier: MIT
// flux/coro/scheduler.hpp - one thread's ready queue, timers and mailbox: what coroutines need of a loop.
//
//   completion -> make_ready(node) -> run_ready() -> node.run -> coroutine
//
// The reactor (io/) derives from it and adds the kernel. Nothing here does a system call, so coroutine types
// are tested without one. A pass runs only what was ready before it began: this bounds the work between two
// looks at the kernel. Threads: everything belongs to the owner's thread, but mailbox().push().
#pragma once

#include <flux/core/timer_queue.hpp>
#include <flux/core/vacate.hpp>
#include <flux/coro/mailbox.hpp>

#include <coroutine>
#include <cstddef>
#include <memory>
#include <utility>

namespace flux::inline FLUX_ABI {

namespace detail {

/// An entry of the ready queue; lives in its awaiter or promise. Linked at most once at a time.
struct ready_node {
    using action = void (*)(ready_node&) noexcept;
    explicit ready_node(action r) noexcept : run(r) {}
    ready_node(const ready_node&) = delete;
    ready_node& operator=(const ready_node&) = delete;

    ready_node* next = nullptr;
    action run;
};

/// A ready_node that resumes a coroutine.
struct ready_resume : ready_node {
    ready_resume() noexcept : ready_node(&resume) {}
    std::coroutine_handle<> handle;

private:
    // noexcept: an exception that leaves a coroutine into the loop is a bug of flux, and ends the program.
    static void resume(ready_node& node) noexcept { static_cast<ready_resume&>(node).handle.resume(); }
};

} // namespace detail

/// What kind of loop a scheduler is: operations that do real I/O need a reactor; where runs are replayed, nothing may
/// depend on how fast another thread is.
enum class scheduler_kind : unsigned char { reactor, replayed, other };

class scheduler {
public:
    scheduler(const scheduler&) = delete;
    scheduler& operator=(const scheduler&) = delete;

    /// Queues a node; it runs in the next pass. Never runs anything inline.
    void make_ready(detail::ready_node& node) noexcept {
        node.next = nullptr;
        *ready_tail_ = &node;
        ready_tail_ = &node.next;
    }
    [[nodiscard]] bool has_ready() const noexcept { return ready_head_ != nullptr; }

    /// Runs what is ready now, not what becomes ready meanwhile. Returns how many.
    std::size_t run_ready() noexcept { return run_list(take_ready()); }

    /// How many operations in a row may complete without going through the ready queue. It bounds the stack
    /// where the compiler turns symmetric transfer into calls, and keeps one coroutine from starving others.
    static constexpr int inline_budget = 128;
    /// Takes one from the budget of this resumption; false: the caller must queue itself instead.
    [[nodiscard]] bool take_budget() noexcept { return --budget_ > 0; }

    void arm(timer& t, time_point at) { timers_.arm(t, at); }
    void disarm(timer& t) noexcept { timers_.disarm(t); }
    [[nodiscard]] const timer_queue& timers() const noexcept { return timers_; }

    [[nodiscard]] scheduler_kind kind() const noexcept { return kind_; }

    /// The time of this turn, read once per turn.
    [[nodiscard]] time_point now() const noexcept { return now_; }

    [[nodiscard]] const std::shared_ptr<detail::mailbox>& mailbox() const noexcept { return mailbox_; }

    /// Whether the calling thread may touch this scheduler.
    [[nodiscard]] bool on_own_thread() const noexcept { return current_slot() == this; }
    /// The scheduler that this thread is running; nullptr outside of run().
    [[nodiscard]] static scheduler* current() noexcept { return current_slot(); }

protected:
    explicit scheduler(std::shared_ptr<detail::mailbox> mail, scheduler_kind kind = scheduler_kind::other) noexcept
        : mailbox_(std::move(mail)), kind_(kind) {}
    ~scheduler() { mailbox_->close(); }

    /// Marks this thread as the owner while it exists.
    class thread_binding {
    public:
        explicit thread_binding(scheduler& s) noexcept : previous_(detail::vacate_for(current_slot(), &s)) {}
        thread_binding(const thread_binding&) = delete;
        thread_binding& operator=(const thread_binding&) = delete;
        ~thread_binding() { current_slot() = previous_; }

    private:
        scheduler* previous_;
    };

    /// The two halves of run_ready(), for a loop that puts the list into an order of its own in between.
    [[nodiscard]] detail::ready_node* take_ready() noexcept {
        ready_tail_ = &ready_head_;
        return detail::vacate(ready_head_);
    }
    std::size_t run_list(detail::ready_node* at) noexcept {
        std::size_t count = 0;
        while (at != nullptr) {
            detail::ready_node& node = *at;
            at = node.next;
            budget_ = inline_budget;
            node.run(node);
            ++count;
        }
        return count;
    }

    void set_now(time_point now) noexcept { now_ = now; }
    timer_queue& timer_heap() noexcept { return timers_; }

private:
    // noinline: see frame_pool::local().
    [[nodiscard, gnu::noinline]] static scheduler*& current_slot() noexcept {
        static thread_local scheduler* current = nullptr;
        return current;
    }

    detail::ready_node* ready_head_ = nullptr;
    detail::ready_node** ready_tail_ = &ready_head_;
    int budget_ = inline_budget;
    time_point now_{};
    timer_queue timers_;
    std::shared_ptr<detail::mailbox> mailbox_;
    scheduler_kind kind_;
};

} // namespace flux::inline FLUX_ABI
