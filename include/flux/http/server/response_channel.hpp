// SPDX-License-Identifier: MIT
// flux/http/server/response_channel.hpp - the answer to the request in progress, pushed to the connection.
//
//   status, fields, octets -> framing -> out buffer -> stream
//
// Knows how the body is framed for this request: Content-Length, chunked, until close (HTTP/1.0), or not at all
// (HEAD, 204, 304). Gathers small writes; large ones go out beside the buffer without a copy. Deliberately not
// here: what to answer.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/direct_output.hpp>
#include <flux/http/server/exchange.hpp>
#include <flux/http/server/responder.hpp>
#include <flux/http/server/write_watch.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

inline void write_head_lines(byte_buffer& out, const response_start& start, const fields& head) {
    if (const errc failed = write_response_head(out, start, head); failed != errc::none) {
        flux::detail::throw_error(error(failed));
    }
}

/// Writes the head of an answer. Returns how its body is framed; keep_alive may become false.
[[nodiscard]] inline body_kind write_head(byte_buffer& out, answer_terms& terms, status code, const fields& head,
                                          std::optional<std::uint64_t> length) {
    response_start start;
    start.status = code;
    start.date = terms.date;
    const bool bodyless = is_bodyless(code);
    if (length) {
        start.body = body_kind::length;
        start.length = *length;
    } else if (terms.version == version::http_1_0) {
        start.body = body_kind::until_close;
        terms.keep_alive = terms.keep_alive && (bodyless || terms.asked == method::head);
    } else {
        start.body = body_kind::chunked;
    }
    if (terms.asked == method::connect && is_success(code)) {
        start.body = body_kind::tunnel; // no framing, and nothing about a connection that is not HTTP's any more
        write_head_lines(out, start, head);
        return body_kind::none;
    }
    if (bodyless) {
        // a 304 may say the length of what it stands for; we only say it if it is known to be meant
        start.body = body_kind::none;
    }
    if (code == status::switching_protocols) {
        start.connection = connection_line::upgrade;
    } else if (!terms.keep_alive) {
        start.connection = connection_line::close;
    } else if (terms.said_keep_alive) {
        start.connection = connection_line::keep_alive;
    }
    write_head_lines(out, start, head);
    return bodyless || terms.asked == method::head ? body_kind::none : start.body;
}

template <buffered_stream Stream>
class response_channel final : public response_sink {
public:
    response_channel(Stream& stream, exchange& ex, const server_options& options) noexcept
        : stream_(&stream), out_(&ex.out), answering_(&ex.answering), terms_(ex.terms), options_(&options) {}
    response_channel(const response_channel&) = delete;
    response_channel& operator=(const response_channel&) = delete;

    [[nodiscard]] result<void> begin(status code, const fields& head, std::optional<std::uint64_t> length) override {
        if (begun_ || (is_informational(code) && code != status::switching_protocols)) {
            return fail(error(flux::errc::invalid_argument).doing("begin of a response"));
        }
        kind_ = write_head(*out_, terms_, code, head, length);
        left_ = length.value_or(0);
        code_ = code;
        *answering_ = begun_ = true;
        return {};
    }
    [[nodiscard]] bool begun() const noexcept override { return begun_; }
    /// The status of the head that is on its way; no status before that.
    [[nodiscard]] status code() const noexcept { return code_; }
    /// Octets that the kernel has taken, heads and framing included.
    [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
    /// Octets of content so far, without framing.
    [[nodiscard]] std::uint64_t octets() const noexcept { return octets_; }
    [[nodiscard]] bool keep_alive() const noexcept { return terms_.keep_alive; }
    /// The connection ends with this answer, which says so unless its head is out.
    void close_after() noexcept { terms_.keep_alive = false; }

    [[nodiscard]] result<void> inform(status code, const fields& head) override {
        if (begun_ || !is_informational(code) || code == status::switching_protocols) {
            return fail(error(flux::errc::invalid_argument).doing("interim response"));
        }
        response_start start;
        start.status = code;
        if (terms_.version != version::http_1_0) {
            if (const errc failed = write_response_head(*out_, start, head); failed != errc::none) {
                return fail(error(failed));
            }
        }
        return {};
    }

    [[nodiscard]] task<> write(std::string_view octets) override { // lint_coro: allow parameter: borrowed until it ends
        if (!unbroken_) {
            co_await fail(unbroken_.error());
        }
        if (octets.empty()) {
            co_return;
        }
        switch (kind_) {
        case body_kind::none: co_return; // HEAD: counted by nobody, sent to nobody
        case body_kind::length:
            if (octets.size() > left_) {
                co_await fail(error(errc::body_length_mismatch));
            }
            left_ -= octets.size();
            break;
        case body_kind::chunked: {
            const chunk_header size_line(octets.size());
            out_->append(size_line.view());
            break;
        }
        case body_kind::until_close:
        case body_kind::tunnel: break;
        }
        octets_ += octets.size();
        const std::string_view tail = kind_ == body_kind::chunked ? "\r\n" : "";
        if (octets.size() < gather_limit) {
            out_->append(octets);
            out_->append(tail);
            if (out_->size() < gather_limit) {
                co_return;
            }
            octets = {};
        }
        const auto sent = co_await attempt(send(octets, octets.empty() ? std::string_view() : tail));
        if (!sent) {
            co_await fail(sent.error());
        }
    }
    [[nodiscard]] task<> flush() override { return send({}, {}); }
    [[nodiscard]] direct_output* direct(std::uint64_t octets) override {
        if constexpr (std::derived_from<Stream, socket_stream>) {
            const bool counted = kind_ == body_kind::length && octets <= left_;
            if (begun_ && unbroken_ && (counted || kind_ == body_kind::until_close)) {
                left_ -= counted ? octets : 0;
                octets_ += octets;
                sent_ += octets + out_->size();
                direct_ = {stream_, out_, options_, &unbroken_};
                return &direct_;
            }
        }
        return nullptr;
    }

    [[nodiscard]] result<void> add_trailer(std::string_view name, std::string_view value) override {
        if (begun_ && kind_ != body_kind::chunked && kind_ != body_kind::none && kind_ != body_kind::until_close) {
            return fail(error(flux::errc::invalid_argument).doing("trailer of a body that is not chunked"));
        }
        if (!allowed_as_trailer(to_field(name))) {
            return fail(error(flux::errc::invalid_argument).doing("trailer with a field that must be in the head"));
        }
        return trailers_.try_add(name, value);
    }

    /// A whole answer that fits the out buffer, or one whose head went out already. False: it must be sent.
    [[nodiscard]] bool put(const response& answer) {
        if (begun_) {
            return true;
        }
        if (answer.is_special() || answer.octets().size() > gather_limit) {
            return false;
        }
        if (!begin(answer.code(), answer.fields(), answer.length())) {
            return false;
        }
        if (kind_ == body_kind::length) {
            out_->append(answer.octets());
            octets_ = answer.octets().size();
        }
        skip_body();
        return true;
    }
    /// The body is not sent (HEAD).
    void skip_body() noexcept {
        kind_ = body_kind::none;
        left_ = 0;
    }

    /// Ends the body in the out buffer; does not send.
    [[nodiscard]] result<void> finish() {
        if (!unbroken_) { // also if the handler looked away: what was sent is no whole message
            return fail(unbroken_.error());
        }
        if (kind_ == body_kind::chunked) {
            if (const errc failed = write_last_chunk(*out_, trailers_); failed != errc::none) {
                return fail(error(failed));
            }
        } else if (kind_ == body_kind::length && left_ != 0) {
            return fail(error(errc::body_length_mismatch));
        }
        return {};
    }

    /// Sends the out buffer, and octets beside it without a copy.
    [[nodiscard]] task<> send(std::string_view octets, // lint_coro: allow parameter: borrowed until it ends
                              std::string_view tail) {
        const std::size_t size = out_->size() + octets.size() + tail.size();
        if (size == 0) {
            co_return;
        }
        auto ctx = co_await this_context();
        for (bool first = true; first || !octets.empty();) { // in turns only where the stream does not tell of progress
            const std::size_t n = write_watch<Stream>::tells_progress ? octets.size() : std::min(octets.size(), write_turn);
            const bool last = n == octets.size();
            const const_buffer list[] = {first ? as_octets(out_->view()) : const_buffer(), as_octets(octets.substr(0, n)),
                                         last ? as_octets(tail) : const_buffer()};
            write_watch<Stream> watch(*stream_, ctx.node(), *options_);
            const auto sent = co_await attempt(
                under(watch.node(), stream_->write_all(std::span<const const_buffer>(list))));
            if (!sent) {
                out_->clear();
                unbroken_ = fail(sent.error());
                co_await fail(sent.error());
            }
            first = false;
            octets.remove_prefix(n);
        }
        out_->clear();
        sent_ += size;
    }

private:
    using under = flux::detail::under<decltype(std::declval<Stream&>().write_all(std::span<const const_buffer>()))>;
    static constexpr std::size_t write_turn = 65'536;
    static constexpr std::size_t gather_limit = 16'384; // below it a copy is cheaper than one more buffer in the call

    Stream* stream_;
    byte_buffer* out_;
    bool* answering_;
    answer_terms terms_;
    const server_options* options_;
    fields trailers_;
    std::uint64_t left_ = 0;
    std::uint64_t octets_ = 0;
    std::uint64_t sent_ = 0;
    status code_{};
    body_kind kind_ = body_kind::none;
    bool begun_ = false;
    result<void> unbroken_; // or what happened to the first write that did not go out whole
    direct_output direct_;
};

} // namespace flux::inline FLUX_ABI::http::detail
