// SPDX-License-Identifier: MIT
// flux/io/workers.hpp - N threads with a reactor each, that start, stop and fail together.
//
// Nothing is shared between them but what the caller's function shares. Worker 0 is the calling thread, so that one
// worker needs no thread at all. Deliberately not here: moving work between reactors.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/io/run.hpp>

#include <cerrno>
#include <concepts>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <type_traits>
#include <utility>

#include <pthread.h>
#include <sched.h>

namespace flux::inline FLUX_ABI {

/// How workers run.
struct workers_options {
    reactor_options reactor{};
    bool pin = false;           ///< worker i stays on the i-th CPU that the calling thread may use
    bool handle_signals = true; ///< SIGINT and SIGTERM stop all workers with `shutdown`, as in run()
};
static_assert(std::is_trivially_destructible_v<workers_options>);

/// The workers of one run_workers(), to stop them all. Copies are the same group; valid until run_workers() returns.
///
/// Threads  any; also in signal handlers.
class worker_group {
public:
    explicit worker_group(detail::stop_group& stops) noexcept : stops_(&stops) {}

    /// Stops the root context of every worker, of those too that have not started yet. The first reason wins.
    void stop(stop_reason reason = stop_reason::shutdown) const noexcept { stops_->stop(reason); }
    [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(stops_->size()); }

private:
    detail::stop_group* stops_;
};

namespace detail {

/// Leaves the calling thread one of its CPUs, and gives the others back at the end.
class cpu_pin {
public:
    /// Params  wanted  false: nothing happens.
    /// Errors  throws flux::error.
    cpu_pin(unsigned worker, bool wanted) : pinned_(wanted) {
        if (!wanted) {
            return;
        }
        if (::sched_getaffinity(0, sizeof before_, &before_) != 0) {
            throw error::from_errno(errno).doing("sched_getaffinity");
        }
        unsigned left = worker % static_cast<unsigned>(CPU_COUNT(&before_));
        std::size_t cpu = 0;
        while (!CPU_ISSET(cpu, &before_) || left-- != 0) {
            ++cpu;
        }
        ::cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (::sched_setaffinity(0, sizeof one, &one) != 0) {
            throw error::from_errno(errno).doing("sched_setaffinity");
        }
    }
    cpu_pin(const cpu_pin&) = delete;
    cpu_pin& operator=(const cpu_pin&) = delete;
    ~cpu_pin() {
        if (pinned_) {
            ::sched_setaffinity(0, sizeof before_, &before_);
        }
    }

private:
    const bool pinned_;
    ::cpu_set_t before_{};
};

class worker_team {
public:
    worker_team(unsigned size, const workers_options& options) : stops_(size), options_(options) {}

    [[nodiscard]] stop_group& stops() noexcept { return stops_; }

    /// Runs worker `index` to its end on the calling thread.
    template <class F>
    void work(F& f, unsigned index) noexcept {
        try {
            const cpu_pin pin(index, options_.pin);
            reactor r(options_.reactor);
            if (index == 0) {
                print_fallback(r);
            }
            stops_.attach(index, r);
            if constexpr (std::invocable<F&, unsigned, worker_group>) {
                r.run(f(index, worker_group(stops_)));
            } else {
                r.run(f(index));
            }
        } catch (const error& e) {
            const stop_reason why = stops_.reason();
            if (why == stop_reason::none || !e.is(to_errc(why))) {
                failed(std::current_exception());
            }
        } catch (...) {
            failed(std::current_exception());
        }
    }
    /// Any worker: keeps the first failure, and stops the others.
    void failed(std::exception_ptr why) noexcept {
        {
            const std::lock_guard lock(mutex_);
            if (!first_failure_) {
                first_failure_ = std::move(why);
            }
        }
        stops_.stop(stop_reason::shutdown);
    }
    /// When all have ended.
    void rethrow_failure() {
        if (first_failure_) {
            std::rethrow_exception(std::move(first_failure_));
        }
    }

private:
    stop_group stops_;
    workers_options options_;
    std::mutex mutex_;
    std::exception_ptr first_failure_; // guarded by mutex_ until the threads are joined
};

// A thread that is not worker 0. Not std::thread, which costs a program that serves half a hundred functions.
template <class F>
struct worker_start {
    worker_team* team;
    F* f;
    unsigned index;
    ::pthread_t thread;

    static void* run(void* self) noexcept {
        const auto& start = *static_cast<const worker_start*>(self);
        start.team->work(*start.f, start.index);
        return nullptr;
    }
};

} // namespace detail

/// Runs `f(worker)` or `f(worker, worker_group)` for worker 0 .. n-1, each on a reactor and thread of its own, until
/// all have ended. A worker that ends well does not end the others. SIGPIPE is ignored from then on.
///
/// Params   n  at least 1.  f  called on each worker's thread, returns task<>; must be safe to call from several.
/// Errors   throws what the first failing worker threw, after the others were stopped with `shutdown` and have ended.
///          One that was stopped and ends with that reason has not failed.
/// Threads  worker 0 is the calling thread, so that with n == 1 there is no other.
template <class F>
void run_workers(unsigned n, F&& f, workers_options options = workers_options()) {
    FLUX_ASSERT(n > 0, "run_workers needs at least one worker");
    detail::ignore_sigpipe();
    detail::worker_team team(n, options);
    const detail::stop_signals signals(options.handle_signals ? &team.stops() : nullptr);
    using worker = detail::worker_start<std::remove_reference_t<F>>;
    detail::dynamic_array<worker> others; // in place from here on: their threads refer to them
    others.reserve(n - 1);
    int refused = 0;
    for (unsigned i = 1; i < n && refused == 0; ++i) {
        others.push_back(worker{&team, &f, i, {}});
        refused = ::pthread_create(&others.back().thread, nullptr, &worker::run, &others.back());
    }
    if (refused == 0) {
        team.work(f, 0);
    } else { // those that run end
        others.pop_back();
        team.failed(std::make_exception_ptr(error::from_errno(refused).doing("worker thread")));
    }
    for (const worker& other : others) {
        ::pthread_join(other.thread, nullptr);
    }
    team.rethrow_failure();
}

} // namespace flux::inline FLUX_ABI
