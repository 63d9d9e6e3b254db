// SPDX-License-Identifier: MIT
// flux/coro/scope.hpp - task_scope: the owner of everything that runs concurrently. Nothing is detached.
//
//   spawn(f, args...) -> child frame under the scope's context -> finished -> frame destroyed -> join() resumes
//
// A child starts through the ready queue, never inside spawn(). A scope must be joined; destroying one with
// live children aborts. Deliberately not here: results of children (when.hpp).
#pragma once

#include <flux/core/vacate.hpp>
#include <flux/coro/task.hpp>

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

/// What the first failure of a child does to its siblings.
enum class scope_policy : unsigned char {
    first_error_cancels, ///< stops the scope with `canceled`; join() reports the first error
    collect,             ///< siblings go on; join() reports the first error when all ended
};

class task_scope;

namespace detail {

class child;

class child_promise final : public promise_base {
public:
    child get_return_object() noexcept;
    class final_awaiter {
    public:
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<child_promise> self) const noexcept { self.promise().finished(); }
        void await_resume() const noexcept {}
    };
    final_awaiter final_suspend() noexcept { return {}; }
    void return_value(result<void>&& end) noexcept {
        if (!end) {
            end_.set_error(std::move(end).error());
        }
    }
    void unhandled_exception() noexcept { end_.set_current_exception(); }

    void start(task_scope& scope, context_node& ctx) noexcept {
        scope_ = &scope;
        set_ctx(ctx);
        node_.handle = std::coroutine_handle<child_promise>::from_promise(*this);
        ctx.home().make_ready(node_);
    }

private:
    struct end_node : ready_node {
        explicit end_node(child_promise& p) noexcept : ready_node(&reap), promise(&p) {}
        static void reap(ready_node& node) noexcept;
        child_promise* promise;
    };
    // The frame is destroyed from the loop, not from inside its own final suspension (GCC PR 121961).
    void finished() noexcept { ctx().home().make_ready(end_node_); }

    task_scope* scope_ = nullptr;
    ready_resume node_;
    end_node end_node_{*this};
    outcome<void> end_;
};

/// The frame that carries one spawned callable and its arguments.
class child {
public:
    using promise_type = child_promise;
    explicit child(std::coroutine_handle<child_promise> handle) noexcept : handle_(handle) {}
    child(child&& other) noexcept : handle_(detail::vacate(other.handle_)) {}
    child& operator=(child&&) = delete;
    ~child() {
        if (handle_) {
            handle_.destroy();
        }
    }
    [[nodiscard]] child_promise& release() noexcept { return detail::vacate(handle_).promise(); }

private:
    std::coroutine_handle<child_promise> handle_;
};

inline child child_promise::get_return_object() noexcept {
    return child(std::coroutine_handle<child_promise>::from_promise(*this));
}

template <class T>
[[nodiscard]] result<void> without_value(result<T>&& outcome) noexcept {
    if (outcome) {
        return {};
    }
    return failure(std::move(outcome).error());
}

// A child that fails or is stopped throws nothing: a scope may have thousands of them.
template <class F, class... Args>
child run_child(F f, Args... args) {
    auto outcome = co_await attempt(f(std::move(args)...));
    co_return without_value(std::move(outcome));
}
template <class Op>
child run_child_op(Op op) {
    auto outcome = co_await attempt(std::move(op));
    co_return without_value(std::move(outcome));
}

class join_op;
class join_state;
class branch_group;
template <class F>
task<> with_scope_impl(F& f, scope_policy policy);

} // namespace detail

/// Owns concurrent tasks; every one of them ends before join() does.
///
///     auto ctx = co_await this_context();
///     task_scope scope(ctx);
///     scope.spawn(worker, 1);
///     co_await scope.join();
///
/// with_scope() below joins by itself, also when the block throws; prefer it where exceptions may pass.
/// Threads  the reactor thread of its context.
class task_scope {
public:
    explicit task_scope(context parent, scope_policy policy = scope_policy::first_error_cancels) noexcept
        : node_(parent.node()), policy_(policy) {}
    task_scope(const task_scope&) = delete;
    task_scope& operator=(const task_scope&) = delete;
    ~task_scope() { FLUX_ASSERT(live_ == 0, "task_scope destroyed before its children ended: join it"); }

    /// Starts `f(args...)`, which must return a task or another operation, as a child. Callable and arguments
    /// are decay-copied into the child's frame, so a capturing closure lives as long as its task. The child runs
    /// under the scope's context, first in the next pass of the loop.
    template <class F, class... Args>
        requires operation<std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>...>>
    void spawn(F&& f, Args&&... args) {
        adopt(detail::run_child<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(f),
                                                                        std::forward<Args>(args)...));
    }
    /// Starts a task or another operation as a child; its value is dropped.
    template <operation Op>
        requires(!std::is_lvalue_reference_v<Op>)
    void spawn(Op&& op) {
        adopt(detail::run_child_op<std::remove_cvref_t<Op>>(std::forward<Op>(op)));
    }

    // For library code whose coroutine is a child frame itself, to save one.
    void spawn_frame(detail::child&& frame) noexcept { adopt(std::move(frame)); }

    /// Stops all children, present and future.
    void stop(stop_reason reason = stop_reason::canceled) noexcept {
        stopped_by_us_ = stopped_by_us_ || !node_.stopped();
        node_.stop(reason);
    }
    [[nodiscard]] std::size_t size() const noexcept { return live_; }
    [[nodiscard]] context ctx() noexcept { return context(node_); }

    /// Waits until no child is left, then yields the first error of a child, if there was one.
    /// Cancel   not by itself: a stop of the enclosing context stops the children, and join() waits for them.
    [[nodiscard]] detail::join_op join() noexcept;

private:
    friend class detail::child_promise;
    friend class detail::join_state;
    friend class detail::branch_group;
    template <class F>
    friend task<> detail::with_scope_impl(F& f, scope_policy policy);

    // What ends because we stopped it did what it was told.
    [[nodiscard]] bool obeyed_stop(const detail::outcome<void>& end) const noexcept {
        return stopped_by_us_ && end.is_error(to_errc(node_.reason()));
    }
    void adopt(detail::child&& frame) noexcept {
        ++live_;
        frame.release().start(*this, node_);
    }
    void child_ended(detail::outcome<void>& end) noexcept {
        keep_first_failure(end);
        if (--live_ == 0 && joiner_ != nullptr) {
            node_.home().make_ready(*detail::vacate(joiner_));
        }
    }
    void keep_first_failure(detail::outcome<void>& end) noexcept {
        if (end.empty()) {
            return;
        }
        if (obeyed_stop(end)) {
            return;
        }
        if (!failed_) {
            failed_ = true;
            first_failure_.clear(); // what an earlier join() has taken
            first_failure_.adopt(end);
        }
        if (policy_ == scope_policy::first_error_cancels) {
            stop();
        }
    }

    detail::context_node node_;
    std::size_t live_ = 0;
    detail::ready_node* joiner_ = nullptr; // not null while join() is suspended
    detail::outcome<void> first_failure_;
    scope_policy policy_;
    bool failed_ = false;
    bool stopped_by_us_ = false;
};

namespace detail {

inline void child_promise::end_node::reap(ready_node& node) noexcept {
    child_promise& promise = *static_cast<end_node&>(node).promise;
    task_scope& scope = *promise.scope_;
    // The frame first: a joiner may rely on everything that the child owned being gone.
    outcome<void> end;
    end.adopt(promise.end_);
    std::coroutine_handle<child_promise>::from_promise(promise).destroy();
    scope.child_ended(end);
}

class join_op {
public:
    using value_type = void;
    using state_type = join_state;
    explicit join_op(task_scope& scope) noexcept : scope_(&scope) {}

private:
    friend class join_state;
    task_scope* scope_;
};

// Never registered with the context: a stop ends the children, and they end join().
class join_state : public budgeted {
public:
    join_state(join_op op, context_node& ctx) noexcept : budgeted(ctx, nullptr), scope_(op.scope_) {}
    bool await_ready() noexcept { return scope_->live_ == 0 && may_run_inline(); }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        if (yield_if_out_of_budget(waiter)) {
            return;
        }
        FLUX_ASSERT(scope_->joiner_ == nullptr, "task_scope joined twice at the same time");
        ready_resume::handle = waiter;
        scope_->joiner_ = this;
    }
    [[nodiscard]] result<void> take() {
        if (!detail::vacate(scope_->failed_)) {
            return {};
        }
        return scope_->first_failure_.take();
    }

private:
    task_scope* scope_;
};

} // namespace detail

inline detail::join_op task_scope::join() noexcept { return detail::join_op(*this); }

namespace detail {

template <operation Op>
class under;

template <class Op>
class under_state {
public:
    under_state(under<Op>&& op, context_node&) : inner_(std::move(op.op_), *op.node_) {}

    bool await_ready() noexcept { return inner_.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> waiter) noexcept {
        return inner_.await_suspend(waiter);
    }
    auto take() { return inner_.take(); }

private:
    state_of<Op> inner_;
};

/// An operation that runs under a context which somebody else owns, instead of the ambient one.
template <operation Op>
class under {
public:
    using value_type = value_of<Op>;
    using state_type = under_state<Op>;
    under(context_node& node, Op&& op) : node_(&node), op_(std::move(op)) {}

private:
    friend class under_state<Op>;
    context_node* node_;
    Op op_;
};

template <class F>
task<> with_scope_impl(F& f, scope_policy policy) {
    auto ctx = co_await this_context();
    task_scope scope(ctx, policy);
    outcome<void> body;
    try {
        auto op = f(scope);
        auto end = co_await attempt(under<decltype(op)>(scope.ctx().node(), std::move(op)));
        if (!end) {
            body.set_error(std::move(end).error());
        }
    } catch (...) {
        body.set_current_exception();
    }
    if (scope.obeyed_stop(body)) {
        body.clear();
    } else if (!body.empty()) {
        scope.stop();
    }
    auto joined = co_await attempt(scope.join());
    if (!body.empty()) {
        auto failed = body.take();
        co_await fail(std::move(failed).error());
    }
    if (!joined) {
        co_await fail(std::move(joined).error());
    }
}

} // namespace detail

/// Runs `f(task_scope&)`, which returns a task, and joins the scope before it returns: on success, on error
/// and on cancellation.
///
/// The body runs under the scope's context like a child: when a child fails or the scope is stopped, what the body
/// waits for is stopped, too, so that it cannot wait for ever for somebody who has failed.
///
/// The body's own locals die when it ends, which is before its children do: what children borrow belongs outside of
/// the body, or the body ends with `co_await scope.join()`.
/// Params   f  borrowed until the returned task ends: name the closure, then pass it.
/// Errors   that of the body, for which the children are stopped first; else the first one of a child.
template <class F>
    requires operation<std::invoke_result_t<F&, task_scope&>>
[[nodiscard]] task<> with_scope(F& f, scope_policy policy = scope_policy::first_error_cancels) {
    return detail::with_scope_impl(f, policy);
}

} // namespace flux::inline FLUX_ABI
