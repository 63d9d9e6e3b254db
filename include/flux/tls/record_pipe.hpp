// SPDX-License-Identifier: MIT
// flux/tls/record_pipe.hpp - record_pipe<Next>: owns the way of records between an engine and the stream below it.
//
//   Next -> receive -> take() -> engine            engine.output() -> flush(): one at a time, in order -> Next
//
// Also how a connection that failed ends, so that the peer gets to read its alert. Deliberately not here: what is read
// and written (stream_core.hpp), and who speaks first (server_opening.hpp, client_opening.hpp).
#pragma once

#include <flux/coro/mutex.hpp>
#include <flux/coro/task.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/stream.hpp>
#include <flux/tls/engine.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::tls::detail {

template <class Next>
class record_pipe {
public:
    explicit record_pipe(Next n) : next(std::move(n)) {}
    record_pipe(const record_pipe&) = delete;
    record_pipe& operator=(const record_pipe&) = delete;

    Next next;
    std::unique_ptr<engine> tls; // null until it is known whose context the connection has
    bool input_ended = false;
    bool send_failed = false; // octets of a record may be missing on the wire

    /// The peer's next octets go to the engine.
    [[nodiscard]] task<> fill() {
        auto octets = co_await attempt(next.receive());
        if (!octets) {
            co_await flux::fail(std::move(octets).error());
        }
        if (octets->empty()) {
            input_ended = true;
            tls->feed_end();
        } else {
            tls->feed(as_text(octets->octets()));
        }
    }
    /// Sends what is in the engine's output; one at a time, so that records stay in order.
    [[nodiscard]] task<> flush() {
        auto guard = co_await attempt(sending_lock_.lock());
        if (!guard) {
            co_await flux::fail(std::move(guard).error());
        }
        if (send_failed) {
            co_await flux::fail(flux::errc::closed);
        }
        while (!tls->output().empty()) {
            std::swap(sending_, tls->output());
            auto sent = co_await attempt(next.write_all(as_octets(sending_.view())));
            sending_.clear();
            if (!sent) {
                send_failed = true;
                co_await flux::fail(std::move(sent).error());
            }
        }
    }
    /// What Next takes without waiting; the rest is lost, and nothing can be sent after it.
    void flush_now() noexcept {
        if (sending_lock_.is_locked() || send_failed || tls->output().empty()) {
            return;
        }
        const std::string_view octets = tls->output().view();
        std::size_t n = 0;
        if constexpr (requires { next.try_write(as_octets(octets)); }) {
            n = next.try_write(as_octets(octets));
        }
        send_failed = n != octets.size();
        tls->output().clear();
    }
    /// Gives the memory of empty buffers back; while nobody writes.
    void release_buffers() noexcept {
        if (!sending_lock_.is_locked()) {
            sending_.shrink_above(0);
        }
        tls->release_buffers();
    }

    // ---- the end of a connection that failed ----
    /// An alert goes out if it can. Never fails.
    [[nodiscard]] task<> say_last_words() {
        if (!tls->output().empty()) {
            auto said = co_await attempt(flush());
            ignore_result(said, "the stream has failed already");
        }
    }
    /// Waits a moment for the peer to read an alert: closing with octets unread would reset it away.
    [[nodiscard]] task<> linger() {
        if (!input_ended && next.shutdown_write()) {
            auto drained = co_await attempt(with_timeout(milliseconds(1'000), drain()));
            ignore_result(drained, "the connection ends in any case");
        }
    }
    /// An alert in the clear, before there is an engine. Always fails, with `why`.
    [[nodiscard]] task<> refuse(alert a, error why) {
        const char record[] = {21, 3, 3, 0, 2, 2, static_cast<char>(a)};
        sending_.append(std::string_view(record, sizeof record));
        auto said = co_await attempt(next.write_all(as_octets(sending_.view())));
        sending_.clear();
        if (said) {
            co_await linger();
        }
        co_await flux::fail(std::move(why));
    }

private:
    [[nodiscard]] task<> drain() {
        constexpr std::size_t most = 262'144;
        for (std::size_t dropped = 0; dropped < most;) {
            auto octets = co_await attempt(next.receive());
            if (!octets || octets->empty()) {
                co_return;
            }
            dropped += octets->size();
        }
    }

    byte_buffer sending_; // what Next is writing
    async_mutex sending_lock_;
};

} // namespace flux::inline FLUX_ABI::tls::detail
