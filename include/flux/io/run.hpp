// SPDX-License-Identifier: MIT
// flux/io/run.hpp - from main() to coroutines and back: a reactor, signals, an exit status.
//
//   SIGINT or SIGTERM -> mail to the reactor -> the root context stops with `shutdown` -> the task ends -> status 0
//   a second one      -> the process ends at once with 128 + number
//
// Signals come through handlers and not through signalfd: the second one must work also where the loop is stuck, and
// a program that is started from here must not inherit a mask that makes it deaf. The mail exists beforehand, so that
// a handler only links it. With workers.hpp and serve.hpp one of the three places that print: this is where a program
// meets its user.
// Deliberately not here: several threads (workers.hpp), other signals (signal.hpp).
#pragma once

#include <flux/io/reactor.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include <sched.h>
#include <signal.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI {

/// What run() does beside running.
struct run_options {
    reactor_options reactor{};
    bool handle_signals = true; ///< SIGINT and SIGTERM stop the root context; one run() of a process at a time
};
static_assert(std::is_trivially_destructible_v<run_options>);

namespace detail {

/// The way in which one reactor is told to stop, from any thread and from signal handlers. Outlives the reactor.
class stop_mail : private mail {
public:
    stop_mail() noexcept : mail(&arrived, &dropped) {}

    /// The reactor's own thread, once, before it runs.
    void attach(reactor& r) noexcept {
        box_ = r.mailbox();
        home_ = &r;
        attached_.store(true, std::memory_order_seq_cst);
    }
    void send(stop_reason reason) noexcept {
        if (attached_.load(std::memory_order_seq_cst) && !sent_.exchange(true, std::memory_order_acq_rel)) {
            reason_ = reason;
            std::ignore = box_->push(*this); // refused: it has ended already
        }
    }

private:
    static void arrived(mail& m) noexcept {
        auto& self = static_cast<stop_mail&>(m);
        self.home_->root().stop(self.reason_);
    }
    static void dropped(mail&) noexcept {}

    std::shared_ptr<mailbox> box_; // this one and home_: written before attached_, then constant
    reactor* home_ = nullptr;
    stop_reason reason_ = stop_reason::none; // written by the one who sends
    std::atomic<bool> attached_{false};
    std::atomic<bool> sent_{false};
};

/// The reactors of a program, stopped together. stop() may be called from signal handlers.
class stop_group {
public:
    explicit stop_group(std::size_t size) : mails_(new stop_mail[size]), size_(size) {}
    stop_group(const stop_group&) = delete;
    stop_group& operator=(const stop_group&) = delete;
    ~stop_group() { delete[] mails_; }

    /// The calling thread's reactor becomes number `i`. A group that stops already stops it too.
    void attach(std::size_t i, reactor& r) noexcept {
        mails_[i].attach(r);
        // seq_cst pairs with stop(): either it sees that this one is attached, or we see its reason
        if (const stop_reason reason = reason_.load(std::memory_order_seq_cst); reason != stop_reason::none) {
            mails_[i].send(reason);
        }
    }
    /// The first reason wins.
    void stop(stop_reason reason) noexcept {
        stop_reason none = stop_reason::none;
        if (reason_.compare_exchange_strong(none, reason, std::memory_order_seq_cst)) {
            for (std::size_t i = 0; i < size_; ++i) {
                mails_[i].send(reason);
            }
        }
    }
    [[nodiscard]] stop_reason reason() const noexcept { return reason_.load(std::memory_order_acquire); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    stop_mail* const mails_;
    std::size_t size_;
    std::atomic<stop_reason> reason_{stop_reason::none};
};

/// While it exists, SIGINT and SIGTERM stop a group, and a second one ends the process.
class stop_signals {
public:
    /// Params  group  borrowed; null: nothing happens.
    explicit stop_signals(stop_group* group) noexcept : on_(group != nullptr) {
        if (!on_) {
            return;
        }
        stop_group* nobody = nullptr;
        const bool alone = target().compare_exchange_strong(nobody, group);
        FLUX_ASSERT(alone, "run() in two threads at once: only one of them can handle_signals");
        seen().store(false);
        struct ::sigaction action {};
        action.sa_handler = &handle;
        action.sa_flags = SA_RESTART;
        ::sigemptyset(&action.sa_mask);
        ::sigaction(SIGINT, &action, &before_int_);
        ::sigaction(SIGTERM, &action, &before_term_);
    }
    stop_signals(const stop_signals&) = delete;
    stop_signals& operator=(const stop_signals&) = delete;
    ~stop_signals() {
        if (!on_) {
            return;
        }
        ::sigaction(SIGINT, &before_int_, nullptr);
        ::sigaction(SIGTERM, &before_term_, nullptr);
        target().store(nullptr);
        while (running().load() != 0) { // a handler on another thread may still use the group
            ::sched_yield();
        }
    }
    /// Whether one came.
    [[nodiscard]] bool came() const noexcept { return seen().load(); }

private:
    static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<void*>::is_always_lock_free);

    static void handle(int number) {
        const int before = errno;
        running().fetch_add(1);
        if (stop_group* group = target().load()) {
            if (seen().exchange(true)) {
                ::_exit(128 + number);
            }
            group->stop(stop_reason::shutdown);
        }
        running().fetch_sub(1);
        errno = before;
    }
    // Constant-initialised: no guard that a handler could be caught in.
    static std::atomic<stop_group*>& target() noexcept {
        static constinit std::atomic<stop_group*> group{nullptr};
        return group;
    }
    static std::atomic<bool>& seen() noexcept {
        static constinit std::atomic<bool> came{false};
        return came;
    }
    static std::atomic<int>& running() noexcept {
        static constinit std::atomic<int> handlers{0};
        return handlers;
    }

    const bool on_;
    struct ::sigaction before_int_ {};
    struct ::sigaction before_term_ {};
};

/// A peer that goes away must be an error of one write, not the end of the process.
inline void ignore_sigpipe() noexcept { ::signal(SIGPIPE, SIG_IGN); }

inline void print_fallback(const reactor& r) noexcept {
    if (r.choice().refused != 0) {
        std::fprintf(stderr, "flux: io_uring is not available (%s): using epoll\n", std::strerror(r.choice().refused));
    }
}

inline void print_error(const char* what) noexcept { std::fprintf(stderr, "flux: %s\n", what); }

/// Yields what f() returns, or turns what it throws into 1 and one line on stderr; into 0 where it is the stop that
/// a signal asked for.
template <class F>
int exit_status(F&& f, const bool& signalled) {
    try {
        if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
            f();
            return 0;
        } else {
            return f();
        }
    } catch (const error& e) {
        if (signalled && e.kind() == error_kind::cancelled) {
            return 0;
        }
        print_error(e.what());
    } catch (const std::exception& e) {
        print_error(e.what());
    } catch (...) {
        print_error("unknown exception");
    }
    return 1;
}

template <class T>
int run_program(task<T> main, const run_options& options) {
    ignore_sigpipe();
    bool signalled = false;
    const auto program = [&]() -> T {
        stop_group group(1); // outlives the reactor
        reactor r(options.reactor);
        print_fallback(r);
        group.attach(0, r);
        if (!options.handle_signals) {
            return r.run(std::move(main));
        }
        const stop_signals signals(&group);
        struct note {
            ~note() { *signalled = signals->came(); }
            bool* signalled;
            const stop_signals* signals;
        };
        const note at_end{&signalled, &signals};
        return r.run(std::move(main));
    };
    return exit_status(program, signalled);
}

} // namespace detail

/// Runs a program: `int main() { return flux::run(app()); }`.
///
/// SIGINT and SIGTERM stop the root context with `shutdown`; a second one ends the process with 128 + its number,
/// whatever the program does. SIGPIPE is ignored from then on. Where io_uring is refused, one line on stderr says so.
/// Returns  0 if the task ended well or a signal stopped it; 1 if it failed, after one line on stderr with the
///          chain of what was being done: `flux: connect 127.0.0.1:1: Connection refused`.
/// Threads  the calling thread becomes the reactor's.
/// The task yields nothing, or an int: the exit status itself.
template <class T>
    requires std::is_void_v<T> || std::is_same_v<T, int>
[[nodiscard]] int run(task<T> main, run_options options = run_options()) {
    return detail::run_program(std::move(main), options);
}

} // namespace flux::inline FLUX_ABI
