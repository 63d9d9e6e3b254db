// SPDX-License-Identifier: MIT
#include <flux/http/client/cookie_jar.hpp> // also proves the header is self-contained
#include <flux/http/message/fields.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace http = flux::http;
using http::cookie_jar;
using http::cookie_jar_options;
using std::chrono::seconds;

namespace {

const cookie_jar::time now(seconds(1'700'000'000));

http::url make(std::string_view text) {
    return http::url::parse(text).value();
}

struct table_row {
    std::string_view from;
    std::string_view set;
    std::string_view to;
    bool sent; // whether a request to `to` carries the cookie
};

// One cookie set by `from`, and whether a request to `to` has it.
void check_rows(const std::vector<table_row>& rows) {
    for (const table_row& r : rows) {
        cookie_jar jar;
        jar.set(make(r.from), r.set, now);
        CHECK_MESSAGE(!jar.header(make(r.to), now).empty() == r.sent, r.from, " sets ", r.set, " asked ", r.to);
    }
}

// The jar as sorted text: "name@domain/path" and a dot before domains that include those below.
std::string contents(const cookie_jar& jar) {
    std::vector<std::string> all;
    for (const http::stored_cookie& c : jar) {
        all.push_back(c.name + "@" + (c.host_only ? "" : ".") + c.domain + c.path);
    }
    std::sort(all.begin(), all.end());
    std::string out;
    for (const std::string& line : all) {
        out += (out.empty() ? "" : " ") + line;
    }
    return out;
}

} // namespace

TEST_SUITE("http/client/cookie_jar") {
    TEST_CASE("domains: who may set what for whom, and who gets it [RFC 6265 5.1.3, 5.3]") {
        check_rows({
            {"http://a.example/", "k=v", "http://a.example/", true},
            {"http://a.example/", "k=v", "http://A.Example:8080/", true}, // ports do not separate cookies
            {"http://a.example/", "k=v", "http://b.a.example/", false},   // host-only without Domain
            {"http://a.example/", "k=v", "http://example/", false},
            {"http://a.example/", "k=v; Domain=a.example", "http://a.example/", true},
            {"http://a.example/", "k=v; Domain=a.example", "http://b.a.example/", true},
            {"http://a.example/", "k=v; Domain=.a.example", "http://b.a.example/", true},
            {"http://a.example/", "k=v; Domain=A.EXAMPLE", "http://c.b.a.example/", true},
            {"http://b.a.example/", "k=v; Domain=a.example", "http://a.example/", true},
            {"http://b.a.example/", "k=v; Domain=a.example", "http://c.a.example/", true},
            {"http://a.example/", "k=v; Domain=b.a.example", "http://b.a.example/", false}, // not below itself
            {"http://a.example/", "k=v; Domain=b.example", "http://b.example/", false},
            {"http://a.example/", "k=v; Domain=xa.example", "http://xa.example/", false},
            {"http://xa.example/", "k=v; Domain=a.example", "http://a.example/", false}, // a suffix, but no label
            {"http://a.example/", "k=v; Domain=a.example.", "http://a.example/", false},
            {"http://a.example/", "k=v; Domain=..a.example", "http://a.example/", false},
            {"http://a.example/", "k=v; Domain=", "http://a.example/", true}, // empty: as if absent
            {"http://a.example/", "k=v; Domain=", "http://b.a.example/", false},
            {"http://a.example/", "k=v; Domain=.", "http://a.example/", true},
            {"http://a.example/", "k=v; Domain=b.example; Domain=a.example", "http://a.example/", true},
            {"http://a.example/", "k=v; Domain=a.example; Domain=b.example", "http://a.example/", false},
        });
    }
    TEST_CASE("an address has no domains above it [RFC 6265 5.1.3]") {
        check_rows({
            {"http://127.0.0.1/", "k=v", "http://127.0.0.1/", true},
            {"http://127.0.0.1/", "k=v; Domain=127.0.0.1", "http://127.0.0.1/", true},
            {"http://127.0.0.1/", "k=v; Domain=0.0.1", "http://127.0.0.1/", false},
            {"http://127.0.0.1/", "k=v; Domain=1", "http://127.0.0.1/", false},
            {"http://127.0.0.1/", "k=v", "http://1.127.0.0.1/", false},
            {"http://[::1]/", "k=v", "http://[::1]:81/", true},
            {"http://[::1]/", "k=v; Domain=[::1]", "http://[::1]/", true},
            {"http://[::1]/", "k=v; Domain=1]", "http://[::1]/", false},
            {"http://a.example/", "k=v; Domain=127.0.0.1", "http://127.0.0.1/", false},
        });
        cookie_jar jar;
        CHECK(jar.set(make("http://127.0.0.1/"), "k=v; Domain=127.0.0.1", now));
        CHECK(jar.begin()->host_only);
    }
    TEST_CASE("a public suffix gets no cookies, but for the host of that name itself [RFC 6265 5.3 step 5]") {
        check_rows({
            {"http://a.example/", "k=v; Domain=example", "http://a.example/", false},
            {"http://localhost/", "k=v; Domain=localhost", "http://localhost/", true},
            {"http://localhost/", "k=v; Domain=localhost", "http://a.localhost/", false},
        });
        std::vector<std::string> asked;
        cookie_jar jar({}, [&asked](std::string_view domain) {
            asked.emplace_back(domain);
            return domain == "co.test";
        });
        CHECK_FALSE(jar.set(make("http://shop.co.test/"), "k=v; Domain=CO.test", now));
        CHECK(jar.set(make("http://a.shop.co.test/"), "k=v; Domain=shop.co.test", now));
        CHECK(jar.set(make("http://co.test/"), "own=v; Domain=co.test", now));
        CHECK(contents(jar) == "k@.shop.co.test/ own@co.test/");
        CHECK(asked == std::vector<std::string>{"co.test", "shop.co.test", "co.test"});
        CHECK(jar.header(make("http://b.shop.co.test/"), now) == "k=v");
        CHECK(jar.header(make("http://evil.co.test/"), now).empty());
    }
    TEST_CASE("paths: which are below a cookie's, and the default [RFC 6265 5.1.4]") {
        check_rows({
            {"http://h.t/", "k=v", "http://h.t/", true},
            {"http://h.t/", "k=v", "http://h.t/any/where", true},
            {"http://h.t", "k=v", "http://h.t/x", true},
            {"http://h.t/a", "k=v", "http://h.t/b", true}, // the default of /a is /
            {"http://h.t/a/", "k=v", "http://h.t/a", true},
            {"http://h.t/a/", "k=v", "http://h.t/ab", false},
            {"http://h.t/a/b", "k=v", "http://h.t/a/c", true},
            {"http://h.t/a/b", "k=v", "http://h.t/a", true},
            {"http://h.t/a/b", "k=v", "http://h.t/", false},
            {"http://h.t/a/b?c/d", "k=v", "http://h.t/a/x", true}, // the query is no part of the path
            {"http://h.t/", "k=v; Path=/a", "http://h.t/a", true},
            {"http://h.t/", "k=v; Path=/a", "http://h.t/a/", true},
            {"http://h.t/", "k=v; Path=/a", "http://h.t/a?q", true},
            {"http://h.t/", "k=v; Path=/a", "http://h.t/a/b", true},
            {"http://h.t/", "k=v; Path=/a", "http://h.t/ab", false},
            {"http://h.t/", "k=v; Path=/a", "http://h.t/A", false},
            {"http://h.t/", "k=v; Path=/a", "http://h.t/", false},
            {"http://h.t/", "k=v; Path=/a/", "http://h.t/a", false},
            {"http://h.t/", "k=v; Path=/a/", "http://h.t/a/b", true},
            {"http://h.t/x/y", "k=v; Path=a", "http://h.t/x/z", true}, // not absolute: the default
            {"http://h.t/x/y", "k=v; Path=", "http://h.t/x/z", true},
            {"http://h.t/x/y", "k=v; Path=/other", "http://h.t/other", true}, // paths protect nothing
            {"http://h.t/", "k=v; Path=/a%2Fb", "http://h.t/a/b", false},
        });
    }
    TEST_CASE("Secure: set by https only, sent to https only [RFC 6265 5.4, RFC 6265bis 5.7]") {
        check_rows({
            {"https://h.t/", "k=v; Secure", "https://h.t/", true},
            {"https://h.t/", "k=v; Secure", "wss://h.t/", true},
            {"https://h.t/", "k=v; Secure", "http://h.t/", false},
            {"https://h.t/", "k=v; Secure", "ws://h.t/", false},
            {"http://h.t/", "k=v; Secure", "https://h.t/", false},
            {"https://h.t/", "k=v", "http://h.t/", true},
            {"http://h.t/", "k=v", "https://h.t/", true},
        });
    }
    TEST_CASE("plain http lays nothing over a cookie of https [RFC 6265bis 5.7]") {
        cookie_jar jar;
        REQUIRE(jar.set(make("https://a.h.t/"), "k=good; Secure; Domain=h.t; Path=/p", now));
        CHECK_FALSE(jar.set(make("http://a.h.t/"), "k=evil; Domain=h.t; Path=/p", now));
        CHECK_FALSE(jar.set(make("http://a.h.t/"), "k=evil; Path=/p/q", now));
        CHECK_FALSE(jar.set(make("http://h.t/"), "k=; Max-Age=0; Path=/p", now));
        CHECK(jar.header(make("https://a.h.t/p/q"), now) == "k=good");
        CHECK(jar.set(make("http://a.h.t/"), "k=fine; Path=/", now)); // a path above: it comes later in the field
        CHECK(jar.set(make("http://a.h.t/"), "other=fine; Path=/p", now));
        CHECK(jar.set(make("https://a.h.t/"), "k=new; Domain=h.t; Path=/p", now));
        CHECK(jar.header(make("https://a.h.t/p"), now) == "k=new; other=fine; k=fine");
    }
    TEST_CASE("the prefixes are promises [RFC 6265bis 4.1.3]") {
        const http::url https = make("https://h.t/a/b");
        cookie_jar jar;
        CHECK(jar.set(https, "__Host-k=v; Secure; Path=/", now));
        CHECK(jar.set(https, "__Secure-k=v; Secure; Domain=h.t", now));
        for (const std::string_view text :
             {"__Host-k=v; Path=/", "__Host-k=v; Secure", "__Host-k=v; Secure; Path=/a",
              "__Host-k=v; Secure; Path=/; Domain=h.t", "__host-k=v; Secure", "__Secure-k=v", "__SECURE-k=v"}) {
            CHECK_FALSE_MESSAGE(jar.set(https, text, now), text);
        }
        CHECK_FALSE(jar.set(make("http://h.t/"), "__Secure-k=v; Secure", now));
        CHECK(jar.set(https, "__Hos=v", now));
    }
    TEST_CASE("a cookie lives as long as Max-Age says, else as Expires says [RFC 6265 5.3 step 3]") {
        const http::url h = make("http://h.t/");
        cookie_jar jar;
        jar.set(h, "session=1", now);
        jar.set(h, "short=1; Max-Age=10", now);
        jar.set(h, "both=1; Max-Age=20; Expires=Thu, 01 Jan 1970 00:00:00 GMT", now);
        jar.set(h, "date=1; Expires=" + http::format_date(now + seconds(30)), now);
        jar.set(h, "odd=1; Expires=soon; Max-Age=x", now);
        CHECK(jar.header(h, now + seconds(9)) == "session=1; short=1; both=1; date=1; odd=1");
        CHECK(jar.header(h, now + seconds(10)) == "session=1; both=1; date=1; odd=1");
        CHECK(jar.header(h, now + seconds(29)) == "session=1; date=1; odd=1");
        CHECK(jar.header(h, now + seconds(30)) == "session=1; odd=1");
        CHECK(jar.size() == 5);
        jar.drop_expired(now + seconds(30));
        CHECK(jar.size() == 2);
        jar.clear_session();
        CHECK(jar.empty());
        jar.set(h, "ever=1; Max-Age=99999999999", now);
        jar.set(h, "date=1; Expires=Fri, 01 Jan 9999 00:00:00 GMT", now);
        CHECK(jar.header(h, now + std::chrono::hours(24 * 400) - seconds(1)) == "ever=1; date=1");
        CHECK(jar.header(h, now + std::chrono::hours(24 * 400)).empty());
    }
    TEST_CASE("a cookie is removed by one that has expired [RFC 6265 5.3]") {
        const http::url h = make("http://a.h.t/p/q");
        for (const std::string_view removal :
             {"k=; Max-Age=0", "k=x; Max-Age=-5", "k=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}) {
            cookie_jar jar;
            jar.set(h, "k=v", now);
            REQUIRE(jar.size() == 1);
            jar.set(h, std::string(removal) + "; Path=/", now); // another cookie
            jar.set(h, std::string(removal) + "; Domain=a.h.t", now);
            CHECK(jar.size() == 1);
            CHECK(jar.set(h, removal, now));
            CHECK_MESSAGE(jar.empty(), removal);
        }
    }
    TEST_CASE("name, domain and path are what a cookie is; a new value keeps its place [RFC 6265 5.3 step 11]") {
        const http::url h = make("http://a.h.t/");
        cookie_jar jar;
        jar.set(h, "k=1", now);
        jar.set(h, "l=2", now);
        jar.set(h, "K=3", now); // names are case-sensitive
        jar.set(h, "k=4; HttpOnly", now);
        jar.set(h, "k=5; Path=/x", now);
        jar.set(h, "k=6; Domain=h.t", now);
        CHECK(contents(jar) == "K@a.h.t/ k@.h.t/ k@a.h.t/ k@a.h.t/x l@a.h.t/");
        CHECK(jar.header(h, now) == "k=4; l=2; K=3; k=6");
    }
    TEST_CASE("longer paths come first, then older cookies [RFC 6265 5.4 step 2]") {
        const http::url h = make("http://h.t/a/b/c");
        cookie_jar jar;
        for (const std::string_view text :
             {"1=x; Path=/", "2=x; Path=/a/b", "3=x; Path=/a", "4=x; Path=/a/b/c", "5=x; Path=/", "6=x; Path=/a"}) {
            jar.set(h, text, now);
        }
        CHECK(jar.header(h, now) == "4=x; 2=x; 3=x; 6=x; 1=x; 5=x");
        CHECK(jar.header(h, now) == "4=x; 2=x; 3=x; 6=x; 1=x; 5=x");
    }
    TEST_CASE("attributes are kept: HttpOnly and SameSite decide nothing here [RFC 6265bis 5.5]") {
        cookie_jar jar;
        jar.set(make("https://h.t/"), "k=v; HttpOnly; SameSite=Strict; Secure", now);
        REQUIRE(jar.size() == 1);
        CHECK(jar.begin()->http_only);
        CHECK(jar.begin()->secure);
        CHECK(jar.begin()->site == http::same_site::strict);
        CHECK(jar.begin()->is_session());
        CHECK(jar.header(make("https://h.t/"), now) == "k=v");
    }
    TEST_CASE("every Set-Cookie line of a response is taken or dropped by itself") {
        http::fields f;
        f.add("Set-Cookie", "a=1").add("X", "y").add("set-cookie", "nonsense").add("Set-Cookie", "b=2, c=3");
        cookie_jar jar;
        CHECK(jar.store(make("http://h.t/"), f, now) == 2);
        CHECK(jar.header(make("http://h.t/"), now) == "a=1; b=2, c=3");
        CHECK(jar.store(make("http://h.t/"), http::fields(), now) == 0);
    }
    TEST_CASE("what is no cookie, or too long, is dropped") {
        const http::url h = make("http://h.t/");
        cookie_jar jar;
        for (const std::string_view text :
             {"", "=v", "k", "k\x01=v", "k=v\x7f", "a\tb=v", "k=v; Path=/a\tb", "k=v; Path=/a\x01"}) {
            CHECK_FALSE_MESSAGE(jar.set(h, text, now), text);
        }
        CHECK_FALSE(jar.set(h, "k=" + std::string(4096, 'x'), now));
        CHECK(jar.set(h, "k=" + std::string(4095, 'x'), now));
        CHECK(jar.set(h, "p=v; Path=/" + std::string(2000, 'x'), now)); // too long an attribute is ignored
        CHECK(jar.header(h, now).ends_with("; p=v"));
        CHECK(jar.set(h, "d=v; Domain=" + std::string(2000, 'x'), now));
    }
    TEST_CASE("a domain has a limit: expired ones go first, then those without Secure, then the least used") {
        cookie_jar_options o;
        o.max_per_domain = 3;
        cookie_jar jar(o);
        const http::url h = make("https://h.t/");
        jar.set(h, "secure=1; Secure", now);
        jar.set(h, "short=1; Max-Age=5", now);
        jar.set(h, "plain=1; Path=/p", now);
        jar.set(make("https://x.t/"), "other=1", now);
        jar.set(h, "a=1", now + seconds(5)); // `short` has expired
        CHECK(contents(jar) == "a@h.t/ other@x.t/ plain@h.t/p secure@h.t/");
        static_cast<void>(jar.header(make("https://h.t/p"), now)); // uses all
        static_cast<void>(jar.header(make("https://h.t/"), now));  // but not `plain`
        jar.set(h, "b=1", now);
        CHECK(contents(jar) == "a@h.t/ b@h.t/ other@x.t/ secure@h.t/");
        jar.set(h, "c=1; Secure", now);
        jar.set(h, "d=1; Secure", now);
        CHECK(contents(jar) == "c@h.t/ d@h.t/ other@x.t/ secure@h.t/");
        jar.set(h, "e=1; Secure", now);
        CHECK(contents(jar) == "c@h.t/ d@h.t/ e@h.t/ other@x.t/");
        jar.set(h, "c=2; Secure", now); // a new value needs no room
        CHECK(contents(jar) == "c@h.t/ d@h.t/ e@h.t/ other@x.t/");
    }
    TEST_CASE("the jar has a limit: the least used cookie of all goes") {
        cookie_jar_options o;
        o.max_cookies = 3;
        cookie_jar jar(o);
        for (const std::string_view host : {"http://a.t/", "http://b.t/", "http://c.t/"}) {
            jar.set(make(host), "k=v", now);
        }
        static_cast<void>(jar.header(make("http://a.t/"), now));
        jar.set(make("http://d.t/"), "k=v", now);
        CHECK(contents(jar) == "k@a.t/ k@c.t/ k@d.t/");
        o.max_cookies = 0;
        cookie_jar none(o);
        CHECK(none.set(make("http://d.t/"), "k=v", now));
        CHECK(none.empty());
        cookie_jar flood;
        for (int i = 0; i < 4000; ++i) {
            flood.set(make("http://h" + std::to_string(i) + ".t/"), "k=v", now);
        }
        CHECK(flood.size() == 3000);
        for (int i = 0; i < 60; ++i) {
            flood.set(make("http://one.t/"), "k" + std::to_string(i) + "=v", now);
        }
        CHECK(flood.size() == 3000);
        const std::string header = flood.header(make("http://one.t/"), now);
        CHECK(std::count(header.begin(), header.end(), '=') == 50);
    }
    TEST_CASE("saved as text and loaded again, it is the same jar") {
        const http::url h = make("https://a.h.t/p/q");
        cookie_jar jar;
        jar.set(h, "later=2; Path=/", now);
        jar.set(h, "k=a=b \"c\"; Domain=h.t; Secure; HttpOnly; SameSite=Lax; Max-Age=100", now);
        jar.set(h, "empty=", now);
        jar.set(h, "tab=a\tb; SameSite=None; Path=/", now);
        jar.set(h, "gone=1; Max-Age=5", now);
        const std::string text = jar.save(true, now + seconds(5));
        CHECK(text == "# Netscape HTTP Cookie File\n"
                      "a.h.t\tFALSE\t/\tFALSE\t0\tlater\t2\n"
                      "# SameSite=Lax\n"
                      "#HttpOnly_.h.t\tTRUE\t/p\tTRUE\t1700000100\tk\ta=b \"c\"\n"
                      "a.h.t\tFALSE\t/p\tFALSE\t0\tempty\t\n"
                      "# SameSite=None\n"
                      "a.h.t\tFALSE\t/\tFALSE\t0\ttab\ta\tb\n");
        cookie_jar again;
        REQUIRE(again.load(text, now));
        CHECK(again.save(true, now) == text);
        CHECK(again.header(h, now) == "k=a=b \"c\"; empty=; later=2; tab=a\tb");
        CHECK(again.begin()->site == http::same_site::unset);
        CHECK((again.begin() + 1)->site == http::same_site::lax);
        CHECK((again.begin() + 2)->site == http::same_site::unset);
        CHECK(jar.save(false, now + seconds(5)) == "# Netscape HTTP Cookie File\n# SameSite=Lax\n"
                                                   "#HttpOnly_.h.t\tTRUE\t/p\tTRUE\t1700000100\tk\ta=b \"c\"\n");
    }
    TEST_CASE("a file of curl's is read; loading adds, and leaves out what has expired") {
        cookie_jar jar;
        jar.set(make("http://h.t/"), "old=1", now);
        jar.set(make("http://h.t/"), "k=1", now);
        REQUIRE(jar.load("# Netscape HTTP Cookie File\r\n"
                         "# https://curl.se/docs/http-cookies.html\r\n"
                         "\r\n"
                         "H.T\tFALSE\t/\tFALSE\t1800000000\tk\t2\r\n"
                         ".h.t\tTRUE\t/\tFALSE\t5\texpired\t3\r\n"
                         "127.0.0.1\tFALSE\t/\tFALSE\t0\tip\t4\r\n"
                         "h.t\tFALSE\t/\tFALSE\t0\tnovalue",
                         now));
        CHECK(jar.header(make("http://h.t/"), now) == "old=1; k=2; novalue=");
        CHECK(jar.header(make("http://127.0.0.1:8/"), now) == "ip=4");
        CHECK(jar.size() == 4);
        CHECK(cookie_jar().load("", now).has_value());
    }
    TEST_CASE("a broken file is an error with its line, and the jar stays as it was") {
        const std::string good = "h.t\tFALSE\t/\tFALSE\t0\tk\tv\n";
        for (const std::string_view line : {
                 "h.t FALSE / FALSE 0 k v",
                 "h.t\tFALSE\t/\tFALSE\t0",
                 "\tFALSE\t/\tFALSE\t0\tk\tv",
                 "h t\tFALSE\t/\tFALSE\t0\tk\tv",
                 "h.t:80\tFALSE\t/\tFALSE\t0\tk\tv",
                 "h.t\tfalse\t/\tFALSE\t0\tk\tv",
                 "h.t\tFALSE\t\tFALSE\t0\tk\tv",
                 "h.t\tFALSE\tx\tFALSE\t0\tk\tv",
                 "h.t\tFALSE\t/\x01\tFALSE\t0\tk\tv",
                 "h.t\tFALSE\t/\t1\t0\tk\tv",
                 "h.t\tFALSE\t/\tFALSE\t-1\tk\tv",
                 "h.t\tFALSE\t/\tFALSE\t999999999999999\tk\tv",
                 "h.t\tFALSE\t/\tFALSE\t\tk\tv",
                 "h.t\tFALSE\t/\tFALSE\t0\t\tv",
                 "h.t\tFALSE\t/\tFALSE\t0\tk=l\tv",
                 "h.t\tFALSE\t/\tFALSE\t0\tk;l\tv",
                 "h.t\tFALSE\t/\tFALSE\t0\t k\tv",
                 "h.t\tFALSE\t/\tFALSE\t0\tk\tv;w=x",
                 "h.t\tFALSE\t/\tFALSE\t0\tk\tv\rX: y",
                 "h.t\tFALSE\t/\tFALSE\t0\tk\x7f\tv",
             }) {
            cookie_jar jar;
            const auto r = jar.load(good + std::string(line) + "\n", now);
            REQUIRE_FALSE_MESSAGE(r.has_value(), line);
            CHECK(r.error().is(flux::errc::invalid_argument));
            CHECK(r.error().message().find("line 2") != std::string::npos);
            CHECK(jar.empty());
        }
        const std::string nul("h.t\tFALSE\t/\tFALSE\t0\tk\tv\0w", 26);
        CHECK_FALSE(cookie_jar().load(nul, now).has_value());
    }
    TEST_CASE("what a jar sends may stand in a field") {
        cookie_jar jar;
        const http::url h = make("http://h.t/");
        jar.set(h, "k=\xc3\xa9 \t(x)", now);
        http::fields f;
        CHECK(f.try_add(http::field::cookie, jar.header(h, now)).has_value());
        CHECK(cookie_jar().header(h).empty());
        CHECK(cookie_jar::clock() > now);
    }
}
