// SPDX-License-Identifier: MIT
// flux/http/client/client_settings.hpp - what a client knows whatever its connector is: options, defaults, and what a
// request must be to be sent.
//
//   exchange -> judge(), once -> write_head(), for each attempt -> decode(), for the response
//
// Deliberately not here: sending (client.hpp).
#pragma once

#include <flux/core/base64.hpp>
#include <flux/http/client/client_exchange.hpp>
#include <flux/http/client/cookie_jar.hpp>
#include <flux/http/wire/head_writer.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

/// What does not depend on the connector: options, defaults, and what a request must be to be sent.
class client_settings : public client_engine {
public:
    explicit client_settings(const client_options& o) : options_(o), base_text_(o.base_url) {
        if (!o.user_agent.empty()) {
            defaults.set(field::user_agent, o.user_agent);
        }
        options_.base_url = base_text_;
        options_.user_agent = {};
        if (!base_text_.empty()) {
            auto base = http::url::parse(base_text_);
            if (!base) {
                flux::detail::throw_error(std::move(base).error().doing("client_options::base_url"));
            }
            base_ = *std::move(base);
        }
    }
    [[nodiscard]] const client_options& options() const noexcept override { return options_; }

    [[nodiscard]] client_exchange* make(http::method m, std::string_view token, std::string_view where) {
        client_exchange* const ex = exchange_cache::take();
        ex->method = m;
        if (m == http::method::other) {
            ex->other_method = token;
            if (!is_token(token)) {
                ex->refuse(error(errc::invalid_head).doing("the method is not a token"));
            }
        }
        ex->lim = options_.limits;
        ex->timeout = options_.timeout;
        ex->max_redirects = options_.redirects.max_redirects;
        assign_url(*ex, where);
        return ex;
    }

    /// Once per request, before anything is sent.
    [[nodiscard]] result<void> judge(client_exchange& ex, bool can_secure) const;
    /// Once per attempt: the head, and a body that is small enough to go with it, to ex.out.
    [[nodiscard]] result<void> write_head(client_exchange& ex) const;
    /// Once per response, before it is handed out.
    void decode(client_exchange& ex) const;

    http::fields defaults; ///< of all requests; fields of a request win
    std::shared_ptr<cookie_jar> cookies;
    std::shared_ptr<const content_decoding> decoding;

protected:
    ~client_settings() = default;

private:
    void assign_url(client_exchange& ex, std::string_view where) const {
        auto done = ex.url.try_assign(where);
        if (!done && !base_text_.empty() && !split_uri(where).has_scheme) {
            done = ex.url.try_assign(resolve_reference(base_.text(), where));
        }
        if (!done) {
            ex.refuse(std::move(done).error());
        }
    }

    client_options options_;
    std::string base_text_;
    http::url base_;
};

[[nodiscard, gnu::cold]] inline failure refuse_request(const char* why, flux::errc code = flux::errc::invalid_argument) {
    return fail(error(code).doing(why));
}

inline result<void> client_settings::judge(client_exchange& ex, bool can_secure) const {
    if (ex.refused.code()) {
        return fail(ex.refused);
    }
    if (ex.url.is_websocket()) {
        return refuse_request("the scheme is neither http nor https");
    }
    if (ex.url.is_secure() && !can_secure) {
        return refuse_request("this client cannot do TLS", flux::errc::unavailable);
    }
    for (const field_view f : defaults) {
        if (!ex.fields.contains(f.name)) {
            if (auto added = ex.fields.try_add(f.name, f.value); !added) {
                return added;
            }
        }
    }
    if (decoding != nullptr && !ex.fields.contains(field::accept_encoding) && !ex.fields.contains(field::range)) {
        if (auto added = ex.fields.try_add(field::accept_encoding, decoding->accepted()); !added) {
            return added;
        }
        ex.asks_coding = true;
    }
    if (!ex.url.userinfo().empty() && !ex.fields.contains(field::authorization)) {
        if (auto added = ex.fields.try_add(field::authorization, "Basic " + base64_encode(percent_decode(ex.url.userinfo())));
            !added) {
            return added;
        }
    }
    if (ex.has_body() && (ex.method == http::method::trace || ex.method == http::method::connect)) {
        return refuse_request("TRACE and CONNECT have no content"); // RFC 9110 9.3.6, 9.3.8
    }
    if (!ex.has_body() || (ex.body != request_body_kind::produced && ex.body_octets().empty())) {
        ex.fields.remove(field::expect); // never without content [RFC 9110 10.1.1]
    }
    const field_set said = ex.fields.present();
    constexpr field_set questionable(field::transfer_encoding, field::content_length, field::connection, field::host);
    ex.asks_upgrade = said.contains(field::upgrade);
    ex.asks_close = false;
    if (!said.intersects(questionable)) {
        return {};
    }
    const fields_view fields = ex.fields;
    if (said.contains(field::transfer_encoding)) {
        return refuse_request("Transfer-Encoding is the client's to say");
    }
    if (fields.repeated().contains(field::host)) {
        return refuse_request("more than one Host");
    }
    if (said.contains(field::content_length)) {
        std::uint64_t n = 0;
        const bool produced = ex.body == request_body_kind::produced;
        const bool right = !fields.repeated().contains(field::content_length) &&
                           parse_decimal(*fields.get(field::content_length), max_body_length, n) &&
                           (produced ? ex.produced_length == n : n == ex.body_octets().size());
        if (!right) {
            return refuse_request("Content-Length is not that of the body");
        }
    }
    ex.asks_close = fields.has_token(field::connection, "close");
    ex.asks_upgrade = ex.asks_upgrade && (!said.contains(field::connection) || fields.has_token(field::connection, "upgrade"));
    return {};
}

inline result<void> client_settings::write_head(client_exchange& ex) const {
    request_start start;
    start.method = ex.method_token();
    start.target = ex.url.target();
    start.host = ex.url.authority();
    std::string target;
    if (ex.method == http::method::connect) { // authority form [RFC 9112 3.2.3]
        target = std::string(ex.url.host()) + ':' + std::to_string(ex.url.port());
        start.target = target;
    } else if (ex.via_proxy) { // absolute form [RFC 9112 3.2.2]
        ((target += ex.url.scheme()) += "://") += ex.url.authority();
        target += ex.url.target();
        start.target = target;
    }
    switch (ex.body) {
    case request_body_kind::none:
        // Servers expect a length where a body is usual [RFC 9110 8.6].
        start.body = ex.method == http::method::post || ex.method == http::method::put ||
                             ex.method == http::method::patch
                         ? body_kind::length
                         : body_kind::none;
        break;
    case request_body_kind::owned:
    case request_body_kind::literal:
        start.body = body_kind::length;
        start.length = ex.body_octets().size();
        break;
    case request_body_kind::produced:
        start.body = ex.produced_length ? body_kind::length : body_kind::chunked;
        start.length = ex.produced_length.value_or(0);
        break;
    }
    if (ex.asks_close) {
        start.connection = connection_line::close;
    } else if (ex.asks_upgrade) {
        start.connection = connection_line::upgrade;
    }
    // For this place only: another hop has others.
    const bool own_cookies = cookies != nullptr && !ex.fields.contains(field::cookie);
    if (own_cookies) {
        const std::string value = cookies->header(ex.url);
        if (!value.empty()) {
            ignore_result(ex.fields.try_add(field::cookie, value), "what a jar took can be sent");
        }
    }
    const bool own_proxy = !ex.proxy_authorization.empty() && !ex.fields.contains(field::proxy_authorization);
    if (own_proxy) {
        if (auto added = ex.fields.try_add(field::proxy_authorization, ex.proxy_authorization); !added) {
            return added;
        }
    }
    const errc failed = write_request_head(ex.out, start, ex.fields);
    if (own_cookies) {
        ex.fields.remove(field::cookie);
    }
    if (own_proxy) {
        ex.fields.remove(field::proxy_authorization);
    }
    if (failed != errc::none) {
        return fail(error(failed));
    }
    return {};
}

inline void client_settings::decode(client_exchange& ex) const {
    const bool may_be_coded = ex.asks_coding && ex.framing.kind != body_kind::none &&
                              ex.framing.kind != body_kind::tunnel &&
                              ex.head.fields.present().contains(field::content_encoding);
    if (may_be_coded && !ex.head.fields.repeated().contains(field::content_encoding)) {
        ex.decoded = decoding->decode(*ex.head.fields.get(field::content_encoding), ex);
        if (ex.decoded) {
            ex.drop_coded_fields();
        }
    }
}

} // namespace detail

/// Nobody watches.
struct no_observer {};

} // namespace flux::inline FLUX_ABI::http
