// SPDX-License-Identifier: MIT
#include <flux/tls/sha256ni.hpp> // also proves the header is self-contained

#include <flux/testing/prng.hpp>
#include <flux/tls/crypto_device.hpp>
#include <support/octets.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI)

namespace detail = flux::tls::detail;

namespace {

using test_support::octets;
using test_support::random_octets;
using test_support::to_hex;

octets of(const std::string& text) { return octets(text.begin(), text.end()); }

/// A hash of the library's, by the instructions or by its own code.
struct hash {
    explicit hash(int device) { REQUIRE(::wc_InitSha256_ex(&state, nullptr, device) == 0); }
    hash(const hash&) = delete;
    hash& operator=(const hash&) = delete;
    ~hash() { ::wc_Sha256Free(&state); }
    void add(const unsigned char* from, std::size_t n) { REQUIRE(::wc_Sha256Update(&state, from, static_cast<word32>(n)) == 0); }
    [[nodiscard]] octets end() {
        octets out(32);
        REQUIRE(::wc_Sha256Final(&state, out.data()) == 0);
        return out;
    }
    [[nodiscard]] octets so_far() {
        octets out(32);
        REQUIRE(::wc_Sha256GetHash(&state, out.data()) == 0);
        return out;
    }
    wc_Sha256 state{};
};

/// A device of its own, so that what is tested does not hang on the order of the tests; it counts its answers.
constexpr int counting_device = 0x73686132;
int answers = 0;
int counting_callback(int, wc_CryptoInfo* info, void*) {
    if (info->algo_type != WC_ALGO_TYPE_HASH) {
        return CRYPTOCB_UNAVAILABLE;
    }
    const int answer = detail::answer_sha256(info);
    answers += answer == 0 ? 1 : 0;
    return answer;
}
bool ready() {
    if (!detail::has_sha_instructions()) {
        MESSAGE("this processor has no SHA instructions");
        return false;
    }
    static const bool registered = detail::library_ready().has_value() &&
                                   ::wc_CryptoCb_RegisterDevice(counting_device, &counting_callback, nullptr) == 0;
    REQUIRE(registered);
    return true;
}

octets hmac_of(const octets& key, const octets& message) {
    detail::hmac_sha256 hmac(key.data(), key.size());
    octets out(32);
    hmac.add(message.data(), message.size());
    hmac.end(out.data());
    return out;
}

} // namespace

TEST_SUITE("tls/sha256ni") {

TEST_CASE("agrees with NIST's examples [FIPS 180-4]") {
    if (!ready()) {
        return;
    }
    const struct {
        std::string message;
        std::string digest;
    } examples[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
        {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (const auto& e : examples) {
        hash h(counting_device);
        answers = 0;
        h.add(of(e.message).data(), e.message.size());
        CHECK(to_hex(h.end()) == e.digest);
        CHECK(answers == (e.message.empty() ? 1 : 2));
    }
}

TEST_CASE("agrees with the library on 10 000 random messages in random pieces, looked at on the way, and copied") {
    if (!ready()) {
        return;
    }
    flux::testing::prng random(20'261'201);
    hash again(counting_device); // is used for one message after the other
    int differences = 0;
    for (int round = 0; round < 10'000; ++round) {
        const octets message = random_octets(random, random.next() % (round % 100 == 0 ? 20'000 : round % 3 == 0 ? 130 : 700));
        hash expected(INVALID_DEVID);
        hash fresh(counting_device);
        hash copy(counting_device);
        std::size_t copied_at = 0;
        for (std::size_t at = 0; at < message.size();) {
            const std::size_t most = round % 2 == 0 ? 70 : message.size();
            const std::size_t n = std::min(message.size() - at, random.next() % (most + 1));
            for (hash* h : {&expected, &fresh, &again}) {
                h->add(message.data() + at, n);
            }
            at += n;
            if (random.next() % 8 == 0) {
                differences += fresh.so_far() == expected.so_far() ? 0 : 1;
            }
            if (random.next() % 8 == 0) {
                REQUIRE(::wc_Sha256Copy(&fresh.state, &copy.state) == 0);
                copied_at = at;
            }
        }
        copy.add(message.data() + copied_at, message.size() - copied_at);
        const octets digest = expected.end();
        for (hash* h : {&fresh, &again, &copy}) {
            differences += h->end() == digest ? 0 : 1;
        }
    }
    CHECK(differences == 0);
}

TEST_CASE("what one of the two began the other ends, and lengths carry beyond 32 bits") {
    if (!ready()) {
        return;
    }
    flux::testing::prng random(20'261'202);
    int differences = 0;
    for (int round = 0; round < 1'000; ++round) {
        const octets message = random_octets(random, random.next() % 300);
        const std::size_t first = random.next() % (message.size() + 1);
        hash expected(INVALID_DEVID);
        hash ours_then_theirs(counting_device);
        hash theirs_then_ours(INVALID_DEVID);
        for (hash* h : {&expected, &ours_then_theirs, &theirs_then_ours}) {
            h->state.loLen = round % 2 == 0 ? 0 : 0xffff'ffc0U; // as if so many octets had gone before
            h->state.hiLen = round % 2 == 0 ? 0 : 6U;
            h->add(message.data(), first);
        }
        ours_then_theirs.state.devId = INVALID_DEVID;
        theirs_then_ours.state.devId = counting_device;
        for (hash* h : {&expected, &ours_then_theirs, &theirs_then_ours}) {
            h->add(message.data() + first, message.size() - first);
        }
        const octets digest = expected.end();
        differences += ours_then_theirs.end() == digest && theirs_then_ours.end() == digest ? 0 : 1;
    }
    CHECK(differences == 0);
}

TEST_CASE("HMAC agrees with its examples [RFC 4231]") {
    if (!ready()) {
        return;
    }
    CHECK(to_hex(hmac_of(octets(20, 0x0b), of("Hi There"))) == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK(to_hex(hmac_of(of("Jefe"), of("what do ya want for nothing?"))) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK(to_hex(hmac_of(octets(20, 0xaa), octets(50, 0xdd))) == "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    CHECK(to_hex(hmac_of(octets(131, 0xaa), of("Test Using Larger Than Block-Size Key - Hash Key First"))) ==
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("HMAC agrees with the library on 10 000 random keys and messages, several under one key") {
    if (!ready()) {
        return;
    }
    flux::testing::prng random(20'261'203);
    int differences = 0;
    for (int round = 0; round < 10'000; ++round) {
        const octets key = random_octets(random, 1 + random.next() % (round % 4 == 0 ? 200 : 64));
        detail::hmac_sha256 ours(key.data(), key.size());
        for (int messages = round % 3; messages >= 0; --messages) {
            const octets message = random_octets(random, random.next() % 200);
            const std::size_t first = random.next() % (message.size() + 1);
            octets expected(32), out(32);
            Hmac theirs;
            REQUIRE(::wc_HmacInit(&theirs, nullptr, INVALID_DEVID) == 0);
            REQUIRE(::wc_HmacSetKey(&theirs, WC_SHA256, key.data(), static_cast<word32>(key.size())) == 0);
            REQUIRE(::wc_HmacUpdate(&theirs, message.data(), static_cast<word32>(message.size())) == 0);
            REQUIRE(::wc_HmacFinal(&theirs, expected.data()) == 0);
            ::wc_HmacFree(&theirs);
            ours.add(message.data(), first);
            ours.add(message.data() + first, message.size() - first);
            ours.end(out.data());
            differences += out == expected ? 0 : 1;
        }
    }
    CHECK(differences == 0);
}

TEST_CASE("other hashes, and what is no hash, are declined") {
    if (!ready()) {
        return;
    }
    wc_Sha256 broken{};
    broken.buffLen = 64; // the library says what is wrong with it
    unsigned char digest[32] = {};
    wc_CryptoInfo info{};
    info.algo_type = WC_ALGO_TYPE_HASH;
    info.hash.digest = digest;
    info.hash.type = WC_HASH_TYPE_SHA384;
    CHECK(detail::answer_sha256(&info) == CRYPTOCB_UNAVAILABLE);
    info.hash.type = WC_HASH_TYPE_SHA256;
    CHECK(detail::answer_sha256(&info) == CRYPTOCB_UNAVAILABLE);
    info.hash.sha256 = &broken;
    CHECK(detail::answer_sha256(&info) == CRYPTOCB_UNAVAILABLE);
}

} // TEST_SUITE

#endif
