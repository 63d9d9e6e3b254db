// SPDX-License-Identifier: MIT
// A server for https, with a certificate of its own making or with several from files.
//
//   https_hello [PORT]                                     self-signed for localhost, 127.0.0.1 and ::1
//   https_hello PORT --cert CHAIN KEY [--cert CHAIN KEY]... [--ocsp RESPONSE] [--workers N]
//                                                          clients get the one whose names fit what they ask for,
//                                                          and the first one if none does; with --ocsp the last one
//                                                          named before it is stapled with that response,
//                                                          with --ocsp-1.3 in TLS 1.3, too
//
// Try:  curl -k https://127.0.0.1:8443/     curl --cacert ca.pem --resolve b.test:8443:127.0.0.1 https://b.test:8443/
//       curl -k https://127.0.0.1:8443/stream/1000000000 -o /dev/null       curl -kT big.iso -X POST https://127.0.0.1:8443/count
// SIGINT or SIGTERM: requests in flight are answered, then it ends with status 0.
#include <flux.hpp>
#include <flux/tls.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace http = flux::http;
namespace tls = flux::tls;

namespace {

struct arguments {
    std::string port = "8443";
    std::vector<tls::server_settings> identities;
    unsigned workers = 1;
    bool wrong = false;
};

arguments parse(int argc, char** argv) {
    arguments a;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--cert" && i + 2 < argc) {
            a.identities.emplace_back(tls::identity::files(argv[i + 1], argv[i + 2]));
            i += 2;
        } else if ((word == "--ocsp" || word == "--ocsp-1.3") && i + 1 < argc && !a.identities.empty()) {
            a.identities.back().ocsp_response = tls::source::file(argv[++i]);
            a.identities.back().ocsp_in_tls_1_3 = word == "--ocsp-1.3";
        } else if (word == "--workers" && i + 1 < argc) {
            a.workers = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
        } else if (i == 1 && !word.starts_with("-")) {
            a.port = word;
        } else {
            a.wrong = true;
        }
    }
    return a;
}

tls::server_config_ptr configure(const std::vector<tls::server_settings>& identities) {
    auto config = std::make_shared<tls::server_config>();
    for (const tls::server_settings& i : identities) {
        auto context = tls::server_context::make(i).value();
        config->table().set_all(context);
        if (&i == &identities.front()) {
            config->table().set_default(context);
        }
    }
    return config;
}

// As many octets as the path says, never more than a piece of them in memory.
flux::task<> stream(http::request& req, http::responder& out) {
    std::uint64_t left = 0;
    if (!http::parse_decimal(req.param("octets"), std::uint64_t{1} << 40, left)) {
        out.code(http::status::bad_request);
        co_return;
    }
    const std::string piece(65'536, 'x');
    out.length(left);
    while (left != 0) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size()));
        co_await out.write(std::string_view(piece).substr(0, n));
        left -= n;
    }
}

flux::task<http::response> count(http::request& req) {
    std::uint64_t octets = 0;
    for (;;) {
        const std::string_view piece = co_await req.body().next();
        if (piece.empty()) {
            break;
        }
        octets += piece.size();
    }
    co_return http::text(std::to_string(octets) + "\n");
}

flux::task<http::response> slow(http::request&) {
    co_await flux::sleep_for(std::chrono::seconds(1));
    co_return http::text("slow\n");
}

} // namespace

int main(int argc, char** argv) {
    arguments a = parse(argc, argv);
    if (a.wrong) {
        std::fprintf(stderr, "usage: https_hello [PORT] [--cert CHAIN KEY]... [--ocsp RESPONSE] [--workers N]\n");
        return 2;
    }
    http::router app;
    app.get("/", [](http::request&) { return http::text("Hello, TLS!\n"); });
    app.get("/hello/{name}", [](http::request& req) { return http::text("Hello, " + std::string(req.param("name")) + "!\n"); });
    app.get("/stream/{octets}", stream);
    app.get("/slow", slow);
    app.post("/count", count);
    app.get("/big/{octets}", [](http::request&, std::uint32_t n) { return http::text(std::string(n % 100'000'001, 'x')); });
    tls::server_config_ptr config;
    try {
        if (a.identities.empty()) {
            a.identities.emplace_back(tls::self_signed({"localhost", "127.0.0.1", "::1"}).value());
        }
        config = configure(a.identities);
    } catch (const flux::error& e) {
        std::fprintf(stderr, "https_hello: %s\n", e.what());
        return 1;
    }
    flux::serve_options options;
    options.workers = a.workers;
    options.server.limits.body_octets = std::uint64_t{64} << 30;
    options.server.handler_timeout = flux::hours(1); // the sender's rate is what has a limit
    return tls::serve("127.0.0.1:" + a.port, app, std::move(config), options);
}
