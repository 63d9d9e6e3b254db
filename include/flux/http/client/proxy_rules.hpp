// SPDX-License-Identifier: MIT
// flux/http/client/proxy_rules.hpp - which proxy a request goes through, if any: proxy URLs and NO_PROXY.
//
//   http_proxy, https_proxy, all_proxy, no_proxy -> proxy_rules -> route_of(scheme, host, port) -> direct
//                                                                    forward (absolute-form), tunnel (CONNECT), socks
//
// Pure functions of their arguments but for from_environment(), which nobody calls but the user. Deliberately not here:
// talking to a proxy (connect_tunnel.hpp, net/socks5.hpp), PAC files.
#pragma once

#include <flux/core/base64.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/result.hpp>
#include <flux/http/message/host.hpp>
#include <flux/http/message/query.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/endpoint.hpp>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

enum class proxy_kind : std::uint8_t {
    http,   ///< plain
    https,  ///< the way to the proxy is TLS
    socks5, ///< names go to the proxy
};

/// A proxy: `[scheme://][user[:password]@]host[:port]`. A value.
class proxy {
public:
    /// Reads a proxy URL. Schemes: http (also if there is none), https, socks5 and socks5h, which mean the same here.
    /// Ports default to 80, 443 and 1080. User and password are percent-decoded. A path is allowed if it is `/`.
    /// Errors  flux::errc::invalid_argument; the text does not have the password.
    [[nodiscard]] static result<proxy> parse(std::string_view text);

    /// Without user and password.
    [[nodiscard]] std::string to_string() const {
        const char* scheme = kind == proxy_kind::http ? "http://" : kind == proxy_kind::https ? "https://" : "socks5://";
        return scheme + where.to_string();
    }
    /// The value of Proxy-Authorization; empty without a user. Source: RFC 7617 2.
    [[nodiscard]] std::string authorization() const {
        return has_user ? "Basic " + base64_encode(user + ":" + password) : std::string();
    }
    [[nodiscard]] friend bool operator==(const proxy&, const proxy&) = default;

    proxy() : where(std::string(), 0) {}
    proxy(const proxy&) = default;
    proxy(proxy&&) noexcept = default;
    proxy& operator=(const proxy&) = default;
    proxy& operator=(proxy&&) noexcept = default;
    ~proxy() = default;

    proxy_kind kind = proxy_kind::http;
    bool has_user = false;
    destination where; ///< `secure` for https
    std::string user;
    std::string password;

private:
    [[nodiscard]] const char* read(std::string_view text);
};

enum class route_kind : std::uint8_t {
    direct,  ///< to the origin itself
    forward, ///< to the proxy, which gets the request in absolute-form
    tunnel,  ///< through the proxy by CONNECT
    socks,   ///< through the proxy by SOCKS 5
};

/// How to reach an origin.
class route {
public:
    route() noexcept = default;
    route(route_kind k, const proxy* p) noexcept : kind(k), via(p) {}
    route_kind kind = route_kind::direct;
    const proxy* via = nullptr; ///< of the rules; null for direct
};

/// Which proxies there are, and for what.
///
/// Where curl and Go differ: lower-case variables come first (curl); ALL_PROXY is read (curl); a proxy without port has
/// the scheme's (Go); this machine is never asked of a proxy (Go); in NO_PROXY a leading dot makes no difference (curl),
/// ports and CIDR blocks mean what they say (Go).
class proxy_rules {
public:
    /// No proxy for anything.
    proxy_rules() = default;

    /// One proxy for all, but for what `no_proxy` says. This machine is no exception here.
    [[nodiscard]] static proxy_rules only(const proxy& p, std::string_view no_proxy = {}) {
        proxy_rules r;
        r.for_http_ = r.for_https_ = p;
        r.has_http_ = r.has_https_ = true;
        r.local_direct_ = false;
        r.exclude(no_proxy);
        return r;
    }

    /// What the variables of a shell say. `get(name)` returns the value of an environment variable, as a C string or
    /// nullptr; an empty value is as none. HTTP_PROXY in upper case is not read where REQUEST_METHOD is set: in a CGI
    /// program it is a request's `Proxy` field.
    /// Errors  flux::errc::invalid_argument for a proxy URL that cannot be used, with the name of the variable.
    template <class Get>
    [[nodiscard]] static result<proxy_rules> from_variables(Get&& get);

    /// from_variables() of this process. Threads  as getenv: nobody may change the environment meanwhile.
    template <class Char = char>
    [[nodiscard]] static result<proxy_rules> from_environment() {
        return from_variables([](const Char* name) -> const Char* { return std::getenv(name); });
    }

    /// Adds to what is reached directly: a list of entries between commas or blanks.
    ///     *                      everything
    ///     example.org            this host and those below it; a leading dot makes no difference
    ///     *.example.org          those below it only
    ///     192.0.2.1, [::1]       an address
    ///     10.0.0.0/8, fe80::/10  a block of addresses
    ///     example.org:8080       each of them, at this port only ([::1]:80 for IPv6)
    /// Names are not looked up to be compared with addresses. What makes no sense is skipped.
    template <class Text = std::string_view>
    void exclude(Text list);

    /// Params  `scheme` "http" or "https"; `host` a name or an IP literal, with or without brackets.
    [[nodiscard]] route route_of(std::string_view scheme, std::string_view host, std::uint16_t port) const {
        const bool secure = equal_ignoring_case(scheme, "https");
        if (!(secure ? has_https_ : has_http_) || is_excluded(host, port)) {
            return {};
        }
        const proxy& p = secure ? for_https_ : for_http_;
        if (p.kind == proxy_kind::socks5) {
            return {route_kind::socks, &p};
        }
        return {secure ? route_kind::tunnel : route_kind::forward, &p};
    }

private:
    enum class rule_kind : std::uint8_t { everything, domain, below, block };
    struct rule {
        rule_kind kind = rule_kind::everything;
        std::uint16_t port = 0; // 0: every port
        unsigned bits = 0;      // of a block
        std::string name;       // in lower case, without dots around it
        endpoint address;
    };

    [[nodiscard]] static bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
        if (a.size() != b.size()) {
            return false;
        }
        for (std::size_t i = 0; i < a.size(); ++i) {
            if (lower(a[i]) != lower(b[i])) {
                return false;
            }
        }
        return true;
    }
    [[nodiscard]] static std::string plain(std::string_view host) {
        if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
            host = host.substr(1, host.size() - 2);
        }
        host.remove_suffix(host.size() > 1 && host.ends_with('.') ? 1 : 0);
        std::string out(host);
        for (char& c : out) {
            c = lower(c);
        }
        return out;
    }
    [[nodiscard]] static bool is_below(std::string_view name, std::string_view zone) noexcept {
        return name.size() > zone.size() && name.ends_with(zone) && name[name.size() - zone.size() - 1] == '.';
    }
    [[nodiscard]] static bool read_rule(std::string_view text, rule& to);
    [[nodiscard]] static bool read_block(std::string_view text, std::size_t slash, rule& to);
    [[nodiscard]] static bool matches(const rule& r, std::string_view name, const endpoint& ip) noexcept;
    [[nodiscard]] bool is_excluded(std::string_view host, std::uint16_t port) const;

    proxy for_http_;
    proxy for_https_;
    bool has_http_ = false;
    bool has_https_ = false;
    bool local_direct_ = true;
    flux::detail::dynamic_array<rule> rules_;
};

inline const char* proxy::read(std::string_view text) {
    const std::size_t scheme_end = text.find("://");
    std::string_view scheme = "http";
    if (scheme_end != std::string_view::npos) {
        scheme = text.substr(0, scheme_end);
        text.remove_prefix(scheme_end + 3);
    }
    std::string name(scheme);
    for (char& c : name) {
        c = lower(c);
    }
    if (name == "socks5" || name == "socks5h") {
        kind = proxy_kind::socks5;
        where.port = 1080;
    } else if (name == "http" || name == "https") {
        kind = name == "https" ? proxy_kind::https : proxy_kind::http;
        where.port = name == "https" ? 443 : 80;
        where.secure = name == "https";
    } else {
        return "the scheme must be http, https or socks5";
    }
    if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
        const std::string_view who = text.substr(0, at);
        const std::size_t colon = who.find(':');
        has_user = true;
        user = percent_decode(who.substr(0, colon));
        password = colon == std::string_view::npos ? std::string() : percent_decode(who.substr(colon + 1));
        text.remove_prefix(at + 1);
        if (user.find(':') != std::string::npos) {
            return "a user name has no colon";
        }
    }
    text.remove_suffix(text.ends_with('/') ? 1 : 0);
    const host_port place = split_host_port(text);
    if (!place.valid || (!place.port.empty() && place.number == 0)) {
        return "it is no host and port";
    }
    const bool brackets = place.host.front() == '[';
    where.host = brackets ? place.host.substr(1, place.host.size() - 2) : place.host;
    where.port = place.port.empty() ? where.port : place.number;
    return nullptr;
}

inline result<proxy> proxy::parse(std::string_view text) {
    proxy p;
    if (const char* reason = p.read(text)) {
        const std::size_t at = text.rfind('@');
        const std::string_view shown = at == std::string_view::npos ? text : text.substr(at + 1);
        return fail(error(flux::errc::invalid_argument).doing(reason).doing("proxy \"" + std::string(shown) + "\""));
    }
    return p;
}

inline bool proxy_rules::read_block(std::string_view text, std::size_t slash, rule& to) {
    auto base = endpoint::parse_ip(text.substr(0, slash), 0);
    const std::string_view digits = text.substr(slash + 1);
    std::uint64_t bits = 0;
    if (!base || !parse_decimal(digits, base->family() == address_family::ipv4 ? 32 : 128, bits)) {
        return false;
    }
    to.kind = rule_kind::block;
    to.address = *base;
    to.bits = static_cast<unsigned>(bits);
    return true;
}

inline bool proxy_rules::read_rule(std::string_view text, rule& to) {
    if (text == "*") {
        return true;
    }
    if (const std::size_t slash = text.find('/'); slash != std::string_view::npos) {
        return read_block(text, slash, to);
    }
    auto ip = endpoint::parse_ip(text, 0); // an IPv6 address without brackets has colons, but no port
    if (!ip) {
        if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos && !text.ends_with(']')) {
            std::uint64_t port = 0;
            if (!parse_decimal(text.substr(colon + 1), 65535, port) || port == 0) {
                return false;
            }
            to.port = static_cast<std::uint16_t>(port);
            text = text.substr(0, colon);
        }
        to.name = plain(text);
        ip = endpoint::parse_ip(to.name, 0);
    }
    if (ip) {
        to.kind = rule_kind::block;
        to.address = ip->unmapped();
        to.bits = static_cast<unsigned>(to.address.address().size() * 8);
        return true;
    }
    to.kind = to.name.starts_with("*.") ? rule_kind::below : rule_kind::domain;
    to.name.erase(0, to.name.starts_with("*.") ? 2 : to.name.starts_with('.') ? 1 : 0);
    return !to.name.empty() && (to.name != "*");
}

template <class Text>
void proxy_rules::exclude(Text list) {
    std::string_view rest(list);
    while (!rest.empty()) {
        const std::string_view entry = rest.substr(0, rest.find_first_of(", \t\r\n"));
        rest.remove_prefix(entry.size() == rest.size() ? entry.size() : entry.size() + 1);
        rule r;
        if (!entry.empty() && read_rule(entry, r)) {
            rules_.push_back(std::move(r));
        }
    }
}

inline bool proxy_rules::matches(const rule& r, std::string_view name, const endpoint& ip) noexcept {
    switch (r.kind) {
    case rule_kind::everything: return true;
    case rule_kind::domain: return name == r.name || is_below(name, r.name);
    case rule_kind::below: return is_below(name, r.name);
    case rule_kind::block: break;
    }
    if (ip.family() != r.address.family()) {
        return false;
    }
    const auto a = ip.address();
    const auto b = r.address.address();
    for (unsigned bit = 0; bit < r.bits; bit += 8) {
        const unsigned left = r.bits - bit < 8 ? r.bits - bit : 8;
        const auto mask = static_cast<std::byte>(0xff00U >> left & 0xffU);
        if ((a[bit / 8] & mask) != (b[bit / 8] & mask)) {
            return false;
        }
    }
    return true;
}

inline bool proxy_rules::is_excluded(std::string_view host, std::uint16_t port) const {
    const std::string name = plain(host);
    endpoint ip;
    if (auto literal = endpoint::parse_ip(name, 0)) {
        ip = literal->unmapped();
    }
    if (local_direct_ && (name == "localhost" || is_below(name, "localhost") || ip.is_loopback())) {
        return true;
    }
    for (const rule& r : rules_) {
        if ((r.port == 0 || r.port == port) && matches(r, name, ip)) {
            return true;
        }
    }
    return false;
}

template <class Get>
result<proxy_rules> proxy_rules::from_variables(Get&& get) {
    const auto value = [&get](const char* name) -> std::string_view {
        const char* text = get(name);
        return text == nullptr ? std::string_view() : std::string_view(text);
    };
    const auto first = [&value](const char* a, const char* b, const char*& used) {
        used = value(a).empty() ? b : a;
        return value(used);
    };
    const bool cgi = !value("REQUEST_METHOD").empty();
    proxy_rules rules;
    for (const bool secure : {false, true}) {
        const char* name = nullptr;
        std::string_view text = secure ? first("https_proxy", "HTTPS_PROXY", name)
                                       : first("http_proxy", cgi ? "http_proxy" : "HTTP_PROXY", name);
        if (text.empty()) {
            text = first("all_proxy", "ALL_PROXY", name);
        }
        if (text.empty()) {
            continue;
        }
        auto p = proxy::parse(text);
        if (!p) {
            return fail(std::move(p).error().doing(name));
        }
        (secure ? rules.for_https_ : rules.for_http_) = *std::move(p);
        (secure ? rules.has_https_ : rules.has_http_) = true;
    }
    const char* name = nullptr;
    rules.exclude(first("no_proxy", "NO_PROXY", name));
    return rules;
}

} // namespace flux::inline FLUX_ABI::http
