// SPDX-License-Identifier: MIT
// Every case of tests/client/cases through the client, over streams in memory, plain or TLS, and in virtual time.
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/http/client/client.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "peer_cases.hpp"

namespace {

namespace http = flux::http;
using test_support::any_stream;
using peer_cases::ask;
using peer_cases::replaced;
using peer_cases::script;
using peer_cases::step;
using peer_cases::test_case;

std::string at_origins(const std::string& text) {
    return replaced(replaced(text, "{a}", "a.test"), "{b}", "b.test");
}

// All peers of one case.
struct world {
    const test_case* c = nullptr;
    flux::task_scope* scope = nullptr;
    flux::testing::memory_options streams;
    std::map<char, long> accepted = {{'a', 0}, {'b', 0}};
    std::size_t open = 0;
    std::string problems;

    void complain(const std::string& what) { problems += what + "\n"; }
    const script* next_script(char origin) {
        long skip = accepted[origin]++;
        for (const script& s : c->scripts) {
            if (s.origin == origin && skip-- == 0) {
                return &s;
            }
        }
        return nullptr;
    }
};

struct peer {
    any_stream stream;
    std::string left; // read, but not used
    std::string seen; // the last request
};

flux::task<bool> read_request(peer* p, bool whole) {
    const auto head = co_await flux::attempt(flux::read_until(p->stream, p->left, "\r\n\r\n", 1'000'000));
    if (!head) {
        co_return false;
    }
    std::size_t size = *head;
    if (whole) {
        const std::string fields = p->left.substr(0, size);
        if (const std::size_t at = fields.find("\r\nContent-Length: "); at != std::string::npos) {
            size += std::stoul(fields.substr(at + 18));
            while (p->left.size() < size) {
                const std::size_t have = p->left.size();
                p->left.resize(size);
                const auto n = co_await flux::attempt(
                    p->stream.read_some(std::as_writable_bytes(std::span(p->left).subspan(have))));
                p->left.resize(have + (n ? *n : 0));
                if (!n || *n == 0) {
                    co_return false;
                }
            }
        } else if (fields.find("\r\nTransfer-Encoding: chunked\r\n") != std::string::npos) {
            const auto end = co_await flux::attempt(flux::read_until(p->stream, p->left, "\r\n0\r\n\r\n", 1'000'000));
            if (!end) {
                co_return false;
            }
            size = *end;
        }
    }
    p->seen = p->left.substr(0, size);
    p->left.erase(0, size);
    co_return true;
}

flux::task<bool> say(peer* p, std::string octets) {
    const auto done = co_await flux::attempt(p->stream.write_all(flux::as_octets(octets)));
    co_return done.has_value();
}
flux::task<> await_the_end(peer* p) {
    for (;;) {
        auto octets = co_await flux::attempt(p->stream.receive());
        if (!octets || octets->empty()) {
            co_return;
        }
    }
}

flux::task<> follow(world* w, const script* s, peer* p) {
    co_await p->stream.ready();
    for (const step& x : s->steps) {
        const std::string octets = at_origins(x.octets);
        if (x.verb == "recv" || x.verb == "head") {
            const auto got = co_await read_request(p, x.verb == "recv");
            if (!got) {
                w->complain("the peer waited for a request that did not come");
                co_return;
            }
        } else if (x.verb == "want" || x.verb == "lack") {
            if ((p->seen.find(octets) != std::string::npos) != (x.verb == "want")) {
                w->complain(x.verb + " " + corpus::printable(octets) + " in " + corpus::printable(p->seen));
            }
        } else if (x.verb == "send") {
            const auto sent = co_await say(p, octets);
            static_cast<void>(sent);
        } else if (x.verb == "trickle") {
            bool sent = true;
            for (std::size_t i = 0; sent && i < octets.size(); ++i) {
                co_await flux::sleep_for(flux::milliseconds(x.number));
                sent = co_await say(p, octets.substr(i, 1));
            }
        } else if (x.verb == "flood") {
            bool sent = true;
            for (long i = 0; sent && i < x.number; ++i) {
                sent = co_await say(p, octets);
            }
        } else if (x.verb == "pause") {
            co_await flux::sleep_for(flux::milliseconds(x.number));
        } else if (x.verb == "fin") {
            static_cast<void>(p->stream.shutdown_write());
        } else if (x.verb == "close") {
            p->stream.close();
            co_return;
        } else if (x.verb == "rst") {
            p->stream.abort();
            co_return;
        }
    }
    co_await await_the_end(p);
}

flux::task<> run_peer(world* w, char origin, any_stream stream) {
    ++w->open;
    peer p{std::move(stream), {}, {}};
    if (const script* s = w->next_script(origin)) {
        const auto done = co_await flux::attempt(follow(w, s, &p));
        flux::ignore_result(done, "the case may be over");
    } else {
        w->complain(std::string("a connection to ") + origin + " that nobody expected");
    }
    --w->open;
}

class memory_connector {
public:
    using stream_type = any_stream;
    static constexpr bool secures = false;
    explicit memory_connector(world& w) noexcept : world_(&w) {}
    [[nodiscard]] flux::task<any_stream> connect(const flux::destination& to) { return dial(world_, to.host[0]); }

private:
    static flux::task<any_stream> dial(world* w, char origin) {
        auto ends = test_support::any_pair(w->streams);
        w->scope->spawn(run_peer, w, origin, std::move(ends.second));
        co_await ends.first.ready();
        co_return std::move(ends.first);
    }
    world* world_;
};
using memory_client = http::basic_client<memory_connector>;

// What became of one request.
struct outcome {
    bool ok = false;
    int status = 0;
    std::string error_class;
    std::string detail;
    std::string body;
    long attempts = 0;
    long reused = 0;
};

std::string class_of(const flux::error& e) {
    const flux::error_kind kind = e.kind();
    return std::string(to_string(kind == flux::error_kind::limit ? flux::error_kind::protocol : kind));
}

flux::task<> run_ask(memory_client* api, const ask* a, outcome* out) {
    auto request = api->request(std::string_view(a->method), at_origins(a->url));
    for (const auto& [name, value] : a->fields) {
        request.add_header(name, value);
    }
    if (a->has_data) {
        request.body(a->data);
    }
    for (const auto& [name, value] : a->options) {
        if (name == "timeout") {
            request.timeout(flux::milliseconds(value));
        } else if (name == "max_redirects") {
            request.max_redirects(static_cast<std::uint32_t>(value));
        }
    }
    auto response = co_await flux::attempt(std::move(request));
    if (!response) {
        out->error_class = class_of(response.error());
        out->detail = response.error().message();
        out->attempts = response.error().attempt();
        co_return;
    }
    out->attempts = response->attempts();
    out->reused = response->reused() ? 1 : 0;
    auto text = co_await flux::attempt(response->text());
    if (!text) {
        out->error_class = class_of(text.error());
        out->detail = text.error().message();
        co_return;
    }
    out->ok = true;
    out->status = static_cast<int>(http::to_number(response->code()));
    out->body = *std::move(text);
}

void judge(world& w, const ask& a, const outcome& o) {
    const std::string got = o.ok ? "ok " + std::to_string(o.status) : "fail " + o.error_class + " (" + o.detail + ")";
    const std::string want = a.ok ? "ok " + std::to_string(a.status) : "fail " + a.error_class;
    if (a.ok ? got != want : o.ok || o.error_class != a.error_class) {
        w.complain("expected " + want + ", got " + got);
        return;
    }
    if (a.has_body && o.body != a.body) {
        w.complain("the body is " + corpus::printable(o.body.substr(0, 200)));
    }
    const long usual = o.error_class == "usage" ? 0 : 1; // a request is sent once, unless the case says otherwise
    if (!a.also.contains("attempts") && o.attempts != usual) {
        w.complain("attempts is " + std::to_string(o.attempts) + " and not " + std::to_string(usual));
    }
    for (const auto& [name, value] : a.also) {
        const long is = name == "attempts" ? o.attempts : o.reused;
        if (is != value) {
            w.complain(name + " is " + std::to_string(is) + " and not " + std::to_string(value));
        }
    }
}

flux::task<> run_asks(memory_client* api, world* w) {
    for (const ask& a : w->c->asks) {
        if (const auto wait = a.options.find("wait"); wait != a.options.end()) {
            co_await flux::sleep_for(flux::milliseconds(wait->second));
        }
        outcome o;
        co_await run_ask(api, &a, &o);
        judge(*w, a, o);
    }
}

flux::task<> run_world(world* w) {
    http::client_options options;
    for (const ask& a : w->c->asks) {
        for (const auto& [name, value] : a.options) {
            const flux::milliseconds ms(value);
            if (name == "connect") {
                options.pool.connect_timeout = ms;
            } else if (name == "first_byte") {
                options.first_byte_timeout = ms;
            } else if (name == "progress") {
                options.progress_timeout = ms;
            } else if (name == "continue") {
                options.continue_timeout = ms;
            }
        }
    }
    auto ctx = co_await flux::this_context();
    flux::task_scope scope(ctx, flux::scope_policy::collect);
    w->scope = &scope;
    {
        memory_client api(options, memory_connector(*w));
        co_await run_asks(&api, w);
        const auto stats = api.stats();
        if (stats.active + stats.dialling + stats.waiting != 0) {
            w->complain("a connection or a waiter is left over");
        }
    }
    co_await flux::sleep_for(flux::seconds(20)); // so that the peers see the end
    if (w->open != 0) {
        w->complain(std::to_string(w->open) + " connections outlive the client");
    }
    scope.stop();
    const auto joined = co_await flux::attempt(scope.join());
    flux::ignore_result(joined, "it was stopped");
}

std::string run(const test_case& c, std::uint64_t shuffle, std::size_t max_read) {
    flux::testing::virtual_loop_options how;
    how.shuffle_seed = shuffle;
    flux::testing::virtual_loop loop(how);
    world w;
    w.c = &c;
    w.streams.max_read = max_read;
    w.streams.reset_discards = false; // as Linux does it
    const auto done = loop.run(run_world(&w));
    if (!done) {
        w.complain("the case itself failed: " + done.error().message());
    }
    for (const auto& [origin, n] : c.accepted) {
        if (w.accepted[origin] != n) {
            w.complain(std::to_string(w.accepted[origin]) + " connections to " + origin + " and not " +
                       std::to_string(n));
        }
    }
    return w.problems;
}

} // namespace

TEST_SUITE("client/peer_cases") {
    TEST_CASE("every case has its outcome, in any order of events and in pieces of any size") {
        const std::vector<test_case> all = peer_cases::load();
        std::size_t count = 0;
        std::vector<std::string> names;
        for (const test_case& c : all) {
            names.push_back(c.name);
            REQUIRE_MESSAGE(!c.asks.empty(), c.name);
            if (c.only == "program") {
                continue;
            }
            ++count;
            const std::uint64_t orders = test_support::reduced() ? 2 : 4; // over TLS a handshake each
            for (std::uint64_t shuffle = 0; shuffle < orders; ++shuffle) {
                for (const std::size_t max_read : {0U, 1U}) {
                    const std::string problems = run(c, shuffle, max_read);
                    CHECK_MESSAGE(problems.empty(), c.name, "\nshuffled by ", shuffle, ", at most ", max_read,
                                  " octets per read\n", problems);
                }
            }
        }
        MESSAGE(count, " cases");
        CHECK(count >= 200);
        std::sort(names.begin(), names.end());
        const auto twice = std::adjacent_find(names.begin(), names.end());
        CHECK_MESSAGE(twice == names.end(), "two cases are called ", twice == names.end() ? std::string() : *twice);
    }
}
