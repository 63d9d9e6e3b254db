// SPDX-License-Identifier: MIT
#include <flux/http/client/redirect.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace http = flux::http;
using http::method;
using http::redirect_chain;
using http::redirect_errc;
using http::redirect_options;

namespace {

http::url make(std::string_view text) {
    return http::url::parse(text).value();
}
http::status code(unsigned n) {
    return static_cast<http::status>(n);
}

// What a chain makes of one response, as text: "answer", "-> METHOD URL [no body] [no credentials]", or the error.
std::string step(redirect_chain& chain, unsigned status, const http::fields& response) {
    const std::string before = std::string(chain.url().text());
    const auto r = chain.advance(code(status), response);
    if (!r) {
        CHECK(chain.url().text() == before);
        CHECK(r.error().kind() == flux::error_kind::http);
        return r.error().message();
    }
    if (!*r) {
        CHECK(chain.url().text() == before);
        return "answer";
    }
    return "-> " + std::string(to_string(chain.method())) + " " + std::string(chain.url().text()) +
           (chain.drops_body() ? " no body" : "") + (chain.left_origin() ? " no credentials" : "");
}
std::string step(redirect_chain& chain, unsigned status, std::string_view location) {
    http::fields f;
    f.add(http::field::location, location);
    return step(chain, status, f);
}
std::string one(std::string_view from, std::string_view location, unsigned status = 302, method m = method::get,
                redirect_options o = {}) {
    redirect_chain chain(make(from), m, o);
    return step(chain, status, location);
}
std::string names(const http::fields& f) {
    std::string out;
    for (const http::field_view v : f) {
        (out += v.name) += ' ';
    }
    return out;
}
http::fields everything() {
    http::fields f;
    for (const char* name : {"Host",
                             "Authorization",
                             "Cookie",
                             "Proxy-Authorization",
                             "Referer",
                             "Accept",
                             "Content-Type",
                             "Content-Length",
                             "Content-Encoding",
                             "Content-Language",
                             "Content-Location",
                             "Content-Range",
                             "Content-Disposition",
                             "Transfer-Encoding",
                             "Trailer",
                             "Expect",
                             "Last-Modified",
                             "Digest",
                             "Content-Digest",
                             "Repr-Digest",
                             "Content-MD5",
                             "If-Match",
                             "Range",
                             "X-Own"}) {
        f.add(name, "x");
    }
    return f;
}

constexpr std::string_view description = "Content-Type Content-Length Content-Encoding Content-Language "
                                         "Content-Location Content-Range Content-Disposition Transfer-Encoding "
                                         "Trailer Expect Last-Modified Digest Content-Digest Repr-Digest Content-MD5 ";

} // namespace

TEST_SUITE("http/client/redirect") {
    TEST_CASE("every method, every status: the next method and whether the body goes along [RFC 9110 15.4]") {
        // For 301, 302, 303, 307, 308. G: GET without the body, k: everything is kept, b: the method without the body.
        struct row {
            method m;
            std::string_view outcome;
        };
        const row table[] = {
            {method::get, "kkbkk"},     {method::head, "kkbkk"},  {method::post, "GGGkk"},  {method::put, "kkGkk"},
            {method::delete_, "kkGkk"}, {method::patch, "kkGkk"}, {method::query, "kkGkk"}, {method::options, "kkGkk"},
            {method::trace, "kkGkk"},   {method::other, "kkGkk"}, {method::lock, "kkGkk"},  {method::propfind, "kkGkk"},
        };
        const unsigned followed[] = {301, 302, 303, 307, 308};
        for (const row& r : table) {
            for (unsigned i = 0; i < 5; ++i) {
                for (const std::string_view to : {"http://a/y", "http://b/y"}) {
                    redirect_chain chain(make("http://a/x"), r.m);
                    const std::string name = std::string(to_string(r.outcome[i] == 'G' ? method::get : r.m));
                    const std::string want = "-> " + name + " " + std::string(to) +
                                             (r.outcome[i] == 'k' ? "" : " no body") +
                                             (to == "http://b/y" ? " no credentials" : "");
                    CHECK_MESSAGE(step(chain, followed[i], to) == want, to_string(r.m), " ", followed[i]);
                    CHECK(chain.method_changed() == (r.outcome[i] == 'G' && r.m != method::get));
                    CHECK(chain.followed() == 1);
                }
            }
        }
    }
    TEST_CASE("no other status is followed, whatever Location says [RFC 9110 15.4]") {
        for (unsigned status = 100; status < 1000; ++status) {
            if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) {
                continue;
            }
            for (const method m : {method::get, method::post}) {
                REQUIRE_MESSAGE(one("http://a/x", "/y", status, m) == "answer", status);
            }
        }
    }
    TEST_CASE("a redirect without Location is an answer [RFC 9110 15.4]") {
        for (const unsigned status : {301U, 302U, 303U, 307U, 308U}) {
            redirect_chain chain(make("http://a/x"), method::post);
            CHECK(step(chain, status, http::fields()) == "answer");
            CHECK(step(chain, status, "") == "answer");
            CHECK(chain.method() == method::post);
            CHECK(chain.followed() == 0);
        }
    }
    TEST_CASE("one Location counts; a repetition is harmless, a contradiction is not followed [RFC 9110 5.3]") {
        http::fields twice;
        twice.add("Location", "/y").add("Location", "/y");
        redirect_chain same(make("http://a/x"), method::get);
        CHECK(step(same, 302, twice) == "-> GET http://a/y");
        http::fields two;
        two.add("Location", "/y").add("Location", "/z");
        redirect_chain other(make("http://a/x"), method::get);
        CHECK(step(other, 302, two) == "redirected to what is not a URL");
        CHECK(other.followed() == 0);
    }
    TEST_CASE("Location is resolved against the URL that was asked last [RFC 9110 10.2.2, RFC 3986 5.4]") {
        const std::pair<std::string_view, std::string_view> table[] = {
            {"g", "http://a/b/c/g"},
            {"./g/", "http://a/b/c/g/"},
            {"/g", "http://a/g"},
            {"//g", "http://g/ no credentials"},
            {"//g:81/h", "http://g:81/h no credentials"},
            {"?y", "http://a/b/c/d;p?y"},
            {"#s", "http://a/b/c/d;p?q#s"},
            {"../../../g", "http://a/g"},
            {"../..", "http://a/"},
            {"g;x=1/../y", "http://a/b/c/y"},
            {"HTTP://A:80/g", "http://a/g"},
            {"http://a:/g", "http://a/g"},
            {"/a b\xc3\xa9", "http://a/a%20b%C3%A9"},
            {"/%2e%2E/g", "http://a/%2e%2E/g"},
            {"http://[::1]:8/", "http://[::1]:8/ no credentials"},
        };
        for (const auto& row : table) {
            CHECK_MESSAGE(one("http://a/b/c/d;p?q", row.first) == "-> GET " + std::string(row.second), row.first);
        }
        redirect_chain chain(make("http://a/1/2"), method::get);
        CHECK(step(chain, 302, "3/") == "-> GET http://a/1/3/");
        CHECK(step(chain, 302, "4") == "-> GET http://a/1/3/4");
    }
    TEST_CASE("the fragment is inherited unless Location has its own [RFC 9110 10.2.2]") {
        CHECK(one("http://a/x#f", "/y") == "-> GET http://a/y#f");
        CHECK(one("http://a/x#f", "/y#g") == "-> GET http://a/y#g");
        CHECK(one("http://a/x#f", "/y#") == "-> GET http://a/y#");
        CHECK(one("http://a/x#f", "http://b/") == "-> GET http://b/#f no credentials");
        CHECK(one("http://a/x", "/y") == "-> GET http://a/y");
        CHECK(one("http://a/x#f", "") == "answer");
        redirect_chain chain(make("http://a/x#f"), method::get);
        CHECK(step(chain, 302, "/y") == "-> GET http://a/y#f");
        CHECK(step(chain, 302, "/z") == "-> GET http://a/z#f");
    }
    TEST_CASE("what is not a URL is not followed") {
        for (const std::string_view location :
             {"http://", "http:///x", "http:", "http://a b/", "http://a:65536/", "http://a:x/", "http://[::1/", "/%",
              "/%zz", "http://a\\@b/", "//", "http:g", "/a\tb"}) {
            const std::string got = one("http://a/x", location);
            CHECK_MESSAGE(
                (got == "redirected to what is not a URL" || got == "redirected to a URL with user information"),
                location, " gave ", got);
        }
    }
    TEST_CASE("schemes other than http and https are refused") {
        for (const std::string_view location : {"ftp://a/", "file:///etc/passwd", "javascript:x", "mailto:a@b",
                                                "data:,x", "ws://a/", "wss://a/", "gopher://a/", "httpx://a/"}) {
            CHECK_MESSAGE(one("http://a/x", location) == "redirected to a scheme other than http and https", location);
        }
        CHECK(one("ws://a/x", "ws://a/y") == "-> GET ws://a/y");
        CHECK(one("ws://a/x", "wss://b/y") == "-> GET wss://b/y no credentials");
        CHECK(one("ws://a/x", "http://a/y") == "redirected to a scheme other than http and https");
    }
    TEST_CASE("from https to http is refused unless it is allowed") {
        redirect_options allow;
        allow.allow_downgrade = true;
        CHECK(one("https://a/x", "http://a/y") == "redirected from https to http");
        CHECK(one("wss://a/x", "ws://a/y") == "redirected from https to http");
        CHECK(one("https://a/x", "http://a/y", 302, method::get, allow) == "-> GET http://a/y no credentials");
        CHECK(one("http://a/x", "https://a/y") == "-> GET https://a/y no credentials");
        redirect_chain chain(make("http://a/x"), method::get);
        CHECK(step(chain, 302, "https://a/y") == "-> GET https://a/y no credentials");
        CHECK(step(chain, 302, "http://a/x") == "redirected from https to http");
        CHECK(chain.url().text() == "https://a/y");

        redirect_chain down(make("https://a/x"), method::get, allow);
        http::fields f = everything();
        static_cast<void>(step(down, 302, "http://a/y"));
        down.apply(f);
        CHECK_FALSE(f.contains("Referer"));
    }
    TEST_CASE("a Location that names a user is refused [RFC 9110 4.2.4]") {
        for (const std::string_view location :
             {"http://u@a/", "http://u:p@a/y", "//u@b/", "http://@a/", "http://good.example@evil.example/"}) {
            CHECK_MESSAGE(one("http://a/x", location) == "redirected to a URL with user information", location);
        }
        CHECK(one("http://a/x", "/u@b") == "-> GET http://a/u@b");
        CHECK(one("http://a/x", "/?u@b") == "-> GET http://a/?u@b");
    }
    TEST_CASE("credentials in the URL stay within its origin and never come back") {
        CHECK(one("http://u:p@a/x", "/y") == "-> GET http://u:p@a/y");
        CHECK(one("http://u:p@a/x", "http://a/y") == "-> GET http://u:p@a/y");
        CHECK(one("http://u:p@a/x#f", "http://A:80/y?@#g@") == "-> GET http://u:p@a/y?@#g@");
        CHECK(one("http://u:p@a/x", "//a/y") == "-> GET http://u:p@a/y");
        CHECK(one("http://u:p@a/x", "http://b/y") == "-> GET http://b/y no credentials");
        CHECK(one("http://u:p@a/x", "http://a:81/y") == "-> GET http://a:81/y no credentials");
        CHECK(one("http://u:p@a/x", "https://a/y") == "-> GET https://a/y no credentials");
        redirect_chain chain(make("http://u:p@a/x"), method::get);
        CHECK(step(chain, 302, "http://b/") == "-> GET http://b/ no credentials");
        CHECK(step(chain, 302, "http://a/x") == "-> GET http://a/x no credentials");
        CHECK(step(chain, 302, "/z") == "-> GET http://a/z no credentials");
    }
    TEST_CASE("every pair of origins: what the caller set for the first one stays there [RFC 9110 15.4, RFC 6454]") {
        redirect_options allow;
        allow.allow_downgrade = true;
        const std::string_view origins[] = {"http://a/",     "http://a:81/", "http://b/",
                                            "http://sub.a/", "https://a/",   "https://a:444/"};
        const std::string_view kept = "Accept If-Match Range X-Own ";
        const std::string_view secrets = "Host Authorization Cookie Proxy-Authorization ";
        for (const std::string_view from : origins) {
            for (const std::string_view to : origins) {
                for (const unsigned status : {301U, 302U, 303U, 307U, 308U}) {
                    redirect_chain chain(make(from), method::put, allow);
                    http::fields f = everything();
                    static_cast<void>(step(chain, status, to));
                    chain.apply(f);
                    const bool down = from.starts_with("https") && !to.starts_with("https");
                    std::string want = from == to ? std::string(secrets) : std::string();
                    want += down ? "Accept " : "Referer Accept ";
                    want += status == 303 ? std::string_view() : description;
                    want += kept.substr(7);
                    CHECK_MESSAGE(names(f) == want, from, " ", status, " ", to);
                    // The chain comes back: nothing returns, not even what is set anew.
                    static_cast<void>(step(chain, 307, from));
                    http::fields again = everything();
                    chain.apply(again);
                    CHECK(again.contains("Authorization") == (from == to));
                    CHECK(again.contains("Cookie") == (from == to));
                    CHECK(again.contains("Proxy-Authorization") == (from == to));
                    CHECK(again.contains("Host") == (from == to));
                    CHECK(again.contains("Content-Type") == (status != 303));
                }
            }
        }
    }
    TEST_CASE("a body that was dropped does not come back with a later 307") {
        redirect_chain chain(make("http://a/x"), method::post);
        CHECK(step(chain, 302, "/y") == "-> GET http://a/y no body");
        CHECK(step(chain, 307, "/z") == "-> GET http://a/z no body");
        CHECK(chain.method_changed());
        redirect_chain kept(make("http://a/x"), method::post);
        CHECK(step(kept, 307, "/y") == "-> POST http://a/y");
        CHECK(step(kept, 308, "/z") == "-> POST http://a/z");
        CHECK(step(kept, 303, "/w") == "-> GET http://a/w no body");
    }
    TEST_CASE("the limit: exactly so many are followed, zero gives the 3xx itself") {
        redirect_options o;
        o.max_redirects = 3;
        redirect_chain chain(make("http://a/0"), method::get, o);
        for (int i = 1; i <= 3; ++i) {
            CHECK(step(chain, 302, "/" + std::to_string(i)) == "-> GET http://a/" + std::to_string(i));
        }
        CHECK(step(chain, 302, "/4") == "too many redirects");
        CHECK(chain.followed() == 3);
        CHECK(step(chain, 200, "/4") == "answer");
        CHECK(step(chain, 304, "/4") == "answer");
        o.max_redirects = 0;
        CHECK(one("http://a/x", "/y", 302, method::get, o) == "answer");
        CHECK(one("http://a/x", "ftp://b/", 302, method::get, o) == "answer");
        redirect_chain loop(make("http://a/x"), method::get);
        for (int i = 0; i < 10; ++i) {
            CHECK(step(loop, 302, "/x") == "-> GET http://a/x");
        }
        CHECK(step(loop, 302, "/x") == "too many redirects");
    }
    TEST_CASE("apply() changes nothing within the origin while the body goes along") {
        redirect_chain chain(make("http://a/x"), method::post);
        http::fields f = everything();
        const std::string before = names(f);
        chain.apply(f);
        CHECK(names(f) == before);
        static_cast<void>(step(chain, 308, "/y"));
        chain.apply(f);
        CHECK(names(f) == before);
    }
    TEST_CASE("errors say what happened, by code") {
        CHECK(make_error_code(redirect_errc::too_many) == std::error_code(redirect_errc::too_many));
        CHECK(flux::error(make_error_code(redirect_errc::downgrade)).kind() == flux::error_kind::http);
        CHECK(std::string(make_error_code(redirect_errc::downgrade).category().name()) == "redirect");
        CHECK(std::error_code(99, make_error_code(redirect_errc::downgrade).category()).message() ==
              "unknown redirect error");
    }
}
