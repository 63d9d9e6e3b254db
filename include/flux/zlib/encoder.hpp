// SPDX-License-Identifier: MIT
// flux/zlib/encoder.hpp - codes content with gzip or deflate, piece by piece, without I/O.
//
//   octets --write()--> byte_buffer ... --flush()--> all so far can be decoded ... --finish()--> whole
//
// Deliberately not here: whether content should be coded (http/message/content_coding.hpp, compress.hpp).
#pragma once

#include <flux/core/buffer.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/zlib/coding.hpp>

#include <algorithm>
#include <cstddef>
#include <new>
#include <string_view>
#include <utility>

#include <zlib.h>

namespace flux::inline FLUX_ABI::zlib {

/// Codes one content; reset() begins the next one with the same memory.
///
/// The same octets in the same calls give the same coded octets: gzip members carry no name and no time.
/// Errors   throws std::bad_alloc; the encoder is useless then until reset().
/// Threads  as a value.
/// Cost     about 270 KiB from construction on.
class encoder {
public:
    /// Params  level  1 (fast) to 9 (small); others are taken for the nearest.
    explicit encoder(coding c = coding::gzip, int level = 6) : engine_(flux::detail::make_owner<engine>()) {
        const int window_bits = c == coding::gzip ? 15 + 16 : 15;
        const int r = ::deflateInit2(&engine_->stream, std::clamp(level, 1, 9), Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
        if (r != Z_OK) {
            throw std::bad_alloc();
        }
    }
    encoder(encoder&&) noexcept = default;
    encoder& operator=(encoder&&) noexcept = default;
    ~encoder() = default;

    /// Codes `octets`; appends what comes out, often nothing, to `out`.
    void write(std::string_view octets, byte_buffer& out) { run(octets, Z_NO_FLUSH, out); }
    /// Appends what it takes to decode all that was written so far. Costs a few octets each time.
    void flush(byte_buffer& out) { run({}, Z_SYNC_FLUSH, out); }
    /// Appends the rest. After it, only reset().
    void finish(byte_buffer& out) { run({}, Z_FINISH, out); }
    /// Forgets everything; a new content begins.
    void reset() noexcept { ::deflateReset(&engine_->stream); }

private:
    static constexpr std::size_t room_octets = 8192; // of output at a time

    // Does not move: zlib's state points back at its stream.
    struct engine {
        engine() noexcept = default;
        engine(const engine&) = delete;
        engine& operator=(const engine&) = delete;
        ~engine() { ::deflateEnd(&stream); }
        ::z_stream stream{};
    };

    void run(std::string_view octets, int mode, byte_buffer& out) {
        ::z_stream& z = engine_->stream;
        z.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(octets.data()));
        std::size_t left = octets.size();
        for (;;) {
            const auto offered = static_cast<unsigned>(std::min<std::size_t>(left, 1U << 30));
            z.avail_in = offered;
            z.next_out = reinterpret_cast<unsigned char*>(out.prepare(room_octets));
            z.avail_out = room_octets;
            const int r = ::deflate(&z, mode);
            left -= offered - z.avail_in;
            out.commit(room_octets - z.avail_out);
            if (r == Z_STREAM_END || (left == 0 && z.avail_out != 0)) {
                return;
            }
            if (r != Z_OK && r != Z_BUF_ERROR) {
                return; // used after finish(): nothing comes out
            }
        }
    }

    flux::detail::owner<engine> engine_;
};

} // namespace flux::inline FLUX_ABI::zlib
