// SPDX-License-Identifier: MIT
// flux/tls/sha256ni.hpp - SHA-256 with the processor's SHA instructions, where the TLS library was built without them.
//
//   crypto_device.hpp -> answer_sha256() -> sha256_add(), sha256_end()        (transcripts, signatures, TLS 1.2's PRF)
//   key_schedule.hpp  -> hmac_sha256     -> the same                          (the keys of TLS 1.3)
//
// Debian's wolfSSL hashes in plain C: 270 ns per 64 octets, and a handshake has some 200 of those; here they take 40. A
// hash is the library's own structure in the library's own form, so either can go on with what the other began. The
// functions carry their instruction sets as attributes, as in aesni.hpp. Deliberately not here: SHA-384, for which the
// processors have no instructions, and what the keys are (key_schedule.hpp).
#pragma once

#include <flux/tls/library.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI)
#include <cpuid.h>
#include <immintrin.h>

namespace flux::inline FLUX_ABI::tls::detail {

inline constexpr std::size_t sha256_size = 32;
inline constexpr std::size_t sha256_block = 64;

/// Takes whole blocks into the eight words of a hash.
/// Source  FIPS 180-4 6.2; the instructions keep the words as ABEF and CDGH, and make two rounds each.
[[gnu::target("sha,ssse3,sse4.1")]] inline void sha256_blocks(std::uint32_t* state, const unsigned char* from,
                                                              std::size_t blocks) noexcept {
    alignas(16) static constexpr std::uint32_t constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
        0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
        0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
        0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
        0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
        0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i* const words = reinterpret_cast<__m128i*>(state);
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
    __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
    for (; blocks != 0; --blocks, from += sha256_block) {
        const __m128i abef_before = abef;
        const __m128i cdgh_before = cdgh;
        __m128i w[4]; // the last sixteen words of the message schedule
#pragma GCC unroll 16
        for (int four = 0; four < 16; ++four) { // rounds at a time
            __m128i& now = w[four & 3];
            if (four < 4) {
                now = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + four), big_endian);
            } else {
                const __m128i last = w[(four - 1) & 3];
                const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(now, w[(four - 3) & 3]),
                                                  _mm_alignr_epi8(last, w[(four - 2) & 3], 4));
                now = _mm_sha256msg2_epu32(sum, last);
            }
            const __m128i k = _mm_add_epi32(now, _mm_load_si128(reinterpret_cast<const __m128i*>(constants) + four));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k); // what was ABEF is CDGH from here
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

/// An empty hash; what the structure has beside one stays.
inline void sha256_begin(wc_Sha256& s) noexcept {
    constexpr std::uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::memcpy(s.digest, first, sizeof first);
    s.buffLen = 0;
    s.loLen = 0;
    s.hiLen = 0;
#if defined(WOLFSSL_HASH_FLAGS)
    s.flags = 0;
#endif
}

inline void sha256_add(wc_Sha256& s, const unsigned char* from, std::size_t n) noexcept {
    if (n == 0) { // `from` may be null
        return;
    }
    const std::uint64_t octets = (static_cast<std::uint64_t>(s.hiLen) << 32 | s.loLen) + n;
    s.loLen = static_cast<std::uint32_t>(octets);
    s.hiLen = static_cast<std::uint32_t>(octets >> 32);
    auto* const rest = reinterpret_cast<unsigned char*>(s.buffer);
    if (s.buffLen != 0) {
        const std::size_t part = std::min<std::size_t>(n, sha256_block - s.buffLen);
        std::memcpy(rest + s.buffLen, from, part);
        s.buffLen += static_cast<std::uint32_t>(part);
        from += part;
        n -= part;
        if (s.buffLen < sha256_block) {
            return;
        }
        sha256_blocks(s.digest, rest, 1);
        s.buffLen = 0;
    }
    if (n >= sha256_block) {
        sha256_blocks(s.digest, from, n / sha256_block);
    }
    const std::size_t left = n % sha256_block;
    std::memcpy(rest, from + (n - left), left);
    s.buffLen = static_cast<std::uint32_t>(left);
}

/// Writes 32 octets, and leaves an empty hash.
inline void sha256_end(wc_Sha256& s, unsigned char* to) noexcept {
    const std::uint64_t bits = (static_cast<std::uint64_t>(s.hiLen) << 32 | s.loLen) * 8;
    auto* const rest = reinterpret_cast<unsigned char*>(s.buffer);
    rest[s.buffLen++] = 0x80;
    if (s.buffLen > sha256_block - 8) {
        std::memset(rest + s.buffLen, 0, sha256_block - s.buffLen);
        sha256_blocks(s.digest, rest, 1);
        s.buffLen = 0;
    }
    std::memset(rest + s.buffLen, 0, sha256_block - 8 - s.buffLen);
    const auto put = [](std::uint32_t word, unsigned char* at) {
        word = __builtin_bswap32(word);
        std::memcpy(at, &word, sizeof word);
    };
    put(static_cast<std::uint32_t>(bits >> 32), rest + sha256_block - 8);
    put(static_cast<std::uint32_t>(bits), rest + sha256_block - 4);
    sha256_blocks(s.digest, rest, 1);
    for (std::size_t i = 0; i < 8; ++i) {
        put(s.digest[i], to + 4 * i);
    }
    sha256_begin(s);
}

/// HMAC under one key, for any number of messages, one after the other. Source  RFC 2104.
class hmac_sha256 {
public:
    hmac_sha256(const unsigned char* key, std::size_t n) noexcept {
        unsigned char pad[sha256_block] = {};
        if (n > sha256_block) {
            sha256_begin(now_);
            sha256_add(now_, key, n);
            sha256_end(now_, pad);
        } else if (n != 0) {
            std::memcpy(pad, key, n);
        }
        keyed(pad, 0x36, inner_);
        keyed(pad, 0x36 ^ 0x5c, outer_);
        ::explicit_bzero(pad, sizeof pad);
        begin(inner_);
    }
    hmac_sha256(const hmac_sha256&) = delete;
    hmac_sha256& operator=(const hmac_sha256&) = delete;
    ~hmac_sha256() { ::explicit_bzero(this, sizeof *this); }

    void add(const unsigned char* from, std::size_t n) noexcept { sha256_add(now_, from, n); }
    /// Writes 32 octets; the next message begins.
    void end(unsigned char* to) noexcept {
        sha256_end(now_, to);
        begin(outer_);
        sha256_add(now_, to, sha256_size);
        sha256_end(now_, to);
        begin(inner_);
    }

private:
    void keyed(unsigned char* pad, unsigned char with, std::uint32_t* state) noexcept { // in now_, which is wiped
        for (std::size_t i = 0; i < sha256_block; ++i) {
            pad[i] = static_cast<unsigned char>(pad[i] ^ with);
        }
        sha256_begin(now_);
        sha256_blocks(now_.digest, pad, 1);
        std::memcpy(state, now_.digest, sha256_size);
    }
    void begin(const std::uint32_t* state) noexcept { // behind the block of the key
        std::memcpy(now_.digest, state, sha256_size);
        now_.buffLen = 0;
        now_.loLen = sha256_block;
        now_.hiLen = 0;
    }

    wc_Sha256 now_{};
    std::uint32_t inner_[8];
    std::uint32_t outer_[8];
};

/// What the library asks for a hash. Answers for SHA-256, and declines everything else.
inline int answer_sha256(wc_CryptoInfo* info) noexcept {
    auto& asked = info->hash;
    if (asked.type != WC_HASH_TYPE_SHA256 || asked.sha256 == nullptr || asked.sha256->buffLen >= sha256_block) {
        return CRYPTOCB_UNAVAILABLE;
    }
    if (asked.in != nullptr) {
        sha256_add(*asked.sha256, asked.in, asked.inSz);
    }
    if (asked.digest != nullptr) {
        sha256_end(*asked.sha256, asked.digest);
    }
    return 0;
}

[[nodiscard]] inline bool has_sha_instructions() noexcept {
    static const bool has = [] {
        unsigned a = 0;
        unsigned b = 0;
        unsigned c = 0;
        unsigned d = 0;
        constexpr unsigned sha = 1U << 29; // of EBX of leaf 7: not all compilers know its name
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & sha) != 0 && __builtin_cpu_supports("ssse3") != 0 &&
               __builtin_cpu_supports("sse4.1") != 0;
    }();
    return has;
}

} // namespace flux::inline FLUX_ABI::tls::detail

#endif
