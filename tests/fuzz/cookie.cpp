// SPDX-License-Identifier: MIT
// Cookies from any octets: pieces lie in the text and are trimmed, what a server writes is read as it was meant, and
// what cannot be meant is not written. The input: a Cookie or Set-Cookie value; up to its first NUL also a name.
#include <flux/http/message/cookie.hpp>
#include <flux/http/message/fields.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace http = flux::http;
using fuzz::require;

void check_request(std::string_view text) {
    std::size_t count = 0;
    for (const http::cookie_pair& c : http::cookie_pairs(text)) {
        require(++count <= text.size() / 2 + 1, "no more cookies than octets allow");
        require(!c.name.empty() && http::trim(c.name) == c.name && http::trim(c.value) == c.value, "a cookie is trimmed");
        require(c.name.data() >= text.data() && c.value.data() + c.value.size() <= text.data() + text.size(), "a cookie lies in its field");
        require(c.name.find_first_of(";=") == std::string_view::npos && c.value.find(';') == std::string_view::npos, "a cookie is one piece");
    }
    http::fields f;
    if (!f.try_add(http::field::cookie, text)) {
        return;
    }
    for (const http::cookie_pair& c : http::cookie_pairs(text)) {
        const auto found = http::find_cookie(f, c.name);
        require(found.has_value(), "a cookie that is there is found");
        break;
    }
}

void check_response(std::string_view text) {
    const auto c = http::parse_set_cookie(text);
    if (!c) {
        return;
    }
    require(!c->name.empty() && c->name.find('=') == std::string_view::npos, "a cookie has a name");
    require(c->path.empty() || c->path.front() == '/', "a path is absolute");
    // What was read is written again, as far as a server may write it, and read as the same.
    http::set_cookie again(c->name, c->value);
    again.path(c->path).domain(c->domain).secure(c->secure).http_only(c->http_only).site(c->site);
    if (c->max_age) {
        again.max_age(*c->max_age);
    }
    if (c->expires) {
        again.expires(*c->expires);
    }
    if (const auto written = again.try_text()) {
        require(written->find_first_of("\r\n") == std::string::npos, "a cookie is one line");
        const auto read = http::parse_set_cookie(*written);
        require(read && read->name == c->name && read->value == c->value && read->path == c->path, "a cookie stays what it is");
        require(read->max_age == c->max_age && read->expires == c->expires && read->site == c->site &&
                    read->secure == c->secure && read->http_only == c->http_only &&
                    (c->domain.starts_with('.') || http::iequals(read->domain, c->domain)), // one dot is taken off each time
                "and so do its attributes");
    }
}

void check_builder(std::string_view text) {
    const std::size_t cut = text.find('\0');
    const std::string_view name = text.substr(0, cut);
    const std::string_view value = cut == std::string_view::npos ? std::string_view() : text.substr(cut + 1);
    if (const auto written = http::set_cookie(name, value).path("/" + std::string(value)).try_text()) {
        const auto read = http::parse_set_cookie(*written);
        require(read && read->name == name && read->value == value, "what is written is what was meant");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::exact_copy copy(std::string_view(reinterpret_cast<const char*>(data), size));
    check_request(copy.view());
    check_response(copy.view());
    check_builder(copy.view());
    return 0;
}
