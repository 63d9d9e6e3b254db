// SPDX-License-Identifier: MIT
// Who asks, where nginx, HAProxy or another proxy is in front: says the address of the client, as far as a proxy on this
// machine tells it.
//
//   behind_proxy 8080           the proxy writes X-Forwarded-For
//   behind_proxy 8080 --proxy   it writes the PROXY protocol, version 1 or 2; other connections are refused
//
// Listens on 127.0.0.1; port 0 is chosen by the kernel. What anybody but a trusted proxy says about itself counts for
// nothing. Proxies keep their connections to this server: idle ones outlive the proxy's own time-out (60 s with nginx).
#include <flux.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace http = flux::http;

namespace {

flux::task<> serve_all(const http::router& app, std::uint16_t port, const flux::network_set& proxies, bool proxy_protocol) {
    const auto ctx = co_await flux::this_context();
    const auto where = flux::endpoint::parse("127.0.0.1:0").value().with_port(port);
    auto listener = flux::tcp_listener::listen(flux::reactor::of(ctx.home()), where).value();
    std::fprintf(stderr, "flux: listening on %s\n", listener.local_endpoint().value().to_string().c_str());
    http::server_options options;
    options.idle_timeout = flux::seconds(75);
    if (proxy_protocol) {
        using listener_type = flux::proxy_listener<flux::tcp_listener>;
        http::basic_server<listener_type> server(app, options);
        co_await server.serve(listener_type(std::move(listener), proxies));
    } else {
        http::basic_server<flux::tcp_listener> server(app, options);
        co_await server.serve(std::move(listener));
    }
}

} // namespace

int main(int argc, char** argv) {
    std::uint64_t port = 0;
    const bool proxy_protocol = argc == 3 && std::string_view(argv[2]) == "--proxy";
    if (argc < 2 || argc > (proxy_protocol ? 3 : 2) || !http::parse_decimal(argv[1], 65'535, port)) {
        std::fprintf(stderr, "usage: behind_proxy PORT [--proxy]\n");
        return 2;
    }
    flux::network_set proxies;
    proxies.add("127.0.0.1");
    http::router app;
    app.fallback([&proxies](http::request& req) {
        const auto client = http::client_address(req, proxies, http::forwarding::x_forwarded_for);
        return (client ? client->to_string() : "unknown") + " by " + std::string(req.remote()) + "\n";
    });
    return flux::run(serve_all(app, static_cast<std::uint16_t>(port), proxies, proxy_protocol));
}
