// SPDX-License-Identifier: MIT
// flux/http/server/request_body.hpp - the body of the request in progress, pulled from the connection.
//
//   stream -> input -> length or chunked framing -> views for the handler
//
// One piece is what is in one receive buffer: nothing is copied, nothing is read ahead, so a handler that does
// not read stops the sender. A slow sender is measured as an average rate. Deliberately not here: what happens
// to a body that nobody read (server_connection.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/vacate.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/exchange.hpp>

#include <cstdint>
#include <optional>

namespace flux::inline FLUX_ABI::http::detail {

template <buffered_stream Stream>
class request_body final : public body_source {
public:
    request_body(Stream& stream, exchange& ex, const server_options& options, const scheduler& home) noexcept
        : stream_(&stream), ex_(&ex), options_(&options), home_(&home), left_(ex.framing.length) {
        ex.chunks.reset();
        ended_ = ex.framing.kind == body_kind::none || (ex.framing.kind == body_kind::length && left_ == 0);
    }
    request_body(const request_body&) = delete;
    request_body& operator=(const request_body&) = delete;

    [[nodiscard]] task<std::string_view> next() override {
        release_piece();
        if (!readable_) {
            co_return fail(readable_.error());
        }
        if (!ended_ && ex_->expects == expectation::continue_ && !ex_->answering) {
            ex_->expects = expectation::none;
            const auto sent = co_await attempt(
                with_timeout(options_->write_timeout, stream_->write_all(as_octets("HTTP/1.1 100 Continue\r\n\r\n"))));
            if (!sent) {
                co_return break_off(sent.error());
            }
        }
        while (!ended_) {
            if (ex_->input.empty()) {
                auto octets = co_await attempt(with_deadline(allowed_until(), stream_->receive()));
                if (!octets) {
                    co_return break_off(std::move(octets).error());
                }
                if (octets->empty()) {
                    co_return break_off(error(errc::incomplete_body));
                }
                arrived_ += octets->size();
                ex_->input.add(*std::move(octets));
            }
            const std::string_view piece = ex_->framing.kind == body_kind::chunked ? take_chunk() : take_length();
            if (!readable_) {
                co_return fail(readable_.error());
            }
            if (!piece.empty()) {
                taken_ += piece.size();
                co_return piece;
            }
        }
        co_return std::string_view();
    }
    [[nodiscard]] fields_view trailers() const noexcept override { return ex_->chunks.trailers(); }
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override {
        if (ex_->framing.kind == body_kind::chunked) {
            return std::nullopt;
        }
        return ex_->framing.length;
    }

    [[nodiscard]] const error* failure() const noexcept override { return readable_ ? nullptr : &readable_.error(); }

    /// Gives back the piece that the last next() handed out.
    void release_piece() noexcept { ex_->input.consume(flux::detail::vacate(piece_)); }
    /// The whole body was read.
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    /// Octets of content handed out so far.
    [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }
    /// Octets that were received for it, with their framing and what came behind.
    [[nodiscard]] std::uint64_t arrived() const noexcept { return arrived_; }
    /// It cannot be read on: see failure().
    [[nodiscard]] bool failed() const noexcept { return !readable_; }
    /// The sender waits for a 100 that was never said.
    [[nodiscard]] bool awaits_continue() const noexcept { return ex_->expects == expectation::continue_; }

private:
    [[nodiscard]] flux::failure break_off(error why) {
        readable_ = fail(why);
        return fail(static_cast<error&&>(why));
    }
    // The grace, and a second for every body_min_rate octets that came; but who sent much at first may not stop for
    // longer than the grace either.
    [[nodiscard]] time_point allowed_until() noexcept {
        const time_point now = home_->now();
        if (started_ == time_point()) {
            started_ = now;
        }
        const milliseconds earned(taken_ * 1000 / std::max(1U, options_->body_min_rate));
        return std::min(deadline_after(deadline_after(started_, options_->body_grace), earned), deadline_after(now, options_->body_grace));
    }
    [[nodiscard]] std::string_view take_length() noexcept {
        const std::string_view octets = ex_->input.view();
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, octets.size()));
        left_ -= n;
        ended_ = left_ == 0;
        piece_ = n;
        return octets.substr(0, n);
    }
    [[nodiscard]] std::string_view take_chunk() {
        const chunk_step step = ex_->chunks.next(ex_->input.view());
        switch (step.event) {
        case chunk_event::failed: readable_ = fail(error(ex_->chunks.error().code)); return {};
        case chunk_event::data: piece_ = step.consumed; return step.data;
        case chunk_event::done: ended_ = true; break;
        case chunk_event::need_more: break;
        }
        ex_->input.consume(step.consumed);
        return {};
    }

    Stream* stream_;
    exchange* ex_;
    const server_options* options_;
    const scheduler* home_;
    std::uint64_t left_;
    std::uint64_t taken_ = 0;
    std::uint64_t arrived_ = 0;
    std::size_t piece_ = 0; // octets of the input that the handler looks at
    time_point started_{};
    bool ended_ = false;
    result<void> readable_; // or why not any more
};

} // namespace flux::inline FLUX_ABI::http::detail
