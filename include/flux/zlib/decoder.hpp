// SPDX-License-Identifier: MIT
// flux/zlib/decoder.hpp - decodes content that was coded with gzip or deflate, piece by piece, without I/O.
//
//   coded octets --next()--> pieces of at most 16 KiB ... --finish()--> whole, or not
//
// Bounded against content that is small when coded and huge when decoded. Strict: what follows the end of the coded
// content, or is missing at its end, is an error. Deliberately not here: bodies (body.hpp), other codings.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/result.hpp>
#include <flux/http/wire/errc.hpp>
#include <flux/zlib/coding.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <type_traits>

#include <zlib.h>

namespace flux::inline FLUX_ABI::zlib {

/// How far coded content may expand. Copied.
struct decoder_limits {
    /// Octets of decoded content: one more is errc::body_too_large.
    std::uint64_t octets = 10'485'760;
    /// Decoded octets per coded octet, once more than `ratio_from` were decoded: above it errc::body_too_large.
    /// Text rarely exceeds 20; deflate itself cannot exceed 1032.
    std::uint32_t ratio = 200;
    std::uint64_t ratio_from = 1U << 20;
};
static_assert(std::is_trivially_destructible_v<decoder_limits>);

enum class decoder_event : std::uint8_t {
    need_more, ///< all octets were taken: call with further ones, or finish()
    data,      ///< `data` is decoded content: take it, then call again with the octets that were not consumed
    failed,    ///< error() says why; final
};

struct decoder_step {
    decoder_event event = decoder_event::need_more;
    std::size_t consumed = 0;   ///< of the octets given
    std::string_view data = {}; ///< in the decoder's memory, until its next call
};

/// Decodes one coded content.
///
///     for (std::string_view rest = octets;;) {
///         const zlib::decoder_step step = decoder.next(rest);
///         rest.remove_prefix(step.consumed);
///         if (step.event != zlib::decoder_event::data) { break; }
///         use(step.data);
///     }
///
/// gzip may have several members one after the other, which are decoded as one content [RFC 1952 2.2]. Content of
/// no octets at all is whole and empty.
/// Threads  as a value.
/// Cost     about 64 KiB from the first octet on; an octet is copied once.
class decoder {
public:
    /// Params  limits  a limit of zero octets allows only empty content.
    explicit decoder(coding c, decoder_limits limits = decoder_limits()) noexcept : limits_(limits), coding_(c) {}
    decoder(decoder&&) noexcept = default;
    decoder& operator=(decoder&&) noexcept = default;
    ~decoder() = default;

    /// Decodes some of `octets`.
    /// Errors  as the event: http::errc::bad_content_coding, body_too_large. Throws std::bad_alloc.
    [[nodiscard]] decoder_step next(std::string_view octets) {
        if (state_ == state::failed) {
            return stop(error_, 0);
        }
        std::size_t used = 0;
        if (state_ == state::start) {
            used = find_format(octets);
            if (state_ == state::start) {
                return {decoder_event::need_more, used};
            }
        }
        decoder_step step = inflate_some(octets.substr(used));
        step.consumed += used;
        return step;
    }

    /// No further octets come. Errors: http::errc::bad_content_coding if the content is not whole, or what failed.
    [[nodiscard]] result<void> finish() const {
        if (state_ == state::failed) {
            return fail(error(error_));
        }
        const bool is_empty = state_ == state::start && held_ == 0;
        return is_empty || state_ == state::between ? result<void>()
                                                    : result<void>(fail(error(http::errc::bad_content_coding)));
    }

    /// Octets of coded content that were taken, and of decoded content that were given.
    [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }
    [[nodiscard]] std::uint64_t given() const noexcept { return given_; }
    /// Why it failed; http::errc::none if it did not.
    [[nodiscard]] http::errc failed() const noexcept { return error_; }

private:
    enum class state : std::uint8_t { start, inside, between, failed }; // between: at the end, or before a member
    static constexpr std::size_t piece_octets = 16'384;

    // Does not move: zlib's state points back at its stream.
    struct engine {
        engine() noexcept = default;
        engine(const engine&) = delete;
        engine& operator=(const engine&) = delete;
        ~engine() { ::inflateEnd(&stream); }
        ::z_stream stream{};
        unsigned char piece[piece_octets];
    };

    // Two octets tell the zlib format from bare deflate. Returns how many octets were taken to find out.
    [[nodiscard]] std::size_t find_format(std::string_view octets) {
        if (coding_ == coding::gzip) {
            if (!octets.empty()) {
                open(15 + 16);
            }
            return 0;
        }
        std::size_t used = 0;
        while (held_ < 2 && used < octets.size()) {
            head_[held_++] = static_cast<unsigned char>(octets[used++]);
        }
        taken_ += used;
        if (held_ == 2) {
            const unsigned both = head_[0] * 256U + head_[1];
            const bool is_zlib = (head_[0] & 0x0f) == Z_DEFLATED && (head_[0] >> 4) <= 7 && both % 31 == 0;
            open(is_zlib ? 15 : -15);
        }
        return used;
    }
    void open(int window_bits) {
        engine_ = flux::detail::make_owner<engine>();
        if (::inflateInit2(&engine_->stream, window_bits) != Z_OK) {
            throw std::bad_alloc();
        }
        state_ = state::inside;
    }

    [[nodiscard]] decoder_step inflate_some(std::string_view octets) {
        ::z_stream& z = engine_->stream;
        std::size_t used = 0;
        for (;;) {
            if (state_ == state::between) {
                if (used == octets.size()) {
                    return {decoder_event::need_more, used};
                }
                if (coding_ != coding::gzip || octets[used] != '\x1f') {
                    return stop(http::errc::bad_content_coding, used);
                }
                ::inflateReset(&z);
                state_ = state::inside;
            }
            const bool from_head = head_used_ < held_;
            const std::size_t room = from_head ? held_ - head_used_ : octets.size() - used;
            const auto offered = static_cast<unsigned>(std::min<std::size_t>(room, 1U << 30));
            const unsigned char* in = from_head ? head_ + head_used_
                                                : reinterpret_cast<const unsigned char*>(octets.data()) + used;
            z.next_in = const_cast<unsigned char*>(in);
            z.avail_in = offered;
            z.next_out = engine_->piece;
            z.avail_out = piece_octets;
            const int r = ::inflate(&z, Z_NO_FLUSH);
            const std::size_t eaten = offered - z.avail_in;
            if (from_head) {
                head_used_ = static_cast<std::uint8_t>(head_used_ + eaten);
            } else {
                used += eaten;
                taken_ += eaten;
            }
            const std::size_t made = piece_octets - z.avail_out;
            if (r == Z_MEM_ERROR) {
                throw std::bad_alloc();
            }
            if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR) {
                return stop(http::errc::bad_content_coding, used);
            }
            if (r == Z_STREAM_END) {
                state_ = state::between;
            }
            if (made != 0) {
                if (made > limits_.octets - given_ || expands_too_far(given_ + made)) {
                    return stop(http::errc::body_too_large, used);
                }
                given_ += made;
                return {decoder_event::data, used, {reinterpret_cast<const char*>(engine_->piece), made}};
            }
            if (r == Z_BUF_ERROR || (r == Z_OK && eaten == 0)) {
                return {decoder_event::need_more, used}; // nothing to take, nothing to give
            }
        }
    }
    [[nodiscard]] bool expands_too_far(std::uint64_t given) const noexcept {
        return given > limits_.ratio_from && given / std::max(limits_.ratio, 1U) > taken_;
    }
    [[nodiscard]] decoder_step stop(http::errc why, std::size_t used) noexcept {
        state_ = state::failed;
        error_ = why;
        return {decoder_event::failed, used};
    }

    flux::detail::owner<engine> engine_;
    decoder_limits limits_;
    std::uint64_t taken_ = 0;
    std::uint64_t given_ = 0;
    coding coding_;
    state state_ = state::start;
    http::errc error_ = http::errc::none;
    std::uint8_t held_ = 0;      // octets in head_
    std::uint8_t head_used_ = 0; // of them, those that zlib has
    unsigned char head_[2] = {};
};

} // namespace flux::inline FLUX_ABI::zlib
