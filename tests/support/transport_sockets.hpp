// SPDX-License-Identifier: MIT
// tests/support/transport_sockets.hpp - servers and connections over TCP, with what transport.hpp makes of them.
#pragma once

#include <flux/http/server/server.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/listener.hpp>
#include <support/transport.hpp>

#include <memory>
#include <utility>

namespace test_support {

using any_tcp = any_end<flux::tcp_stream>;

inline flux::task<any_tcp> any_connect(flux::endpoint where) {
    auto stream = co_await flux::tcp_connect(where);
    co_return any_tcp::connected(std::move(stream));
}

/// A client's connector to an address: TCP, and TLS over it where the transport is that.
class any_connector {
public:
    using stream_type = any_tcp;
    static constexpr bool secures = false;
    [[nodiscard]] flux::task<stream_type> connect(const flux::destination& to) { return dial(to); }

private:
    static flux::task<stream_type> dial(flux::destination to) {
        auto stream = co_await any_connect(flux::endpoint::parse(to.to_string()).value());
        co_await stream.ready();
        co_return stream;
    }
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
