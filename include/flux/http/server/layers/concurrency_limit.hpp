// SPDX-License-Identifier: MIT
// flux/http/server/layers/concurrency_limit.hpp - a layer that lets at most so many requests be in progress.
//
//   free -> handler            full -> queue, first come, first served -> handler, or 503 when waiting is too long
//   full, and the queue is full -> 503
//
// Deliberately not here: limits on connections (server_options), limits that adapt to load.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/coro/semaphore.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// How long the queue of a concurrency_limit may be, and how long a request may stand in it.
struct queue_limits {
    std::size_t max_waiting = 64;       ///< requests; more are answered 503
    milliseconds max_wait{1'000};       ///< then 503
};
static_assert(__is_trivially_copyable(queue_limits));

/// Lets at most `max_in_progress` requests in at a time, on each worker; some more wait, and all others are answered
/// 503 with `Retry-After: 1`, at once.
///
/// A request is in progress until its whole answer is out: also while a streamed answer is produced.
/// Threads  calls: any. Workers do not share what is free: N workers let in N times as many.
/// Cost     one uncontended lock per request, to find the worker's queue.
class concurrency_limit {
public:
    explicit concurrency_limit(std::size_t max_in_progress, queue_limits queue = queue_limits())
        : gates_(new worker_gates()), max_in_progress_(max_in_progress), queue_(queue) {}

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        const auto ctx = co_await this_context();
        gate& here = gates_->of(ctx.home(), max_in_progress_);
        auto permit = here.free.try_acquire();
        if (!permit) {
            if (here.waiting >= queue_.max_waiting) {
                co_return too_busy();
            }
            const waiting_scope scope(here);
            auto granted = co_await attempt(with_timeout(queue_.max_wait, here.free.acquire()));
            if (!granted) {
                if (granted.error().is(flux::errc::timed_out) && !ctx.stopped()) {
                    co_return too_busy();
                }
                co_return fail(std::move(granted).error());
            }
            permit.emplace(*std::move(granted));
        }
        // It comes back when the request forgets its observers, whether or not they are told.
        req.at_end([held = *std::move(permit)](const request&, const exchange_end&) mutable { held.release(); });
        co_return co_await attempt(inner(req));
    }

private:
    struct gate {
        gate(const scheduler& s, std::size_t permits) noexcept : home(&s), free(permits) {}
        const scheduler* home;
        async_semaphore free;
        std::size_t waiting = 0;
    };
    class waiting_scope {
    public:
        explicit waiting_scope(gate& g) noexcept : gate_(&g) { ++g.waiting; }
        waiting_scope(const waiting_scope&) = delete;
        waiting_scope& operator=(const waiting_scope&) = delete;
        ~waiting_scope() { --gate_->waiting; }

    private:
        gate* gate_;
    };
    // One gate per reactor, made when its first request comes.
    class worker_gates {
    public:
        [[nodiscard]] gate& of(const scheduler& home, std::size_t permits) {
            const std::lock_guard lock(mutex_);
            for (const auto& g : gates_) {
                if (g->home == &home) {
                    return *g;
                }
            }
            gates_.push_back(flux::detail::make_owner<gate>(home, permits));
            return *gates_.back();
        }

    private:
        std::mutex mutex_;
        flux::detail::dynamic_array<flux::detail::owner<gate>> gates_;
    };

    [[nodiscard]] static response too_busy() {
        return detail::plain_answer(status::service_unavailable).header(field::retry_after, "1");
    }

    flux::detail::owner<worker_gates> gates_;
    std::size_t max_in_progress_;
    queue_limits queue_;
};

} // namespace flux::inline FLUX_ABI::http
