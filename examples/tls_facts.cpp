// SPDX-License-Identifier: MIT
// What the two ends of a TLS connection agreed on: a server that says so, and a client that asks any https server.
//
//   tls_facts serve PORT CHAIN KEY [VERSION]                answers every GET with version, suite, ALPN and "resumed" or "new"
//   tls_facts ask HOST:PORT CAFILE [TIMES [PATH [VERSION]]] a connection for each GET, resuming where it can: a line each
//                                                           with the client's view and the answer's body
// VERSION is 1.2 or 1.3: nothing else is spoken then.
//
// Try:  tls_facts serve 8443 chain.pem key.pem &  tls_facts ask localhost:8443 ca.pem 2
//       TLSv1.3 TLS13-AES128-GCM-SHA256 http/1.1 new | TLSv1.3 TLS13-AES128-GCM-SHA256 http/1.1 new
//       TLSv1.3 TLS13-AES128-GCM-SHA256 http/1.1 resumed | TLSv1.3 TLS13-AES128-GCM-SHA256 http/1.1 resumed
#include <flux.hpp>
#include <flux/tls.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace tls = flux::tls;

namespace {

template <class Stream>
std::string facts_of(const Stream& s) {
    std::string text(s.protocol_version());
    text += ' ';
    text += s.cipher();
    text += ' ';
    text += s.protocol().empty() ? std::string_view("no-alpn") : s.protocol();
    text += s.resumed() ? " resumed" : " new";
    return text;
}

void only(tls::common_settings& s, std::string_view version) {
    s.min_version = version == "1.3" ? tls::version::tls_1_3 : tls::version::tls_1_2;
    s.max_version = version == "1.2" ? tls::version::tls_1_2 : tls::version::tls_1_3;
}

// Everything until the end, or until `until` is in it.
template <class Stream>
flux::task<std::string> read_until(Stream& s, std::string until) {
    std::string all;
    while (until.empty() || all.find(until) == std::string::npos) {
        const auto octets = co_await s.receive();
        if (octets.empty()) {
            break;
        }
        all += flux::as_text(octets.octets());
    }
    co_return all;
}

flux::task<> answer(tls::tls_stream<flux::tcp_stream> stream) {
    const auto head = co_await flux::attempt(read_until(stream, "\r\n\r\n"));
    if (!head) {
        std::fprintf(stderr, "tls_facts: %s\n", head.error().what());
        co_return;
    }
    const std::string body = facts_of(stream) + "\n";
    std::string text = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ";
    text += std::to_string(body.size()) + "\r\n\r\n" + body;
    co_await stream.write_all(flux::as_octets(text));
}

flux::task<> serve(std::string port, tls::server_config_ptr config) {
    auto ctx = co_await flux::this_context();
    const auto at = flux::endpoint::parse("127.0.0.1:" + port);
    auto raw = flux::tcp_listener::listen(flux::reactor::of(ctx.home()), at.value());
    tls::listener<flux::tcp_listener> listener(std::move(raw).value(), std::move(config));
    std::fprintf(stderr, "flux: listening on %s\n", listener.local_endpoint().value().to_string().c_str());
    auto accept_all = [&listener](flux::task_scope& connections) -> flux::task<> {
        for (;;) {
            auto stream = co_await listener.accept();
            connections.spawn(answer, std::move(stream));
        }
    };
    co_await flux::with_scope(accept_all, flux::scope_policy::collect);
}

flux::task<> ask(std::string host, std::uint16_t port, tls::client_context_ptr context, int times, std::string path) {
    tls::connector<> dial(context);
    for (int i = 0; i < times; ++i) {
        flux::destination to(host, port, true);
        auto stream = co_await dial.connect(to);
        std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n";
        co_await stream.write_all(flux::as_octets(request));
        std::string all = co_await read_until(stream, "");
        const std::size_t head = std::min(all.find("\r\n\r\n"), all.size());
        std::string body = all.substr(std::min(head + 4, all.size()));
        while (body.ends_with('\n')) {
            body.pop_back();
        }
        std::replace(body.begin(), body.end(), '\n', ' ');
        std::printf("%s | %s\n", facts_of(stream).c_str(), body.c_str());
    }
}

int run(int argc, char** argv) {
    const std::string_view what = argc > 3 ? argv[1] : "";
    if (what == "serve" && argc > 4) {
        tls::server_settings settings(tls::identity::files(argv[3], argv[4]));
        only(settings, argc > 5 ? argv[5] : "");
        auto config = std::make_shared<tls::server_config>(tls::server_context::make(settings).value());
        return flux::run(serve(argv[2], std::move(config)));
    }
    if (what == "ask") {
        const std::string_view where = argv[2];
        const std::size_t colon = std::min(where.rfind(':'), where.size());
        const int port = std::atoi(argv[2] + std::min(colon + 1, where.size()));
        tls::client_settings settings;
        settings.authorities = tls::trust::file(argv[3]);
        only(settings, argc > 6 ? argv[6] : "");
        auto context = tls::client_context::make(settings).value();
        return flux::run(ask(std::string(where.substr(0, colon)), static_cast<std::uint16_t>(port), std::move(context),
                             argc > 4 ? std::atoi(argv[4]) : 1, argc > 5 ? argv[5] : "/"));
    }
    std::fprintf(stderr, "usage: tls_facts serve PORT CHAIN KEY [VERSION] | ask HOST:PORT CAFILE [TIMES [PATH [VERSION]]]\n");
    return 2;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const flux::error& e) {
        std::fprintf(stderr, "tls_facts: %s\n", e.what());
        return 1;
    }
}
