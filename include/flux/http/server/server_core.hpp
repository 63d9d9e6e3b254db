// SPDX-License-Identifier: MIT
// flux/http/server/server_core.hpp - what all connections of one server on one reactor share.
//
// Options, the application, pools, counters, and the list of connections that drain() walks. Deliberately not
// here: listeners and the accept loop (server.hpp).
#pragma once

#include <flux/core/intrusive_list.hpp>
#include <flux/core/vacate.hpp>
#include <flux/coro/context.hpp>
#include <flux/http/server/date_cache.hpp>
#include <flux/http/server/drain_signal.hpp>
#include <flux/http/server/exchange.hpp>
#include <flux/http/server/peer_table.hpp>
#include <flux/http/server/router.hpp>
#include <flux/http/server/server_options.hpp>

#include <cstddef>
#include <cstdint>

namespace flux::inline FLUX_ABI::http {

/// Counters of one server, since it was made. Read on its reactor's thread.
struct server_stats {
    std::uint64_t accepted = 0;     ///< connections
    std::uint64_t refused = 0;      ///< connections turned away because of max_connections or max_connections_per_peer
    std::uint64_t requests = 0;     ///< whole heads
    std::uint64_t bad_requests = 0; ///< refused by the parser or the framing rules
    std::uint64_t accept_errors = 0;
    std::size_t connections = 0;    ///< now, without those that are being turned away
    std::size_t active = 0;         ///< connections that are busy with a request now
};

namespace detail {

/// A connection as drain() sees it.
class drainable : public list_hook<> {
public:
    /// Ends the connection if it is idle; a busy one ends after its answer.
    virtual void drain() noexcept = 0;

protected:
    ~drainable() = default;
};

class server_core {
public:
    server_core(const router& app, const server_options& given) noexcept
        : options(given), application(&app), exchanges(options) {}
    server_core(const server_core&) = delete;
    server_core& operator=(const server_core&) = delete;

    /// From now on every answer is its connection's last one.
    void announce_drain() noexcept { draining.set(); }
    void drain() noexcept {
        announce_drain();
        connections.for_each([](drainable& c) { c.drain(); });
    }
    [[nodiscard]] bool is_draining() const noexcept { return draining.is_set(); }

    const server_options options;
    const router* application;
    exchange_pool exchanges;
    date_cache date;
    server_stats stats;
    intrusive_list<drainable> connections;
    drain_signal draining;
    bool accepts_still = false; ///< the drain has been announced, but new connections are welcome
    peer_table peers;          ///< used only where max_connections_per_peer is set
    async_event room;          ///< set when a connection ends; reset by who waits
    std::size_t turned_away = 0; ///< connections that are being answered 503 now
};

/// What a connection counts for, from when it is accepted to its end.
class connection_ticket {
public:
    /// Counts for nothing.
    connection_ticket() noexcept = default;
    /// Params  peer  whom it is counted for; 0: nobody
    connection_ticket(server_core& server, bool too_many, peer_table::key peer) : server_(&server), too_many_(too_many) {
        if (peer != 0) {
            server.peers.add(peer);
            peer_ = peer;
        }
        ++(too_many ? server.turned_away : server.stats.connections);
    }
    connection_ticket(connection_ticket&& other) noexcept
        : server_(flux::detail::vacate(other.server_)), peer_(other.peer_), too_many_(other.too_many_) {}
    connection_ticket& operator=(connection_ticket&&) = delete;
    ~connection_ticket() {
        if (server_ == nullptr) {
            return;
        }
        if (peer_ != 0) {
            server_->peers.remove(peer_);
        }
        --(too_many_ ? server_->turned_away : server_->stats.connections);
        server_->room.set();
    }
    [[nodiscard]] bool is_too_many() const noexcept { return too_many_; }

private:
    server_core* server_ = nullptr;
    peer_table::key peer_ = 0;
    bool too_many_ = false;
};

} // namespace detail
} // namespace flux::inline FLUX_ABI::http
