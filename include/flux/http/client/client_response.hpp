// SPDX-License-Identifier: MIT
// flux/http/client/client_response.hpp - the response to a request that was sent: head, and the body as a stream.
//
// Holds the connection until the body was read to its end. Deliberately not here: how it came (client_connection.hpp).
#pragma once

#include <flux/http/client/client_exchange.hpp>
#include <flux/http/message/body_codec.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

class client_response;

namespace detail {
template <class T>
task<T> read_answer(client_response* from, std::size_t limit);
} // namespace detail

/// What a server answered.
///
/// A status of 400 and above is no error here; client_request::text() is the form that takes it for one.
/// Dropping it with the body unread closes its connection, unless what is left is small: then it is read and dropped
/// while the connection goes back to the pool.
/// Lifetime  views of the head and of url() live as long as it does; it may outlive the client.
/// Threads   the reactor thread of the request.
class client_response {
public:
    client_response(client_response&&) noexcept = default;
    client_response& operator=(client_response&&) noexcept = default;
    ~client_response() = default;

    [[nodiscard]] status code() const noexcept { return ex_->head.status; }
    /// Whether the status is 200 to 299.
    [[nodiscard]] bool ok() const noexcept { return is_success(code()); }
    [[nodiscard]] std::string_view reason() const& noexcept { return ex_->head.reason; }
    [[nodiscard]] http::version version() const noexcept { return ex_->head.version; }

    [[nodiscard]] const fields_view& fields() const& noexcept { return ex_->head.fields; }
    /// The value of the first field of that name; empty if there is none (fields().get() tells the two apart).
    [[nodiscard]] std::string_view header(name_ref name) const& noexcept {
        const auto value = ex_->head.fields.get(name);
        return value ? *value : std::string_view();
    }
    void reason() const&& = delete;
    void fields() const&& = delete;
    void header(name_ref) const&& = delete;

    /// The body, to be read piece by piece: `while (true) { auto piece = co_await r.body().next(); ... }`
    /// Errors   network: the connection ended or was reset before the body did; protocol, limit: its framing is
    ///          wrong; timeout: client_options::progress_timeout or the deadline of the whole exchange.
    [[nodiscard]] body_reader& body() & noexcept { return ex_->reader; }
    void body() && = delete;
    /// The whole body as text. Errors: as body(); errc::limit if it is longer than `limit` octets.
    template <class Text = std::string>
    [[nodiscard]] task<Text> text(std::size_t limit = 10'485'760) & {
        return ex_->reader.text<Text>(limit);
    }
    /// The whole body as an object of the program: `bool from_body(std::string_view, T&)` in the namespace of T reads it.
    /// Errors  as text(); errc::unsupported_content if Content-Type is not that of T, errc::malformed_content if
    ///         from_body() refuses it. Both of kind protocol.
    template <readable_body T>
    [[nodiscard]] task<T> read(std::size_t limit = 10'485'760) & {
        return detail::read_answer<T>(this, limit);
    }
    /// As text(), without an opinion on what the octets are.
    template <class Octets = std::string>
    [[nodiscard]] task<Octets> bytes(std::size_t limit) & {
        return ex_->reader.text<Octets>(limit);
    }
    /// Trailers, after the body's end.
    [[nodiscard]] fields_view trailers() const& noexcept { return ex_->trailers(); }

    /// Whether HTTP ended with it: 101 (Switching Protocols) to a request with client_request::upgrade(), or a 2xx to
    /// CONNECT. Then take_stream() has the connection.
    [[nodiscard]] bool is_switched() const noexcept { return ex_->framing.kind == body_kind::tunnel; }
    /// The connection, once; after that, or if HTTP goes on, a closed stream. The octets that came behind the head are its
    /// first. It is out of the pool, but counts there until it is closed; no timeout of the client applies to it.
    /// Lifetime  of the stream: it may outlive the response and the client.
    [[nodiscard]] raw_stream take_stream() & {
        return is_switched() && ex_->source != nullptr ? ex_->source->hand_over(*ex_) : raw_stream();
    }
    void take_stream() && = delete;

    /// Where it came from, after redirects.
    [[nodiscard]] const http::url& url() const& noexcept { return ex_->url; }
    void url() const&& = delete;
    /// How often the request was sent or tried to: 1 unless it was repeated. Redirects do not count.
    [[nodiscard]] std::uint32_t attempts() const noexcept { return ex_->attempts; }
    [[nodiscard]] std::uint32_t redirects() const noexcept { return ex_->redirects; }
    /// Whether the connection had carried another exchange before.
    [[nodiscard]] bool reused() const noexcept { return ex_->reused; }
    /// What is known of the connection's TLS, as request::tls(); null where it is plain.
    [[nodiscard]] const tls::connection_facts* tls() const& noexcept { return ex_->tls.get(); }
    void tls() const&& = delete;

    // For clients. ------------------------------------------------------------------------------
    explicit client_response(detail::exchange_handle ex) noexcept : ex_(std::move(ex)) {
        ex_->reader = ex_->decoded ? body_reader(*ex_->decoded) : body_reader(*ex_);
    }
    [[nodiscard]] detail::client_exchange& exchange() noexcept { return *ex_; }

private:
    detail::exchange_handle ex_;
};

namespace detail {

template <class T>
task<T> read_answer(client_response* from, std::size_t limit) {
    if (!accepts_content_type<T>(from->header(field::content_type)) ||
        from->fields().repeated().contains(field::content_type)) {
        co_return fail(error(errc::unsupported_content).phase(error_phase::body));
    }
    const auto text = co_await attempt(from->text(limit));
    if (!text) {
        co_return fail(text.error());
    }
    T value{};
    if (auto refused = decode_body(*text, value)) {
        co_return fail(error(errc::malformed_content).doing(*std::move(refused)).phase(error_phase::body));
    }
    co_return std::move(value);
}

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
