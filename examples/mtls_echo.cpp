// SPDX-License-Identifier: MIT
// Echoes what it is sent over TLS, to clients that show a certificate of the authority, and greets them by it.
//
//   mtls_echo CA CHAIN KEY [PORT] [URI]...        with URIs, only clients that have one of them as a name (SPIFFE)
//
// Try:  openssl s_client -quiet -connect 127.0.0.1:9443 -CAfile ca.pem -cert user.pem -key user.key
// A client without a certificate gets the alert certificate_required, one with a wrong one bad_certificate.
#include <flux.hpp>
#include <flux/tls.hpp>

#include <cstdio>
#include <memory>
#include <string>

namespace tls = flux::tls;

namespace {

using connection = tls::tls_stream<flux::tcp_stream>;

flux::task<> echo(connection stream) {
    const auto made = co_await flux::attempt(stream.handshake());
    if (!made) {
        std::fprintf(stderr, "mtls_echo: %s\n", made.error().what());
        co_return;
    }
    const std::string greeting = "hello, " + stream.peer_certificate()->subject + "\n";
    co_await stream.write_all(flux::as_octets(greeting));
    for (;;) {
        const auto octets = co_await stream.receive();
        if (octets.empty()) {
            co_return;
        }
        co_await stream.write_all(octets.octets());
    }
}

flux::task<> serve(std::string where, tls::server_config_ptr config) {
    auto ctx = co_await flux::this_context();
    const auto at = flux::endpoint::parse(where);
    auto raw = flux::tcp_listener::listen(flux::reactor::of(ctx.home()), at.value());
    tls::listener<flux::tcp_listener> listener(std::move(raw).value(), std::move(config));
    std::fprintf(stderr, "mtls_echo: listening on %s\n", listener.local_endpoint().value().to_string().c_str());
    auto accept_all = [&listener](flux::task_scope& connections) -> flux::task<> {
        for (;;) {
            auto stream = co_await listener.accept();
            connections.spawn(echo, std::move(stream));
        }
    };
    co_await flux::with_scope(accept_all, flux::scope_policy::collect);
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::fprintf(stderr, "usage: mtls_echo CA CHAIN KEY [PORT] [URI]...\n");
        return 2;
    }
    tls::server_settings settings(tls::identity::files(argv[2], argv[3]));
    settings.clients = tls::client_verification::required;
    settings.client_authorities = tls::trust::file(argv[1]);
    settings.protocols.clear();
    for (int i = 5; i < argc; ++i) {
        settings.allowed_uris.emplace_back(argv[i]);
    }
    auto context = tls::server_context::make(settings);
    if (!context) {
        std::fprintf(stderr, "mtls_echo: %s\n", context.error().what());
        return 1;
    }
    auto config = std::make_shared<tls::server_config>(*context);
    return flux::run(serve("127.0.0.1:" + std::string(argc > 4 ? argv[4] : "9443"), std::move(config)));
}
