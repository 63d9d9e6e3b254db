// SPDX-License-Identifier: MIT
// flux/coro/operation.hpp - the protocol between a coroutine and what it waits for.
//
// What users hold is an *operation*: a small movable description (a verb's arguments) with
//     using value_type = T;   using state_type = S;
// `co_await` turns it into its *state*, which lives in the awaiting frame, is immovable, and has
//     S(Op&&, context_node&)       the ambient context comes in here
//     bool await_ready(); bool|void|handle await_suspend(handle);     both noexcept
//     result<T> take();            the outcome, once
// From one state flux makes both forms: `co_await op` yields T or throws flux::error, and
// `co_await attempt(op)` yields result<T>. A state that wraps another state (with_timeout, shield) passes it
// a context of its own and costs no frame. Deliberately not here: tasks (task.hpp), kernel operations (io/).
#pragma once

#include <flux/core/result.hpp>
#include <flux/coro/context.hpp>

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

/// Something flux can wait for. See the head of operation.hpp.
template <class Op>
concept operation = requires {
    typename std::remove_cvref_t<Op>::value_type;
    typename std::remove_cvref_t<Op>::state_type;
} && __is_constructible(typename std::remove_cvref_t<Op>::state_type, Op, detail::context_node&);

/// What `co_await` of the operation yields.
template <class Op>
using value_of = typename std::remove_cvref_t<Op>::value_type;

namespace detail {

template <class Op>
using state_of = typename std::remove_cvref_t<Op>::state_type;

template <class State>
class throwing final : public State {
public:
    using State::State;
    auto await_resume() {
        auto outcome = State::take();
        if (!outcome) {
            throw_error(static_cast<decltype(outcome)&&>(outcome).error());
        }
        return *static_cast<decltype(outcome)&&>(outcome); // by value; void for result<void>
    }
};

template <class State>
class attempting final : public State {
public:
    using State::State;
    auto await_resume() { return State::take(); }
};

// An aggregate: a constructor would be one more function per operation.
template <class Op>
struct attempt_op {
    Op op_;
};

/// Base of states that wait in user space or in the kernel and can be told to stop.
///
///   idle --suspend()--> waiting --finish()--> ready queue --> resumed
///
/// finish() is called exactly once per suspend(): by the completion, or by the stop hook of a state that can
/// end at once. Between the two the hook is registered, so a stop after finish() cannot reach a dead frame.
class suspension : public stop_hook, public ready_resume {
protected:
    suspension(context_node& ctx, stop_hook::action on_stop) noexcept : stop_hook(on_stop), ctx_(&ctx) {}

    void suspend(std::coroutine_handle<> waiter) noexcept {
        ready_resume::handle = waiter;
        ctx_->add(*this);
    }
    void finish() noexcept {
        stop_hook::unlink();
        ctx_->home().make_ready(*this);
    }
    [[nodiscard]] context_node& ctx() const noexcept { return *ctx_; }
    [[nodiscard]] scheduler& home() const noexcept { return ctx_->home(); }

private:
    context_node* ctx_;
};

/// Base of states that may complete without suspending: takes the inline budget, so that a loop of ready
/// operations goes through the ready queue once in a while.
class budgeted : public suspension {
protected:
    using suspension::suspension;
    /// For await_ready: true if the caller may complete inline now.
    [[nodiscard]] bool may_run_inline() noexcept {
        yielding_ = !home().take_budget();
        return !yielding_;
    }
    /// For await_suspend: true if this suspension only yields; the node is queued then.
    [[nodiscard]] bool yield_if_out_of_budget(std::coroutine_handle<> waiter) noexcept {
        if (!yielding_) {
            return false;
        }
        ready_resume::handle = waiter;
        home().make_ready(*this);
        return true;
    }

private:
    bool yielding_ = false;
};

} // namespace detail

/// The non-throwing form of an operation: `auto r = co_await attempt(op);` gives result<T>.
/// Exceptions that are not flux::error (user code in a task) still pass through.
template <operation Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto attempt(Op&& op) {
    return detail::attempt_op<std::remove_cvref_t<Op>>{static_cast<Op&&>(op)};
}

} // namespace flux::inline FLUX_ABI
