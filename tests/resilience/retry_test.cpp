// SPDX-License-Identifier: MIT
#include <flux/resilience/retry.hpp> // also proves the header is self-contained

#include "http/client/memory_connector.hpp"

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace flux;
using namespace flux_test;
using namespace std::chrono_literals;

namespace {

// What the i-th connection answers; empty: it ends without a word. The last one goes on for ever.
std::vector<std::string> answers;
std::vector<time_point> asked_at;

std::string answer_of(const char* status, const std::string& more = {}) {
    return "HTTP/1.1 " + std::string(status) + "\r\nConnection: close\r\n" + more + "Content-Length: 2\r\n\r\nok";
}

task<> answers_in_turn(peer& p) {
    auto ctx = co_await this_context();
    std::string head = co_await p.head();
    if (head.empty()) {
        co_return;
    }
    if (head.find("Content-Length: 4") != std::string::npos || head.find("chunked") != std::string::npos) {
        head += co_await p.body(head.find("chunked") != std::string::npos ? 14 : 4);
    }
    p.net->heads.push_back(head);
    asked_at.push_back(ctx.home().now());
    const std::string& said = answers[std::min(p.number, answers.size() - 1)];
    if (said == "silence") {
        co_await sleep_for(100s);
    }
    co_await p.say(said);
}

http::retry_options quick() {
    http::retry_options o;
    o.attempts = 4;
    o.base = 100ms;
    o.cap = 300ms;
    return o;
}

/// The test's client has a retry layer with a fixed seed.
template <class Test>
void with_retries(std::vector<std::string> script, const http::retry_options& how, std::uint64_t seed, Test test,
                  const http::client_options& options = {}) {
    answers = std::move(script);
    asked_at.clear();
    memory_net net;
    auto scenario = [&](memory_client& api, memory_net& n) -> task<> {
        api.use(http::retry(how, seed));
        co_await test(api, n);
    };
    auto done = with_peer(net, answers_in_turn, options, std::move(scenario));
    CHECK_MESSAGE(done, (done ? std::string() : done.error().message()));
    CHECK(net.open == 0);
}

std::vector<duration> gaps() {
    std::vector<duration> out;
    for (std::size_t i = 1; i < asked_at.size(); ++i) {
        out.push_back(asked_at[i] - asked_at[i - 1]);
    }
    return out;
}

} // namespace

TEST_SUITE("resilience/retry") {

TEST_CASE("what may pass is tried again, after waits that grow, are random, and follow from the seed") {
    std::vector<std::vector<duration>> waits;
    for (const std::uint64_t seed : {1U, 2U, 1U}) {
        with_retries({"", answer_of("503 No"), answer_of("502 No"), answer_of("200 OK")}, quick(), seed,
                     [](memory_client& api, memory_net& n) -> task<> {
            auto r = co_await api.get("http://a.test/x").header("X-Mine", "1");
            CHECK(r.code() == http::status::ok);
            CHECK(r.attempts() == 4);
            auto text = co_await r.text();
            CHECK(text == "ok");
            REQUIRE(n.heads.size() == 4);
            CHECK(n.heads[3] == n.heads[0]);
            CHECK(api.stats().active == 0);
        });
        waits.push_back(gaps());
        REQUIRE(waits.back().size() == 3);
        CHECK(waits.back()[0] <= 100ms);
        CHECK(waits.back()[1] <= 200ms);
        CHECK(waits.back()[2] <= 300ms);
    }
    CHECK(waits[0] == waits[2]);
    CHECK(waits[0] != waits[1]);
}

TEST_CASE("the waits are spread over their whole range") {
    duration least = 1s;
    duration most{};
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        with_retries({"", answer_of("200 OK")}, quick(), seed * 977, [](memory_client& api, memory_net&) -> task<> {
            co_await api.get("http://a.test/").text();
        });
        least = std::min(least, gaps().at(0));
        most = std::max(most, gaps().at(0));
    }
    CHECK(least < 20ms);
    CHECK(most > 80ms);
    CHECK(most <= 100ms);
}

TEST_CASE("the last outcome stands: an answer as it is, an error that says how often") {
    with_retries({answer_of("503 No")}, quick(), 1, [](memory_client& api, memory_net& n) -> task<> {
        auto r = co_await api.get("http://a.test/");
        CHECK(r.code() == http::status::service_unavailable);
        CHECK(r.attempts() == 4);
        CHECK(n.heads.size() == 4);
        auto text = co_await r.text();
        CHECK(text == "ok");
    });
    with_retries({""}, quick(), 1, [](memory_client& api, memory_net& n) -> task<> {
        auto r = co_await attempt(api.get("http://a.test/"));
        REQUIRE_FALSE(r);
        CHECK(r.error().kind() == error_kind::network);
        CHECK(r.error().attempt() == 4);
        CHECK(r.error().message().starts_with("attempt 4 of 4: GET http://a.test/: "));
        CHECK(n.heads.size() == 4);
    });
}

TEST_CASE("what may have been done is not done again, unless the request says that it may be [RFC 9110 9.2.2]") {
    with_retries({"", answer_of("200 OK")}, quick(), 1, [](memory_client& api, memory_net& n) -> task<> {
        auto lost = co_await attempt(api.post("http://a.test/").body("data"));
        REQUIRE_FALSE(lost);
        CHECK(lost.error().attempt() == 1);
        CHECK(n.heads.size() == 1);
    });
    with_retries({answer_of("503 No"), answer_of("200 OK")}, quick(), 1, [](memory_client& api, memory_net&) -> task<> {
        auto r = co_await api.post("http://a.test/").body("data");
        CHECK(r.code() == http::status::service_unavailable);
        co_await r.text();
    });
    with_retries({"", answer_of("200 OK")}, quick(), 1, [](memory_client& api, memory_net& n) -> task<> {
        auto text = co_await api.post("http://a.test/").header("Idempotency-Key", "7").body("data").text();
        CHECK(text == "ok");
        REQUIRE(n.heads.size() == 2);
        CHECK(n.heads[1].ends_with("\r\n\r\ndata"));
    });
    // Refused before anything was sent: whatever the method.
    answers = {answer_of("200 OK")};
    memory_net net;
    net.refusals = {ECONNREFUSED, ECONNREFUSED};
    auto done = with_peer(net, answers_in_turn, {}, [](memory_client& api, memory_net&) -> task<> {
        api.use(http::retry(quick(), 1));
        auto r = co_await api.post("http://a.test/").body("data");
        CHECK(r.code() == http::status::ok);
        CHECK(r.attempts() == 3);
        co_await r.text();
    });
    CHECK(done);
}

TEST_CASE("what will not change is not tried again: other statuses, broken answers, requests that cannot be sent") {
    for (const std::string& said : {answer_of("500 No"), answer_of("404 No"), std::string("nonsense\r\n\r\n")}) {
        with_retries({said}, quick(), 1, [](memory_client& api, memory_net& n) -> task<> {
            auto r = co_await attempt(api.get("http://a.test/"));
            CHECK(n.heads.size() == 1);
            CHECK((r ? r->attempts() : r.error().attempt()) == 1);
        });
    }
    with_retries({answer_of("200 OK")}, quick(), 1, [](memory_client& api, memory_net& n) -> task<> {
        auto r = co_await attempt(api.get("http://a.test/").header("X", "a\r\nb"));
        CHECK((!r && r.error().kind() == error_kind::usage));
        CHECK(n.connects == 0);
    });
    http::retry_options only_failures = quick();
    only_failures.statuses = false;
    with_retries({answer_of("503 No")}, only_failures, 1, [](memory_client& api, memory_net& n) -> task<> {
        auto r = co_await api.get("http://a.test/");
        CHECK(r.code() == http::status::service_unavailable);
        CHECK(n.heads.size() == 1);
    });
}

TEST_CASE("Retry-After is the least wait, in seconds or as a date; one that asks for too much ends it [RFC 9110 10.2.3]") {
    for (const char* const line : {"Retry-After: 3\r\n", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\n"}) {
        with_retries({answer_of("429 Slow down", line), answer_of("200 OK")}, quick(), 5,
                     [](memory_client& api, memory_net&) -> task<> {
            auto text = co_await api.get("http://a.test/").text();
            CHECK(text == "ok");
        });
        REQUIRE(gaps().size() == 1);
        CHECK(gaps()[0] >= 3s);
        CHECK(gaps()[0] <= 3s + 100ms);
    }
    with_retries({answer_of("503 No", "Retry-After: 31\r\n")}, quick(), 5, [](memory_client& api, memory_net& n) -> task<> {
        auto r = co_await api.get("http://a.test/");
        CHECK(r.code() == http::status::service_unavailable);
        CHECK(n.heads.size() == 1);
    });
}

TEST_CASE("no wait begins that cannot end before the deadline, and all tries share one") {
    with_retries({answer_of("503 No", "Retry-After: 3\r\n")}, quick(), 5, [](memory_client& api, memory_net& n) -> task<> {
        auto ctx = co_await this_context();
        const time_point start = ctx.home().now();
        auto r = co_await api.get("http://a.test/").timeout(2s);
        CHECK(r.code() == http::status::service_unavailable);
        auto outer = co_await attempt(with_timeout(2s, api.get("http://a.test/")));
        CHECK((outer && outer->code() == http::status::service_unavailable));
        CHECK(n.heads.size() == 2);
        CHECK(ctx.home().now() - start < 1s);
    });
    // Each try ends at its own limit; the last one at that of the whole.
    http::client_options options;
    options.first_byte_timeout = 1s;
    with_retries({"silence"}, quick(), 5, [](memory_client& api, memory_net& n) -> task<> {
        auto ctx = co_await this_context();
        const time_point start = ctx.home().now();
        auto r = co_await attempt(api.get("http://a.test/").timeout(2500ms));
        REQUIRE_FALSE(r);
        CHECK(r.error().is(errc::timed_out));
        CHECK(ctx.home().now() - start == 2500ms);
        CHECK(n.heads.size() == 3);
        CHECK(api.stats().active == 0);
    }, options);
    // The body of the response belongs to the same deadline.
    with_retries({"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: keep-alive\r\n\r\nhalf"}, quick(), 5,
                 [](memory_client& api, memory_net&) -> task<> {
        auto r = co_await api.get("http://a.test/").timeout(2s);
        auto text = co_await attempt(r.text());
        CHECK_FALSE(text);
    });
}

TEST_CASE("stopped in a wait it ends at once; a streamed body is made for each try, interim responses are told") {
    with_retries({answer_of("503 No", "Retry-After: 20\r\n")}, quick(), 5, [](memory_client& api, memory_net& n) -> task<> {
        auto ctx = co_await this_context();
        const time_point start = ctx.home().now();
        task_scope scope(ctx);
        const auto ask = [](memory_client* c) -> task<> { co_await c->get("http://a.test/").text(); };
        scope.spawn(ask, &api);
        co_await sleep_for(1s);
        CHECK(n.heads.size() == 1);
        CHECK(api.stats().active == 0);
        scope.stop();
        auto joined = co_await attempt(scope.join());
        CHECK(ctx.home().now() - start == 1s);
    });
    with_retries({answer_of("503 No"), "HTTP/1.1 103 Early Hints\r\n\r\n" + answer_of("200 OK")}, quick(), 5,
                 [](memory_client& api, memory_net& n) -> task<> {
        int made = 0;
        int told = 0;
        http::body_producer data = [&made](http::body_writer& out) -> task<> {
            ++made;
            co_await out.write("data");
        };
        http::interim_listener listen = [&told](http::status, const http::fields_view&) { ++told; };
        auto text = co_await api.put("http://a.test/").stream(std::move(data)).on_interim(std::move(listen)).text();
        CHECK(text == "ok");
        CHECK(made == 2);
        CHECK(told == 1);
        CHECK(n.heads[1].ends_with("\r\n\r\n4\r\ndata\r\n0\r\n\r\n"));
    });
}

TEST_CASE("retries of all requests are a share of them, when there is a budget") {
    for (const std::uint32_t percent : {0U, 20U}) {
        http::retry_options how = quick();
        how.budget_percent = percent;
        how.budget_reserve = 3;
        with_retries({answer_of("503 No")}, how, 5, [percent](memory_client& api, memory_net& n) -> task<> {
            std::string tries;
            for (int i = 0; i < 12; ++i) {
                auto r = co_await api.get("http://a.test/");
                CHECK(r.code() == http::status::service_unavailable);
                tries += std::to_string(r.attempts());
                co_await r.text();
            }
            // The reserve; then one for the five requests since, and for the next five.
            CHECK(tries == (percent == 0 ? "444444444444" : "411112111121"));
            std::size_t sum = 0;
            for (const char c : tries) {
                sum += static_cast<std::size_t>(c - '0');
            }
            CHECK(n.heads.size() == sum);
        });
    }
    // More than fits in is not earned; without a reserve there is never a whole one.
    http::retry_budget full(50, 1);
    full.earn();
    full.earn();
    CHECK(full.spend());
    CHECK_FALSE(full.spend());
    http::retry_budget none(100, 0);
    none.earn();
    CHECK_FALSE(none.spend());
}

TEST_CASE("a trace is told of each try from start to end, and of nothing else") {
    class recorder final : public http::client_trace {
    public:
        std::string log;
        void started(std::string_view, const http::url&) noexcept override { log += "start "; }
        void got_head(duration, http::status s) noexcept override { (log += std::to_string(to_number(s))) += ' '; }
        void done(duration, const error* why) noexcept override { log += why == nullptr ? "done; " : "failed; "; }
    };
    with_retries({"", answer_of("503 No"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf"}, quick(), 5,
                 [](memory_client& api, memory_net&) -> task<> {
        recorder seen;
        auto r = co_await api.get("http://a.test/").trace(seen);
        CHECK(r.code() == http::status::ok);
        CHECK(seen.log == "start failed; start 503 done; start 200 "); // its body is not there yet
        const auto text = co_await attempt(r.text());
        CHECK_FALSE(text);
        CHECK(seen.log == "start failed; start 503 done; start 200 failed; ");
        recorder never;
        {
            auto dropped = api.get("http://a.test/").trace(never);
        }
        CHECK(never.log.empty());
    });
}

TEST_CASE("layers see the request on its way in and the response on its way out, the first one outermost") {
    answers = {answer_of("200 OK")};
    memory_net net;
    std::string log;
    auto done = with_peer(net, answers_in_turn, {}, [&log](memory_client& api, memory_net& n) -> task<> {
        struct named {
            std::string* log;
            char name;
            task<http::client_response> operator()(http::client_request& req, http::client_next& inner) {
                *log += name;
                CHECK(req.method() == http::method::get);
                CHECK(req.url().path() == "/x");
                req.add_header("X-Layer", std::string(1, name));
                auto r = co_await attempt(inner(req));
                *log += name;
                if (!r) {
                    co_return fail(r.error());
                }
                co_return std::move(r);
            }
        };
        struct refusing {
            task<http::client_response> operator()(http::client_request& req, http::client_next& inner) {
                if (req.url().host() == "b.test") {
                    co_return fail(error(errc::unavailable).doing("not this host"));
                }
                auto r = co_await attempt(inner(req));
                co_return std::move(r);
            }
        };
        api.use(named{&log, 'a'}).use(named{&log, 'b'}).use(refusing());
        auto text = co_await api.get("http://a.test/x").text();
        CHECK(text == "ok");
        CHECK(log == "abba");
        CHECK(n.heads.at(0).find("X-Layer: a\r\nX-Layer: b\r\n") != std::string::npos);
        auto refused = co_await attempt(api.get("http://b.test/x"));
        CHECK((!refused && refused.error().is(errc::unavailable) && refused.error().message().starts_with("not this host: ")));
        CHECK(n.connects == 1);
    });
    CHECK_MESSAGE(done, (done ? std::string() : done.error().message()));
}

} // TEST_SUITE
