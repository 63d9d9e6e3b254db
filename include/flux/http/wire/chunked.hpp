// SPDX-License-Identifier: MIT
// flux/http/wire/chunked.hpp - chunked transfer coding: a decoder over segments as they come, and an encoder.
//
//   size -> extensions -> LF -> data -> CR LF -> size ... -> "0" -> trailers -> done
//
// The decoder copies no data: it hands out spans of the segment it was given. Only trailers, which few messages
// have, are collected. Strict: CR LF everywhere, no empty size, no whitespace but where RFC 9112 7.1.1 has BWS.
// Deliberately not here: buffering, I/O, limits in time.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/message/fields.hpp>
#include <flux/http/wire/errc.hpp>
#include <flux/http/wire/field_section.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/http/wire/head_writer.hpp>
#include <flux/http/wire/limits.hpp>
#include <flux/http/wire/octet_sink.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

namespace detail {

// Never taken from a trailer and never sent in one: they frame, route, authenticate or alter the handling of a
// message whose head has been acted upon already [RFC 9110 6.5.1].
inline constexpr field_set not_in_trailers(
    field::transfer_encoding, field::content_length, field::host, field::trailer, field::te, field::connection,
    field::keep_alive, field::proxy_connection, field::upgrade, field::expect, field::max_forwards,
    field::cache_control, field::authorization, field::proxy_authorization, field::proxy_authenticate,
    field::www_authenticate, field::cookie, field::set_cookie, field::content_encoding, field::content_type,
    field::content_range, field::range, field::if_match, field::if_none_match, field::if_modified_since,
    field::if_unmodified_since, field::if_range, field::age, field::expires, field::date, field::location,
    field::retry_after, field::vary, field::origin, field::forwarded, field::x_forwarded_for);

// Those whose mere presence in a trailer is an attempt at another reading of the message.
inline constexpr field_set refused_in_trailers(field::transfer_encoding, field::content_length, field::host);

} // namespace detail

/// Whether a field may be sent as a trailer. Other names are the user's responsibility.
[[nodiscard]] constexpr bool allowed_as_trailer(field f) noexcept { return !detail::not_in_trailers.contains(f); }

/// What the decoder found in a segment.
enum class chunk_event : std::uint8_t {
    need_more, ///< the segment is used up
    data,      ///< a span of content; call again with the rest of the segment
    done,      ///< the body is complete; what is left of the segment is the next message
    failed,    ///< see error()
};

struct chunk_step {
    chunk_event event = chunk_event::need_more;
    std::size_t consumed = 0; ///< octets of the segment that are dealt with; after `failed`, of no use
    std::string_view data = {}; ///< for chunk_event::data: a part of the segment, never empty
};

/// Takes chunked coding off one body.
///
/// Limits applied: body_octets (413), chunk_extension_octets (400), trailer_octets and max_trailers and
/// field_line_octets (431). Trailers that frame or route the message are an error; those that RFC 9110 6.5.1
/// forbids otherwise are dropped.
///
/// Params   lim  borrowed; must outlive the decoder.
/// Cost     linear; no allocation unless trailers come.
/// Source   RFC 9112 7.1.
class chunked_decoder {
public:
    explicit chunked_decoder(const limits& lim) noexcept
        : limits_(&lim), section_(lim, detail::field_section::kind::trailers) {}

    /// Makes ready for the next body; keeps memory.
    void reset() noexcept {
        const limits* lim = limits_;
        std::string text = std::move(trailer_text_);
        field_storage entries = std::move(trailers_);
        text.clear();
        entries.clear();
        *this = chunked_decoder(*lim);
        trailer_text_ = std::move(text);
        trailers_ = std::move(entries);
    }

    /// Decodes up to the next span of data, the end of the segment, the end of the body, or an error.
    ///
    /// Params  segment  the octets that follow those consumed so far; each octet is given once.
    [[nodiscard]] chunk_step next(std::string_view segment) {
        const char* const begin = segment.data();
        const char* const end = begin + segment.size();
        const char* p = begin;
        while (p != end) {
            p = take_usual_lines(p, end);
            if (p == end) {
                break;
            }
            if (state_ == state::data) {
                const auto n = std::min<std::uint64_t>(left_, static_cast<std::uint64_t>(end - p));
                left_ -= n;
                if (left_ == 0) {
                    state_ = state::data_cr;
                }
                const std::string_view data(p, static_cast<std::size_t>(n));
                return step(chunk_event::data, begin, p + n, data);
            }
            if (state_ == state::trailers) {
                return take_trailers(begin, p, end);
            }
            if (state_ == state::done || state_ == state::failed) {
                break;
            }
            if (const errc e = take(*p); e != errc::none) {
                return fail(e, offset_ + static_cast<std::uint64_t>(p - begin));
            }
            if (state_ != state::trailers) { // the first octet of a trailer line is read again, with its line
                ++p;
            }
            if (state_ == state::done) {
                return step(chunk_event::done, begin, p);
            }
        }
        const chunk_event last = state_ == state::done     ? chunk_event::done
                                 : state_ == state::failed ? chunk_event::failed
                                                           : chunk_event::need_more;
        return step(last, begin, p);
    }

    [[nodiscard]] bool done() const noexcept { return state_ == state::done; }
    /// After `failed`: what was wrong, and where, counted from the start of the body.
    [[nodiscard]] message_error error() const noexcept { return error_; }
    /// Octets of content so far: of all chunks whose size line is complete.
    [[nodiscard]] std::uint64_t content_octets() const noexcept { return content_; }
    /// The trailers that may be used, when done. Valid until reset() or destruction; never part of the head.
    [[nodiscard]] fields_view trailers() const& noexcept {
        return {trailer_text_.data(), trailers_.data(), trailers_.size(), present_, repeated_};
    }
    void trailers() const&& = delete;

private:
    enum class state : std::uint8_t {
        size_first, size, ext_space, ext_start, ext_name, ext_name_space, ext_value, ext_token, ext_quoted,
        ext_quoted_pair, ext_value_end, size_lf, data, data_cr, data_lf, trailer_start, trailer_lf, trailers, done,
        failed,
    };

    // The CR LF behind data and the size line of the next chunk, where they are complete and without extension, in
    // one go. Returns where the first octet is that has to be judged by itself.
    [[nodiscard]] const char* take_usual_lines(const char* p, const char* end) noexcept {
        if (state_ == state::data_cr && end - p >= 2 && p[0] == '\r' && p[1] == '\n') {
            p += 2;
            state_ = state::size_first;
        }
        if (state_ != state::size_first) {
            return p;
        }
        std::uint64_t size = 0;
        const char* q = p;
        while (q - p < 8 && end - q >= 3 && is(*q, octet_class::hex)) {
            size = size * 16 + static_cast<unsigned>(hex_value(*q++));
        }
        if (q == p || q[0] != '\r' || q[1] != '\n' || size == 0 || size > limits_->body_octets ||
            content_ > limits_->body_octets - size) {
            return p;
        }
        content_ += size;
        left_ = size;
        state_ = state::data;
        return q + 2;
    }

    // Judges one octet outside of data and trailer lines.
    [[nodiscard]] errc take(char c) noexcept {
        switch (state_) {
        case state::size_first:
            size_ = 0;
            digits_ = 0;
            if (!is(c, octet_class::hex)) {
                return errc::bad_chunk_size;
            }
            state_ = state::size;
            return add_digit(c);
        case state::size:
            if (is(c, octet_class::hex)) {
                return add_digit(c);
            }
            if (size_ > limits_->body_octets || content_ > limits_->body_octets - size_) {
                return errc::body_too_large;
            }
            if (c == '\r') {
                state_ = state::size_lf;
                return errc::none;
            }
            if (c == ';') {
                state_ = state::ext_start;
            } else if (c == ' ' || c == '\t') {
                state_ = state::ext_space;
            } else {
                return c == '\n' ? errc::bad_line_ending : errc::bad_chunk_size;
            }
            return count_extension();
        case state::size_lf:
            if (c != '\n') {
                return errc::bad_line_ending;
            }
            content_ += size_;
            left_ = size_;
            state_ = size_ == 0 ? state::trailer_start : state::data;
            return errc::none;
        case state::data_cr: state_ = state::data_lf; return c == '\r' ? errc::none : errc::bad_chunk_end;
        case state::data_lf: state_ = state::size_first; return c == '\n' ? errc::none : errc::bad_chunk_end;
        case state::trailer_start:
            if (c == '\r') {
                state_ = state::trailer_lf;
            } else {
                begin_trailers();
            }
            return errc::none;
        case state::trailer_lf: state_ = state::done; return c == '\n' ? errc::none : errc::bad_line_ending;
        case state::data:
        case state::trailers:
        case state::done:
        case state::failed: return errc::none;
        default: return take_extension(c);
        }
    }
    [[nodiscard]] errc add_digit(char c) noexcept {
        size_ = size_ * 16 + static_cast<unsigned>(hex_value(c));
        return ++digits_ > 16 || size_ > max_body_length ? errc::chunk_size_overflow : errc::none;
    }

    // *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ), whitespace only before a ";", "=" or value.
    [[nodiscard]] errc take_extension(char c) noexcept {
        const bool space = c == ' ' || c == '\t';
        const bool ends = c == '\r' || c == ';';
        const auto end_or_next = [this](char at) {
            state_ = at == ';' ? state::ext_start : state::size_lf;
        };
        switch (state_) {
        case state::ext_space: // only a ";" makes this whitespace a part of anything
            if (c == ';') {
                state_ = state::ext_start;
            } else if (!space) {
                return errc::bad_chunk_extension;
            }
            break;
        case state::ext_start:
            if (is(c, octet_class::token)) {
                state_ = state::ext_name;
            } else if (!space) {
                return errc::bad_chunk_extension;
            }
            break;
        case state::ext_name:
            if (ends) {
                end_or_next(c);
            } else if (c == '=') {
                state_ = state::ext_value;
            } else if (space) {
                state_ = state::ext_name_space;
            } else if (!is(c, octet_class::token)) {
                return errc::bad_chunk_extension;
            }
            break;
        case state::ext_name_space:
            if (c == '=') {
                state_ = state::ext_value;
            } else if (c == ';') {
                state_ = state::ext_start;
            } else if (!space) {
                return errc::bad_chunk_extension;
            }
            break;
        case state::ext_value:
            if (c == '"') {
                state_ = state::ext_quoted;
            } else if (is(c, octet_class::token)) {
                state_ = state::ext_token;
            } else if (!space) {
                return errc::bad_chunk_extension;
            }
            break;
        case state::ext_token:
            if (ends) {
                end_or_next(c);
            } else if (space) {
                state_ = state::ext_space;
            } else if (!is(c, octet_class::token)) {
                return errc::bad_chunk_extension;
            }
            break;
        case state::ext_quoted:
            if (c == '"') {
                state_ = state::ext_value_end;
            } else if (c == '\\') {
                state_ = state::ext_quoted_pair;
            } else if (!is(c, octet_class::field_value)) {
                return errc::bad_chunk_extension;
            }
            break;
        case state::ext_quoted_pair:
            if (!is(c, octet_class::field_value)) {
                return errc::bad_chunk_extension;
            }
            state_ = state::ext_quoted;
            break;
        default: // ext_value_end
            if (ends) {
                end_or_next(c);
            } else if (space) {
                state_ = state::ext_space;
            } else {
                return errc::bad_chunk_extension;
            }
            break;
        }
        return c == '\r' ? errc::none : count_extension();
    }
    [[nodiscard]] errc count_extension() noexcept {
        return ++extension_octets_ > limits_->chunk_extension_octets ? errc::chunk_extensions_too_large : errc::none;
    }

    void begin_trailers() noexcept {
        state_ = state::trailers;
        section_.begin(0);
    }
    // Trailer lines are collected, because they may come in pieces and are looked at after the segment is gone.
    [[nodiscard]] chunk_step take_trailers(const char* begin, const char* p, const char* end) {
        const std::size_t before = trailer_text_.size();
        const std::size_t room = limits_->trailer_octets - before;
        trailer_text_.append(p, std::min(room, static_cast<std::size_t>(end - p)));
        const parse_state s = section_.parse(trailer_text_.data(), trailer_text_.size(), trailers_);
        p += section_.position() - before;
        const std::uint64_t at = offset_ + static_cast<std::uint64_t>(p - begin);
        if (s == parse_state::failed) {
            return fail(section_.error(), at);
        }
        if (s == parse_state::need_more) {
            return step(chunk_event::need_more, begin, end);
        }
        trailer_text_.resize(section_.position());
        if (section_.present().intersects(detail::refused_in_trailers)) {
            auto bad = trailers_.begin();
            while (bad + 1 != trailers_.end() && !detail::refused_in_trailers.contains(bad->id)) {
                ++bad;
            }
            return fail(errc::forbidden_trailer, at - (section_.position() - bad->name_at));
        }
        drop_forbidden();
        state_ = state::done;
        return step(chunk_event::done, begin, p);
    }
    void drop_forbidden() noexcept {
        present_ = section_.present();
        repeated_ = section_.repeated();
        if (!present_.intersects(detail::not_in_trailers)) {
            return;
        }
        trailers_.erase_if([](const field_entry& e) { return !allowed_as_trailer(e.id); });
        present_ = repeated_ = {};
        for (const field_entry& e : trailers_) {
            repeated_.insert(present_ & field_set(e.id));
            present_.insert(e.id);
        }
    }

    [[nodiscard]] chunk_step step(chunk_event event, const char* begin, const char* p,
                                  std::string_view data = {}) noexcept {
        const auto consumed = static_cast<std::size_t>(p - begin);
        offset_ += consumed;
        return {event, consumed, data};
    }
    [[nodiscard, gnu::cold]] chunk_step fail(errc code, std::uint64_t offset) noexcept {
        error_ = {code, offset};
        state_ = state::failed;
        return {chunk_event::failed, 0, {}};
    }

    const limits* limits_;
    std::uint64_t offset_ = 0;  // octets of the body in earlier segments
    std::uint64_t content_ = 0;
    std::uint64_t size_ = 0;    // of the chunk whose size line is being read
    std::uint64_t left_ = 0;    // data octets of the chunk still to come
    std::uint32_t extension_octets_ = 0;
    std::uint8_t digits_ = 0;
    state state_ = state::size_first;
    message_error error_;
    field_set present_;
    field_set repeated_;
    detail::field_section section_;
    std::string trailer_text_;
    field_storage trailers_;
};

/// The line that goes before the data of one chunk: size in hexadecimal and CRLF. The data is followed by CRLF.
class chunk_header {
public:
    /// Params  size  octets of the chunk, not 0: an empty chunk would end the body.
    explicit chunk_header(std::uint64_t size) noexcept {
        FLUX_ASSERT(size != 0, "an empty chunk would end the body");
        text_[sizeof(text_) - 2] = '\r';
        text_[sizeof(text_) - 1] = '\n';
        begin_ = sizeof(text_) - 2;
        for (; size != 0; size >>= 4) {
            text_[--begin_] = "0123456789abcdef"[size & 15];
        }
    }
    [[nodiscard]] std::string_view view() const& noexcept { return {text_ + begin_, sizeof(text_) - begin_}; }
    void view() const&& = delete;

private:
    char text_[18];
    std::uint8_t begin_;
};

/// What ends a chunked body without trailers.
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

/// Appends the last chunk, the trailers and the empty line.
/// Returns  errc::forbidden_trailer, with nothing written, if one must not be sent as a trailer.
/// Source   RFC 9112 7.1.2, RFC 9110 6.5.1.
template <octet_sink Out>
[[nodiscard]] errc write_last_chunk(Out& out, const fields_view& trailers) {
    if (trailers.present().intersects(detail::not_in_trailers)) {
        return errc::forbidden_trailer;
    }
    char* const begin = out.prepare(detail::lines_size(trailers) + last_chunk.size());
    char* const p = detail::put(detail::put_lines(detail::put(begin, "0\r\n"), trailers, {}), "\r\n");
    out.commit(static_cast<std::size_t>(p - begin));
    return errc::none;
}

} // namespace flux::inline FLUX_ABI::http
