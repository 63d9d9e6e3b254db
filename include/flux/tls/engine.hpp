// SPDX-License-Identifier: MIT
// flux/tls/engine.hpp - one TLS connection without I/O.
//
//   octets from the peer -> feed() -> [whole records] -> handshake() / read() -> plain octets
//   plain octets -> write(), close() -> output() -> octets for the peer
//
// The library is called only when a whole record is there, and its output goes to a buffer that grows, so it is
// never in the middle of a read or a write: a blocked write that must be repeated with the same buffer does not
// exist. Deliberately not here: whether the peer is welcome (peer_judge.hpp), when to read and write (stream.hpp).
#pragma once

#include <flux/core/buffer.hpp>
#include <flux/core/function.hpp>
#include <flux/core/result.hpp>
#include <flux/tls/library.hpp>
#include <flux/tls/peer_judge.hpp>
#include <flux/tls/zero_pages.hpp>

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

namespace flux::inline FLUX_ABI::tls {

/// What one connection needs beside its context.
struct engine_setup {
    WOLFSSL_CTX* context = nullptr; ///< outlives the engine
    bool is_server = false;
    expectation expected;           ///< its host and anchors outlive the engine
    std::string_view server_name;   ///< at a server: what the client asked for
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
        return whole_ != 0 || ended_ || is_over() || ::wolfSSL_pending(ssl_.get()) > 0;
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
            if (is_server_ && resumed() && !judge_.welcomes_back()) {
                close(); // the library has no way to send an alert by now
                failed_ = true;
                return progress::failed;
            }
            return progress::done;
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
        if (is_over()) {
            return the_end();
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
        if (is_over()) {
            return the_end();
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
        if (const auto& refusal = judge_.refusal(); refusal && !out_of_memory_) {
            return make_error(refusal->code, refusal->what);
        }
        if (code_ == FATAL_ERROR || code_ == WOLFSSL_ERROR_SSL) {
            if (const auto received = alert_received()) {
                return detail::alert_error(*received);
            }
        }
        const errc code = detail::errc_of(code_);
        if (code == errc::truncated) {
            return make_error(code, complete_ ? "" : "during the handshake");
        }
        return judge_.explain(code, code_);
    }

    // ---- facts, once the handshake is complete ----
    [[nodiscard]] std::string_view protocol_version() const noexcept { return ::wolfSSL_get_version(ssl_.get()); }
    [[nodiscard]] std::string_view cipher() const noexcept { return text_or_empty(::wolfSSL_get_cipher_name(ssl_.get())); }
    [[nodiscard]] bool resumed() const noexcept { return ::wolfSSL_session_reused(ssl_.get()) != 0; }
    /// The application protocol both sides agreed on; empty: none.
    [[nodiscard]] std::string_view protocol() const noexcept {
        char* name = nullptr;
        unsigned short size = 0;
        const int r = ::wolfSSL_ALPN_GetProtocol(ssl_.get(), &name, &size);
        return r == WOLFSSL_SUCCESS ? std::string_view(name, size) : std::string_view();
    }
    /// The peer's chain, its own certificate first; empty where it showed none, and at a client that resumed a session.
    [[nodiscard]] const std::vector<certificate>& peer_chain() const noexcept { return judge_.chain(); }
    [[nodiscard]] std::string_view peer_der() const noexcept { return judge_.leaf_der(); }

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
    [[nodiscard]] const std::vector<std::string>& session_ders() const noexcept {
        return resumed() ? judge_.session_ders() : judge_.ders();
    }
    [[nodiscard]] detail::peer_judge& judge() noexcept { return judge_; }

    [[nodiscard]] WOLFSSL* native() const noexcept { return ssl_.get(); }

private:
    static constexpr std::size_t header = 5;
    static constexpr std::size_t max_record = 16'384 + 256; // TLS 1.3; what is longer is the library's to refuse

    explicit engine(const engine_setup& setup)
        : ssl_(::wolfSSL_new(setup.context)),
          judge_(setup.expected, setup.is_server ? setup.server_name : setup.expected.host, setup.on_peer, *setup.context),
          is_server_(setup.is_server) {}

    [[nodiscard]] bool configure(const engine_setup& setup) {
        ::wolfSSL_SetIOReadCtx(ssl_.get(), this);
        ::wolfSSL_SetIOWriteCtx(ssl_.get(), this);
        ::wolfSSL_SetCertCbCtx(ssl_.get(), this);
        if (!is_server_) {
            const std::string_view name = setup.expected.host;
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
    // The library must not be asked again: once both ends have said close_notify it would begin another handshake.
    [[nodiscard]] bool is_over() const noexcept { return failed_ || peer_closed_; }
    [[nodiscard]] progress the_end() const noexcept { return failed_ ? progress::failed : progress::closed; }
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
            return e.judge_.judge(good != 0, *store, *e.ssl_) ? 1 : 0;
        } catch (...) {
            e.out_of_memory_ = true;
            return 0;
        }
    }
    [[nodiscard]] static std::string_view text_or_empty(const char* text) noexcept {
        return text == nullptr ? std::string_view() : std::string_view(text);
    }

    friend struct engine_callbacks;

    byte_buffer in_;
    byte_buffer out_;
    detail::ssl_ptr ssl_;
    detail::peer_judge judge_;
    std::size_t whole_ = 0;        // octets of in_ that the library may take: of one whole record
    std::size_t first_record_ = 0; // its payload
    unsigned records_in_vain_ = 0; // since there was data
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
