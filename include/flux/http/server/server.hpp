// SPDX-License-Identifier: MIT
// flux/http/server/server.hpp - the accept loop and the life of a server on one reactor.
//
//   accepting --stop of the context--> draining --last connection gone, or drain_timeout--> ended
//
// Connections run under a context that is shielded from the one that stops the server: a stop closes the
// listener and the idle connections, lets requests in flight finish, and only then stops what is left with
// `shutdown`. Deliberately not here: signals, workers, printing (serve.hpp).
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/server_connection.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// An HTTP/1.1 server over any listener whose accept() yields a buffered_stream.
///
/// One reactor's: N workers are N servers, each with a listener of its own, sharing one immutable router.
/// Threads  the reactor thread.
template <class Listener>
class basic_server {
public:
    using stream_type = typename Listener::stream_type;

    /// Params  app  borrowed; must outlive the server and is not changed while it serves.
    explicit basic_server(const router& app, const server_options& options = server_options())
        : core_(app, options) {}
    basic_server(const basic_server&) = delete;
    basic_server& operator=(const basic_server&) = delete;

    /// Serves until the ambient context is stopped or the listener is closed, then drains; returns when no
    /// connection is left. Running out of descriptors or memory is no reason to end: accepting backs off from
    /// 5 ms to 1 s and existing connections go on.
    /// Cancel   begins the drain, which takes at most drain_timeout and what handlers need to end after it.
    [[nodiscard]] task<> serve(Listener listener) { return run(std::move(listener)); }

    /// Ends idle connections now and busy ones after their answer; new ones are still accepted.
    void drain() noexcept { core_.drain(); }
    [[nodiscard]] const server_stats& stats() const noexcept { return core_.stats; }

private:
    task<> run(Listener listener) {
        auto ctx = co_await this_context();
        flux::detail::context_node shielded(ctx.node(), flux::detail::context_node::link::shielded);
        task_scope connections(context(shielded), scope_policy::collect);
        const auto accepted = co_await attempt(accept_loop(listener, connections));
        ignore_result(accepted, "it ends with the stop or the close of the listener, which is no failure");
        listener.close();
        core_.drain();
        shielded.limit(deadline_after(shielded.home().now(), core_.options.drain_timeout), stop_reason::shutdown);
        const auto joined = co_await attempt(connections.join());
        ignore_result(joined, "a connection's failure is its own");
    }

    task<> accept_loop(Listener& listener, task_scope& connections) {
        milliseconds pause(0);
        for (;;) {
            auto stream = co_await attempt(listener.accept());
            if (stream) {
                pause = milliseconds(0);
                begin(*std::move(stream), connections);
                continue;
            }
            if (!is_exhaustion(stream.error())) {
                co_await fail(std::move(stream).error());
            }
            ++core_.stats.accept_errors;
            pause = std::clamp(pause * 2, milliseconds(5), milliseconds(1000));
            co_await sleep_for(pause);
        }
    }
    // What goes away by itself: other connections end, the peer's network recovers.
    [[nodiscard]] static bool is_exhaustion(const error& e) noexcept { return e.kind() == error_kind::network; }

    void begin(stream_type&& stream, task_scope& connections) {
        ++core_.stats.accepted;
        try {
            const bool too_many = core_.stats.connections >= core_.options.max_connections;
            core_.stats.refused += too_many ? 1 : 0;
            connections.spawn_frame(detail::serve_connection<stream_type>(core_, std::move(stream), too_many));
        } catch (const std::bad_alloc&) {
            ++core_.stats.accept_errors; // this connection is dropped, the others go on
        }
    }
    detail::server_core core_;
};

} // namespace flux::inline FLUX_ABI::http
