// SPDX-License-Identifier: MIT
#include <flux/tls/connection_facts.hpp> // also proves the header is self-contained

#include <flux/http/server/router.hpp>
#include <flux/http/server/server.hpp>
#include <flux/tls/https.hpp>
#include <support/driver_matrix.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace flux;
using test_support::ca;
using test_support::named;

namespace {

/// What a handler says of its connection.
std::string told(const tls::connection_facts* f) {
    if (f == nullptr) {
        return "plain";
    }
    std::string text = f->version + ' ' + f->suite + ' ' + f->protocol + ' ' + f->server_name;
    text += f->resumed ? " resumed" : " new";
    text += f->peer ? ' ' + f->peer->subject + ' ' + (f->peer->uris.empty() ? "" : f->peer->uris.front()) : " nobody";
    return text + ' ' + f->client_fingerprint.substr(0, 4) + ' ' + std::to_string(f->peer_fingerprint.size());
}

struct noting_trace final : http::client_trace {
    void got_tls(const tls::connection_facts& f) noexcept override { seen = told(&f); }
    std::string seen = "nothing";
};

struct talk {
    std::vector<std::string> said;  // by the handler
    std::vector<std::string> known; // by the response
    noting_trace trace;
};

// Serves on a free port and asks twice, with a connection for each.
task<> exchange(tls::server_config_ptr config, tls::client_context_ptr context, talk* out) {
    auto ctx = co_await this_context();
    http::router app;
    app.get("/", [](http::request& req) { return http::text(told(req.tls())); });
    auto raw = tcp_listener::listen(reactor::of(ctx.home()), endpoint::loopback(0)).value();
    const std::string url = "https://127.0.0.1:" + std::to_string(raw.local_endpoint().value().port()) + "/";
    using secure_listener = tls::listener<tcp_listener>;
    http::basic_server<secure_listener> server(app);
    task_scope serving(ctx, scope_policy::collect);
    serving.spawn(server.serve(secure_listener(std::move(raw), std::move(config))));
    {
        tls::client api({}, tls::connector<>(context));
        for (int i = 0; i < 2; ++i) {
            auto r = co_await attempt(api.get(url).header("Connection", "close").trace(out->trace));
            if (r) {
                auto text = co_await attempt(r->text());
                out->said.push_back(text ? *text : text.error().message());
                out->known.push_back(told(r->tls()));
            } else {
                out->said.push_back(r.error().message());
            }
        }
    }
    serving.stop();
    co_await serving.join();
}

} // namespace

TEST_SUITE("tls/connection_facts") {

TEST_CASE("a stream says what its handshake has settled, the same at both ends and in a resumed session") {
    tls::server_settings s = test_support::settings_of(named("a", "DNS:a.test"));
    s.clients = tls::client_verification::required;
    s.client_authorities = tls::trust::file(ca().cert);
    const auto server = test_support::server_of(s);
    const auto& user = named("spiffe", "URI:spiffe://flux.test/api");
    tls::client_settings c = test_support::trusting(ca());
    c.own = tls::identity::files(user.chain, user.key);
    const auto client = test_support::client_of(c);
    auto sessions = std::make_shared<tls::session_cache>();
    std::string fingerprint;
    for (const bool again : {false, true}) {
        testing::virtual_loop loop;
        auto raw = testing::make_memory_pair();
        test_support::tls_ends e{test_support::tls_end(std::move(raw.first), client, "a.test", sessions, "k"),
                                 test_support::tls_end(std::move(raw.second), server)};
        CHECK(e.near.tls_facts() == nullptr);
        REQUIRE(test_support::shake(loop, e).ok());
        const auto near = e.near.tls_facts();
        const auto far = e.far.tls_facts();
        REQUIRE(near != nullptr);
        REQUIRE(far != nullptr);
        const char* how = again ? "resumed" : "new";
        CHECK(told(far.get()) == std::string("TLSv1.3 TLS13-AES128-GCM-SHA256 http/1.1 a.test ") + how +
                                     " CN=spiffe spiffe://flux.test/api t13d 64");
        CHECK(told(near.get()) == std::string("TLSv1.3 TLS13-AES128-GCM-SHA256 http/1.1 a.test ") + how + " CN=a   64");
        CHECK(tls::parse_certificate(far->peer_der)->subject == "CN=spiffe");
        CHECK(tls::parse_certificate(near->peer_der)->subject == "CN=a");
        REQUIRE(far->hello);
        CHECK(far->hello->groups.front() == 0x001d);
        CHECK(far->hello->extensions.size() > 5);
        CHECK(!near->hello);
        if (!again) {
            fingerprint = far->client_fingerprint;
        }
        CHECK(far->client_fingerprint.substr(0, 4) == fingerprint.substr(0, 4));
        CHECK(e.far.tls_facts() == far);
        e.near.close();
        CHECK(far->peer->subject == "CN=spiffe"); // they stay when the stream goes
    }
    auto raw = testing::make_memory_pair();
    auto plain = test_support::tls_end::plain(std::move(raw.first));
    CHECK(plain.tls_facts() == nullptr);
}

TEST_CASE("handlers, responses and traces see them") {
    const auto& own = named("local", "DNS:a.test,IP:127.0.0.1");
    const auto context = test_support::client_of(ca());
    test_support::on_each_driver([&](const reactor_options& options) {
        reactor r(options);
        talk out;
        r.run(exchange(test_support::server_of(own), context, &out));
        REQUIRE_MESSAGE(out.known.size() == 2, out.said.front());
        const std::string begin = "TLSv1.3 TLS13-AES128-GCM-SHA256 http/1.1 ";
        CHECK(out.said[0] == begin + " new nobody t13i 0"); // an address is no server name
        CHECK(out.said[1] == begin + " resumed nobody t13i 0");
        CHECK(out.known[0] == begin + "127.0.0.1 new CN=local   64");
        CHECK(out.known[1] == begin + "127.0.0.1 resumed CN=local   64");
        CHECK(out.trace.seen == out.known[1]);
    });
}

} // TEST_SUITE
