// SPDX-License-Identifier: MIT
// flux/http/client/client_request.hpp - a request being put together; awaiting it sends it.
//
//   auto r = co_await api.post(url).header("x-id", "7").body("...").timeout(2s);
//
// What cannot be sent is noted by the setter and is the error of the await: nothing goes on the wire then.
// Deliberately not here: sending (client.hpp), requests that are received (http/message/request.hpp).
#pragma once

#include <flux/core/base64.hpp>
#include <flux/core/time.hpp>
#include <flux/http/client/client_exchange.hpp>
#include <flux/http/client/client_response.hpp>
#include <flux/http/client/multipart_form.hpp>
#include <flux/http/message/query.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

class client_request;

namespace detail {

class client_request_state;

template <class Text>
task<Text> fetch_text(client_request request, std::size_t limit);

} // namespace detail

/// A request and how it is to be sent. Made by a client; setters chain; awaited once.
///
/// Yields   a client_response: `auto r = co_await api.get(url);`, whatever its status.
/// Errors   usage: the URL, a field or the method cannot be sent. network: no connection, or it ended too early.
///          timeout, tls, protocol, limit (a head that does not end), http (redirects). The chain of the error says
///          what was being done; phase() where it happened; retryable() whether it provably had no effect.
/// Cancel   at once, in every phase; the connection is closed.
/// Threads  the reactor thread that awaits it.
/// Cost     no allocation once warm: no body or a small one, no more fields than http::fields holds in one block.
class [[nodiscard]] client_request {
public:
    using value_type = client_response;
    using state_type = detail::client_request_state;

    client_request(client_request&&) noexcept = default;
    client_request& operator=(client_request&&) noexcept = default;
    ~client_request() = default;

    /// Sets a field in place of those of that name. Framing and connection are the client's: Content-Length must be
    /// that of the body, Transfer-Encoding is refused, of Connection only `close` and `upgrade` count.
    client_request& header(name_ref name, std::string_view value) & {
        note(ex_->fields.try_set(name, value), name);
        return *this;
    }
    [[nodiscard]] client_request header(name_ref name, std::string_view value) && {
        return std::move(header(name, value));
    }
    /// Adds a field line.
    client_request& add_header(name_ref name, std::string_view value) & {
        note(ex_->fields.try_add(name, value), name);
        return *this;
    }
    [[nodiscard]] client_request add_header(name_ref name, std::string_view value) && {
        return std::move(add_header(name, value));
    }
    /// Adds `name=value`, percent-encoded, to the URL's query.
    client_request& query(std::string_view name, std::string_view value) & {
        std::string text(ex_->url.text());
        const std::size_t hash = text.find('#');
        const std::string fragment = hash == std::string::npos ? std::string() : text.substr(hash);
        text.resize(text.size() - fragment.size());
        text += ex_->url.has_query() ? '&' : '?';
        ((text += percent_encode(name)) += '=') += percent_encode(value);
        text += fragment;
        if (!ex_->url.host().empty()) {
            if (auto done = ex_->url.try_assign(text); !done) {
                ex_->refuse(std::move(done).error());
            }
        }
        return *this;
    }
    [[nodiscard]] client_request query(std::string_view name, std::string_view value) && {
        return std::move(query(name, value));
    }
    /// `Authorization: Basic ...`; not sent to another origin after a redirect.
    client_request& basic_auth(std::string_view user, std::string_view password) & {
        return header(field::authorization, "Basic " + base64_encode(std::string(user).append(":").append(password)));
    }
    [[nodiscard]] client_request basic_auth(std::string_view user, std::string_view password) && {
        return std::move(basic_auth(user, password));
    }
    /// `Authorization: Bearer ...`; not sent to another origin after a redirect.
    client_request& bearer(std::string_view token) & {
        return header(field::authorization, std::string("Bearer ").append(token));
    }
    [[nodiscard]] client_request bearer(std::string_view token) && { return std::move(bearer(token)); }

    /// The body, which can be sent again where a redirect or a repetition needs it.
    client_request& body(std::string octets) & {
        ex_->text = std::move(octets);
        ex_->body = detail::request_body_kind::owned;
        return *this;
    }
    [[nodiscard]] client_request body(std::string octets) && { return std::move(body(std::move(octets))); }
    /// The same with a Content-Type.
    client_request& body(std::string octets, std::string_view content_type) & {
        header(field::content_type, content_type);
        return body(std::move(octets));
    }
    [[nodiscard]] client_request body(std::string octets, std::string_view content_type) && {
        return std::move(body(std::move(octets), content_type));
    }
    /// A body that is not copied: it must live until the response was read, as literals do.
    client_request& static_body(std::string_view octets) & {
        ex_->literal = octets;
        ex_->body = detail::request_body_kind::literal;
        return *this;
    }
    [[nodiscard]] client_request static_body(std::string_view octets) && { return std::move(static_body(octets)); }
    /// An object of the program, as its to_body() writes it: `api.post(url).body(order)`. See message/body_codec.hpp.
    template <writable_body T>
    client_request& body(const T& value) & {
        return body(std::string(to_body(value)), content_type_of<T>());
    }
    template <writable_body T>
    [[nodiscard]] client_request body(const T& value) && {
        return std::move(body(value));
    }
    /// `application/x-www-form-urlencoded`: `api.post(url).form(http::query_builder().add("name", "value"))`.
    client_request& form(const query_builder& pairs) & {
        return body(pairs.text(), "application/x-www-form-urlencoded");
    }
    [[nodiscard]] client_request form(const query_builder& pairs) && { return std::move(form(pairs)); }
    /// `multipart/form-data`, streamed. Params: parts  kept until the response was read.
    template <std::same_as<multipart_form> Form>
    client_request& form(Form parts) & {
        header(field::content_type, parts.content_type());
        const auto length = parts.length();
        return stream(std::move(parts).producer(), length);
    }
    template <std::same_as<multipart_form> Form>
    [[nodiscard]] client_request form(Form parts) && { return std::move(form(std::move(parts))); }
    /// `application/json`. Params: text  JSON; flux has no JSON library of its own.
    client_request& json(std::string text) & { return body(std::move(text), "application/json"); }
    [[nodiscard]] client_request json(std::string text) && { return std::move(json(std::move(text))); }
    /// A body that is produced while it is sent: with Content-Length if `length` is given, else chunked.
    /// Params  factory  called for every time that the body is sent: once, and again after a redirect that keeps the
    ///                  body or a repetition. It may fail the second time with an error of its own.
    client_request& stream(body_producer factory, std::optional<std::uint64_t> length = {}) & {
        ex_->producer = std::move(factory);
        ex_->produced_length = length;
        ex_->body = detail::request_body_kind::produced;
        return *this;
    }
    [[nodiscard]] client_request stream(body_producer factory, std::optional<std::uint64_t> length = {}) && {
        return std::move(stream(std::move(factory), length));
    }
    /// Sends `Expect: 100-continue` and keeps the body back until the server agrees, refuses, or
    /// client_options::continue_timeout has passed.
    client_request& expect_continue() & { return header(field::expect, "100-continue"); }
    [[nodiscard]] client_request expect_continue() && { return std::move(expect_continue()); }

    /// Offers to go on with another protocol: `Upgrade: protocol`, and what Connection has to say then. If the server agrees
    /// the response is a 101 with client_response::take_stream(); it may as well answer as if nothing had been offered.
    /// A 101 with a protocol that was not offered is an error.
    /// Source  RFC 9110 7.8.
    client_request& upgrade(std::string_view protocol) & { return header(field::upgrade, protocol); }
    [[nodiscard]] client_request upgrade(std::string_view protocol) && { return std::move(upgrade(protocol)); }

    /// The whole exchange in at most `d`, the body included; zero: no limit but those of the context.
    template <class Rep, class Period>
    client_request& timeout(std::chrono::duration<Rep, Period> d) & {
        ex_->timeout = std::chrono::ceil<milliseconds>(d);
        return *this;
    }
    template <class Rep, class Period>
    [[nodiscard]] client_request timeout(std::chrono::duration<Rep, Period> d) && {
        return std::move(timeout(d));
    }
    /// How many redirects are followed; 0: the 3xx is the answer.
    client_request& max_redirects(std::uint32_t n) & {
        ex_->max_redirects = n;
        return *this;
    }
    [[nodiscard]] client_request max_redirects(std::uint32_t n) && { return std::move(max_redirects(n)); }
    /// Never send it twice, also not where that is provably safe.
    client_request& no_resend() & {
        ex_->allow_resend = false;
        return *this;
    }
    [[nodiscard]] client_request no_resend() && { return std::move(no_resend()); }
    /// Params  t  borrowed until its done()
    client_request& trace(client_trace& t) & {
        ex_->trace = &t;
        return *this;
    }
    [[nodiscard]] client_request trace(client_trace& t) && { return std::move(trace(t)); }
    /// Called for each interim (1xx) response. Params: f  lives as long as the exchange.
    client_request& on_interim(interim_listener f) & {
        ex_->on_interim = std::move(f);
        return *this;
    }
    [[nodiscard]] client_request on_interim(interim_listener f) && { return std::move(on_interim(std::move(f))); }

    /// The body of a successful response: `auto page = co_await api.get(url).text();`
    /// Errors   as the request's; errc::unexpected_status (kind http) where the status is 400 or above, with the
    ///          status and the start of its body; errc::limit if the body is longer than `limit` octets.
    template <class Text = std::string>
    [[nodiscard]] task<Text> text(std::size_t limit = 10'485'760) && {
        return detail::fetch_text<Text>(std::move(*this), limit);
    }
    template <class Octets = std::string>
    [[nodiscard]] task<Octets> bytes(std::size_t limit) && {
        return detail::fetch_text<Octets>(std::move(*this), limit);
    }

    // ---- what it is now, for layers ----
    [[nodiscard]] http::method method() const noexcept { return ex_->method; }
    [[nodiscard]] std::string_view method_token() const& noexcept { return ex_->method_token(); }
    [[nodiscard]] const http::url& url() const& noexcept { return ex_->url; }
    /// Without the client's defaults.
    [[nodiscard]] const http::fields& fields() const& noexcept { return ex_->fields; }
    void method_token() const&& = delete;
    void url() const&& = delete;
    void fields() const&& = delete;

    // For clients. ------------------------------------------------------------------------------
    explicit client_request(detail::exchange_handle ex) noexcept : ex_(std::move(ex)) {}
    [[nodiscard]] detail::client_exchange& exchange() noexcept { return *ex_; }

private:
    friend class detail::client_request_state;
    void note(result<void> done, name_ref name) {
        if (!done) {
            ex_->refuse(std::move(done).error().doing("field " + std::string(is_token(name.text()) ? name.text() : "name")));
        }
    }

    detail::exchange_handle ex_;
};

namespace detail {

class client_request_state : public flux::detail::task_state<client_response> {
public:
    client_request_state(client_request&& request, flux::detail::context_node& ctx)
        : task_state(start(std::move(request.ex_), ctx.home()), ctx) {}

private:
    [[nodiscard]] static task<client_response> start(exchange_handle ex, scheduler& home) {
        FLUX_ASSERT(ex.get() != nullptr, "a client_request was awaited twice");
        client_engine& engine = *ex->engine;
        return engine.send(std::move(ex), home);
    }
};

template <class Text>
task<Text> fetch_text(client_request request, std::size_t limit) {
    auto answer = co_await attempt(std::move(request));
    if (!answer) {
        co_return fail(std::move(answer).error());
    }
    if (to_number(answer->code()) < 400) {
        auto text = co_await attempt(answer->template text<Text>(limit));
        co_return text;
    }
    const auto start = co_await attempt(answer->body().next());
    std::string said = std::to_string(to_number(answer->code()));
    ((said += ' ') += answer->reason());
    if (start && !start->empty()) {
        said += ": ";
        for (const char c : start->substr(0, 1024)) {
            said += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
        }
    }
    co_return fail(error(errc::unexpected_status).doing(std::move(said)).phase(error_phase::head));
}

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
