// SPDX-License-Identifier: MIT
// flux/tls/peer_judge.hpp - whether the peer of one connection is welcome, and why not.
//
//   a chain: the library's verdict on each certificate -> judge_chain() -> on_peer -> welcome | refusal
//   a client's session: the chain that was shown when it began -> judged as if it were shown now -> resumed -> on_peer -> ...
//
// The library and verify.hpp both have to find a chain good. Deliberately not here: the rules (verify.hpp), whether a
// client resumes a session (client_opening.hpp), and how a refused peer is told (engine.hpp).
#pragma once

#include <flux/core/function.hpp>
#include <flux/core/result.hpp>
#include <flux/tls/library.hpp>
#include <flux/tls/verify.hpp>

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

class peer_judge {
public:
    /// Params   expected     its anchors and the context outlive this; its host is copied.
    ///          server_name  what on_peer is told.  on_peer  borrowed; may be null.
    peer_judge(const expectation& expected, std::string_view server_name,
               unique_function<result<void>(const peer_info&)>* on_peer, WOLFSSL_CTX& context)
        : host_(expected.host), server_name_(server_name), expected_(expected), on_peer_(on_peer), context_(&context) {
        expected_.host = host_;
    }
    peer_judge(const peer_judge&) = delete;
    peer_judge& operator=(const peer_judge&) = delete;

    /// What the peer has shown, its own certificate first; empty: nothing, or the judge was not asked.
    [[nodiscard]] const std::vector<certificate>& chain() const noexcept { return chain_; }
    [[nodiscard]] std::string_view leaf_der() const noexcept { return ders_.empty() ? std::string_view() : ders_.front(); }
    /// DER of chain(); at a client of the first one only.
    [[nodiscard]] const std::vector<std::string>& ders() const noexcept { return ders_; }
    /// Why the peer is not welcome, where it was not the library that said so.
    [[nodiscard]] const std::optional<finding>& refusal() const noexcept { return refusal_; }

    /// Called for each certificate of a chain, the peer's own last.
    /// Params   good  what the library says of it.  Returns  whether it may go on.
    [[nodiscard]] bool judge(bool good, const WOLFSSL_X509_STORE_CTX& store, WOLFSSL& connection) {
        if (chain_.empty()) {
            for (int i = 0; i < store.totalCerts; ++i) {
                auto c = parse_certificate(der_of(store, i));
                if (!c) {
                    refusal_.emplace(errc::bad_certificate, "certificate " + std::to_string(i) + " of the chain cannot be read");
                    return false;
                }
                chain_.push_back(*std::move(c));
            }
        }
        if (!good) {
            failing_ = std::min(failing_, static_cast<std::size_t>(std::max(0, store.error_depth)));
            return false;
        }
        if (refusal_) {
            return false;
        }
        if (store.error_depth != 0 || chain_.empty()) {
            return true;
        }
        ders_.clear();
        for (int i = 0; i < (expected_.role == peer_role::client ? store.totalCerts : 1); ++i) {
            ders_.emplace_back(der_of(store, i));
        }
        refusal_ = judge_chain(chain_, expected_);
        if (!refusal_) {
            refusal_ = unverified_authority(store, connection);
        }
        if (!refusal_) {
            ask_on_peer(false);
        }
        return !refusal_;
    }

    // ---- the client of a session that a server resumes ----
    /// DER of what it had shown, taken last.
    [[nodiscard]] const std::vector<std::string>& session_ders() const noexcept { return session_ders_; }
    void forget_session_peer() noexcept {
        session_chain_.clear();
        session_ders_.clear();
    }
    /// Judges it as if it had shown its chain now: dates, revocation lists, authorities and names. False: it has to show it.
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
    /// Once it has proved to own the session: whether on_peer still lets it in. Its chain is the peer's from now on.
    [[nodiscard]] bool welcomes_back() {
        if (!session_chain_.empty()) {
            chain_ = std::move(session_chain_);
            ders_ = session_ders_;
            ask_on_peer(true);
        }
        return !refusal_;
    }

    /// The error of a connection that the library ended with `number`, which is `code`, in words that the number lacks.
    [[nodiscard]] error explain(errc code, int number) const {
        if (!chain_.empty()) { // it may have more words for the same, or for what the library calls unknown
            const auto f = explain_chain(chain_, expected_, std::time(nullptr));
            if (f && (f->code == code || code == errc::unknown_authority)) {
                return make_error(f->code, f->what);
            }
        }
        if (failing_ < chain_.size() && code != errc::handshake_failed) {
            return make_error(code, failing_words(code));
        }
        const bool vague = code == errc::handshake_failed || code == errc::bad_certificate || code == errc::decode_error;
        return make_error(code, vague ? library_text(number) : std::string());
    }

private:
    [[nodiscard]] static std::string_view der_of(const WOLFSSL_X509_STORE_CTX& store, int i) noexcept {
        const WOLFSSL_BUFFER_INFO& b = store.certs[i];
        return {reinterpret_cast<const char*>(b.buffer), b.length};
    }
    // The library skips authorities of a chain that it cannot verify, as long as the peer's own certificate has a
    // signer that it knows. Those that the path relies on must be good.
    [[nodiscard]] std::optional<finding> unverified_authority(const WOLFSSL_X509_STORE_CTX& store, WOLFSSL& connection) const {
        if (::wolfSSL_is_peer_alt_cert_chain(&connection) == 0) {
            return std::nullopt;
        }
        const auto path = path_to_anchor(chain_, *expected_.anchors);
        for (std::size_t i = 1; path && i < path->size(); ++i) {
            if (!library_verifies(der_of(store, static_cast<int>((*path)[i])))) {
                return finding(errc::unknown_authority, quoted(chain_[(*path)[i]].subject) + " cannot be verified");
            }
        }
        return std::nullopt;
    }
    [[nodiscard]] bool library_verifies(std::string_view der) const noexcept {
        return ::wolfSSL_CertManagerVerifyBuffer(::wolfSSL_CTX_GetCertManager(context_), octets_of(der),
                                                 static_cast<long>(der.size()), WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
    }
    void ask_on_peer(bool was_resumed) {
        if (on_peer_ == nullptr) {
            return;
        }
        peer_info who;
        who.leaf = &chain_.front();
        who.der = leaf_der();
        who.resumed = was_resumed;
        who.server_name = server_name_;
        refusal_ = refusal_of(*on_peer_, who);
    }
    // What the certificate says that the library refused.
    [[nodiscard]] std::string failing_words(errc code) const {
        const certificate& c = chain_[failing_];
        std::string who = "certificate " + quoted(c.subject);
        switch (code) {
        case errc::certificate_expired: return who + " expired on " + date_text(c.not_after);
        case errc::certificate_not_yet_valid: return who + " is valid from " + date_text(c.not_before);
        case errc::unknown_authority:
            who += " was issued by " + quoted(c.issuer);
            return expected_.anchors->contains(c.issuer_name) ? who + ", which is not the trusted one of that name" : who;
        default: return who;
        }
    }

    std::string host_;
    std::string server_name_;
    expectation expected_; // its host is host_
    unique_function<result<void>(const peer_info&)>* on_peer_;
    WOLFSSL_CTX* context_;
    std::vector<certificate> chain_;
    std::vector<std::string> ders_;
    std::vector<certificate> session_chain_; // of the session that the client wants to resume
    std::vector<std::string> session_ders_;
    std::optional<finding> refusal_;
    std::size_t failing_ = ~std::size_t{0}; // the certificate that the library refused
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::tls
