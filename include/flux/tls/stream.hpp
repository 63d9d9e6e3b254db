// SPDX-License-Identifier: MIT
// flux/tls/stream.hpp - tls_stream<Next>: a buffered_stream that is TLS over another one.
//
// Owns what a user of such a stream sees; its parts are what the operations do (stream_core.hpp), the records' way
// (record_pipe.hpp), and how a server and a client begin (server_opening.hpp, client_opening.hpp).
// Deliberately not here: HTTP, and which context a connection gets (certificate_table.hpp).
#pragma once

#include <flux/tls/connection_facts.hpp>
#include <flux/tls/stream_core.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::tls {

/// TLS over another stream, as server or client.
///
/// Movable while no operation is in flight. The first operation makes the handshake.
/// Errors   of all operations: those of Next; errc of this part, in error_phase::tls. A handshake that failed fails
///          every later operation the same way.
/// Cancel   at once. A read loses nothing. A stopped handshake or write leaves a stream that can only be closed.
/// Threads  the thread of Next.
/// Cost     one coroutine frame per operation; about 25 KB while idle, 56 during the handshake, less than 1 KiB before.
template <buffered_stream Next>
class tls_stream {
public:
    using next_type = Next;

    /// A closed stream.
    tls_stream() noexcept = default;
    /// The server's end. Nothing is allocated for TLS before a whole ClientHello is there.
    tls_stream(Next next, server_config_ptr config) : core_(new detail::stream_core<Next>(std::move(next))) {
        core_->role = detail::stream_role::server;
        core_->server.config = std::move(config);
    }
    /// The client's end.
    /// Params   host  what the server has to prove to be: a DNS name or a literal address.
    ///          sessions, key  where resumable sessions are taken from and kept; null: none are.
    tls_stream(Next next, client_context_ptr context, std::string host, std::shared_ptr<session_cache> sessions = nullptr,
               std::string key = {})
        : core_(new detail::stream_core<Next>(std::move(next))) {
        core_->role = detail::stream_role::client;
        core_->client.context = std::move(context);
        core_->client.host = std::move(host);
        core_->client.sessions = std::move(sessions);
        core_->client.session_key = std::move(key);
    }
    /// No TLS at all: what a connector yields where none was asked for.
    [[nodiscard]] static tls_stream plain(Next next) {
        tls_stream s;
        s.core_.reset(new detail::stream_core<Next>(std::move(next)));
        return s;
    }
    tls_stream(tls_stream&&) noexcept = default;
    tls_stream& operator=(tls_stream&& other) noexcept {
        if (this != &other) {
            close();
            core_ = std::move(other.core_);
        }
        return *this;
    }
    ~tls_stream() { close(); }

    /// Makes the handshake now, if it has not been made.
    [[nodiscard]] task<> handshake() { return core_ == nullptr ? closed<void>() : core_->open(); }

    /// As byte_stream and buffered_stream say. `out` is borrowed until the operation ends.
    [[nodiscard]] task<std::size_t> read_some(mutable_buffer out) {
        return core_ == nullptr ? closed<std::size_t>() : core_->read_some(out);
    }
    [[nodiscard]] task<received> receive() { return core_ == nullptr ? closed<received>() : core_->receive(); }
    [[nodiscard]] task<> write_all(const_buffer in) { return core_ == nullptr ? closed<void>() : core_->write(in, {}); }
    [[nodiscard]] task<> write_all(std::span<const const_buffer> list) {
        return core_ == nullptr ? closed<void>() : core_->write({}, list);
    }

    /// Sends close_notify and then FIN; reading goes on.
    result<void> shutdown_write() noexcept {
        return core_ == nullptr ? result<void>(flux::fail(flux::errc::closed)) : core_->shutdown_write();
    }
    /// Sends close_notify, as far as Next takes it without waiting, and closes.
    void close() noexcept {
        if (core_ != nullptr) {
            core_->close();
            core_.reset();
        }
    }
    /// Closes with a reset and without close_notify: the peer knows that something is missing.
    void abort() noexcept {
        if (core_ != nullptr) {
            core_->abort();
            core_.reset();
        }
    }
    [[nodiscard]] bool is_open() const noexcept { return core_ != nullptr && core_->pipe.next.is_open(); }
    void watch_hangup(hangup_listener* listener) noexcept {
        if (core_ != nullptr) {
            core_->pipe.next.watch_hangup(listener);
        }
    }
    /// As watch_hangup, and also told of octets for the application; a session ticket is none.
    void watch_input(hangup_listener* listener) noexcept requires requires(Next& n) { n.try_receive(); }
    {
        if (core_ != nullptr) {
            core_->watch.watch(listener);
        }
    }
    /// Whether a read would yield octets, the end or a failure without waiting.
    [[nodiscard]] bool has_input() noexcept requires requires(Next& n) { n.try_receive(); }
    {
        return core_ != nullptr && core_->watch.has_input();
    }
    /// Takes octets that are there, without waiting. Empty: there are none, or only the end or a failure.
    [[nodiscard]] received try_receive() requires requires(Next& n) { n.try_receive(); }
    {
        return core_ == nullptr ? received() : core_->watch.try_receive();
    }

    // ---- facts, once the handshake is made ----
    [[nodiscard]] bool is_secure() const noexcept { return core_ != nullptr && core_->is_open; }
    /// "TLSv1.3"; empty before the handshake, as all that follows.
    [[nodiscard]] std::string_view protocol_version() const noexcept { return made() ? made()->protocol_version() : ""; }
    [[nodiscard]] std::string_view cipher() const noexcept { return made() ? made()->cipher() : ""; }
    /// ALPN's choice.
    [[nodiscard]] std::string_view protocol() const noexcept { return made() ? made()->protocol() : ""; }
    /// What the client asked for; the host at a client.
    [[nodiscard]] std::string_view server_name() const noexcept {
        if (core_ == nullptr) {
            return "";
        }
        return core_->role == detail::stream_role::client ? core_->client.host : core_->server.name;
    }
    [[nodiscard]] bool resumed() const noexcept { return made() && made()->resumed(); }
    /// The peer's own certificate, also where a resumed session began with it; null where it showed none.
    [[nodiscard]] const certificate* peer_certificate() const noexcept {
        if (made() != nullptr && !made()->peer_chain().empty()) {
            return &made()->peer_chain().front();
        }
        return made() != nullptr && core_->client.resumed() != nullptr ? &core_->client.resumed()->chain.front() : nullptr;
    }
    /// All of it in one, made on first use; null before the handshake. HTTP requests and responses pass it on.
    [[nodiscard]] std::shared_ptr<const connection_facts> tls_facts() {
        if (made() == nullptr) {
            return nullptr;
        }
        if (core_->facts == nullptr) {
            core_->facts = make_facts();
        }
        return core_->facts;
    }

    [[nodiscard]] Next& next() noexcept { return core_->pipe.next; }
    /// What the peer has acknowledged, in octets of the stream below: encrypted, with what the handshake took.
    [[nodiscard]] std::uint64_t octets_acknowledged() const noexcept
        requires requires(const Next& n) { n.octets_acknowledged(); }
    {
        return core_ == nullptr ? 0 : core_->pipe.next.octets_acknowledged();
    }
    [[nodiscard]] auto peer_endpoint() const
        requires requires(const Next& n) { n.peer_endpoint(); }
    {
        using answer = decltype(core_->pipe.next.peer_endpoint());
        return core_ == nullptr ? answer(flux::fail(flux::errc::closed)) : core_->pipe.next.peer_endpoint();
    }
    [[nodiscard]] auto local_endpoint() const
        requires requires(const Next& n) { n.local_endpoint(); }
    {
        using answer = decltype(core_->pipe.next.local_endpoint());
        return core_ == nullptr ? answer(flux::fail(flux::errc::closed)) : core_->pipe.next.local_endpoint();
    }

private:
    template <class T>
    [[nodiscard]] static task<T> closed() {
        if constexpr (std::is_void_v<T>) {
            co_await flux::fail(flux::errc::closed);
        } else {
            co_return flux::fail(flux::errc::closed);
        }
    }
    [[nodiscard]] std::shared_ptr<const connection_facts> make_facts() const {
        auto f = std::make_shared<connection_facts>();
        f->version = protocol_version();
        f->suite = cipher();
        f->protocol = protocol();
        f->server_name = server_name();
        f->resumed = resumed();
        if (const certificate* who = peer_certificate()) {
            const engine& tls = *core_->pipe.tls;
            const auto before = core_->client.resumed(); // where it had shown the certificate
            f->peer = *who;
            f->peer_der = tls.peer_chain().empty() && before != nullptr ? std::string_view(before->leaf_der) : tls.peer_der();
            f->peer_fingerprint = detail::sha256_text(f->peer_der);
        }
        if (core_->server.hello) {
            f->hello = core_->server.hello;
            f->client_fingerprint = ja4(*f->hello);
        }
        return f;
    }
    [[nodiscard]] const engine* made() const noexcept { return is_secure() ? core_->pipe.tls.get() : nullptr; }

    std::unique_ptr<detail::stream_core<Next>> core_;
};

} // namespace flux::inline FLUX_ABI::tls
