// SPDX-License-Identifier: MIT
// URLs, references, hosts, queries, cookies, dates and media types from any octets: no crash, and what is written
// is read again.
#include <flux/http/message/content_type.hpp>
#include <flux/http/message/cookie.hpp>
#include <flux/http/message/date.hpp>
#include <flux/http/message/fields.hpp>
#include <flux/http/message/query.hpp>
#include <flux/http/message/url.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace http = flux::http;
using fuzz::require;

void check_url(std::string_view text) {
    const auto u = http::url::parse(text);
    if (!u) {
        return;
    }
    const auto again = http::url::parse(u->text());
    require(again.has_value() && *again == *u, "a URL is read as what it was written as");
    require(again->target() == u->target() && again->port() == u->port(), "and has the same parts");
    require(http::all(u->target(), http::octet_class::target), "a target may stand in a request line");
    require(u->target().starts_with('/'), "a target starts with a slash");
    require(http::split_host_port(u->authority()).valid, "an authority may stand in Host");
    require(same_origin(*u, *again), "a URL has its own origin");
    if (const auto resolved = u->resolve(text)) {
        require(resolved->host() == u->host(), "an absolute reference keeps its host");
    }
}

void check_reference(std::string_view text) {
    const auto base = http::url::parse("http://h:81/a/b/c?q").value();
    if (const auto r = base.resolve(text)) {
        require(http::all(r->text(), http::octet_class::target) || r->has_fragment(), "a URL holds no odd octet");
    }
    const std::string clean = http::remove_dot_segments(text);
    require(clean.size() <= text.size(), "removing segments adds nothing");
    require(http::remove_dot_segments(clean) == clean || !text.starts_with('/'), "once is enough");
    const http::uri_parts p = http::split_uri(text);
    std::string joined;
    joined += p.has_scheme ? std::string(p.scheme) + ":" : "";
    joined += p.has_authority ? "//" + std::string(p.authority) : "";
    joined += p.path;
    joined += p.has_query ? "?" + std::string(p.query) : "";
    joined += p.has_fragment ? "#" + std::string(p.fragment) : "";
    require(joined == text, "the parts of a reference make the reference");
}

void check_query(std::string_view text) {
    require(http::percent_decode(http::percent_encode(text)) == text, "encoding can be undone");
    if (const auto form = http::decode_form(text)) {
        http::query_builder b;
        for (const auto& [name, value] : *form) {
            b.add(name, value);
        }
        const auto again = http::decode_form(b.text());
        require(again.has_value() && *again == *form, "a form is read as what it was written as");
    }
}

void check_values(std::string_view text) {
    if (const auto t = http::parse_date(text)) {
        require(http::parse_date(http::format_date(*t)) == t, "a date is read as what it was written as");
    }
    static_cast<void>(http::parse_cookie_date(text));
    if (const auto c = http::parse_set_cookie(text)) {
        require(!c->name.empty(), "a cookie has a name");
    }
    if (const auto written =
            http::set_cookie(text.substr(0, text.size() / 2), text.substr(text.size() / 2)).try_text()) {
        const auto read = http::parse_set_cookie(*written);
        require(read.has_value() && read->name == text.substr(0, text.size() / 2), "a cookie keeps its name");
    }
    for (const http::cookie_pair& c : http::cookie_pairs(text)) {
        require(!c.name.empty(), "a cookie of a request has a name");
    }
    if (const auto type = http::content_type::parse(text)) {
        require(http::is_token(type->type()) && http::is_token(type->subtype()), "a media type is two tokens");
        static_cast<void>(type->parameter("charset"));
    }
    for (const std::string_view e : http::list_elements(text)) {
        require(!e.empty() && http::trim(e) == e, "a list element is trimmed and not empty");
    }
    if (http::all(text, http::octet_class::field_value)) {
        require(http::unquote(http::quote(text)) == text || http::is_quoted_string(text), "quoting can be undone");
    }
    http::fields f;
    if (f.try_add(text.substr(0, text.size() / 3), text.substr(text.size() / 3))) {
        require(f.lines().find("\r\n") == f.lines().size() - 2, "a field is one line");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::exact_copy copy(std::string_view(reinterpret_cast<const char*>(data), size));
    check_url(copy.view());
    check_reference(copy.view());
    check_query(copy.view());
    check_values(copy.view());
    return 0;
}
