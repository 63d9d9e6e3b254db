// SPDX-License-Identifier: MIT
// Every response of tests/corpus/http1 through the whole client: at once, cut at every point, octet by octet, and on
// a connection that has carried another exchange.
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/http/client/client.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "client/account.hpp"
#include "http/wire/corpus.hpp"

namespace {

namespace http = flux::http;
using client_account::account;
using client_account::outcome_of;
using test_support::any_stream;

// How the octets of one case are sent.
struct delivery {
    const corpus::test_case* c = nullptr;
    std::size_t cut = 0;      // after so many there is a pause
    std::size_t max_read = 0; // octets per read
    bool second = false;      // behind another exchange
    flux::task_scope* scope = nullptr;
    std::vector<std::string> log;
};

flux::task<> serve(const delivery* d, any_stream stream) {
    std::string request;
    const std::string end = "\r\n\r\n";
    if (d->second) {
        const auto first = co_await flux::attempt(flux::read_until(stream, request, end));
        request.erase(0, first ? *first : 0);
        const std::string_view other = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"a\"\r\n\r\nabc";
        co_await stream.write_all(flux::as_octets(other));
    }
    const auto head = co_await flux::attempt(flux::read_until(stream, request, end));
    const std::string_view all = d->c->octets;
    auto sent = co_await flux::attempt(stream.write_all(flux::as_octets(all.substr(0, head ? d->cut : 0))));
    if (sent && d->cut != 0) {
        co_await flux::sleep_for(flux::milliseconds(5));
    }
    sent = co_await flux::attempt(stream.write_all(flux::as_octets(all.substr(d->cut))));
    flux::ignore_result(sent, "the client may have had enough");
    static_cast<void>(stream.shutdown_write());
    for (;;) {
        auto octets = co_await flux::attempt(stream.receive());
        if (!octets || octets->empty()) {
            co_return;
        }
    }
}
flux::task<> run_peer(const delivery* d, any_stream stream) {
    const auto done = co_await flux::attempt(serve(d, std::move(stream)));
    flux::ignore_result(done, "it ends with its connection");
}

class connector {
public:
    using stream_type = any_stream;
    static constexpr bool secures = false;
    explicit connector(delivery& d) noexcept : delivery_(&d) {}
    [[nodiscard]] flux::task<any_stream> connect(const flux::destination&) { return dial(delivery_); }

private:
    static flux::task<any_stream> dial(delivery* d) {
        flux::testing::memory_options o;
        o.max_read = d->max_read;
        auto ends = test_support::any_pair(o);
        d->scope->spawn(run_peer, d, std::move(ends.second));
        co_await ends.first.ready();
        co_return std::move(ends.first);
    }
    delivery* delivery_;
};

flux::task<> ask(http::basic_client<connector>* api, delivery* d) {
    if (d->second) {
        auto first = co_await api->get("http://a.test/").text();
        if (first != "abc") {
            d->log.push_back("failed: the exchange before");
        }
    }
    auto request = api->request(d->c->asked, "http://a.test/");
    request.max_redirects(0);
    auto response = co_await flux::attempt(std::move(request));
    if (!response) {
        d->log.push_back(outcome_of(response.error()));
        co_return;
    }
    co_await account(&*response, &d->log);
}
flux::task<> run_world(delivery* d) {
    http::client_options options;
    options.limits = d->c->limits;
    auto ctx = co_await flux::this_context();
    flux::task_scope scope(ctx, flux::scope_policy::collect);
    d->scope = &scope;
    {
        http::basic_client<connector> api(options, connector(*d));
        co_await ask(&api, d);
    }
    const auto joined = co_await flux::attempt(scope.join()); // every peer sees the end of its connection
    flux::ignore_result(joined, "peers do not fail");
}

// Of the kinds of lines that the case names, exactly those in that order. Decoding ends at the first error, so what
// came before it may have been handed on or not.
std::string mismatch(const corpus::test_case& c, const std::vector<std::string>& log) {
    const auto kind_of = [](const std::string& line) { return line.substr(0, line.find(' ')); };
    std::vector<std::string> kinds = {"end", "error", "more", "failed:"};
    const bool whole = c.expect.back() == "end";
    std::string want;
    for (const std::string& line : c.expect) {
        const std::string kind = kind_of(line);
        if (kind != "connection" && kind != "body" && (whole || kind != "data")) {
            kinds.push_back(kind);
            if (line != "field -" && line != "trailer -" && line != "data -") {
                want += line + "\n";
            }
        }
    }
    std::string got;
    for (const std::string& line : log) {
        if (std::find(kinds.begin(), kinds.end(), kind_of(line)) != kinds.end()) {
            got += line + "\n";
        }
    }
    return got == want ? std::string() : "expected:\n" + want + "got:\n" + got;
}

void check(const corpus::test_case& c, std::size_t cut, std::size_t max_read, bool second) {
    delivery d;
    d.c = &c;
    d.cut = cut;
    d.max_read = max_read;
    d.second = second;
    flux::testing::virtual_loop loop;
    const auto done = loop.run(run_world(&d));
    REQUIRE_MESSAGE(done.has_value(), c.name);
    const std::string difference = mismatch(c, d.log);
    CHECK_MESSAGE(difference.empty(), c.file, ": ", c.name, "\ncut at ", cut, ", octets per read ", max_read,
                  std::string(second ? ", second exchange\n" : "\n"), difference, "in ",
                  corpus::printable(std::string_view(c.octets).substr(0, 400)));
}

} // namespace

TEST_SUITE("client/corpus") {
    TEST_CASE("every response case gives its outcome through the whole client [RFC 9112]") {
        std::size_t count = 0;
        for (corpus::test_case& c : corpus::load("response")) {
            // What is a message of its own to the parser is passed over, or refused, by a client.
            const std::string_view head = c.octets.size() > 9 ? std::string_view(c.octets).substr(9, 1) : "";
            const bool good = c.expect.back() == "end" || c.expect.back() == "more";
            if (head == "1" && good) {
                continue;
            }
            ++count;
            check(c, 0, 0, false);
            check(c, 0, 1, false);
            std::size_t step = c.octets.size() <= 400 ? 1 : c.octets.size() / 53;
            step *= test_support::reduced() ? std::size_t{3} : std::size_t{1}; // over TLS a handshake each
            for (std::size_t cut = 1; cut < c.octets.size(); cut += step) {
                check(c, cut, 0, false);
            }
            const http::limits usual;
            if (c.limits.head_octets == usual.head_octets && c.limits.start_line_octets == usual.start_line_octets &&
                c.limits.max_fields == usual.max_fields && c.limits.field_line_octets == usual.field_line_octets &&
                c.limits.body_octets == usual.body_octets && !c.octets.empty()) { // nothing at all: it is repeated
                check(c, 0, 0, true);
            }
        }
        MESSAGE(count, " cases");
        CHECK(count >= 110);
    }
}
