// SPDX-License-Identifier: MIT
#include <flux/net/dns_resolver.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/dns_server.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::dns_builder;
using test_support::dns_question;
using test_support::dns_server;
using test_support::on_each_driver;
using test_support::run;
using answers = dns_server::answers;
using list = std::vector<std::string>;

namespace {

/// A resolver that asks only `servers`.
dns_options only(std::vector<endpoint> servers) {
    dns_options o;
    o.hosts = "";
    o.config.emplace();
    for (const endpoint& e : servers) {
        o.config->servers.push_back(e);
    }
    return o;
}
list texts(const std::vector<endpoint>& all) {
    list out;
    for (const endpoint& e : all) {
        out.push_back(e.to_string());
    }
    return out;
}
/// 192.0.2.7 and ::7 for every name.
answers yes(const dns_question& q) {
    dns_builder b(q);
    q.type == 1 ? b.v4(q.text, {192, 0, 2, 7}) : b.v6(q.text, 7);
    return {b.text()};
}
answers no(const dns_question& q) { return {dns_builder(q).code(3).authority("example", 60, 60).text()}; }

/// Runs `f(server, resolver)` beside a server that answers with `h`.
template <class F>
void with_server(dns_server::handler h, F f) {
    on_each_driver([&](const reactor_options& options) {
        reactor r(options);
        dns_server server(r, h);
        dns_resolver names(only({server.where()}));
        auto body = [&](task_scope& scope) -> task<> {
            server.start(scope);
            auto end = co_await attempt(f(server, names));
            scope.stop();
            if (!end) {
                co_await fail(end.error());
            }
        };
        auto main = [&]() -> task<> { co_await with_scope(body); };
        run(r, main());
    });
}

} // namespace

TEST_SUITE("net/dns_resolver") {

TEST_CASE("both families are asked for, and the second time the cache answers") {
    with_server([](const dns_question& q, bool) { return yes(q); },
                [](dns_server& server, dns_resolver& names) -> task<> {
                    for (int i = 0; i < 2; ++i) {
                        auto all = co_await resolve(names, "A.Example", 80);
                        auto t = texts(all);
                        std::sort(t.begin(), t.end());
                        CHECK(t == list{"192.0.2.7:80", "[::7]:80"});
                        auto asked = server.asked();
                        std::sort(asked.begin(), asked.end());
                        CHECK(asked == list{"a.example 1/udp", "a.example 28/udp"});
                    }
                    CHECK(names.stats().cached == 2);
                    names.clear_cache();
                    std::ignore = co_await resolve(names, "a.example", 80);
                    CHECK(server.asked().size() == 4);
                });
}

TEST_CASE("only the families that are wanted are asked for") {
    with_server([](const dns_question& q, bool) { return yes(q); },
                [](dns_server& server, dns_resolver& names) -> task<> {
                    address_feed feed(address_families::ipv4_only);
                    co_await names.lookup("a.example", feed);
                    REQUIRE(feed.addresses().size() == 1);
                    CHECK(feed.addresses()[0].to_string() == "192.0.2.7:0");
                    CHECK(feed.is_answered(address_family::ipv6));
                    CHECK(server.asked() == list{"a.example 1/udp"});
                    auto literal = co_await attempt(resolve(names, "192.0.2.1", 80));
                    CHECK(texts(*literal) == list{"192.0.2.1:80"});
                    address_feed six(address_families::ipv6_only);
                    auto none = co_await attempt(names.lookup("192.0.2.1", six));
                    CHECK(!none);
                });
}

TEST_CASE("a truncated answer is asked for again over TCP [RFC 1035 4.2.1]") {
    with_server(
        [](const dns_question& q, bool tcp) -> answers {
            if (!tcp) {
                return {dns_builder(q).truncated().text()};
            }
            dns_builder b(q);
            for (int i = 0; i < 60 && q.type == 1; ++i) {
                b.v4(q.text, {10, 0, 0, static_cast<std::uint8_t>(i)});
            }
            return {b.text()};
        },
        [](dns_server& server, dns_resolver& names) -> task<> {
            auto all = co_await resolve(names, "big.example", 1);
            CHECK(all.size() == 60);
            CHECK(server.asked().size() == 4);
        });
}

TEST_CASE("a datagram that is longer than asked for is a truncated answer") {
    with_server(
        [](const dns_question& q, bool tcp) -> answers {
            dns_builder b(q);
            q.type == 1 ? b.v4(q.text, {10, 0, 0, 1}) : b.v6(q.text, 1);
            return {tcp ? b.text() : b.record(2, std::string(1, '\0'), dns_builder::txt, 0, std::string(5000, 'x')).text()};
        },
        [](dns_server& server, dns_resolver& names) -> task<> {
            auto all = co_await resolve(names, "big.example", 1);
            CHECK(all.size() == 2);
            CHECK(server.asked().size() == 4);
        });
}

TEST_CASE("answers with a wrong id or question are passed over until the right one comes [RFC 5452 9]") {
    with_server(
        [](const dns_question& q, bool) -> answers {
            auto right = yes(q);
            dns_builder wrong_id(q);
            wrong_id.v4(q.text, {6, 6, 6, 6}).id ^= 0x8000;
            dns_builder wrong_name(q.id, "evil.example", q.type);
            wrong_name.v4("evil.example", {6, 6, 6, 6}).v4(q.text, {6, 6, 6, 6});
            dns_builder wrong_type(q.id, q.text, 16);
            wrong_type.v4(q.text, {6, 6, 6, 6});
            return {"", "x", wrong_id.text(), wrong_name.text(), wrong_type.text(), right[0]};
        },
        [](dns_server&, dns_resolver& names) -> task<> {
            auto t = texts(co_await resolve(names, "a.example", 80));
            std::sort(t.begin(), t.end());
            CHECK(t == list{"192.0.2.7:80", "[::7]:80"});
        });
}

TEST_CASE("100 datagrams that are no answer end the exchange") {
    with_server(
        [](const dns_question& q, bool) -> answers {
            dns_builder wrong(q);
            wrong.id ^= 1;
            return answers(120, wrong.text());
        },
        [](dns_server&, dns_resolver& names) -> task<> {
            auto r = co_await attempt(resolve(names, "a.example", 80));
            REQUIRE(!r);
            CHECK(r.error().code() == make_error_code(resolve_errc::bad_answer));
            CHECK(r.error().kind() == error_kind::network);
        });
}

TEST_CASE("NXDOMAIN: no such host, phase resolve, remembered") {
    with_server([](const dns_question& q, bool) { return no(q); },
                [](dns_server& server, dns_resolver& names) -> task<> {
                    for (int i = 0; i < 2; ++i) {
                        auto r = co_await attempt(resolve(names, "nowhere.example", 80));
                        REQUIRE(!r);
                        CHECK(r.error().message() == "resolve nowhere.example: no such host");
                        CHECK(r.error().phase() == error_phase::resolve);
                        CHECK(r.error().kind() == error_kind::network);
                        CHECK(r.error().retryable());
                    }
                    CHECK(server.asked().size() == 2);
                });
}

TEST_CASE("a name without addresses is not a name that does not exist") {
    with_server([](const dns_question& q, bool) -> answers { return {dns_builder(q).text()}; },
                [](dns_server& server, dns_resolver& names) -> task<> {
                    auto r = co_await attempt(resolve(names, "mail.example", 80));
                    CHECK(r.error().message() == "resolve mail.example: the host has no address");
                    std::ignore = co_await attempt(resolve(names, "mail.example", 80));
                    CHECK(server.asked().size() == 4); // without an SOA it is not remembered [RFC 2308 5]
                });
}

TEST_CASE("one family that fails does not spoil the other") {
    with_server([](const dns_question& q, bool) -> answers { return q.type == 1 ? yes(q) : answers{dns_builder(q).code(2).text()}; },
                [](dns_server&, dns_resolver& names) -> task<> {
                    const auto found1 = texts(co_await resolve(names, "a.example", 80));
                    CHECK(found1 == list{"192.0.2.7:80"});
                });
}

TEST_CASE("SERVFAIL and REFUSED name server and failure") {
    with_server([](const dns_question& q, bool) -> answers { return {dns_builder(q).code(q.type == 1 ? 2 : 5).text()}; },
                [](dns_server& server, dns_resolver& names) -> task<> {
                    auto r = co_await attempt(resolve(names, "a.example", 80));
                    REQUIRE(!r);
                    const std::string at = server.where().to_string();
                    CHECK(r.error().message() == "resolve a.example: " + at + " refused, " + at + " refused: the name servers failed");
                    CHECK(server.asked().size() == 4); // two rounds
                });
}

TEST_CASE("CNAME chains are followed, loops are an invalid answer") {
    with_server(
        [](const dns_question& q, bool) -> answers {
            dns_builder b(q);
            if (q.text == "loop.example") {
                return {b.alias("loop.example", "x.example").alias("x.example", "loop.example").text()};
            }
            b.alias(q.text, "b.example").alias("b.example", "c.example");
            q.type == 1 ? b.v4("c.example", {192, 0, 2, 3}) : b;
            return {b.text()};
        },
        [](dns_server&, dns_resolver& names) -> task<> {
            const auto found2 = texts(co_await resolve(names, "a.example", 80));
            CHECK(found2 == list{"192.0.2.3:80"});
            auto r = co_await attempt(resolve(names, "loop.example", 80));
            CHECK(r.error().code() == make_error_code(resolve_errc::bad_answer));
        });
}

TEST_CASE("compression loops and cut answers are an invalid answer, not a hang") {
    with_server(
        [](const dns_question& q, bool) -> answers {
            dns_builder b(q);
            const std::string here = test_support::dns_u16(0xc000 | static_cast<unsigned>(12 + b.question.size()));
            return {q.type == 1 ? b.record(0, here, 1, 60, "\1\2\3\4").text() : yes(q)[0].substr(0, 40)};
        },
        [](dns_server&, dns_resolver& names) -> task<> {
            auto r = co_await attempt(resolve(names, "a.example", 80));
            CHECK(r.error().code() == make_error_code(resolve_errc::bad_answer));
        });
}

TEST_CASE("a server that does not know EDNS is asked without [RFC 6891 7]") {
    with_server(
        [](const dns_question& q, bool) -> answers {
            dns_builder b(q);
            b.questions = 0;
            return q.has_edns ? answers{b.code(1).text()} : yes(q);
        },
        [](dns_server& server, dns_resolver& names) -> task<> {
            auto all = co_await resolve(names, "a.example", 80);
            CHECK(all.size() == 2);
            CHECK(server.asked().size() == 4);
        });
}

TEST_CASE("a server that refuses the connection is passed over at once") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        dns_server server(r, [](const dns_question& q, bool) { return yes(q); });
        endpoint nobody;
        {
            auto s = udp_socket::bind(r, endpoint::loopback(0)).value();
            nobody = s.local_endpoint().value();
        }
        dns_resolver names(only({nobody, server.where()}));
        auto body = [&](task_scope& scope) -> task<> {
            server.start(scope);
            auto all = co_await resolve(names, "a.example", 80);
            CHECK(all.size() == 2);
            dns_resolver bad(only({nobody}));
            auto end = co_await attempt(resolve(bad, "a.example", 80));
            CHECK(end.error().message().find(nobody.to_string() + " Connection refused") != std::string::npos);
            scope.stop();
        };
        auto main = [&]() -> task<> { co_await with_scope(body); };
        run(r, main());
    });
}

TEST_CASE("TCP from the start where the configuration says so, and cut TCP answers are failures") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        dns_server server(r, [](const dns_question& q, bool) -> answers {
            return q.text == "cut.example" ? answers{yes(q)[0].substr(0, 30)} : yes(q);
        });
        auto o = only({server.where()});
        o.config->tcp = true;
        dns_resolver names(o);
        auto body = [&](task_scope& scope) -> task<> {
            server.start(scope);
            auto all = co_await resolve(names, "a.example", 80);
            CHECK(all.size() == 2);
            for (const std::string& q : server.asked()) {
                CHECK(q.ends_with("/tcp"));
            }
            auto cut = co_await attempt(resolve(names, "cut.example", 80));
            CHECK(cut.error().code() == make_error_code(resolve_errc::bad_answer));
            scope.stop();
        };
        auto main = [&]() -> task<> { co_await with_scope(body); };
        run(r, main());
    });
}

TEST_CASE("equal questions at the same time are asked once") {
    with_server([](const dns_question& q, bool) { return yes(q); },
                [](dns_server& server, dns_resolver& names) -> task<> {
                    std::vector<task<std::vector<endpoint>>> many;
                    for (int i = 0; i < 50; ++i) {
                        many.push_back(resolve(names, "a.example", 80));
                    }
                    auto all = co_await when_all(std::move(many));
                    for (const auto& one : all) {
                        CHECK(one.size() == 2);
                    }
                    CHECK(server.asked().size() == 2);
                    CHECK(names.stats().shared == 98);
                });
}

TEST_CASE("a look-up is stopped at once, wherever it waits, and leaves nothing behind") {
    with_server([](const dns_question&, bool) { return answers(); }, // never says anything
                [](dns_server& server, dns_resolver& names) -> task<> {
                    const auto start = std::chrono::steady_clock::now();
                    for (int i = 0; i < 20; ++i) {
                        auto r = co_await attempt(with_timeout(milliseconds(i % 4), resolve(names, "a.example", 80)));
                        REQUIRE(!r);
                        CHECK(r.error().is(errc::timed_out));
                    }
                    // a second each would be a wait for the server's own 5 s
                    CHECK(std::chrono::steady_clock::now() - start < 20s);
                    CHECK(!server.asked().empty());
                });
}

TEST_CASE("whoever shares a question asks it again when the first one is stopped") {
    int questions = 0;
    with_server([&](const dns_question& q, bool) { return ++questions <= 2 ? answers() : yes(q); },
                [&](dns_server&, dns_resolver& names) -> task<> {
                    questions = 0;
                    std::vector<task<std::vector<endpoint>>> both;
                    auto first = [](dns_resolver& n) -> task<std::vector<endpoint>> {
                        auto r = co_await attempt(with_timeout(20ms, resolve(n, "a.example", 80)));
                        CHECK(!r);
                        co_return std::vector<endpoint>();
                    };
                    both.push_back(first(names));
                    both.push_back(resolve(names, "a.example", 80));
                    auto all = co_await when_all(std::move(both));
                    CHECK(all[1].size() == 2);
                    CHECK(questions == 4);
                });
}

}

namespace {

/// Servers that exist in virtual time only: what they say, and after how long.
class scripted {
public:
    struct reply {
        milliseconds after{1};
        std::string text; // empty: never
        int error_number = 0;
    };
    using handler = std::function<reply(const endpoint&, const dns_question&, bool tcp)>;

    explicit scripted(handler h) : handler_(std::move(h)) {}
    task<dns::answer> udp(endpoint server, dns::query q) { return answer(this, server, q, false); }
    task<dns::answer> tcp(endpoint server, dns::query q) { return answer(this, server, q, true); }

private:
    static task<dns::answer> answer(scripted* self, endpoint server, dns::query q, bool tcp) {
        const reply r = self->handler_(server, dns_question(as_text(q.octets())), tcp);
        if (r.text.empty() && r.error_number == 0) {
            co_await sleep_until(no_deadline);
        }
        co_await sleep_for(r.after);
        if (r.error_number != 0) {
            co_return fail(error::from_errno(r.error_number));
        }
        dns::answer a;
        const auto v = dns::read_answer(as_octets(r.text), q, a);
        if (v != dns::verdict::ours) {
            co_return fail(resolve_errc::bad_answer);
        }
        co_return a;
    }
    handler handler_;
};
using virtual_resolver = basic_dns_resolver<scripted>;

endpoint server_at(std::uint8_t n) { return endpoint::ipv4({192, 0, 2, n}, 53); }
scripted::reply say(std::string text, milliseconds after = milliseconds(1)) {
    scripted::reply r;
    r.text = std::move(text);
    r.after = after;
    return r;
}
scripted::reply nothing() { return scripted::reply(); }

class recorder {
public:
    void note(const endpoint& server, const dns_question& q) {
        seen.push_back(server.to_string().substr(8, 1) + " " + q.text + " " + std::to_string(q.type));
    }
    [[nodiscard]] list of_type(const std::string& type) const {
        list out;
        for (const std::string& s : seen) {
            if (s.ends_with(" " + type)) {
                out.push_back(s);
            }
        }
        return out;
    }
    list seen;
};

} // namespace

TEST_SUITE("net/dns_resolver") {

TEST_CASE("a server that does not answer in time: the next one is asked, and it is asked last for a while") {
    testing::virtual_loop loop;
    recorder log;
    virtual_resolver names(only({server_at(1), server_at(2)}), scripted([&](const endpoint& s, const dns_question& q, bool) {
                               log.note(s, q);
                               return s == server_at(1) ? nothing() : say(yes(q)[0]);
                           }));
    auto main = [&]() -> task<> {
        auto ctx = co_await this_context();
        const time_point start = ctx.home().now();
        auto all = co_await resolve(names, "a.example", 80);
        CHECK(all.size() == 2);
        CHECK(ctx.home().now() - start == 5s + 1ms);
        CHECK(log.of_type("1") == list{"1 a.example 1", "2 a.example 1"});
        const time_point second = ctx.home().now();
        std::ignore = co_await resolve(names, "b.example", 80);
        CHECK(ctx.home().now() - second == 1ms);
        co_await sleep_for(31s);
        const time_point third = ctx.home().now();
        std::ignore = co_await resolve(names, "c.example", 80);
        CHECK(ctx.home().now() - third == 5s + 1ms);
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("when no server answers, the error names all of them, after all attempts") {
    testing::virtual_loop loop;
    virtual_resolver names(only({server_at(1), server_at(2)}), scripted([](const endpoint&, const dns_question&, bool) { return nothing(); }));
    auto main = [&]() -> task<> {
        auto ctx = co_await this_context();
        const time_point start = ctx.home().now();
        auto r = co_await attempt(resolve(names, "a.example", 80));
        CHECK(ctx.home().now() - start == 20s);
        REQUIRE(!r);
        CHECK(r.error().message() ==
              "resolve a.example: 192.0.2.1:53 timed out, 192.0.2.2:53 timed out, 192.0.2.1:53 timed out, "
              "192.0.2.2:53 timed out: no name server answered in time");
        CHECK(r.error().kind() == error_kind::timeout);
        CHECK(r.error().code() == std::errc::timed_out);
        CHECK(!r.error().is(errc::timed_out)); // nobody's deadline
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("rotate: each question starts with the next server") {
    testing::virtual_loop loop;
    recorder log;
    auto o = only({server_at(1), server_at(2), server_at(3)});
    o.config->rotate = true;
    o.config->ipv4_only = true;
    virtual_resolver names(o, scripted([&](const endpoint& s, const dns_question& q, bool) {
        log.note(s, q);
        return say(yes(q)[0]);
    }));
    auto main = [&]() -> task<> {
        for (const char* host : {"a.example", "b.example", "c.example", "d.example"}) {
            std::ignore = co_await resolve(names, host, 80);
        }
        CHECK(log.seen == list{"1 a.example 1", "2 b.example 1", "3 c.example 1", "1 d.example 1"});
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("search: short names are tried in each zone first, names with dots as they are [resolv.conf(5)]") {
    testing::virtual_loop loop;
    recorder log;
    auto o = only({server_at(1)});
    o.config->search.push_back("x.test");
    o.config->search.push_back("y.test");
    virtual_resolver names(o, scripted([&](const endpoint& s, const dns_question& q, bool) {
        log.note(s, q);
        return say(q.text.ends_with("y.test") ? yes(q)[0] : no(q)[0]);
    }));
    auto main = [&]() -> task<> {
        std::ignore = co_await resolve(names, "db", 80);
        CHECK(log.of_type("1") == list{"1 db.x.test 1", "1 db.y.test 1"});
        log.seen.clear();
        std::ignore = co_await resolve(names, "a.b", 80);
        CHECK(log.of_type("1") == list{"1 a.b 1", "1 a.b.x.test 1", "1 a.b.y.test 1"});
        log.seen.clear();
        std::ignore = co_await attempt(resolve(names, "db2.", 80));
        CHECK(log.of_type("1") == list{"1 db2 1"});
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("search: a name without addresses is reported before a name that does not exist, a failure before both") {
    testing::virtual_loop loop;
    auto o = only({server_at(1)});
    o.config->search.push_back("x.test");
    virtual_resolver names(o, scripted([&](const endpoint&, const dns_question& q, bool) {
        if (q.text == "a.x.test") {
            return say(dns_builder(q).authority("x.test", 1, 1).text());
        }
        return say(q.text == "b.x.test" ? dns_builder(q).code(2).text() : no(q)[0]);
    }));
    auto main = [&]() -> task<> {
        auto a = co_await attempt(resolve(names, "a", 80));
        CHECK(a.error().code() == make_error_code(resolve_errc::no_address));
        auto b = co_await attempt(resolve(names, "b", 80));
        CHECK(b.error().code() == make_error_code(resolve_errc::server_failed));
        auto c = co_await attempt(resolve(names, "c", 80));
        CHECK(c.error().code() == make_error_code(resolve_errc::no_such_name));
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("addresses arrive in the feed while the other family is still out") {
    testing::virtual_loop loop;
    virtual_resolver names(only({server_at(1)}), scripted([&](const endpoint&, const dns_question& q, bool) {
                               return say(yes(q)[0], q.type == 1 ? 10ms : 300ms);
                           }));
    auto main = [&]() -> task<> {
        auto ctx = co_await this_context();
        const time_point start = ctx.home().now();
        address_feed feed;
        auto reader = [](address_feed& f, time_point at) -> task<> {
            auto inner = co_await this_context();
            co_await f.changed().wait();
            CHECK(inner.home().now() - at == 10ms);
            CHECK(f.addresses().size() == 1);
            CHECK(f.is_answered(address_family::ipv4));
            CHECK(!f.is_answered(address_family::ipv6));
        };
        co_await when_all(names.lookup("a.example", feed), reader(feed, start));
        CHECK(ctx.home().now() - start == 300ms);
        CHECK(feed.addresses().size() == 2);
        CHECK(feed.is_answered(address_family::ipv6));
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("answers are kept for their TTL and no longer than the limits") {
    testing::virtual_loop loop;
    int questions = 0;
    auto o = only({server_at(1)});
    o.config->ipv4_only = true;
    o.max_ttl = 100s;
    o.max_negative_ttl = 5s;
    virtual_resolver names(o, scripted([&](const endpoint&, const dns_question& q, bool) {
        ++questions;
        if (q.text == "no.example") {
            return say(dns_builder(q).code(3).authority("example", 60, 60).text());
        }
        const std::uint32_t ttl = q.text == "zero.example" ? 0 : q.text == "long.example" ? 9999 : 30;
        return say(dns_builder(q).v4(q.text, {192, 0, 2, 1}, ttl).text());
    }));
    const auto asks = [&](const char* host) -> task<int> {
        const int before = questions;
        std::ignore = co_await attempt(resolve(names, host, 80));
        co_return questions - before;
    };
    auto main = [&]() -> task<> {
        const int asked9 = co_await asks("a.example");
        CHECK(asked9 == 1);
        co_await sleep_for(29s);
        const int asked10 = co_await asks("a.example");
        CHECK(asked10 == 0);
        co_await sleep_for(1s);
        const int asked11 = co_await asks("a.example");
        CHECK(asked11 == 1);
        const int asked12 = co_await asks("zero.example");
        CHECK(asked12 == 1);
        const int asked13 = co_await asks("zero.example");
        CHECK(asked13 == 1);
        const int asked14 = co_await asks("long.example");
        CHECK(asked14 == 1);
        co_await sleep_for(99s);
        const int asked15 = co_await asks("long.example");
        CHECK(asked15 == 0);
        co_await sleep_for(1s);
        const int asked16 = co_await asks("long.example");
        CHECK(asked16 == 1);
        const int asked17 = co_await asks("no.example");
        CHECK(asked17 == 1);
        co_await sleep_for(4s);
        const int asked18 = co_await asks("no.example");
        CHECK(asked18 == 0);
        co_await sleep_for(1s);
        const int asked19 = co_await asks("no.example");
        CHECK(asked19 == 1);
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("the cache is bounded: what was not used for the longest time goes first") {
    testing::virtual_loop loop;
    int questions = 0;
    auto o = only({server_at(1)});
    o.config->ipv4_only = true;
    o.cache_entries = 3;
    virtual_resolver names(o, scripted([&](const endpoint&, const dns_question& q, bool) {
        ++questions;
        return say(yes(q)[0]);
    }));
    auto main = [&]() -> task<> {
        for (const char* host : {"a.example", "b.example", "c.example", "a.example", "d.example"}) {
            std::ignore = co_await resolve(names, host, 80);
        }
        CHECK(questions == 4);
        std::ignore = co_await resolve(names, "a.example", 80);
        CHECK(questions == 4);
        std::ignore = co_await resolve(names, "b.example", 80);
        CHECK(questions == 5);
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("localhost and what is below it are this machine, whoever is asked; .invalid and .onion nowhere [RFC 6761 6.3, RFC 7686 2]") {
    testing::virtual_loop loop;
    virtual_resolver names(only({server_at(1)}), scripted([](const endpoint&, const dns_question&, bool) -> scripted::reply {
                               FAIL_CHECK("a server was asked");
                               return {};
                           }));
    auto main = [&]() -> task<> {
        for (const char* host : {"localhost", "LOCALHOST.", "a.b.localhost"}) {
            const auto found3 = texts(co_await resolve(names, host, 80));
            CHECK(found3 == list{"[::1]:80", "127.0.0.1:80"});
        }
        for (const char* host : {"x.invalid", "invalid", "abc.onion"}) {
            auto r = co_await attempt(resolve(names, host, 80));
            CHECK(r.error().code() == make_error_code(resolve_errc::no_such_name));
        }
        const auto found4 = texts(co_await resolve(names, "192.0.2.1", 80));
        CHECK(found4 == list{"192.0.2.1:80"});
        const auto found5 = texts(co_await resolve(names, "::1", 80));
        CHECK(found5 == list{"[::1]:80"});
        auto bad = co_await attempt(resolve(names, "a b", 80));
        CHECK(bad.error().is(errc::invalid_argument));
        CHECK(bad.error().kind() == error_kind::usage);
        CHECK(!bad.error().retryable());
        CHECK(bad.error().message().starts_with("resolve a b: name \"a\\032b\": "));
    };
    REQUIRE(loop.run(main()));
}

TEST_CASE("the hosts file comes before the servers, and both files are read again after a change") {
    testing::virtual_loop loop;
    std::string hosts = "/tmp/flux-hosts-XXXXXX";
    std::string conf = "/tmp/flux-resolv-XXXXXX";
    for (std::string* path : {&hosts, &conf}) {
        const unique_fd fd(::mkstemp(path->data()));
        REQUIRE(fd);
    }
    const auto write = [](const std::string& path, const std::string& text) {
        const unique_fd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
        REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<::ssize_t>(text.size()));
    };
    recorder log;
    dns_options o;
    o.hosts = hosts;
    o.resolv_conf = conf;
    virtual_resolver names(o, scripted([&](const endpoint& s, const dns_question& q, bool) {
        log.note(s, q);
        return say(yes(q)[0]);
    }));
    write(hosts, "192.0.2.50 db.example localhost\n");
    write(conf, "nameserver 192.0.2.1\noptions no-aaaa\n");
    auto main = [&]() -> task<> {
        const auto found6 = texts(co_await resolve(names, "db.example", 80));
        CHECK(found6 == list{"192.0.2.50:80"});
        const auto found7 = texts(co_await resolve(names, "localhost", 80));
        CHECK(found7 == list{"[::1]:80", "127.0.0.1:80"});
        CHECK(log.seen.empty());
        std::ignore = co_await resolve(names, "a.example", 80);
        CHECK(log.seen == list{"1 a.example 1"});
        write(hosts, "192.0.2.51 db.example # other\n");
        write(conf, "nameserver 192.0.2.2\noptions no-aaaa \n");
        co_await sleep_for(1s);
        const auto found8 = texts(co_await resolve(names, "db.example", 80));
        CHECK(found8 == list{"192.0.2.51:80"});
        std::ignore = co_await resolve(names, "a.example", 80); // the cache went with the configuration
        CHECK(log.seen == list{"1 a.example 1", "2 a.example 1"});
    };
    REQUIRE(loop.run(main()));
    ::unlink(hosts.c_str());
    ::unlink(conf.c_str());
}

TEST_CASE("stopped at every millisecond of a look-up, it ends in that millisecond with the reason") {
    for (int stop_after = 0; stop_after < 40; ++stop_after) {
        testing::virtual_loop loop;
        auto o = only({server_at(1), server_at(2)});
        o.config->timeout = 10ms;
        virtual_resolver names(o, scripted([](const endpoint&, const dns_question&, bool) { return nothing(); }));
        auto main = [&]() -> task<> {
            auto ctx = co_await this_context();
            const time_point start = ctx.home().now();
            auto r = co_await attempt(with_timeout(milliseconds(stop_after), resolve(names, "a.example", 80)));
            CHECK(r.error().is(errc::timed_out));
            CHECK(r.error().phase() == error_phase::resolve);
            CHECK(ctx.home().now() - start == milliseconds(stop_after));
        };
        CAPTURE(stop_after);
        REQUIRE(loop.run(main()));
    }
}

}
