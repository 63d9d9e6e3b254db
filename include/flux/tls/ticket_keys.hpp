// SPDX-License-Identifier: MIT
// flux/tls/ticket_keys.hpp - the secrets that session tickets of a server are sealed with, and what tickets stand for.
//
//   session -> seal(newest key, scope) -> ticket -> the client -> open(key by name, same scope) -> session | full handshake
//
// One object may be shared by contexts, workers and, through secrets of one's own, by processes and hosts. A ticket is
// good for servers of the names it was made for and for no others, however many share a key. What the library puts into
// a ticket has no room for a client's certificate: its chain stays here, and the ticket holds its fingerprint.
// Deliberately not here: which handshakes may be resumed (context.hpp, engine.hpp), TLS 1.2 session identifiers.
#pragma once

#include <flux/core/result.hpp>
#include <flux/core/time.hpp>
#include <flux/tls/crypto_device.hpp>
#include <flux/tls/engine.hpp>
#include <flux/tls/fingerprint.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <string.h>
#include <sys/random.h>

namespace flux::inline FLUX_ABI::tls {

namespace detail {

// False if the kernel has no random octets to give, which does not happen once it has booted.
[[nodiscard]] inline bool fill_randomly(unsigned char* to, std::size_t n) noexcept {
    return ::getrandom(to, n, 0) == static_cast<::ssize_t>(n);
}

/// One key: its name, which is in the clear, and what tickets are sealed with. Both come from one secret.
struct ticket_key {
    ticket_key() = default;
    ticket_key(const ticket_key&) = default;
    ticket_key& operator=(const ticket_key&) = default;
    ~ticket_key() { wipe(); }
    void wipe() noexcept { ::explicit_bzero(secret.data(), secret.size()); }

    [[nodiscard]] bool derive(std::string_view from) noexcept {
        const auto* in = reinterpret_cast<const unsigned char*>(from.data());
        const auto size = static_cast<unsigned>(from.size());
        const auto expand = [&](std::string_view label, unsigned char* to, unsigned n) {
            return ::wc_HKDF(WC_SHA256, in, size, nullptr, 0, reinterpret_cast<const unsigned char*>(label.data()),
                             static_cast<unsigned>(label.size()), to, n) == 0;
        };
        return expand("flux ticket name", name.data(), 16) && expand("flux ticket key", secret.data(), 32);
    }
    std::array<unsigned char, 16> name{};
    std::array<unsigned char, 32> secret{};
    time_point made{};
};

/// A client's chain, by its fingerprint.
using peer_id = std::array<unsigned char, 24>;

// What flux puts behind the library's octets of a ticket, which has room for 32.
struct ticket_note {
    unix_seconds issued = 0;
    bool has_peer = false;
    peer_id peer{};
    static constexpr std::size_t size = 7 + 1 + 24;
};

/// The chain that a client had shown, DER, its own certificate first.
using peer_ders = std::shared_ptr<const std::vector<std::string>>;

} // namespace detail

/// Keys of tickets, the newest first; clients' chains beside them.
///
/// Without set() the secrets are random, belong to this object, and are replaced by themselves.
/// Threads  all functions, from any thread.
/// Cost     about 2 microseconds per ticket; 1 to 4 KiB for each client certificate that tickets stand for, 1024 at most.
class ticket_keys {
public:
    static constexpr std::size_t secret_size = 32;
    static constexpr std::size_t max_keys = 8;  ///< older ones are not accepted any more
    static constexpr std::size_t max_peers = 1024;

    /// Params  every  how long a random key seals; then it is accepted as long again. Zero: until rotate().
    explicit ticket_keys(milliseconds every = std::chrono::hours(12)) : every_(every) {}
    ticket_keys(const ticket_keys&) = delete;
    ticket_keys& operator=(const ticket_keys&) = delete;

    /// Replaces all keys: the first secret seals, all of them open. For processes and hosts that share them; to rotate,
    /// put the new one first on the machines of all, then leave the old one out. Nothing is rotated by itself from then on.
    /// Params   secrets  1 to max_keys of 32 octets each, no two the same.
    /// Errors   errc::bad_setting; the keys stay what they were.
    [[nodiscard]] result<void> set(const std::vector<std::string>& secrets) {
        if (secrets.empty() || secrets.size() > max_keys) {
            return bad("1 to 8 ticket secrets");
        }
        std::vector<detail::ticket_key> made(secrets.size());
        for (std::size_t i = 0; i < secrets.size(); ++i) {
            if (secrets[i].size() != secret_size) {
                return bad("a ticket secret has 32 octets");
            }
            if (!made[i].derive(secrets[i])) {
                return bad("no ticket key can be derived");
            }
            for (std::size_t k = 0; k < i; ++k) {
                if (made[k].name == made[i].name) {
                    return bad("two ticket secrets are the same");
                }
            }
        }
        const std::lock_guard lock(mutex_);
        wipe_locked();
        for (const detail::ticket_key& k : made) {
            keys_[count_++] = k;
        }
        given_ = true;
        return {};
    }
    /// A new random key seals from now on; those before are accepted for the period of the constructor.
    /// Errors   errc::bad_setting without random octets.
    [[nodiscard]] result<void> rotate(time_point now = std::chrono::steady_clock::now()) {
        const std::lock_guard lock(mutex_);
        return rotate_locked(now) ? result<void>() : bad("no random octets");
    }
    /// 32 random octets for set().
    [[nodiscard]] static result<std::string> make_secret() {
        std::string secret(secret_size, '\0');
        if (!detail::fill_randomly(reinterpret_cast<unsigned char*>(secret.data()), secret.size())) {
            return flux::fail(make_error(errc::bad_setting, "no random octets"));
        }
        return secret;
    }
    /// How many keys open tickets now.
    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return count_;
    }
    ~ticket_keys() { wipe_locked(); }

    // ---- for contexts ----
    /// Seals `n` octets of `ticket` and the note behind them in place. Returns  how many there are then; 0: it cannot.
    /// Params   room  of `ticket`.  iv, mac  16 and 32 octets, written.
    [[nodiscard]] std::size_t seal(const detail::digest& scope, const detail::ticket_note& note, unsigned char* name,
                                   unsigned char* iv, unsigned char* mac, unsigned char* ticket, std::size_t n,
                                   std::size_t room, time_point now = std::chrono::steady_clock::now()) {
        const std::size_t whole = n + detail::ticket_note::size;
        std::memset(iv, 0, 16);
        std::memset(mac, 0, 32);
        const std::lock_guard lock(mutex_);
        age_locked(now);
        if (whole > room || count_ == 0 || !detail::fill_randomly(iv, nonce_size)) {
            return 0;
        }
        std::memcpy(name, keys_[0].name.data(), 16);
        write_note(note, ticket + n);
        const bool sealed = with_cipher(keys_[0], [&](::Aes* aes) {
            return ::wc_AesGcmEncrypt(aes, ticket, ticket, static_cast<unsigned>(whole), iv, nonce_size, mac, tag_size,
                                      scope.data(), static_cast<unsigned>(scope.size()));
        });
        return sealed ? whole : 0;
    }
    struct opened {
        std::size_t size = 0;     ///< octets of the library; 0: the ticket is not ours
        bool by_newest = false;   ///< else the client should get a new one
        detail::ticket_note note;
    };
    /// Opens in place.
    [[nodiscard]] opened open(const detail::digest& scope, const unsigned char* name, const unsigned char* iv,
                              const unsigned char* mac, unsigned char* ticket, std::size_t n,
                              time_point now = std::chrono::steady_clock::now()) {
        opened o;
        const std::lock_guard lock(mutex_);
        age_locked(now);
        for (std::size_t i = 0; i < count_ && n > detail::ticket_note::size; ++i) {
            if (std::memcmp(keys_[i].name.data(), name, 16) != 0) {
                continue;
            }
            const bool good = with_cipher(keys_[i], [&](::Aes* aes) {
                return ::wc_AesGcmDecrypt(aes, ticket, ticket, static_cast<unsigned>(n), iv, nonce_size, mac, tag_size,
                                          scope.data(), static_cast<unsigned>(scope.size()));
            });
            if (good) {
                o.size = n - detail::ticket_note::size;
                o.by_newest = i == 0;
                read_note(ticket + o.size, o.note);
            }
            break;
        }
        return o;
    }
    void remember(const detail::peer_id& id, detail::peer_ders chain) {
        const std::lock_guard lock(mutex_);
        if (!peers_.insert_or_assign(id, std::move(chain)).second) {
            return;
        }
        order_.push_back(id);
        while (order_.size() > max_peers) {
            peers_.erase(order_.front());
            order_.pop_front();
        }
    }
    /// Null where it was forgotten, or another process knows it.
    [[nodiscard]] detail::peer_ders peer(const detail::peer_id& id) const {
        const std::lock_guard lock(mutex_);
        const auto at = peers_.find(id);
        return at == peers_.end() ? nullptr : at->second;
    }

private:
    static constexpr unsigned nonce_size = 12;
    static constexpr unsigned tag_size = 16;

    [[nodiscard]] static failure bad(const char* why) { return flux::fail(make_error(errc::bad_setting, why)); }

    template <class F>
    [[nodiscard]] static bool with_cipher(const detail::ticket_key& k, F&& f) noexcept {
        ::Aes aes;
        if (::wc_AesInit(&aes, nullptr, detail::crypto_device) != 0) {
            return false;
        }
        const bool done = ::wc_AesGcmSetKey(&aes, k.secret.data(), static_cast<unsigned>(k.secret.size())) == 0 && f(&aes) == 0;
        ::wc_AesFree(&aes);
        ::explicit_bzero(&aes, sizeof aes);
        return done;
    }
    static void write_note(const detail::ticket_note& note, unsigned char* to) noexcept {
        for (int i = 0; i < 7; ++i) {
            to[i] = static_cast<unsigned char>(static_cast<std::uint64_t>(note.issued) >> (48 - 8 * i));
        }
        to[7] = note.has_peer ? 1 : 0;
        std::memcpy(to + 8, note.peer.data(), note.peer.size());
    }
    static void read_note(const unsigned char* from, detail::ticket_note& note) noexcept {
        std::uint64_t issued = 0;
        for (int i = 0; i < 7; ++i) {
            issued = issued << 8 | from[i];
        }
        note.issued = static_cast<unix_seconds>(issued);
        note.has_peer = from[7] != 0;
        std::memcpy(note.peer.data(), from + 8, note.peer.size());
    }
    // The first key is made here, later ones when their time has come; what is too old goes.
    void age_locked(time_point now) noexcept {
        if (given_) {
            return;
        }
        if (count_ == 0 || (every_.count() > 0 && now - keys_[0].made >= every_)) {
            std::ignore = rotate_locked(now);
        }
        while (count_ > 1 && every_.count() > 0 && now - keys_[count_ - 2].made >= every_) {
            keys_[--count_].wipe(); // its successor has sealed for a whole period
        }
    }
    [[nodiscard]] bool rotate_locked(time_point now) noexcept {
        unsigned char octets[secret_size];
        detail::ticket_key fresh;
        const bool made = detail::fill_randomly(octets, sizeof octets) &&
                          fresh.derive(std::string_view(reinterpret_cast<const char*>(octets), sizeof octets));
        ::explicit_bzero(octets, sizeof octets);
        if (!made) {
            return false;
        }
        fresh.made = now;
        count_ = std::min(count_ + 1, max_keys);
        for (std::size_t i = count_; i-- > 1;) {
            keys_[i] = keys_[i - 1];
        }
        keys_[0] = fresh;
        return true;
    }
    void wipe_locked() noexcept {
        for (detail::ticket_key& k : keys_) {
            k.wipe();
        }
        count_ = 0;
    }

    const milliseconds every_;
    mutable std::mutex mutex_;
    std::array<detail::ticket_key, max_keys> keys_;
    std::size_t count_ = 0;
    bool given_ = false;
    std::map<detail::peer_id, detail::peer_ders> peers_;
    std::deque<detail::peer_id> order_; // of peers_, oldest first
};

using ticket_keys_ptr = std::shared_ptr<ticket_keys>;

namespace detail {

/// Tickets of one context: the library's callback, and what it needs.
class ticket_box {
public:
    /// Params   names  of the server's certificate: tickets are good for the same names only.
    [[nodiscard]] bool install(WOLFSSL_CTX& context, ticket_keys_ptr keys, std::vector<std::string> names, std::int64_t seconds,
                               bool verifies, bool required) {
        keys_ = std::move(keys);
        lifetime_ = seconds;
        verifies_ = verifies;
        required_ = required;
        std::sort(names.begin(), names.end());
        std::string all;
        for (const std::string& n : names) {
            all += std::to_string(n.size()) + ':' + n;
        }
        scope_ = sha256(all);
        return ::wolfSSL_CTX_set_TicketEncCb(&context, &on_ticket) == WOLFSSL_SUCCESS &&
               ::wolfSSL_CTX_set_TicketEncCtx(&context, this) == WOLFSSL_SUCCESS &&
               ::wolfSSL_CTX_set_TicketHint(&context, static_cast<int>(seconds)) == WOLFSSL_SUCCESS &&
               ::wolfSSL_CTX_set_timeout(&context, static_cast<unsigned>(seconds)) != WOLFSSL_FAILURE;
    }

private:
    static int on_ticket(WOLFSSL* ssl, unsigned char* name, unsigned char* iv, unsigned char* mac, int sealing,
                         unsigned char* ticket, int n, int* out, void* self) noexcept {
        auto& box = *static_cast<ticket_box*>(self);
        auto* e = static_cast<engine*>(::wolfSSL_GetIOReadCtx(ssl));
        try {
            return sealing != 0 ? box.seal(*e, name, iv, mac, ticket, n, out) : box.open(*e, name, iv, mac, ticket, n, out);
        } catch (...) {
            return sealing != 0 ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_REJECT;
        }
    }
    int seal(const engine& e, unsigned char* name, unsigned char* iv, unsigned char* mac, unsigned char* ticket, int n, int* out) {
        ticket_note note;
        note.issued = std::time(nullptr);
        const std::vector<std::string>& chain = e.session_ders();
        if (verifies_ && !chain.empty()) {
            std::string all;
            for (const std::string& der : chain) {
                all += der;
            }
            const digest whole = sha256(all);
            note.has_peer = true;
            std::copy_n(whole.begin(), note.peer.size(), note.peer.begin());
            if (keys_->peer(note.peer) == nullptr) {
                keys_->remember(note.peer, std::make_shared<const std::vector<std::string>>(chain));
            }
        }
        const std::size_t sealed = keys_->seal(scope_, note, name, iv, mac, ticket, static_cast<std::size_t>(n), static_cast<std::size_t>(*out));
        *out = static_cast<int>(sealed);
        return sealed != 0 ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_FATAL;
    }
    // Whatever is not as it should be is no error: the handshake becomes a full one.
    int open(engine& e, const unsigned char* name, const unsigned char* iv, const unsigned char* mac, unsigned char* ticket, int n, int* out) {
        e.judge().forget_session_peer();
        const auto o = keys_->open(scope_, name, iv, mac, ticket, static_cast<std::size_t>(n));
        const unix_seconds now = std::time(nullptr);
        const bool in_time = o.size != 0 && o.note.issued <= now + 60 && now - o.note.issued <= lifetime_;
        if (!in_time || (required_ && !o.note.has_peer) || (!verifies_ && o.note.has_peer)) {
            return WOLFSSL_TICKET_RET_REJECT;
        }
        if (o.note.has_peer) {
            const peer_ders chain = keys_->peer(o.note.peer);
            if (chain == nullptr || !e.judge().take_session_peer(*chain, now)) {
                return WOLFSSL_TICKET_RET_REJECT;
            }
        }
        *out = static_cast<int>(o.size);
        return o.by_newest ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_CREATE;
    }

    ticket_keys_ptr keys_;
    digest scope_{};
    std::int64_t lifetime_ = 0;
    bool verifies_ = false;
    bool required_ = false;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::tls
