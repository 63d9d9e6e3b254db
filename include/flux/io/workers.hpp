// SPDX-License-Identifier: MIT
// flux/io/workers.hpp - N threads with a reactor each, that start, stop and fail together.
//
// Nothing is shared between them but what the caller's function shares. Worker 0 is the calling thread and takes
// the signals. Deliberately not here: moving work between reactors.
#pragma once

#include <flux/io/run.hpp>

#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sched.h>

namespace flux::inline FLUX_ABI {

/// How workers run.
struct workers_options {
    reactor_options reactor{};
    bool pin = false;           ///< worker i stays on the i-th CPU that the process may use
    bool handle_signals = true; ///< SIGINT and SIGTERM stop all workers with `shutdown`
};
static_assert(std::is_trivially_destructible_v<workers_options>);

namespace detail {

/// The reactors of a group, to stop them all from any of their threads.
class worker_group {
public:
    /// The calling thread's reactor joins. A group that stops already stops it too.
    void join(reactor& r) {
        const std::lock_guard lock(mutex_);
        members_.emplace_back(r.mailbox(), &r);
        if (stopped_) {
            stop_member(members_.back());
        }
    }
    void stop() {
        const std::lock_guard lock(mutex_);
        if (!stopped_) {
            stopped_ = true;
            for (member& m : members_) {
                stop_member(m);
            }
        }
    }
    /// Keeps the first failure and stops the others.
    void failed(std::exception_ptr why) {
        {
            const std::lock_guard lock(mutex_);
            if (!first_failure_) {
                first_failure_ = std::move(why);
            }
        }
        stop();
    }
    void rethrow_failure() {
        if (first_failure_) {
            std::rethrow_exception(first_failure_);
        }
    }

private:
    struct member {
        member(std::shared_ptr<mailbox> m, reactor* r) noexcept : mail(std::move(m)), home(r) {}
        std::shared_ptr<mailbox> mail;
        reactor* home;
    };
    // The mail runs on the reactor's own thread while it runs, or not at all.
    static void stop_member(member& m) {
        reactor* home = m.home;
        std::ignore = reactor::post_to(*m.mail, [home] { home->root().stop(stop_reason::shutdown); });
    }
    std::mutex mutex_;
    std::vector<member> members_;      // guarded by mutex_
    std::exception_ptr first_failure_; // guarded by mutex_ until the threads are joined
    bool stopped_ = false;             // guarded by mutex_
};

inline void pin_to_cpu(unsigned worker) noexcept {
    ::cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return;
    }
    unsigned left = worker % static_cast<unsigned>(CPU_COUNT(&allowed));
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed) && left-- == 0) {
            ::cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            ::sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

template <class F>
void run_worker(worker_group& group, F& f, unsigned index, const workers_options& options) noexcept {
    try {
        if (options.pin) {
            pin_to_cpu(index);
        }
        reactor r(options.reactor);
        if (index == 0) {
            print_fallback(r);
        }
        group.join(r);
        r.run(f(index));
    } catch (const error& e) {
        if (!e.is(errc::shutdown)) {
            group.failed(std::current_exception());
        }
    } catch (...) {
        group.failed(std::current_exception());
    }
}

} // namespace detail

/// Runs `f(worker)` for worker 0 .. n-1, each on a reactor and thread of its own, until all have ended.
///
/// Params   f  called on each worker's thread, returns task<>; must be safe to call from several threads.
/// Errors   throws what the first failing worker threw, after the others were stopped and have ended.
/// Threads  worker 0 is the calling thread.
template <class F>
void run_workers(unsigned n, F&& f, workers_options options = workers_options()) {
    FLUX_ASSERT(n > 0, "run_workers needs at least one worker");
    detail::ignore_sigpipe();
    detail::worker_group group;
    std::unique_ptr<signal_set> signals; // before the threads, which inherit the mask
    if (options.handle_signals) {
        signals = std::make_unique<signal_set>(detail::stop_signals);
    }
    std::vector<std::thread> threads;
    threads.reserve(n - 1);
    for (unsigned i = 1; i < n; ++i) {
        threads.emplace_back([&group, &f, i, &options] { detail::run_worker(group, f, i, options); });
    }
    auto stop = [&group] { group.stop(); };
    auto first = [&](unsigned index) -> task<> {
        return signals ? detail::supervise(f(index), signals.get(), &stop) : f(index);
    };
    detail::run_worker(group, first, 0, options);
    for (std::thread& t : threads) {
        t.join();
    }
    group.rethrow_failure();
}

} // namespace flux::inline FLUX_ABI
