// SPDX-License-Identifier: MIT
// flux/http/server/server.hpp - the accept loop and the life of a server on one reactor.
//
//   accepting --stop of the context--> announced --drain_notice--> draining --last connection gone--> ended
//                                                                     \--drain_timeout: contexts stopped-->/
//
// Connections run under a context that is shielded from the one that stops the server: a stop is announced, closes
// the listener and the idle connections, lets requests in flight finish, and only then stops what is left with
// `shutdown`. Deliberately not here: signals, workers, printing (serve.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/server_connection.hpp>
#include <flux/http/server/spare_descriptor.hpp>

#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// An HTTP/1.1 server over any listener whose accept() yields a buffered_stream.
///
/// One reactor's: N workers are N servers, each with a listener of its own, sharing one immutable router.
/// Params   Observer  a connection_observer, or no_connection_observer
/// Threads  the reactor thread.
template <class Listener, class Observer = no_connection_observer>
class basic_server {
public:
    using stream_type = typename Listener::stream_type;
    static_assert(std::same_as<Observer, no_connection_observer> || connection_observer<Observer>,
                  "An observer has void on_connection(connection_event, const connection_info&) noexcept.");

    /// Params  app  borrowed; must outlive the server and is not changed while it serves.
    explicit basic_server(const router& app, const server_options& options = server_options())
        requires std::same_as<Observer, no_connection_observer>
        : core_(app, options) {}
    /// Params  observer  borrowed; must outlive the server. It is told of every connection, from inside of the loop:
    ///                   it must not wait.
    basic_server(const router& app, const server_options& options, Observer& observer)
        : core_(app, options), observer_(&observer) {}
    basic_server(const basic_server&) = delete;
    basic_server& operator=(const basic_server&) = delete;

    /// Serves until the ambient context is stopped or the listener is closed, then drains; returns when no
    /// connection is left. Running out of descriptors or memory is no reason to end: accepting backs off from
    /// 5 ms to 250 ms and existing connections go on. When descriptors stay out, who waits is answered 503, unless
    /// over_limit is overload::pause.
    /// Cancel   begins the drain, which takes at most drain_notice, drain_timeout, and what handlers need to end
    ///          after that and their last answers to be written (write_timeout, linger_timeout).
    [[nodiscard]] task<> serve(Listener listener) { return run(std::move(listener)); }

    /// Ends idle connections now and busy ones after their answer; new ones are still accepted.
    void drain() noexcept { core_.drain(); }
    [[nodiscard]] const server_stats& stats() const noexcept { return core_.stats; }

private:
    // Connections that are being answered 503 at the same time; what comes on top is closed at once.
    static constexpr std::size_t max_turned_away = 1024;
    // Out of descriptors: the longest wait for some, then how many of those who wait are refused before the next one.
    static constexpr milliseconds max_pause{250};
    static constexpr int max_turned_away_at_once = 128;
    static constexpr bool takes_descriptors = requires(const Listener& l) { l.local_endpoint(); };

    task<> run(Listener listener) {
        auto ctx = co_await this_context();
        flux::detail::context_node shielded(ctx.node(), flux::detail::context_node::link::shielded);
        shielded.set_value(&flux::detail::value_tag<server_drain>, &core_.draining);
        task_scope connections(context(shielded), scope_policy::collect);
        auto accepted = co_await attempt(accept_loop(listener, connections));
        core_.accepts_still = ctx.stopped();
        core_.announce_drain();
        if (core_.accepts_still && core_.options.drain_notice.count() > 0) {
            accepted = co_await attempt(shield(core_.options.drain_notice, accept_loop(listener, connections)));
        }
        if constexpr (requires { listener.stop_accepting(); }) { // who was accepted already is served
            listener.stop_accepting();
            if (core_.accepts_still) {
                accepted = co_await attempt(shield(milliseconds(1'000), accept_loop(listener, connections)));
            }
        }
        core_.accepts_still = false;
        ignore_result(accepted, "it ends with the stop or the close of the listener, which is no failure");
        listener.close();
        core_.drain();
        shielded.limit(deadline_after(shielded.home().now(), core_.options.drain_timeout), stop_reason::shutdown);
        const auto joined = co_await attempt(connections.join());
        ignore_result(joined, "a connection's failure is its own");
    }

    task<> accept_loop(Listener& listener, task_scope& connections) {
        milliseconds pause(0);
        int turned_away = 0; // since the last pause
        detail::spare_descriptor spare;
        bool has_room = !takes_descriptors || spare.take_back();
        for (;;) {
            while (core_.options.over_limit == overload::pause && is_full()) {
                core_.room.reset();
                co_await core_.room.wait();
            }
            auto stream = co_await attempt(listener.accept());
            has_room = !takes_descriptors || spare.take_back();
            if (stream && has_room) {
                pause = milliseconds(0);
                begin(*std::move(stream), connections);
                continue;
            }
            if (stream) { // in the place of the spare
                ++core_.stats.accepted;
                ++core_.stats.refused;
                detail::turn_away_at_once(*stream, core_.options.retry_after);
                has_room = spare.take_back();
                continue;
            }
            if (!is_exhaustion(stream.error())) {
                co_await fail(std::move(stream).error());
            }
            ++core_.stats.accept_errors;
            if (takes_descriptors && has_room && pause == max_pause && turned_away < max_turned_away_at_once &&
                core_.options.over_limit == overload::refuse && stream.error().code() == std::errc::too_many_files_open) {
                ++turned_away;
                spare.give_up();
                continue;
            }
            turned_away = 0;
            pause = std::max(milliseconds(5), std::min<milliseconds>(pause * 2, max_pause));
            co_await sleep_for(pause);
        }
    }
    [[nodiscard]] bool is_full() const noexcept { return core_.stats.connections >= core_.options.max_connections; }
    // What goes away by itself: other connections end, the peer's network recovers.
    [[nodiscard]] static bool is_exhaustion(const error& e) noexcept { return e.kind() == error_kind::network; }

    void begin(stream_type&& stream, task_scope& connections) {
        ++core_.stats.accepted;
        try {
            const bool counts_peers = core_.options.max_connections_per_peer < core_.options.max_connections;
            const detail::peer_table::key peer = counts_peers ? peer_of(stream) : 0;
            const bool peer_is_full =
                peer != 0 && core_.peers.count(peer) >= core_.options.max_connections_per_peer;
            const bool too_many = is_full() || peer_is_full;
            core_.stats.refused += too_many ? 1 : 0;
            if (too_many && core_.turned_away >= max_turned_away) {
                stream.abort();
                return;
            }
            connections.spawn_frame(detail::serve_connection<stream_type, Observer>(
                core_, std::move(stream), detail::connection_ticket(core_, too_many, too_many ? 0 : peer), observer_));
        } catch (const std::bad_alloc&) {
            ++core_.stats.accept_errors; // this connection is dropped, the others go on
        }
    }
    // 0 for peers that are not counted.
    [[nodiscard]] static detail::peer_table::key peer_of(stream_type& stream) {
        if constexpr (requires { stream.peer_endpoint(); }) {
            const auto peer = stream.peer_endpoint();
            return peer ? detail::peer_table::key_of(*peer).value_or(0) : 0;
        } else {
            return 0;
        }
    }

    detail::server_core core_;
    Observer* observer_ = nullptr;
};

} // namespace flux::inline FLUX_ABI::http
