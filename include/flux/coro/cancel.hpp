// SPDX-License-Identifier: MIT
// flux/coro/cancel.hpp - cancel_source and cancel_token: stopping work from any thread; until_stopped().
//
//   source.cancel() --own thread----> every with_cancel() below this scheduler is stopped
//                   --other thread--> one mail to each scheduler concerned --its mailbox--> the same there
//
// What is shared between threads is one block: the reason, and one record per scheduler that has registered.
// The list of registered contexts in such a record belongs to that scheduler's thread alone, so a context that
// ends needs no lock; mail finds only those that are still there. A record is reached through the mailbox, which
// outlives its scheduler and refuses mail afterwards.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/vacate.hpp>
#include <flux/coro/operation.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

namespace flux::inline FLUX_ABI {

namespace detail {

struct cancel_tag;

/// One with_cancel() in flight.
class cancel_hook : public list_hook<cancel_tag> {
public:
    explicit cancel_hook(context_node& node) noexcept : node_(&node) {}
    ~cancel_hook() { unlink(); }
    [[nodiscard]] context_node& node() const noexcept { return *node_; }

private:
    context_node* node_;
};

class cancel_state : public std::enable_shared_from_this<cancel_state> {
public:
    [[nodiscard]] stop_reason reason() const noexcept { return reason_.load(std::memory_order_acquire); }

    /// Any thread.
    void cancel(stop_reason reason) noexcept {
        registry* own = nullptr;
        {
            const std::lock_guard lock(mutex_);
            if (this->reason() != stop_reason::none) {
                return;
            }
            reason_.store(reason, std::memory_order_release);
            const mailbox* here = scheduler::current() != nullptr ? scheduler::current()->mailbox().get() : nullptr;
            for (const auto& home : homes_) {
                if (home->box.get() == here) {
                    own = home.get();
                } else {
                    home->post(shared_from_this());
                }
            }
        }
        if (own != nullptr) {
            own->stop_all(reason);
        }
    }

    /// The thread of the hook's scheduler.
    void add(cancel_hook& hook) {
        const stop_reason already = join(hook);
        if (already != stop_reason::none) {
            hook.node().stop(already);
        }
    }

private:
    /// What is registered by the coroutines of one scheduler.
    struct registry : mail {
        explicit registry(std::shared_ptr<mailbox> home) noexcept : mail(&arrived, &dropped), box(std::move(home)) {}

        void post(std::shared_ptr<cancel_state> owner) noexcept {
            keep_alive = std::move(owner);
            if (!box->push(*this)) {
                keep_alive.reset(); // the caller has another one
            }
        }
        void stop_all(stop_reason reason) noexcept {
            hooks.for_each([reason](cancel_hook& hook) { hook.node().stop(reason); });
        }
        static void arrived(mail& m) noexcept {
            auto& self = static_cast<registry&>(m);
            const auto owner = detail::vacate(self.keep_alive);
            self.stop_all(owner->reason());
        }
        static void dropped(mail& m) noexcept {
            const auto owner = detail::vacate(static_cast<registry&>(m).keep_alive);
        }

        const std::shared_ptr<mailbox> box;
        std::shared_ptr<cancel_state> keep_alive;         // while this is mail
        intrusive_list<cancel_hook, cancel_tag> hooks;    // the thread of `box` only
    };

    [[nodiscard]] stop_reason join(cancel_hook& hook) {
        const auto& box = hook.node().home().mailbox();
        const std::lock_guard lock(mutex_);
        if (reason() == stop_reason::none) {
            registry_of(box).hooks.push_back(hook);
        }
        return reason();
    }
    // Few: one per thread that uses the token. Those of ended threads go when a new one comes.
    [[nodiscard]] registry& registry_of(const std::shared_ptr<mailbox>& box) {
        for (const auto& home : homes_) {
            if (home->box == box) {
                return *home;
            }
        }
        homes_.erase_if([](const auto& home) { return home->box->is_closed(); });
        return *homes_.emplace_back(make_owner<registry>(box));
    }

    std::atomic<stop_reason> reason_{stop_reason::none}; // written once, under mutex_
    std::mutex mutex_;
    dynamic_array<owner<registry>> homes_; // guarded by mutex_
};

} // namespace detail

namespace detail {

template <class Op>
class cancelable_state;

} // namespace detail

/// Says whether its cancel_source was canceled. Copies refer to the same source; a default one has none and is
/// never canceled.
///
/// Threads  any; may outlive the source and every reactor.
class cancel_token {
public:
    cancel_token() noexcept = default;

    [[nodiscard]] bool canceled() const noexcept { return reason() != stop_reason::none; }
    /// Why, or stop_reason::none.
    [[nodiscard]] stop_reason reason() const noexcept { return state_ ? state_->reason() : stop_reason::none; }

private:
    friend class cancel_source;
    template <class Op>
    friend class detail::cancelable_state;
    explicit cancel_token(std::shared_ptr<detail::cancel_state> state) noexcept : state_(std::move(state)) {}

    std::shared_ptr<detail::cancel_state> state_;
};

/// The other end of cancel_tokens: stops everything that runs under with_cancel() with one of them.
///
/// Copies are the same source. Destroying it cancels nothing.
/// Threads  any, also while the reactors concerned end or have ended. Not for signal handlers.
/// Cost     one allocation, and one for each reactor that uses a token.
class cancel_source {
public:
    cancel_source() : state_(std::make_shared<detail::cancel_state>()) {}

    [[nodiscard]] cancel_token token() const noexcept { return cancel_token(state_); }

    /// Stops what runs under the tokens, and what will. Work of the calling thread's reactor is stopped at once,
    /// that of other threads as soon as their reactors look at their mail. The first reason wins.
    /// Params   reason  stop_reason::none counts as canceled.
    void cancel(stop_reason reason = stop_reason::canceled) const noexcept {
        // A copy: what is stopped may own this source.
        const auto state = state_;
        state->cancel(reason == stop_reason::none ? stop_reason::canceled : reason);
    }
    [[nodiscard]] bool canceled() const noexcept { return state_->reason() != stop_reason::none; }
    [[nodiscard]] stop_reason reason() const noexcept { return state_->reason(); }

private:
    std::shared_ptr<detail::cancel_state> state_; // never null
};

namespace detail {

template <operation Op>
class cancelable;

template <class Op>
class cancelable_state {
public:
    cancelable_state(cancelable<Op>&& op, context_node& ctx)
        : state_(std::move(op.token_.state_)), node_(ctx), hook_(node_), inner_(open(op), node_) {}

    bool await_ready() noexcept { return inner_.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> waiter) noexcept {
        return inner_.await_suspend(waiter);
    }
    auto take() { return inner_.take(); }

private:
    Op&& open(cancelable<Op>& op) {
        if (state_ != nullptr) {
            state_->add(hook_);
        }
        return std::move(op.op_);
    }

    std::shared_ptr<cancel_state> state_; // owns the list that hook_ is in
    context_node node_;
    cancel_hook hook_;
    state_of<Op> inner_;
};

template <operation Op>
class [[nodiscard]] cancelable {
public:
    using value_type = value_of<Op>;
    using state_type = cancelable_state<Op>;
    cancelable(cancel_token&& token, Op&& op) : token_(std::move(token)), op_(std::move(op)) {}

private:
    friend class cancelable_state<Op>;
    cancel_token token_;
    Op op_;
};

class until_stopped_state;

class [[nodiscard]] until_stopped_op {
public:
    using value_type = stop_reason;
    using state_type = until_stopped_state;
    explicit until_stopped_op(context_node* node = nullptr) noexcept : node_(node) {}

private:
    friend class until_stopped_state;
    context_node* node_; // null: the ambient one
};

// Two hooks: the inherited one ends the wait, `target_` is what it waits for. The first to be called takes the
// other away. They are one where a coroutine waits for its own context.
class until_stopped_state : public budgeted {
public:
    until_stopped_state(until_stopped_op op, context_node& ctx) noexcept
        : budgeted(ctx, &on_stop), node_(op.node_ == nullptr ? &ctx : op.node_), target_(*this) {}

    bool await_ready() noexcept {
        interrupted_ = !own() && ctx().stopped();
        reason_ = node_->reason();
        return (interrupted_ || reason_ != stop_reason::none) && may_run_inline();
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        if (yield_if_out_of_budget(waiter)) {
            return;
        }
        suspend(waiter);
        if (!own()) {
            node_->add(target_);
        }
    }
    [[nodiscard]] result<stop_reason> take() noexcept {
        if (interrupted_) {
            return fail(ctx().stop_error());
        }
        return reason_;
    }

private:
    struct target_hook : stop_hook {
        explicit target_hook(until_stopped_state& s) noexcept : stop_hook(&on_target), state(&s) {}
        until_stopped_state* state;
    };
    [[nodiscard]] bool own() const noexcept { return node_ == &ctx(); }
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<until_stopped_state&>(hook);
        self.interrupted_ = !self.own();
        self.reason_ = self.ctx().reason();
        self.target_.unlink();
        self.finish();
    }
    static void on_target(stop_hook& hook) noexcept {
        auto& self = *static_cast<target_hook&>(hook).state;
        self.reason_ = self.node_->reason();
        self.finish();
    }

    context_node* node_;
    target_hook target_;
    stop_reason reason_ = stop_reason::none; // kept, because the other context may be gone by then
    bool interrupted_ = false;
};

} // namespace detail

/// Runs one operation until it ends or the token's source is canceled: `co_await with_cancel(token, op())`.
/// Errors   the reason given to cancel_source::cancel(); at once if that was called before.
/// Cancel   the operation is stopped and awaited; if it completes all the same, its result wins.
/// Cost     no frame; one uncontended lock.
template <operation Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto with_cancel(cancel_token token, Op&& op) {
    return detail::cancelable<std::remove_cvref_t<Op>>(std::move(token), std::forward<Op>(op));
}

/// Waits until the context of the calling coroutine is stopped, and yields the reason. Never fails.
[[nodiscard]] inline detail::until_stopped_op until_stopped() noexcept { return detail::until_stopped_op(); }

/// Waits until `other` is stopped, and yields the reason.
/// Params   other  borrowed; must not end before this wait does.
/// Errors   the reason of the calling coroutine's context if that is stopped first.
[[nodiscard]] inline detail::until_stopped_op until_stopped(context other) noexcept {
    return detail::until_stopped_op(&other.node());
}

} // namespace flux::inline FLUX_ABI
