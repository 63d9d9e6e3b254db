// SPDX-License-Identifier: MIT
// flux/tls/https.hpp - HTTP over TLS: serve() with certificates, and the client for https URLs.
#pragma once

#include <flux/http/client/client.hpp>
#include <flux/http/server/serve.hpp>
#include <flux/tls/connector.hpp>
#include <flux/tls/listener.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::tls {

/// The client of programs that use https: `tls::client api; co_await api.get("https://a.test/").text()`.
///
/// Verifies servers by the system's authorities; others by a context of your own:
///     auto context = tls::client_context::make(settings).value();
///     tls::client api({}, tls::connector<>(context));
using client = http::basic_client<connector<tcp_connector>>;

namespace detail {

struct with_tls {
    explicit with_tls(server_config_ptr c) : config(std::move(c)) {}
    template <class Listener>
    [[nodiscard]] listener<Listener> operator()(Listener l) const {
        return listener<Listener>(std::move(l), config);
    }
    server_config_ptr config;
};

} // namespace detail

/// As flux::serve, over TLS: until SIGINT or SIGTERM, then drains.
///
/// Params   config  shared by all workers; its table may change while it serves.
template <class Options = serve_options>
[[nodiscard]] int serve(std::string_view where, const http::router& app, server_config_ptr config,
                        const Options& given = Options()) {
    const serve_options& options = given;
    const bool signalled = true;
    return flux::detail::exit_status(
        [&] {
            const endpoint at = flux::detail::serving_place(where, options);
            flux::detail::serve_on<basic_listener<socket_stream>>(at, app, options, detail::with_tls(config));
        },
        signalled);
}

/// With one identity for all names.
/// Returns  1 before anything listens, if the settings cannot be used; the reason is printed.
template <class Options = serve_options>
[[nodiscard]] int serve(std::string_view where, const http::router& app, const server_settings& settings,
                        const Options& given = Options()) {
    const bool signalled = true;
    server_config_ptr config;
    const int status = flux::detail::exit_status(
        [&] {
            config = std::make_shared<server_config>(server_context::make(settings).value());
        },
        signalled);
    return config == nullptr ? status : serve(where, app, std::move(config), given);
}

} // namespace flux::inline FLUX_ABI::tls
