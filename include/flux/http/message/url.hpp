// SPDX-License-Identifier: MIT
// flux/http/message/url.hpp - URLs of http, https, ws and wss, and the resolution of references against them.
//
//   text -> url::parse -> scheme, host, port, target ...        (validated, normalised, owns its text)
//   base url + "../x?y" -> resolve() -> url                      (RFC 3986 5.2)
//
// Deliberately not here: other schemes, international names (use their xn-- form), and the resolver.
#pragma once

#include <flux/core/result.hpp>
#include <flux/http/message/host.hpp>
#include <flux/http/message/octets.hpp>
#include <flux/http/message/query.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// The five parts of a URI reference, split without judging them. Source: RFC 3986 appendix B.
struct uri_parts {
    std::string_view scheme = {};
    std::string_view authority = {};
    std::string_view path = {};
    std::string_view query = {};
    std::string_view fragment = {};
    bool has_scheme = false;
    bool has_authority = false;
    bool has_query = false;
    bool has_fragment = false;
};

[[nodiscard]] constexpr uri_parts split_uri(std::string_view text) noexcept {
    uri_parts out;
    const std::size_t colon = text.find_first_of(":/?#");
    if (colon != std::string_view::npos && colon != 0 && text[colon] == ':' && is(text[0], octet_class::alpha) &&
        all(text.substr(0, colon), octet_class::scheme)) {
        out.has_scheme = true;
        out.scheme = text.substr(0, colon);
        text.remove_prefix(colon + 1);
    }
    if (text.starts_with("//")) {
        const std::size_t end = text.find_first_of("/?#", 2);
        out.has_authority = true;
        out.authority = text.substr(2, end == std::string_view::npos ? end : end - 2);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end);
    }
    if (const std::size_t hash = text.find('#'); hash != std::string_view::npos) {
        out.has_fragment = true;
        out.fragment = text.substr(hash + 1);
        text = text.substr(0, hash);
    }
    if (const std::size_t question = text.find('?'); question != std::string_view::npos) {
        out.has_query = true;
        out.query = text.substr(question + 1);
        text = text.substr(0, question);
    }
    out.path = text;
    return out;
}

/// A path without its "." and ".." segments. ".." above the root is dropped.
/// Cost    linear. Source: RFC 3986 5.2.4.
[[nodiscard]] inline std::string remove_dot_segments(std::string_view in) {
    std::string out;
    out.reserve(in.size());
    const auto pop = [&out] {
        const std::size_t slash = out.rfind('/');
        out.resize(slash == std::string::npos ? 0 : slash);
    };
    while (!in.empty()) {
        if (in.starts_with("../")) {
            in.remove_prefix(3);
        } else if (in.starts_with("./") || in.starts_with("/./")) {
            in.remove_prefix(2);
        } else if (in == "/.") {
            in = "/";
        } else if (in.starts_with("/../")) {
            in.remove_prefix(3);
            pop();
        } else if (in == "/..") {
            in = "/";
            pop();
        } else if (in == "." || in == "..") {
            in = {};
        } else {
            const std::size_t next = in.find('/', 1);
            out += in.substr(0, next);
            in.remove_prefix(next == std::string_view::npos ? in.size() : next);
        }
    }
    return out;
}

/// The URI that `reference` means in a document at `base`. Nothing is validated or normalised.
/// Source  RFC 3986 5.2.2, 5.3 (with erratum 4547), strict.
[[nodiscard]] inline std::string resolve_reference(std::string_view base, std::string_view reference) {
    const uri_parts b = split_uri(base);
    const uri_parts r = split_uri(reference);
    uri_parts t = r;
    std::string path;
    if (r.has_scheme || r.has_authority) {
        path = remove_dot_segments(r.path);
    } else if (r.path.empty()) {
        path = b.path;
        if (!r.has_query) {
            t.query = b.query;
            t.has_query = b.has_query;
        }
    } else if (r.path.starts_with('/')) {
        path = remove_dot_segments(r.path);
    } else {
        std::string merged;
        if (b.has_authority && b.path.empty()) {
            merged = "/";
        } else {
            merged = b.path.substr(0, b.path.rfind('/') + 1);
        }
        path = remove_dot_segments(merged += r.path);
    }
    if (!r.has_scheme) {
        t.scheme = b.scheme;
        t.has_scheme = b.has_scheme;
        if (!r.has_authority) {
            t.authority = b.authority;
            t.has_authority = b.has_authority;
        }
    }
    std::string out;
    const auto put = [&out](bool present, std::string_view before, std::string_view part, std::string_view after = {}) {
        if (present) {
            ((out += before) += part) += after;
        }
    };
    put(t.has_scheme, "", t.scheme, ":");
    put(t.has_authority, "//", t.authority);
    // Without an authority, a path must not begin with what would be one.
    put(!t.has_authority && path.starts_with("//"), "/.", "");
    out += path;
    put(t.has_query, "?", t.query);
    put(t.has_fragment, "#", t.fragment);
    return out;
}

/// An absolute URL of one of the schemes http, https, ws, wss: validated, and in one spelling.
///
/// Scheme and host are in lower case, an empty path is "/". In path, query and fragment, octets that cannot be in
/// a URI but are harmless (a space, quotes, brackets, octets from 0x80 on) are percent-encoded, as a browser does.
/// Everything else that is not in the grammar is an error: controls, a broken percent triplet, a bad host or port.
/// Threads  as a value.  Cost  one string.
class url {
public:
    /// None at all, to be assigned to; every part is empty.
    url() noexcept = default;

    /// Errors  flux::errc::invalid_argument, with what was wrong. The text itself is not in the message: it may
    ///         hold a password.
    [[nodiscard]] static result<url> parse(std::string_view text) {
        url out;
        if (auto done = out.try_assign(text); !done) {
            return fail(std::move(done).error());
        }
        return out;
    }
    /// parse() into this object, whose memory is kept. After an error it is empty.
    /// Params  text  not a part of this object.
    [[nodiscard]] result<void> try_assign(std::string_view text) {
        clear();
        if (const char* wrong = assign(split_uri(text), text.size())) {
            clear();
            return fail(error(flux::errc::invalid_argument).doing(std::string("parse URL: ") + wrong));
        }
        return {};
    }

    /// The URL that `reference` means here: a Location, a link. The fragment is the reference's own.
    /// Source  RFC 3986 5.2; RFC 9110 10.2.2.
    [[nodiscard]] result<url> resolve(std::string_view reference) const {
        return parse(resolve_reference(text_, reference));
    }

    [[nodiscard]] std::string_view text() const& noexcept { return text_; }
    void text() const&& = delete;
    [[nodiscard]] std::string_view scheme() const& noexcept { return part(0, scheme_end_); }
    /// `user:password`, encoded as written; empty if there is none.
    [[nodiscard]] std::string_view userinfo() const& noexcept {
        return has_userinfo_ ? part(scheme_end_ + 3, host_ - 1) : std::string_view();
    }
    /// The host; an IPv6 literal has its brackets.
    [[nodiscard]] std::string_view host() const& noexcept { return part(host_, host_end_); }
    /// The host as a resolver wants it: without brackets.
    [[nodiscard]] std::string_view host_name() const& noexcept {
        const std::string_view h = host();
        return h.starts_with('[') ? h.substr(1, h.size() - 2) : h;
    }
    /// The port, that of the scheme if none is written.
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] std::uint16_t default_port() const noexcept { return is_secure() ? 443 : 80; }
    [[nodiscard]] bool is_secure() const noexcept { return scheme().ends_with('s') && scheme_end_ != 2; }
    [[nodiscard]] bool is_websocket() const noexcept { return scheme().starts_with('w'); }
    /// Host and port as the Host field wants them: the port only if it is not that of the scheme [RFC 9110 7.2].
    [[nodiscard]] std::string_view authority() const& noexcept { return part(host_, authority_end_); }
    [[nodiscard]] std::string_view path() const& noexcept { return part(authority_end_, path_end_); }
    [[nodiscard]] bool has_query() const noexcept { return query_end_ != path_end_; }
    [[nodiscard]] std::string_view query() const& noexcept {
        return has_query() ? part(path_end_ + 1, query_end_) : std::string_view();
    }
    [[nodiscard]] bool has_fragment() const noexcept { return text_.size() != query_end_; }
    [[nodiscard]] std::string_view fragment() const& noexcept {
        return has_fragment() ? part(query_end_ + 1, static_cast<std::uint32_t>(text_.size())) : std::string_view();
    }
    /// Path and query: the target of a request in origin form. Never the fragment, never the user information.
    [[nodiscard]] std::string_view target() const& noexcept { return part(authority_end_, query_end_); }

    // Views into a URL that is about to die are refused.
    void scheme() const&& = delete;
    void userinfo() const&& = delete;
    void host() const&& = delete;
    void host_name() const&& = delete;
    void authority() const&& = delete;
    void path() const&& = delete;
    void query() const&& = delete;
    void fragment() const&& = delete;
    void target() const&& = delete;

    [[nodiscard]] friend bool operator==(const url& a, const url& b) noexcept { return a.text_ == b.text_; }

    /// Whether both have the same scheme, host and port: what credentials must not cross. Source: RFC 6454 4.
    [[nodiscard]] friend bool same_origin(const url& a, const url& b) noexcept {
        return a.scheme() == b.scheme() && a.host() == b.host() && a.port_ == b.port_;
    }

private:
    void clear() noexcept {
        text_.clear();
        scheme_end_ = host_ = host_end_ = authority_end_ = path_end_ = query_end_ = 0;
        port_ = 0;
        has_userinfo_ = false;
    }
    [[nodiscard]] std::string_view part(std::uint32_t from, std::uint32_t to) const noexcept {
        return std::string_view(text_).substr(from, to - from);
    }
    [[nodiscard]] std::uint32_t here() const noexcept { return static_cast<std::uint32_t>(text_.size()); }

    // Null, or what is wrong with it.
    [[nodiscard]] const char* assign(const uri_parts& p, std::size_t size) {
        if (size > max_octets) {
            return "too long";
        }
        if (!p.has_scheme || !p.has_authority) {
            return "not absolute";
        }
        put_lower(p.scheme);
        scheme_end_ = here();
        if (const std::string_view s = scheme(); s != "http" && s != "https" && s != "ws" && s != "wss") {
            return "unknown scheme";
        }
        text_ += "://";
        std::string_view authority = p.authority;
        if (const std::size_t at = authority.find('@'); at != std::string_view::npos) {
            if (!put_userinfo(authority.substr(0, at))) {
                return "bad user information";
            }
            authority.remove_prefix(at + 1);
        }
        const host_port hp = split_host_port(authority);
        if (!hp.valid) {
            return "bad host or port";
        }
        host_ = here();
        put_lower(hp.host);
        host_end_ = here();
        port_ = hp.port.empty() ? default_port() : hp.number;
        if (port_ != default_port()) {
            text_ += ':';
            text_ += std::to_string(port_);
        }
        authority_end_ = here();
        if (p.path.empty()) {
            text_ += '/';
        }
        const bool good_path = put_encoded(p.path, octet_class::path);
        path_end_ = here();
        if (p.has_query) {
            text_ += '?';
        }
        const bool good_query = put_encoded(p.query, octet_class::query);
        query_end_ = here();
        if (p.has_fragment) {
            text_ += '#';
        }
        if (!put_encoded(p.fragment, octet_class::query) || !good_path || !good_query) {
            return "a control octet or a broken percent triplet";
        }
        return nullptr;
    }
    void put_lower(std::string_view text) {
        for (const char c : text) {
            text_ += lower(c);
        }
    }
    [[nodiscard]] bool put_userinfo(std::string_view text) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (!is(text[i], octet_class::reg_name) && text[i] != ':' && !detail::is_triplet(text, i)) {
                return false;
            }
        }
        has_userinfo_ = true;
        (text_ += text) += '@';
        return true;
    }
    [[nodiscard]] bool put_encoded(std::string_view text, octet_class keep) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            const char c = text[i];
            const auto u = static_cast<unsigned char>(c);
            if (is(c, keep) || detail::is_triplet(text, i)) {
                text_ += c;
            } else if (u < 0x20 || u == 0x7f || c == '%') {
                return false;
            } else {
                detail::put_triplet(c, text_);
            }
        }
        return true;
    }

    static constexpr std::size_t max_octets = 1U << 20;

    std::string text_;
    std::uint32_t scheme_end_ = 0;
    std::uint32_t host_ = 0;
    std::uint32_t host_end_ = 0;
    std::uint32_t authority_end_ = 0;
    std::uint32_t path_end_ = 0;
    std::uint32_t query_end_ = 0;
    std::uint16_t port_ = 0;
    bool has_userinfo_ = false;
};

} // namespace flux::inline FLUX_ABI::http
