// SPDX-License-Identifier: MIT
// flux/tls/stream_core.hpp - stream_core<Next>: owns what reading, writing, opening and closing a TLS stream are.
//
//   reader <- plain octets <- engine <- record_pipe <- Next         fresh -> opening -> handshake -> open -> closed
//   writer -> plain octets -> engine -> record_pipe -> Next
//
// The handshake runs inside the first operation, under a limit of its own. A reader and a writer may be in flight:
// both use the engine, which never waits, and whoever left octets in its output sends them. A stop in the middle of a
// write leaves a stream that can only be closed. The end of Next without close_notify is an error. A stream that waits
// for its peer holds no buffer. Deliberately not here: whose context it is (server_opening.hpp, client_opening.hpp).
#pragma once

#include <flux/tls/connection_facts.hpp>
#include <flux/tls/client_opening.hpp>
#include <flux/tls/input_watch.hpp>
#include <flux/tls/record_pipe.hpp>
#include <flux/tls/server_opening.hpp>

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace flux::inline FLUX_ABI::tls::detail {

// Everything a tls_stream is, at an address that does not change.
template <class Next>
class stream_core {
public:
    explicit stream_core(Next next) : pipe(std::move(next)) {}
    stream_core(const stream_core&) = delete;
    stream_core& operator=(const stream_core&) = delete;

    record_pipe<Next> pipe;
    stream_role role = stream_role::plain;
    server_opening server;
    client_opening client;
    std::shared_ptr<const connection_facts> facts; // once somebody asked
    bool is_open = false; // the handshake is made

    // ---- what the operations are ----
    [[nodiscard]] task<received> receive() {
        const overlap_guard alone(reading_);
        if (!alone) {
            co_return flux::fail(flux::errc::overlap);
        }
        if (role == stream_role::plain) {
            auto octets = co_await attempt(pipe.next.receive());
            co_return octets;
        }
        auto ctx = co_await this_context();
        auto ready = usable_under(ctx);
        if (ready && !is_open) {
            ready = co_await attempt(open());
        }
        for (;;) { // each turn uses what the peer sent, or waits for it
            if (!ready) {
                co_return flux::fail(std::move(ready).error());
            }
            if (const std::size_t room = pipe.tls->next_read_size(); room != 0) {
                plain_block block(static_cast<std::byte*>(::operator new(room)));
                std::size_t n = 0;
                const auto step = pipe.tls->read(mutable_buffer(block.get(), room), n);
                if (step == engine::progress::done) {
                    std::byte* octets = block.release();
                    co_return received(const_buffer(octets, n), &free_plain, octets, 0);
                }
                if (const auto end = read_outcome(step)) {
                    co_await pipe.say_last_words();
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
        if (role == stream_role::plain) {
            auto n = co_await attempt(pipe.next.read_some(out));
            co_return n;
        }
        auto ctx = co_await this_context();
        auto ready = usable_under(ctx);
        if (ready && !is_open) {
            ready = co_await attempt(open());
        }
        for (;;) { // as in receive()
            if (!ready) {
                co_return flux::fail(std::move(ready).error());
            }
            if (out.empty()) {
                co_return std::size_t{0};
            }
            if (pipe.tls->next_read_size() != 0) {
                std::size_t n = 0;
                const auto step = pipe.tls->read(out, n);
                if (step == engine::progress::done) {
                    co_return n;
                }
                if (const auto end = read_outcome(step)) {
                    co_await pipe.say_last_words();
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
        if (role == stream_role::plain) {
            auto sent = co_await attempt(write_plain(first, rest));
            if (!sent) {
                co_await flux::fail(std::move(sent).error());
            }
            co_return;
        }
        auto ctx = co_await this_context();
        auto ready = usable_under(ctx);
        if (ready && !is_open) {
            ready = co_await attempt(open());
        }
        if (ready && (write_failed_ || pipe.send_failed || pipe.tls->sent_close())) {
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
            if (pipe.tls->write(first.first(n)) != engine::progress::done) {
                ready = flux::fail(pipe.tls->take_error());
                break;
            }
            ready = co_await attempt(pipe.flush());
            write_failed_ = !ready;
            first = first.subspan(n);
        }
        if (!ready) {
            co_await flux::fail(std::move(ready).error());
        }
    }

    /// The handshake, if it has not been made; an operation of its own only where somebody wants its outcome.
    [[nodiscard]] task<> open() {
        if (role == stream_role::plain || is_open) {
            co_return;
        }
        auto guard = co_await attempt(handshake_.lock());
        if (!guard) {
            co_await flux::fail(std::move(guard).error());
        }
        if (is_open) {
            co_return;
        }
        if (failed_) {
            co_await flux::fail(*failed_);
        }
        failed_.emplace(flux::errc::closed); // stands where an exception leaves the handshake
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
        failed_.reset();
        is_open = true;
    }

    // ---- what does not wait ----
    result<void> shutdown_write() noexcept {
        if (role != stream_role::plain && is_open && !write_failed_) {
            pipe.tls->close();
            pipe.flush_now();
        }
        return pipe.next.shutdown_write();
    }
    void close() noexcept {
        if (role != stream_role::plain && is_open) {
            if (!write_failed_ && !writing_) {
                pipe.tls->close();
                pipe.flush_now();
            }
            if (role == stream_role::client) {
                client.keep_session(*pipe.tls);
            }
            drop_last_words();
        }
        pipe.next.close();
    }
    void abort() noexcept { pipe.next.abort(); }

    input_watch<stream_core> watch{*this};

private:
    // Closing with octets unread resets a connection, and takes what was sent last with it. The peer's close_notify must
    // not do that; what is longer is data that nobody has read, and the peer may know.
    void drop_last_words() noexcept {
        if constexpr (requires { pipe.next.try_receive(); }) {
            try {
                for (std::size_t dropped = 0, n = 1; n != 0 && dropped < 256; dropped += n) {
                    n = pipe.next.try_receive().size();
                }
            } catch (...) {
                return; // without memory the connection is reset
            }
        }
    }

    friend class input_watch<stream_core>;
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
        return role == stream_role::server ? server.config->handshake_timeout : client.context->settings().handshake_timeout;
    }
    [[nodiscard]] static result<void> usable_under(const context& ctx) noexcept {
        return ctx.stopped() ? result<void>(flux::fail(ctx.node().stop_error())) : result<void>();
    }
    [[nodiscard]] task<> write_plain(const_buffer first, std::span<const const_buffer> rest) {
        result<void> sent;
        if (rest.empty()) {
            sent = co_await attempt(pipe.next.write_all(first));
        } else {
            sent = co_await attempt(pipe.next.write_all(rest));
        }
        if (!sent) {
            co_await flux::fail(std::move(sent).error());
        }
    }
    // Nothing: go on. A value: the end of the stream. An error: it failed.
    [[nodiscard]] std::optional<result<void>> read_outcome(engine::progress step) {
        switch (step) {
        case engine::progress::closed: return result<void>();
        case engine::progress::failed: return result<void>(flux::fail(pipe.tls->take_error()));
        case engine::progress::want_more:
            if (pipe.input_ended) {
                return result<void>(flux::fail(make_error(errc::truncated)));
            }
            return std::nullopt;
        case engine::progress::done: break;
        }
        return std::nullopt;
    }
    // What the library has to say beside data (key updates, tickets), then the peer's next octets.
    [[nodiscard]] task<> more_octets() {
        if (!pipe.tls->output().empty()) {
            auto sent = co_await attempt(pipe.flush());
            if (!sent) {
                co_await flux::fail(std::move(sent).error());
            }
        }
        if (!writing_) {
            pipe.release_buffers();
        }
        auto filled = co_await attempt(pipe.fill());
        if (!filled) {
            co_await flux::fail(std::move(filled).error());
        }
    }

    [[nodiscard]] task<> shake() {
        result<void> begun;
        if (role == stream_role::server) {
            begun = co_await attempt(server.begin(pipe));
        } else {
            auto made = client.begin();
            if (made) {
                pipe.tls = *std::move(made);
            } else {
                begun = flux::fail(std::move(made).error());
            }
        }
        while (begun) { // each turn takes records of the peer, and a handshake has a bounded number of them
            const auto step = pipe.tls->handshake();
            if (step == engine::progress::failed || (step != engine::progress::done && pipe.input_ended)) {
                begun = flux::fail(step == engine::progress::failed ? pipe.tls->take_error()
                                                                    : make_error(errc::truncated, "during the handshake"));
                co_await pipe.say_last_words();
                if (role == stream_role::server) {
                    co_await pipe.linger();
                }
                break;
            }
            if (!pipe.tls->output().empty()) {
                begun = co_await attempt(pipe.flush());
            }
            if (step == engine::progress::done) {
                break;
            }
            if (begun) {
                begun = co_await attempt(pipe.fill());
            }
        }
        if (begun && role == stream_role::client) {
            begun = client.check_resumed(*pipe.tls);
        }
        if (!begun) {
            co_await flux::fail(std::move(begun).error());
        }
    }

    async_mutex handshake_;
    std::optional<error> failed_; // of the handshake
    bool reading_ = false;
    bool writing_ = false;
    bool write_failed_ = false; // a record may be missing on the wire
};

} // namespace flux::inline FLUX_ABI::tls::detail
