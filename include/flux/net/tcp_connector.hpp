// SPDX-License-Identifier: MIT
// flux/net/tcp_connector.hpp - tcp_connector: from a host and a port to a TCP connection, by way of names.
//
// An IP literal is connected to directly, a name by the race of happy_eyeballs.hpp. Deliberately not here: TLS, proxies.
#pragma once

#include <flux/net/connect.hpp>
#include <flux/net/dns_resolver.hpp>
#include <flux/net/happy_eyeballs.hpp>

#include <memory>

namespace flux::inline FLUX_ABI {

namespace detail {

/// How a tcp_connector reaches one address. Tests have others.
class tcp_dialer {
public:
    using stream_type = socket_stream;
    [[nodiscard]] connect_op<socket_stream> dial(const endpoint& to) noexcept { return connect_op<socket_stream>(to); }
};

/// What a connector is inside; connections that are being made share it.
template <class Resolver, class Dialer>
class tcp_connector_core {
public:
    using stream_type = typename Dialer::stream_type;
    tcp_connector_core(Resolver n, const tcp_connect_options& o, Dialer d)
        : names(std::move(n)), options(o), dialer(std::move(d)) {}

    Resolver names;
    tcp_connect_options options;
    Dialer dialer;
    address_memory<clock> memory;
};

template <class Core>
task<typename Core::stream_type> connect_to_address(std::shared_ptr<Core> core, endpoint to) {
    auto ctx = co_await this_context();
    connect_trace* trace = trace_of(ctx);
    if (trace != nullptr) {
        trace->attempt_started(to);
    }
    auto stream = co_await attempt(core->dialer.dial(to));
    if (trace != nullptr) {
        trace->attempt_ended(to, stream ? nullptr : &stream.error());
    }
    co_return stream;
}

template <class Core>
task<typename Core::stream_type> connect_to_host(std::shared_ptr<Core> core, destination to) {
    auto ctx = co_await this_context();
    dial_race<Core> race(*core, std::move(to), ctx);
    auto body = [&race](task_scope& scope) { return race.run(scope); };
    auto ran = co_await attempt(with_scope(body, scope_policy::collect));
    co_return race.end(std::move(ran));
}

} // namespace detail

/// Connects over TCP to an IP literal, or to a name: to the first of its addresses that answers.
///
/// A copy has the options and nothing else: no cache, nothing about addresses that do not work. It may belong to another
/// reactor.
/// Errors   of an address: `connect 192.0.2.1:80: Connection refused`, phase connect. Where all addresses of a name
///          failed: that of the last one, in `connect example.org:80 (what became of the others)`. Of the look-up: as
///          the resolver's, phase resolve. All are retryable.
/// Cancel   at once, also while a name is looked up; all attempts are closed.
/// Threads  the thread of one reactor; may be copied on any thread.
/// Cost     an IP literal: one frame. A name: one for the race, and one for each attempt.
/// Source   RFC 8305.
template <resolver Resolver, class Dialer = detail::tcp_dialer>
class basic_tcp_connector {
public:
    using stream_type = typename Dialer::stream_type;
    static constexpr bool secures = false;

    explicit basic_tcp_connector(Resolver names = Resolver(), tcp_connect_options options = {}, Dialer dialer = Dialer())
        : core_(std::make_shared<core>(std::move(names), options, std::move(dialer))) {}
    basic_tcp_connector(const basic_tcp_connector& other)
        : core_(std::make_shared<core>(other.core_->names, other.core_->options, other.core_->dialer)) {}
    basic_tcp_connector(basic_tcp_connector&&) noexcept = default;
    basic_tcp_connector& operator=(const basic_tcp_connector& other) {
        return *this = basic_tcp_connector(other);
    }
    basic_tcp_connector& operator=(basic_tcp_connector&&) noexcept = default;
    ~basic_tcp_connector() = default; // connections that are being made keep what they need

    [[nodiscard]] task<stream_type> connect(const destination& to) {
        if (auto literal = endpoint::parse_ip(to.host, to.port)) {
            return detail::connect_to_address(core_, *literal);
        }
        return detail::connect_to_host(core_, to);
    }
    [[nodiscard]] Resolver& names() noexcept { return core_->names; }

private:
    using core = detail::tcp_connector_core<Resolver, Dialer>;
    std::shared_ptr<core> core_;
};
using tcp_connector = basic_tcp_connector<dns_resolver>;

} // namespace flux::inline FLUX_ABI
