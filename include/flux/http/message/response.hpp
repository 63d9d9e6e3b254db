// SPDX-License-Identifier: MIT
// flux/http/message/response.hpp - a response being built: status, fields, body.
//
// Owns everything it says, except literal text. A header that could split the message is refused when it is
// set. Deliberately not here: framing and connection fields (the writer's), reading responses (client/).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/function.hpp>
#include <flux/http/message/body.hpp>
#include <flux/http/message/cookie.hpp>
#include <flux/http/message/fields.hpp>
#include <flux/http/message/status.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI {

class raw_stream; // net/raw_stream.hpp

namespace http {

using flux::raw_stream;

} // namespace http

} // namespace flux::inline FLUX_ABI

namespace flux::inline FLUX_ABI::http {

/// Writes a streamed body: called once, when the head is on its way.
using body_producer = unique_function<task<>(body_writer&)>;

/// Gets the connection when HTTP has ended on it: called once, after the answer was sent.
using stream_taker = unique_function<task<>(raw_stream&)>;

/// What a handler answers.
///
/// Chain on the value: `return http::text("made\n").code(status::created).header("location", url);`
/// Threads  as a value.  Cost  no allocation for a short or literal body without fields.
class response {
public:
    /// 200 without a body.
    response() noexcept = default;
    /// A status without a body.
    response(status s) noexcept : status_(s) {}
    /// 200 with a field that is known when the program is compiled; for text() and its like.
    explicit response(const detail::literal_block& line) noexcept : fields_(line) {}
    response(const detail::literal_block& line, std::string body) noexcept
        : fields_(line), owned_(std::move(body)), kind_(kind::owned) {}
    response(response&&) noexcept = default;
    response& operator=(response&&) noexcept = default;
    ~response() = default;

    [[nodiscard]] status code() const noexcept { return status_; }
    response& code(status s) & noexcept {
        status_ = s;
        return *this;
    }
    [[nodiscard]] response code(status s) && noexcept {
        status_ = s;
        return std::move(*this);
    }

    [[nodiscard]] http::fields& fields() noexcept { return fields_; }
    [[nodiscard]] const http::fields& fields() const noexcept { return fields_; }
    /// Replaces a field. Errors: throws flux::error (errc::invalid_argument) for what could split the message.
    response& header(name_ref name, std::string_view value) & {
        fields_.set(name, value);
        return *this;
    }
    [[nodiscard]] response header(name_ref name, std::string_view value) && {
        fields_.set(name, value);
        return std::move(*this);
    }
    /// Appends a field line, for Set-Cookie and other repeated fields. Errors: as header().
    response& add_header(name_ref name, std::string_view value) & {
        fields_.add(name, value);
        return *this;
    }
    [[nodiscard]] response add_header(name_ref name, std::string_view value) && {
        fields_.add(name, value);
        return std::move(*this);
    }

    /// Adds a cookie. Errors: throws flux::error (errc::invalid_argument) for one that browsers drop or misread.
    response& cookie(const set_cookie& c) & { return add_header(field::set_cookie, c.text()); }
    [[nodiscard]] response cookie(const set_cookie& c) && { return std::move(cookie(c)); }

    /// Sets the body; Content-Length follows from it.
    response& body(std::string text) & noexcept {
        owned_ = std::move(text);
        kind_ = kind::owned;
        return *this;
    }
    [[nodiscard]] response body(std::string text) && noexcept {
        body(std::move(text));
        return std::move(*this);
    }
    /// Sets a body that is not copied: it must live until the response is written, as literals do.
    response& static_body(std::string_view text) & noexcept {
        literal_ = text;
        kind_ = kind::literal;
        return *this;
    }
    [[nodiscard]] response static_body(std::string_view text) && noexcept {
        static_body(text);
        return std::move(*this);
    }
    /// Sets a body that is produced while it is sent: chunked, or with Content-Length if `length` is given.
    response& stream(body_producer producer, std::optional<std::uint64_t> length = {}) & {
        streamed_ = flux::detail::make_owner<streamed>(std::move(producer), length);
        kind_ = kind::streamed;
        return *this;
    }
    [[nodiscard]] response stream(body_producer producer, std::optional<std::uint64_t> length = {}) && {
        stream(std::move(producer), length);
        return std::move(*this);
    }

    /// Makes this the last answer of its connection, whose stream `take` gets; see switch_protocol() and tunnel().
    [[nodiscard]] response hand_over(stream_taker take) && {
        streamed_ = flux::detail::make_owner<streamed>(std::move(take));
        kind_ = kind::handed_over;
        return std::move(*this);
    }

    [[nodiscard]] bool is_streamed() const noexcept { return kind_ == kind::streamed; }
    [[nodiscard]] bool hands_over() const noexcept { return kind_ == kind::handed_over; }
    /// Whether it is more than a head and octets.
    [[nodiscard]] bool is_special() const noexcept { return kind_ >= kind::streamed; }
    /// The octets of a body that is not streamed.
    [[nodiscard]] std::string_view octets() const noexcept {
        switch (kind_) {
        case kind::literal: return literal_;
        case kind::owned: return owned_;
        case kind::none:
        case kind::streamed:
        case kind::handed_over: break;
        }
        return {};
    }
    [[nodiscard]] body_producer& producer() noexcept { return streamed_->produce; }
    [[nodiscard]] stream_taker& taker() noexcept { return streamed_->take; }
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept {
        return is_streamed() ? streamed_->length : std::optional<std::uint64_t>(octets().size());
    }

private:
    enum class kind : unsigned char { none, literal, owned, streamed, handed_over };
    struct streamed {
        streamed(body_producer p, std::optional<std::uint64_t> n) noexcept : produce(std::move(p)), length(n) {}
        explicit streamed(stream_taker t) noexcept : take(std::move(t)) {}
        body_producer produce;
        stream_taker take;
        std::optional<std::uint64_t> length;
    };

    http::fields fields_;
    std::string owned_;
    std::string_view literal_;
    flux::detail::owner<streamed> streamed_;
    status status_ = status::ok;
    kind kind_ = kind::none;
};

namespace detail {
inline constexpr literal_block text_type_line(field::content_type, "text/plain; charset=utf-8");
inline constexpr literal_block html_type_line(field::content_type, "text/html; charset=utf-8");
inline constexpr literal_block json_type_line(field::content_type, "application/json");
} // namespace detail

/// 200 with `text/plain; charset=utf-8`.
[[nodiscard]] inline response text(std::string body) { return response(detail::text_type_line, std::move(body)); }
/// 200 with `text/html; charset=utf-8`.
[[nodiscard]] inline response html(std::string body) { return response(detail::html_type_line, std::move(body)); }
/// 200 with `application/json`. Params: body  JSON text; flux has no JSON library of its own.
[[nodiscard]] inline response json(std::string body) { return response(detail::json_type_line, std::move(body)); }
/// 200 with the given type.
[[nodiscard]] inline response bytes(std::string body, std::string_view content_type = "application/octet-stream") {
    return response().header(field::content_type, content_type).body(std::move(body));
}
/// A redirect. Params: location  a URI reference; code  301, 302, 303, 307 or 308.
[[nodiscard]] inline response redirect(std::string_view location, status code = status::found) {
    return response(code).header(field::location, location);
}

} // namespace flux::inline FLUX_ABI::http
