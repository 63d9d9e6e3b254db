// SPDX-License-Identifier: MIT
#include <flux/testing/sim_network.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/testing/leak_check.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::leak_snapshot;
using flux::testing::memory_listener;
using flux::testing::memory_stream;
using flux::testing::sim_host;
using flux::testing::sim_link;
using flux::testing::sim_options;
using flux::testing::sim_world;

namespace {

bool is_errno(const error& e, int number) { return e.code() == std::error_code(number, std::system_category()); }

sim_options exactly(duration delay) {
    sim_options o;
    o.link.delay = delay;
    o.link.max_segment = 1'000'000;
    o.link.short_read_chance = 0;
    return o;
}

task<std::string> drain(memory_stream& s) {
    std::string all;
    for (;;) {
        auto r = co_await attempt(s.receive());
        if (!r) {
            co_return fail(std::move(r).error());
        }
        if (r->empty()) {
            break;
        }
        all += as_text(r->octets());
    }
    co_return all;
}

task<> accept_one(memory_listener& listener, memory_stream& out) {
    out = co_await listener.accept();
}

struct pair_of_streams {
    memory_stream near;
    memory_stream far;
};

// Connects "client" to "server".
task<> connect_pair(sim_world& world, pair_of_streams& out) {
    auto listener = world.host("server").listen(80).value();
    auto ctx = co_await this_context();
    task_scope scope(ctx);
    scope.spawn(accept_one, std::ref(listener), std::ref(out.far));
    auto r = co_await attempt(world.host("client").connect("server", 80));
    co_await scope.join();
    out.near = std::move(r).value();
}

// ---- the echo protocol of the many seeds: a length octet, then so many octets, which come back ----

task<bool> read_fully(memory_stream& s, mutable_buffer out) {
    while (!out.empty()) {
        auto n = co_await attempt(s.read_some(out));
        if (!n || *n == 0) {
            co_return false;
        }
        out = out.subspan(*n);
    }
    co_return true;
}

task<> echo_connection(memory_stream s) {
    std::array<std::byte, 256> message;
    for (;;) {
        auto head = co_await read_fully(s, std::span(message).first(1));
        if (!head) {
            break;
        }
        const auto size = std::to_integer<std::size_t>(message[0]);
        auto body = co_await read_fully(s, std::span(message).subspan(1, size));
        if (!body) {
            break;
        }
        auto sent = co_await attempt(s.write_all(std::span(message).first(1 + size)));
        if (!sent) {
            break;
        }
    }
}

task<> echo_server(memory_listener& listener) {
    auto ctx = co_await this_context();
    task_scope connections(ctx);
    for (;;) {
        auto s = co_await attempt(listener.accept());
        if (!s) {
            break;
        }
        connections.spawn(echo_connection, *std::move(s));
    }
    co_await connections.join();
}

class echo_tally {
public:
    int echoed = 0;
    int wrong = 0;
    int connects = 0;
    int broken = 0;
};

// Sends `messages` messages and gets them back, over as many connections as it takes.
task<> echo_client(sim_world& world, sim_host host, int messages, echo_tally& tally) {
    testing::prng random = world.random().fork();
    memory_stream s;
    for (int done = 0; done < messages;) {
        if (!s.is_open()) {
            ++tally.connects;
            auto connected = co_await attempt(host.connect("server", 7));
            if (!connected) {
                co_await sleep_for(10ms);
                continue;
            }
            s = *std::move(connected);
        }
        std::array<std::byte, 256> sent;
        std::array<std::byte, 256> echoed;
        const std::size_t size = random.below(200);
        sent[0] = static_cast<std::byte>(size);
        for (std::size_t i = 1; i <= size; ++i) {
            sent[i] = static_cast<std::byte>(random.below(256));
        }
        auto written = co_await attempt(s.write_all(std::span(sent).first(1 + size)));
        auto back = co_await read_fully(s, std::span(echoed).first(1 + size));
        if (!written || !back) {
            ++tally.broken;
            s.close();
            continue;
        }
        tally.wrong += !std::equal(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(1 + size), echoed.begin());
        ++tally.echoed;
        ++done;
        world.note(static_cast<std::uint64_t>(done));
    }
}

class echo_outcome {
public:
    bool ok = false;
    echo_tally tally;
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
    duration took{};
};

echo_outcome echo_run(std::uint64_t seed) {
    testing::prng choice(seed);
    sim_options options;
    options.streams.capacity = choice.between(1, 600);
    options.link.delay = choice.up_to(20ms);
    options.link.jitter = choice.up_to(10ms);
    options.link.max_segment = choice.between(1, 100);
    options.link.octets_per_second = choice.chance(0.5) ? choice.between(1000, 1'000'000) : 0;
    options.link.stall_chance = 0.02;
    options.link.reset_chance = choice.chance(0.7) ? 0.01 : 0;
    options.link.refuse_chance = 0.2;
    options.streams.always_suspend = choice.chance(0.3);
    echo_outcome out;
    sim_world world(seed, options);
    {
        auto listener = world.host("server").listen(7).value();
        auto scenario = [&](task_scope& scope) -> task<> {
            auto ctx = co_await this_context();
            task_scope clients(ctx);
            scope.spawn(echo_server, std::ref(listener));
            for (int i = 0; i < 3; ++i) {
                clients.spawn(echo_client, std::ref(world), world.host("client " + std::to_string(i)), 5, std::ref(out.tally));
            }
            co_await clients.join();
            listener.close();
        };
        const auto r = world.run(with_scope(scenario));
        out.ok = r.has_value();
    }
    out.ok = out.ok && world.connections() == 0 && world.loop().timers().size() == 0;
    out.hash = world.trace().hash();
    out.events = world.trace().count();
    out.took = world.loop().elapsed();
    return out;
}

class hangup_log : public hangup_listener {
public:
    hangup_log() noexcept : hangup_listener(&told) {}
    int times = 0;
    bool reset = false;

private:
    static void told(hangup_listener& l, bool reset) noexcept {
        auto& self = static_cast<hangup_log&>(l);
        ++self.times;
        self.reset = reset;
    }
};

} // namespace

TEST_SUITE("testing/sim_network") {

TEST_CASE("connecting takes one round trip, and each end knows the other's address") {
    sim_world world(1, exactly(30ms));
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    CHECK(world.loop().elapsed() == 60ms);
    CHECK(p.near.peer_endpoint()->to_string() == "10.0.0.1:80");
    CHECK(p.far.peer_endpoint()->to_string() == "10.0.0.2:40001");
    CHECK(*p.near.local_endpoint() == *p.far.peer_endpoint());
    CHECK(world.host("client").address(5).to_string() == "10.0.0.2:5");
    CHECK(world.host("client").name() == "client");
    CHECK(world.connections() == 1);
}

TEST_CASE("octets, the end and a reset arrive after the delay of the link") {
    sim_world world(1, exactly(30ms));
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        const duration start = world.loop().elapsed();
        co_await p.near.write_all(as_octets("hello"));
        CHECK(world.loop().elapsed() == start);
        auto r = co_await p.far.receive();
        CHECK(as_text(r.octets()) == "hello");
        r.reset();
        CHECK(world.loop().elapsed() == start + 30ms);
        CHECK(p.near.shutdown_write());
        auto end = co_await p.far.receive();
        CHECK(end.empty());
        CHECK(world.loop().elapsed() == start + 60ms);
        co_await p.far.write_all(as_octets("still open"));
        auto back = co_await p.near.receive();
        CHECK(as_text(back.octets()) == "still open");
        back.reset();
        CHECK(world.loop().elapsed() == start + 90ms);
        p.far.abort();
        auto reset = co_await attempt(p.near.receive());
        CHECK(is_errno(reset.error(), ECONNRESET));
        CHECK(world.loop().elapsed() == start + 120ms);
    };
    CHECK(world.run(body()));
}

TEST_CASE("a slow link takes its time for each octet") {
    auto options = exactly(10ms);
    options.link.octets_per_second = 1000;
    sim_world world(1, options);
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        const duration start = world.loop().elapsed();
        co_await p.near.write_all(as_octets(std::string(500, 'x')));
        co_await p.near.write_all(as_octets(std::string(500, 'y')));
        p.near.close();
        auto seen = co_await drain(p.far);
        CHECK(seen.size() == 1000);
        CHECK(world.loop().elapsed() == start + 1010ms);
    };
    CHECK(world.run(body()));
}

TEST_CASE("the window bounds what is under way: a writer waits for a reader that does not read") {
    auto options = exactly(1ms);
    options.streams.capacity = 100;
    sim_world world(1, options);
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        const std::string text(150, 'x');
        auto r = co_await attempt(with_timeout(1h, p.near.write_all(as_octets(text))));
        CHECK(r.error().is(errc::timed_out));
        CHECK(p.far.available() == 100);
    };
    CHECK(world.run(body()));
}

TEST_CASE("segments are cut at random, keep their order, and are read in pieces") {
    std::set<std::size_t> sizes;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        sim_options options;
        options.link.jitter = 50ms;
        options.link.max_segment = 9;
        sim_world world(seed, options);
        pair_of_streams p;
        CHECK(world.run(connect_pair(world, p)));
        std::string text;
        for (int i = 0; i < 200; ++i) {
            text += static_cast<char>('a' + i % 26);
        }
        auto body = [&]() -> task<> {
            co_await p.near.write_all(as_octets(text));
            p.near.close();
            std::string seen;
            for (;;) {
                auto r = co_await p.far.receive();
                if (r.empty()) {
                    break;
                }
                sizes.insert(r.size());
                seen += as_text(r.octets());
            }
            CHECK(seen == text);
        };
        CHECK(world.run(body()));
    }
    CHECK(sizes.size() > 10);
}

TEST_CASE("a stalled segment comes late, and so does what is behind it") {
    auto options = exactly(10ms);
    options.link.stall_chance = 1;
    options.link.stall = 3s;
    sim_world world(1, options);
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        const duration start = world.loop().elapsed();
        co_await p.near.write_all(as_octets("late"));
        options.link.stall_chance = 0;
        world.set_default_link(options.link);
        co_await p.near.write_all(as_octets("behind"));
        auto r = co_await p.far.receive();
        CHECK(world.loop().elapsed() == start + 3010ms);
        CHECK(as_text(r.octets()) == "latebehind");
    };
    CHECK(world.run(body()));
}

TEST_CASE("links may differ, also between the two directions") {
    sim_world world(1, exactly(1ms));
    auto far_away = exactly(500ms).link;
    auto near_by = exactly(1ms).link;
    world.set_link(world.host("client"), world.host("server"), far_away);
    world.set_one_way(world.host("server"), world.host("client"), near_by);
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    CHECK(world.loop().elapsed() == 501ms);
}

TEST_CASE("connecting where nobody listens is refused after a round trip") {
    sim_world world(1, exactly(20ms));
    ignore_result(world.host("server"), "only its address");
    auto body = [&]() -> task<> {
        auto r = co_await attempt(world.host("client").connect("server", 81));
        REQUIRE(!r);
        CHECK(is_errno(r.error(), ECONNREFUSED));
        CHECK(r.error().phase() == error_phase::connect);
        CHECK(r.error().peer() == "10.0.0.1:81");
        CHECK(r.error().retryable());
        CHECK(std::string(r.error().what()) == "connect 10.0.0.1:81: Connection refused");
        CHECK(world.loop().elapsed() == 40ms);
    };
    CHECK(world.run(body()));
}

TEST_CASE("connecting is refused by chance, and when the backlog is full") {
    auto options = exactly(1ms);
    options.link.refuse_chance = 0.5;
    sim_world world(7, options);
    auto listener = world.host("server").listen(80, 3).value();
    auto body = [&]() -> task<> {
        int refused = 0;
        std::vector<memory_stream> kept;
        for (int i = 0; i < 100; ++i) {
            auto r = co_await attempt(world.host("client").connect("server", 80));
            refused += !r;
            if (r) {
                kept.push_back(*std::move(r));
            }
        }
        CHECK(kept.size() == 3);
        CHECK(listener.waiting() == 3);
        CHECK(refused == 97);
    };
    CHECK(world.run(body()));
}

TEST_CASE("a host that does not exist is unreachable") {
    sim_world world(1);
    auto body = [&]() -> task<> {
        auto by_name = co_await attempt(world.host("client").connect("nobody", 80));
        CHECK(is_errno(by_name.error(), EHOSTUNREACH));
        auto by_address = co_await attempt(world.host("client").connect(endpoint::loopback(80)));
        CHECK(is_errno(by_address.error(), EHOSTUNREACH));
    };
    CHECK(world.run(body()));
}

TEST_CASE("a port can be listened on once at a time; port 0 finds one") {
    sim_world world(1);
    auto server = world.host("server");
    auto first = server.listen(80).value();
    const auto second = server.listen(80);
    REQUIRE(!second);
    CHECK(is_errno(second.error(), EADDRINUSE));
    CHECK(world.host("other").listen(80));
    first.close();
    CHECK(server.listen(80));
    auto any = server.listen(0).value();
    auto another = server.listen(0).value();
    CHECK(any.local_endpoint()->port() != another.local_endpoint()->port());
}

TEST_CASE("a connect that is stopped leaves nothing: before and after the server accepted") {
    for (const duration limit : {duration(5ms), duration(15ms)}) {
        sim_world world(1, exactly(10ms));
        auto listener = world.host("server").listen(80).value();
        auto body = [&]() -> task<> {
            auto r = co_await attempt(with_timeout(limit, world.host("client").connect("server", 80)));
            CHECK(r.error().is(errc::timed_out));
            CHECK(world.loop().elapsed() == limit);
            auto s = co_await attempt(with_timeout(1s, listener.accept()));
            CHECK(s.has_value() == (limit > 10ms));
            if (s) {
                auto reset = co_await attempt(s->receive());
                CHECK(is_errno(reset.error(), ECONNRESET));
            }
        };
        CHECK(world.run(body()));
        CHECK(world.connections() == 0);
    }
}

TEST_CASE("octets for a closed end are answered with a reset, a round trip later") {
    sim_world world(1, exactly(10ms));
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        p.far.close();
        co_await sleep_for(100ms);
        const duration start = world.loop().elapsed();
        co_await p.near.write_all(as_octets("anybody there?")); // this end cannot know yet
        co_await sleep_for(19ms);
        co_await p.near.write_all(as_octets("?"));
        co_await sleep_for(1ms);
        auto r = co_await attempt(p.near.write_all(as_octets("?")));
        CHECK(is_errno(r.error(), ECONNRESET));
        CHECK(world.loop().elapsed() == start + 20ms);
    };
    CHECK(world.run(body()));
}

TEST_CASE("an answer is lost if the server closes while the client still sends: it has to linger [RFC 9112 9.6]") {
    for (const bool lingers : {false, true}) {
        sim_world world(1, exactly(10ms));
        pair_of_streams p;
        CHECK(world.run(connect_pair(world, p)));
        auto server = [](memory_stream& s, bool linger) -> task<> {
            auto part = co_await s.receive();
            part.reset();
            co_await s.write_all(as_octets("400"));
            s.shutdown_write().value();
            if (linger) {
                auto rest = co_await attempt(drain(s));
            }
            s.close();
        };
        std::string seen;
        auto body = [&](task_scope& scope) -> task<> {
            scope.spawn(server, std::ref(p.far), lingers);
            for (int i = 0; i < 10; ++i) {
                auto w = co_await attempt(p.near.write_all(as_octets("upload")));
                co_await sleep_for(5ms);
            }
            auto r = co_await attempt(p.near.receive());
            if (r) {
                seen = as_text(r->octets());
            }
            p.near.close();
        };
        CHECK(world.run(with_scope(body)));
        CHECK(seen == (lingers ? "400" : ""));
    }
}

TEST_CASE("resets by chance end connections at both sides") {
    auto options = exactly(10ms);
    options.link.reset_chance = 1;
    sim_world world(1, options);
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    hangup_log log;
    auto body = [&]() -> task<> {
        p.near.watch_hangup(&log);
        co_await p.near.write_all(as_octets("x"));
        auto r = co_await attempt(p.far.receive());
        CHECK(is_errno(r.error(), ECONNRESET));
        co_await sleep_for(0s);
        CHECK(log.times == 1);
        CHECK(log.reset);
        auto w = co_await attempt(p.near.write_all(as_octets("y")));
        CHECK(is_errno(w.error(), ECONNRESET));
    };
    CHECK(world.run(body()));
}

TEST_CASE("a cut link delivers nothing until it is healed, and then everything") {
    sim_world world(1, exactly(10ms));
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        co_await p.near.write_all(as_octets("on its way "));
        world.cut(world.host("client"), world.host("server"));
        co_await p.near.write_all(as_octets("sent meanwhile"));
        p.near.shutdown_write().value();
        auto none = co_await attempt(with_timeout(60s, p.far.receive()));
        CHECK(none.error().is(errc::timed_out));
        world.heal(world.host("client"), world.host("server"));
        auto seen = co_await drain(p.far);
        CHECK(seen == "on its way sent meanwhile");
    };
    CHECK(world.run(body()));
    CHECK(world.loop().elapsed() < 200s); // tried again less and less often
}

TEST_CASE("a link that is cut again and again, each time for minutes, loses no connection") {
    sim_world world(1, exactly(10ms));
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        for (int i = 0; i < 10; ++i) {
            co_await p.near.write_all(as_octets("x"));
            world.cut(world.host("client"), world.host("server"));
            co_await sleep_for(5min);
            world.heal(world.host("client"), world.host("server"));
            auto r = co_await p.far.receive();
            CHECK(r.size() == 1);
        }
    };
    CHECK(world.run(body()));
}

TEST_CASE("what arrives is read in a small piece first, as often as the link says") {
    auto options = exactly(1ms);
    options.link.short_read_chance = 1;
    sim_world world(1, options);
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        for (int i = 0; i < 20; ++i) {
            co_await p.near.write_all(as_octets(std::string(1000, 'x')));
            auto first = co_await p.far.receive();
            CHECK(first.size() <= 32);
            auto rest = co_await p.far.receive();
            CHECK(first.size() + rest.size() == 1000);
        }
    };
    CHECK(world.run(body()));
}

TEST_CASE("over a cut link a connection is lost after 15 minutes, and a connect after 127 seconds") {
    sim_world world(1, exactly(10ms));
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto listener = world.host("server").listen(80).value();
    auto body = [&]() -> task<> {
        world.cut(world.host("client"), world.host("server"));
        duration start = world.loop().elapsed();
        auto c = co_await attempt(world.host("client").connect("server", 80));
        CHECK(is_errno(c.error(), ETIMEDOUT));
        CHECK(world.loop().elapsed() - start == 127s + 10ms);
        start = world.loop().elapsed();
        co_await p.near.write_all(as_octets("x"));
        auto r = co_await attempt(p.near.receive());
        CHECK(is_errno(r.error(), ETIMEDOUT));
        CHECK(world.loop().elapsed() - start > 10min);
        CHECK(world.loop().elapsed() - start <= 16min);
    };
    CHECK(world.run(body()));
}

TEST_CASE("a connect over a link that is healed in time succeeds") {
    sim_world world(1, exactly(10ms));
    auto listener = world.host("server").listen(80).value();
    auto body = [&](task_scope& scope) -> task<> {
        auto healer = [](sim_world& w) -> task<> {
            co_await sleep_for(2s);
            w.heal(w.host("client"), w.host("server"));
        };
        world.cut(world.host("client"), world.host("server"));
        scope.spawn(healer, std::ref(world));
        auto c = co_await world.host("client").connect("server", 80);
        CHECK(world.loop().elapsed() == 3s + 20ms);
    };
    CHECK(world.run(with_scope(body)));
}

TEST_CASE("the trace tells what happened, in order") {
    sim_world world(1, exactly(10ms));
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> {
        co_await p.near.write_all(as_octets("abc"));
        p.near.shutdown_write().value();
        co_await sleep_for(1s);
        world.note(42);
    };
    CHECK(world.run(body()));
    CHECK(world.trace().text() == "0 us  #1 > connect 0\n"
                                  "10000 us  #1 > accept 0\n"
                                  "30000 us  #1 > data 3\n"
                                  "30000 us  #1 > end 0\n"
                                  "1020000 us  #0 < note 42\n");
    CHECK(world.trace().count() == 5);
}

TEST_CASE("the trace remembers the last events, and its hash all of them and their octets") {
    testing::sim_trace two(2);
    testing::sim_trace none(0);
    testing::sim_event e;
    for (std::uint64_t i = 1; i <= 3; ++i) {
        e.octets = i;
        two.record(e, as_octets("x"));
        none.record(e, as_octets("x"));
    }
    CHECK(two.text() == "0 us  #0 < note 2\n0 us  #0 < note 3\n");
    CHECK(none.text() == "");
    CHECK(two.hash() == none.hash());
    testing::sim_trace other(0);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        e.octets = i;
        other.record(e, as_octets(i == 1 ? "y" : "x"));
    }
    CHECK(other.hash() != none.hash());
}

TEST_CASE("the same seed gives the same run, other seeds other runs") {
    std::set<std::uint64_t> hashes;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        const echo_outcome first = echo_run(seed);
        const echo_outcome second = echo_run(seed);
        CHECK(first.ok);
        CHECK(first.hash == second.hash);
        CHECK(first.events == second.events);
        CHECK(first.took == second.took);
        CHECK(first.tally.connects == second.tally.connects);
        hashes.insert(first.hash);
    }
    CHECK(hashes.size() == 100);
}

TEST_CASE("an echo protocol survives thousands of seeds of delays, stalls, refusals and resets") {
    const leak_snapshot before;
    int broken = 0;
    int connects = 0;
    for (std::uint64_t seed = 1000; seed < 4000; ++seed) {
        const echo_outcome run = echo_run(seed);
        CAPTURE(seed);
        if (!run.ok || run.tally.wrong != 0 || run.tally.echoed != 15) {
            FAIL_CHECK("this seed fails");
        }
        broken += run.tally.broken;
        connects += run.tally.connects;
    }
    CHECK(broken > 1000);          // the faults did happen,
    CHECK(connects > 9000 + broken / 2);
    CHECK(before.difference_to(leak_snapshot()) == "");
}

TEST_CASE("a world that hangs says so, and its trace shows how far it came") {
    sim_world world(1, exactly(10ms));
    pair_of_streams p;
    CHECK(world.run(connect_pair(world, p)));
    auto body = [&]() -> task<> { auto r = co_await p.far.receive(); };
    const auto r = world.run(body());
    REQUIRE(!r);
    CHECK(world.loop().gave_up());
    CHECK(r.error().code() == std::errc::resource_deadlock_would_occur);
}

} // TEST_SUITE
