// SPDX-License-Identifier: MIT
// flux/io/run.hpp - from main() to coroutines and back: a reactor, signals, an exit status.
//
//   SIGINT or SIGTERM -> the root context stops with `shutdown` -> main ends -> status 0
//   a second one      -> the process ends at once with 128 + number
//
// With workers.hpp and serve.hpp one of the three places that print: this is where a program meets its user.
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/coro/with.hpp>
#include <flux/io/reactor.hpp>
#include <flux/io/signal.hpp>

#include <cstdio>
#include <cstring>
#include <exception>

#include <unistd.h>

namespace flux::inline FLUX_ABI {

/// What run() does beside running.
struct run_options {
    reactor_options reactor{};
    bool handle_signals = true; ///< SIGINT and SIGTERM stop the root context
};
static_assert(std::is_trivially_destructible_v<run_options>);

namespace detail {

/// A peer that goes away must be an error of one write, not the end of the process.
inline void ignore_sigpipe() noexcept { ::signal(SIGPIPE, SIG_IGN); }

inline void print_fallback(const reactor& r) {
    if (r.choice().refused != 0) {
        std::fprintf(stderr, "flux: io_uring is not available (%s): using epoll\n", std::strerror(r.choice().refused));
    }
}

inline void print_error(const char* what) { std::fprintf(stderr, "flux: %s\n", what); }

// The first signal calls `stop`, the second one ends the process.
template <class Stop>
task<> watch_signals(signal_set* signals, Stop* stop) {
    co_await signals->next();
    (*stop)();
    const int again = co_await signals->next();
    ::_exit(128 + again);
}

// Runs `main` while signals are watched; the watch ends with it.
template <class Stop>
task<> supervise(task<> main, signal_set* signals, Stop* stop) {
    auto ctx = co_await this_context();
    context_node own(ctx.node(), context_node::link::shielded);
    task_scope watch(context(own), scope_policy::collect);
    watch.spawn(&watch_signals<Stop>, signals, stop);
    outcome<void> end;
    try {
        auto r = co_await attempt(std::move(main));
        if (!r) {
            end.set_error(std::move(r).error());
        }
    } catch (...) {
        end.set_current_exception();
    }
    watch.stop();
    const auto stopped = co_await attempt(watch.join());
    ignore_result(stopped, "it was stopped");
    if (!end.empty()) {
        auto failed = end.take();
        co_await fail(std::move(failed).error());
    }
}

/// Runs f() and turns what it throws into an exit status, with one line on stderr.
template <class F>
int exit_status(F&& f, const bool& signalled) {
    try {
        f();
        return 0;
    } catch (const error& e) {
        if (signalled && e.kind() == error_kind::cancelled) {
            return 0; // it did what the signal asked for
        }
        print_error(e.what());
    } catch (const std::exception& e) {
        print_error(e.what());
    } catch (...) {
        print_error("unknown exception");
    }
    return 1;
}

inline constexpr int stop_signals[] = {SIGINT, SIGTERM};

} // namespace detail

/// Runs a program: `int main() { return flux::run(app()); }`.
///
/// Returns  0 if the task ended well or a signal stopped it; 1 if it failed, after one line on stderr with the
///          chain of what was being done.
/// Threads  the calling thread becomes the reactor's.
inline int run(task<> main, run_options options = run_options()) {
    detail::ignore_sigpipe();
    bool signalled = false;
    return detail::exit_status(
        [&] {
            if (!options.handle_signals) {
                reactor r(options.reactor);
                detail::print_fallback(r);
                r.run(std::move(main));
                return;
            }
            signal_set signals(detail::stop_signals);
            reactor r(options.reactor);
            detail::print_fallback(r);
            auto stop = [&] {
                signalled = true;
                r.root().stop(stop_reason::shutdown);
            };
            r.run(detail::supervise(std::move(main), &signals, &stop));
        },
        signalled);
}

} // namespace flux::inline FLUX_ABI
