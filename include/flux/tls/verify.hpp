// SPDX-License-Identifier: MIT
// flux/tls/verify.hpp - the rules that flux applies to a peer's chain, beside the library's.
//
//   chain of certificates + what is expected of the peer -> nothing, or a finding in words
//
// The library has verified signatures, dates and its own rules. Here: names by subjectAltName only, wildcards of
// one label, IP addresses against iPAddress entries; constraints on all names, addresses included; path length,
// usage, weak keys and signatures; and that the chain ends at a configured authority and not at an intermediate
// that the library remembers from another connection. Deliberately not here: signatures.
#pragma once

#include <flux/tls/certificate.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>

namespace flux::inline FLUX_ABI::tls {

/// What is wrong with a chain: the code, and the words before it.
struct finding {
    finding(errc c, std::string w) : code(c), what(std::move(w)) {}
    errc code;
    std::string what;
};

/// Which side showed the chain.
enum class peer_role : std::uint8_t { server, client };

namespace detail {

[[nodiscard]] constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
[[nodiscard]] inline bool same_name(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}
[[nodiscard]] inline bool ends_with_name(std::string_view name, std::string_view tail) noexcept {
    return name.size() >= tail.size() && same_name(name.substr(name.size() - tail.size()), tail);
}

/// The octets of a literal address, without brackets and zone; empty if it is a name.
[[nodiscard]] inline std::string address_octets(std::string_view host) {
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    const std::string text(host.substr(0, host.find('%')));
    char octets[16];
    if (::inet_pton(AF_INET, text.c_str(), octets) == 1) {
        return std::string(octets, 4);
    }
    if (::inet_pton(AF_INET6, text.c_str(), octets) == 1) {
        return std::string(octets, 16);
    }
    return {};
}
[[nodiscard]] inline std::string address_text(std::string_view octets) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (octets.size() == 4 || octets.size() == 16) {
        ::inet_ntop(octets.size() == 4 ? AF_INET : AF_INET6, octets.data(), text, sizeof text);
    }
    return text;
}

// "*.b.test" stands for one label; "*" and "*.test" for nothing [RFC 9525 6.3].
[[nodiscard]] inline bool name_covers(std::string_view pattern, std::string_view host) noexcept {
    if (!pattern.starts_with("*.")) {
        return !pattern.empty() && pattern.find('*') == std::string_view::npos && same_name(pattern, host);
    }
    const std::string_view tail = pattern.substr(1); // ".b.test"
    const std::size_t first_dot = host.find('.');
    return tail.find('*') == std::string_view::npos && tail.find('.', 1) != std::string_view::npos && first_dot != 0 &&
           first_dot != std::string_view::npos && same_name(host.substr(first_dot), tail);
}

// Whether a DNS name is in a subtree: "a.test" has itself and what is below it, ".a.test" only what is below.
[[nodiscard]] inline bool in_dns_subtree(std::string_view name, std::string_view subtree) noexcept {
    if (subtree.empty()) {
        return true;
    }
    if (subtree.front() == '.') {
        return ends_with_name(name, subtree);
    }
    return same_name(name, subtree) ||
           (ends_with_name(name, subtree) && name[name.size() - subtree.size() - 1] == '.');
}
// A wildcard reaches into a subtree that begins one label below it.
[[nodiscard]] inline bool touches_dns_subtree(std::string_view name, std::string_view subtree) noexcept {
    if (in_dns_subtree(name, subtree)) {
        return true;
    }
    if (!name.starts_with("*.")) {
        return false;
    }
    const std::string_view bare = subtree.starts_with('.') ? subtree.substr(1) : subtree;
    const std::size_t dot = bare.find('.');
    return dot != std::string_view::npos && same_name(bare.substr(dot + 1), name.substr(2));
}
[[nodiscard]] inline bool in_address_subtree(std::string_view address, std::string_view subtree) noexcept {
    if (subtree.size() != 2 * address.size()) {
        return false;
    }
    for (std::size_t i = 0; i < address.size(); ++i) {
        const auto octet = [](char c) { return static_cast<std::uint8_t>(c); };
        const unsigned mask = octet(subtree[address.size() + i]);
        if ((octet(address[i]) & mask) != (octet(subtree[i]) & mask)) {
            return false;
        }
    }
    return true;
}
// The host of "scheme://user@host:port/path"; empty where there is none.
[[nodiscard]] inline std::string_view uri_host(std::string_view uri) noexcept {
    const std::size_t slashes = uri.find("://");
    if (slashes == std::string_view::npos) {
        return {};
    }
    uri.remove_prefix(slashes + 3);
    uri = uri.substr(0, uri.find_first_of("/?#"));
    const std::size_t at = uri.rfind('@');
    uri.remove_prefix(at == std::string_view::npos ? 0 : at + 1);
    return uri.substr(0, uri.find(':'));
}
[[nodiscard]] inline bool is_host_name(std::string_view host) {
    return !host.empty() && host.front() != '[' && address_octets(host).empty();
}
// Of the host of a URI or a mailbox: "a.test" has itself only, ".a.test" what is below, "" all of them.
[[nodiscard]] inline bool in_host_subtree(std::string_view host, std::string_view subtree) noexcept {
    return subtree.empty() || (subtree.front() == '.' ? ends_with_name(host, subtree) : same_name(host, subtree));
}
// RFC 5280 4.2.1.10: where URIs are constrained, in either way, one without the name of a host is not acceptable.
[[nodiscard]] inline bool in_uri_subtree(std::string_view uri, std::string_view subtree) {
    const std::string_view host = uri_host(uri);
    return is_host_name(host) && in_host_subtree(host, subtree);
}
[[nodiscard]] inline bool touches_uri_subtree(std::string_view uri, std::string_view subtree) {
    const std::string_view host = uri_host(uri);
    return !is_host_name(host) || in_host_subtree(host, subtree);
}
[[nodiscard]] inline bool in_mail_subtree(std::string_view mail, std::string_view subtree) noexcept {
    if (subtree.find('@') != std::string_view::npos) {
        return same_name(mail, subtree);
    }
    const std::size_t at = mail.rfind('@');
    return in_host_subtree(at == std::string_view::npos ? mail : mail.substr(at + 1), subtree);
}

/// The names of `c` against the constraints of one authority above it.
class constraint_check {
public:
    explicit constraint_check(const certificate& authority) noexcept : authority_(authority) {}

    /// The first name that is not permitted.
    [[nodiscard]] std::optional<std::string> violation(const certificate& c) const {
        using kind = name_subtree::kind;
        for (const std::string& name : c.dns_names) {
            if (!allowed(kind::dns, name, &in_dns_subtree, &touches_dns_subtree)) {
                return name;
            }
        }
        for (const std::string& address : c.addresses) {
            if (!allowed(kind::address, address, &in_address_subtree, &in_address_subtree)) {
                return address_text(address);
            }
        }
        for (const std::string& uri : c.uris) {
            if (!allowed(kind::uri, uri, &in_uri_subtree, &touches_uri_subtree)) {
                return uri;
            }
        }
        for (const std::string& mail : c.mails) {
            if (!allowed(kind::mail, mail, &in_mail_subtree, &in_mail_subtree)) {
                return mail;
            }
        }
        return std::nullopt;
    }

private:
    using relation = bool (*)(std::string_view, std::string_view);
    [[nodiscard]] bool allowed(name_subtree::kind kind, std::string_view name, relation inside, relation touches) const {
        for (const name_subtree& s : authority_.excluded) {
            if (s.what == kind && touches(name, s.text)) {
                return false;
            }
        }
        bool limited = false;
        for (const name_subtree& s : authority_.permitted) {
            if (s.what == kind) {
                limited = true;
                if (inside(name, s.text)) {
                    return true;
                }
            }
        }
        return !limited;
    }
    const certificate& authority_;
};

[[nodiscard]] inline std::string quoted(std::string_view text) {
    std::string q = "\"";
    q += text;
    q += '"';
    return q;
}

} // namespace detail

/// Whether a certificate is for `host`: a DNS name, or a literal address with or without brackets.
[[nodiscard]] inline bool is_for_host(const certificate& c, std::string_view host) {
    const std::string address = detail::address_octets(host);
    if (!address.empty()) {
        return std::find(c.addresses.begin(), c.addresses.end(), address) != c.addresses.end();
    }
    if (host.ends_with('.')) {
        host.remove_suffix(1);
    }
    return std::any_of(c.dns_names.begin(), c.dns_names.end(),
                       [&](const std::string& name) { return detail::name_covers(name, host); });
}

/// `"b.test", "*.b.test" and 3 more`; how a certificate without names is called, too.
[[nodiscard]] inline std::string names_of(const certificate& c) {
    std::vector<std::string> all;
    constexpr std::size_t longest = 128;
    for (const std::string& name : c.dns_names) { // what looks like an address is none there
        const std::string kind = detail::address_octets(name).empty() ? "" : "DNS name ";
        all.push_back(kind + detail::quoted(name.substr(0, longest)));
    }
    for (const std::string& a : c.addresses) {
        all.push_back(detail::quoted(detail::address_text(a)));
    }
    for (const std::string& uri : c.uris) {
        all.push_back(detail::quoted(uri.substr(0, longest)));
    }
    if (all.empty()) {
        return "no name (common names do not count)";
    }
    constexpr std::size_t shown = 3;
    std::string text;
    for (std::size_t i = 0; i < all.size() && i < shown; ++i) {
        text += i == 0 ? "" : ", ";
        text += all[i];
    }
    if (all.size() > shown) {
        text += " and " + std::to_string(all.size() - shown) + " more";
    }
    return text;
}

/// The authorities that a configuration trusts, by subject and key.
class anchor_set {
public:
    void add(const certificate& c) { anchors_.emplace_back(c.subject_name, c.public_key); }
    /// After the last add().
    void seal() { std::sort(anchors_.begin(), anchors_.end()); }
    [[nodiscard]] bool contains(std::string_view subject_name) const noexcept {
        const auto at = std::lower_bound(anchors_.begin(), anchors_.end(), subject_name,
                                         [](const anchor& a, std::string_view name) { return a.first < name; });
        return at != anchors_.end() && at->first == subject_name;
    }
    /// Whether it is the anchor itself, or another certificate for the same name and key.
    [[nodiscard]] bool contains(const certificate& c) const noexcept {
        return std::any_of(anchors_.begin(), anchors_.end(), [&](const anchor& a) {
            return a.first == c.subject_name && a.second == c.public_key;
        });
    }
    [[nodiscard]] bool empty() const noexcept { return anchors_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return anchors_.size(); }

private:
    using anchor = std::pair<std::string, std::string>;
    std::vector<anchor> anchors_;
};

/// What is asked of a peer.
struct expectation {
    peer_role role = peer_role::server;
    std::string_view host;               ///< empty: no name is checked
    const anchor_set* anchors = nullptr; ///< never null where the library verifies
    unsigned min_rsa_bits = 2048;
};

/// The certificates of `chain` that lead from the first one to an anchor: indices, leaf first.
///
/// A certificate that has an anchor's name but not its key is no anchor: whoever may sign authorities could make one
/// to hide the constraints above it.
/// Returns  nothing if the chain has a gap.
[[nodiscard]] inline std::optional<std::vector<std::size_t>> path_to_anchor(const std::vector<certificate>& chain,
                                                                             const anchor_set& anchors) {
    std::vector<std::size_t> path{0};
    for (;;) { // each turn adds one of the chain that was not there, or ends
        const certificate& last = chain[path.back()];
        if (last.self_issued() && anchors.contains(last)) {
            return path;
        }
        std::size_t next = 1;
        const bool at_anchor = anchors.contains(last.issuer_name);
        while (next < chain.size() &&
               (chain[next].subject_name != last.issuer_name || (at_anchor && anchors.contains(chain[next])) ||
                std::find(path.begin(), path.end(), next) != path.end())) {
            ++next;
        }
        if (next == chain.size()) {
            return at_anchor ? std::optional(path) : std::nullopt;
        }
        path.push_back(next);
    }
}

namespace detail {

[[nodiscard]] constexpr const char* plural_of(peer_role r) noexcept { return r == peer_role::server ? "servers" : "clients"; }

[[nodiscard]] inline std::optional<finding> weakness(const certificate& c, const expectation& e, bool anchor) {
    if ((c.key == key_kind::rsa && c.key_bits < e.min_rsa_bits) || (c.key == key_kind::elliptic && c.key_bits < 256)) {
        return finding(errc::weak_key, quoted(c.subject) + " has a key of " + std::to_string(c.key_bits) + " bits");
    }
    // Nobody relies on the signature of an authority that is trusted by itself.
    if (c.signature == signature_kind::weak && !anchor) {
        return finding(errc::weak_signature, quoted(c.subject) + " is signed with MD5 or SHA-1");
    }
    return std::nullopt;
}

[[nodiscard]] inline std::optional<finding> authority_trouble(const std::vector<certificate>& chain,
                                                              const std::vector<std::size_t>& path, std::size_t at,
                                                              const expectation& e) {
    const certificate& authority = chain[path[at]];
    if (!authority.may_sign_certificates()) {
        return finding(errc::not_an_authority, quoted(authority.subject) + " signed " + quoted(chain[path[at - 1]].subject));
    }
    if (authority.has_extended_usage && !(e.role == peer_role::server ? authority.for_servers : authority.for_clients)) {
        return finding(errc::wrong_usage, quoted(authority.subject) + " may not vouch for " + plural_of(e.role));
    }
    int below = 0;
    for (std::size_t i = 1; i < at; ++i) {
        below += chain[path[i]].self_issued() ? 0 : 1;
    }
    if (authority.path_length >= 0 && below > authority.path_length) {
        return finding(errc::path_too_long, quoted(authority.subject) + " allows " +
                                                std::to_string(authority.path_length) + " authorities below it");
    }
    if (authority.constraints_unreadable) {
        return finding(errc::name_not_permitted, quoted(authority.subject) + " has constraints that cannot be checked");
    }
    const constraint_check check(authority);
    for (std::size_t i = 0; i < at; ++i) {
        if (i != 0 && chain[path[i]].self_issued()) {
            continue;
        }
        if (const auto name = check.violation(chain[path[i]])) {
            return finding(errc::name_not_permitted, quoted(authority.subject) + " may not vouch for " + quoted(name->substr(0, 128)));
        }
    }
    return std::nullopt;
}

} // namespace detail

/// Judges a chain whose signatures and dates were found good; the first certificate is the peer's own.
/// Source   RFC 5280 6.1 (path), 4.2.1.10 (constraints), RFC 9525 (names).
[[nodiscard]] inline std::optional<finding> judge_chain(const std::vector<certificate>& chain, const expectation& e) {
    const certificate& leaf = chain.front();
    const auto path = path_to_anchor(chain, *e.anchors);
    if (!path) {
        return finding(errc::unknown_authority, detail::quoted(leaf.subject) + " was issued by " + detail::quoted(leaf.issuer) +
                                                    ", and the chain to a trusted authority has a gap");
    }
    for (std::size_t i = 0; i < path->size(); ++i) {
        const certificate& c = chain[(*path)[i]];
        if (auto f = detail::weakness(c, e, i != 0 && c.self_issued() && e.anchors->contains(c))) {
            return f;
        }
        if (i != 0) {
            if (auto f = detail::authority_trouble(chain, *path, i, e)) {
                return f;
            }
        }
    }
    const bool usable = e.role == peer_role::server ? leaf.for_servers : leaf.for_clients;
    if (leaf.has_extended_usage && !usable) {
        return finding(errc::wrong_usage, detail::quoted(leaf.subject) + " is not for " + detail::plural_of(e.role));
    }
    if (!leaf.may_sign_handshakes()) {
        return finding(errc::wrong_usage, detail::quoted(leaf.subject) + " has a key that may not sign");
    }
    if (!e.host.empty() && !is_for_host(leaf, e.host)) {
        return finding(errc::name_mismatch, "certificate is for " + names_of(leaf) + ", not " + detail::quoted(e.host));
    }
    return std::nullopt;
}

/// Why the library may have refused a chain, in words that its one number does not have: it calls a chain unknown
/// when any authority of it is expired, constrained or too weak.
[[nodiscard]] inline std::optional<finding> explain_chain(const std::vector<certificate>& chain, expectation e, unix_seconds now) {
    const auto path = path_to_anchor(chain, *e.anchors);
    if (!path) {
        return std::nullopt;
    }
    for (const std::size_t i : *path) {
        const std::string who = "certificate " + detail::quoted(chain[i].subject);
        if (now > chain[i].not_after) {
            return finding(errc::certificate_expired, who + " expired on " + date_text(chain[i].not_after));
        }
        if (now < chain[i].not_before) {
            return finding(errc::certificate_not_yet_valid, who + " is valid from " + date_text(chain[i].not_before));
        }
    }
    e.host = {};
    return judge_chain(chain, e);
}

} // namespace flux::inline FLUX_ABI::tls
