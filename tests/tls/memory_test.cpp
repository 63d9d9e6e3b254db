// SPDX-License-Identifier: MIT
// How many octets a connection has, through the TLS library's allocator and through malloc, and when it gives them back.
#include <flux/tls/stream.hpp>

#include <flux/coro/sleep.hpp>
#include <flux/net/read.hpp>
#include <support/allocated.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <malloc.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::allocated;
using test_support::ca;
using test_support::cert_lab;
using test_support::tls_end;
using progress = tls::engine::progress;

namespace {

const cert_lab::pair& own() { return test_support::named("a", "DNS:a.test"); }

/// While it lives, the library's octets are counted, and one of its allocations may fail. On one thread.
class library_memory {
public:
    library_memory() {
        ignore_result(tls::detail::session_size(), "found out while malloc is the library's own, and remembered");
        held_ = 0;
        fail_next_ = false;
        REQUIRE(::wolfSSL_SetAllocators(&take, &give, &change) == 0);
    }
    library_memory(const library_memory&) = delete;
    library_memory& operator=(const library_memory&) = delete;
    ~library_memory() { ::wolfSSL_SetAllocators(nullptr, nullptr, nullptr); }

    /// More than when it began.
    [[nodiscard]] static long held() noexcept { return held_; }
    static void fail_once() noexcept { fail_next_ = true; }

private:
    static long size_of(void* block) noexcept { return static_cast<long>(::malloc_usable_size(block)); }
    static void* take(std::size_t n) noexcept {
        void* block = std::exchange(fail_next_, false) ? nullptr : std::malloc(n);
        held_ += size_of(block);
        return block;
    }
    static void give(void* block) noexcept {
        held_ -= size_of(block);
        std::free(block);
    }
    static void* change(void* block, std::size_t n) noexcept {
        held_ -= size_of(block);
        void* changed = std::realloc(block, n);
        held_ += size_of(changed == nullptr ? block : changed);
        return changed;
    }
    static inline long held_ = 0;
    static inline bool fail_next_ = false;
};

} // namespace

TEST_SUITE("tls/memory") {

TEST_CASE("nothing is the library's before the ClientHello is whole: who only scans costs a buffer") {
    const auto server = test_support::server_of(own());
    const auto clients = test_support::client_of(ca());
    auto client = clients->connect("a.test").value();
    REQUIRE(client->handshake() == progress::want_more);
    const std::string hello(client->output().view());
    testing::virtual_loop loop;
    auto raw = testing::make_memory_pair();
    const library_memory memory;
    tls_end far(std::move(raw.second), server);
    long before_last = -1;
    long after = 0;
    auto both = [&]() -> task<> {
        auto scan = [&](testing::memory_stream& to) -> task<> {
            co_await to.write_all(as_octets(hello).first(hello.size() - 1));
            co_await sleep_for(1s);
            before_last = memory.held();
            co_await to.write_all(as_octets(hello).last(1));
            co_await sleep_for(1s);
            after = memory.held();
            to.close();
        };
        auto serve = [&]() -> task<> { ignore_result(co_await attempt(far.handshake()), "the client leaves"); };
        co_await when_all(scan(raw.first), serve());
    };
    REQUIRE(loop.run(both()));
    CHECK(before_last == 0);
    CHECK(after > 10'000);
}

TEST_CASE("a server's connection takes no more than docs/tls.md says, less once it is made, and nothing for half a record") {
    const auto context = test_support::context_of(own());
    const auto clients = test_support::client_of(ca());
    auto client = clients->connect("a.test").value();
    result<std::unique_ptr<tls::engine>> made = fail(errc::closed);
    const library_memory memory;
    long servers = 0; // of what the library holds: the client's goes up and down, too
    const auto at_server = [&](auto what) {
        const long before = memory.held();
        what();
        servers += memory.held() - before;
    };
    at_server([&] { made = context->connect(""); });
    REQUIRE(made);
    tls::engine& server = **made;
    const long begun = servers;
    long most = begun;
    for (int turn = 0; turn < 2; ++turn) {
        REQUIRE(client->handshake() != progress::failed);
        test_support::carry(*client, server);
        at_server([&] { REQUIRE(server.handshake() != progress::failed); });
        test_support::carry(server, *client);
        most = std::max(most, servers);
    }
    REQUIRE(server.is_complete());
    std::byte room[tls::engine::max_plain];
    std::size_t n = 0;
    REQUIRE(client->write(as_octets("x")) == progress::done);
    test_support::carry(*client, server);
    at_server([&] {
        REQUIRE(server.read(room, n) == progress::done);
        server.release_buffers();
    });
    const long idle = servers;
    MESSAGE("octets of the library: " << begun << " at first, " << most << " in the handshake, " << idle << " idle");
    CHECK(idle < begun);
    CHECK(idle + 4'000 < most);
    if (LIBWOLFSSL_VERSION_HEX == 0x05005004) { // what docs/tls.md has figures of
        CHECK(begun < 57'000);
        CHECK(most < 62'000);
        CHECK(idle < 55'000);
    }
    REQUIRE(client->write(as_octets(std::string(sizeof room, 'x'))) == progress::done);
    const std::string record(client->output().view());
    client->output().clear();
    at_server([&] {
        server.feed(std::string_view(record).substr(0, record.size() - 1));
        CHECK(!server.has_input());
        CHECK(server.read(room, n) == progress::want_more);
    });
    CHECK(servers == idle);
    at_server([&] {
        server.feed(std::string_view(record).substr(record.size() - 1));
        CHECK(server.read(room, n) == progress::done);
        server.release_buffers();
    });
    CHECK(n == sizeof room);
    CHECK(servers == idle);
    at_server([&] { made->reset(); });
    CHECK(servers == 0);
}

TEST_CASE("a connection that waits for its peer holds no buffer, however much went through it") {
    const auto server = test_support::server_of(own());
    const auto client = test_support::client_of(ca());
    testing::virtual_loop loop;
    auto e = test_support::make_tls_ends(client, server);
    long before = 0;
    long after = 0;
    const auto give_back = [](tls_end& s) -> task<> {
        for (;;) {
            auto piece = co_await s.receive();
            if (piece.empty()) {
                co_return;
            }
            co_await s.write_all(piece.octets());
        }
    };
    const auto ask = [&](tls_end& s) -> task<> {
        for (const std::size_t size : {100'000UL, 1UL, 1'000'000UL}) { // the first makes the pools of coroutine frames
            const std::string text(size, 'x');
            std::size_t heard = 0;
            const auto say = [](tls_end& to, const std::string& what) -> task<> { co_await to.write_all(as_octets(what)); };
            const auto hear = [&](tls_end& from) -> task<> {
                while (heard < size) {
                    auto piece = co_await from.receive();
                    heard += piece.size();
                }
            };
            co_await when_all(say(s, text), hear(s));
            const auto waited = co_await attempt(with_timeout(1s, s.receive()));
            CHECK(!waited);
            (size == 1 ? before : after) = allocated() - static_cast<long>(text.capacity());
        }
        s.close();
    };
    auto both = [&]() -> task<> { co_await when_all(ask(e.near), give_back(e.far)); };
    const auto done = loop.run(both());
    REQUIRE_MESSAGE(done, done.error().message());
    MESSAGE("octets after one: " << before << ", after a megabyte: " << after);
    CHECK(after < before + 12'000); // malloc keeps some of what was freed; a buffer of one record is larger
}

TEST_CASE("a server that gets no memory for a connection says so at both ends, and makes the next one") {
    const auto server = std::make_shared<tls::server_config>(test_support::context_of(own()));
    bool fails = true;
    server->on_client_hello([&fails](const tls::client_hello&) -> task<tls::hello_answer> {
        if (std::exchange(fails, false)) {
            library_memory::fail_once();
        }
        co_return tls::hello_answer::by_table();
    });
    const auto client = test_support::client_of(ca());
    const library_memory memory;
    const auto out = test_support::shake(client, server);
    CHECK(out.far_text() == "TLS: out of memory");
    CHECK(out.near_text() == "TLS: peer sent alert internal_error (80): peer ended the connection");
    CHECK(test_support::shake(client, server).ok());
}

} // TEST_SUITE
