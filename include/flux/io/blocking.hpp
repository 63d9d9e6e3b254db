// SPDX-License-Identifier: MIT
// flux/io/blocking.hpp - calls that block a thread (files, getaddrinfo, heavy sums) beside the reactor.
//
//   co_await blocking(f) -> queue -> pool thread runs f() -> mailbox -> reactor resumes with the outcome
//         a stop: out of the queue at once, or, once f() runs, wait for its outcome, which wins
//
// The job lives in the awaiting frame: the queue takes no memory, and is as long as there are coroutines that wait
// in it. One pool for the process, started by the first use, joined at exit. Deliberately not here: interrupting a
// call that runs (nothing can), more than one pool, parallel algorithms.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/coro/task.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <system_error>
#include <type_traits>
#include <utility>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI {

namespace detail {

/// A call on its way through the pool.
class blocking_job : public list_hook<> {
public:
    using action = void (*)(blocking_job&) noexcept;
    explicit blocking_job(action on_run) noexcept : on_run_(on_run) {}

    /// A pool thread: runs the call and tells the scheduler. The job may be gone afterwards.
    void run() noexcept { on_run_(*this); }

private:
    action on_run_;
};

/// Threads  any.
// Those of POSIX: <thread> and <condition_variable> alone are a twentieth of what including flux costs.
class blocking_pool {
public:
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;

    /// The pool of the process. Several calls are often in the kernel at once, hence more threads than small
    /// machines have CPUs. Never destroyed, only its threads end: a call may end the process while others use it.
    [[nodiscard]] static blocking_pool& instance() {
        const long cpus = ::sysconf(_SC_NPROCESSORS_ONLN); // -1 if nobody knows
        static blocking_pool& pool = *new blocking_pool(static_cast<std::size_t>(std::max(4L, cpus)));
        struct joiner {
            ~joiner() { pool.end(); }
        };
        static const joiner at_exit;
        return pool;
    }

    /// Errors  throws std::system_error if there is no thread and none can be started; the job is not queued then.
    void push(blocking_job& job) {
        {
            const std::lock_guard lock(mutex_);
            if (idle_ <= queued_ && threads_.size() < most_) {
                start_thread();
            }
            jobs_.push_back(job);
            ++queued_;
        }
        ::pthread_cond_signal(&work_);
    }
    /// False: it runs, or has run.
    [[nodiscard]] bool withdraw(blocking_job& job) noexcept {
        const std::lock_guard lock(mutex_);
        if (!job.is_linked()) {
            return false;
        }
        job.unlink();
        --queued_;
        return true;
    }

private:
    explicit blocking_pool(std::size_t most) : most_(most) { threads_.reserve(most); }

    // Waits for the calls that run. None is queued: whoever awaits one keeps the program alive.
    void end() noexcept {
        dynamic_array<::pthread_t> threads;
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
            threads.swap(threads_);
        }
        ::pthread_cond_broadcast(&work_);
        for (const ::pthread_t t : threads) {
            if (::pthread_equal(t, ::pthread_self()) != 0) {
                ::pthread_detach(t); // this call has ended the process
            } else {
                ::pthread_join(t, nullptr);
            }
        }
    }

    // Signals are for other threads: a handler here would interrupt the user's calls with EINTR. But for faults of
    // the thread itself, and profilers.
    void start_thread() {
        ::sigset_t most;
        ::sigset_t before;
        ::sigfillset(&most);
        for (const int own : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPROF, SIGSEGV, SIGSYS, SIGTRAP}) {
            ::sigdelset(&most, own);
        }
        ::pthread_sigmask(SIG_SETMASK, &most, &before);
        ::pthread_t fresh;
        const int refused = ::pthread_create(&fresh, nullptr, &run_thread, this);
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (refused == 0) {
            threads_.push_back(fresh); // there is room for all
        } else if (threads_.empty()) {
            throw std::system_error(refused, std::generic_category());
        }
    }
    static void* run_thread(void* pool) noexcept {
        static_cast<blocking_pool*>(pool)->work();
        return nullptr;
    }
    void work() noexcept {
        ::pthread_setname_np(::pthread_self(), "flux-blocking");
        std::unique_lock lock(mutex_);
        for (;;) {
            ++idle_;
            while (!ending_ && jobs_.empty()) {
                ::pthread_cond_wait(&work_, mutex_.native_handle());
            }
            --idle_;
            if (jobs_.empty()) {
                return;
            }
            blocking_job& job = jobs_.pop_front();
            --queued_;
            lock.unlock();
            job.run();
            lock.lock();
        }
    }

    std::mutex mutex_;
    ::pthread_cond_t work_ = PTHREAD_COND_INITIALIZER;
    intrusive_list<blocking_job> jobs_; // this and all below: guarded by mutex_
    dynamic_array<::pthread_t> threads_;
    std::size_t most_; // constant
    std::size_t queued_ = 0;
    std::size_t idle_ = 0; // threads that wait, also those that were notified and have not come yet
    bool ending_ = false;
};

// What `co_await blocking(f)` yields: what f returns, or the value of a result that it returns.
template <class R>
struct blocking_value {
    using type = R;
};
template <class T>
struct blocking_value<result<T>> {
    using type = T;
};

template <class F>
class blocking_state;

template <class F>
class [[nodiscard]] blocking_op {
public:
    using value_type = typename blocking_value<std::remove_cvref_t<std::invoke_result_t<F&>>>::type;
    using state_type = blocking_state<F>;
    explicit blocking_op(F&& f) : f_(std::forward<F>(f)) {}

private:
    friend class blocking_state<F>;
    F f_; // a reference where it was given as an lvalue
};

template <class F>
class blocking_state : public suspension, private blocking_job, private mail {
public:
    using value_type = typename blocking_op<F>::value_type;

    blocking_state(blocking_op<F>&& op, context_node& ctx)
        : suspension(ctx, &on_stop), blocking_job(&on_run), mail(&arrived, &dropped), f_(std::forward<F>(op.f_)) {}

    bool await_ready() const noexcept { return ctx().stopped(); }
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
        if (home().kind() == scheduler_kind::replayed) {
            run_call();
            ready_resume::handle = waiter;
            home().make_ready(*this);
            return true;
        }
        home_ = home().mailbox();
        suspend(waiter);
        try {
            blocking_pool::instance().push(*this);
        } catch (const std::system_error& e) {
            stop_hook::unlink();
            end_.set_error(error(e.code()).doing("blocking: thread"));
            return false;
        }
        return true;
    }
    [[nodiscard]] result<value_type> take() {
        if (end_.empty()) {
            return fail(ctx().stop_error());
        }
        return end_.take();
    }

private:
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<blocking_state&>(hook);
        if (blocking_pool::instance().withdraw(self)) {
            self.finish();
        }
    }
    static void on_run(blocking_job& job) noexcept {
        auto& self = static_cast<blocking_state&>(job);
        self.run_call();
        // The frame, its reactor and the mailbox may go as soon as the mail is there.
        const std::shared_ptr<mailbox> home = self.home_;
        const bool taken = home->push(self);
        FLUX_ASSERT(taken, "a scheduler ended while a blocking call of one of its coroutines ran");
    }
    void run_call() noexcept {
        try {
            call();
        } catch (...) {
            end_.set_current_exception();
        }
    }
    void call() {
        using returned = std::remove_cvref_t<std::invoke_result_t<F&>>;
        if constexpr (is_result<returned>) {
            auto r = f_();
            if (!r) {
                end_.set_error(std::move(r).error());
            } else if constexpr (std::is_void_v<value_type>) {
                end_.set_value();
            } else {
                end_.set_value(*std::move(r));
            }
        } else if constexpr (std::is_void_v<returned>) {
            f_();
            end_.set_value();
        } else {
            end_.set_value(f_());
        }
    }
    static void arrived(mail& m) noexcept { static_cast<blocking_state&>(m).finish(); }
    static void dropped(mail&) noexcept {}

    F f_;
    std::shared_ptr<mailbox> home_;
    outcome<value_type> end_;
};

} // namespace detail

/// Runs `f()` on a thread of the process's pool and yields what it returns: `co_await blocking(read_the_file);`.
///
/// At most max(4, CPUs) calls run at a time; others wait for their turn in the order in which they came.
/// Params   f  an lvalue is borrowed until the operation ends; it runs on another thread, so what it refers to must
///             not be used meanwhile. With g++ 12 a temporary must be trivially destructible: name the lambda first.
/// Returns  what f returns; of a result<T> its T or its error.
/// Errors   what f throws: a flux::error as any operation's, other exceptions pass through. EAGAIN if not even one
///          thread can be started.
/// Cancel   at once while it waits for its turn. Once f runs, the operation waits for it, and its outcome wins.
/// Threads  f must not use the reactor, but by post(). On a loop with virtual time f is called at once, by its thread.
/// Cost     two switches of threads, no allocation.
template <class F>
    requires std::invocable<F&>
[[nodiscard]] detail::blocking_op<F> blocking(F&& f) {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
    static_assert(std::is_lvalue_reference_v<F> || std::is_trivially_destructible_v<F>,
                  "g++ 12 destroys the captures of a temporary twice: name the lambda first, then blocking(name)");
#endif
    return detail::blocking_op<F>(std::forward<F>(f));
}

} // namespace flux::inline FLUX_ABI
