// SPDX-License-Identifier: MIT
// flux/http/proxy/reverse_proxy.hpp - a handler that lets another server answer: bodies are streamed both ways.
//
//   request -> without the fields of its hop -> client -> upstream;  response -> the same way back
//   upgrade -> both sides agree -> relay, until both have ended
//
// Nothing is kept: a slow reader on one side slows the other, and who leaves on one side ends both. What the client's
// timeouts and pool allow is a matter of the client. Deliberately not here: the choice among several servers, caches.
#pragma once

#include <flux/http/client/client.hpp>
#include <flux/http/message/field_list.hpp>
#include <flux/http/message/request.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/server/hand_over.hpp>
#include <flux/net/relay.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// What a reverse proxy says of the client to the server behind it.
enum class forwarded_fields : std::uint8_t {
    replace, ///< X-Forwarded-For, -Host and -Proto say what is seen here; what the client sent is dropped
    append,  ///< the peer is added to X-Forwarded-For; for servers behind another proxy that can be trusted
    none,    ///< all Forwarded and X-Forwarded fields are dropped
};

struct reverse_proxy_options {
    /// The server behind sees the Host of the client; false: its own.
    bool keep_host = true;
    forwarded_fields forwarded = forwarded_fields::replace;
    /// The name in Via [RFC 9110 7.6.3], both ways; empty: no Via.
    std::string_view via = "flux";
    /// What X-Forwarded-Proto says: the scheme that clients use.
    std::string_view scheme = "http";
};

namespace detail {

/// Whether a field is meant for the next hop only [RFC 9110 7.6.1], by its name or because Connection names it.
[[nodiscard]] inline bool is_of_this_hop(const fields_view& all, const field_view& f) {
    switch (f.id) {
    case field::connection:
    case field::content_length: // said anew
    case field::transfer_encoding:
    case field::upgrade:
    case field::te:
    case field::keep_alive:
    case field::proxy_connection:
    case field::proxy_authenticate:
    case field::proxy_authorization: return true;
    default: return all.has_token(field::connection, f.name);
    }
}
[[nodiscard]] inline bool is_about_forwarding(std::string_view name) {
    constexpr std::string_view prefix = "x-forwarded-";
    return iequals(name, "forwarded") || iequals(name.substr(0, prefix.size()), prefix);
}

/// Everything of a reverse_proxy but its client.
class reverse_proxy_rules {
public:
    reverse_proxy_rules(std::string_view upstream, const reverse_proxy_options& options)
        : base_(upstream), via_(options.via), scheme_(options.scheme), options_(options) {
        auto parsed = url::parse(base_);
        if (!parsed) {
            flux::detail::throw_error(std::move(parsed).error().doing("reverse_proxy"));
        }
        if (parsed->has_query()) {
            flux::detail::throw_error(error(flux::errc::invalid_argument).doing("reverse_proxy: a query in the URL of the server"));
        }
        while (base_.ends_with('/')) {
            base_.pop_back();
        }
    }

    [[nodiscard]] std::string target(const request& req) const {
        std::string to = base_;
        to += req.raw_path();
        if (!req.raw_query().empty()) {
            (to += '?') += req.raw_query();
        }
        return to;
    }
    void write_request(const request& req, client_request& to) const {
        const fields_view& all = req.fields();
        for (const field_view f : all) {
            if (!is_of_this_hop(all, f) && f.id != field::host && f.id != field::via && drops_forwarded(f.name)) {
                to.add_header(f.name, f.value);
            }
        }
        if (all.has_token(field::te, "trailers")) {
            to.header(field::te, "trailers");
        }
        if (options_.keep_host && !req.authority().empty()) {
            to.header(field::host, req.authority());
        }
        if (options_.forwarded != forwarded_fields::none) {
            add_forwarded(req, to);
        }
        if (!via_.empty()) {
            to.header(field::via, with_via(all, req.version()));
        }
        if (const auto protocol = all.get(field::upgrade); protocol && asks_upgrade(req, *protocol)) {
            to.upgrade(*protocol); // one that is offered alone
        }
    }
    /// The head of an answer.
    [[nodiscard]] response answer_of(const client_response& answer) const {
        const fields_view& all = answer.fields();
        response out(answer.code());
        for (const field_view f : all) {
            if (!is_of_this_hop(all, f) && f.id != field::via) {
                out.add_header(f.name, f.value);
            }
        }
        if (!via_.empty()) {
            out.header(field::via, with_via(all, answer.version()));
        }
        return out;
    }

private:
    [[nodiscard]] bool drops_forwarded(std::string_view name) const {
        return options_.forwarded == forwarded_fields::append || !is_about_forwarding(name);
    }
    void add_forwarded(const request& req, client_request& to) const {
        std::string from;
        if (options_.forwarded == forwarded_fields::append) {
            for (const std::string_view before : req.fields().get_all("X-Forwarded-For")) {
                (from += before) += ", ";
            }
        }
        std::string_view peer = req.remote();
        peer = peer.substr(0, peer.starts_with("unix:") ? 0 : peer.rfind(':'));
        if (peer.starts_with('[')) {
            peer = peer.substr(1, peer.size() - 2);
        }
        to.header("X-Forwarded-For", from.append(peer.empty() ? "unknown" : peer));
        const bool keeps = options_.forwarded == forwarded_fields::append;
        if (!keeps || !req.fields().contains("X-Forwarded-Host")) {
            to.header("X-Forwarded-Host", req.authority());
        }
        if (!keeps || !req.fields().contains("X-Forwarded-Proto")) {
            to.header("X-Forwarded-Proto", scheme_);
        }
    }
    [[nodiscard]] std::string with_via(const fields_view& all, version v) const {
        std::string line;
        for (const std::string_view before : all.get_all(field::via)) {
            (line += before) += ", ";
        }
        line += v == version::http_1_0 ? "1.0 " : "1.1 ";
        return line.append(via_);
    }

    std::string base_; // without a slash at its end
    std::string via_;
    std::string scheme_;
    reverse_proxy_options options_; // its views are not used
};

// Sends a body on piece by piece, then its trailers. What has no known length may be a stream of events: neither the head
// nor a piece of it waits for more.
template <class Writer>
task<> pass_on(body_reader* from, Writer* to) {
    const bool at_once = !from->length().has_value();
    if (at_once) {
        co_await to->flush();
    }
    for (;;) {
        const auto piece = co_await attempt(from->next());
        if (!piece) {
            co_await fail(piece.error());
        }
        if (piece->empty()) {
            break;
        }
        co_await to->write(*piece);
        if (at_once) {
            co_await to->flush();
        }
    }
    for (const field_view f : from->trailers()) {
        ignore_result(to->add_trailer(f.name, f.value), "one that may not be sent on is dropped");
    }
}

// Sends a request's body on. A second time only if nothing of it was taken the first time.
class forwarded_body {
public:
    explicit forwarded_body(request& req) noexcept : req_(&req) {}
    template <class Writer>
    task<> operator()(Writer& out) {
        return pass_on(&req_->body(), &out);
    }

private:
    request* req_;
};

// Sends an answer's body back.
class answered_body {
public:
    explicit answered_body(client_response answer) noexcept : answer_(std::move(answer)) {}
    template <class Writer>
    task<> operator()(Writer& out) {
        return pass_on(&answer_.body(), &out);
    }

private:
    client_response answer_;
};

// Goes on where HTTP has ended on both sides.
class relayed_stream {
public:
    explicit relayed_stream(raw_stream up) noexcept : up_(std::move(up)) {}
    template <class Stream>
    task<> operator()(Stream& down) {
        return relay(down, up_);
    }

private:
    raw_stream up_;
};

} // namespace detail

/// Lets the server at `upstream` answer.
///
///     app.any("/api/{rest...}", http::reverse_proxy(http::client(), "http://127.0.0.1:9000"));
///
/// The path is sent on as the router passed it, which lets no dot segments through, behind the path of `upstream`. Fields of
/// the hop are taken out, Via and X-Forwarded-* are added, redirects are answers. An upgrade (websocket) that both sides
/// agree on is relayed until both have ended, with no limit in time. The client must not decode content. Interim answers
/// (1xx) are not sent on. An answer is sent back when the request's body has been sent on: a server that answers while it
/// reads is heard up to a MiB ahead, and waits then.
/// Errors   no answer from upstream: 502, or 504 if it came too late; one that breaks off breaks off here, too.
/// Cancel   a client that leaves ends the exchange with upstream.
/// Threads  any number of reactors at the same time, as its client.
/// Cost     four coroutine frames; bodies are not copied as a whole.
template <class Client>
class reverse_proxy {
public:
    /// Params   upstream  "http://host:port" and perhaps a path, no query.
    /// Errors   throws flux::error for a URL that is none.
    explicit reverse_proxy(Client api, std::string_view upstream, const reverse_proxy_options& options = {})
        : core_(std::make_shared<core>(std::move(api), upstream, options)) {}

    /// Called before a request is sent on, to change it. Before the first request.
    reverse_proxy& on_request(unique_function<void(request&, client_request&)> change) & {
        core_->change_request = std::move(change);
        return *this;
    }
    [[nodiscard]] reverse_proxy on_request(unique_function<void(request&, client_request&)> change) && {
        return std::move(on_request(std::move(change)));
    }
    /// Called before an answer is sent back, to change its head. Before the first request.
    reverse_proxy& on_answer(unique_function<void(request&, const client_response&, response&)> change) & {
        core_->change_answer = std::move(change);
        return *this;
    }
    [[nodiscard]] reverse_proxy on_answer(unique_function<void(request&, const client_response&, response&)> change) && {
        return std::move(on_answer(std::move(change)));
    }

    task<response> operator()(request& req) const { return run(core_.get(), &req); }

private:
    struct core {
        core(Client c, std::string_view upstream, const reverse_proxy_options& options)
            : api(std::move(c)), rules(upstream, options) {}
        Client api;
        detail::reverse_proxy_rules rules;
        unique_function<void(request&, client_request&)> change_request;
        unique_function<void(request&, const client_response&, response&)> change_answer;
    };

    static task<response> run(core* self, request* req) {
        if (!req->raw_path().starts_with('/')) { // OPTIONS * is about this server
            co_return response(status::bad_request);
        }
        auto ask = self->api.request(req->method_token(), self->rules.target(*req));
        self->rules.write_request(*req, ask);
        ask.max_redirects(0);
        if (req->body().has_body()) {
            ask.stream(detail::forwarded_body(*req), req->body().length());
            ask.no_resend(); // what was read of the body is gone
        }
        if (self->change_request) {
            self->change_request(*req, ask);
        }
        auto ctx = co_await this_context();
        auto answer = co_await attempt(std::move(ask));
        if (!answer) {
            if (req->body().failure() != nullptr || ctx.stopped()) {
                co_return fail(std::move(answer).error());
            }
            const bool late = answer.error().kind() == error_kind::timeout;
            co_return response(late ? status::gateway_timeout : status::bad_gateway);
        }
        response out = self->rules.answer_of(*answer);
        if (self->change_answer) {
            self->change_answer(*req, *answer, out);
        }
        if (answer->is_switched()) {
            out.header(field::upgrade, answer->header(field::upgrade));
            co_return std::move(out).hand_over(detail::relayed_stream(answer->take_stream()));
        }
        auto length = answer->body().length();
        if (req->method() == method::head) {
            std::uint64_t said = 0;
            const auto text = answer->fields().get(field::content_length);
            length = text && parse_decimal(*text, max_body_length, said) ? std::optional(said) : std::nullopt;
        }
        if (req->method() == method::head ? length.has_value() : answer->body().length() != std::uint64_t{0}) {
            out.stream(detail::answered_body(*std::move(answer)), length);
        }
        co_return out;
    }

    std::shared_ptr<core> core_;
};

} // namespace flux::inline FLUX_ABI::http
