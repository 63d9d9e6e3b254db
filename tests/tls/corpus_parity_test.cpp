// SPDX-License-Identifier: MIT
// Every request and every response of tests/corpus/http1, over streams and over TLS: what both make of it is the same,
// field by field. The types are those that programs have: serve_connection<tls_stream<...>>, basic_client<tls::connector<...>>.
#include <flux/tls/https.hpp>
#include <flux/tls/self_signed.hpp>

#include <flux/coro/sleep.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/account.hpp"
#include "http/wire/corpus.hpp"

namespace corpus_parity { // not unnamed: types of coroutine frames name what is in here

using namespace flux;
using namespace std::chrono_literals;
using testing::memory_stream;
using tls_end = tls::tls_stream<memory_stream>;

struct contexts {
    tls::server_config_ptr server;
    tls::client_context_ptr client;
    std::shared_ptr<tls::session_cache> sessions = std::make_shared<tls::session_cache>();
};
const contexts& made() {
    static const contexts all = [] {
        contexts c;
        const tls::identity own = tls::self_signed({"a.test"}).value();
        tls::client_settings trusting;
        trusting.authorities = tls::trust::pem(own.chain().read().value());
        c.server = std::make_shared<tls::server_config>(tls::server_context::make(tls::server_settings(own)).value());
        c.client = tls::client_context::make(trusting).value();
        return c;
    }();
    return all;
}

enum class ending { waits, fin, reset };
constexpr ending endings[] = {ending::waits, ending::fin, ending::reset};
std::string name_of(ending e) { return e == ending::waits ? "waits" : e == ending::fin ? "fin" : "reset"; }

std::string in_pieces(bool pieces) { return pieces ? ", in pieces" : ", at once"; }

// ---- requests ----

// All that can be seen of one connection, from both of its ends.
struct server_record {
    std::string handled; // what handlers were given
    std::string answers;
    bool failed = false; // the client's reading
    duration took{};
    std::uint64_t requests = 0;
    std::uint64_t bad_requests = 0;
    std::string events; // of the connection
    std::uint32_t heads = 0;
    std::uint64_t octets_in = 0;
    std::uint64_t octets_out = 0;

    void on_connection(http::connection_event e, const http::connection_info& info) noexcept {
        events += std::to_string(static_cast<int>(e)) + " ";
        if (e == http::connection_event::closed) {
            events += to_string(info.reason);
            heads = info.requests;
            octets_in = info.octets_in;
            octets_out = info.octets_out;
        }
    }
};

void drop_dates(std::string& text) {
    for (std::size_t at = text.find("\r\nDate: "); at != std::string::npos; at = text.find("\r\nDate: ", at)) {
        text.erase(at, text.find("\r\n", at + 2) - at);
    }
}

http::router make_app(server_record* out) {
    http::router app;
    app.fallback([out](http::request& req) -> task<http::response> {
        out->handled += std::string(req.method_token()) + " " + corpus::printable(req.target()) +
                        (req.version() == http::version::http_1_0 ? " 1.0\n" : " 1.1\n");
        for (const http::field_view f : req.fields()) {
            out->handled += corpus::printable(f.name) + ": " + corpus::printable(f.value) + "\n";
        }
        auto body = co_await attempt(req.text());
        out->handled += body ? "body " + corpus::printable(*body) : "failed " + body.error().message();
        out->handled += "\n";
        co_return http::text(body ? std::to_string(body->size()) : std::string("no body"));
    });
    return app;
}

task<> ready(memory_stream*) { co_return; }
task<> ready(tls_end* s) { co_await s->handshake(); }

std::pair<memory_stream, memory_stream> ends_of(std::type_identity<memory_stream>, const testing::memory_options& o) {
    return testing::make_memory_pair(o);
}
std::pair<tls_end, tls_end> ends_of(std::type_identity<tls_end>, const testing::memory_options& o) {
    auto raw = testing::make_memory_pair(o);
    return {tls_end(std::move(raw.first), made().client, "a.test", made().sessions, "a.test"),
            tls_end(std::move(raw.second), made().server)};
}

template <class Stream>
task<> say(Stream* to, const corpus::test_case* c, bool pieces, ending how) {
    const std::string_view all = c->octets;
    const std::size_t half = pieces ? all.size() / 2 : 0;
    auto sent = co_await attempt(to->write_all(as_octets(all.substr(0, half))));
    if (sent && pieces) {
        sent = co_await attempt(sleep_for(10ms));
    }
    if (sent) {
        sent = co_await attempt(to->write_all(as_octets(all.substr(half))));
    }
    if (sent && how != ending::fin) {
        sent = co_await attempt(sleep_for(how == ending::reset ? milliseconds(1'000) : milliseconds(200'000)));
    }
    if (sent && how == ending::fin) {
        ignore_result(to->shutdown_write(), "the server may have closed");
    }
}
template <class Stream>
task<> hear(Stream* from, server_record* out) {
    for (;;) {
        const auto more = co_await attempt(from->receive());
        if (!more || more->empty()) {
            out->failed = !more;
            co_return;
        }
        out->answers += as_text(more->octets());
    }
}
template <class Stream>
task<> exchange(const corpus::test_case* c, bool pieces, ending how, server_record* out) {
    auto ctx = co_await this_context();
    testing::memory_options streams;
    streams.always_suspend = pieces;
    streams.max_read = pieces ? 100 : 0;
    auto ends = ends_of(std::type_identity<Stream>(), streams);
    const http::router app = make_app(out);
    http::server_options options;
    options.limits = c->limits;
    http::detail::server_core core(app, options);
    task_scope served(ctx, scope_policy::collect);
    served.spawn_frame(http::detail::serve_connection<Stream, server_record>(
        core, std::move(ends.second), http::detail::connection_ticket(core, false, 0), out));
    co_await ready(&ends.first);
    const time_point start = ctx.home().now();
    if (how == ending::reset) {
        co_await say(&ends.first, c, pieces, how);
        ends.first.abort();
    } else {
        task_scope script(ctx, scope_policy::collect);
        script.spawn(say<Stream>, &ends.first, c, pieces, how);
        co_await hear(&ends.first, out);
        script.stop();
        const auto stopped = co_await attempt(script.join());
        ignore_result(stopped, "it was stopped");
        ends.first.close();
    }
    co_await served.join();
    out->took = ctx.home().now() - start;
    out->requests = core.stats.requests;
    out->bad_requests = core.stats.bad_requests;
    CHECK(core.stats.connections == 0);
    CHECK(core.stats.active == 0);
    drop_dates(out->answers);
}
template <class Stream>
server_record serve(const corpus::test_case& c, bool pieces, ending how) {
    testing::virtual_loop loop;
    server_record out;
    const auto done = loop.run(exchange<Stream>(&c, pieces, how, &out));
    CHECK_MESSAGE(done, c.name, ": ", (done ? std::string() : done.error().message()));
    return out;
}

// ---- responses ----

// What a client made of a response, and what it did with the connection.
struct client_record {
    std::vector<std::string> log;
    std::string error;
    std::string kind;
    std::string phase;
    bool retryable = false;
    std::uint32_t attempts = 0;
    std::uint64_t dials = 0;
    std::uint64_t lost = 0;
    std::uint32_t idle = 0;
    std::string heads; // of requests, as the peer got them
};

enum class cut { fin, reset, stays, without_notify };
constexpr cut cuts[] = {cut::fin, cut::reset, cut::stays};
std::string name_of(cut c) { return c == cut::fin ? "fin" : c == cut::reset ? "reset" : c == cut::stays ? "stays" : "without close_notify"; }

struct delivery {
    const corpus::test_case* c = nullptr;
    bool pieces = false;
    cut how = cut::fin;
    task_scope* scope = nullptr;
    client_record* out = nullptr;
};

memory_stream& below(memory_stream& s) { return s; }
memory_stream& below(tls_end& s) { return s.next(); }

template <class Stream>
task<> answer(const delivery* d, Stream stream) {
    std::string request;
    const std::string end = "\r\n\r\n";
    const auto head = co_await attempt(read_until(stream, request, end));
    if (!head) {
        co_return;
    }
    d->out->heads += request.substr(0, *head);
    const std::string_view all = d->c->octets;
    const std::size_t half = d->pieces ? all.size() / 2 : 0;
    auto sent = co_await attempt(stream.write_all(as_octets(all.substr(0, half))));
    if (sent && d->pieces) {
        sent = co_await attempt(sleep_for(5ms));
    }
    if (sent) {
        sent = co_await attempt(stream.write_all(as_octets(all.substr(half))));
    }
    if (d->how == cut::reset) {
        const auto waited = co_await attempt(sleep_for(5ms));
        ignore_result(waited, "the case may be over");
        stream.abort();
        co_return;
    }
    if (d->how != cut::stays) {
        ignore_result(d->how == cut::without_notify ? below(stream).shutdown_write() : stream.shutdown_write(), "the client may have gone");
    }
    for (;;) {
        auto octets = co_await attempt(stream.receive());
        if (!octets || octets->empty()) {
            co_return;
        }
    }
}
template <class Stream>
task<> run_peer(const delivery* d, Stream stream) {
    const auto done = co_await attempt(answer(d, std::move(stream)));
    ignore_result(done, "it ends with its connection");
}

template <class Stream>
class memory_connector {
public:
    using stream_type = memory_stream;
    static constexpr bool secures = false;
    explicit memory_connector(const delivery& d) noexcept : delivery_(&d) {}
    [[nodiscard]] task<memory_stream> connect(const destination&) { return dial(delivery_); }

private:
    static task<memory_stream> dial(const delivery* d) {
        testing::memory_options o;
        o.max_read = d->pieces ? 100 : 0;
        auto ends = testing::make_memory_pair(o);
        if constexpr (std::is_same_v<Stream, tls_end>) {
            d->scope->spawn(run_peer<Stream>, d, tls_end(std::move(ends.second), made().server));
        } else {
            d->scope->spawn(run_peer<Stream>, d, std::move(ends.second));
        }
        co_return std::move(ends.first);
    }
    const delivery* delivery_;
};
using plain_connector = memory_connector<memory_stream>;
using secure_connector = tls::connector<memory_connector<tls_end>>;

plain_connector connector_of(std::type_identity<plain_connector>, const delivery& d) { return plain_connector(d); }
secure_connector connector_of(std::type_identity<secure_connector>, const delivery& d) {
    return secure_connector(made().client, memory_connector<tls_end>(d));
}

std::string without_scheme(std::string text) {
    for (const std::string_view scheme : {"https://", "http://"}) {
        for (std::size_t at = text.find(scheme); at != std::string::npos; at = text.find(scheme, at)) {
            text.erase(at, scheme.size());
        }
    }
    return text;
}

template <class Connector>
task<> ask_once(http::basic_client<Connector>* api, delivery* d) {
    auto request = api->request(d->c->asked, Connector::secures ? "https://a.test:8/" : "http://a.test:8/");
    request.max_redirects(0);
    auto response = co_await attempt(std::move(request));
    client_record& out = *d->out;
    if (response) {
        out.attempts = response->attempts();
        co_await client_account::account(&*response, &out.log);
    } else {
        const error& e = response.error();
        out.error = without_scheme(e.message());
        out.kind = to_string(e.kind());
        out.phase = to_string(e.phase());
        out.retryable = e.retryable();
        out.attempts = e.attempt();
        out.log.push_back(client_account::outcome_of(e));
    }
    for (std::string& line : out.log) {
        line = without_scheme(std::move(line));
    }
}
template <class Connector>
task<> ask(delivery* d) {
    http::client_options options;
    options.limits = d->c->limits;
    options.first_byte_timeout = 5s;
    options.progress_timeout = 5s;
    auto ctx = co_await this_context();
    task_scope scope(ctx, scope_policy::collect);
    d->scope = &scope;
    {
        http::basic_client<Connector> api(options, connector_of(std::type_identity<Connector>(), *d));
        co_await ask_once(&api, d);
        co_await sleep_for(100ms);
        const auto stats = api.stats();
        d->out->dials = stats.dials;
        d->out->lost = stats.lost;
        d->out->idle = static_cast<std::uint32_t>(stats.idle);
        CHECK(stats.active + stats.dialling + stats.waiting == 0);
    }
    const auto joined = co_await attempt(scope.join());
    ignore_result(joined, "peers do not fail");
}
template <class Connector>
client_record receive(const corpus::test_case& c, bool pieces, cut how) {
    testing::virtual_loop loop;
    client_record out;
    delivery d;
    d.c = &c;
    d.pieces = pieces;
    d.how = how;
    d.out = &out;
    const auto done = loop.run(ask<Connector>(&d));
    CHECK_MESSAGE(done, c.name, ": ", (done ? std::string() : done.error().message()));
    return out;
}

std::string lines_of(const std::vector<std::string>& log) {
    std::string all;
    for (const std::string& line : log) {
        all += line + "\n";
    }
    return all;
}

} // namespace corpus_parity

using namespace corpus_parity;

TEST_SUITE("tls/corpus_parity") {

TEST_CASE("a server makes the same of every request over TLS: handlers, answers, ends, times and counts") {
    const std::vector<corpus::test_case> cases = corpus::load("request");
    CHECK(cases.size() >= 250);
    std::size_t handled = 0; // so that there is something to compare
    std::size_t refused = 0;
    for (const corpus::test_case& c : cases) {
        for (const ending how : endings) {
            for (const bool pieces : {false, true}) {
                INFO(c.file, ": ", c.name, ", then ", name_of(how), in_pieces(pieces));
                const server_record plain = serve<memory_stream>(c, pieces, how);
                const server_record secure = serve<tls_end>(c, pieces, how);
                CHECK(secure.handled == plain.handled);
                CHECK(secure.answers == plain.answers);
                CHECK(secure.failed == plain.failed);
                CHECK(secure.took == plain.took);
                CHECK(secure.requests == plain.requests);
                CHECK(secure.bad_requests == plain.bad_requests);
                CHECK(secure.events == plain.events);
                CHECK(secure.heads == plain.heads);
                CHECK(secure.octets_in == plain.octets_in);
                CHECK(secure.octets_out == plain.octets_out);
                handled += plain.handled.empty() ? 0U : 1U;
                refused += plain.bad_requests == 0 ? 0U : 1U;
            }
        }
    }
    CHECK(handled >= 1'000);
    CHECK(refused >= 1'000);
}

TEST_CASE("a client makes the same of every response over TLS: what it yields, errors, attempts and the pool") {
    const std::vector<corpus::test_case> cases = corpus::load("response");
    CHECK(cases.size() >= 120);
    std::size_t whole = 0; // so that there is something to compare
    std::size_t broken = 0;
    std::size_t pooled = 0;
    for (const corpus::test_case& c : cases) {
        for (const cut how : cuts) {
            for (const bool pieces : {false, true}) {
                INFO(c.file, ": ", c.name, ", then ", name_of(how), in_pieces(pieces));
                const client_record plain = receive<plain_connector>(c, pieces, how);
                const client_record secure = receive<secure_connector>(c, pieces, how);
                CHECK(lines_of(secure.log) == lines_of(plain.log));
                CHECK(secure.error == plain.error);
                CHECK(secure.kind == plain.kind);
                CHECK(secure.phase == plain.phase);
                CHECK(secure.retryable == plain.retryable);
                CHECK(secure.attempts == plain.attempts);
                CHECK(secure.dials == plain.dials);
                CHECK(secure.lost == plain.lost);
                CHECK(secure.idle == plain.idle);
                CHECK(secure.heads == plain.heads);
                (!plain.log.empty() && plain.log.back() == "end" ? whole : broken) += 1;
                pooled += plain.idle;
            }
        }
    }
    CHECK(whole >= 100);
    CHECK(broken >= 100);
    CHECK(pooled >= 50);
}

TEST_CASE("a body that ends with the connection is whole over TLS only where close_notify ends it [RFC 9112 9.8]") {
    int by_close = 0;
    for (const corpus::test_case& c : corpus::load("response")) {
        INFO(c.file, ": ", c.name);
        const client_record plain = receive<plain_connector>(c, false, cut::without_notify); // FIN
        const client_record cut_off = receive<secure_connector>(c, false, cut::without_notify);
        const bool ended = !plain.log.empty() && plain.log.back() == "end";
        const client_record endless = ended ? receive<plain_connector>(c, false, cut::reset) : plain;
        if (ended && endless.log.back() != "end") { // only the end of the connection made it whole
            ++by_close;
            CHECK(cut_off.log.back() != "end");
        } else {
            CHECK((cut_off.log.back() == "end") == ended);
        }
    }
    CHECK(by_close >= 4);
}

} // TEST_SUITE
