// SPDX-License-Identifier: MIT
// tests/support/transport_sockets.hpp - servers and connections over TCP, with what transport.hpp makes of them.
#pragma once

#include <flux/http/server/server.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/listener.hpp>
#include <flux/net/tcp_connector.hpp>
#include <support/transport.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace test_support {

using any_tcp = any_end<flux::tcp_stream>;

inline flux::task<any_tcp> any_connect(flux::endpoint where) {
    auto stream = co_await flux::tcp_connect(where);
    co_return any_tcp::connected(std::move(stream));
}

/// A client's connector: TCP as programs connect, and TLS over it where the transport is that.
class any_connector {
public:
    using stream_type = any_tcp;
    static constexpr bool secures = false;
    [[nodiscard]] flux::task<stream_type> connect(const flux::destination& to) { return secured(next_.connect(to)); }

private:
    struct dialer {
        using stream_type = flux::tcp_stream;
        [[nodiscard]] flux::detail::connect_op<stream_type> dial(const flux::endpoint& to) noexcept {
            return flux::detail::connect_op<stream_type>(to);
        }
    };
    static flux::task<stream_type> secured(flux::task<flux::tcp_stream> dial) {
        auto stream = any_tcp::connected(co_await std::move(dial));
        co_await stream.ready();
        co_return stream;
    }
    flux::basic_tcp_connector<flux::dns_resolver, dialer> next_;
};

/// What each end of a TLS connection takes for a warm exchange of one small request and one small answer, in coroutine
/// frames and in allocations: a stream that waits holds no buffer, so the record that came, what was in it and the record
/// that goes are allocated, and one more by the library for either record. Nothing over plain streams.
inline std::uint64_t tls_costs() { return over_tls() ? 5 : 0; }

/// As long as it lives, what the library behind TLS allocates counts as what operator new does, in the log of counting_new.hpp.
/// Made before there are other threads that use the library.
class library_allocations {
public:
    library_allocations();
    library_allocations(const library_allocations&) = delete;
    library_allocations& operator=(const library_allocations&) = delete;
    ~library_allocations();
};

// Over TLS: in transport_tls.cpp, with the types that programs have.
flux::detail::child serve_secure(flux::http::detail::server_core& core, flux::tcp_stream stream);

/// Serves one connection, as a child of a scope.
inline flux::detail::child serve_any(flux::http::detail::server_core& core, flux::tcp_stream stream) {
    return over_tls() ? serve_secure(core, std::move(stream)) : flux::http::detail::serve_connection(core, std::move(stream));
}

/// A basic_server over TCP.
class any_server {
public:
    any_server() = default;
    any_server(const any_server&) = delete;
    any_server& operator=(const any_server&) = delete;
    virtual ~any_server() = default;
    virtual flux::task<> serve(flux::tcp_listener listener) = 0;
    [[nodiscard]] virtual const flux::http::server_stats& stats() const noexcept = 0;
};
std::unique_ptr<any_server> make_secure_server(const flux::http::router& app, const flux::http::server_options& options);

inline std::unique_ptr<any_server> make_server(const flux::http::router& app, const flux::http::server_options& options = {}) {
    class plain final : public any_server {
    public:
        plain(const flux::http::router& a, const flux::http::server_options& o) : server_(a, o) {}
        flux::task<> serve(flux::tcp_listener listener) override { return server_.serve(std::move(listener)); }
        const flux::http::server_stats& stats() const noexcept override { return server_.stats(); }

    private:
        flux::http::basic_server<flux::tcp_listener> server_;
    };
    if (over_tls()) {
        return make_secure_server(app, options);
    }
    return std::make_unique<plain>(app, options);
}

} // namespace test_support
