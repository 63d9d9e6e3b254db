// SPDX-License-Identifier: MIT
// flux/coro/task.hpp - task<T>: a lazy coroutine with one owner, awaited once.
//
//   created --co_await--> started --co_return / exception / co_await fail()--> finished --> frame destroyed
//
// The awaiting coroutine passes its context on and is resumed by symmetric transfer, except once per inline
// budget, when the ready queue is used so that the stack stays flat in every build mode. A started task is
// never destroyed before it finished: doing so aborts. Deliberately not here: running tasks concurrently
// (scope.hpp, when.hpp), detaching (there is no such thing).
#pragma once

#include <flux/core/vacate.hpp>
#include <flux/coro/frame_pool.hpp>
#include <flux/coro/operation.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <new>

namespace flux::inline FLUX_ABI {

template <class T = void>
class task;

namespace detail {

struct this_context_request {};
template <class Opener>
concept context_opener = requires { typename std::remove_cvref_t<Opener>::opens_context; };

/// What every flux promise has: the ambient context, who waits, and how awaited things are adapted.
class promise_base {
public:
    promise_base() noexcept = default;
    promise_base(const promise_base&) = delete;
    promise_base& operator=(const promise_base&) = delete;

    static void* operator new(std::size_t size) { return frame_pool::allocate_here(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { frame_pool::release_here(frame, size); }

    std::suspend_always initial_suspend() noexcept { return {}; }

    [[nodiscard]] context_node& ctx() const noexcept { return *ctx_; }
    void set_ctx(context_node& ctx) noexcept { ctx_ = &ctx; }

    template <operation Op>
        requires(!std::is_lvalue_reference_v<Op> || std::is_copy_constructible_v<std::remove_cvref_t<Op>>)
    auto await_transform(Op&& op) {
        return throwing<state_of<Op>>(static_cast<Op&&>(op), *ctx_);
    }
    template <class Op>
    auto await_transform(attempt_op<Op>&& op) {
        return attempting<state_of<Op>>(static_cast<Op&&>(op.op_), *ctx_);
    }
    auto await_transform(this_context_request) noexcept { return context_awaiter(*ctx_); }
    template <context_opener Opener>
    auto await_transform(Opener&& opener) {
        return typename std::remove_cvref_t<Opener>::awaiter_type(static_cast<Opener&&>(opener), *this);
    }
    // Awaiters from elsewhere (std::suspend_always, other libraries) pass through; they know no context.
    template <class Awaiter>
        requires requires(Awaiter& a) { a.await_ready(); a.await_resume(); }
    Awaiter&& await_transform(Awaiter&& awaiter) noexcept {
        return static_cast<Awaiter&&>(awaiter);
    }

private:
    class context_awaiter {
    public:
        explicit context_awaiter(context_node& node) noexcept : node_(&node) {}
        bool await_ready() const noexcept { return true; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        [[nodiscard]] context await_resume() const noexcept { return context(*node_); }

    private:
        context_node* node_;
    };

    context_node* ctx_ = nullptr; // set when the coroutine is started; never null while it runs
};

/// How a coroutine ended: a value, a flux::error, or a foreign exception.
template <class T>
class outcome {
    static_assert(!std::is_reference_v<T>, "a task yields a value: return a pointer or std::reference_wrapper");
    using stored = std::conditional_t<std::is_void_v<T>, char, T>;

public:
    outcome() noexcept : kind_(kind::none) {}
    outcome(const outcome&) = delete;
    outcome& operator=(const outcome&) = delete;
    ~outcome() { clear(); }

    /// Makes it empty.
    void clear() noexcept {
        const kind was = kind_;
        kind_ = kind::none;
        switch (was) {
        case kind::none: break;
        case kind::value: value_.~stored(); break;
        case kind::error: error_.~error(); break;
        case kind::exception: exception_.~exception_ptr(); break;
        }
    }

    template <class... U>
    void set_value(U&&... value) {
        ::new (static_cast<void*>(__builtin_addressof(value_))) stored(static_cast<U&&>(value)...);
        kind_ = kind::value;
    }
    void set_error(error e) noexcept {
        ::new (static_cast<void*>(&error_)) error(static_cast<error&&>(e));
        kind_ = kind::error;
    }
    void set_current_exception() noexcept {
        try {
            throw;
        } catch (const error& e) {
            set_error(e); // copied: another exception_ptr may share this object
        } catch (...) {
            ::new (static_cast<void*>(&exception_)) std::exception_ptr(std::current_exception());
            kind_ = kind::exception;
        }
    }
    /// Takes over a failure of another outcome into an empty one; a value is not moved.
    template <class U>
    void adopt(outcome<U>& other) noexcept {
        if (other.kind_ == outcome<U>::kind::error) {
            set_error(static_cast<error&&>(other.error_));
        } else if (other.kind_ == outcome<U>::kind::exception) {
            ::new (static_cast<void*>(&exception_))
                std::exception_ptr(static_cast<std::exception_ptr&&>(other.exception_));
            kind_ = kind::exception;
        }
    }
    [[nodiscard]] bool empty() const noexcept { return kind_ == kind::none; }
    [[nodiscard]] bool is_error(errc code) const noexcept { return kind_ == kind::error && error_.is(code); }

    /// Moves the outcome out; rethrows a foreign exception.
    [[nodiscard]] result<T> take() {
        if (kind_ == kind::exception) {
            std::rethrow_exception(static_cast<std::exception_ptr&&>(exception_));
        }
        if (kind_ == kind::error) {
            return failure(static_cast<error&&>(error_));
        }
        if constexpr (std::is_void_v<T>) {
            return {};
        } else {
            return result<T>(static_cast<T&&>(value_));
        }
    }

private:
    template <class>
    friend class outcome;
    enum class kind : unsigned char { none, value, error, exception };
    union {
        stored value_;
        error error_;
        std::exception_ptr exception_;
    };
    kind kind_;
};

template <class T>
class task_promise;

/// What a task's promise has whatever the task yields.
class task_promise_core : public promise_base {
public:
    class final_awaiter {
    public:
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            return self.promise().finished();
        }
        void await_resume() const noexcept {}
    };
    final_awaiter final_suspend() noexcept { return {}; }

    /// Params  self  this promise's coroutine
    [[nodiscard]] std::coroutine_handle<> start(context_node& ctx, std::coroutine_handle<> waiter,
                                                std::coroutine_handle<> self) noexcept {
        set_ctx(ctx);
        started_ = true;
        node_.handle = waiter;
        continuation_ = waiter;
        return through_budget(self);
    }
    [[nodiscard]] bool may_be_destroyed() const noexcept { return !started_ || finished_; }

protected:
    ~task_promise_core() = default;
    [[nodiscard]] std::coroutine_handle<> finished() noexcept {
        finished_ = true;
        return through_budget(continuation_);
    }

private:
    // Symmetric transfer, or the ready queue once per budget.
    [[nodiscard]] std::coroutine_handle<> through_budget(std::coroutine_handle<> next) noexcept {
        scheduler& home = ctx().home();
        if (home.take_budget()) {
            return next;
        }
        node_.handle = next;
        home.make_ready(node_);
        return std::noop_coroutine();
    }

    std::coroutine_handle<> continuation_;
    ready_resume node_;
    bool started_ = false;
    bool finished_ = false;
};

template <class T>
class task_promise_base : public task_promise_core {
public:
    using handle = std::coroutine_handle<task_promise<T>>;

    ~task_promise_base() = default;

    task<T> get_return_object() noexcept;
    void unhandled_exception() noexcept { outcome_.set_current_exception(); }

    using promise_base::await_transform;
    auto await_transform(failure&& f) noexcept { return fail_awaiter(static_cast<failure&&>(f)); }

    [[nodiscard]] outcome<T>& end() noexcept { return outcome_; }

protected:
    outcome<T> outcome_;

private:
    // Ends the coroutine here, as if an exception had left it; locals are destroyed with the frame.
    class fail_awaiter {
    public:
        explicit fail_awaiter(failure&& f) noexcept : failure_(static_cast<failure&&>(f)) {}
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(handle self) noexcept {
            self.promise().outcome_.set_error(static_cast<failure&&>(failure_).error());
            return self.promise().finished();
        }
        [[noreturn]] void await_resume() const noexcept { std::abort(); }

    private:
        failure failure_;
    };
};

template <class T>
class task_promise final : public task_promise_base<T> {
public:
    template <class U = T>
        requires(__is_constructible(T, U))
    void return_value(U&& value) {
        this->outcome_.set_value(static_cast<U&&>(value));
    }
    void return_value(failure&& f) noexcept { this->outcome_.set_error(static_cast<failure&&>(f).error()); }
    void return_value(result<T>&& r) {
        if (r) {
            this->outcome_.set_value(static_cast<T&&>(*r));
        } else {
            this->outcome_.set_error(static_cast<error&&>(r.error()));
        }
    }
};

template <>
class task_promise<void> final : public task_promise_base<void> {
public:
    void return_void() noexcept { this->outcome_.set_value(); }
};

template <class T>
class task_state {
public:
    task_state(task<T>&& t, context_node& ctx) noexcept : task_(static_cast<task<T>&&>(t)), ctx_(&ctx) {
        FLUX_ASSERT(task_.promise_ != nullptr, "task awaited twice");
    }
    task_state(const task_state&) = delete;
    task_state& operator=(const task_state&) = delete;

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
        return task_.promise_->start(*ctx_, waiter, task_.coroutine());
    }
    // The frame goes before the awaiting coroutine continues: locals of a failed child are gone by then.
    [[nodiscard]] result<T> take() {
        const frame_guard guard(task_);
        return task_.promise_->end().take();
    }

private:
    class frame_guard {
    public:
        explicit frame_guard(task<T>& t) noexcept : task_(t) {}
        frame_guard(const frame_guard&) = delete;
        frame_guard& operator=(const frame_guard&) = delete;
        ~frame_guard() { task_.reset(); }

    private:
        task<T>& task_;
    };
    task<T> task_;
    context_node* ctx_;
};

} // namespace detail

/// A coroutine that yields a T. Lazy: nothing runs before `co_await std::move(t)`.
///
/// Returns  `co_return value;` or `co_return fail(error);` or `co_return a_result;`. A task<void> fails with
///          `co_await fail(error);`, which does not come back and throws nothing.
/// Errors   a flux::error that leaves the body is what `attempt` yields; any other exception passes through.
/// Cancel   every operation below is under the awaiting coroutine's context.
/// Threads  awaited on the reactor thread that created it.
/// Cost     one frame, from the thread's frame pool.
template <class T>
class [[nodiscard]] task {
public:
    using value_type = T;
    using state_type = detail::task_state<T>;
    using promise_type = detail::task_promise<T>;

    task(task&& other) noexcept : promise_(detail::vacate(other.promise_)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            reset();
            promise_ = detail::vacate(other.promise_);
        }
        return *this;
    }
    ~task() { reset(); }

    /// False after the task was moved from or awaited.
    [[nodiscard]] explicit operator bool() const noexcept { return promise_ != nullptr; }

private:
    friend class detail::task_state<T>;
    friend class detail::task_promise_base<T>;
    explicit task(promise_type& promise) noexcept : promise_(&promise) {}

    [[nodiscard]] std::coroutine_handle<> coroutine() const noexcept {
        return std::coroutine_handle<promise_type>::from_promise(*promise_);
    }
    void reset() noexcept {
        if (promise_ != nullptr) {
            FLUX_ASSERT(promise_->may_be_destroyed(), "a started task was destroyed before it finished");
            const std::coroutine_handle<> frame = coroutine();
            promise_ = nullptr;
            frame.destroy();
        }
    }

    promise_type* promise_;
};

template <class T>
task<T> detail::task_promise_base<T>::get_return_object() noexcept {
    return task<T>(static_cast<task_promise<T>&>(*this));
}

/// The context of the calling coroutine: `auto ctx = co_await this_context();`. Does not suspend.
[[nodiscard]] inline detail::this_context_request this_context() noexcept { return {}; }

} // namespace flux::inline FLUX_ABI
