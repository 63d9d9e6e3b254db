// SPDX-License-Identifier: MIT
// flux/http/server/drain_signal.hpp - how handlers learn that their server is about to end.
//
// A drain lets requests in flight finish. One that would not finish by itself (events, a tunnel, a long poll) has to
// look here. Deliberately not here: the drain (server.hpp).
#pragma once

#include <flux/coro/cancel.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/task.hpp>

namespace flux::inline FLUX_ABI::http {

/// One server's: set when its drain begins, and never reset.
class drain_signal {
public:
    drain_signal() noexcept = default;
    drain_signal(const drain_signal&) = delete;
    drain_signal& operator=(const drain_signal&) = delete;

    [[nodiscard]] bool is_set() const noexcept { return event_.is_set(); }
    /// Waits for the drain to begin. Errors, Cancel: as async_event::wait().
    [[nodiscard]] flux::detail::event_wait_op wait() const noexcept { return event_.wait(); }
    void set() noexcept { event_.set(); }

private:
    mutable async_event event_; // waiting changes nothing that a user of this can see
};

/// The signal of the server that a coroutine works for: `ctx.get<server_drain>()`; null outside of a server.
struct server_drain : context_key<drain_signal> {};

/// Whether the server that the context belongs to drains. False outside of a server.
[[nodiscard]] inline bool is_draining(context ctx) noexcept {
    const drain_signal* const signal = ctx.get<server_drain>();
    return signal != nullptr && signal->is_set();
}

/// Waits until the server that the calling coroutine works for drains: race it with what would not end by itself,
/// `co_await when_any(next_event(), http::until_draining())`. Outside of a server only a stop ends it.
/// Errors  the reason of the context if it is stopped first.
template <class Void = void>
[[nodiscard]] task<Void> until_draining() {
    const context ctx = co_await this_context();
    if (const drain_signal* const signal = ctx.get<server_drain>(); signal != nullptr) {
        co_await signal->wait();
        co_return;
    }
    const stop_reason why = co_await until_stopped();
    co_await fail(to_errc(why));
}

} // namespace flux::inline FLUX_ABI::http
