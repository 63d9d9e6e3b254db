// SPDX-License-Identifier: MIT
// flux/tls/settings.hpp - what a user says about TLS: identity, trust, and the knobs, with safe defaults.
//
// Values only; make a context of them (context.hpp), where everything is read and checked at once. Deliberately
// not here: cipher suites and groups, which are fixed (context.hpp), and anything that weakens verification by
// accident: the one way off is client_settings::danger_no_verify.
#pragma once

#include <flux/core/function.hpp>
#include <flux/core/result.hpp>
#include <flux/core/time.hpp>
#include <flux/tls/pem.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::tls {

struct peer_info;
class ticket_keys; // ticket_keys.hpp

/// A piece of configuration that is in a file, or in memory. Files are read when a context is made.
class source {
public:
    source() = default;
    [[nodiscard]] static source file(std::string path) { return source(std::move(path), true); }
    /// PEM, or DER for a single certificate.
    [[nodiscard]] static source memory(std::string octets) { return source(std::move(octets), false); }

    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
    [[nodiscard]] bool is_file() const noexcept { return is_file_; }
    /// The path; empty for memory.
    [[nodiscard]] std::string path() const { return is_file_ ? text_ : std::string(); }
    /// How messages call it.
    [[nodiscard]] std::string name(const char* what) const { return is_file_ ? text_ : std::string(what); }
    /// Errors  errc::bad_file.
    [[nodiscard]] result<std::string> read() const {
        if (is_file_) {
            return read_file(text_);
        }
        return text_;
    }

private:
    source(std::string text, bool is_file) : text_(std::move(text)), is_file_(is_file) {}
    std::string text_;
    bool is_file_ = false;
};

/// A certificate with the chain behind it, and its private key.
class identity {
public:
    identity() = default;
    identity(source chain, source key) : chain_(std::move(chain)), key_(std::move(key)) {}
    /// PEM files; the chain begins with the own certificate and ends before the root.
    [[nodiscard]] static identity files(std::string chain, std::string key) {
        return identity(source::file(std::move(chain)), source::file(std::move(key)));
    }
    [[nodiscard]] static identity pem(std::string chain, std::string key) {
        return identity(source::memory(std::move(chain)), source::memory(std::move(key)));
    }
    [[nodiscard]] bool empty() const noexcept { return chain_.empty() && key_.empty(); }
    [[nodiscard]] const source& chain() const noexcept { return chain_; }
    [[nodiscard]] const source& key() const noexcept { return key_; }

private:
    source chain_;
    source key_;
};

/// Who may vouch for peers.
class trust {
public:
    trust() = default;
    /// The authorities of the operating system.
    [[nodiscard]] static trust system() {
        trust t;
        t.system_ = true;
        return t;
    }
    [[nodiscard]] static trust file(std::string path) { return trust().and_file(std::move(path)); }
    [[nodiscard]] static trust pem(std::string text) { return trust().and_pem(std::move(text)); }
    [[nodiscard]] trust and_file(std::string path) && {
        sources_.push_back(source::file(std::move(path)));
        return std::move(*this);
    }
    [[nodiscard]] trust and_pem(std::string text) && {
        sources_.push_back(source::memory(std::move(text)));
        return std::move(*this);
    }
    [[nodiscard]] bool empty() const noexcept { return !system_ && sources_.empty(); }
    [[nodiscard]] bool uses_system() const noexcept { return system_; }
    [[nodiscard]] const std::vector<source>& sources() const noexcept { return sources_; }

private:
    std::vector<source> sources_;
    bool system_ = false;
};

enum class version : std::uint16_t { tls_1_2 = 0x0303, tls_1_3 = 0x0304 };

/// Whether a server asks its clients for certificates.
enum class client_verification : std::uint8_t {
    none,
    optional, ///< one that is shown must be good
    required,
};

/// Decides about a peer whose chain is good: an error refuses it, with its words in the connection's error.
///
/// Shared by all threads that use the context, and may be called by them at the same time.
using peer_check = std::shared_ptr<unique_function<result<void>(const peer_info&)>>;
template <class F>
[[nodiscard]] peer_check make_peer_check(F&& f) {
    return std::make_shared<unique_function<result<void>(const peer_info&)>>(std::forward<F>(f));
}

/// What both sides can set.
struct common_settings {
    version min_version = version::tls_1_2;
    version max_version = version::tls_1_3;
    std::vector<std::string> protocols = {"http/1.1"}; ///< ALPN, in order of preference; empty: not negotiated
    std::vector<source> revocation_lists;              ///< PEM; with one, every peer certificate must be covered
    peer_check on_peer;
    unsigned min_rsa_bits = 2048;                      ///< of all certificates of a peer's path; not below 2048
    milliseconds handshake_timeout{10'000};            ///< from the first octet that is waited for; zero: no limit of its own
};

/// A server's identity and what it asks of clients.
struct server_settings : common_settings {
    server_settings() = default;
    explicit server_settings(identity i) : own(std::move(i)) {}

    identity own;
    client_verification clients = client_verification::none;
    trust client_authorities;     ///< with clients != none: who may vouch for them; the system's are never implied
    std::vector<std::string> allowed_uris; ///< with clients != none: a client needs one of these as URI name (SPIFFE); empty: any
    source ocsp_response;         ///< DER, sent to clients that ask for a stapled status; the chain needs the issuer then
    /// Also in TLS 1.3, where wolfSSL 5.5.4 loses about 5 KiB of memory for each client that asks for a status.
    bool ocsp_in_tls_1_3 = false;
    unsigned tickets = 1;         ///< for resumption, per full TLS 1.3 handshake; 0: no resumption
    std::chrono::seconds ticket_lifetime{7'200};  ///< a session is resumed for so long; 1 s to 7 days [RFC 8446 4.6.1]
    std::shared_ptr<ticket_keys> ticket_secrets;  ///< shared with other contexts; null: the context has its own
};

/// What a client asks of servers.
struct client_settings : common_settings {
    trust authorities = trust::system();
    identity own;                 ///< shown to servers that ask for it
    bool sessions = true;         ///< resume TLS 1.3 sessions
    /// Verifies nothing: anybody can be in between. For tests of others' servers, never for programs.
    bool danger_no_verify = false;
};

} // namespace flux::inline FLUX_ABI::tls
