// SPDX-License-Identifier: MIT
// flux/http/server/server_core.hpp - what all connections of one server on one reactor share.
//
// Options, the application, pools, counters, and the list of connections that drain() walks. Deliberately not
// here: listeners and the accept loop (server.hpp).
#pragma once

#include <flux/core/intrusive_list.hpp>
#include <flux/coro/context.hpp>
#include <flux/http/server/date_cache.hpp>
#include <flux/http/server/exchange.hpp>
#include <flux/http/server/router.hpp>
#include <flux/http/server/server_options.hpp>

#include <cstddef>
#include <cstdint>

namespace flux::inline FLUX_ABI::http {

/// Counters of one server, since it was made. Read on its reactor's thread.
struct server_stats {
    std::uint64_t accepted = 0;     ///< connections
    std::uint64_t refused = 0;      ///< connections answered 503 because of max_connections
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

    void drain() noexcept {
        draining = true;
        connections.for_each([](drainable& c) { c.drain(); });
    }

    const server_options options;
    const router* application;
    exchange_pool exchanges;
    date_cache date;
    server_stats stats;
    intrusive_list<drainable> connections;
    bool draining = false;
};

} // namespace detail
} // namespace flux::inline FLUX_ABI::http
