// SPDX-License-Identifier: MIT
// A reverse proxy: what is asked here, another server answers. Bodies are streamed both ways, connections to the server
// behind are kept.
//
//   reverse_proxy 8080 http://127.0.0.1:9000 [--workers N]
//
// Listens on 127.0.0.1; port 0 is chosen by the kernel. /health is answered here: 200, or 503 while it drains.
#include <flux.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace http = flux::http;

int main(int argc, char** argv) {
    std::uint64_t port = 0;
    std::uint64_t workers = 1;
    const bool has_workers = argc == 5 && std::string_view(argv[3]) == "--workers" && http::parse_decimal(argv[4], 64, workers);
    if ((argc != 3 && !has_workers) || !http::parse_decimal(argv[1], 65'535, port)) {
        std::fprintf(stderr, "usage: reverse_proxy PORT URL [--workers N]\n");
        return 2;
    }
    try {
        http::client_options upstream;
        upstream.timeout = flux::milliseconds(0); // long downloads are fine as long as octets come
        upstream.first_byte_timeout = flux::seconds(60);
        http::router app;
        app.get("/health", [](http::request& req) {
            return http::text(req.draining() ? "draining\n" : "ok\n")
                .code(req.draining() ? http::status::service_unavailable : http::status::ok);
        });
        app.any("/{rest...}", http::reverse_proxy(http::client(upstream), argv[2]));
        flux::serve_options options;
        options.workers = static_cast<unsigned>(workers);
        options.server.handler_timeout = flux::milliseconds::max();
        options.server.limits.body_octets = INT64_MAX; // nothing is kept here: the limit is that of the server behind
        return flux::serve("127.0.0.1:" + std::to_string(port), app, options);
    } catch (const flux::error& e) {
        std::fprintf(stderr, "flux: %s\n", e.what());
        return 2;
    }
}
