// SPDX-License-Identifier: MIT
// flux/io/signal.hpp - signals as something to await, through a signalfd.
//
//   blocked signal -> pending in the kernel -> next() takes it;  without a next() it stays pending
//
// The signals of a set are blocked for the thread that makes it and for threads started later, so make it before
// any: a thread that does not block a signal gets it as if there were no set. Programs that are started from here
// inherit the mask; let them unblock. Deliberately not here: SIGINT and SIGTERM of a whole program (run.hpp), which
// must work also while the loop is busy and so come through handlers.
#pragma once

#include <flux/io/io_state.hpp>
#include <flux/io/unique_fd.hpp>

#include <cerrno>
#include <concepts>
#include <span>

#include <signal.h>
#include <sys/signalfd.h>

namespace flux::inline FLUX_ABI {

namespace detail {

class signal_state;

class [[nodiscard]] signal_op {
public:
    using value_type = int;
    using state_type = signal_state;
    explicit signal_op(int fd) noexcept : fd_(fd) {}

private:
    friend class signal_state;
    int fd_;
};

class signal_state : public io_state {
public:
    signal_state(signal_op op, context_node& ctx) noexcept : io_state(ctx, io_kind::read, op.fd_) {
        data = &info_;
        size = sizeof info_;
    }
    [[nodiscard]] result<int> take() const noexcept {
        const auto n = outcome();
        if (!n) {
            return fail(n.error());
        }
        return static_cast<int>(info_.ssi_signo);
    }

private:
    ::signalfd_siginfo info_{};
};

} // namespace detail

/// Some signals that are taken by awaiting instead of by handlers: `const int number = co_await signals.next();`.
///
/// Of one number at most one is pending at a time, as always with signals: it says "at least once since".
/// Threads  make it before other threads start, and destroy it on the same thread; next() on any reactor.
class signal_set {
public:
    /// Blocks the signals and listens for them. Errors: throws flux::error.
    explicit signal_set(std::span<const int> numbers) { listen(numbers); }
    /// The same for numbers that are written down: `signal_set signals(SIGHUP, SIGUSR1);`.
    template <std::same_as<int>... More>
    explicit signal_set(int first, More... more) {
        const int numbers[] = {first, more...};
        listen(numbers);
    }
    signal_set(const signal_set&) = delete;
    signal_set& operator=(const signal_set&) = delete;
    /// Restores the thread's mask; a signal that is still pending is delivered then.
    ~signal_set() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

    /// The number of the next signal of the set.
    /// Errors   the reason of the context if it is stopped meanwhile.
    /// Cancel   no signal is lost: one that was taken is yielded, one that comes later is kept.
    /// Overlap  any number; each signal goes to one of them.
    [[nodiscard]] detail::signal_op next() noexcept { return detail::signal_op(fd_.get()); }

private:
    void listen(std::span<const int> numbers) {
        ::sigemptyset(&set_);
        for (const int number : numbers) {
            if (::sigaddset(&set_, number) != 0) {
                throw error::from_errno(errno).doing("signal_set");
            }
        }
        fd_.reset(::signalfd(-1, &set_, SFD_CLOEXEC));
        if (!fd_) {
            throw error::from_errno(errno).doing("signalfd");
        }
        if (const int failed = ::pthread_sigmask(SIG_BLOCK, &set_, &before_); failed != 0) {
            throw error::from_errno(failed).doing("pthread_sigmask");
        }
    }

    ::sigset_t set_{};
    ::sigset_t before_{};
    unique_fd fd_;
};

} // namespace flux::inline FLUX_ABI
