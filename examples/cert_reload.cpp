// SPDX-License-Identifier: MIT
// An https server whose certificate is replaced while it runs: put new files in place of the old ones.
//
//   cert_reload CHAIN KEY [PORT]
//
// Try:  curl --cacert ca.pem https://localhost:8443/status
// The new pair is served within half a second of its last change, to connections that begin then. A pair that does not
// fit together, or is half written, is not taken; /status says why.
#include <flux.hpp>
#include <flux/tls.hpp>

#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

namespace http = flux::http;
namespace tls = flux::tls;

int main(int argc, char** argv) {
    if (argc < 3 || argc > 4) {
        std::fprintf(stderr, "usage: cert_reload CHAIN KEY [PORT]\n");
        return 2;
    }
    auto config = std::make_shared<tls::server_config>();
    auto files = std::make_shared<tls::certificate_files>();
    const tls::server_settings settings(tls::identity::files(argv[1], argv[2]));
    const auto added = files->add(config->table(), settings);
    if (!added) {
        std::fprintf(stderr, "cert_reload: %s\n", added.error().what());
        return 1;
    }
    config->refresh_by(files);

    http::router app;
    app.get("/", [](http::request&) { return http::text("Hello, TLS!\n"); });
    app.get("/status", [files](http::request&) {
        std::string text;
        for (const tls::certificate_status& s : files->status()) {
            text += s.file + ": expires in " + std::to_string(s.expires - std::time(nullptr)) + " s, " +
                    std::to_string(s.reloads) + " reloads, " + std::to_string(s.failures) + " failures\n";
            text += s.last_failure.empty() ? "" : "last failure: " + s.last_failure + "\n";
        }
        return http::text(std::move(text));
    });
    return tls::serve("127.0.0.1:" + std::string(argc == 4 ? argv[3] : "8443"), app, config);
}
