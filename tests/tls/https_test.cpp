// SPDX-License-Identifier: MIT
// HTTP over TLS is HTTP: the same server and client, the same answers.
#include <flux/tls/https.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/http/server/send_file.hpp>
#include <flux/testing/memory_stream.hpp>
#include <support/file_of.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::ca;
using test_support::cert_lab;
using test_support::client_of;
using test_support::file_of;

// So that a server sees how fast a client reads.
static_assert(http::detail::write_watch<tls::tls_stream<tcp_stream>>::tells_progress);

namespace {

const cert_lab::pair& cert_a() { return test_support::named("a_ip", "DNS:a.test,IP:127.0.0.1"); }

const http::router& app() {
    static const auto made = [] {
        auto r = std::make_unique<http::router>();
        r->get("/", [](http::request&) { return http::text("hello\n"); });
        r->get("/items/{id}", [](http::request&, int id) { return http::text("item " + std::to_string(id)); });
        r->get("/big", [](http::request&) { return http::text(std::string(300'000, 'x')); });
        r->get("/slow", [](http::request&) -> task<http::response> {
            co_await sleep_for(5s);
            co_return http::text("at last");
        });
        r->get("/file", [](http::request&) {
            static const unique_fd file = file_of(std::string(200'010, 'f'));
            return http::response().stream(
                [](http::body_writer& out) -> task<> { co_await http::send_file(out, file.get(), 5, 200'000); }, 200'000);
        });
        r->get("/fails", [](http::request&) -> http::response { throw 42; });
        r->get("/streamed", [](http::request&, http::responder& out) -> task<> {
            out.header("x-kind", "streamed");
            for (int i = 0; i < 3; ++i) {
                co_await out.write("piece " + std::to_string(i) + "\n");
            }
        });
        r->post("/echo", [](http::request& req) -> task<http::response> {
            auto body = co_await req.body().text();
            co_return http::text(std::move(body));
        });
        return r;
    }();
    return *made;
}

/// What a connection answers to a script, over streams that make_ends yields.
template <class Stream>
struct talk {
    std::string octets; // without Date
    bool failed = false;
    duration took{};
    http::server_stats stats;

    talk(std::pair<Stream, Stream> ends, std::vector<std::string> pieces, milliseconds pause) {
        testing::virtual_loop loop;
        auto r = loop.run(all(std::move(ends), std::move(pieces), pause));
        REQUIRE_MESSAGE(r, r.error().message());
        for (std::size_t at = octets.find("Date: "); at != std::string::npos; at = octets.find("Date: ")) {
            octets.erase(at, octets.find("\r\n", at) + 2 - at);
        }
    }

private:
    task<> say(Stream* to, const std::vector<std::string>* pieces, milliseconds pause) {
        for (const std::string& piece : *pieces) {
            const auto sent = co_await attempt(to->write_all(as_octets(piece)));
            const auto waited = co_await attempt(sleep_for(pause));
            if (!sent || !waited) {
                co_return;
            }
        }
        const auto waited = co_await attempt(sleep_for(100s));
        ignore_result(waited, "it is stopped when the server closes first");
        ignore_result(to->shutdown_write(), "the server may have closed");
    }
    task<> hear(Stream* from) {
        for (;;) {
            const auto more = co_await attempt(from->receive());
            if (!more || more->empty()) {
                failed = !more;
                co_return;
            }
            octets += as_text(more->octets());
        }
    }
    task<> all(std::pair<Stream, Stream> ends, std::vector<std::string> pieces, milliseconds pause) {
        auto ctx = co_await this_context();
        const time_point start = ctx.home().now();
        http::server_options options;
        http::detail::server_core core(app(), options);
        task_scope served(ctx, scope_policy::collect);
        served.spawn_frame(http::detail::serve_connection(core, std::move(ends.second)));
        task_scope script(ctx, scope_policy::collect);
        auto speaker = [this](Stream* s, const std::vector<std::string>* p, milliseconds d) { return say(s, p, d); };
        script.spawn(speaker, &ends.first, &pieces, pause);
        co_await hear(&ends.first);
        took = ctx.home().now() - start;
        script.stop();
        const auto stopped = co_await attempt(script.join());
        ignore_result(stopped, "it was stopped");
        ends.first.close();
        co_await served.join();
        stats = core.stats;
    }
};

using tls_end = test_support::tls_end;

std::pair<tls_end, tls_end> secure_ends(const testing::memory_options& options) {
    static const auto c = client_of(ca());
    static const auto s = test_support::server_of(cert_a());
    auto e = test_support::make_tls_ends(c, s, "a.test", options);
    return {std::move(e.near), std::move(e.far)};
}

const char* const scripts[] = {
    "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD /big HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /items/7 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /items/8 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /items/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /file HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /fails HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /streamed HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /streamed HTTP/1.0\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "DELETE / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
    "nonsense\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\nX: ",
    "",
};

} // namespace

TEST_SUITE("tls/https") {

TEST_CASE("a server answers over TLS as it does without: octets, ends, times and counts") {
    for (const char* script : scripts) {
        for (const bool awkward : {false, true}) {
            CAPTURE(script);
            CAPTURE(awkward);
            testing::memory_options options;
            options.always_suspend = awkward;
            options.max_read = awkward ? 100 : 0;
            std::vector<std::string> pieces{script};
            if (awkward && !pieces[0].empty()) {
                const std::string whole = script;
                pieces = {whole.substr(0, whole.size() / 2), whole.substr(whole.size() / 2)};
            }
            const talk<testing::memory_stream> plain(testing::make_memory_pair(options), pieces, 10ms);
            const talk<tls_end> secure(secure_ends(options), pieces, 10ms);
            CHECK(secure.octets == plain.octets);
            CHECK(secure.failed == plain.failed);
            if (*script != '\0') { // a silent client: the handshake's limit comes before the head's
                CHECK(secure.took == plain.took);
            }
            CHECK(secure.stats.requests == plain.stats.requests);
            CHECK(secure.stats.bad_requests == plain.stats.bad_requests);
            CHECK(secure.stats.connections == 0);
        }
    }
}

} // TEST_SUITE
