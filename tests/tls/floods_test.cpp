// SPDX-License-Identifier: MIT
// What a peer may send without end and without meaning anything by it: each kind ends the connection after a few.
#include <flux/tls/engine.hpp>

#include <flux/coro/sleep.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <wolfssl/wolfcrypt/chacha20_poly1305.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using namespace flux;
using test_support::ca;
using test_support::context_of;
using test_support::drain;
using test_support::named;
using tls::version;
using progress = tls::engine::progress;

namespace {

constexpr int alert_record = 21;
constexpr int handshake_record = 22;
constexpr int data_record = 23;

const test_support::cert_lab::pair& cert_a() { return named("a", "DNS:a.test"); }

// Both ends after their handshake, the client with the server's ticket.
struct two_engines {
    explicit two_engines(version v)
        : near_context(test_support::client_of(settings(v))), far_context(context_of(cert_a())),
          client(*near_context->connect("a.test")), server(*far_context->connect("http/1.1")) {
        for (int i = 0; i < 3; ++i) {
            std::string said = advance(*client);
            hello = hello.empty() ? said : hello;
            server->feed(said);
            client->feed(advance(*server));
        }
        REQUIRE(client->is_complete());
        REQUIRE(server->is_complete());
        REQUIRE(client->peek() == progress::want_more);
    }
    [[nodiscard]] static tls::client_settings settings(version v) {
        tls::client_settings s = test_support::trusting(ca());
        s.max_version = v;
        return s;
    }
    [[nodiscard]] static std::string advance(tls::engine& e) {
        if (!e.is_complete()) {
            REQUIRE(e.handshake() != progress::failed);
        }
        return drain(e);
    }

    tls::client_context_ptr near_context;
    tls::server_context_ptr far_context;
    std::unique_ptr<tls::engine> client;
    std::unique_ptr<tls::engine> server;
    std::string hello; // the client's first record
};

// Seals what one end's library would never say, with the keys of that end, which says nothing more itself.
class forger {
public:
    enum class as : std::uint8_t { client, server };
    forger(tls::engine& e, as side)
        : chacha_(e.cipher().find("CHACHA") != std::string_view::npos), is_1_3_(e.protocol_version() == "TLSv1.3") {
        const unsigned char* key = side == as::client ? ::wolfSSL_GetClientWriteKey(e.native()) : ::wolfSSL_GetServerWriteKey(e.native());
        const unsigned char* iv = side == as::client ? ::wolfSSL_GetClientWriteIV(e.native()) : ::wolfSSL_GetServerWriteIV(e.native());
        key_.assign(reinterpret_cast<const char*>(key), static_cast<std::size_t>(::wolfSSL_GetKeySize(e.native())));
        iv_.assign(reinterpret_cast<const char*>(iv), 12);
        sequence_ = is_1_3_ && side == as::client ? 0 : 1; // TLS 1.2: after Finished; TLS 1.3: a server has sent its ticket
    }
    [[nodiscard]] std::string record(int type, std::string plain) {
        std::string number;
        for (int shift = 56; shift >= 0; shift -= 8) {
            number += static_cast<char>(sequence_ >> shift & 0xff);
        }
        ++sequence_;
        const bool in_the_clear = !is_1_3_ && !chacha_; // half of the nonce
        std::string nonce = iv_;
        for (std::size_t i = 0; i < 8; ++i) {
            nonce[4 + i] = in_the_clear ? number[i] : static_cast<char>(nonce[4 + i] ^ number[i]);
        }
        if (is_1_3_) {
            plain += static_cast<char>(type);
            type = data_record;
        }
        const std::string front = in_the_clear ? number : std::string();
        const std::string head = std::string(1, static_cast<char>(type)) + "\3\3";
        const std::string whole_head = head + two_octets(front.size() + plain.size() + tag_size);
        const std::string more = is_1_3_ ? whole_head : number + head + two_octets(plain.size());
        return whole_head + front + sealed(plain, nonce, more);
    }

private:
    static constexpr std::size_t tag_size = 16;
    [[nodiscard]] static std::string two_octets(std::size_t n) {
        return {static_cast<char>(n >> 8 & 0xff), static_cast<char>(n & 0xff)};
    }
    [[nodiscard]] static const unsigned char* octets(const std::string& s) {
        return reinterpret_cast<const unsigned char*>(s.data());
    }
    [[nodiscard]] std::string sealed(const std::string& plain, const std::string& nonce, const std::string& more) const {
        std::string out(plain.size() + tag_size, '\0');
        auto* to = reinterpret_cast<unsigned char*>(out.data());
        const auto size = static_cast<unsigned>(plain.size());
        int failure = 0;
        if (chacha_) {
            failure = ::wc_ChaCha20Poly1305_Encrypt(octets(key_), octets(nonce), octets(more), static_cast<unsigned>(more.size()),
                                                    octets(plain), size, to, to + size);
        } else {
            ::Aes aes;
            REQUIRE(::wc_AesInit(&aes, nullptr, INVALID_DEVID) == 0);
            REQUIRE(::wc_AesGcmSetKey(&aes, octets(key_), static_cast<unsigned>(key_.size())) == 0);
            failure = ::wc_AesGcmEncrypt(&aes, to, octets(plain), size, octets(nonce), 12, to + size, tag_size, octets(more),
                                         static_cast<unsigned>(more.size()));
            ::wc_AesFree(&aes);
        }
        REQUIRE(failure == 0);
        return out;
    }

    std::string key_;
    std::string iv_;
    std::uint64_t sequence_ = 0;
    bool chacha_;
    bool is_1_3_;
};

struct endurance {
    unsigned records = 0; // that the victim took before it gave up
    std::size_t answers = 0;
    error end = flux::errc::unavailable; // it never did
};

// Gives the victim one more record, until it has enough or has taken a thousand.
template <class Next>
endurance flood(tls::engine& victim, Next&& next) {
    endurance e;
    std::byte room[64];
    std::size_t n = 0;
    for (; e.records < 1'000; ++e.records) {
        victim.feed(next());
        const progress step = victim.is_complete() ? victim.read(room, n) : victim.handshake();
        if (step == progress::failed) {
            e.end = victim.take_error();
            break;
        }
        REQUIRE(step == progress::want_more);
    }
    e.answers = victim.output().size();
    return e;
}

constexpr unsigned most = tls::engine::max_records_in_vain;
constexpr unsigned warnings = 5; // the library's limit

std::string message(int type, const std::string& body) {
    return std::string(1, static_cast<char>(type)) + std::string(2, '\0') + static_cast<char>(body.size()) + body;
}

} // namespace

TEST_SUITE("tls/floods") {

TEST_CASE("records without data, whatever is in them, end a connection after 32 in a row [RFC 8446 5.1, 6]") {
    for (const version v : {version::tls_1_3, version::tls_1_2}) {
        CAPTURE(static_cast<int>(v));
        two_engines e(v);
        forger client(*e.client, forger::as::client);
        const endurance out = flood(*e.server, [&] { return client.record(data_record, ""); });
        CHECK(out.records == most);
        CHECK_MESSAGE(out.end.is(tls::errc::flooded), out.end.message());
        CHECK(out.end.message() == "TLS: too many records without data");
        CHECK(out.answers > 0); // it says that it closes
        CHECK(out.answers < 64);
        CHECK(e.server->has_input()); // and goes on saying that it failed
        std::byte room[8];
        std::size_t n = 0;
        CHECK(e.server->read(room, n) == progress::failed);
        CHECK(e.server->write(as_octets("late")) == progress::failed);
    }
}

TEST_CASE("data in between, and the limit is one for what follows") {
    for (const version v : {version::tls_1_3, version::tls_1_2}) {
        CAPTURE(static_cast<int>(v));
        two_engines e(v);
        forger client(*e.client, forger::as::client);
        std::byte room[8];
        for (int turn = 0; turn < 4; ++turn) {
            std::string octets;
            for (unsigned i = 0; i < most; ++i) {
                octets += client.record(data_record, "");
            }
            e.server->feed(octets + client.record(data_record, "data"));
            std::size_t n = 0;
            REQUIRE(e.server->peek() == progress::done);
            REQUIRE(e.server->read(room, n) == progress::done);
            CHECK(n == 4);
        }
        // All that comes at once is taken for what it is, too, and no more of it than the limit.
        std::string octets;
        for (unsigned i = 0; i < 10 * most; ++i) {
            octets += client.record(data_record, "");
        }
        e.server->feed(octets);
        CHECK(e.server->peek() == progress::failed);
        CHECK(e.server->take_error().is(tls::errc::flooded));
    }
}

TEST_CASE("key updates are answered, each of them, and not without end [RFC 8446 4.6.3]") {
    for (const bool at_client : {false, true}) {
        CAPTURE(at_client);
        two_engines e(version::tls_1_3);
        tls::engine& attacker = at_client ? *e.server : *e.client;
        const endurance out = flood(at_client ? *e.client : *e.server, [&] {
            REQUIRE(::wolfSSL_update_keys(attacker.native()) == WOLFSSL_SUCCESS);
            return drain(attacker);
        });
        CHECK(out.records == (at_client ? most - 1 : most)); // the server's ticket counts
        CHECK_MESSAGE(out.end.is(tls::errc::flooded), out.end.message());
        CHECK(out.answers < 64 * (most + 2));
    }
}

TEST_CASE("a client takes neither tickets nor requests for a certificate without end") {
    const std::string ticket = message(4, std::string("\0\0\0\x3c\0\0\0\0\1n\0\4abcd\0\0", 18));
    const std::string request = message(13, std::string("\0\0\x08\0\x0d\0\x04\0\x02\x04\x03", 11));
    for (const std::string& what : {ticket, request}) {
        CAPTURE(static_cast<int>(what[0]));
        two_engines e(version::tls_1_3);
        forger server(*e.server, forger::as::server);
        const endurance out = flood(*e.client, [&] { return server.record(handshake_record, what); });
        CHECK(out.records == most - 1); // a ticket has come before
        CHECK_MESSAGE(out.end.is(tls::errc::flooded), out.end.message());
        CHECK(out.answers < 128 * (most + 2));
    }
}

TEST_CASE("the library ends a flood of warning alerts, in a connection and in a handshake") {
    for (const version v : {version::tls_1_3, version::tls_1_2}) {
        for (const char warning : {'\x5a', '\x64'}) { // user_canceled, no_renegotiation
            CAPTURE(static_cast<int>(v));
            CAPTURE(static_cast<int>(warning));
            two_engines e(v);
            forger client(*e.client, forger::as::client);
            const endurance out = flood(*e.server, [&] { return client.record(alert_record, {'\1', warning}); });
            CHECK(out.records < warnings);
            CHECK_MESSAGE(out.end.is(tls::errc::flooded), out.end.message());
            CHECK(out.answers < 64);
            auto opening = *e.near_context->connect("a.test");
            REQUIRE(opening->handshake() == progress::want_more);
            drain(*opening);
            const endurance early = flood(*opening, [&] { return std::string("\x15\3\3\0\2\1", 6) + warning; });
            CHECK(early.records < warnings);
            CHECK_MESSAGE(early.end.is(tls::errc::flooded), early.end.message());
        }
    }
}

TEST_CASE("nobody renegotiates: not with a ClientHello, not because of a HelloRequest [RFC 5246 7.4.1.1]") {
    for (const version v : {version::tls_1_3, version::tls_1_2}) {
        CAPTURE(static_cast<int>(v));
        two_engines asking(v);
        forger client(*asking.client, forger::as::client);
        const endurance out = flood(*asking.server, [&] { return client.record(handshake_record, asking.hello.substr(5)); });
        CHECK(out.records == 0);
        CHECK_MESSAGE(out.end.is(tls::errc::handshake_failed), out.end.message());
        CHECK(out.answers < 64);
        two_engines asked(v);
        forger server(*asked.server, forger::as::server);
        const endurance hellos = flood(*asked.client, [&] { return server.record(handshake_record, message(0, "")); });
        CHECK(hellos.records <= 1);
        CHECK_MESSAGE(hellos.end.is(tls::errc::handshake_failed), hellos.end.message());
        CHECK(hellos.answers < 128);
    }
}

TEST_CASE("in a handshake, records that lead nowhere end it at once") {
    const auto ccs = std::string("\x14\3\3\0\1\1", 6);
    for (const version v : {version::tls_1_3, version::tls_1_2}) {
        const auto context = test_support::client_of(two_engines::settings(v));
        for (const std::string& what : {ccs, std::string("\x16\3\3\0\0", 5), std::string("\x17\3\3\0\0", 5)}) {
            CAPTURE(static_cast<int>(v));
            CAPTURE(static_cast<int>(what[0]));
            const auto server_context = context_of(cert_a());
            auto client = *context->connect("a.test");
            auto server = *server_context->connect("http/1.1");
            REQUIRE(client->handshake() == progress::want_more);
            server->feed(drain(*client));
            REQUIRE(server->handshake() == progress::want_more);
            drain(*server);
            CHECK(flood(*server, [&] { return what; }).records <= 1); // TLS 1.3 allows one change_cipher_spec
            CHECK(flood(*client, [&] { return what; }).records <= 1);
        }
    }
}

TEST_CASE("who waits for the next request is told of a flood once, and reads why") {
    testing::virtual_loop loop;
    auto raw = testing::make_memory_pair();
    test_support::tls_end far(std::move(raw.second), test_support::server_of(cert_a()));
    const auto context = test_support::client_of(ca());
    auto attacker = *context->connect("a.test");
    struct listener final : hangup_listener {
        listener() noexcept : hangup_listener([](hangup_listener& l, bool) noexcept { ++static_cast<listener&>(l).told; }) {}
        int told = 0;
    } ear;
    auto attack = [](testing::memory_stream& to, tls::engine& e, const listener& victim) -> task<> {
        co_await test_support::shake(e, to);
        for (unsigned i = 0; i <= most; ++i) {
            CHECK(victim.told == 0);
            REQUIRE(::wolfSSL_update_keys(e.native()) == WOLFSSL_SUCCESS);
            co_await to.write_all(as_octets(drain(e)));
            co_await sleep_for(milliseconds(1));
        }
        CHECK(victim.told == 1);
    };
    auto wait = [](test_support::tls_end& end, listener& l) -> task<> {
        co_await end.handshake();
        end.watch_input(&l);
    };
    auto scenario = [&]() -> task<> {
        co_await when_all(attack(raw.first, *attacker, ear), wait(far, ear));
        CHECK(far.has_input());
        CHECK(far.try_receive().empty());
        for (int i = 0; i < 2; ++i) { // the end stays
            const auto heard = co_await attempt(far.receive());
            REQUIRE(!heard);
            CHECK_MESSAGE(heard.error().is(tls::errc::flooded), heard.error().message());
        }
        far.close();
        raw.first.close();
    };
    const auto r = loop.run(scenario());
    REQUIRE_MESSAGE(r, r.error().message());
}

} // TEST_SUITE
