// SPDX-License-Identifier: MIT
// flux/tls/aesni.hpp - AES-GCM with the processor's AES instructions, where the TLS library was built without them.
//
//   crypto_device.hpp -> answer_aes_gcm() -> aes_gcm      (12-octet nonce, 16-octet tag; all else: not ours)
//
// Debian's wolfSSL has no AES-NI code and encrypts 0.1 GB/s; with this its records take the time of 2 GB/s. The
// functions carry their instruction sets as attributes, so no compiler flag is needed; whether the processor has them
// is asked once. Unused on other processors and where the library has its own. Round keys and powers of H are made for
// each record (80 ns), so no key outlives a call. Deliberately not here: ChaCha20, which the library has no hook for.
#pragma once

#include <flux/tls/library.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI)
#include <immintrin.h>

namespace flux::inline FLUX_ABI::tls::detail {

/// AES-GCM under one key of 16 or 32 octets.
///
/// GHASH works on octet-reversed blocks: the product of two such operands comes out shifted right by one, which
/// reduce() makes good while it reduces modulo x^128 + x^7 + x^2 + x + 1. Eight blocks are in flight at a time, and
/// share one reduction by the powers H^8 ... H.
/// Source  NIST SP 800-38D; FIPS 197; Gueron and Kounavis, "Carry-Less Multiplication and its Usage for GCM".
class aes_gcm {
public:
    /// Params  longest  no message or additional data is longer: short ones need no powers of H.
    [[gnu::target("aes,pclmul,ssse3,sse4.1")]] aes_gcm(const unsigned char* key, std::size_t size,
                                                       std::size_t longest = ~std::size_t{0}) noexcept {
        if (size == 16) {
            expand_128(load(key));
        } else {
            expand_256(load(key), load(key + 16));
        }
        power_[0] = reversed(encrypt_block(_mm_setzero_si128()));
        for (int i = 1; i < blocks && longest >= stride; ++i) {
            power_[i] = multiply(power_[i - 1], power_[0]);
        }
    }
    aes_gcm(const aes_gcm&) = delete;
    aes_gcm& operator=(const aes_gcm&) = delete;
    ~aes_gcm() { ::explicit_bzero(this, sizeof *this); }

    /// Params  out  may be `in`.  nonce  12 octets.  tag  16 octets, written.
    void encrypt(unsigned char* out, const unsigned char* in, std::size_t n, const unsigned char* nonce, unsigned char* tag,
                 const unsigned char* more, std::size_t more_size) const noexcept {
        run<true>(out, in, n, nonce, tag, more, more_size);
    }
    /// The tag that belongs to the ciphertext is written to `tag`; comparing it is the caller's.
    void decrypt(unsigned char* out, const unsigned char* in, std::size_t n, const unsigned char* nonce, unsigned char* tag,
                 const unsigned char* more, std::size_t more_size) const noexcept {
        run<false>(out, in, n, nonce, tag, more, more_size);
    }

private:
    static constexpr int blocks = 8;
    static constexpr std::size_t stride = 16 * blocks;

    // A product before it is reduced.
    struct product {
        __m128i low;
        __m128i middle;
        __m128i high;
    };

    [[gnu::target("sse4.1")]] static __m128i load(const unsigned char* from) noexcept {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    }
    [[gnu::target("sse4.1")]] static void store(unsigned char* to, __m128i x) noexcept {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), x);
    }
    [[gnu::target("ssse3,sse4.1")]] static __m128i reversed(__m128i x) noexcept {
        return _mm_shuffle_epi8(x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    }

    // ---- AES ----
    [[gnu::target("sse4.1")]] static __m128i spread(__m128i key, __m128i word) noexcept {
        key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
        key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
        key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
        return _mm_xor_si128(key, word);
    }
    template <int Constant>
    [[gnu::target("aes,sse4.1")]] static __m128i next_key(__m128i key, __m128i before) noexcept {
        return spread(key, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(before, Constant), 0xff));
    }
    [[gnu::target("aes,sse4.1")]] static __m128i next_odd_key(__m128i key, __m128i before) noexcept {
        return spread(key, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(before, 0), 0xaa));
    }
    [[gnu::target("aes,sse4.1")]] void expand_128(__m128i k) noexcept {
        rounds_ = 10;
        round_[0] = k;
        round_[1] = next_key<0x01>(round_[0], round_[0]);
        round_[2] = next_key<0x02>(round_[1], round_[1]);
        round_[3] = next_key<0x04>(round_[2], round_[2]);
        round_[4] = next_key<0x08>(round_[3], round_[3]);
        round_[5] = next_key<0x10>(round_[4], round_[4]);
        round_[6] = next_key<0x20>(round_[5], round_[5]);
        round_[7] = next_key<0x40>(round_[6], round_[6]);
        round_[8] = next_key<0x80>(round_[7], round_[7]);
        round_[9] = next_key<0x1b>(round_[8], round_[8]);
        round_[10] = next_key<0x36>(round_[9], round_[9]);
    }
    template <int Constant>
    [[gnu::target("aes,sse4.1")]] void expand_pair(int at) noexcept {
        round_[at] = next_key<Constant>(round_[at - 2], round_[at - 1]);
        round_[at + 1] = next_odd_key(round_[at - 1], round_[at]);
    }
    [[gnu::target("aes,sse4.1")]] void expand_256(__m128i a, __m128i b) noexcept {
        rounds_ = 14;
        round_[0] = a;
        round_[1] = b;
        expand_pair<0x01>(2);
        expand_pair<0x02>(4);
        expand_pair<0x04>(6);
        expand_pair<0x08>(8);
        expand_pair<0x10>(10);
        expand_pair<0x20>(12);
        round_[14] = next_key<0x40>(round_[12], round_[13]);
    }
    [[gnu::target("aes,sse4.1")]] __m128i encrypt_block(__m128i x) const noexcept {
        x = _mm_xor_si128(x, round_[0]);
        for (int r = 1; r < rounds_; ++r) {
            x = _mm_aesenc_si128(x, round_[r]);
        }
        return _mm_aesenclast_si128(x, round_[rounds_]);
    }

    // ---- GHASH ----
    [[gnu::target("pclmul,sse4.1")]] static product nothing() noexcept {
        return {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    }
    [[gnu::target("pclmul,sse4.1")]] static void add_product(product& p, __m128i a, __m128i b) noexcept {
        p.low = _mm_xor_si128(p.low, _mm_clmulepi64_si128(a, b, 0x00));
        p.high = _mm_xor_si128(p.high, _mm_clmulepi64_si128(a, b, 0x11));
        p.middle = _mm_xor_si128(p.middle, _mm_clmulepi64_si128(a, b, 0x10));
        p.middle = _mm_xor_si128(p.middle, _mm_clmulepi64_si128(a, b, 0x01));
    }
    [[gnu::target("pclmul,sse4.1")]] static __m128i reduce(const product& p) noexcept {
        __m128i low = _mm_xor_si128(p.low, _mm_slli_si128(p.middle, 8));
        __m128i high = _mm_xor_si128(p.high, _mm_srli_si128(p.middle, 8));
        // The 256 bits, shifted left by one.
        const __m128i low_carry = _mm_srli_epi32(low, 31);
        const __m128i high_carry = _mm_srli_epi32(high, 31);
        low = _mm_or_si128(_mm_slli_epi32(low, 1), _mm_slli_si128(low_carry, 4));
        high = _mm_or_si128(_mm_slli_epi32(high, 1), _mm_slli_si128(high_carry, 4));
        high = _mm_or_si128(high, _mm_srli_si128(low_carry, 12));
        // Modulo the polynomial, in two steps.
        const __m128i first = _mm_xor_si128(_mm_xor_si128(_mm_slli_epi32(low, 31), _mm_slli_epi32(low, 30)), _mm_slli_epi32(low, 25));
        low = _mm_xor_si128(low, _mm_slli_si128(first, 12));
        __m128i second = _mm_xor_si128(_mm_xor_si128(_mm_srli_epi32(low, 1), _mm_srli_epi32(low, 2)), _mm_srli_epi32(low, 7));
        second = _mm_xor_si128(second, _mm_srli_si128(first, 4));
        return _mm_xor_si128(high, _mm_xor_si128(low, second));
    }
    [[gnu::target("pclmul,sse4.1")]] static __m128i multiply(__m128i a, __m128i b) noexcept {
        product p = nothing();
        add_product(p, a, b);
        return reduce(p);
    }
    // `y` and the eight blocks at `from`.
    [[gnu::target("pclmul,ssse3,sse4.1")]] __m128i hash_stride(__m128i y, const unsigned char* from) const noexcept {
        product p = nothing();
#pragma GCC unroll 8
        for (int j = 0; j < blocks; ++j) {
            __m128i x = reversed(load(from + 16 * j));
            x = j == 0 ? _mm_xor_si128(x, y) : x;
            add_product(p, x, power_[blocks - 1 - j]);
        }
        return reduce(p);
    }
    [[gnu::target("pclmul,ssse3,sse4.1")]] __m128i hash(__m128i y, const unsigned char* from, std::size_t n) const noexcept {
        for (; n >= stride; n -= stride, from += stride) {
            y = hash_stride(y, from);
        }
        while (n != 0) {
            const std::size_t part = std::min<std::size_t>(n, 16);
            unsigned char block[16] = {};
            std::memcpy(block, from, part);
            y = multiply(_mm_xor_si128(y, reversed(load(block))), power_[0]);
            from += part;
            n -= part;
        }
        return y;
    }

    // ---- both together ----
    template <bool Encrypting>
    [[gnu::target("aes,pclmul,ssse3,sse4.1")]] void run(unsigned char* out, const unsigned char* in, std::size_t n,
                                                        const unsigned char* nonce, unsigned char* tag,
                                                        const unsigned char* more, std::size_t more_size) const noexcept {
        unsigned char first[16] = {};
        std::memcpy(first, nonce, 12);
        first[15] = 1;
        const __m128i first_counter = load(first);
        const __m128i one = _mm_set_epi32(0, 0, 0, 1);
        __m128i counter = reversed(first_counter);
        __m128i y = hash(_mm_setzero_si128(), more, more_size);
        std::size_t left = n;
        for (; left >= stride; left -= stride, in += stride, out += stride) {
            __m128i x[blocks];
#pragma GCC unroll 8
            for (int j = 0; j < blocks; ++j) {
                counter = _mm_add_epi32(counter, one);
                x[j] = _mm_xor_si128(reversed(counter), round_[0]);
            }
            product p = nothing();
            if constexpr (!Encrypting) { // hashing what is there while the rounds run
#pragma GCC unroll 8
                for (int r = 1; r <= blocks; ++r) {
#pragma GCC unroll 8
                    for (int j = 0; j < blocks; ++j) {
                        x[j] = _mm_aesenc_si128(x[j], round_[r]);
                    }
                    __m128i c = reversed(load(in + 16 * (r - 1)));
                    c = r == 1 ? _mm_xor_si128(c, y) : c;
                    add_product(p, c, power_[blocks - r]);
                }
                y = reduce(p);
            }
            for (int r = Encrypting ? 1 : blocks + 1; r < rounds_; ++r) {
#pragma GCC unroll 8
                for (int j = 0; j < blocks; ++j) {
                    x[j] = _mm_aesenc_si128(x[j], round_[r]);
                }
            }
#pragma GCC unroll 8
            for (int j = 0; j < blocks; ++j) {
                x[j] = _mm_xor_si128(_mm_aesenclast_si128(x[j], round_[rounds_]), load(in + 16 * j));
                store(out + 16 * j, x[j]);
            }
            if constexpr (Encrypting) {
#pragma GCC unroll 8
                for (int j = 0; j < blocks; ++j) {
                    __m128i c = reversed(x[j]);
                    c = j == 0 ? _mm_xor_si128(c, y) : c;
                    add_product(p, c, power_[blocks - 1 - j]);
                }
                y = reduce(p);
            }
        }
        while (left != 0) {
            const std::size_t part = std::min<std::size_t>(left, 16);
            counter = _mm_add_epi32(counter, one);
            unsigned char plain[16] = {};
            unsigned char result[16];
            std::memcpy(plain, in, part);
            store(result, _mm_xor_si128(encrypt_block(reversed(counter)), load(plain)));
            std::memset(result + part, 0, 16 - part);
            y = multiply(_mm_xor_si128(y, reversed(load(Encrypting ? result : plain))), power_[0]);
            std::memcpy(out, result, part);
            in += part;
            out += part;
            left -= part;
        }
        const __m128i lengths = _mm_set_epi64x(static_cast<long long>(more_size * 8), static_cast<long long>(n * 8));
        y = multiply(_mm_xor_si128(y, lengths), power_[0]);
        store(tag, _mm_xor_si128(reversed(y), encrypt_block(first_counter)));
    }

    __m128i round_[15];
    __m128i power_[blocks]; // H, H^2, ... H^8
    int rounds_ = 0;
};

/// What the library asks for a cipher. Answers for AES-GCM as TLS uses it, and declines everything else.
inline int answer_aes_gcm(wc_CryptoInfo* info) noexcept {
    constexpr int declined = CRYPTOCB_UNAVAILABLE;
    if (info->cipher.type != WC_CIPHER_AES_GCM) {
        return declined;
    }
    const auto fits = [](const Aes* aes, unsigned nonce, unsigned tag) {
        return nonce == 12 && tag == 16 && (aes->keylen == 16 || aes->keylen == 32);
    };
    const auto key_of = [](const Aes* aes) { return reinterpret_cast<const unsigned char*>(aes->devKey); };
    if (info->cipher.enc != 0) {
        auto& e = info->cipher.aesgcm_enc;
        if (!fits(e.aes, e.ivSz, e.authTagSz)) {
            return declined;
        }
        const aes_gcm gcm(key_of(e.aes), static_cast<std::size_t>(e.aes->keylen), std::max(e.sz, e.authInSz));
        gcm.encrypt(e.out, e.in, e.sz, e.iv, e.authTag, e.authIn, e.authInSz);
        return 0;
    }
    auto& d = info->cipher.aesgcm_dec;
    if (!fits(d.aes, d.ivSz, d.authTagSz)) {
        return declined;
    }
    const aes_gcm gcm(key_of(d.aes), static_cast<std::size_t>(d.aes->keylen), std::max(d.sz, d.authInSz));
    unsigned char tag[16];
    gcm.decrypt(d.out, d.in, d.sz, d.iv, tag, d.authIn, d.authInSz);
    unsigned differences = 0;
    for (int i = 0; i < 16; ++i) {
        differences |= static_cast<unsigned>(tag[i] ^ d.authTag[i]);
    }
    if (differences != 0) { // nobody sees what was not authenticated
        std::memset(d.out, 0, d.sz);
        return AES_GCM_AUTH_E;
    }
    return 0;
}

[[nodiscard]] inline bool has_aes_instructions() noexcept {
    return __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0 &&
           __builtin_cpu_supports("ssse3") != 0 && __builtin_cpu_supports("sse4.1") != 0;
}

} // namespace flux::inline FLUX_ABI::tls::detail

#endif
