// SPDX-License-Identifier: MIT
// flux/tls/key_schedule.hpp - HKDF as TLS 1.3 uses it, over sha256ni.hpp.
//
//   library -> expand_label_callback, extract_callback -> hmac_sha256        (other hashes, odd sizes: the library's own way)
//
// A full handshake of a server derives some twenty secrets and keys. The library gives its crypto devices no part in
// that, so their hashes never reach sha256ni.hpp, but it has callbacks for these two functions. Nothing is kept between
// two calls. Deliberately not here: what is derived from what, which stays the library's.
#pragma once

#include <flux/tls/sha256ni.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI) && defined(WOLFSSL_TLS13) && \
    defined(HAVE_PK_CALLBACKS) && defined(HAVE_HKDF) && LIBWOLFSSL_VERSION_HEX >= 0x05005004

namespace flux::inline FLUX_ABI::tls::detail {

/// HKDF-Expand-Label [RFC 8446 7.1]. Returns  0; NOT_COMPILED_IN: the library does it.
inline int expand_label_callback(unsigned char* out, word32 n, const unsigned char* key, word32 key_size,
                                 const unsigned char* protocol, word32 protocol_size, const unsigned char* label,
                                 word32 label_size, const unsigned char* context, word32 context_size, int algorithm,
                                 int /*side*/) noexcept {
    constexpr std::size_t most = 255; // octets of a label, and of a context
    if (algorithm != WC_SHA256 || n > most * sha256_size || protocol_size > most || label_size > most - protocol_size ||
        context_size > most) {
        return NOT_COMPILED_IN;
    }
    unsigned char info[2 + 1 + most + 1 + most];
    std::size_t at = 0;
    const auto put = [&](std::size_t octet) { info[at++] = static_cast<unsigned char>(octet); };
    const auto append = [&](const unsigned char* from, std::size_t size) {
        if (size != 0) {
            std::memcpy(info + at, from, size);
            at += size;
        }
    };
    put(n >> 8);
    put(n);
    put(protocol_size + label_size);
    append(protocol, protocol_size);
    append(label, label_size);
    put(context_size);
    append(context, context_size);

    hmac_sha256 hmac(key, key_size);
    unsigned char block[sha256_size];
    for (unsigned char number = 1; n != 0; ++number) { // HKDF-Expand [RFC 5869 2.3]
        if (number != 1) {
            hmac.add(block, sizeof block);
        }
        hmac.add(info, at);
        hmac.add(&number, 1);
        hmac.end(block);
        const word32 part = std::min<word32>(n, sizeof block);
        std::memcpy(out, block, part);
        out += part;
        n -= part;
    }
    ::explicit_bzero(block, sizeof block);
    return 0;
}

/// HKDF-Extract [RFC 5869 2.2]; without a salt, or without a secret, zeros stand for it [RFC 8446 7.1].
/// Params  out  may be `secret`.
inline int extract_callback(unsigned char* out, const unsigned char* salt, word32 salt_size, unsigned char* secret,
                            word32 secret_size, int algorithm, void* /*unused*/) noexcept {
    if (algorithm != WC_SHA256) {
        return ::wc_Tls13_HKDF_Extract(out, salt, static_cast<int>(salt_size), secret, static_cast<int>(secret_size), algorithm);
    }
    hmac_sha256 hmac(salt, salt == nullptr ? 0 : salt_size); // HMAC fills a key up with zeros itself
    if (secret_size == 0) {
        std::memset(secret, 0, sha256_size); // as the library does: there is room for a hash, and it may be read later
        secret_size = sha256_size;
    }
    hmac.add(secret, secret_size);
    hmac.end(out);
    return 0;
}

/// Before connections are made from this context. Nothing changes where the processor has no SHA instructions.
inline void use_key_schedule(WOLFSSL_CTX* context) noexcept {
    if (has_sha_instructions()) {
        ::wolfSSL_CTX_SetHKDFExpandLabelCb(context, &expand_label_callback);
        ::wolfSSL_CTX_SetHKDFExtractCb(context, &extract_callback);
    }
}

} // namespace flux::inline FLUX_ABI::tls::detail

#else

namespace flux::inline FLUX_ABI::tls::detail {

inline void use_key_schedule(WOLFSSL_CTX*) noexcept {} // the library's own way

} // namespace flux::inline FLUX_ABI::tls::detail

#endif
