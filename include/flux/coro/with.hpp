// SPDX-License-Identifier: MIT
// flux/coro/with.hpp - verbs that put a limit, a value or a shield around what is awaited.
//
// with_timeout, with_deadline, with_value and shield wrap one operation: their state holds a context node and
// the wrapped state, so they cost no frame. within() covers the rest of the enclosing block.
#pragma once

#include <flux/core/time.hpp>
#include <flux/coro/task.hpp>

namespace flux::inline FLUX_ABI {

namespace detail {

/// A deadline given as a point in time, or as a length that starts when the operation is awaited.
class limit_spec {
public:
    explicit limit_spec(time_point at) noexcept : at_(at) {}
    template <class Rep, class Period>
    explicit limit_spec(std::chrono::duration<Rep, Period> length) noexcept
        : at_(deadline_after(time_point(), length)), relative_(true) {}

    [[nodiscard]] time_point at(const scheduler& home) const noexcept {
        return relative_ ? deadline_after(home.now(), at_ - time_point()) : at_;
    }

private:
    time_point at_;
    bool relative_ = false;
};

template <operation Op>
class limited;

template <class Op>
class limited_state {
public:
    limited_state(limited<Op>&& op, context_node& ctx) : node_(ctx), inner_(open(op), node_) {}

    bool await_ready() noexcept { return inner_.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> waiter) noexcept {
        return inner_.await_suspend(waiter);
    }
    auto take() {
        auto outcome = inner_.take();
        node_.limit(no_deadline);
        return outcome;
    }

private:
    Op&& open(limited<Op>& op) {
        node_.limit(op.limit_.at(node_.home()));
        return std::move(op.op_);
    }

    context_node node_;
    state_of<Op> inner_;
};

template <operation Op>
class [[nodiscard]] limited {
public:
    using value_type = value_of<Op>;
    using state_type = limited_state<Op>;
    limited(limit_spec limit, Op&& op) : limit_(limit), op_(std::move(op)) {}

private:
    friend class limited_state<Op>;
    limit_spec limit_;
    Op op_;
};

template <operation Op>
class shielded;

template <class Op>
class shielded_state {
public:
    shielded_state(shielded<Op>&& op, context_node& ctx)
        : node_(ctx, context_node::link::shielded), inner_(open(op), node_) {}

    bool await_ready() noexcept { return inner_.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> waiter) noexcept {
        return inner_.await_suspend(waiter);
    }
    auto take() { return inner_.take(); }

private:
    Op&& open(shielded<Op>& op) {
        if (op.limited_) {
            node_.limit(op.limit_.at(node_.home()));
        }
        return std::move(op.op_);
    }

    context_node node_;
    state_of<Op> inner_;
};

template <operation Op>
class [[nodiscard]] shielded {
public:
    using value_type = value_of<Op>;
    using state_type = shielded_state<Op>;
    explicit shielded(Op&& op) : limit_(no_deadline), op_(std::move(op)) {}
    shielded(limit_spec limit, Op&& op) : limit_(limit), limited_(true), op_(std::move(op)) {}

private:
    friend class shielded_state<Op>;
    limit_spec limit_;
    bool limited_ = false;
    Op op_;
};

template <class Key, operation Op>
class valued;

template <class Key, class Op>
class valued_state {
public:
    valued_state(valued<Key, Op>&& op, context_node& ctx)
        : value_(std::move(op.value_)), node_(ctx), inner_(open(op), node_) {}

    bool await_ready() noexcept { return inner_.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> waiter) noexcept {
        return inner_.await_suspend(waiter);
    }
    auto take() { return inner_.take(); }

private:
    Op&& open(valued<Key, Op>& op) noexcept {
        node_.set_value(&value_tag<Key>, &value_);
        return std::move(op.op_);
    }

    typename Key::value_type value_;
    context_node node_;
    state_of<Op> inner_;
};

template <class Key, operation Op>
class [[nodiscard]] valued {
public:
    using value_type = value_of<Op>;
    using state_type = valued_state<Key, Op>;
    valued(typename Key::value_type value, Op&& op) : value_(std::move(value)), op_(std::move(op)) {}

private:
    friend class valued_state<Key, Op>;
    typename Key::value_type value_;
    Op op_;
};

class within_awaiter;

class within_request {
public:
    using opens_context = void;
    using awaiter_type = within_awaiter;
    explicit within_request(limit_spec limit) noexcept : limit_(limit) {}

private:
    friend class within_awaiter;
    limit_spec limit_;
};

} // namespace detail

/// The limit that `co_await within(d)` opened; it ends with the enclosing block.
class [[nodiscard]] block_limit {
public:
    block_limit(detail::promise_base& promise, time_point at) : promise_(&promise), node_(promise.ctx()) {
        node_.limit(at); // may throw: the promise must not know the node yet
        promise.set_ctx(node_);
    }
    block_limit(const block_limit&) = delete;
    block_limit& operator=(const block_limit&) = delete;
    ~block_limit() {
        FLUX_ASSERT(&promise_->ctx() == &node_, "limits of one coroutine must end in reverse order");
        promise_->set_ctx(*parent_);
    }

    /// Moves the limit; counts from now.
    template <class Rep, class Period>
    void restart(std::chrono::duration<Rep, Period> d) {
        node_.limit(deadline_after(node_.home().now(), d));
    }
    [[nodiscard]] bool expired() const noexcept { return node_.reason() == stop_reason::timed_out; }

private:
    detail::promise_base* promise_;
    detail::context_node* parent_ = &promise_->ctx();
    detail::context_node node_;
};

namespace detail {

class within_awaiter {
public:
    within_awaiter(within_request&& request, promise_base& promise) noexcept
        : promise_(&promise), at_(request.limit_.at(promise.ctx().home())) {}
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    block_limit await_resume() const { return block_limit(*promise_, at_); }

private:
    promise_base* promise_;
    time_point at_;
};

/// Runs the rest of the calling coroutine's block under a node that somebody else owns.
class [[nodiscard]] block_context {
public:
    block_context(promise_base& promise, context_node& node) noexcept : promise_(&promise), outer_(&promise.ctx()) {
        promise.set_ctx(node);
    }
    block_context(const block_context&) = delete;
    block_context& operator=(const block_context&) = delete;
    ~block_context() { promise_->set_ctx(*outer_); }

private:
    promise_base* promise_;
    context_node* outer_;
};

class enter_awaiter;
/// `const auto inside = co_await enter_request(node);`
class enter_request {
public:
    using opens_context = void;
    using awaiter_type = enter_awaiter;
    explicit enter_request(context_node& node) noexcept : node_(&node) {}

private:
    friend class enter_awaiter;
    context_node* node_;
};
class enter_awaiter {
public:
    enter_awaiter(enter_request&& request, promise_base& promise) noexcept : promise_(&promise), node_(request.node_) {}
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    block_context await_resume() const noexcept { return block_context(*promise_, *node_); }

private:
    promise_base* promise_;
    context_node* node_;
};

} // namespace detail

/// Gives everything that the calling coroutine awaits from here to the end of the block at most `d`:
/// `auto limit = co_await within(3s);`. The clock starts now. What is still in flight when it ends fails
/// with errc::timed_out, and so does every further operation in the block.
template <class Rep, class Period>
[[nodiscard]] detail::within_request within(std::chrono::duration<Rep, Period> d) noexcept {
    return detail::within_request(detail::limit_spec(d));
}

/// Runs one operation with at most `d`, counted from its start: `co_await with_timeout(2s, op())`.
/// Errors   errc::timed_out when the limit passed, whichever enclosing limit it was.
/// Cancel   the operation is stopped and awaited; if it completes all the same, its result wins.
template <class Rep, class Period, operation Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto with_timeout(std::chrono::duration<Rep, Period> d, Op&& op) {
    return detail::limited<std::remove_cvref_t<Op>>(detail::limit_spec(d), std::forward<Op>(op));
}

/// As with_timeout, with an absolute limit.
template <operation Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto with_deadline(time_point at, Op&& op) {
    return detail::limited<std::remove_cvref_t<Op>>(detail::limit_spec(at), std::forward<Op>(op));
}

/// Runs one operation with a typed value that everything below finds by `context::get<Key>()`.
template <class Key, operation Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto with_value(typename Key::value_type value, Op&& op) {
    return detail::valued<Key, std::remove_cvref_t<Op>>(std::move(value), std::forward<Op>(op));
}

/// Runs one operation to its end even if the enclosing context is stopped. Values are inherited, deadlines
/// are not. The caller still waits for it, so shutdown does too: give it a limit where that matters.
template <operation Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto shield(Op&& op) {
    return detail::shielded<std::remove_cvref_t<Op>>(std::forward<Op>(op));
}
template <class Rep, class Period, operation Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto shield(std::chrono::duration<Rep, Period> at_most, Op&& op) {
    return detail::shielded<std::remove_cvref_t<Op>>(detail::limit_spec(at_most), std::forward<Op>(op));
}

} // namespace flux::inline FLUX_ABI
