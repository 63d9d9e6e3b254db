// SPDX-License-Identifier: MIT
// flux/zlib/body.hpp - a body whose content coding is removed while it is read.
//
//   body_source (coded) -> decoder -> body_source (decoded)
//
// Deliberately not here: which bodies are coded (compress.hpp for requests, the client for responses).
#pragma once

#include <flux/http/message/body.hpp>
#include <flux/zlib/decoder.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::zlib {

/// Reads a coded body and gives its decoded content.
///
/// Trailers are those of the coded body; its length is not known before it is read.
/// Errors   of next(): those of the body below; http::errc::bad_content_coding, also where the content ends early;
///          http::errc::body_too_large over the limits. Final: every further next() fails the same way.
/// Threads  the reactor thread.  Overlap  one next() at a time.
/// Cost     as decoder; a coroutine frame per piece.
template <class Source = http::body_source>
class basic_decoding_source final : public http::body_source {
public:
    /// Params  coded  borrowed; must outlive this.
    basic_decoding_source(Source& coded, coding c, decoder_limits limits = decoder_limits()) noexcept
        : coded_(&coded), decoder_(c, limits) {}
    basic_decoding_source(const basic_decoding_source&) = delete;
    basic_decoding_source& operator=(const basic_decoding_source&) = delete;
    ~basic_decoding_source() = default;

    [[nodiscard]] task<std::string_view> next() override {
        for (;;) {
            const decoder_step step = decoder_.next(rest_);
            rest_.remove_prefix(step.consumed);
            if (step.event == decoder_event::data) {
                co_return step.data;
            }
            if (step.event == decoder_event::failed) {
                co_return fail(coded_->explain(error(decoder_.failed()).phase(error_phase::body)));
            }
            if (ended_) {
                break;
            }
            const auto piece = co_await attempt(coded_->next());
            if (!piece) {
                co_return fail(piece.error());
            }
            rest_ = *piece;
            ended_ = piece->empty();
        }
        if (const auto whole = decoder_.finish(); !whole) {
            co_return fail(coded_->explain(error(http::errc::bad_content_coding).phase(error_phase::body)));
        }
        co_return std::string_view();
    }
    [[nodiscard]] http::fields_view trailers() const noexcept override { return coded_->trailers(); }
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override { return std::nullopt; }
    [[nodiscard]] error explain(error e) const override { return coded_->explain(std::move(e)); }

private:
    Source* coded_;
    decoder decoder_;
    std::string_view rest_; // of the last coded piece
    bool ended_ = false;
};
using decoding_source = basic_decoding_source<>;

} // namespace flux::inline FLUX_ABI::zlib
