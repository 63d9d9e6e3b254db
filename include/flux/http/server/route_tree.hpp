// SPDX-License-Identifier: MIT
// flux/http/server/route_tree.hpp - the routes of one host as a tree with an edge per path segment.
//
//   path -> cut_path -> walk() -> leaves that fit, the most specific one first
//
// Patterns with a common prefix share its nodes; a node knows its literal children by their first octets. Paths
// are raw: a segment is decoded where it is compared, and only if it holds a percent sign. Deliberately not here:
// which paths are good ones, redirects, hosts (route_table.hpp).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/message/method.hpp>
#include <flux/http/server/route_pattern.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

/// A path cut at its slashes. Knows where segments begin, for as many as a pattern can have and one more.
class cut_path {
public:
    explicit cut_path(std::string_view path) noexcept : path_(path) { cut(); }

    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    /// An empty last segment is a slash at the end.
    [[nodiscard]] std::string_view segment(std::uint32_t i) const noexcept {
        return {path_.data() + starts_[i], starts_[i + 1] - 1 - starts_[i]};
    }
    [[nodiscard]] bool is_empty(std::uint32_t i) const noexcept { return starts_[i + 1] - 1 == starts_[i]; }
    [[nodiscard]] std::string_view from(std::uint32_t i) const noexcept { return path_.substr(starts_[i]); }
    [[nodiscard]] bool ends_with_slash() const noexcept { return path_.back() == '/'; }
    [[nodiscard]] bool has_percent() const noexcept { return percent_; }
    /// Whether segments are empty, "." or ".." as they stand.
    [[nodiscard]] bool is_unclean() const noexcept { return unclean_; }
    [[nodiscard]] std::string_view path() const noexcept { return path_; }

    /// Appends a slash to a path that has none at its end, as far as count() and is_empty() go; and takes it away.
    void add_slash() noexcept {
        ++count_;
        starts_[count_] = starts_[count_ - 1] + 1;
    }
    void remove_slash() noexcept { --count_; }

private:
    void cut() noexcept {
        const char* const p = path_.data();
        const auto size = static_cast<std::uint32_t>(path_.size());
        std::uint32_t start = 1;
        starts_[0] = 1;
        for (std::uint32_t i = 1; i < size; ++i) {
            if (p[i] == '/') {
                unclean_ |= is_unclean(p + start, i - start);
                start = i + 1;
                if (count_ <= route_pattern::max_segments) {
                    starts_[count_++] = start;
                }
            } else {
                percent_ |= p[i] == '%';
            }
        }
        unclean_ |= start != size && is_unclean(p + start, size - start);
        starts_[count_] = size + 1;
    }
    [[nodiscard]] static bool is_unclean(const char* segment, std::uint32_t size) noexcept {
        return size <= 2 && (size == 0 || (segment[0] == '.' && segment[size - 1] == '.'));
    }

    std::string_view path_;
    std::uint32_t count_ = 1;
    bool percent_ = false;
    bool unclean_ = false;
    std::uint32_t starts_[route_pattern::max_segments + 3]; // starts_[count_]: one beyond the end of the last one
};

/// The method of a request: registered, or by its token.
struct method_ref {
    http::method known;
    std::string_view token;
};

/// The routes of one path pattern, by method.
class method_routes {
public:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    [[gnu::cold]] void add(std::string_view method, std::uint32_t route) {
        if (method.empty()) {
            any_ = route;
        } else {
            routes_.push_back(entry(std::string(method), to_method(method), route));
        }
    }
    /// The route for a method: its own, GET's for HEAD, or the one for any.
    [[nodiscard]] std::uint32_t find(const method_ref& m) const noexcept {
        std::uint32_t found = any_;
        for (const entry& e : routes_) {
            if (e.known == m.known && (e.known != method::other || e.token == m.token)) {
                return e.route;
            }
            if (m.known == method::head && e.known == method::get) {
                found = e.route;
            }
        }
        return found;
    }
    /// Any of the routes; for a path that is served, but not for the method.
    [[nodiscard]] std::uint32_t first() const noexcept { return routes_.empty() ? any_ : routes_.front().route; }
    void collect(flux::detail::dynamic_array<std::string_view>& tokens) const {
        for (const entry& e : routes_) {
            tokens.push_back(e.token);
        }
    }

private:
    struct entry {
        entry(std::string t, http::method k, std::uint32_t r) noexcept : token(std::move(t)), known(k), route(r) {}
        std::string token;
        http::method known;
        std::uint32_t route;
    };
    flux::detail::dynamic_array<entry> routes_;
    std::uint32_t any_ = none;
};

/// The tree of one host: an edge per segment, so that patterns with a common prefix share its nodes.
class route_tree {
public:
    route_tree() { nodes_.emplace_back(); }

    [[gnu::cold]] void add(const route_pattern& pattern, std::uint32_t route) {
        std::uint32_t at = 0;
        for (const route_pattern::segment& s : pattern.segments()) {
            using kind = route_pattern::segment_kind;
            switch (s.kind) {
            case kind::literal: at = literal_child(at, s.text); break;
            case kind::param:
                if (nodes_[at].param == none) {
                    nodes_[at].param = new_node();
                }
                at = nodes_[at].param;
                break;
            case kind::end: leaf(nodes_[at].slash).add(pattern.method(), route); return;
            case kind::rest: leaf(nodes_[at].rest).add(pattern.method(), route); return;
            }
        }
        leaf(nodes_[at].here).add(pattern.method(), route);
    }

    /// Shows the leaves that fit, the most specific first, to `visit(leaf, exact)` until it returns true. A leaf is
    /// exact unless it took a part of the path as its rest.
    template <class Visit>
    bool walk(const cut_path& path, Visit& visit) const {
        return walk(0, path, 0, visit);
    }
    [[nodiscard]] const flux::detail::dynamic_array<flux::detail::owner<method_routes>>& leaves() const noexcept { return leaves_; }

private:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    // Up to eight octets as a number: with the size it tells short segments apart by one comparison.
    struct key {
        explicit key(std::string_view text) noexcept : head(first_octets(text)), size(text.size()) {}
        std::uint64_t head;
        std::size_t size;
    };
    struct edge {
        edge(std::string t, std::uint32_t c) : text(std::move(t)), name(text), child(c) {}
        std::string text;
        key name;
        std::uint32_t child;
    };
    struct node {
        flux::detail::dynamic_array<edge> literals; // ordered by head
        std::uint32_t param = none; // the child of {name}
        std::uint32_t here = none;  // leaves: the path ends here,
        std::uint32_t slash = none; // with a slash,
        std::uint32_t rest = none;  // or in whatever way
    };

    // One to one for texts of the same size up to eight octets: the two loads cover all of it.
    [[nodiscard]] static std::uint64_t first_octets(std::string_view text) noexcept {
        const char* const p = text.data();
        const std::size_t n = text.size();
        if (n >= 8) {
            return load<std::uint64_t>(p);
        }
        if (n >= 4) {
            return std::uint64_t{load<std::uint32_t>(p)} << 32 | load<std::uint32_t>(p + n - 4);
        }
        if (n >= 2) {
            return std::uint64_t{load<std::uint16_t>(p)} << 32 | load<std::uint16_t>(p + n - 2);
        }
        return n == 0 ? 0 : static_cast<unsigned char>(*p);
    }
    template <class Word>
    [[nodiscard]] static Word load(const char* p) noexcept {
        Word w;
        std::memcpy(&w, p, sizeof(Word));
        return w;
    }
    [[nodiscard]] static bool equals(const edge& e, const key& k, std::string_view text) noexcept {
        return e.name.head == k.head && e.name.size == k.size &&
               (k.size <= 8 || std::memcmp(e.text.data(), text.data(), k.size) == 0);
    }

    [[nodiscard]] std::uint32_t new_node() {
        nodes_.emplace_back();
        return static_cast<std::uint32_t>(nodes_.size() - 1);
    }
    [[nodiscard]] method_routes& leaf(std::uint32_t& slot) {
        if (slot == none) {
            leaves_.push_back(flux::detail::make_owner<method_routes>());
            slot = static_cast<std::uint32_t>(leaves_.size() - 1);
        }
        return *leaves_[slot];
    }
    [[nodiscard]] std::uint32_t literal_child(std::uint32_t at, const std::string& text) {
        if (const std::uint32_t known = find_literal(nodes_[at], text); known != none) {
            return known;
        }
        const std::uint32_t child = new_node();
        flux::detail::dynamic_array<edge>& edges = nodes_[at].literals;
        edge e(text, child);
        const edge* place = edges.begin();
        while (place != edges.end() && place->name.head <= e.name.head) {
            ++place; // no slower than the insertion that follows
        }
        edges.insert(place, std::move(e));
        return child;
    }
    [[nodiscard]] static std::uint32_t find_literal(const node& n, std::string_view text) noexcept {
        const key k(text);
        const edge* at = n.literals.data();
        const edge* const end = at + n.literals.size();
        for (std::size_t left = n.literals.size(); left > 4;) { // the last few are searched one by one
            const std::size_t half = left / 2;
            at = at[half].name.head < k.head ? at + half : at;
            left -= half;
        }
        for (; at != end && at->name.head <= k.head; ++at) {
            if (equals(*at, k, text)) {
                return at->child;
            }
        }
        return none;
    }
    [[nodiscard]] static std::uint32_t find_child(const node& n, const cut_path& path, std::uint32_t i) noexcept {
        const std::string_view text = path.segment(i);
        if (!path.has_percent() || text.find('%') == std::string_view::npos) {
            return find_literal(n, text);
        }
        std::size_t escapes = 0;
        for (const char c : text) {
            escapes += c == '%' ? 1U : 0U;
        }
        char decoded[route_pattern::max_literal];
        if (text.size() - 2 * escapes > route_pattern::max_literal) {
            return none;
        }
        return find_literal(n, {decoded, decode_segment(text, decoded)});
    }

    // The depth of the recursion is that of the tree, not of the path.
    template <class Visit>
    bool walk(std::uint32_t at, const cut_path& path, std::uint32_t i, Visit& visit) const {
        const node& n = nodes_[at];
        if (i == path.count()) {
            return n.here != none && visit(*leaves_[n.here], true);
        }
        const bool at_slash = i + 1 == path.count() && path.is_empty(i);
        if (at_slash) {
            if (n.slash != none && visit(*leaves_[n.slash], true)) {
                return true;
            }
        } else {
            if (!n.literals.empty()) {
                const std::uint32_t child = find_child(n, path, i);
                if (child != none && walk(child, path, i + 1, visit)) {
                    return true;
                }
            }
            if (n.param != none && walk(n.param, path, i + 1, visit)) {
                return true;
            }
        }
        return n.rest != none && visit(*leaves_[n.rest], at_slash);
    }

    flux::detail::dynamic_array<node> nodes_;
    flux::detail::dynamic_array<flux::detail::owner<method_routes>> leaves_;
};

} // namespace flux::inline FLUX_ABI::http::detail
