// SPDX-License-Identifier: MIT
#include <flux/tls/aesni.hpp> // also proves the header is self-contained

#include <flux/testing/prng.hpp>
#include <flux/tls/crypto_device.hpp>
#include <support/octets.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI)

using flux::tls::detail::aes_gcm;

namespace {

using test_support::from_hex;
using test_support::octets;

struct vector_case {
    const char* key;
    const char* nonce;
    const char* plain;
    const char* more;
    const char* cipher;
    const char* tag;
};

// Test cases 1 to 4 and 13 to 16 of "The Galois/Counter Mode of Operation", the vectors of NIST's submission.
const vector_case nist[] = {
    {"00000000000000000000000000000000", "000000000000000000000000", "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {"00000000000000000000000000000000", "000000000000000000000000", "00000000000000000000000000000000", "",
     "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"},
    {"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
     "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "00000000000000000000000000000000", "", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

} // namespace

TEST_SUITE("tls/aesni") {

TEST_CASE("agrees with NIST's vectors, in both directions [NIST SP 800-38D]") {
    if (!flux::tls::detail::has_aes_instructions()) {
        MESSAGE("this processor has no AES instructions");
        return;
    }
    for (const vector_case& v : nist) {
        CAPTURE(v.tag);
        const octets key = from_hex(v.key);
        const octets nonce = from_hex(v.nonce);
        const octets plain = from_hex(v.plain);
        const octets more = from_hex(v.more);
        const aes_gcm gcm(key.data(), key.size());
        octets out(plain.size());
        octets tag(16);
        gcm.encrypt(out.data(), plain.data(), plain.size(), nonce.data(), tag.data(), more.data(), more.size());
        CHECK(out == from_hex(v.cipher));
        CHECK(tag == from_hex(v.tag));
        octets back(plain.size());
        octets again(16);
        gcm.decrypt(back.data(), out.data(), out.size(), nonce.data(), again.data(), more.data(), more.size());
        CHECK(back == plain);
        CHECK(again == tag);
    }
}

TEST_CASE("agrees with the library on 10 000 random messages, in place too") {
    if (!flux::tls::detail::has_aes_instructions()) {
        return;
    }
    flux::testing::prng random(20'261'124);
    const auto fill = [&](unsigned char* to, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) {
            to[i] = static_cast<unsigned char>(random.next());
        }
    };
    int differences = 0;
    for (int round = 0; round < 10'000; ++round) {
        const std::size_t key_size = round % 2 == 0 ? 16 : 32;
        const std::size_t n = random.next() % (round % 100 == 0 ? 17'000 : round % 3 == 0 ? 140 : 700);
        const std::size_t more_size = random.next() % (round % 3 == 0 ? 140 : 300);
        octets key(key_size), nonce(12), plain(n + 1), more(more_size + 1), expected(n + 1), out(n + 1);
        octets tag(16), expected_tag(16);
        fill(key.data(), key.size());
        fill(nonce.data(), nonce.size());
        fill(plain.data(), n);
        fill(more.data(), more_size);
        if (round % 7 == 0) {
            std::fill(nonce.begin() + 8, nonce.end(), std::uint8_t{0xff});
        }
        Aes aes;
        REQUIRE(::wc_AesInit(&aes, nullptr, INVALID_DEVID) == 0);
        REQUIRE(::wc_AesGcmSetKey(&aes, key.data(), static_cast<word32>(key_size)) == 0);
        REQUIRE(::wc_AesGcmEncrypt(&aes, expected.data(), plain.data(), static_cast<word32>(n), nonce.data(), 12,
                                   expected_tag.data(), 16, more.data(), static_cast<word32>(more_size)) == 0);
        ::wc_AesFree(&aes);
        const aes_gcm gcm(key.data(), key_size, std::max(n, more_size));
        gcm.encrypt(out.data(), plain.data(), n, nonce.data(), tag.data(), more.data(), more_size);
        differences += out == expected && tag == expected_tag ? 0 : 1;
        gcm.decrypt(out.data(), out.data(), n, nonce.data(), tag.data(), more.data(), more_size);
        differences += out == plain && tag == expected_tag ? 0 : 1;
    }
    CHECK(differences == 0);
}

TEST_CASE("a message whose tag is wrong is refused, and nothing of it can be seen") {
    if (!flux::tls::detail::has_aes_instructions()) {
        return;
    }
    octets key(16, 7), nonce(12, 3), text(100, 'x'), out(100), tag(16), more(5, 'm');
    const aes_gcm gcm(key.data(), key.size());
    gcm.encrypt(out.data(), text.data(), text.size(), nonce.data(), tag.data(), more.data(), more.size());
    REQUIRE(flux::tls::detail::register_crypto_device());
    Aes aes;
    REQUIRE(::wc_AesInit(&aes, nullptr, flux::tls::detail::crypto_device) == 0);
    REQUIRE(::wc_AesGcmSetKey(&aes, key.data(), 16) == 0);
    octets back(100, 'o');
    CHECK(::wc_AesGcmDecrypt(&aes, back.data(), out.data(), 100, nonce.data(), 12, tag.data(), 16, more.data(), 5) == 0);
    CHECK(back == text);
    for (std::size_t i = 0; i < 16; ++i) {
        octets wrong = tag;
        wrong[i] ^= 1;
        CHECK(::wc_AesGcmDecrypt(&aes, back.data(), out.data(), 100, nonce.data(), 12, wrong.data(), 16, more.data(), 5) ==
              AES_GCM_AUTH_E);
        CHECK(back == octets(100, 0));
    }
    ::wc_AesFree(&aes);
}

} // TEST_SUITE

#endif
