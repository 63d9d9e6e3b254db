// SPDX-License-Identifier: MIT
#include <flux/tls/key_schedule.hpp> // also proves the header is self-contained

#include <flux/testing/prng.hpp>
#include <flux/tls/context.hpp>
#include <support/octets.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI) && defined(WOLFSSL_TLS13) && \
    defined(HAVE_PK_CALLBACKS) && defined(HAVE_HKDF) && LIBWOLFSSL_VERSION_HEX >= 0x05005004

using namespace flux;
using test_support::ca;
using test_support::from_hex;
using test_support::octets;

namespace {

// One more than n, so that there is something to point to.
octets random_octets(testing::prng& random, std::size_t n) { return test_support::random_octets(random, n + 1); }
unsigned size_of(const octets& o) { return static_cast<unsigned>(o.size()); }
const unsigned char* at(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

octets extracted(const octets& salt, octets secret) {
    octets out(32);
    const unsigned size = size_of(secret);
    secret.resize(32); // where it is empty the library wants room for zeros
    REQUIRE(tls::detail::extract_callback(out.data(), salt.empty() ? nullptr : salt.data(), size_of(salt), secret.data(), size,
                                          WC_SHA256, nullptr) == 0);
    return out;
}
octets expanded(const octets& key, std::string_view label, const octets& context, unsigned n) {
    octets out(n);
    REQUIRE(tls::detail::expand_label_callback(out.data(), n, key.data(), size_of(key), at("tls13 "), 6, at(label),
                                               static_cast<unsigned>(label.size()), context.data(), size_of(context), WC_SHA256,
                                               0) == 0);
    return out;
}
bool has_instructions() {
    if (!tls::detail::has_sha_instructions()) {
        MESSAGE("this processor has no SHA instructions");
        return false;
    }
    return true;
}

/// As on a processor without the instructions.
void leave_it_to_the_library(WOLFSSL_CTX* context) {
    ::wolfSSL_CTX_SetHKDFExpandLabelCb(context, nullptr);
    ::wolfSSL_CTX_SetHKDFExtractCb(context, nullptr);
    REQUIRE(::wolfSSL_CTX_SetDevId(context, INVALID_DEVID) == WOLFSSL_SUCCESS);
}

} // namespace

TEST_SUITE("tls/key_schedule") {

TEST_CASE("agrees with the secrets of the example handshake [RFC 8448 3]") {
    if (!has_instructions()) {
        return;
    }
    const octets early = extracted({}, {});
    CHECK(early == from_hex("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"));
    const octets of_nothing = from_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const octets derived = expanded(early, "derived", of_nothing, 32);
    CHECK(derived == from_hex("6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"));
    const octets shared = from_hex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
    const octets handshake = extracted(derived, shared);
    CHECK(handshake == from_hex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"));
    const octets server = from_hex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
    CHECK(expanded(server, "key", {}, 16) == from_hex("3fce516009c21727d0f2e4e86ee403bc"));
    CHECK(expanded(server, "iv", {}, 12) == from_hex("5d313eb2671276ee13000b30"));
}

TEST_CASE("agrees with the library on 10 000 random labels, contexts and sizes") {
    if (!has_instructions()) {
        return;
    }
    testing::prng random(20'261'204);
    int differences = 0;
    for (int round = 0; round < 10'000; ++round) {
        const octets key = random_octets(random, 15 + random.next() % (round % 10 == 0 ? 100 : 33));
        const auto label_size = static_cast<unsigned>(random.next() % 13);
        const auto context_size = static_cast<unsigned>(random.next() % 33);
        const octets label = random_octets(random, label_size);
        const octets context = random_octets(random, context_size);
        const auto n = static_cast<unsigned>(1 + random.next() % (round % 10 == 0 ? 300 : 48));
        octets expected(n), out(n);
        REQUIRE(::wc_Tls13_HKDF_Expand_Label(expected.data(), n, key.data(), size_of(key), at("tls13 "), 6, label.data(), label_size,
                                             context.data(), context_size, WC_SHA256) == 0);
        REQUIRE(tls::detail::expand_label_callback(out.data(), n, key.data(), size_of(key), at("tls13 "), 6, label.data(),
                                                   label_size, context.data(), context_size, WC_SHA256, 0) == 0);
        differences += out == expected ? 0 : 1;
    }
    CHECK(differences == 0);
}

TEST_CASE("secrets are extracted as the library does, without salt, without secret, and in place") {
    if (!has_instructions()) {
        return;
    }
    testing::prng random(20'261'205);
    int differences = 0;
    for (int round = 0; round < 1'000; ++round) {
        const auto salt_size = static_cast<unsigned>(round % 5 == 0 ? 0 : random.next() % 80);
        const auto secret_size = static_cast<unsigned>(round % 7 == 0 ? 0 : random.next() % 140);
        const octets salt = random_octets(random, salt_size);
        octets secret = random_octets(random, secret_size + 64);
        octets same = secret;
        octets expected(32);
        const unsigned char* with = round % 5 == 0 ? nullptr : salt.data();
        REQUIRE(::wc_Tls13_HKDF_Extract(expected.data(), with, static_cast<int>(salt_size), secret.data(),
                                        static_cast<int>(secret_size), WC_SHA256) == 0);
        REQUIRE(tls::detail::extract_callback(same.data(), with, salt_size, same.data(), secret_size, WC_SHA256, nullptr) == 0);
        same.resize(32);
        differences += same == expected ? 0 : 1;
    }
    CHECK(differences == 0);
}

TEST_CASE("another hash, and what fits no label, is left to the library") {
    octets key(48, 7), out(255 * 32 + 1), expected(48), again(48), secret(48, 9);
    const auto declined = [&](int digest, unsigned n, unsigned protocol, unsigned label, unsigned context) {
        const octets room(256);
        return tls::detail::expand_label_callback(out.data(), n, key.data(), size_of(key), room.data(), protocol, room.data(), label,
                                                  room.data(), context, digest, 0) == NOT_COMPILED_IN;
    };
    CHECK(declined(WC_SHA384, 48, 6, 3, 0));
    CHECK(declined(WC_SHA256, 255 * 32 + 1, 6, 3, 0));
    CHECK(declined(WC_SHA256, 32, 6, 250, 0));
    CHECK(declined(WC_SHA256, 32, 256, 0, 0));
    CHECK(declined(WC_SHA256, 32, 6, 3, 256));
    REQUIRE(::wc_Tls13_HKDF_Extract(expected.data(), key.data(), 48, secret.data(), 48, WC_SHA384) == 0);
    REQUIRE(tls::detail::extract_callback(again.data(), key.data(), 48, secret.data(), 48, WC_SHA384, nullptr) == 0);
    CHECK(again == expected);
    if (has_instructions()) {
        CHECK(!declined(WC_SHA256, 255 * 32, 6, 249, 255));
    }
}

TEST_CASE("an end that hashes with instructions and one that does not understand each other, in both versions, with both hashes") {
    if (!has_instructions()) {
        return;
    }
    const auto server = test_support::context_of(test_support::named("a", "DNS:a.test"));
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) {
        for (const char* suite : {"TLS13-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256",
                                  "TLS13-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384"}) {
            CAPTURE(suite);
            auto settings = test_support::trusting(ca());
            settings.max_version = highest;
            const auto clients = test_support::client_of(settings);
            leave_it_to_the_library(clients->native());
            REQUIRE(::wolfSSL_CTX_set_cipher_list(clients->native(), suite) == WOLFSSL_SUCCESS);
            auto client = *clients->connect("a.test");
            auto served = *server->connect("");
            CHECK(test_support::shake(*client, *served));
            CHECK(client->protocol_version() == (highest == tls::version::tls_1_3 ? "TLSv1.3" : "TLSv1.2"));
            CHECK(client->cipher() == served->cipher());
        }
    }
}

} // TEST_SUITE

#endif
