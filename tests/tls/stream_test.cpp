// SPDX-License-Identifier: MIT
#include <flux/tls/stream.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

using namespace flux;
using namespace std::chrono_literals;
using testing::memory_options;
using testing::memory_stream;
using testing::virtual_loop;
using test_support::cert_lab;

namespace {

using stream = tls::tls_stream<memory_stream>;

const cert_lab::pair& cert_a() { return test_support::named("a_ip", "DNS:a.test,IP:127.0.0.1"); }
tls::server_config_ptr server() { return test_support::server_of(cert_a()); }
tls::client_context_ptr client() { return test_support::client_of(test_support::ca()); }

test_support::tls_ends pair_of(const tls::client_context_ptr& c, const tls::server_config_ptr& s, memory_options options = {},
                               const std::string& host = "a.test") {
    return test_support::make_tls_ends(c, s, host, options);
}

std::string text_of(const received& r) { return std::string(as_text(r.octets())); }

task<> answer_once(stream& s) {
    auto question = co_await s.receive();
    const std::string answer = "you said " + text_of(question);
    question.reset();
    co_await s.write_all(as_octets(answer));
}
task<std::string> ask_once(stream& s) {
    co_await s.write_all(as_octets("hello"));
    auto answer = co_await s.receive();
    co_return text_of(answer);
}

} // namespace

TEST_SUITE("tls/stream") {

TEST_CASE("what one end writes the other reads, in TLS 1.3 with X25519") {
    virtual_loop loop;
    auto e = pair_of(client(), server());
    std::string answer;
    auto both = [&]() -> task<> {
        auto [a, b] = co_await when_all(ask_once(e.near), answer_once(e.far));
        answer = a;
    };
    auto r = loop.run(both());
    REQUIRE_MESSAGE(r, r.error().message());
    CHECK(answer == "you said hello");
    CHECK(e.near.protocol_version() == "TLSv1.3");
    CHECK(e.far.protocol_version() == "TLSv1.3");
    CHECK(e.near.protocol() == "http/1.1");
    CHECK(e.far.protocol() == "http/1.1");
    CHECK(e.far.server_name() == "a.test");
    REQUIRE(e.near.peer_certificate() != nullptr);
    CHECK(e.near.peer_certificate()->dns_names.front() == "a.test");
}

TEST_CASE("a megabyte each way at once, however short reads and writes of the transport are") {
    for (const std::size_t most : {std::size_t{1} << 20, std::size_t{4096}, std::size_t{7}}) {
        for (const bool suspend : {false, true}) {
            CAPTURE(most);
            CAPTURE(suspend);
            memory_options options;
            options.max_read = most;
            options.max_write = most;
            options.always_suspend = suspend;
            const std::size_t size = most == 7 ? 30'000 : 1'000'000;
            virtual_loop loop;
            auto e = pair_of(client(), server(), options);
            std::string to(size, '\0');
            std::string back(size, '\0');
            for (std::size_t i = 0; i < size; ++i) {
                to[i] = static_cast<char>(i * 7 + i / 251);
                back[i] = static_cast<char>(i * 13 + i / 255);
            }
            std::string got_to;
            std::string got_back;
            auto send = [](stream& s, const std::string& text) -> task<> {
                co_await s.write_all(as_octets(text));
                ignore_result(s.shutdown_write(), "what arrives is compared");
            };
            auto hear = [](stream& s, std::string& into) -> task<> { into = co_await read_all(s, 10'000'000); };
            auto all = [&]() -> task<> {
                co_await when_all(send(e.near, to), hear(e.far, got_to), send(e.far, back), hear(e.near, got_back));
            };
            auto r = loop.run(all());
            REQUIRE_MESSAGE(r, r.error().message());
            CHECK(got_to == to);
            CHECK(got_back == back);
        }
    }
}

TEST_CASE("an end with close_notify is a clean end, one without is an error [RFC 8446 6.1]") {
    for (const bool clean : {true, false}) {
        virtual_loop loop;
        auto e = pair_of(client(), server());
        auto leave = [&](stream& s) -> task<> {
            co_await s.write_all(as_octets("half an answer"));
            if (clean) {
                s.close();
            } else {
                s.next().close(); // FIN, as a machine in the middle could send it
            }
        };
        std::string got;
        result<received> end;
        auto listen = [&](stream& s) -> task<> {
            auto first = co_await s.receive();
            got = text_of(first);
            end = co_await attempt(s.receive());
        };
        auto both = [&]() -> task<> { co_await when_all(leave(e.far), listen(e.near)); };
        auto r = loop.run(both());
        REQUIRE_MESSAGE(r, r.error().message());
        CHECK(got == "half an answer");
        if (clean) {
            REQUIRE(end);
            CHECK(end->empty());
        } else {
            REQUIRE(!end);
            CHECK(end.error().is(tls::errc::truncated));
            CHECK(end.error().kind() == error_kind::tls);
        }
    }
}

TEST_CASE("a certificate for another name is refused by the client, in words; the server learns by an alert") {
    virtual_loop loop;
    auto e = pair_of(client(), server(), {}, "b.test");
    result<void> near;
    result<void> far;
    auto both = [&]() -> task<> {
        auto shake = [](stream& s, result<void>& into) -> task<> { into = co_await attempt(s.handshake()); s.close(); };
        co_await when_all(shake(e.near, near), shake(e.far, far));
    };
    auto r = loop.run(both());
    REQUIRE_MESSAGE(r, r.error().message());
    REQUIRE(!near);
    CHECK(near.error().message() == "TLS: certificate is for \"a.test\", \"127.0.0.1\", not \"b.test\": name mismatch");
    CHECK(near.error().is(tls::errc::name_mismatch));
    REQUIRE(!far);
    CHECK(far.error().message() == "TLS: peer sent alert bad_certificate (42): peer ended the connection");
}

TEST_CASE("a client that speaks plain HTTP gets an answer in plain text") {
    virtual_loop loop;
    auto ends = testing::make_memory_pair();
    stream s(std::move(ends.second), server());
    std::string answer;
    result<received> end;
    auto ask = [&](memory_stream m) -> task<> {
        co_await m.write_all(as_octets("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        answer = co_await read_all(m);
    };
    auto serve = [&]() -> task<> {
        end = co_await attempt(s.receive());
        s.close();
    };
    auto both = [&]() -> task<> { co_await when_all(ask(std::move(ends.first)), serve()); };
    auto r = loop.run(both());
    REQUIRE_MESSAGE(r, r.error().message());
    CHECK(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    CHECK(answer.ends_with("\r\n\r\nclient sent an HTTP request to an HTTPS server\r\n"));
    REQUIRE(!end);
    CHECK(end.error().is(tls::errc::plain_http));
}

TEST_CASE("a silent peer ends the handshake after its own limit, at either end") {
    virtual_loop loop;
    auto [near, far] = testing::make_memory_pair();
    auto [near2, far2] = testing::make_memory_pair();
    stream s(std::move(far), server());
    stream c(std::move(near2), client(), "a.test");
    for (stream* end : {&s, &c}) {
        const time_point before = loop.now();
        auto r = loop.run(end->handshake());
        REQUIRE(!r);
        CHECK(r.error().message() == "TLS handshake: timed out");
        CHECK(r.error().kind() == error_kind::timeout);
        CHECK(r.error().phase() == error_phase::tls);
        CHECK(loop.now() - before == 10s);
        auto again = loop.run(end->receive());
        REQUIRE(!again);
        CHECK(again.error().kind() == error_kind::timeout);
    }
}

TEST_CASE("a second read, or a second write, is an overlap; reading and writing at once are not") {
    virtual_loop loop;
    auto e = pair_of(client(), server());
    result<received> second;
    auto reader = [](stream& s) -> task<> { ignore_result(co_await attempt(s.receive()), "the first one"); };
    auto overlapping = [&]() -> task<> {
        second = co_await attempt(e.near.receive());
        co_await e.near.write_all(as_octets("x"));
    };
    auto all = [&]() -> task<> { co_await when_all(reader(e.near), overlapping(), answer_once(e.far)); };
    auto r = loop.run(all());
    REQUIRE_MESSAGE(r, r.error().message());
    REQUIRE(!second);
    CHECK(second.error().is(errc::overlap));
}

TEST_CASE("a read that is stopped loses nothing") {
    virtual_loop loop;
    auto e = pair_of(client(), server());
    std::string got;
    auto scenario = [&]() -> task<> {
        co_await when_all(e.near.handshake(), e.far.handshake());
        auto none = co_await attempt(with_timeout(1s, e.near.receive()));
        CHECK(!none);
        co_await e.far.write_all(as_octets("late"));
        auto late = co_await e.near.receive();
        got = text_of(late);
    };
    auto r = loop.run(scenario());
    REQUIRE_MESSAGE(r, r.error().message());
    CHECK(got == "late");
}

TEST_CASE("an end that has said all it has to say still reads: the other answers after close_notify [RFC 8446 6.1]") {
    virtual_loop loop;
    auto e = pair_of(client(), server());
    std::string heard;
    std::string got;
    auto ask = [&](stream& s) -> task<> {
        co_await s.write_all(as_octets("all of it"));
        REQUIRE(s.shutdown_write());
        const auto more = co_await attempt(s.write_all(as_octets("more")));
        REQUIRE(!more);
        CHECK(more.error().is(errc::closed));
        got = co_await read_all(s, 100'000);
    };
    auto answer = [&](stream& s) -> task<> {
        heard = co_await read_all(s, 1'000);
        co_await s.write_all(as_octets(std::string(50'000, 'a')));
        s.close();
    };
    auto both = [&]() -> task<> { co_await when_all(ask(e.near), answer(e.far)); };
    auto r = loop.run(both());
    REQUIRE_MESSAGE(r, r.error().message());
    CHECK(heard == "all of it");
    CHECK(got == std::string(50'000, 'a'));
}

TEST_CASE("a write that is stopped in the middle leaves a stream that only closes, and a peer that knows it was cut") {
    virtual_loop loop;
    auto e = pair_of(client(), server());
    result<received> end;
    std::size_t octets = 0;
    auto scenario = [&]() -> task<> {
        co_await when_all(ask_once(e.near), answer_once(e.far)); // the tickets are read: what is unread would reset
        const std::string much(4'000'000, 'x'); // more than the transport holds, and nobody reads
        const auto cut = co_await attempt(with_timeout(1s, e.near.write_all(as_octets(much))));
        REQUIRE(!cut);
        CHECK(cut.error().kind() == error_kind::timeout);
        const auto again = co_await attempt(e.near.write_all(as_octets("more")));
        REQUIRE(!again);
        CHECK(again.error().is(errc::closed));
        e.near.close();
        for (;;) {
            end = co_await attempt(e.far.receive());
            if (!end || end->empty()) {
                break;
            }
            octets += end->size();
            for (const std::byte b : end->octets()) {
                REQUIRE(b == std::byte{'x'});
            }
        }
    };
    auto r = loop.run(scenario());
    REQUIRE_MESSAGE(r, r.error().message());
    CHECK(octets > 0);
    REQUIRE(!end);
    CHECK(end.error().is(tls::errc::truncated));
}

TEST_CASE("operations on a closed stream fail") {
    virtual_loop loop;
    stream s;
    CHECK(!s.is_open());
    auto r = loop.run(s.receive());
    REQUIRE(!r);
    CHECK(r.error().is(errc::closed));
    CHECK(!s.shutdown_write());
}

TEST_CASE("who watches for input hears of octets and of the end, and not of a session ticket [RFC 8446 4.6.1]") {
    struct listener final : hangup_listener {
        listener() noexcept : hangup_listener([](hangup_listener& l, bool) noexcept { ++static_cast<listener&>(l).told; }) {}
        int told = 0;
    };
    for (const bool says_octets : {true, false}) {
        CAPTURE(says_octets);
        virtual_loop loop;
        auto e = pair_of(client(), server());
        listener l;
        std::string got;
        auto scenario = [&]() -> task<> {
            co_await when_all(e.near.handshake(), e.far.handshake());
            co_await sleep_for(1s);
            CHECK(e.near.next().has_input()); // the tickets
            CHECK_FALSE(e.near.has_input());
            CHECK_FALSE(e.near.next().has_input());
            auto none = e.near.try_receive();
            CHECK(none.empty());
            e.near.watch_input(&l);
            co_await sleep_for(1s);
            CHECK(l.told == 0);
            if (says_octets) {
                co_await e.far.write_all(as_octets("stray"));
            } else {
                CHECK(e.far.shutdown_write());
            }
            co_await sleep_for(1s);
            CHECK(l.told == 1);
            CHECK(e.near.has_input());
            auto octets = co_await e.near.receive();
            got = text_of(octets);
            CHECK(e.near.has_input() == !says_octets);
            e.near.watch_input(&l);
            CHECK(l.told == (says_octets ? 1 : 2)); // an end that was there before
            e.near.watch_input(nullptr); // nothing is left for a loop that runs no more
        };
        auto r = loop.run(scenario());
        REQUIRE_MESSAGE(r, r.error().message());
        CHECK(got == (says_octets ? "stray" : ""));
    }
}

TEST_CASE("a ticket that comes while the stream is watched is used up; what came without being read is handed over whole") {
    virtual_loop loop;
    auto e = pair_of(client(), server());
    struct listener final : hangup_listener {
        listener() noexcept : hangup_listener([](hangup_listener& l, bool) noexcept { ++static_cast<listener&>(l).told; }) {}
        int told = 0;
    } l;
    std::string got;
    auto scenario = [&]() -> task<> {
        auto first = [](stream& s, listener* to) -> task<> {
            co_await s.handshake(); // the tickets come after it
            s.watch_input(to);
        };
        co_await when_all(first(e.near, &l), e.far.handshake());
        co_await sleep_for(1s);
        CHECK(l.told == 0);
        CHECK_FALSE(e.near.next().has_input());
        co_await e.far.write_all(as_octets("one"));
        co_await e.far.write_all(as_octets("two"));
        co_await sleep_for(1s);
        CHECK(l.told == 1);
        for (received piece = e.near.try_receive(); !piece.empty(); piece = e.near.try_receive()) {
            got += as_text(piece.octets());
        }
    };
    auto r = loop.run(scenario());
    REQUIRE_MESSAGE(r, r.error().message());
    CHECK(got == "onetwo");
}

TEST_CASE("the end stays the end, though the peer that said it keeps the transport open") {
    virtual_loop loop;
    auto raw = testing::make_memory_pair();
    stream far(std::move(raw.second), server());
    const auto context = client();
    auto peer = *context->connect("a.test");
    auto leave = [](memory_stream& to, tls::engine& e) -> task<> {
        co_await test_support::shake(e, to);
        e.close();
        co_await to.write_all(as_octets(test_support::drain(e)));
    };
    auto listen = [](stream& s) -> task<> {
        for (int i = 0; i < 3; ++i) {
            const auto end = co_await s.receive();
            CHECK(end.empty());
            CHECK(s.has_input());
        }
        std::byte room[8];
        const std::size_t n = co_await s.read_some(room);
        CHECK(n == 0);
        co_await s.write_all(as_octets("heard"));
        CHECK(s.shutdown_write()); // both ends have said close_notify
        const auto end = co_await s.receive();
        CHECK(end.empty());
        CHECK(s.has_input());
        CHECK(s.try_receive().empty());
    };
    auto both = [&]() -> task<> { co_await with_timeout(5s, when_all(leave(raw.first, *peer), listen(far))); };
    const auto r = loop.run(both());
    CHECK_MESSAGE(r, r.error().message());
    far.close();
    raw.first.close();
}

} // TEST_SUITE
