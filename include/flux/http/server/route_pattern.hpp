// SPDX-License-Identifier: MIT
// flux/http/server/route_pattern.hpp - which requests a route takes: one pattern, and how two of them relate.
//
//   [METHOD ][host]/literal/{parameter}/{rest...}      the syntax of Go 1.22
//
// Sans I/O: text in, segments out. Deliberately not here: finding the pattern that fits a path (route_table.hpp).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/error.hpp>
#include <flux/http/message/host.hpp>
#include <flux/http/message/octets.hpp>
#include <flux/http/message/query.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

/// What is to be thought of one segment of a path as it was sent.
enum class segment_judgement : std::uint8_t {
    good,
    dots,   ///< "." or "..", whether written so or percent-encoded
    hidden, ///< an encoded slash that puts "." or ".." between slashes, or an encoded NUL
    broken, ///< "%" without two hexadecimal digits
};

/// Writes a good segment decoded to `out`, which has room for it. Returns how many octets there are.
[[nodiscard]] constexpr std::size_t decode_segment(std::string_view segment, char* out) noexcept {
    std::size_t n = 0;
    for (std::size_t i = 0; i < segment.size(); ++i) {
        if (segment[i] == '%' && i + 2 < segment.size()) {
            out[n++] = static_cast<char>(hex_value(segment[i + 1]) * 16 + hex_value(segment[i + 2]));
            i += 2;
        } else {
            out[n++] = segment[i];
        }
    }
    return n;
}

// Looks through the percent-encoding without a buffer: only the last octets since a slash matter.
[[nodiscard]] constexpr segment_judgement judge_segment(std::string_view segment) noexcept {
    std::size_t octets = 0; // since the last slash
    std::size_t dots = 0;
    bool slash = false;
    bool dotted_part = false;
    for (std::size_t i = 0; i < segment.size(); ++i) {
        int c = static_cast<unsigned char>(segment[i]);
        if (c == '%') {
            const int high = i + 2 < segment.size() ? hex_value(segment[i + 1]) : -1;
            const int low = i + 2 < segment.size() ? hex_value(segment[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return segment_judgement::broken;
            }
            c = high * 16 + low;
            i += 2;
            if (c == 0) {
                return segment_judgement::hidden;
            }
        }
        if (c == '/') {
            dotted_part = dotted_part || (octets == dots && (dots == 1 || dots == 2));
            slash = true;
            octets = dots = 0;
            continue;
        }
        ++octets;
        dots += c == '.' ? 1U : 0U;
    }
    dotted_part = dotted_part || (octets == dots && (dots == 1 || dots == 2));
    if (!dotted_part) {
        return segment_judgement::good;
    }
    return slash ? segment_judgement::hidden : segment_judgement::dots;
}

} // namespace detail

/// How the requests of one pattern relate to those of another.
enum class relation : std::uint8_t { same, more_specific, more_general, overlapping, disjoint };

[[nodiscard]] constexpr relation inverse(relation r) noexcept {
    switch (r) {
    case relation::more_specific: return relation::more_general;
    case relation::more_general: return relation::more_specific;
    default: return r;
    }
}

/// One pattern: a method or any, a host or any, and a path.
///
/// - A segment is literal text, compared after percent-decoding both sides; `{name}`, any one segment that is not
///   empty; or, at the end, `{name...}`, the rest of the path with its slashes, which may be empty.
/// - A pattern that ends in "/" takes every path below it; `{$}` at the end takes only the path with that slash.
/// - GET takes HEAD too. Hosts are compared without regard to case, and without the port.
///
/// Errors   the constructors throw flux::error (errc::invalid_argument) that says what is wrong with the pattern:
///          bad syntax, a name twice, over 16 parameters, over 64 segments, a literal over 255 octets, "." or ".."
///          or an empty segment (no cleaned path has them).
/// Threads  as a value.
class route_pattern {
public:
    static constexpr std::size_t max_params = 16;
    static constexpr std::size_t max_segments = 64;
    static constexpr std::size_t max_literal = 255;

    enum class segment_kind : std::uint8_t {
        literal,
        param, ///< `{name}`
        end,   ///< `{$}`: the empty segment after the last slash, which may have been written as a bare one
        rest,  ///< `{name...}`, or without a name the "/" at the end
    };
    struct segment {
        segment(segment_kind k, std::string t) noexcept : kind(k), text(std::move(t)) {}
        segment_kind kind;
        std::string text; ///< decoded literal, or name; empty for `{$}` and for "/" at the end
    };
    /// A named parameter and the index of its segment.
    struct parameter {
        parameter(std::string n, std::uint32_t at, bool r) noexcept : name(std::move(n)), segment(at), rest(r) {}
        std::string name;
        std::uint32_t segment;
        bool rest;
    };

    /// `"/x"`, `"GET /x"`, `"example.com/x"`, `"GET example.com/x"`; space or tabs after the method.
    explicit route_pattern(std::string_view pattern) {
        const std::size_t gap = pattern.find_first_of(" \t");
        if (gap == std::string_view::npos) {
            parse({}, pattern);
        } else {
            const std::size_t rest = pattern.find_first_not_of(" \t", gap);
            require(gap != 0 && rest != std::string_view::npos, pattern, "a method, then host or path");
            parse(pattern.substr(0, gap), pattern.substr(rest));
        }
    }
    /// Params  method   a token; empty: any method.
    ///         pattern  host and path.
    route_pattern(std::string_view method, std::string_view pattern) {
        require(pattern.find_first_of(" \t") == std::string_view::npos, pattern, "a space; the method is given apart");
        parse(method, pattern);
    }

    /// Empty: any.
    [[nodiscard]] const std::string& method() const noexcept { return method_; }
    /// In lower case; empty: any.
    [[nodiscard]] const std::string& host() const noexcept { return host_; }
    /// Host and path as written, without the method.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    /// The path as written.
    [[nodiscard]] std::string_view path() const noexcept { return std::string_view(text_).substr(host_.size()); }
    /// All of it, for messages.
    [[nodiscard]] std::string full_text() const { return method_.empty() ? text_ : method_ + ' ' + text_; }
    /// Never empty.
    [[nodiscard]] const flux::detail::dynamic_array<segment>& segments() const noexcept { return segments_; }
    [[nodiscard]] const flux::detail::dynamic_array<parameter>& params() const noexcept { return params_; }

    /// Whether it takes nothing below its last slash: it ends in `{$}`, or take_only_itself() was called.
    [[nodiscard]] bool is_exact() const noexcept { return segments_.back().kind == segment_kind::end; }
    /// Lets a pattern that ends in "/" mean what `{$}` says, written as it is.
    void take_only_itself() noexcept {
        if (text_.back() == '/') {
            segments_.back().kind = segment_kind::end;
        }
    }

    /// How this pattern relates to another. Two with different hosts never conflict: they are disjoint here.
    [[nodiscard]] relation compare(const route_pattern& other) const noexcept {
        if (host_ != other.host_) {
            return relation::disjoint;
        }
        return combine(compare_methods(other), compare_paths(other));
    }

private:
    [[noreturn, gnu::cold, gnu::noinline]] static void refuse(std::string_view pattern, std::string_view why) {
        std::string text = "route pattern \"";
        text += pattern;
        text += "\": ";
        text += why;
        flux::detail::throw_error(error(flux::errc::invalid_argument).doing(std::move(text)));
    }
    static void require(bool holds, std::string_view pattern, std::string_view why) {
        if (!holds) {
            refuse(pattern, why);
        }
    }

    [[gnu::cold]] void parse(std::string_view method, std::string_view pattern) {
        require(is_token(method) || method.empty(), pattern, "a method is a token");
        const std::size_t slash = pattern.find('/');
        require(slash != std::string_view::npos, pattern, "there is no path: it begins with /");
        const std::string_view host = pattern.substr(0, slash);
        require(host.find('{') == std::string_view::npos, pattern, "a parameter in the host, or no / before it");
        if (!host.empty()) {
            const host_port split = split_host_port(host);
            const bool bare = split.valid && split.host.size() == host.size();
            require(bare, pattern, "a host is a name or an address, without a port");
        }
        method_ = method;
        text_ = pattern;
        for (const char c : host) {
            host_ += lower(c);
        }
        parse_path(pattern, pattern.substr(slash));
    }

    void parse_path(std::string_view pattern, std::string_view rest) {
        while (!rest.empty()) {
            require(segments_.size() < max_segments, pattern, "more than 64 segments");
            rest.remove_prefix(1); // the slash
            if (rest.empty()) {
                segments_.emplace_back(segment_kind::rest, std::string());
                return;
            }
            const std::string_view one = rest.substr(0, rest.find('/'));
            rest.remove_prefix(one.size());
            if (one.find('{') == std::string_view::npos) {
                add_literal(pattern, one);
            } else {
                require(one.front() == '{' && one.back() == '}', pattern, "a parameter is a whole segment: /{name}/");
                add_param(pattern, one.substr(1, one.size() - 2), rest.empty());
            }
        }
    }
    void add_literal(std::string_view pattern, std::string_view text) {
        require(!text.empty(), pattern, "an empty segment can never match: paths are cleaned");
        for (const char c : text) {
            const bool fits = is(c, octet_class::path) || c == '%' || static_cast<unsigned char>(c) >= 0x80;
            require(fits, pattern, "an octet that must be percent-encoded in a path");
        }
        switch (detail::judge_segment(text)) {
        case detail::segment_judgement::good: break;
        case detail::segment_judgement::broken: refuse(pattern, "% without two hexadecimal digits");
        case detail::segment_judgement::dots:
        case detail::segment_judgement::hidden: refuse(pattern, "dot segments and %00 never match: paths are cleaned");
        }
        std::string decoded = percent_decode(text);
        require(decoded.size() <= max_literal, pattern, "a segment of more than 255 octets");
        segments_.emplace_back(segment_kind::literal, std::move(decoded));
    }
    [[gnu::cold]] void add_param(std::string_view pattern, std::string_view name, bool last) {
        if (name == "$") {
            require(last, pattern, "{$} must be at the end");
            segments_.emplace_back(segment_kind::end, std::string());
            return;
        }
        const bool rest = name.ends_with("...");
        if (rest) {
            require(last, pattern, "{name...} must be at the end");
            name.remove_suffix(3);
        }
        require(!name.empty(), pattern, "a parameter without a name");
        for (const char c : name) {
            require(c == '_' || is(c, octet_class::alpha) || is(c, octet_class::digit), pattern,
                    "a parameter's name has letters, digits and _ only");
        }
        require(!is(name.front(), octet_class::digit), pattern, "a parameter's name does not begin with a digit");
        for (const parameter& p : params_) {
            require(p.name != name, pattern, "two parameters have the same name");
        }
        require(params_.size() < max_params, pattern, "more than 16 parameters");
        params_.emplace_back(std::string(name), static_cast<std::uint32_t>(segments_.size()), rest);
        segments_.emplace_back(rest ? segment_kind::rest : segment_kind::param, std::string(name));
    }

    [[nodiscard]] relation compare_methods(const route_pattern& other) const noexcept {
        if (method_ == other.method_) {
            return relation::same;
        }
        if (method_.empty() || (method_ == "GET" && other.method_ == "HEAD")) {
            return relation::more_general;
        }
        if (other.method_.empty() || (method_ == "HEAD" && other.method_ == "GET")) {
            return relation::more_specific;
        }
        return relation::disjoint;
    }
    [[nodiscard]] relation compare_paths(const route_pattern& other) const noexcept {
        const std::size_t mine = segments_.size();
        const std::size_t theirs = other.segments_.size();
        relation r = relation::same;
        for (std::size_t i = 0; i < mine && i < theirs; ++i) {
            r = combine(r, compare_segments(segments_[i], other.segments_[i]));
            if (r == relation::disjoint) {
                return r;
            }
        }
        if (mine == theirs) {
            return r;
        }
        // The shorter one takes longer paths only by its rest, which is more general than what the other has there.
        const route_pattern& shorter = mine < theirs ? *this : other;
        if (shorter.segments_.back().kind != segment_kind::rest) {
            return relation::disjoint;
        }
        return combine(r, mine < theirs ? relation::more_general : relation::more_specific);
    }
    [[nodiscard]] static relation compare_segments(const segment& a, const segment& b) noexcept {
        if (a.kind == b.kind) {
            return a.kind == segment_kind::literal && a.text != b.text ? relation::disjoint : relation::same;
        }
        if (a.kind == segment_kind::rest) {
            return relation::more_general;
        }
        if (b.kind == segment_kind::rest) {
            return relation::more_specific;
        }
        if (a.kind == segment_kind::end || b.kind == segment_kind::end) {
            return relation::disjoint;
        }
        return a.kind == segment_kind::param ? relation::more_general : relation::more_specific;
    }
    // Of two aspects of the same requests.
    [[nodiscard]] static constexpr relation combine(relation a, relation b) noexcept {
        if (a == relation::disjoint || b == relation::disjoint) {
            return relation::disjoint;
        }
        if (a == relation::same || a == b) {
            return b;
        }
        return b == relation::same ? a : relation::overlapping;
    }

    std::string method_;
    std::string host_;
    std::string text_;
    flux::detail::dynamic_array<segment> segments_;
    flux::detail::dynamic_array<parameter> params_;
};

} // namespace flux::inline FLUX_ABI::http
