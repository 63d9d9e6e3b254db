// SPDX-License-Identifier: MIT
// A jar that servers fill as they like: bounded, what it sends is a field value, no cookie goes where it must not,
// and what is saved is what is loaded. First octet: limits. Then lines: "S" url, "L" file text, else one Set-Cookie.
#include <flux/http/client/cookie_jar.hpp>
#include <flux/http/message/fields.hpp>

#include <chrono>
#include <string>
#include <string_view>

#include "segments.hpp"

namespace {

namespace http = flux::http;
using fuzz::require;

std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
}

void check(http::cookie_jar& jar, const http::cookie_jar_options& o, const http::url& at, http::cookie_jar::time now) {
    require(jar.size() <= o.max_cookies, "no more cookies than the limit");
    for (const http::stored_cookie& c : jar) {
        require(!c.name.empty() && c.path.starts_with('/') && !c.domain.empty(),
                "a cookie has a name, path and domain");
        require(c.name.size() + c.value.size() <= o.max_cookie_octets, "no cookie is longer than the limit");
        std::size_t of_domain = 0;
        for (const http::stored_cookie& other : jar) {
            of_domain += other.domain == c.domain ? 1U : 0U;
            require(&other == &c || other.name != c.name || other.domain != c.domain || other.path != c.path ||
                        other.host_only != c.host_only,
                    "no cookie is there twice");
        }
        require(of_domain <= o.max_per_domain, "no domain has more than its limit");
    }
    const std::string line = jar.header(at, now);
    http::fields f;
    require(line.empty() || f.try_add(http::field::cookie, line).has_value(), "what is sent may stand in a field");
    std::size_t sent = 0;
    for (const http::stored_cookie& c : jar) {
        const bool below = at.host().ends_with(c.domain);
        if (c.expires > now && below && (!c.secure || at.is_secure()) && at.path().starts_with(c.path)) {
            ++sent;
        }
    }
    require(line.empty() || sent != 0, "only a cookie of this place is sent");

    const std::string text = jar.save(true, now);
    http::cookie_jar again(o);
    require(again.load(text, now).has_value(), "what is saved can be loaded");
    require(again.save(true, now) == text, "and is the same then");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::seeded_input in = fuzz::split_seed(data, size);
    http::cookie_jar_options options;
    if (in.seed % 2 == 0) {
        options.max_cookies = 4;
        options.max_per_domain = 2;
        options.max_cookie_octets = 20;
    }
    http::cookie_jar jar(options);
    http::url at = http::url::parse("https://a.b.example/p/q").value();
    http::cookie_jar::time now(std::chrono::seconds(1'700'000'000));
    while (!in.octets.empty()) {
        const fuzz::exact_copy line(take_line(in.octets));
        if (line.view().starts_with('S')) {
            if (auto next = http::url::parse(line.view().substr(1))) {
                at = std::move(*next);
            }
        } else if (line.view().starts_with('L')) {
            std::string text(line.view().substr(1));
            for (char& c : text) {
                c = c == '|' ? '\t' : c;
            }
            static_cast<void>(jar.load(text, now));
        } else {
            const std::size_t before = jar.size();
            if (!jar.set(at, line.view(), now)) {
                require(jar.size() == before, "what is dropped changes nothing");
            }
        }
        now += std::chrono::seconds(in.seed);
        check(jar, options, at, now);
    }
    return 0;
}
