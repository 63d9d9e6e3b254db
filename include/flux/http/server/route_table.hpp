// SPDX-License-Identifier: MIT
// flux/http/server/route_table.hpp - finds the pattern that fits a request: a tree of path segments, sans I/O.
//
//   path -> cut at slashes -> judged -> tree of the host, then of any host -> route, 405, redirect, 404 or 400
//
// Among the patterns that fit, the most specific one wins, in whatever order they were added: patterns of which
// neither is more specific are refused. A segment is compared as it was sent, percent-decoded only if it holds a
// percent sign. The choices that the rules of Go 1.22 leave open, or that are made otherwise here:
//
// - A path with "." or ".." or empty segments never matches: it is redirected to the cleaned path if that has a
//   route. "%2e" counts as ".", as RFC 3986 6.2.2.3 has it. "/a/b/.." is cleaned to "/a/" (RFC 3986 5.2.4).
// - A segment that hides a dot segment or a NUL behind encoding ("..%2fetc", "%00") is a bad path, 400, so that no
//   parameter can climb out of a directory; so is "%" without two hexadecimal digits. "a%2fb" is one segment.
// - Redirects keep method and body (308, made by the router): "/x" to "/x/" where only the subtree has a route.
// - HEAD is answered by GET routes, "Allow" always has OPTIONS. CONNECT has no path and matches nothing.
//
// Deliberately not here: handlers and answers (router.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/http/message/method.hpp>
#include <flux/http/server/route_pattern.hpp>
#include <flux/http/server/route_tree.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

enum class match_kind : std::uint8_t {
    found,
    not_found,
    method_not_allowed, ///< other methods are served at this path: route_table::allowed()
    redirect,           ///< another spelling of the path has a route: route_table::location()
    bad_path,           ///< encoding that is broken, or hides dot segments or NUL
};

class route_table;

/// What route_table::match() found. Refers to the table, and to the path that was matched.
class route_match {
public:
    static constexpr std::uint32_t no_route = ~std::uint32_t{0};

    [[nodiscard]] match_kind kind() const noexcept { return kind_; }
    /// found: the route. redirect: the one that the other spelling has. method_not_allowed: the most specific one
    /// of those for other methods. Else no_route.
    [[nodiscard]] std::uint32_t route() const noexcept { return route_; }
    [[nodiscard]] std::size_t param_count() const noexcept {
        return pattern_ == nullptr ? 0 : pattern_->params().size();
    }
    [[nodiscard]] std::string_view param_name(std::size_t i) const noexcept { return pattern_->params()[i].name; }
    /// The octets of the path for the i-th parameter, not decoded. i < param_count().
    [[nodiscard]] std::string_view raw_param(std::size_t i) const noexcept {
        const route_pattern::parameter& p = pattern_->params()[i];
        return p.rest ? path_.from(p.segment) : path_.segment(p.segment);
    }

private:
    friend class route_table;
    explicit route_match(std::string_view path) noexcept : path_(path) {}

    detail::cut_path path_;
    const route_pattern* pattern_ = nullptr; // null unless found
    std::uint32_t route_ = no_route;
    match_kind kind_ = match_kind::not_found;
};

/// Patterns, and which of them a request fits.
///
/// Threads  const functions: any, at the same time. add(): nobody else.
/// Cost     match(): linear in the path, times the logarithm of how many literals are alternatives; where both a
///          literal and a parameter fit, both branches may be tried. No allocation for a clean path.
class route_table {
public:
    /// Adds a pattern. Returns: its index, counted from 0.
    /// Errors   throws flux::error (errc::invalid_argument), naming both, if another pattern takes some of the same
    ///          requests and neither is more specific. The table is unchanged then.
    [[gnu::cold]] std::uint32_t add(route_pattern pattern) {
        for (const auto& other : patterns_) {
            const relation r = pattern.compare(*other);
            if (r == relation::same || r == relation::overlapping) {
                refuse(pattern, *other, r);
            }
        }
        const auto index = static_cast<std::uint32_t>(patterns_.size());
        patterns_.push_back(flux::detail::make_owner<route_pattern>(std::move(pattern)));
        tree_of(patterns_.back()->host()).add(*patterns_.back(), index);
        return index;
    }

    [[nodiscard]] std::size_t size() const noexcept { return patterns_.size(); }
    /// Stays where it is as long as the table.
    [[nodiscard]] const route_pattern& pattern(std::uint32_t route) const noexcept { return *patterns_[route]; }

    /// Finds the route for a request.
    /// Params   m, token   the method; `token` counts only for method::other.
    ///          authority  host and port, or empty.
    ///          path       raw, without query: "/a%20b". The result refers to it.
    [[nodiscard]] route_match match(method m, std::string_view token, std::string_view authority,
                                    std::string_view path) const {
        route_match result(path.empty() ? std::string_view("/") : path);
        if (path.empty() || path.front() != '/') {
            return result; // "*", or the authority of CONNECT
        }
        const detail::method_ref wanted{m, token};
        if (result.path_.is_unclean() || result.path_.has_percent()) {
            const detail::segment_judgement worst = judge(path, result.path_.is_unclean());
            if (worst == detail::segment_judgement::dots) {
                match_cleaned(result, wanted, authority, path);
                return result;
            }
            if (worst != detail::segment_judgement::good) {
                result.kind_ = match_kind::bad_path;
                return result;
            }
        }
        match_clean(result, wanted, authority);
        return result;
    }

    /// What an Allow field says for a path: the methods of all routes that fit it, sorted, HEAD if there is GET, and
    /// OPTIONS. An empty path asks for all that the table has.
    [[nodiscard, gnu::cold]] std::string allowed(std::string_view authority, std::string_view path) const {
        flux::detail::dynamic_array<std::string_view> methods;
        methods.push_back("OPTIONS");
        if (path.empty()) {
            for (const auto& p : patterns_) {
                methods.push_back(p->method());
            }
        } else {
            const std::string cleaned = clean(path);
            detail::cut_path cut(cleaned);
            collect_methods(authority, cut, methods);
            if (!cut.ends_with_slash()) {
                cut.add_slash();
                collect_methods(authority, cut, methods);
            }
        }
        for (const std::string_view m : methods) {
            if (m == "GET") {
                methods.push_back("HEAD");
                break;
            }
        }
        std::string text;
        for (std::string_view last;;) { // few: the next one in order, each time, is quick enough
            const std::string_view* smallest = nullptr;
            for (const std::string_view& m : methods) {
                if (m > last && (smallest == nullptr || m < *smallest)) {
                    smallest = &m;
                }
            }
            if (smallest == nullptr) {
                break;
            }
            last = *smallest;
            text += text.empty() ? "" : ", ";
            text += last;
        }
        return text;
    }

    /// The path to redirect to where match() says so: cleaned, and with a slash if only the subtree has a route.
    /// Octets that do not belong into a path are percent-encoded, and it never begins with "//": a browser must
    /// not take it for another host.
    [[nodiscard]] std::string location(method m, std::string_view token, std::string_view authority,
                                       std::string_view path) const {
        const std::string cleaned = clean(path);
        std::string text;
        text.reserve(cleaned.size() + 1);
        for (const char c : cleaned) {
            append_encoded(text, c, octet_class::path);
        }
        if (match(m, token, authority, cleaned).kind() == match_kind::redirect) {
            text += '/';
        }
        return text;
    }

    /// Appends `c`, percent-encoded unless it is in `allowed` or a percent sign.
    static void append_encoded(std::string& text, char c, octet_class allowed) {
        if (is(c, allowed) || c == '%') {
            text += c;
            return;
        }
        constexpr std::string_view digits = "0123456789ABCDEF";
        text += '%';
        text += digits[static_cast<unsigned char>(c) >> 4];
        text += digits[static_cast<unsigned char>(c) & 15];
    }

    /// The path without empty and dot segments; ".." takes the segment before it away, at most up to the root. A
    /// path that ends in "/", "." or ".." keeps its slash. Encoded dots count as dots.
    [[nodiscard]] static std::string clean(std::string_view path) {
        std::string out;
        out.reserve(path.size());
        bool slash = true; // whether the path ends in one
        for (std::size_t at = 1; at <= path.size();) {
            const std::size_t stop = std::min(path.find('/', at), path.size());
            const std::string_view segment = path.substr(at, stop - at);
            at = stop + 1;
            slash = true;
            if (segment.empty()) {
                continue;
            }
            if (detail::judge_segment(segment) == detail::segment_judgement::dots) {
                if (is_two_dots(segment)) {
                    out.resize(out.empty() ? 0 : out.rfind('/'));
                }
                continue;
            }
            out += '/';
            out += segment;
            slash = stop < path.size();
        }
        if (slash) {
            out += '/';
        }
        return out;
    }

    /// An authority without its port. An IPv6 address keeps its brackets.
    [[nodiscard]] static std::string_view host_of(std::string_view authority) noexcept {
        if (authority.starts_with('[')) {
            return authority.substr(0, authority.find(']') + 1);
        }
        return authority.substr(0, authority.find(':'));
    }

private:
    struct host_tree {
        explicit host_tree(std::string n) : name(std::move(n)) {}
        // By size, then by text without regard to the case of `wanted`.
        [[nodiscard]] bool operator<(std::string_view wanted) const noexcept {
            if (name.size() != wanted.size()) {
                return name.size() < wanted.size();
            }
            for (std::size_t i = 0; i < wanted.size(); ++i) {
                if (const char c = lower(wanted[i]); name[i] != c) {
                    return name[i] < c;
                }
            }
            return false;
        }
        std::string name; // in lower case
        detail::route_tree tree;
    };

    // Takes the first leaf that serves the method.
    class route_finder {
    public:
        explicit route_finder(const detail::method_ref& m) noexcept : method_(&m) {}
        bool operator()(const detail::method_routes& leaf, bool exact) noexcept {
            const std::uint32_t found = leaf.find(*method_);
            if (found == detail::method_routes::none) {
                other = other == detail::method_routes::none ? leaf.first() : other;
                return false;
            }
            route = found;
            is_exact = exact;
            return true;
        }
        std::uint32_t route = detail::method_routes::none;
        std::uint32_t other = detail::method_routes::none; // a route of the path for another method
        bool is_exact = false;

    private:
        const detail::method_ref* method_; // not a copy, which would wait for the words that were just stored
    };

    [[noreturn, gnu::cold, gnu::noinline]] static void refuse(const route_pattern& a, const route_pattern& b,
                                                              relation r) {
        std::string text = "route \"" + a.full_text() + "\" and route \"" + b.full_text();
        text += r == relation::same ? "\" take the same requests"
                                    : "\" take some of the same requests, and neither is more specific";
        flux::detail::throw_error(error(flux::errc::invalid_argument).doing(std::move(text)));
    }

    [[nodiscard]] detail::route_tree& tree_of(const std::string& host) {
        if (host.empty()) {
            return any_host_;
        }
        const auto place = std::lower_bound(hosts_.begin(), hosts_.end(), std::string_view(host));
        if (place != hosts_.end() && place->name == host) {
            return place->tree;
        }
        return hosts_.emplace(place, host)->tree;
    }
    [[nodiscard]] const detail::route_tree* find_host(std::string_view authority) const noexcept {
        const std::string_view host = host_of(authority);
        const auto place = std::lower_bound(hosts_.begin(), hosts_.end(), host);
        return place != hosts_.end() && iequals(place->name, host) ? &place->tree : nullptr;
    }

    // The tree of the host first: a pattern with a host is more specific than any without.
    template <class Visit>
    bool walk(std::string_view authority, const detail::cut_path& path, Visit& visit) const {
        const detail::route_tree* own = hosts_.empty() ? nullptr : find_host(authority);
        return (own != nullptr && own->walk(path, visit)) || any_host_.walk(path, visit);
    }

    void match_clean(route_match& result, const detail::method_ref& wanted, std::string_view authority) const {
        route_finder found(wanted);
        const bool any = walk(authority, result.path_, found);
        if ((!any || !found.is_exact) && !result.path_.ends_with_slash()) {
            route_finder with_slash(wanted);
            result.path_.add_slash();
            const bool other = walk(authority, result.path_, with_slash);
            result.path_.remove_slash();
            if (other && with_slash.is_exact) {
                result.route_ = with_slash.route;
                result.kind_ = match_kind::redirect;
                return;
            }
            found.other = found.other == route_match::no_route ? with_slash.other : found.other;
        }
        if (any) {
            result.route_ = found.route;
            result.pattern_ = patterns_[found.route].get();
            result.kind_ = match_kind::found;
        } else if (found.other != route_match::no_route) {
            result.route_ = found.other;
            result.kind_ = match_kind::method_not_allowed;
        }
    }

    // Says what the cleaned path would get, but redirects where that is a route.
    [[gnu::cold, gnu::noinline]] void match_cleaned(route_match& result, const detail::method_ref& wanted,
                                                    std::string_view authority, std::string_view path) const {
        const std::string cleaned = clean(path);
        route_match other = match(wanted.known, wanted.token, authority, cleaned);
        result.route_ = other.route_;
        result.kind_ = other.kind_ == match_kind::found ? match_kind::redirect : other.kind_;
    }

    // The worst of all segments; `unclean`: some are known to be empty or dots.
    [[nodiscard, gnu::noinline]] static detail::segment_judgement judge(std::string_view path, bool unclean) noexcept {
        using detail::segment_judgement;
        segment_judgement worst = unclean ? segment_judgement::dots : segment_judgement::good;
        for (std::size_t at = 1; at < path.size();) {
            const std::size_t stop = std::min(path.find('/', at), path.size());
            worst = std::max(worst, detail::judge_segment(path.substr(at, stop - at)));
            at = stop + 1;
        }
        return worst;
    }
    [[nodiscard]] static bool is_two_dots(std::string_view segment) noexcept {
        return segment.size() == 2 || segment.size() == 4 || segment.size() == 6; // "..", ".%2e", "%2e%2e"
    }

    void collect_methods(std::string_view authority, const detail::cut_path& path,
                         flux::detail::dynamic_array<std::string_view>& methods) const {
        const auto collect = [&methods](const detail::method_routes& leaf, bool) {
            leaf.collect(methods);
            return false;
        };
        walk(authority, path, collect);
    }

    flux::detail::dynamic_array<flux::detail::owner<route_pattern>> patterns_;
    detail::route_tree any_host_;
    flux::detail::dynamic_array<host_tree> hosts_; // in order
};

} // namespace flux::inline FLUX_ABI::http
