// SPDX-License-Identifier: MIT
// flux/http/client/connect_tunnel.hpp - connections through HTTP proxies: CONNECT, and the choice of the way.
//
//   destination -> connection to the proxy -> CONNECT host:port -> 2xx -> the connection is the target's
//
// The head of the answer is read to its last octet and no further: what the target sends first stays in the stream.
// Deliberately not here: TLS (a connector around this one talks it to the target), which proxy (proxy_rules.hpp),
// requests in absolute-form (the client).
#pragma once

#include <flux/coro/with.hpp>
#include <flux/http/client/proxy_rules.hpp>
#include <flux/http/message/fields_view.hpp>
#include <flux/http/message/status.hpp>
#include <flux/http/wire/limits.hpp>
#include <flux/http/wire/response_parser.hpp>
#include <flux/net/proxy_errc.hpp>
#include <flux/net/socks5.hpp>

#include <memory>
#include <string>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

inline constexpr std::uint32_t max_tunnel_head = 16'384;   // octets of one head
inline constexpr unsigned max_tunnel_interim = 5;          // 1xx answers
inline constexpr std::size_t max_tunnel_body = 256;        // octets of a refusal's body that are kept
inline constexpr milliseconds tunnel_body_timeout{1'000};  // for them to come

/// What a refusal says, for people.
class tunnel_answer {
public:
    http::status code{};
    std::string text; // "403 Forbidden"
    std::string body; // its start, printable
    std::uint64_t length = 0;
};

/// How many octets the head still has at least: never more are read, so none is read that is not the head's.
[[nodiscard]] inline std::size_t head_octets_missing(std::string_view head) noexcept {
    if (head.ends_with("\r\n\r")) {
        return 1;
    }
    return head.ends_with("\r\n") ? 2 : head.ends_with('\r') ? 3 : 4;
}

template <class Stream>
task<tunnel_answer> read_tunnel_head(Stream& s) {
    limits lim;
    lim.head_octets = max_tunnel_head;
    field_storage fields;
    response_parser parser(lim, fields);
    std::string head;
    for (unsigned interim = 0; interim <= max_tunnel_interim;) {
        const parse_state state = head.empty() ? parse_state::need_more : parser.parse(head);
        if (state == parse_state::failed) {
            co_return fail(error(parser.error().code));
        }
        if (state == parse_state::need_more) {
            const std::size_t before = head.size();
            head.resize(before + head_octets_missing(head));
            auto n = co_await attempt(s.read_some(std::as_writable_bytes(std::span(head).subspan(before))));
            if (!n) {
                co_return fail(std::move(n).error());
            }
            if (*n == 0) {
                co_return fail(flux::errc::eof);
            }
            head.resize(before + *n);
            continue;
        }
        const response_head parsed = parser.head(head);
        if (!is_informational(parsed.status)) {
            tunnel_answer a;
            a.code = parsed.status;
            a.text = std::to_string(static_cast<unsigned>(parsed.status)).append(" ").append(parsed.reason);
            if (!parse_decimal(parsed.fields.get(field::content_length).value_or(""), max_tunnel_body, a.length)) {
                a.length = max_tunnel_body;
            }
            co_return a;
        }
        ++interim;
        head.clear();
        parser.reset();
    }
    co_return fail(error(errc::too_many_interim));
}

template <class Stream>
task<std::string> read_refusal(Stream& s, std::size_t size) {
    std::string body(size, '\0');
    std::size_t have = 0;
    while (have < size) {
        auto n = co_await attempt(with_timeout(tunnel_body_timeout, s.read_some(std::as_writable_bytes(std::span(body).subspan(have)))));
        if (!n || *n == 0) {
            break; // what came is enough
        }
        have += *n;
    }
    body.resize(have);
    for (char& c : body) {
        c = static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e ? ' ' : c;
    }
    co_return body;
}

[[nodiscard, gnu::cold]] inline error tunnel_refusal(const tunnel_answer& a) {
    const auto code = static_cast<unsigned>(a.code);
    proxy_errc why = code >= 500 ? proxy_errc::unreachable : proxy_errc::refused;
    why = code == 407 || code == 401 ? proxy_errc::needs_credentials : why; // tinyproxy says 401
    error e(why);
    if (!a.body.empty()) {
        e.doing("\"" + a.body + "\"");
    }
    e.doing(a.text);
    return e;
}

template <class Stream>
task<> open_tunnel(Stream& s, std::string target, std::string authorization) {
    std::string request = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
    if (!authorization.empty()) {
        request += "Proxy-Authorization: " + authorization + "\r\n";
    }
    request += "\r\n";
    auto sent = co_await attempt(s.write_all(as_octets(request)));
    if (!sent) {
        co_await fail(std::move(sent).error());
    }
    auto answer = co_await attempt(read_tunnel_head(s));
    if (!answer) {
        co_await fail(std::move(answer).error());
    }
    if (!is_success(answer->code)) {
        answer->body = co_await read_refusal(s, answer->length);
        co_await fail(tunnel_refusal(*answer));
    }
}

template <class Next>
task<typename Next::stream_type> connect_through_tunnel(Next& next, destination proxy, std::string authorization, destination to) {
    if (proxy.secure && !Next::secures) {
        error e = error(flux::errc::unavailable).doing("a proxy with TLS needs a connector with TLS");
        co_return fail(std::move(e).doing("proxy " + proxy.to_string()));
    }
    const std::string target = to.to_string();
    if (!split_host_port(target).valid || !all(authorization, octet_class::field_value)) {
        co_return fail(error(flux::errc::invalid_argument).doing("the host or the credentials cannot be sent").doing("CONNECT"));
    }
    auto stream = co_await attempt(next.connect(proxy));
    if (!stream) {
        co_return fail(std::move(stream).error().doing("proxy " + proxy.to_string()));
    }
    auto open = co_await attempt(open_tunnel(*stream, target, std::move(authorization)));
    if (!open) {
        co_return fail(flux::detail::through_proxy(std::move(open).error(), "CONNECT", to, proxy));
    }
    co_return std::move(*stream);
}

} // namespace detail

/// Connects through one HTTP proxy by CONNECT, whatever it is asked to connect to.
///
/// Nothing of a refusal's connection is used again. Limits: a head of 16 KiB, five interim answers; 256 octets of a
/// refusal's body are kept in the error, and waited for at most a second.
/// Errors   of connecting to the proxy, with `proxy <host>:<port>` before; a proxy_errc with status and start of the
///          body; what breaks HTTP. All of phase connect and, but for misuse, retryable.
/// Cancel   at once, in every phase; one deadline covers all of it.
/// Source   RFC 9110 9.3.6, RFC 7617.
template <connector Next>
class proxy_connector {
public:
    using stream_type = typename Next::stream_type;
    static constexpr bool secures = false; // of the way to the target

    proxy_connector(Next next, proxy via)
        : next_(std::move(next)), proxy_(std::move(via.where)), authorization_(via.authorization()) {}

    [[nodiscard]] task<stream_type> connect(const destination& to) {
        return detail::connect_through_tunnel(next_, proxy_, authorization_, to);
    }

private:
    Next next_;
    destination proxy_;
    std::string authorization_;
};

/// Connects to each destination by the route that the rules have for it.
///
/// `d.secure` decides between the rules for https and for http. For a plain http destination behind an HTTP proxy the
/// connection is one to the proxy, which wants absolute-form: ask route_of().
/// `Next` needs TLS for proxies with TLS only: to the target it is plain.
/// Copies share the rules.
template <connector Next>
class routed_connector {
public:
    using stream_type = typename Next::stream_type;
    static constexpr bool secures = false;

    routed_connector(Next next, proxy_rules rules)
        : next_(std::move(next)), rules_(std::make_shared<const proxy_rules>(std::move(rules))) {}

    [[nodiscard]] route route_of(const destination& to) const {
        return rules_->route_of(to.secure ? "https" : "http", to.host, to.port);
    }

    [[nodiscard]] task<stream_type> connect(const destination& to) { return run(this, rules_, to); }

private:
    static task<stream_type> run(routed_connector* self, std::shared_ptr<const proxy_rules> rules, destination to) {
        const route way = rules->route_of(to.secure ? "https" : "http", to.host, to.port);
        if (way.kind == route_kind::tunnel) {
            auto stream = co_await attempt(detail::connect_through_tunnel(self->next_, way.via->where, way.via->authorization(), to));
            co_return stream;
        }
        if (way.kind == route_kind::socks) {
            socks5_credentials who(way.via->user, way.via->password);
            auto stream = co_await attempt(flux::detail::connect_through_socks5(self->next_, way.via->where, std::move(who), to));
            co_return stream;
        }
        if (way.kind == route_kind::forward) {
            if (way.via->where.secure && !Next::secures) {
                error e = error(flux::errc::unavailable).doing("a proxy with TLS needs a connector with TLS");
                co_return fail(std::move(e).doing("proxy " + way.via->where.to_string()));
            }
            auto stream = co_await attempt(self->next_.connect(way.via->where));
            if (!stream) {
                co_return fail(std::move(stream).error().doing("proxy " + way.via->where.to_string()));
            }
            co_return stream;
        }
        to.secure = false; // TLS to the target is for a connector around this one
        auto stream = co_await attempt(self->next_.connect(to));
        co_return stream;
    }

    Next next_;
    std::shared_ptr<const proxy_rules> rules_; // never changes: copies may be on other threads
};

} // namespace flux::inline FLUX_ABI::http
