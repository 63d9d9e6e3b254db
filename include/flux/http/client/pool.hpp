// SPDX-License-Identifier: MIT
// flux/http/client/pool.hpp - a pool whose connections a connector makes.
//
//   pool_core wants a connection -> dial, on a frame of the pool's own -> pool_core has one, or a failure
//
// Deliberately not here: who may open one and who gets it (pool_core.hpp), HTTP (client_connection.hpp).
#pragma once

#include <flux/coro/with.hpp>
#include <flux/http/client/pool_core.hpp>
#include <flux/net/connector.hpp>

#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

/// Connections made by `Connector`; `Connection` is constructed from its stream and derives from pool_member.
template <connector Connector, class Connection>
class connection_pool final : public pool_core {
public:
    using stream_type = typename Connector::stream_type;
    connection_pool(scheduler& home, const pool_options& options, Connector c)
        : pool_core(home, options), connector_(std::move(c)) {}

    [[nodiscard]] Connector& connector() noexcept { return connector_; }

private:
    static flux::detail::child dial(connection_pool* pool, pool_origin* origin) {
        const milliseconds most = pool->options().connect_timeout;
        auto limit = co_await within(most.count() > 0 ? duration(most) : duration::max());
        auto ctx = co_await this_context();
        dial_record record(ctx.node());
        if (!dial_starts(*origin, record)) {
            record.give_up();
        }
        dial_trace trace(*origin);
        auto stream = co_await attempt(with_value<connect_trace_key>(&trace, pool->connector_.connect(origin->where)));
        record.unlink();
        if (stream) {
            pool->dial_succeeded(*origin, *new Connection(*std::move(stream)), record.given_up());
        } else {
            pool->dial_failed(*origin, std::move(stream).error(), record.given_up());
        }
        co_return result<void>();
    }

    void start_dial(pool_origin& o) override { dial_scope().spawn_frame(dial(this, &o)); }
    void watch(pool_member& m, hangup_listener* l) noexcept override {
        stream_type& stream = static_cast<Connection&>(m).stream();
        if constexpr (requires { stream.watch_input(l); }) {
            stream.watch_input(l);
        } else {
            stream.watch_hangup(l);
        }
    }
    [[nodiscard]] bool is_quiet(pool_member& m) noexcept override {
        stream_type& stream = static_cast<Connection&>(m).stream();
        if constexpr (requires { stream.has_input(); }) {
            return stream.is_open() && !stream.has_input();
        } else {
            return stream.is_open();
        }
    }
    void destroy(pool_member& m) noexcept override { delete static_cast<Connection*>(&m); }

    Connector connector_;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
