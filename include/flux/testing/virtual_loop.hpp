// SPDX-License-Identifier: MIT
// flux/testing/virtual_loop.hpp - a loop without a kernel, whose clock jumps to the next timer.
//
//   turn: mail -> timers that are due -> ready queue;  nothing left to do now: the clock jumps
//
// An hour of time-outs passes in microseconds, and every run is the same. Where the loop of a program would hang
// or spin for ever, run() comes back with an error. Deliberately not here: I/O (memory_stream.hpp,
// sim_network.hpp), waiting for other threads (a run would then depend on the machine).
#pragma once

#include <flux/core/time.hpp>
#include <flux/coro/scope.hpp>
#include <flux/testing/prng.hpp>

#include <string>
#include <vector>

namespace flux::inline FLUX_ABI::testing {

struct virtual_loop_options {
    std::uint64_t shuffle_seed = 0;         ///< 0: ready coroutines run in order; else in an order drawn from it
    std::uint64_t max_steps = 10'000'000;   ///< resumptions and timers in one run(); 0: no limit
};
static_assert(std::is_trivially_destructible_v<virtual_loop_options>);

/// The scheduler of tests: virtual time, and an order of execution that depends on the options only.
///
///     virtual_loop loop;
///     auto r = loop.run(scenario());
///
/// now() starts at an arbitrary fixed time and moves only when nothing is ready, or by advance(). With a
/// shuffle_seed each pass of the ready queue runs in another order: what passes for many seeds does not
/// depend on who was queued first.
/// A blocking() call is made by the loop itself, and takes no virtual time: it must not wait for another coroutine.
/// Threads  one; others may only push to mailbox(), before run() or from inside it.
class virtual_loop : public scheduler {
public:
    explicit virtual_loop(virtual_loop_options options = {})
        : scheduler(std::make_shared<box>(), scheduler_kind::replayed), options_(options), order_(options.shuffle_seed) {
        set_now(epoch());
    }

    /// Runs one task (or other operation) to its end, and everything that becomes ready with it.
    ///
    /// Errors   the error of the task. If nothing can happen any more (no coroutine is ready, no timer armed,
    ///          no mail): EDEADLK, with the number of coroutine frames alive on this thread. More than max_steps:
    ///          errc::limit. In both cases the task has been stopped with `canceled`, and has ended. One that
    ///          waits on even so aborts the program: its frame could be neither resumed nor destroyed.
    /// Throws   what the task threw, if that is not a flux::error.
    template <operation Op>
        requires(!std::is_lvalue_reference_v<Op>)
    result<value_of<Op>> run(Op&& op) {
        FLUX_ASSERT(current() == nullptr, "virtual_loop::run() called from inside a loop");
        const thread_binding binding(*this);
        detail::context_node root(*this);
        detail::outcome<value_of<Op>> end;
        error trouble{std::error_code()};
        {
            task_scope scope{context(root)};
            scope.spawn(keep_outcome(std::remove_cvref_t<Op>(std::forward<Op>(op)), end));
            if (!drive(scope, trouble)) {
                root.stop(stop_reason::canceled);
                error still{std::error_code()};
                FLUX_ASSERT(drive(scope, still), "virtual_loop: coroutines wait on although they were stopped");
            }
            settle();
        }
        gave_up_ = static_cast<bool>(trouble.code());
        if (gave_up_) {
            return fail(std::move(trouble));
        }
        return end.take();
    }

    /// Whether the last run() ended because nothing could happen any more, or by max_steps.
    [[nodiscard]] bool gave_up() const noexcept { return gave_up_; }

    /// Moves the clock. Inside of run(): as if this thread had computed for `d`; what became due meanwhile
    /// fires late, in the next turn. Outside: timers up to then fire in their order, each at its time.
    void advance(duration d) {
        const time_point target = deadline_after(now(), d);
        if (current() != this) {
            const thread_binding binding(*this);
            const std::uint64_t last = last_step();
            while (timers().next() <= target && steps_ <= last) {
                set_now(timers().next() > now() ? timers().next() : now());
                turn();
                settle();
            }
        }
        set_now(target);
    }

    /// Virtual time since construction.
    [[nodiscard]] duration elapsed() const noexcept { return now() - epoch(); }
    /// Resumptions and timers since construction.
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

private:
    class box final : public detail::mailbox {
    protected:
        void wake() noexcept override {} // the owner never sleeps
    };

    // Not zero: a time that was never set must not look like the start.
    static constexpr time_point epoch() noexcept { return time_point(hours(1000)); }

    template <class Op>
    static task<> keep_outcome(Op op, detail::outcome<value_of<Op>>& end) {
        try {
            auto r = co_await attempt(std::move(op));
            if (!r) {
                end.set_error(std::move(r).error());
            } else if constexpr (std::is_void_v<value_of<Op>>) {
                end.set_value();
            } else {
                end.set_value(*std::move(r));
            }
        } catch (...) {
            end.set_current_exception();
        }
    }

    // Until the scope is empty. False: it never will be; `trouble` says why.
    [[nodiscard]] bool drive(const task_scope& scope, error& trouble) {
        const std::uint64_t last = last_step();
        for (;;) {
            turn();
            if (scope.size() == 0) {
                return true;
            }
            if (steps_ > last) {
                trouble = error(errc::limit).doing(status("more than " + std::to_string(options_.max_steps) + " steps"));
                return false;
            }
            if (!jump()) {
                trouble = error(std::make_error_code(std::errc::resource_deadlock_would_occur))
                              .doing(status("nothing is ready and no timer is armed"));
                return false;
            }
        }
    }

    [[nodiscard]] std::uint64_t last_step() const noexcept {
        return options_.max_steps == 0 ? ~std::uint64_t{0} : steps_ + options_.max_steps;
    }

    void turn() {
        steps_ += mailbox()->run_all();
        steps_ += timer_heap().fire_due(now());
        steps_ += run_list(options_.shuffle_seed == 0 ? take_ready() : shuffled(take_ready()));
    }

    // Makes sure that the next turn has something to do. False: there is nothing.
    [[nodiscard]] bool jump() {
        if (has_ready()) {
            return true;
        }
        if (!mailbox()->announce_sleep()) {
            return true;
        }
        mailbox()->announce_awake();
        const time_point next = timers().next();
        if (next == no_deadline) {
            return false;
        }
        if (next > now()) {
            set_now(next);
        }
        return true;
    }

    // What is queued without a coroutine of the run behind it, such as a notice that a buffer came back.
    void settle() {
        for (int turns = 0; turns < 1000 && has_ready(); ++turns) {
            turn();
        }
    }

    // Fisher and Yates: each of the n! orders is equally likely.
    [[nodiscard]] detail::ready_node* shuffled(detail::ready_node* list) {
        pass_.clear();
        for (detail::ready_node* at = list; at != nullptr; at = at->next) {
            pass_.push_back(at);
        }
        detail::ready_node* head = nullptr;
        for (std::size_t left = pass_.size(); left > 0; --left) {
            const std::size_t chosen = order_.below(left);
            pass_[chosen]->next = head;
            head = pass_[chosen];
            pass_[chosen] = pass_[left - 1];
        }
        return head;
    }

    [[nodiscard]] std::string status(const std::string& what) const {
        const auto at = std::chrono::duration_cast<microseconds>(elapsed()).count();
        const std::uint64_t frames = coroutine_frame_stats().live - 2; // without the child and keep_outcome()
        return "virtual_loop: " + what + ", at " + std::to_string(at) + " us with " +
               std::to_string(frames) + " coroutine frames alive";
    }

    virtual_loop_options options_;
    prng order_;
    std::vector<detail::ready_node*> pass_; // kept, so that a warm loop does not allocate
    std::uint64_t steps_ = 0;
    bool gave_up_ = false;
};

} // namespace flux::inline FLUX_ABI::testing
