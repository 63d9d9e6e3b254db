// SPDX-License-Identifier: MIT
// tests/http/server/over_tcp.hpp - one TCP connection, plain or TLS, to a server of its own.
#pragma once

#include <flux/http/server/router.hpp>
#include <flux/http/server/server_connection.hpp>
#include <support/transport_sockets.hpp>

#include <string>
#include <utility>

namespace flux_test {

/// Serves one connection over TCP: `use(client)` is its other end, which is closed then.
template <class Use>
flux::task<> with_connection(const flux::http::router* app, flux::http::server_options options, Use use) {
    using namespace flux;
    auto ctx = co_await this_context();
    auto listener = tcp_listener::listen(reactor::of(ctx.home()), endpoint::loopback(0)).value();
    const auto where = listener.local_endpoint().value();
    http::detail::server_core core(*app, options);
    auto client = co_await test_support::any_connect(where);
    auto accepted = co_await listener.accept();
    task_scope scope(ctx, scope_policy::collect);
    scope.spawn_frame(test_support::serve_any(core, std::move(accepted)));
    co_await use(client);
    client.close();
    co_await scope.join();
    listener.close();
}

/// Sends `request` and gives everything that the server sent, "RESET" behind it if it did not end well. `script` sees it
/// each time more has come.
template <class Script>
flux::task<std::string> over_tcp(const flux::http::router* app, std::string request, Script script) {
    using namespace flux;
    std::string all;
    auto use = [&](test_support::any_tcp& client) -> task<> {
        co_await client.write_all(as_octets(request));
        for (;;) {
            const auto piece = co_await attempt(client.receive());
            if (!piece) {
                all += "RESET";
                break;
            }
            if (piece->empty()) {
                break;
            }
            all += as_text(piece->octets());
            script(all);
        }
    };
    const http::server_options options;
    co_await with_connection(app, options, use);
    co_return all;
}

/// A server, and one client of it for as long as `use(client, stats)` takes; then the server is stopped.
template <class Use>
flux::task<> with_client(flux::reactor* home, const flux::http::router* app, flux::http::server_options options, Use use) {
    using namespace flux;
    auto ctx = co_await this_context();
    auto listener = tcp_listener::listen(*home, endpoint::loopback(0)).value();
    const endpoint where = listener.local_endpoint().value();
    const auto server = test_support::make_server(*app, options);
    task_scope serving(ctx, scope_policy::collect);
    serving.spawn(server->serve(std::move(listener)));
    auto client = co_await test_support::any_connect(where);
    co_await use(client, server->stats());
    client.close();
    serving.stop(stop_reason::shutdown);
    auto joined = co_await attempt(serving.join());
    ignore_result(joined, "it was stopped");
}

inline std::string body_of(const std::string& message) {
    const std::size_t at = message.find("\r\n\r\n");
    return at == std::string::npos ? "" : message.substr(at + 4);
}

} // namespace flux_test
