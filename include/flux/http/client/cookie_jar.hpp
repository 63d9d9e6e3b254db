// SPDX-License-Identifier: MIT
// flux/http/client/cookie_jar.hpp - the cookies that servers gave this client, and which of them go where.
//
//   Set-Cookie of a response -> store() -> cookies -> header() -> Cookie of later requests
//
// The storage model of user agents, with what browsers have added since: prefixes, no Secure cookie from or over
// plain http, a life of 400 days at most. Bounded whatever servers send.
// Deliberately not here: reading and writing one cookie (message/cookie), the list of public suffixes (a hook).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/function.hpp>
#include <flux/core/result.hpp>
#include <flux/core/time.hpp>
#include <flux/http/message/cookie.hpp>
#include <flux/http/message/url.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// How much a jar holds. What is over is evicted: expired ones, then those that were not used for the longest time.
struct cookie_jar_options {
    std::size_t max_cookies = 3000;       ///< in all [RFC 6265 6.1]
    std::size_t max_per_domain = 50;      ///< of one domain; those without Secure go first
    std::size_t max_cookie_octets = 4096; ///< name and value together; a longer cookie is not taken
};
static_assert(__is_trivially_copyable(cookie_jar_options));

/// One cookie in a jar.
struct stored_cookie {
    std::string name;
    std::string value;
    std::string domain;               ///< lower case, no leading dot
    std::string path;                 ///< starts with "/"
    std::chrono::sys_seconds expires; ///< no_expiry: with the session, that is with the jar
    std::uint64_t created = 0;        ///< order of creation
    std::uint64_t used = 0;           ///< order of the last use
    same_site site = same_site::unset;
    bool host_only = true;
    bool secure = false;
    bool http_only = false;

    static constexpr std::chrono::sys_seconds no_expiry = std::chrono::sys_seconds::max();
    [[nodiscard]] bool is_session() const noexcept { return expires == no_expiry; }
};

/// A store of cookies.
///
/// Without a hook, only names without a dot ("com", "localhost") are taken for public suffixes: give one that knows
/// the list if servers of several parties below a suffix like "co.uk" are asked through one jar. A cookie for a public
/// suffix is refused, or kept for the very host if that is its name.
/// SameSite is kept and saved; this client sends no request on behalf of another site, so it decides nothing.
///
/// Threads  as a value: one thread at a time.  Cost  linear in the number of cookies for each call.
/// Source   RFC 6265 5; RFC 6265bis for prefixes, Secure and the longest life.
class cookie_jar {
public:
    using time = std::chrono::sys_seconds;
    /// Whether everybody can register names below this one. Params: the domain in lower case, without dots around it.
    using public_suffix_hook = unique_function<bool(std::string_view)>;

    explicit cookie_jar(cookie_jar_options options = {}, public_suffix_hook hook = {})
        : options_(options), is_public_(std::move(hook)) {}

    /// Takes every Set-Cookie line of a response that came from `from`. Returns: how many were taken.
    std::size_t store(const url& from, const fields_view& response, time now = clock()) {
        std::size_t taken = 0;
        const auto lines = response.get_all(field::set_cookie);
        for (auto line = lines.begin(); !(line == std::default_sentinel); ++line) {
            taken += set(from, *line, now) ? 1U : 0U;
        }
        return taken;
    }
    /// Takes one cookie as Set-Cookie spells it: "a=1; Path=/". False: `from` may not set this one.
    bool set(const url& from, std::string_view text, time now = clock()) {
        const auto c = parse_set_cookie(text);
        return c && accept(from, *c, now);
    }

    /// The value of the Cookie field for a request to `to`; empty if no cookie goes there. Longer paths come first,
    /// then older cookies.
    /// Source  RFC 6265 5.4.
    [[nodiscard]] std::string header(const url& to, time now = clock()) {
        flux::detail::dynamic_array<stored_cookie*> matches;
        for (stored_cookie& c : cookies_) {
            if (c.expires > now && (!c.secure || to.is_secure()) && belongs(to.host(), c) &&
                path_matches(to.path(), c.path)) {
                std::size_t at = matches.size();
                while (at != 0 && before(c, *matches[at - 1])) {
                    --at;
                }
                matches.insert(matches.begin() + at, &c);
            }
        }
        std::string out;
        for (stored_cookie* c : matches) {
            c->used = ++clock_;
            out += out.empty() ? "" : "; ";
            ((out += c->name) += '=') += c->value;
        }
        return out;
    }

    /// In no order that means anything; any other call ends these pointers' lives.
    [[nodiscard]] const stored_cookie* begin() const noexcept { return cookies_.begin(); }
    [[nodiscard]] const stored_cookie* end() const noexcept { return cookies_.end(); }
    [[nodiscard]] std::size_t size() const noexcept { return cookies_.size(); }
    [[nodiscard]] bool empty() const noexcept { return cookies_.empty(); }
    void clear() noexcept { cookies_.clear(); }
    /// Forgets what has no expiry date, as a browser does when it is closed.
    void clear_session() {
        cookies_.erase_if([](const stored_cookie& c) { return c.is_session(); });
    }
    void drop_expired(time now = clock()) {
        cookies_.erase_if([now](const stored_cookie& c) { return c.expires <= now; });
    }

    /// The cookies as text, in the form of Netscape's cookies.txt that curl and wget read and write, too. SameSite is
    /// in a comment before its cookie. It holds credentials: keep it from others.
    /// Params  with_session  also those without an expiry date, as expiring at 0.
    [[nodiscard]] std::string save(bool with_session = true, time now = clock()) const {
        std::string out = "# Netscape HTTP Cookie File\n";
        flux::detail::dynamic_array<const stored_cookie*> sorted; // by creation, which reading makes anew
        for (const stored_cookie& c : cookies_) {
            if (c.expires > now && (with_session || !c.is_session())) {
                std::size_t at = sorted.size();
                while (at != 0 && c.created < sorted[at - 1]->created) {
                    --at;
                }
                sorted.insert(sorted.begin() + at, &c);
            }
        }
        for (const stored_cookie* c : sorted) {
            out += c->site == same_site::unset ? "" : site_comments[static_cast<std::size_t>(c->site)];
            out += c->http_only ? http_only_mark : "";
            out += c->host_only ? "" : ".";
            out += c->domain;
            out += c->host_only ? "\tFALSE\t" : "\tTRUE\t";
            out += c->path;
            out += c->secure ? "\tTRUE\t" : "\tFALSE\t";
            out += c->is_session() ? "0" : std::to_string(c->expires.time_since_epoch().count());
            (((out += '\t') += c->name) += '\t') += c->value;
            out += '\n';
        }
        return out;
    }
    /// Adds cookies from such a text to those that are there. What has expired is left out.
    /// Errors  flux::errc::invalid_argument, with the number of the line; the jar is unchanged then.
    [[nodiscard]] result<void> load(std::string_view text, time now = clock()) {
        flux::detail::dynamic_array<stored_cookie> read;
        same_site site = same_site::unset;
        for (std::size_t number = 1; !text.empty(); ++number) {
            std::size_t end = text.find('\n');
            std::string_view line = text.substr(0, end);
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
            if (line.ends_with('\r')) {
                line.remove_suffix(1);
            }
            if (line.empty() || (line[0] == '#' && !line.starts_with(http_only_mark))) {
                site = read_site(line);
                continue;
            }
            stored_cookie c;
            if (!read_line(line, c)) {
                return fail(error(flux::errc::invalid_argument)
                                .doing("load cookies: line " + std::to_string(number) + " is not a cookie"));
            }
            c.site = site;
            site = same_site::unset;
            read.push_back(std::move(c));
        }
        for (stored_cookie& c : read) {
            put(std::move(c), now);
        }
        return {};
    }

    [[nodiscard]] static time clock() noexcept {
        return detail::wall_second();
    }

private:
    static constexpr std::string_view http_only_mark = "#HttpOnly_";
    static constexpr std::string_view site_comments[] = {"", "# SameSite=Lax\n", "# SameSite=Strict\n",
                                                         "# SameSite=None\n"};
    static constexpr std::chrono::seconds longest_life = std::chrono::hours(24 * 400); // RFC 6265bis 5.5
    static constexpr std::size_t max_attribute_octets = 1024;                          // RFC 6265bis 5.6

    [[nodiscard]] static bool before(const stored_cookie& a, const stored_cookie& b) noexcept {
        return a.path.size() != b.path.size() ? a.path.size() > b.path.size() : a.created < b.created;
    }
    // Whether `host` is an address, which has no domains above it. A last label of digits is never a name.
    [[nodiscard]] static bool is_address(std::string_view host) noexcept {
        return host.starts_with('[') || all(host.substr(host.rfind('.') + 1), octet_class::digit);
    }
    // Source: RFC 6265 5.1.3.
    [[nodiscard]] static bool domain_matches(std::string_view host, std::string_view domain) noexcept {
        return host == domain || (host.size() > domain.size() && host.ends_with(domain) &&
                                  host[host.size() - domain.size() - 1] == '.' && !is_address(host));
    }
    [[nodiscard]] static bool belongs(std::string_view host, const stored_cookie& c) noexcept {
        return c.host_only ? host == c.domain : domain_matches(host, c.domain);
    }
    // Source: RFC 6265 5.1.4.
    [[nodiscard]] static bool path_matches(std::string_view asked, std::string_view path) noexcept {
        return asked.starts_with(path) &&
               (asked.size() == path.size() || path.ends_with('/') || asked[path.size()] == '/');
    }
    [[nodiscard]] static std::string_view default_path(std::string_view asked) noexcept {
        const std::size_t slash = asked.rfind('/');
        return slash == 0 || slash == std::string_view::npos ? "/" : asked.substr(0, slash);
    }
    [[nodiscard]] bool is_public(std::string_view domain) {
        return domain.find('.') == std::string_view::npos || (is_public_ && is_public_(domain));
    }

    [[nodiscard]] bool accept(const url& from, const received_cookie& c, time now) {
        if (c.name.size() + c.value.size() > options_.max_cookie_octets ||
            c.name.find('\t') != std::string_view::npos || c.path.find('\t') != std::string_view::npos ||
            !all(c.path, octet_class::field_value) || from.host().starts_with('.') || (c.secure && !from.is_secure())) {
            return false;
        }
        stored_cookie s;
        s.name = c.name;
        s.value = c.value;
        s.domain = from.host();
        if (!c.domain.empty() && c.domain.size() <= max_attribute_octets) {
            std::string domain;
            for (const char octet : c.domain) {
                domain += lower(octet);
            }
            if (!domain_matches(s.domain, domain)) {
                return false;
            }
            const bool itself = domain == s.domain;
            const bool suffix = is_address(domain) || is_public(domain);
            if (suffix && !itself) {
                return false;
            }
            s.host_only = suffix;
            s.domain = std::move(domain);
        }
        const bool has_path = !c.path.empty() && c.path.size() <= max_attribute_octets;
        s.path = has_path ? c.path : default_path(from.path());
        s.secure = c.secure;
        s.http_only = c.http_only;
        s.site = c.site;
        s.expires = expiry(c, now);
        if (!keeps_prefix(s, has_path) || (!from.is_secure() && shadows_secure(s, now))) {
            return false;
        }
        put(std::move(s), now);
        return true;
    }
    [[nodiscard]] static time expiry(const received_cookie& c, time now) noexcept {
        if (c.max_age) {
            return *c.max_age <= std::chrono::seconds(0) ? time::min() : now + *c.max_age;
        }
        if (c.expires) {
            return *c.expires < now + longest_life ? *c.expires : now + longest_life;
        }
        return stored_cookie::no_expiry;
    }
    // Source: RFC 6265bis 4.1.3, 5.7.
    [[nodiscard]] static bool keeps_prefix(const stored_cookie& c, bool has_path) noexcept {
        const auto has = [&c](std::string_view prefix) {
            return iequals(std::string_view(c.name).substr(0, prefix.size()), prefix);
        };
        if (has("__Host-")) {
            return c.secure && c.host_only && has_path && c.path == "/";
        }
        return !has("__Secure-") || c.secure;
    }
    // Plain http must not lay a cookie over one that https set.
    [[nodiscard]] bool shadows_secure(const stored_cookie& fresh, time now) const noexcept {
        for (const stored_cookie& c : cookies_) {
            if (c.secure && c.expires > now && c.name == fresh.name && path_matches(fresh.path, c.path) &&
                (domain_matches(c.domain, fresh.domain) || domain_matches(fresh.domain, c.domain))) {
                return true;
            }
        }
        return false;
    }

    // Stores it, or removes the one that it replaces if it has expired.
    void put(stored_cookie fresh, time now) {
        fresh.created = fresh.used = ++clock_;
        cookies_.erase_if([&fresh](const stored_cookie& c) {
            const bool same = c.name == fresh.name && c.domain == fresh.domain && c.path == fresh.path &&
                              c.host_only == fresh.host_only;
            if (same) {
                fresh.created = c.created; // RFC 6265 5.3 step 11
            }
            return same;
        });
        if (fresh.expires <= now || options_.max_cookies == 0 || options_.max_per_domain == 0) {
            return;
        }
        const std::string domain = fresh.domain;
        cookies_.push_back(std::move(fresh));
        std::size_t of_domain = 0;
        for (const stored_cookie& c : cookies_) {
            of_domain += c.domain == domain ? 1U : 0U;
        }
        if (of_domain > options_.max_per_domain || cookies_.size() > options_.max_cookies) {
            drop_expired(now);
            evict(options_.max_per_domain, &domain);
            evict(options_.max_cookies, nullptr);
        }
    }
    // Leaves at most `keep` cookies of a domain, or in all.
    void evict(std::size_t keep, const std::string* domain) {
        for (;;) {
            std::size_t count = 0;
            const stored_cookie* worst = nullptr;
            for (const stored_cookie& c : cookies_) {
                if (domain == nullptr || c.domain == *domain) {
                    ++count;
                    const bool worse =
                        worst == nullptr ||
                        (domain != nullptr && c.secure != worst->secure ? worst->secure : c.used < worst->used);
                    worst = worse ? &c : worst;
                }
            }
            if (count <= keep) {
                return;
            }
            const std::uint64_t victim = worst->used;
            cookies_.erase_if([victim](const stored_cookie& c) { return c.used == victim; });
        }
    }

    [[nodiscard]] static same_site read_site(std::string_view comment) noexcept {
        for (std::size_t i = 1; i < 4; ++i) {
            if (comment == site_comments[i].substr(0, site_comments[i].size() - 1)) {
                return static_cast<same_site>(i);
            }
        }
        return same_site::unset;
    }
    // domain, subdomains too, path, secure, expiry, name, value; the value may be missing.
    [[nodiscard]] bool read_line(std::string_view line, stored_cookie& out) const {
        out.http_only = line.starts_with(http_only_mark);
        line.remove_prefix(out.http_only ? http_only_mark.size() : 0);
        std::string_view part[7];
        for (std::size_t i = 0; i < 7; ++i) {
            const std::size_t tab = i == 6 ? std::string_view::npos : line.find('\t');
            if (tab == std::string_view::npos && i < 5) {
                return false;
            }
            part[i] = line.substr(0, tab);
            line.remove_prefix(tab == std::string_view::npos ? line.size() : tab + 1);
        }
        std::uint64_t seconds = 0;
        const std::string_view domain = part[0].substr(part[0].starts_with('.') ? 1 : 0);
        const host_port host = split_host_port(domain);
        const auto is_flag = [](std::string_view text) { return text == "TRUE" || text == "FALSE"; };
        if (!host.valid || host.host != domain || !is_flag(part[1]) || !is_flag(part[3]) || !part[2].starts_with('/') ||
            !parse_decimal(part[4], 253402300799, seconds) || part[5].empty() ||
            part[5].find_first_of("=;") != std::string_view::npos || part[6].find(';') != std::string_view::npos ||
            !all(part[2], octet_class::field_value) || !all(part[5], octet_class::field_value) ||
            !all(part[6], octet_class::field_value) || part[5].size() + part[6].size() > options_.max_cookie_octets) {
            return false;
        }
        for (const char octet : domain) {
            out.domain += lower(octet);
        }
        out.host_only = part[1] == "FALSE";
        out.path = part[2];
        out.secure = part[3] == "TRUE";
        out.expires = seconds == 0 ? stored_cookie::no_expiry : time(std::chrono::seconds(seconds));
        out.name = part[5];
        out.value = trim(part[6]);
        return trim(out.name) == out.name;
    }

    flux::detail::dynamic_array<stored_cookie> cookies_;
    cookie_jar_options options_;
    public_suffix_hook is_public_;
    std::uint64_t clock_ = 0; // counts what happens, for created and used
};

} // namespace flux::inline FLUX_ABI::http
