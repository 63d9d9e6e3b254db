// SPDX-License-Identifier: MIT
// flux/net/relay.hpp - everything that one stream says to another one, both ways, until both have ended.
//
//   a.receive() -> b.write_all()      and the other way beside it; an end is passed on as an end
//
// Deliberately not here: splice(2), limits in time (with.hpp), what was agreed before.
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/net/stream.hpp>

#include <utility>

namespace flux::inline FLUX_ABI {

namespace detail {

template <class From, class To>
task<> relay_one_way(From* from, To* to) {
    for (;;) {
        const auto octets = co_await attempt(from->receive());
        if (!octets) {
            co_await fail(octets.error());
        }
        if (octets->empty()) {
            break;
        }
        auto written = co_await attempt(to->write_all(octets->octets()));
        if (!written) {
            co_await fail(std::move(written).error());
        }
    }
    ignore_result(to->shutdown_write(), "the other side may have gone");
}

} // namespace detail

/// Copies both ways until both streams have ended; who is slow slows the other. An end of one direction is passed on, the
/// other direction goes on.
/// Params   a, b  borrowed until the task ends; they are not closed.
/// Errors   the first failure of either stream ends both directions.
/// Cancel   at once; octets that were received and not written are lost.
/// Cost     three coroutine frames; no copy of its own.
template <buffered_stream A, buffered_stream B>
[[nodiscard]] task<> relay(A& a, B& b) { // lint_coro: allow parameter: borrowed until it ends
    auto ctx = co_await this_context();
    task_scope both(ctx);
    both.spawn(detail::relay_one_way<A, B>, &a, &b);
    both.spawn(detail::relay_one_way<B, A>, &b, &a);
    co_await both.join();
}

} // namespace flux::inline FLUX_ABI
