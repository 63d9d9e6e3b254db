// SPDX-License-Identifier: MIT
// flux/tls/stream.hpp - tls_stream<Next>: a buffered_stream that is TLS over another one.
//
//   Next -> octets -> engine -> plain octets -> reader          fresh -> (ClientHello) -> handshake -> open -> closed
//   writer -> plain octets -> engine -> output -> Next
//
// The handshake runs inside the first operation, under a limit of its own. A reader and a writer may be in flight:
// both use the engine, which never waits, and whoever left octets in its output sends them, one at a time. A stop in
// the middle of a write leaves a stream that can only be closed. The end of Next without close_notify is an error.
// Deliberately not here: HTTP, and which context a connection gets (certificate_table.hpp).
#pragma once

#include <flux/coro/mutex.hpp>
#include <flux/coro/task.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/stream.hpp>
#include <flux/tls/certificate_table.hpp>
#include <flux/tls/session_cache.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::tls {

using client_context_ptr = std::shared_ptr<const client_context>;

namespace detail {

enum class stream_role : std::uint8_t { plain, client, server };

inline void free_plain(void* block, std::uint32_t) noexcept { ::operator delete(block); }
struct plain_deleter {
    void operator()(std::byte* block) const noexcept { ::operator delete(block); }
};
using plain_block = std::unique_ptr<std::byte, plain_deleter>;

// Everything a tls_stream is, at an address that does not change.
template <class Next>
class stream_core {
public:
    explicit stream_core(Next next) : next_(std::move(next)) {}
    stream_core(const stream_core&) = delete;
    stream_core& operator=(const stream_core&) = delete;

    // ---- what the operations are ----
    [[nodiscard]] task<received> receive() {
        const overlap_guard alone(reading_);
        if (!alone) {
            co_return flux::fail(flux::errc::overlap);
        }
        if (role_ == stream_role::plain) {
            auto octets = co_await attempt(next_.receive());
            co_return octets;
        }
        auto ctx = co_await this_context();
        auto ready = usable_under(ctx);
        if (ready && !open_) {
            ready = co_await attempt(open());
        }
        for (;;) { // each turn uses what the peer sent, or waits for it
            if (!ready) {
                co_return flux::fail(std::move(ready).error());
            }
            if (const std::size_t room = engine_->next_read_size(); room != 0) {
                plain_block block(static_cast<std::byte*>(::operator new(room)));
                std::size_t n = 0;
                const auto step = engine_->read(mutable_buffer(block.get(), room), n);
                if (step == engine::progress::done) {
                    std::byte* octets = block.release();
                    co_return received(const_buffer(octets, n), &free_plain, octets, 0);
                }
                if (const auto end = read_outcome(step)) {
                    co_await say_last_words();
                    if (!*end) {
                        co_return flux::fail(end->error());
                    }
                    co_return received();
                }
            } else {
                ready = co_await attempt(more_octets());
            }
        }
    }

    [[nodiscard]] task<std::size_t> read_some(mutable_buffer out) {
        const overlap_guard alone(reading_);
        if (!alone) {
            co_return flux::fail(flux::errc::overlap);
        }
        if (role_ == stream_role::plain) {
            auto n = co_await attempt(next_.read_some(out));
            co_return n;
        }
        auto ctx = co_await this_context();
        auto ready = usable_under(ctx);
        if (ready && !open_) {
            ready = co_await attempt(open());
        }
        for (;;) { // as in receive()
            if (!ready) {
                co_return flux::fail(std::move(ready).error());
            }
            if (out.empty()) {
                co_return std::size_t{0};
            }
            if (engine_->next_read_size() != 0) {
                std::size_t n = 0;
                const auto step = engine_->read(out, n);
                if (step == engine::progress::done) {
                    co_return n;
                }
                if (const auto end = read_outcome(step)) {
                    co_await say_last_words();
                    if (!*end) {
                        co_return flux::fail(end->error());
                    }
                    co_return std::size_t{0};
                }
            } else {
                ready = co_await attempt(more_octets());
            }
        }
    }

    /// One buffer, or a list where that is not empty.
    [[nodiscard]] task<> write(const_buffer first, std::span<const const_buffer> rest) {
        const overlap_guard alone(writing_);
        if (!alone) {
            co_await flux::fail(flux::errc::overlap);
        }
        if (role_ == stream_role::plain) {
            auto sent = co_await attempt(write_plain(first, rest));
            if (!sent) {
                co_await flux::fail(std::move(sent).error());
            }
            co_return;
        }
        auto ctx = co_await this_context();
        auto ready = usable_under(ctx);
        if (ready && !open_) {
            ready = co_await attempt(open());
        }
        if (ready && (write_failed_ || engine_->sent_close())) {
            ready = flux::fail(flux::errc::closed);
        }
        byte_buffer joined; // small pieces make one record
        if (!rest.empty() && total_of(rest) <= engine::max_plain) {
            for (const const_buffer& piece : rest) {
                joined.append(as_text(piece));
            }
            first = as_octets(joined.view());
            rest = {};
        }
        while (ready && !(first.empty() && rest.empty())) {
            if (first.empty()) {
                first = rest.front();
                rest = rest.subspan(1);
                continue;
            }
            const std::size_t n = std::min(first.size(), burst);
            write_failed_ = true; // until everything is out
            if (engine_->write(first.first(n)) != engine::progress::done) {
                ready = flux::fail(engine_->take_error());
                break;
            }
            ready = co_await attempt(flush());
            write_failed_ = !ready;
            first = first.subspan(n);
        }
        if (!ready) {
            co_await flux::fail(std::move(ready).error());
        }
    }

    /// The handshake, if it has not been made; an operation of its own only where somebody wants its outcome.
    [[nodiscard]] task<> open() {
        if (role_ == stream_role::plain || open_) {
            co_return;
        }
        auto guard = co_await attempt(handshake_.lock());
        if (!guard) {
            co_await flux::fail(std::move(guard).error());
        }
        if (open_) {
            co_return;
        }
        if (failed_) {
            co_await flux::fail(*failed_);
        }
        const milliseconds limit = handshake_timeout();
        result<void> r;
        if (limit.count() > 0) {
            r = co_await attempt(with_timeout(limit, shake()));
        } else {
            r = co_await attempt(shake());
        }
        if (!r) {
            error e = std::move(r).error();
            if (e.phase() != error_phase::tls) {
                e.doing("TLS handshake").phase(error_phase::tls);
            }
            failed_.emplace(e);
            co_await flux::fail(std::move(e));
        }
        open_ = true;
    }

    // ---- what does not wait ----
    result<void> shutdown_write() noexcept {
        if (role_ != stream_role::plain && open_ && !write_failed_) {
            engine_->close();
            send_now();
        }
        return next_.shutdown_write();
    }
    void close() noexcept {
        if (role_ != stream_role::plain && open_) {
            if (!write_failed_ && !writing_) {
                engine_->close();
                send_now();
            }
            keep_session();
        }
        next_.close();
    }
    void abort() noexcept { next_.abort(); }

    Next next_;
    stream_role role_ = stream_role::plain;
    server_config_ptr server_;
    client_context_ptr client_;
    server_context_ptr chosen_; // the server's context of this connection
    std::string host_;          // a client's peer; a server's name as the client asked for it
    std::shared_ptr<session_cache> sessions_;
    std::string session_key_;
    session_cache::entry resumed_;
    std::unique_ptr<engine> engine_;
    bool open_ = false;

private:
    static constexpr std::size_t burst = 65'536; // plain octets that are encrypted before any are sent

    class overlap_guard {
    public:
        explicit overlap_guard(bool& busy) noexcept : busy_(busy), mine_(!std::exchange(busy, true)) {}
        overlap_guard(const overlap_guard&) = delete;
        overlap_guard& operator=(const overlap_guard&) = delete;
        ~overlap_guard() {
            if (mine_) {
                busy_ = false;
            }
        }
        [[nodiscard]] explicit operator bool() const noexcept { return mine_; }

    private:
        bool& busy_;
        bool mine_;
    };

    [[nodiscard]] static std::size_t total_of(std::span<const const_buffer> list) noexcept {
        std::size_t total = 0;
        for (const const_buffer& piece : list) {
            total += piece.size();
        }
        return total;
    }
    [[nodiscard]] milliseconds handshake_timeout() const noexcept {
        return role_ == stream_role::server ? server_->handshake_timeout : client_->settings().handshake_timeout;
    }

    [[nodiscard]] static result<void> usable_under(const context& ctx) noexcept {
        return ctx.stopped() ? result<void>(flux::fail(ctx.node().stop_error())) : result<void>();
    }
    [[nodiscard]] task<> write_plain(const_buffer first, std::span<const const_buffer> rest) {
        result<void> sent;
        if (rest.empty()) {
            sent = co_await attempt(next_.write_all(first));
        } else {
            sent = co_await attempt(next_.write_all(rest));
        }
        if (!sent) {
            co_await flux::fail(std::move(sent).error());
        }
    }
    // Nothing: go on. A value: the end of the stream. An error: it failed.
    [[nodiscard]] std::optional<result<void>> read_outcome(engine::progress step) {
        switch (step) {
        case engine::progress::closed: return result<void>();
        case engine::progress::failed: return result<void>(flux::fail(engine_->take_error()));
        case engine::progress::want_more:
            if (input_ended_) {
                return result<void>(flux::fail(make_error(errc::truncated)));
            }
            return std::nullopt;
        case engine::progress::done: break;
        }
        return std::nullopt;
    }
    // What the library has to say beside data (key updates, tickets), then the peer's next octets.
    [[nodiscard]] task<> more_octets() {
        if (!engine_->output().empty()) {
            auto sent = co_await attempt(flush());
            if (!sent) {
                co_await flux::fail(std::move(sent).error());
            }
        }
        if (!writing_ && !sending_lock_.is_locked()) {
            sending_.shrink_above(0);
        }
        engine_->release_buffers();
        auto octets = co_await attempt(next_.receive());
        if (!octets) {
            co_await flux::fail(std::move(octets).error());
        }
        take_octets(*octets);
    }
    void take_octets(const received& octets) {
        if (octets.empty()) {
            input_ended_ = true;
            engine_->feed_end();
        } else {
            engine_->feed(as_text(octets.octets()));
        }
    }
    // Sends what is in the engine's output; one at a time, so that records stay in order.
    [[nodiscard]] task<> flush() {
        auto guard = co_await attempt(sending_lock_.lock());
        if (!guard) {
            co_await flux::fail(std::move(guard).error());
        }
        if (send_failed_) {
            co_await flux::fail(flux::errc::closed);
        }
        while (!engine_->output().empty()) {
            std::swap(sending_, engine_->output());
            auto sent = co_await attempt(next_.write_all(as_octets(sending_.view())));
            sending_.clear();
            if (!sent) {
                send_failed_ = write_failed_ = true;
                co_await flux::fail(std::move(sent).error());
            }
        }
    }
    // After the end of reading: an alert goes out if it can. Never fails.
    [[nodiscard]] task<> say_last_words() {
        if (!engine_->output().empty()) {
            auto said = co_await attempt(flush());
            ignore_result(said, "the stream has failed already");
        }
    }
    void send_now() noexcept {
        if (!sending_lock_.is_locked() && !send_failed_ && !engine_->output().empty()) {
            const std::string_view octets = engine_->output().view();
            const std::size_t n = write_now(as_octets(octets));
            send_failed_ = n != octets.size();
            engine_->output().clear();
        }
    }
    [[nodiscard]] std::size_t write_now(const_buffer octets) noexcept {
        if constexpr (requires { next_.try_write(octets); }) {
            return next_.try_write(octets);
        } else {
            return 0;
        }
    }

    // ---- the handshake ----
    [[nodiscard]] task<> shake() {
        auto begun = role_ == stream_role::client ? begin_as_client() : result<void>();
        if (role_ == stream_role::server) {
            begun = co_await attempt(choose());
        }
        while (begun) { // each turn takes records of the peer, and a handshake has a bounded number of them
            const auto step = engine_->handshake();
            if (step == engine::progress::failed || (step != engine::progress::done && input_ended_)) {
                begun = flux::fail(step == engine::progress::failed ? engine_->take_error()
                                                                    : make_error(errc::truncated, "during the handshake"));
                co_await say_last_words();
                co_await end_after_alert();
                break;
            }
            if (!engine_->output().empty()) {
                begun = co_await attempt(flush());
            }
            if (step == engine::progress::done) {
                break;
            }
            if (begun) {
                begun = co_await attempt(next_octets());
            }
        }
        if (begun && role_ == stream_role::client) {
            begun = check_resumed();
        }
        if (!begun) {
            co_await flux::fail(std::move(begun).error());
        }
    }
    [[nodiscard]] task<> next_octets() {
        auto octets = co_await attempt(next_.receive());
        if (!octets) {
            co_await flux::fail(std::move(octets).error());
        }
        take_octets(*octets);
    }
    [[nodiscard]] result<void> begin_as_client() {
        auto made = client_->connect(host_);
        if (!made) {
            return flux::fail(std::move(made).error());
        }
        engine_ = *std::move(made);
        if (sessions_ != nullptr) {
            resumed_ = sessions_->take(session_key_);
            if (resumed_.session != nullptr) {
                engine_->resume(*resumed_.session);
            }
        }
        return {};
    }
    // A server waits a moment for the client to read its alert: closing with octets unread would reset it away.
    [[nodiscard]] task<> end_after_alert() {
        if (role_ == stream_role::server && !input_ended_ && next_.shutdown_write()) {
            auto drained = co_await attempt(with_timeout(milliseconds(1'000), drain()));
            ignore_result(drained, "the connection ends in any case");
        }
    }
    // on_peer judges resumed sessions, too, by what the server had shown when they began.
    [[nodiscard]] result<void> check_resumed() {
        if (!engine_->resumed() || resumed_.chain.empty()) {
            resumed_ = session_cache::entry();
            return {};
        }
        const peer_check& check = client_->settings().on_peer;
        if (check == nullptr) {
            return {};
        }
        peer_info who;
        who.leaf = &resumed_.chain.front();
        who.der = resumed_.leaf_der;
        who.resumed = true;
        who.server_name = host_;
        auto verdict = (*check)(who);
        if (!verdict) {
            return flux::fail(make_error(errc::certificate_refused, verdict.error().message()));
        }
        return {};
    }
    void keep_session() noexcept {
        if (sessions_ == nullptr) {
            return;
        }
        try {
            session_cache::entry e;
            e.key = session_key_;
            e.session = engine_->session();
            e.chain = engine_->resumed() ? std::move(resumed_.chain) : engine_->peer_chain();
            e.leaf_der = engine_->resumed() ? std::move(resumed_.leaf_der) : std::string(engine_->peer_der());
            sessions_->put(std::move(e));
        } catch (...) {
            sessions_.reset(); // without memory the next handshake is a full one
        }
    }

    // Server: reads the ClientHello, chooses the context, and makes the engine.
    [[nodiscard]] task<> choose() {
        byte_buffer seen;
        client_hello_reader reader;
        hello_state state = hello_state::need_more;
        while (state == hello_state::need_more) {
            auto octets = co_await attempt(next_.receive());
            if (!octets) {
                co_await flux::fail(std::move(octets).error());
            }
            if (octets->empty()) {
                co_await flux::fail(make_error(errc::truncated, "before the handshake"));
            }
            seen.append(as_text(octets->octets()));
            octets->reset();
            state = reader.read(seen.view());
        }
        result<void> begun;
        if (state != hello_state::complete) {
            begun = co_await attempt(refuse_stranger(state, reader.alert()));
        } else {
            client_hello hello = reader.take();
            hello.peer = peer_text();
            host_ = hello.server_name;
            begun = co_await attempt(choose_context(hello));
            std::string protocol;
            if (begun && !choose_protocol(hello, protocol)) {
                begun = co_await attempt(refuse(alert::no_application_protocol,
                    make_error(errc::no_common_protocol, "the client offers " + list_of(hello.protocols))));
            }
            if (begun) {
                begun = begin_as_server(protocol, seen.view());
            }
        }
        if (!begun) {
            co_await flux::fail(std::move(begun).error());
        }
    }
    [[nodiscard]] result<void> begin_as_server(const std::string& protocol, std::string_view seen) {
        auto made = chosen_->connect(protocol);
        if (!made) {
            return flux::fail(std::move(made).error());
        }
        engine_ = *std::move(made);
        engine_->feed(seen);
        return {};
    }
    [[nodiscard]] task<> choose_context(const client_hello& hello) {
        std::optional<alert> refusal;
        error why = make_error(errc::refused, "on_client_hello refused " + quoted(hello.server_name));
        if (auto* hook = server_->hook()) {
            refusal = alert::internal_error;
            try {
                auto answer = co_await attempt(with_timeout(server_->hook_limit(), (*hook)(hello)));
                if (!answer) {
                    why = make_error(errc::refused, "on_client_hello: " + answer.error().message());
                } else if (answer->is_refusal()) {
                    refusal = answer->refusal();
                } else {
                    chosen_ = answer->context();
                    refusal.reset();
                }
            } catch (...) {
                why = make_error(errc::refused, "on_client_hello threw an exception");
            }
        }
        if (!refusal && chosen_ == nullptr) {
            chosen_ = server_->find(hello.server_name);
            if (chosen_ == nullptr) {
                refusal = alert::unrecognized_name;
                why = make_error(errc::refused_name, hello.server_name.empty() ? std::string("no name") : quoted(hello.server_name));
            }
        }
        if (refusal) {
            auto end = co_await attempt(refuse(*refusal, std::move(why)));
            co_await flux::fail(std::move(end).error());
        }
    }
    // RFC 7301 3.2: the server's preference among what the client offers; none in common is fatal.
    [[nodiscard]] bool choose_protocol(const client_hello& hello, std::string& protocol) const {
        const auto& ours = chosen_->settings().protocols;
        if (hello.protocols.empty() || ours.empty()) {
            return true;
        }
        for (const std::string& name : ours) {
            if (hello.offers_protocol(name)) {
                protocol = name;
                return true;
            }
        }
        return false;
    }
    [[nodiscard]] static std::string list_of(const std::vector<std::string>& names) {
        std::string text;
        for (std::size_t i = 0; i < names.size() && i < 4; ++i) {
            text += (i == 0 ? "" : ", ") + quoted(names[i].substr(0, 32));
        }
        return text;
    }
    // What spoke first was no TLS client, or a broken one. Always fails.
    [[nodiscard]] task<> refuse_stranger(hello_state state, alert why) {
        if (state == hello_state::failed) {
            auto end = co_await attempt(refuse(why, make_error(errc::decode_error, "ClientHello")));
            co_await flux::fail(std::move(end).error());
        }
        if (state == hello_state::plain_http && !server_->plain_http_answer.empty()) {
            auto said = co_await attempt(next_.write_all(as_octets(server_->plain_http_answer)));
            if (said) {
                co_await end_after_alert();
            }
        }
        co_await flux::fail(make_error(state == hello_state::plain_http ? errc::plain_http : errc::not_tls));
    }
    [[nodiscard]] task<> drain() {
        constexpr std::size_t most = 262'144;
        for (std::size_t dropped = 0; dropped < most;) {
            auto octets = co_await attempt(next_.receive());
            if (!octets || octets->empty()) {
                co_return;
            }
            dropped += octets->size();
        }
    }
    // An alert in the clear, before there is an engine. Always fails, with `why`.
    [[nodiscard]] task<> refuse(alert a, error why) {
        const char record[] = {21, 3, 3, 0, 2, 2, static_cast<char>(a)};
        sending_.append(std::string_view(record, sizeof record));
        auto said = co_await attempt(next_.write_all(as_octets(sending_.view())));
        sending_.clear();
        if (said) {
            co_await end_after_alert();
        }
        co_await flux::fail(std::move(why));
    }
    [[nodiscard]] std::string peer_text() const {
        if constexpr (requires { next_.peer_endpoint(); }) {
            const auto peer = next_.peer_endpoint();
            return peer ? peer->to_string() : std::string();
        } else {
            return {};
        }
    }

    byte_buffer sending_;     // what Next is writing
    async_mutex handshake_;
    async_mutex sending_lock_;
    std::optional<error> failed_; // of the handshake
    bool input_ended_ = false;
    bool reading_ = false;
    bool writing_ = false;
    bool write_failed_ = false; // octets of a record may be missing on the wire
    bool send_failed_ = false;
};

} // namespace detail

/// TLS over another stream, as server or client.
///
/// Movable while no operation is in flight. The first operation makes the handshake.
/// Errors   of all operations: those of Next; errc of this part, in error_phase::tls. A handshake that failed fails
///          every later operation the same way.
/// Cancel   at once. A read loses nothing. A stopped handshake or write leaves a stream that can only be closed.
/// Threads  the thread of Next.
/// Cost     one coroutine frame per operation; about 62 KiB once the handshake began, less than 1 KiB before.
template <buffered_stream Next>
class tls_stream {
public:
    using next_type = Next;

    /// A closed stream.
    tls_stream() noexcept = default;
    /// The server's end. Nothing is allocated for TLS before a whole ClientHello is there.
    tls_stream(Next next, server_config_ptr config) : core_(new detail::stream_core<Next>(std::move(next))) {
        core_->role_ = detail::stream_role::server;
        core_->server_ = std::move(config);
    }
    /// The client's end.
    /// Params   host  what the server has to prove to be: a DNS name or a literal address.
    ///          sessions, key  where resumable sessions are taken from and kept; null: none are.
    tls_stream(Next next, client_context_ptr context, std::string host, std::shared_ptr<session_cache> sessions = nullptr,
               std::string key = {})
        : core_(new detail::stream_core<Next>(std::move(next))) {
        core_->role_ = detail::stream_role::client;
        core_->client_ = std::move(context);
        core_->host_ = std::move(host);
        core_->sessions_ = std::move(sessions);
        core_->session_key_ = std::move(key);
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
    [[nodiscard]] bool is_open() const noexcept { return core_ != nullptr && core_->next_.is_open(); }
    void watch_hangup(hangup_listener* listener) noexcept {
        if (core_ != nullptr) {
            core_->next_.watch_hangup(listener);
        }
    }

    // ---- facts, once the handshake is made ----
    [[nodiscard]] bool is_secure() const noexcept { return core_ != nullptr && core_->open_; }
    /// "TLSv1.3"; empty before the handshake, as all that follows.
    [[nodiscard]] std::string_view protocol_version() const noexcept { return made() ? made()->protocol_version() : ""; }
    [[nodiscard]] std::string_view cipher() const noexcept { return made() ? made()->cipher() : ""; }
    /// ALPN's choice.
    [[nodiscard]] std::string_view protocol() const noexcept { return made() ? made()->protocol() : ""; }
    /// What the client asked for; the host at a client.
    [[nodiscard]] std::string_view server_name() const noexcept { return core_ == nullptr ? "" : std::string_view(core_->host_); }
    [[nodiscard]] bool resumed() const noexcept { return made() && made()->resumed(); }
    /// The peer's own certificate; null where it showed none, and in a resumed session.
    [[nodiscard]] const certificate* peer_certificate() const noexcept {
        return made() && !made()->peer_chain().empty() ? &made()->peer_chain().front() : nullptr;
    }

    [[nodiscard]] Next& next() noexcept { return core_->next_; }
    [[nodiscard]] auto peer_endpoint() const
        requires requires(const Next& n) { n.peer_endpoint(); }
    {
        using answer = decltype(core_->next_.peer_endpoint());
        return core_ == nullptr ? answer(flux::fail(flux::errc::closed)) : core_->next_.peer_endpoint();
    }
    [[nodiscard]] auto local_endpoint() const
        requires requires(const Next& n) { n.local_endpoint(); }
    {
        using answer = decltype(core_->next_.local_endpoint());
        return core_ == nullptr ? answer(flux::fail(flux::errc::closed)) : core_->next_.local_endpoint();
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
    [[nodiscard]] const engine* made() const noexcept { return is_secure() ? core_->engine_.get() : nullptr; }

    std::unique_ptr<detail::stream_core<Next>> core_;
};

} // namespace flux::inline FLUX_ABI::tls
