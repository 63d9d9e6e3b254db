// SPDX-License-Identifier: MIT
#include <flux/http/client/proxy_rules.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <map>
#include <string>

using namespace flux;

namespace {

using variables = std::map<std::string, std::string>;

result<http::proxy_rules> from(const variables& v) {
    return http::proxy_rules::from_variables([&v](const char* name) -> const char* {
        const auto found = v.find(name);
        return found == v.end() ? nullptr : found->second.c_str();
    });
}
/// "tunnel http://p:80"
std::string text(const http::route& r) {
    static constexpr const char* kinds[] = {"direct", "forward", "tunnel", "socks"};
    const std::string kind = kinds[static_cast<int>(r.kind)];
    return r.via == nullptr ? kind : kind + " " + r.via->to_string();
}
std::string way(const variables& v, std::string_view scheme, std::string_view host, std::uint16_t port = 0) {
    const auto rules = from(v).value();
    return text(rules.route_of(scheme, host, port != 0 ? port : scheme == "https" ? 443 : 80));
}
bool excluded(std::string_view no_proxy, std::string_view host, std::uint16_t port = 80) {
    return way({{"http_proxy", "p:1"}, {"no_proxy", std::string(no_proxy)}}, "http", host, port) == "direct";
}
std::string parsed(std::string_view url) {
    auto p = http::proxy::parse(url);
    if (!p) {
        return p.error().message();
    }
    return p->to_string() + (p->has_user ? " " + p->user + "/" + p->password : "");
}

} // namespace

TEST_SUITE("http/client/proxy_rules") {

TEST_CASE("proxy URLs: schemes, ports, users") {
    CHECK(parsed("p.example:3128") == "http://p.example:3128");
    CHECK(parsed("p.example") == "http://p.example:80");
    CHECK(parsed("HTTP://p.example/") == "http://p.example:80");
    CHECK(parsed("https://p.example") == "https://p.example:443");
    CHECK(parsed("socks5://p.example") == "socks5://p.example:1080");
    CHECK(parsed("socks5h://p.example:9050") == "socks5://p.example:9050");
    CHECK(parsed("http://[::1]:8080") == "http://[::1]:8080");
    CHECK(parsed("http://user:pa%3Ass%40@p:1") == "http://p:1 user/pa:ss@");
    CHECK(parsed("user@p:1") == "http://p:1 user/");
    CHECK(parsed("http://u:p@w@p:1") == "http://p:1 u/p@w");
    CHECK(http::proxy::parse("https://p").value().where.secure);
    CHECK(!http::proxy::parse("http://p").value().where.secure);
    CHECK(http::proxy::parse("Aladdin:open%20sesame@p").value().authorization() == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    CHECK(http::proxy::parse("p").value().authorization().empty());
}

TEST_CASE("proxy URLs that cannot be used are refused with the reason, without the password") {
    CHECK(parsed("socks4://p") == "proxy \"socks4://p\": the scheme must be http, https or socks5: invalid argument");
    CHECK(parsed("http://") == "proxy \"http://\": it is no host and port: invalid argument");
    CHECK(parsed("").ends_with("invalid argument"));
    CHECK(parsed("http://p:0").ends_with("invalid argument"));
    CHECK(parsed("http://p:65536").ends_with("invalid argument"));
    CHECK(parsed("http://p/path").ends_with("invalid argument"));
    CHECK(parsed("http://p q").ends_with("invalid argument"));
    CHECK(parsed("http://p\r\nX: y").ends_with("invalid argument"));
    CHECK(parsed("http://u:secret@p:x").find("secret") == std::string::npos);
    CHECK(parsed("ftp://u:secret@p").find("secret") == std::string::npos);
    CHECK(parsed("http://a%3ab:secret@p").ends_with("a user name has no colon: invalid argument"));
}

TEST_CASE("each scheme has its variable, lower case first, then ALL_PROXY") {
    CHECK(way({}, "http", "a") == "direct");
    CHECK(way({{"http_proxy", "l:1"}, {"HTTP_PROXY", "u:1"}}, "http", "a") == "forward http://l:1");
    CHECK(way({{"HTTP_PROXY", "u:1"}}, "http", "a") == "forward http://u:1");
    CHECK(way({{"HTTP_PROXY", "u:1"}}, "https", "a") == "direct");
    CHECK(way({{"https_proxy", "l:1"}, {"HTTPS_PROXY", "u:1"}}, "https", "a") == "tunnel http://l:1");
    CHECK(way({{"HTTPS_PROXY", "u:1"}}, "HTTPS", "a") == "tunnel http://u:1");
    CHECK(way({{"HTTPS_PROXY", "u:1"}}, "http", "a") == "direct");
    CHECK(way({{"ALL_PROXY", "u:1"}}, "http", "a") == "forward http://u:1");
    CHECK(way({{"all_proxy", "l:1"}, {"ALL_PROXY", "u:1"}}, "https", "a") == "tunnel http://l:1");
    CHECK(way({{"all_proxy", "socks5://s"}}, "https", "a") == "socks socks5://s:1080");
    CHECK(way({{"all_proxy", "socks5h://s"}}, "http", "a") == "socks socks5://s:1080");
    CHECK(way({{"http_proxy", ""}, {"HTTP_PROXY", "u:1"}}, "http", "a") == "forward http://u:1");
    CHECK(way({{"https_proxy", "https://p"}}, "https", "a") == "tunnel https://p:443");
}

TEST_CASE("in a CGI program HTTP_PROXY is what a client sent, and is not read [httpoxy]") {
    CHECK(way({{"HTTP_PROXY", "evil:1"}, {"REQUEST_METHOD", "GET"}}, "http", "a") == "direct");
    CHECK(way({{"http_proxy", "l:1"}, {"REQUEST_METHOD", "GET"}}, "http", "a") == "forward http://l:1");
    CHECK(way({{"HTTPS_PROXY", "u:1"}, {"REQUEST_METHOD", "GET"}}, "https", "a") == "tunnel http://u:1");
    CHECK(way({{"HTTP_PROXY", "u:1"}, {"REQUEST_METHOD", ""}}, "http", "a") == "forward http://u:1");
}

TEST_CASE("a variable that cannot be used is an error that names it") {
    auto r = from({{"HTTPS_PROXY", "gopher://x"}});
    REQUIRE(!r);
    CHECK(r.error().message().starts_with("HTTPS_PROXY: proxy \"gopher://x\": "));
    CHECK(r.error().kind() == error_kind::usage);
}

TEST_CASE("this machine is never asked of a proxy of the environment") {
    for (const char* host : {"localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"}) {
        CAPTURE(host);
        CHECK(way({{"all_proxy", "p:1"}}, "http", host) == "direct");
    }
    for (const char* host : {"localhost.example", "mylocalhost", "128.0.0.1", "::2"}) {
        CAPTURE(host);
        CHECK(way({{"all_proxy", "p:1"}}, "http", host) != "direct");
    }
}

TEST_CASE("a proxy that was given in so many words is for this machine, too") {
    const auto p = http::proxy::parse("p:1").value();
    CHECK(text(http::proxy_rules::only(p).route_of("http", "127.0.0.1", 80)) == "forward http://p:1");
    CHECK(text(http::proxy_rules::only(p).route_of("https", "localhost", 443)) == "tunnel http://p:1");
    CHECK(text(http::proxy_rules::only(p, "localhost").route_of("https", "localhost", 443)) == "direct");
    CHECK(text(http::proxy_rules().route_of("https", "a", 443)) == "direct");
}

TEST_CASE("NO_PROXY: names with what is below them, with and without a dot") {
    for (const char* list : {"example.org", ".example.org", "EXAMPLE.org.", " a,, example.org ", "x example.org", "x\texample.org"}) {
        CAPTURE(list);
        CHECK(excluded(list, "example.org"));
        CHECK(excluded(list, "www.Example.ORG"));
        CHECK(excluded(list, "a.b.example.org."));
        CHECK(!excluded(list, "badexample.org"));
        CHECK(!excluded(list, "example.org.evil"));
        CHECK(!excluded(list, "org"));
    }
    CHECK(excluded("*.example.org", "www.example.org"));
    CHECK(!excluded("*.example.org", "example.org"));
    CHECK(excluded("*", "anything"));
    CHECK(excluded("a,*", "192.0.2.1"));
    CHECK(!excluded("", "a"));
    CHECK(!excluded(",. ,", "a"));
    CHECK(way({{"http_proxy", "p"}, {"no_proxy", "a"}, {"NO_PROXY", "b"}}, "http", "b") == "forward http://p:80");
    CHECK(way({{"http_proxy", "p"}, {"NO_PROXY", "b"}}, "http", "b") == "direct");
}

TEST_CASE("NO_PROXY: ports") {
    CHECK(excluded("example.org:8080", "example.org", 8080));
    CHECK(excluded("example.org:8080", "www.example.org", 8080));
    CHECK(!excluded("example.org:8080", "example.org", 80));
    CHECK(excluded("192.0.2.1:8080", "192.0.2.1", 8080));
    CHECK(!excluded("192.0.2.1:8080", "192.0.2.1", 80));
    CHECK(excluded("[2001:db8::1]:8080", "2001:db8::1", 8080));
    CHECK(!excluded("[2001:db8::1]:8080", "2001:db8::1", 80));
    CHECK(!excluded("example.org:", "example.org"));
    CHECK(!excluded("example.org:x", "example.org"));
    CHECK(!excluded("example.org:0", "example.org"));
}

TEST_CASE("NO_PROXY: addresses and blocks of them") {
    CHECK(excluded("192.0.2.1", "192.0.2.1"));
    CHECK(!excluded("192.0.2.1", "192.0.2.10"));
    CHECK(!excluded("192.0.2.1", "x.192.0.2.1"));
    CHECK(excluded("2001:db8::1", "[2001:DB8:0:0::1]"));
    CHECK(excluded("[2001:db8::1]", "2001:db8::1"));
    CHECK(excluded("10.0.0.0/8", "10.255.0.1"));
    CHECK(!excluded("10.0.0.0/8", "11.0.0.1"));
    CHECK(excluded("192.168.128.0/17", "192.168.255.1"));
    CHECK(!excluded("192.168.128.0/17", "192.168.127.1"));
    CHECK(excluded("192.0.2.4/31", "192.0.2.5"));
    CHECK(!excluded("192.0.2.4/31", "192.0.2.6"));
    CHECK(excluded("0.0.0.0/0", "8.8.8.8"));
    CHECK(!excluded("0.0.0.0/0", "2001:db8::1"));
    CHECK(excluded("2001:db8::/33", "2001:db8:7fff::1"));
    CHECK(!excluded("2001:db8::/33", "2001:db8:8000::1"));
    CHECK(excluded("192.0.2.0/24", "::ffff:192.0.2.9"));
    for (const char* odd : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0/8", "a/8", "::/129"}) {
        CHECK(!excluded(odd, "10.0.0.1"));
        CHECK(!excluded(odd, "::1:2"));
    }
}

TEST_CASE("the environment of this process is read when it is asked for") {
    const auto r = http::proxy_rules::from_environment();
    CHECK((r.has_value() || r.error().kind() == error_kind::usage));
}

}
