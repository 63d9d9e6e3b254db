// SPDX-License-Identifier: MIT
// flux/tls/library.hpp - wolfSSL: the only header that includes it, and who owns what it hands out.
//
// What the library has to be told once per process and thread is here, and what its numbers are called by everybody else.
// Deliberately not here: what is done with it, for one connection (engine.hpp) or for many (context_core.hpp).
#pragma once

#if defined(WOLF_CRYPT_SETTINGS_H) && !defined(WOLFSSL_OPTIONS_H) // all of its headers include that one
#error "flux: <wolfssl/options.h> must come before every other wolfSSL header, or their structures differ from the library's"
#endif
#include <flux/core/result.hpp>
#include <flux/tls/error.hpp>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>
#if defined(WOLF_CRYPTO_CB)
#include <wolfssl/wolfcrypt/cryptocb.h>
#endif

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <malloc.h>

namespace flux::inline FLUX_ABI::tls::detail {

/// Initialises the library, once per process. Errors  errc::bad_setting.
[[nodiscard]] inline result<void> library_ready() {
    static const int initialised = ::wolfSSL_Init();
    if (initialised != WOLFSSL_SUCCESS) {
        return flux::fail(make_error(errc::bad_setting, "wolfSSL cannot be initialised"));
    }
    return {};
}

// wolfCrypt keeps tables of curve points per thread, up to 12 MB of them, and frees them only when asked to.
class thread_tables {
public:
    thread_tables() noexcept = default;
    thread_tables(const thread_tables&) = delete;
    thread_tables& operator=(const thread_tables&) = delete;
    ~thread_tables() {
#if defined(FP_ECC)
        ::wc_ecc_fp_free();
#endif
    }
    void touch() noexcept { used_ = true; }

private:
    bool used_ = false;
};
[[gnu::noinline]] inline void free_tables_at_thread_exit() noexcept {
    thread_local thread_tables tables;
    tables.touch();
}
/// Makes the tables that signatures with P-256 use, which would cost one of this thread's first handshakes 3 ms.
/// Cost  4 ms, once per thread; nothing where the library has no such tables.
[[gnu::noinline]] inline void warm_up_thread() noexcept {
    free_tables_at_thread_exit();
#if defined(FP_ECC) && defined(WOLFSSL_KEY_GEN)
    thread_local bool warm = false;
    WC_RNG random;
    if (std::exchange(warm, true) || ::wc_InitRng(&random) != 0) {
        return;
    }
    for (int i = 0; i < 2; ++i) { // the second time that a point is used its table is made
        ecc_key key;
        if (::wc_ecc_init(&key) == 0) {
            ignore_result(::wc_ecc_make_key_ex(&random, 32, &key, ECC_SECP256R1), "the first handshakes take longer then");
            ::wc_ecc_free(&key);
        }
    }
    ::wc_FreeRng(&random);
#endif
}

struct free_ssl {
    void operator()(WOLFSSL* s) const noexcept { ::wolfSSL_free(s); }
};
struct free_context {
    void operator()(WOLFSSL_CTX* c) const noexcept { ::wolfSSL_CTX_free(c); }
};
struct free_session {
    void operator()(WOLFSSL_SESSION* s) const noexcept { ::wolfSSL_SESSION_free(s); }
};
using ssl_ptr = std::unique_ptr<WOLFSSL, free_ssl>;
using context_ptr = std::unique_ptr<WOLFSSL_CTX, free_context>;
using session_ptr = std::unique_ptr<WOLFSSL_SESSION, free_session>;

// Octets of a session that certainly belong to it; 0 where they are not from malloc. The library does not tell.
[[nodiscard]] inline std::size_t session_size() noexcept {
#if defined(WOLFSSL_STATIC_MEMORY)
    return 0;
#else
    static const std::size_t size = [] {
        wolfSSL_Malloc_cb other_malloc = nullptr;
        wolfSSL_Free_cb other_free = nullptr;
        wolfSSL_Realloc_cb other_realloc = nullptr;
        const int known = ::wolfSSL_GetAllocators(&other_malloc, &other_free, &other_realloc);
        const session_ptr probe(known == 0 && other_malloc == nullptr ? ::wolfSSL_SESSION_new() : nullptr);
        constexpr std::size_t slack = 64; // how much larger than asked for one block may be, and another not
        const std::size_t usable = probe == nullptr ? 0 : ::malloc_usable_size(probe.get());
        return usable > slack ? usable - slack : 0;
    }();
    return size;
#endif
}

/// The library's number as one of ours.
[[nodiscard]] inline errc errc_of(int code) noexcept {
    switch (code) {
    case ASN_AFTER_DATE_E: return errc::certificate_expired;
    case ASN_BEFORE_DATE_E: return errc::certificate_not_yet_valid;
    case ASN_NO_SIGNER_E: return errc::unknown_authority;
    case ASN_SELF_SIGNED_E: return errc::self_signed;
    case CRL_CERT_REVOKED:
    case OCSP_CERT_REVOKED: return errc::certificate_revoked;
    case CRL_MISSING:
    case CRL_CERT_DATE_ERR:
    case ASN_CRL_NO_SIGNER_E: return errc::revocation_unknown;
    case ASN_NAME_INVALID_E: return errc::name_not_permitted;
    case ASN_PATHLEN_SIZE_E:
    case ASN_PATHLEN_INV_E:
    case MAX_CHAIN_ERROR: return errc::path_too_long;
    case NOT_CA_ERROR: return errc::not_an_authority;
    case KEYUSE_SIGNATURE_E:
    case KEYUSE_ENCIPHER_E:
    case EXTKEYUSE_AUTH_E: return errc::wrong_usage;
    case RSA_KEY_SIZE_E:
    case ECC_KEY_SIZE_E: return errc::weak_key;
    case DOMAIN_NAME_MISMATCH:
    case IPADDR_MISMATCH: return errc::name_mismatch;
    case NO_PEER_CERT: return errc::certificate_required;
    case VERSION_ERROR: return errc::no_common_version;
    case MATCH_SUITE_ERROR:
    case UNSUPPORTED_SUITE:
    case KEY_SHARE_ERROR: return errc::no_common_cipher;
    case UNKNOWN_ALPN_PROTOCOL_NAME_E: return errc::no_common_protocol;
    case FATAL_ERROR: return errc::peer_alert;
    case SOCKET_PEER_CLOSED_E:
    case SOCKET_ERROR_E: return errc::truncated;
    case VERIFY_MAC_ERROR:
    case DECRYPT_ERROR:
    case AES_GCM_AUTH_E:
    case MAC_CMP_FAILED_E: return errc::bad_record;
    case BUFFER_ERROR:
    case LENGTH_ERROR:
    case PARSE_ERROR:
    case DECODE_E:
    case INCOMPLETE_DATA:
    case UNKNOWN_RECORD_TYPE:
    case HANDSHAKE_SIZE_ERROR: return errc::decode_error;
    case VERIFY_CERT_ERROR:
    case ASN_PARSE_E:
    case ASN_SIG_CONFIRM_E:
    case ASN_SIG_OID_E:
    case ASN_SIG_HASH_E:
    case ASN_SIG_KEY_E:
    case ASN_CRIT_EXT_E:
    case PEER_KEY_ERROR:
    case VERIFY_SIGN_ERROR: return errc::bad_certificate;
    case ALERT_COUNT_E: return errc::flooded;
    case MEMORY_E:
    case MEMORY_ERROR: return errc::out_of_memory;
    default: return errc::handshake_failed;
    }
}

/// The library's own words for one of its numbers: `Signature verify failed (-330)`.
[[nodiscard]] inline std::string library_text(int code) {
    const char* text = ::wolfSSL_ERR_reason_error_string(static_cast<unsigned long>(static_cast<long>(code)));
    return std::string(text == nullptr ? "wolfSSL" : text) + " (" + std::to_string(code) + ')';
}

[[nodiscard]] inline const unsigned char* octets_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

} // namespace flux::inline FLUX_ABI::tls::detail
