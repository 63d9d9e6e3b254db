// SPDX-License-Identifier: MIT
// flux/tls/engine.hpp - one TLS connection without I/O, over wolfSSL. The only header that includes wolfSSL.
//
//   octets from the peer -> feed() -> [whole records] -> handshake() / read() -> plain octets
//   plain octets -> write(), close() -> output() -> octets for the peer
//
// The library is called only when a whole record is there, and its output goes to a buffer that grows, so it is
// never in the middle of a read or a write: a blocked write that must be repeated with the same buffer does not
// exist. Its verdict on a chain is one of two; the other is verify.hpp. Deliberately not here: when to read and
// write (stream.hpp), what a context is made of (context.hpp).
#pragma once

#if defined(WOLF_CRYPT_SETTINGS_H) && !defined(WOLFSSL_OPTIONS_H) // all of its headers include that one
#error "flux: <wolfssl/options.h> must come before every other wolfSSL header, or their structures differ from the library's"
#endif
#include <flux/core/buffer.hpp>
#include <flux/core/function.hpp>
#include <flux/core/result.hpp>
#include <flux/tls/verify.hpp>
#include <flux/tls/zero_pages.hpp>

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

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <malloc.h>

namespace flux::inline FLUX_ABI::tls {

/// Who the peer is, for on_peer and for handlers.
struct peer_info {
    const certificate* leaf = nullptr; ///< the peer's own certificate; never null in on_peer
    std::string_view der;              ///< of it
    bool resumed = false;              ///< the chain was verified when the resumed session began
    std::string_view server_name;      ///< what a client asked for; the host at a client
};

namespace detail {

/// Nothing where `check` lets the peer in.
[[nodiscard]] inline std::optional<finding> refusal_of(unique_function<result<void>(const peer_info&)>& check, const peer_info& who) {
    try {
        const result<void> verdict = check(who);
        return verdict ? std::nullopt : std::optional<finding>(std::in_place, errc::certificate_refused, verdict.error().message());
    } catch (...) {
        return finding(errc::certificate_refused, "on_peer threw an exception");
    }
}

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

} // namespace detail

/// What one connection needs beside its context.
struct engine_setup {
    WOLFSSL_CTX* context = nullptr; ///< outlives the engine
    bool is_server = false;
    expectation expected;           ///< its host and anchors outlive the engine
    std::string_view server_name;   ///< a client's SNI, where it is not the expected host
    std::string_view protocols;     ///< ALPN: "http/1.1", or several with commas; empty: none
    /// Called with a chain that is good; an error refuses it. Borrowed; may be null.
    unique_function<result<void>(const peer_info&)>* on_peer = nullptr;
};

/// One end of one connection.
///
/// Every function leaves octets for the peer in output(), also when it fails: an alert belongs there.
/// Threads  one at a time, on the thread that made it.
/// Cost     about 56 KB, most of it the library's; 25 KB once release_buffers() was called.
class engine {
public:
    enum class progress : std::uint8_t {
        done,      ///< what was asked for; for read(): octets
        want_more, ///< feed() a whole record first
        closed,    ///< the peer sent close_notify
        failed,    ///< take_error() says why; nothing more will work
    };

    static constexpr std::size_t max_plain = 16'384; ///< octets of one record
    /// How many records in a row may carry no data: empty ones, key updates, tickets. Each costs work, and some an answer.
    /// The library itself has a limit for warning alerts, and for all that comes before the end of a handshake.
    static constexpr unsigned max_records_in_vain = 32;

    /// Errors   errc::out_of_memory, errc::bad_setting; EMFILE or ENFILE where the library's generator needs a descriptor.
    [[nodiscard]] static result<std::unique_ptr<engine>> make(const engine_setup& setup) {
        detail::free_tables_at_thread_exit();
        errno = 0;
        std::unique_ptr<engine> e(new engine(setup));
        if (e->ssl_ == nullptr) {
            const int why = errno; // the library does not tell
            if (why == EMFILE || why == ENFILE) {
                error no_seed(std::error_code(why, std::system_category()));
                return flux::fail(std::move(no_seed.doing("the library's random numbers").doing("TLS").phase(error_phase::tls)));
            }
            return flux::fail(make_error(errc::out_of_memory));
        }
        if (!e->configure(setup)) {
            return flux::fail(make_error(errc::bad_setting, "the connection cannot be set up"));
        }
        return e;
    }
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    // ---- ciphertext ----
    void feed(std::string_view octets) {
        in_.append(octets);
        if (whole_ == 0) {
            find_record();
        }
    }
    /// No more octets will come.
    void feed_end() noexcept { ended_ = true; }
    /// Whether read() or handshake() has something to work on, or to say: an end and a failure stay.
    [[nodiscard]] bool has_input() const noexcept {
        return whole_ != 0 || ended_ || peer_closed_ || failed_ || ::wolfSSL_pending(ssl_.get()) > 0;
    }
    /// Octets for the peer; take them, or swap them for an empty buffer.
    [[nodiscard]] byte_buffer& output() noexcept { return out_; }
    /// Gives the memory of empty buffers back; for idle connections. Once, what the library does not use of its own,
    /// too: a server does so after the first octets were read, for connections that only last for one exchange.
    void release_buffers() noexcept {
        in_.shrink_above(0);
        out_.shrink_above(0);
        if (!trimmed_ && complete_ && (was_read_ || !is_server_)) {
            trimmed_ = true;
            trim();
        }
    }
    /// How large a buffer the next read() can fill, at least 1; 0 if it has nothing to work on.
    [[nodiscard]] std::size_t next_read_size() const noexcept {
        const auto waiting = static_cast<std::size_t>(std::max(0, ::wolfSSL_pending(ssl_.get())));
        if (waiting != 0) {
            return waiting;
        }
        return has_input() ? std::clamp<std::size_t>(first_record_, 1, max_plain) : 0;
    }

    // ---- the connection ----
    /// done, want_more or failed.
    [[nodiscard]] progress handshake() {
        if (failed_) {
            return progress::failed;
        }
        const int r = is_server_ ? ::wolfSSL_accept(ssl_.get()) : ::wolfSSL_connect(ssl_.get());
        if (r == WOLFSSL_SUCCESS) {
            complete_ = true;
            records_in_vain_ = 0;
            ::wolfSSL_FreeArrays(ssl_.get());
            if (!is_server_) { // the ticket that was offered does not go with the secrets that there are now
                ::wolfSSL_set_SessionTicket(ssl_.get(), nullptr, 0);
            }
            return session_peer_is_welcome() ? progress::done : progress::failed;
        }
        const progress step = outcome(r);
        if (step == progress::closed) { // close_notify in the middle of a handshake
            code_ = FATAL_ERROR;
            failed_ = true;
            return progress::failed;
        }
        return step;
    }
    [[nodiscard]] bool is_complete() const noexcept { return complete_; }

    /// Plain octets into `out`, which is not empty. `n` is how many when it is done.
    [[nodiscard]] progress read(std::span<std::byte> out, std::size_t& n) {
        if (failed_) {
            return progress::failed;
        }
        const int most = static_cast<int>(std::min<std::size_t>(out.size(), INT_MAX));
        const int r = ::wolfSSL_read(ssl_.get(), out.data(), most);
        if (r > 0) {
            n = static_cast<std::size_t>(r);
            was_read_ = true;
            records_in_vain_ = 0;
            return progress::done;
        }
        return outcome(r);
    }
    /// Works on the records that came, up to the first octets of the application, which stay: done if there are any.
    /// Tickets and key updates are no such octets.
    [[nodiscard]] progress peek() {
        if (failed_) {
            return progress::failed;
        }
        char first = 0;
        const int r = ::wolfSSL_peek(ssl_.get(), &first, 1);
        return r > 0 ? progress::done : outcome(r);
    }
    /// Encrypts everything into output(): records of max_plain octets. done or failed.
    [[nodiscard]] progress write(std::span<const std::byte> plain) {
        if (failed_) {
            return progress::failed;
        }
        make_room_for(plain.size());
        while (!plain.empty()) {
            const std::size_t n = std::min(plain.size(), max_plain);
            const int r = ::wolfSSL_write(ssl_.get(), plain.data(), static_cast<int>(n));
            if (r <= 0) {
                return outcome(r) == progress::failed ? progress::failed : lost();
            }
            plain = plain.subspan(static_cast<std::size_t>(r));
        }
        return progress::done;
    }
    /// Puts close_notify into output(), once. Reading goes on.
    void close() noexcept {
        if (!closed_ && complete_ && !failed_) {
            closed_ = true;
            ::wolfSSL_shutdown(ssl_.get()); // 0 and 1 both mean that it was sent
        }
    }
    [[nodiscard]] bool sent_close() const noexcept { return closed_; }

    /// After `failed`.
    [[nodiscard]] error take_error() const {
        if (finding_) {
            return make_error(finding_->code, finding_->what);
        }
        if (code_ == FATAL_ERROR || code_ == WOLFSSL_ERROR_SSL) {
            if (const auto received = alert_received()) {
                return alert_error(*received);
            }
        }
        const errc code = detail::errc_of(code_);
        if (code == errc::truncated) {
            return make_error(code, complete_ ? "" : "during the handshake");
        }
        if (!chain_.empty()) { // it may have more words for the same, or for what the library calls unknown
            const auto f = explain_chain(chain_, expected_, std::time(nullptr));
            if (f && (f->code == code || code == errc::unknown_authority)) {
                return make_error(f->code, f->what);
            }
        }
        return make_error(code, chain_words(code));
    }

    // ---- facts, once the handshake is complete ----
    [[nodiscard]] std::string_view protocol_version() const noexcept { return ::wolfSSL_get_version(ssl_.get()); }
    [[nodiscard]] std::string_view cipher() const noexcept { return text_or_empty(::wolfSSL_get_cipher_name(ssl_.get())); }
    [[nodiscard]] std::string_view group() const noexcept { return text_or_empty(::wolfSSL_get_curve_name(ssl_.get())); }
    [[nodiscard]] bool resumed() const noexcept { return ::wolfSSL_session_reused(ssl_.get()) != 0; }
    /// The application protocol both sides agreed on; empty: none.
    [[nodiscard]] std::string_view protocol() const noexcept {
        char* name = nullptr;
        unsigned short size = 0;
        const int r = ::wolfSSL_ALPN_GetProtocol(ssl_.get(), &name, &size);
        return r == WOLFSSL_SUCCESS ? std::string_view(name, size) : std::string_view();
    }
    /// The peer's chain, its own certificate first; empty where it showed none, and at a client that resumed a session.
    [[nodiscard]] const std::vector<certificate>& peer_chain() const noexcept { return chain_; }
    [[nodiscard]] std::string_view peer_der() const noexcept { return leaf_der_; }

    // ---- resumption ----
    /// To be resumed by a later connection; null where there is nothing that could be. TLS 1.3 only: 5.5.4 fails a
    /// TLS 1.2 handshake whose ticket the server does not take. Ask after the first read: tickets come late. None is left
    /// of a connection that failed [RFC 8446 6.2], but where the peer only forgot its close_notify.
    [[nodiscard]] detail::session_ptr session() const noexcept {
        const bool trusted = !failed_ || detail::errc_of(code_) == errc::truncated;
        if (!trusted || ::wolfSSL_version(ssl_.get()) != TLS1_3_VERSION) {
            return nullptr;
        }
        detail::session_ptr s(::wolfSSL_get1_session(ssl_.get()));
        return s != nullptr && ::wolfSSL_SESSION_has_ticket(s.get()) != 0 ? std::move(s) : nullptr;
    }
    /// Before the handshake.
    void resume(WOLFSSL_SESSION& session) noexcept { ::wolfSSL_set_session(ssl_.get(), &session); }

    // ---- a server's tickets (ticket_keys.hpp) ----
    /// The chain that the client of this connection has shown, now or when its session began; DER.
    [[nodiscard]] const std::vector<std::string>& session_ders() const noexcept { return resumed() ? session_ders_ : ders_; }
    void forget_session_peer() noexcept {
        session_chain_.clear();
        session_ders_.clear();
    }
    /// The client of a session that may be resumed is judged as if it had shown its chain now: dates, revocation lists,
    /// authorities and names. False: it has to show it.
    [[nodiscard]] bool take_session_peer(const std::vector<std::string>& ders, unix_seconds now) {
        std::vector<certificate> chain;
        for (const std::string& der : ders) {
            auto c = parse_certificate(der);
            if (!c) {
                return false;
            }
            chain.push_back(*std::move(c));
        }
        if (chain.empty() || explain_chain(chain, expected_, now) || judge_chain(chain, expected_)) {
            return false;
        }
        const auto path = path_to_anchor(chain, *expected_.anchors);
        for (const std::size_t i : *path) {
            if (!library_verifies(ders[i])) {
                return false;
            }
        }
        session_chain_ = std::move(chain);
        session_ders_ = ders;
        return true;
    }

    [[nodiscard]] WOLFSSL* native() const noexcept { return ssl_.get(); }

private:
    static constexpr std::size_t header = 5;
    static constexpr std::size_t max_record = 16'384 + 256; // TLS 1.3; what is longer is the library's to refuse

    explicit engine(const engine_setup& setup)
        : ssl_(::wolfSSL_new(setup.context)), expected_(setup.expected), host_(setup.expected.host),
          on_peer_(setup.on_peer), context_(setup.context), is_server_(setup.is_server) {
        expected_.host = host_;
    }

    [[nodiscard]] bool configure(const engine_setup& setup) {
        ::wolfSSL_SetIOReadCtx(ssl_.get(), this);
        ::wolfSSL_SetIOWriteCtx(ssl_.get(), this);
        ::wolfSSL_SetCertCbCtx(ssl_.get(), this);
        if (!is_server_) {
            const std::string_view name = setup.server_name.empty() ? std::string_view(host_) : setup.server_name;
            if (!name.empty() && detail::address_octets(name).empty() &&
                ::wolfSSL_UseSNI(ssl_.get(), WOLFSSL_SNI_HOST_NAME, name.data(), static_cast<unsigned short>(name.size())) !=
                    WOLFSSL_SUCCESS) {
                return false;
            }
        }
        if (!setup.protocols.empty()) {
            std::string list(setup.protocols);
            return ::wolfSSL_UseALPN(ssl_.get(), list.data(), static_cast<unsigned>(list.size()),
                                     WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS;
        }
        return true;
    }

    void make_room_for(std::size_t plain) noexcept {
        constexpr std::size_t most_around = 64; // header, nonce or content type, and tag of a record
        try {
            ignore_result(out_.prepare(plain + (plain / max_plain + 1) * most_around), "room ahead");
        } catch (...) { // on_send says so
        }
    }
    // A session has room for a chain of certificates, which a server never puts there. Memory of another allocator than
    // malloc may be shared, or have been something else than zeros before.
    void trim() noexcept {
        if (const std::size_t size = detail::session_size(); size != 0) {
            const detail::session_ptr s(::wolfSSL_get1_session(ssl_.get()));
            if (s != nullptr) {
                detail::drop_zero_pages(s.get(), size);
            }
        }
    }

    // How much of the input the library may see: one whole record. What is no record at all is shown to it as it is.
    void find_record() noexcept {
        const std::string_view all = in_.view();
        first_record_ = 0;
        if (all.size() < header) {
            return;
        }
        const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(all[i]); };
        const std::size_t length = static_cast<std::size_t>(at(3)) << 8 | at(4);
        if (at(0) < 20 || at(0) > 23 || at(1) != 3 || length > max_record + 2048) {
            whole_ = all.size();
        } else if (all.size() >= header + length) {
            first_record_ = length;
            whole_ = header + length;
        }
    }
    [[nodiscard]] bool is_flooded() const noexcept { return complete_ && records_in_vain_ > max_records_in_vain; }

    [[nodiscard]] progress outcome(int r) {
        const int code = ::wolfSSL_get_error(ssl_.get(), r);
        if (out_of_memory_) {
            code_ = MEMORY_E;
            failed_ = true;
            return progress::failed;
        }
        if (code == WOLFSSL_ERROR_WANT_READ || code == WOLFSSL_ERROR_WANT_WRITE) {
            if (!is_flooded()) {
                return progress::want_more;
            }
            close(); // the library has no way to send another alert
            code_ = ALERT_COUNT_E;
            failed_ = true;
            return progress::failed;
        }
        if (code == WOLFSSL_ERROR_ZERO_RETURN) {
            peer_closed_ = true;
            return progress::closed;
        }
        code_ = code;
        failed_ = true;
        if (code == NO_PEER_CERT && out_.empty() && ::wolfSSL_version(ssl_.get()) == TLS1_2_VERSION) {
            // The library says nothing here. Nothing that a TLS 1.2 server has sent by now was encrypted.
            const char record[] = {21, 3, 3, 0, 2, 2, static_cast<char>(alert::handshake_failure)};
            out_.append(std::string_view(record, sizeof record));
        }
        return progress::failed;
    }
    // The library wants something in the middle of a write: there is no such state.
    [[nodiscard]] progress lost() noexcept {
        failed_ = true;
        return progress::failed;
    }

    [[nodiscard]] std::optional<alert> alert_received() const noexcept {
        WOLFSSL_ALERT_HISTORY history;
        if (::wolfSSL_get_alert_history(ssl_.get(), &history) != WOLFSSL_SUCCESS || history.last_rx.code < 0) {
            return std::nullopt;
        }
        return static_cast<alert>(history.last_rx.code);
    }
    [[nodiscard]] static error alert_error(alert a) {
        std::string what = "peer sent alert ";
        what += to_string(a);
        what += " (" + std::to_string(static_cast<int>(a)) + ')';
        switch (a) {
        case alert::protocol_version: return make_error(errc::no_common_version, std::move(what));
        case alert::no_application_protocol: return make_error(errc::no_common_protocol, std::move(what));
        case alert::certificate_required: what += ": it wants a client certificate"; break;
        default: break;
        }
        return make_error(errc::peer_alert, std::move(what));
    }
    // What the failing certificate says, where that explains the code.
    [[nodiscard]] std::string chain_words(errc code) const {
        if (failing_ < chain_.size()) {
            const certificate& c = chain_[failing_];
            std::string who = "certificate " + detail::quoted(c.subject);
            switch (code) {
            case errc::certificate_expired: return who + " expired on " + date_text(c.not_after);
            case errc::certificate_not_yet_valid: return who + " is valid from " + date_text(c.not_before);
            case errc::unknown_authority:
                who += " was issued by " + detail::quoted(c.issuer);
                return expected_.anchors->contains(c.issuer_name) ? who + ", which is not the trusted one of that name" : who;
            case errc::handshake_failed: break;
            default: return who;
            }
        }
        return code == errc::handshake_failed || code == errc::bad_certificate || code == errc::decode_error
                   ? detail::library_text(code_)
                   : std::string();
    }

    // ---- callbacks of the library; nothing may be thrown through it ----
    static int on_receive(WOLFSSL*, char* to, int size, void* self) noexcept {
        engine& e = *static_cast<engine*>(self);
        const std::size_t n = e.is_flooded() ? 0 : std::min(e.whole_, static_cast<std::size_t>(size));
        if (n == 0) {
            return e.ended_ && !e.is_flooded() ? WOLFSSL_CBIO_ERR_CONN_CLOSE : WOLFSSL_CBIO_ERR_WANT_READ;
        }
        std::memcpy(to, e.in_.view().data(), n);
        e.in_.consume(n);
        e.whole_ -= n;
        if (e.whole_ == 0) {
            ++e.records_in_vain_; // until it turns out to hold data
            e.find_record();
        }
        return static_cast<int>(n);
    }
    static int on_send(WOLFSSL*, char* from, int size, void* self) noexcept {
        engine& e = *static_cast<engine*>(self);
        try {
            e.out_.append(std::string_view(from, static_cast<std::size_t>(size)));
        } catch (...) {
            e.out_of_memory_ = true;
            return WOLFSSL_CBIO_ERR_GENERAL;
        }
        return size;
    }
    // Called for each certificate of a chain, the peer's own last. 0 refuses; 1 would also excuse what the library
    // found wrong, so it is given only where there was nothing.
    static int on_verify(int good, WOLFSSL_X509_STORE_CTX* store) noexcept {
        engine& e = *static_cast<engine*>(store->userCtx);
        try {
            return e.judge(good != 0, *store) ? 1 : 0;
        } catch (...) {
            e.finding_.reset();
            e.out_of_memory_ = true;
            return 0;
        }
    }
    [[nodiscard]] bool judge(bool good, const WOLFSSL_X509_STORE_CTX& store) {
        if (chain_.empty()) {
            for (int i = 0; i < store.totalCerts; ++i) {
                auto c = parse_certificate(der_of(store, i));
                if (!c) {
                    finding_.emplace(errc::bad_certificate, "certificate " + std::to_string(i) + " of the chain cannot be read");
                    return false;
                }
                chain_.push_back(*std::move(c));
            }
        }
        if (!good) {
            failing_ = std::min(failing_, static_cast<std::size_t>(std::max(0, store.error_depth)));
            return false;
        }
        if (finding_) {
            return false;
        }
        const auto depth = static_cast<std::size_t>(store.error_depth);
        if (depth != 0 || chain_.empty()) {
            return true;
        }
        leaf_der_ = std::string(der_of(store, 0));
        if (is_server_) {
            ders_.clear();
            for (int i = 0; i < store.totalCerts; ++i) {
                ders_.emplace_back(der_of(store, i));
            }
        }
        finding_ = judge_chain(chain_, expected_);
        if (!finding_) {
            finding_ = unverified_authority(store);
        }
        if (!finding_ && on_peer_ != nullptr) {
            ask_on_peer(false);
        }
        return !finding_;
    }
    [[nodiscard]] static std::string_view der_of(const WOLFSSL_X509_STORE_CTX& store, int i) noexcept {
        const WOLFSSL_BUFFER_INFO& b = store.certs[i];
        return {reinterpret_cast<const char*>(b.buffer), b.length};
    }
    // The library skips authorities of a chain that it cannot verify, as long as the peer's own certificate has a
    // signer that it knows. Those that the path relies on must be good.
    [[nodiscard]] std::optional<finding> unverified_authority(const WOLFSSL_X509_STORE_CTX& store) const {
        if (::wolfSSL_is_peer_alt_cert_chain(ssl_.get()) == 0) {
            return std::nullopt;
        }
        const auto path = path_to_anchor(chain_, *expected_.anchors);
        for (std::size_t i = 1; path && i < path->size(); ++i) {
            if (!library_verifies(der_of(store, static_cast<int>((*path)[i])))) {
                return finding(errc::unknown_authority, detail::quoted(chain_[(*path)[i]].subject) + " cannot be verified");
            }
        }
        return std::nullopt;
    }
    [[nodiscard]] bool library_verifies(std::string_view der) const noexcept {
        return ::wolfSSL_CertManagerVerifyBuffer(::wolfSSL_CTX_GetCertManager(context_),
                                                 reinterpret_cast<const unsigned char*>(der.data()),
                                                 static_cast<long>(der.size()), WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
    }
    // The client of a resumed session, once it has proved to own it. The library has no way to send an alert by now.
    [[nodiscard]] bool session_peer_is_welcome() {
        if (!is_server_ || session_chain_.empty() || !resumed()) {
            return true;
        }
        chain_ = std::move(session_chain_);
        leaf_der_ = session_ders_.front();
        if (on_peer_ != nullptr) {
            ask_on_peer(true);
        }
        if (finding_) {
            close();
            failed_ = true;
        }
        return !finding_;
    }
    void ask_on_peer(bool was_resumed) {
        peer_info who;
        who.leaf = &chain_.front();
        who.der = leaf_der_;
        who.resumed = was_resumed;
        who.server_name = host_;
        finding_ = detail::refusal_of(*on_peer_, who);
    }
    [[nodiscard]] static std::string_view text_or_empty(const char* text) noexcept {
        return text == nullptr ? std::string_view() : std::string_view(text);
    }

    friend struct engine_callbacks;

    byte_buffer in_;
    byte_buffer out_;
    detail::ssl_ptr ssl_;
    expectation expected_;
    std::string host_;
    std::vector<certificate> chain_;
    std::string leaf_der_;
    std::vector<std::string> ders_;           // a server's: of chain_
    std::vector<certificate> session_chain_;  // of the session that its client wants to resume
    std::vector<std::string> session_ders_;
    std::optional<finding> finding_;
    unique_function<result<void>(const peer_info&)>* on_peer_;
    WOLFSSL_CTX* context_;
    std::size_t whole_ = 0;        // octets of in_ that the library may take: of one whole record
    std::size_t first_record_ = 0; // its payload
    unsigned records_in_vain_ = 0; // since there was data
    std::size_t failing_ = ~std::size_t{0}; // the certificate that the library refused
    int code_ = 0;
    bool is_server_;
    bool complete_ = false;
    bool was_read_ = false;
    bool trimmed_ = false;
    bool closed_ = false;      // close_notify was sent
    bool peer_closed_ = false; // and received
    bool ended_ = false;
    bool failed_ = false;
    bool out_of_memory_ = false;
};

/// Sets the callbacks that an engine needs on a context.
struct engine_callbacks {
    /// Params  mode  WOLFSSL_VERIFY_*; with WOLFSSL_VERIFY_NONE nothing is judged.
    static void install(WOLFSSL_CTX& context, int mode) noexcept {
        ::wolfSSL_CTX_SetIORecv(&context, &engine::on_receive);
        ::wolfSSL_CTX_SetIOSend(&context, &engine::on_send);
        ::wolfSSL_CTX_set_verify(&context, mode, mode == WOLFSSL_VERIFY_NONE ? nullptr : &engine::on_verify);
    }
};

} // namespace flux::inline FLUX_ABI::tls
