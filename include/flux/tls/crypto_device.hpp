// SPDX-License-Identifier: MIT
// flux/tls/crypto_device.hpp - crypto_device: owns which questions of the TLS library flux answers in its place.
//
//   library -> crypto_callback -> AES-GCM: aesni.hpp | SHA-256: sha256ni.hpp | seed: getrandom() | all else: its own way
//
// The library seeds a generator for each connection, by opening, reading and closing /dev/urandom: 3 us, and a
// connection that has been accepted fails when that was the last descriptor. getrandom() is the same source without
// either. On x86-64 only, where the library has callbacks and no AES instructions of its own: elsewhere it answers all
// of it itself. Deliberately not here: AES, SHA-256, and the keys of TLS 1.3 (key_schedule.hpp), which no device is asked for.
#pragma once

#include <flux/tls/aesni.hpp>
#include <flux/tls/key_schedule.hpp>
#include <flux/tls/sha256ni.hpp>

#include <cerrno>

#include <sys/random.h>

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI)

namespace flux::inline FLUX_ABI::tls::detail {

/// Fills what the library wants to seed a generator with; declines where the kernel has no getrandom().
inline int answer_seed(wc_CryptoInfo* info) noexcept {
    unsigned char* to = info->seed.seed;
    for (std::size_t left = info->seed.sz; left != 0;) { // longer than 256 octets it may come in pieces, or be interrupted
        const auto n = ::getrandom(to, left, 0);
        if (n > 0) {
            to += n;
            left -= static_cast<std::size_t>(n);
        } else if (n == 0 || errno != EINTR) {
            return CRYPTOCB_UNAVAILABLE;
        }
    }
    return 0;
}

template <bool WithAes, bool WithSha>
inline int crypto_callback(int, wc_CryptoInfo* info, void*) noexcept {
    switch (info->algo_type) {
    case WC_ALGO_TYPE_CIPHER: return WithAes ? answer_aes_gcm(info) : CRYPTOCB_UNAVAILABLE;
    case WC_ALGO_TYPE_HASH: return WithSha ? answer_sha256(info) : CRYPTOCB_UNAVAILABLE;
    case WC_ALGO_TYPE_SEED: return answer_seed(info);
    default: return CRYPTOCB_UNAVAILABLE;
    }
}

// Devices are the library's, global, and few: one registration per process. Any number but INVALID_DEVID does.
inline constexpr int crypto_device = 0x666c7578;
[[nodiscard]] inline CryptoDevCallbackFunc best_crypto_callback() noexcept {
    if (has_sha_instructions()) {
        return has_aes_instructions() ? &crypto_callback<true, true> : &crypto_callback<false, true>;
    }
    return has_aes_instructions() ? &crypto_callback<true, false> : &crypto_callback<false, false>;
}
[[nodiscard]] inline bool register_crypto_device() noexcept {
    static const bool registered =
        library_ready().has_value() && ::wc_CryptoCb_RegisterDevice(crypto_device, best_crypto_callback(), nullptr) == 0;
    return registered;
}

/// Before connections are made from this context.
/// Returns  whether they encrypt AES with the processor's instructions.
[[nodiscard]] inline bool use_crypto_device(WOLFSSL_CTX* context) noexcept {
    if (!register_crypto_device() || ::wolfSSL_CTX_SetDevId(context, crypto_device) != WOLFSSL_SUCCESS) {
        return false;
    }
    use_key_schedule(context);
    return has_aes_instructions();
}

} // namespace flux::inline FLUX_ABI::tls::detail

#else

namespace flux::inline FLUX_ABI::tls::detail {

inline constexpr int crypto_device = INVALID_DEVID;

/// No callbacks: the library does all of it.
/// Returns  whether it was built with AES instructions of its own for x86-64; of those of other processors nothing is known.
[[nodiscard]] inline bool use_crypto_device(WOLFSSL_CTX*) noexcept {
#if defined(WOLFSSL_AESNI)
    return true;
#else
    return false;
#endif
}

} // namespace flux::inline FLUX_ABI::tls::detail

#endif
