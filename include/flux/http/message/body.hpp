// SPDX-License-Identifier: MIT
// flux/http/message/body.hpp - bodies as streams with back-pressure, whatever carries them.
//
//   reading:  body_reader -> body_source (a connection, a string)     next() pulls
//   writing:  producer -> body_writer -> body_sink (a connection)     co_await write() pushes
//
// The interfaces know no HTTP version. Deliberately not here: framing (wire/), limits (the source applies
// them), codings.
#pragma once

#include <flux/coro/task.hpp>
#include <flux/http/message/fields.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// Where the octets of one body come from.
class body_source {
public:
    /// The next octets; empty at the end, and from then on. Views live until the next call.
    [[nodiscard]] virtual task<std::string_view> next() = 0;
    /// The trailers, once the end was reached.
    [[nodiscard]] virtual fields_view trailers() const noexcept = 0;
    /// The whole length if it is known before it is read.
    [[nodiscard]] virtual std::optional<std::uint64_t> length() const noexcept = 0;
    /// Why it cannot be read on; null if it can.
    [[nodiscard]] virtual const error* failure() const noexcept { return nullptr; }
    /// Adds what was being read to an error about its content.
    [[nodiscard]] virtual error explain(error e) const { return e; }

protected:
    ~body_source() = default;
};

namespace detail {

[[nodiscard, gnu::cold]] inline error too_long(const body_source& source, std::size_t limit) {
    return source.explain(error(flux::errc::limit)
                              .doing("the body is longer than " + std::to_string(limit) + " octets")
                              .phase(error_phase::body));
}

// A template, as every coroutine in a header: g++ emits the others into each translation unit, used or not.
template <class Source>
task<std::string> read_body(Source* source, std::size_t limit) {
    std::string all;
    if (source == nullptr) {
        co_return all;
    }
    const auto known = source->length();
    if (known && *known > limit) {
        co_return fail(detail::too_long(*source, limit));
    }
    if (known) {
        constexpr std::uint64_t believed = 1U << 20; // of what is only announced, no more is taken in advance
        all.reserve(static_cast<std::size_t>(*known < believed ? *known : believed));
    }
    for (;;) {
        const auto piece = co_await attempt(source->next());
        if (!piece) {
            co_return fail(piece.error());
        }
        if (piece->empty()) {
            co_return all;
        }
        if (piece->size() > limit - all.size()) {
            co_return fail(detail::too_long(*source, limit));
        }
        all.append(*piece);
    }
}

} // namespace detail

/// The body of a message that was received. Reading consumes it.
///
/// Threads  the reactor thread.  Overlap  one next() at a time.
class body_reader {
public:
    /// An empty body.
    body_reader() noexcept = default;
    /// Params  source  borrowed; must outlive the reader.
    explicit body_reader(body_source& source) noexcept : source_(&source) {}

    /// The next octets as a view that lives until the next call; empty at the end:
    /// `while (true) { auto piece = co_await req.body().next(); if (piece.empty()) break; ... }`
    /// Errors   http::errc of framing and limits (400, 413, 431); errc::eof if the peer stopped in between;
    ///          errors of the stream; the context's reason.
    /// Cancel   ends the read; the body cannot be read further.
    template <class Piece = std::string_view>
    [[nodiscard]] task<Piece> next() {
        return source_ == nullptr ? nothing<Piece>() : source_->next();
    }
    /// The whole body as text. Errors: as next(); errc::limit if it is longer than `limit` octets.
    template <class Text = std::string>
    [[nodiscard]] task<Text> text(std::size_t limit = 10'485'760) {
        return detail::read_body(source_, limit);
    }

    /// The length that the head announced; nothing for chunked bodies. Zero without a body.
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept {
        return source_ == nullptr ? std::optional<std::uint64_t>(0) : source_->length();
    }
    /// Trailers, after the end. Never mixed with the fields of the head.
    [[nodiscard]] fields_view trailers() const noexcept {
        return source_ == nullptr ? fields_view() : source_->trailers();
    }
    [[nodiscard]] bool has_body() const noexcept { return source_ != nullptr; }
    /// Why the body cannot be read on: the error of next() that ended it. Null if there was none.
    [[nodiscard]] const error* failure() const noexcept { return source_ == nullptr ? nullptr : source_->failure(); }
    /// Adds what is being read to an error about its content.
    [[nodiscard]] error explain(error e) const { return source_ == nullptr ? e : source_->explain(std::move(e)); }

private:
    template <class Piece>
    static task<Piece> nothing() {
        co_return Piece();
    }
    body_source* source_ = nullptr;
};

class direct_output; // server/direct_output.hpp

/// Where the octets of a body that is being produced go.
class body_sink {
public:
    [[nodiscard]] virtual task<> write(std::string_view octets) = 0;
    [[nodiscard]] virtual task<> flush() = 0;
    [[nodiscard]] virtual result<void> add_trailer(std::string_view name, std::string_view value) = 0;
    /// Where the next `octets` of the body can be sent without this sink, which counts them as written; null if they
    /// have to go through write().
    [[nodiscard]] virtual direct_output* direct(std::uint64_t octets) {
        static_cast<void>(octets);
        return nullptr;
    }

protected:
    ~body_sink() = default;
};

/// What a body producer writes to. `co_await write()` is the only way, and it waits while the peer is slow.
class body_writer {
public:
    explicit body_writer(body_sink& sink) noexcept : sink_(&sink) {}

    /// Params   octets  borrowed until the task ends.
    /// Errors   those of the stream; http::errc::body_length_mismatch if more is written than the announced length;
    ///          the context's reason (errc::disconnected when the peer left). After an error the answer is lost,
    ///          even if the producer goes on: the connection is closed with a reset.
    /// Cost     octets are gathered up to 16 KiB before they go out; flush() sends what there is.
    [[nodiscard]] task<> write(std::string_view octets) { return sink_->write(octets); }
    [[nodiscard]] task<> flush() { return sink_->flush(); }
    /// Adds a trailer; it goes out after the body if that is chunked. An HTTP/1.0 client, which has no trailers, does not
    /// get it. Errors: errc::invalid_argument for a body of known length, and for fields that belong into the head.
    [[nodiscard]] result<void> add_trailer(std::string_view name, std::string_view value) {
        return sink_->add_trailer(name, value);
    }
    /// For send_file() of server/send_file.hpp.
    [[nodiscard]] direct_output* direct(std::uint64_t octets) { return sink_->direct(octets); }

private:
    body_sink* sink_;
};

} // namespace flux::inline FLUX_ABI::http
