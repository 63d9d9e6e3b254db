// SPDX-License-Identifier: MIT
#include <flux/net/endpoint.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

using flux::address_family;
using flux::endpoint;
using flux::errc;
using flux::result;

namespace {

endpoint of(std::string_view text) { return endpoint::parse(text).value(); }

std::string octets(const endpoint& e) {
    std::string text;
    for (const std::byte b : e.address()) {
        text += static_cast<char>(b);
    }
    return text;
}

std::string path_of(const endpoint& e) { return std::string(e.path()); }

// The whole message of the error, or the address where there is none.
std::string outcome(std::string_view text) {
    const result<endpoint> r = endpoint::parse(text);
    if (r) {
        return "accepted as " + r->to_string();
    }
    CHECK(r.error().is(errc::invalid_argument));
    return r.error().message();
}

std::string loopback_interface() {
    char name[IF_NAMESIZE] = {};
    return ::if_indextoname(1, name) != nullptr ? name : "";
}

endpoint through_the_kernel(const endpoint& e) {
    sockaddr_storage address{};
    const socklen_t size = e.to_sockaddr(address);
    return endpoint::from_sockaddr(address, size).value();
}

// Binds a socket of the right family there, and says what the kernel calls the address.
result<endpoint> bound(const endpoint& e) {
    sockaddr_storage address{};
    socklen_t size = e.to_sockaddr(address);
    const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
        const flux::error why = flux::error::from_errno(errno);
        ::close(fd);
        return flux::fail(why);
    }
    address = {};
    size = sizeof(address);
    CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    ::close(fd);
    return endpoint::from_sockaddr(address, size);
}

} // namespace

TEST_SUITE("net/endpoint") {

TEST_CASE("texts that are canonical come back unchanged, also through a socket address") {
    const std::string_view table[] = {
        "127.0.0.1:80",
        "0.0.0.0:0",
        "255.255.255.255:65535",
        "1.2.3.4:1",
        "[::1]:80",
        "[::]:0",
        "[2001:db8::1]:443",
        "[2001:db8:0:1:1:1:1:1]:443",
        "[::ffff:1.2.3.4]:8080",
        "[ff02::1]:5353",
        "[fe80::1]:80",
        "[fe80::1%4294967]:80",
        "unix:/run/app.sock",
        "unix:relative.sock",
        "unix:/with space/and:colon/[x]",
        "unix:@abstract",
        "unix:\\x40not-abstract",
        "unix:@a\\x00b\\x0a\\x5c\\x22",
        "unix:/line\\x0abreak",
        "unix:/\xc3\xa9",
    };
    for (const std::string_view text : table) {
        CAPTURE(text);
        const endpoint e = of(text);
        CHECK(e.to_string() == text);
        CHECK(through_the_kernel(e) == e);
        CHECK(through_the_kernel(e).to_string() == text);
    }
}

TEST_CASE("texts that are not canonical are read, and written in the canonical form") {
    CHECK(of("[0:0:0:0:0:0:0:1]:80").to_string() == "[::1]:80");
    CHECK(of("[2001:DB8::A]:80").to_string() == "[2001:db8::a]:80");
    CHECK(of("[::FFFF:102:304]:80").to_string() == "[::ffff:1.2.3.4]:80");
    CHECK(of("unix:@\\x41\\xC3").to_string() == "unix:@A\xc3");
}

TEST_CASE("an IPv4 endpoint has four octets, a port and no scope") {
    const endpoint e = of("10.20.30.40:8080");
    CHECK(e.family() == address_family::ipv4);
    CHECK(e.port() == 8080);
    CHECK(e.scope_id() == 0);
    CHECK(octets(e) == "\x0a\x14\x1e\x28");
    CHECK(e.is_ip());
    CHECK(e.path().empty());
    CHECK(e == endpoint::ipv4({10, 20, 30, 40}, 8080));
    sockaddr_storage address{};
    CHECK(e.to_sockaddr(address) == sizeof(sockaddr_in));
    CHECK(address.ss_family == AF_INET);
}

TEST_CASE("an IPv6 endpoint has sixteen octets") {
    const endpoint e = of("[2001:db8::7]:1");
    CHECK(e.family() == address_family::ipv6);
    CHECK(octets(e) == std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16));
    CHECK(e.is_ip());
    CHECK_FALSE(e.is_dual_stack());
    sockaddr_storage address{};
    CHECK(e.to_sockaddr(address) == sizeof(sockaddr_in6));
    CHECK(address.ss_family == AF_INET6);
}

TEST_CASE("a port alone means every interface of both IP versions") {
    const endpoint e = of(":8080");
    CHECK(e.is_dual_stack());
    CHECK(e.is_wildcard());
    CHECK(e.family() == address_family::ipv6);
    CHECK(e.port() == 8080);
    CHECK(e.to_string() == ":8080");
    CHECK(e == endpoint::any(8080));
    CHECK(e != of("[::]:8080"));
    CHECK(e.with_port(9).to_string() == ":9");
    CHECK(through_the_kernel(e) == of("[::]:8080")); // the kernel does not know of the choice
}

TEST_CASE("a scope id is an interface's name or number, and is written by name [RFC 4007 11]") {
    const std::string lo = loopback_interface();
    if (!lo.empty()) {
        const endpoint e = of("[fe80::1%" + lo + "]:80");
        CHECK(e.scope_id() == 1);
        CHECK(e.to_string() == "[fe80::1%" + lo + "]:80");
        CHECK(of("[fe80::1%1]:80") == e);
        CHECK(of("[ff02::1%1]:80").scope_id() == 1);
        CHECK(of("[ff01::1%1]:80").scope_id() == 1);
        CHECK(through_the_kernel(e) == e);
    }
    CHECK(of("[fe80::1%2147483647]:80").scope_id() == 2147483647);
    CHECK(of("[fe80::1%999999]:80").to_string() == "[fe80::1%999999]:80");
    CHECK(of("[fe80::1]:80") != of("[fe80::1%999999]:80"));
}

TEST_CASE("the kernel's address of a global one carries no scope") {
    std::array<std::uint8_t, 16> global{0x20, 0x01};
    CHECK(endpoint::ipv6(global, 1, 7).scope_id() == 0);
    std::array<std::uint8_t, 16> link{0xfe, 0x80};
    CHECK(endpoint::ipv6(link, 1, 7).scope_id() == 7);
    link[1] = 0xbf;
    CHECK(endpoint::ipv6(link, 1, 7).scope_id() == 7);
    link[1] = 0xc0;
    CHECK(endpoint::ipv6(link, 1, 7).scope_id() == 0);
    link = {0xff, 0x12};
    CHECK(endpoint::ipv6(link, 1, 7).scope_id() == 7);
    link = {0xff, 0x0e};
    CHECK(endpoint::ipv6(link, 1, 7).scope_id() == 0);
}

TEST_CASE("what is wrong with a text is said, and the text is quoted") {
    struct row {
        std::string_view text;
        std::string_view reason;
    };
    const row table[] = {
        {"", "the text is empty"},
        {"127.0.0.1", "the port is missing"},
        {"localhost", "the port is missing"},
        {"127.0.0.1:", "the port is missing"},
        {":", "the port is missing"},
        {"[::1]:", "the port is missing"},
        {"[::1]", "the port is missing"},
        {"[]", "the port is missing"},
        {"127.0.0.1:65536", "the port is out of range"},
        {"127.0.0.1:99999999999999999999999", "the port is out of range"},
        {"127.0.0.1:080", "the port has a leading zero"},
        {"127.0.0.1:00", "the port has a leading zero"},
        {"127.0.0.1:http", "the port is not a decimal number"},
        {"127.0.0.1:+80", "the port is not a decimal number"},
        {"127.0.0.1:-1", "the port is not a decimal number"},
        {"127.0.0.1: 80", "the port is not a decimal number"},
        {"127.0.0.1:80 ", "the port is not a decimal number"},
        {"127.0.0.1:0x50", "the port is not a decimal number"},
        {"127.0.0.1:80/", "the port is not a decimal number"},
        {"localhost:80", "the host is not an IP address"},
        {"*:80", "the host is not an IP address"},
        {" 127.0.0.1:80", "the host is not an IP address"},
        {"127.0.0.1 :80", "the host is not an IP address"},
        {"127.1:80", "the host is not an IP address"},
        {"2130706433:80", "the host is not an IP address"},
        {"0x7f.0.0.1:80", "the host is not an IP address"},
        {"127.0.0.01:80", "the host is not an IP address"},
        {"127.0.0.256:80", "the host is not an IP address"},
        {"127.0.0.1.:80", "the host is not an IP address"},
        {"127.0.0.0.1:80", "the host is not an IP address"},
        {"127..0.1:80", "the host is not an IP address"},
        {"127.0.0.-1:80", "the host is not an IP address"},
        {"111111111.222222222.33333333:80", "the host is not an IP address"},
        {"::1:80", "an IPv6 address must be in brackets, as in [::1]:80"},
        {"127.0.0.1:80:80", "an IPv6 address must be in brackets, as in [::1]:80"},
        {"[::1", "the bracket is not closed"},
        {"[", "the bracket is not closed"},
        {"[::1]80", "after the bracket there must be a colon and a port"},
        {"[::1]]:80", "after the bracket there must be a colon and a port"},
        {"[]:80", "the host is not an IPv6 address"},
        {"[127.0.0.1]:80", "the host is not an IPv6 address"},
        {"[[::1]:80", "the host is not an IPv6 address"},
        {"[:::1]:80", "the host is not an IPv6 address"},
        {"[1::2::3]:80", "the host is not an IPv6 address"},
        {"[1:2:3:4:5:6:7]:80", "the host is not an IPv6 address"},
        {"[1:2:3:4:5:6:7:8:9]:80", "the host is not an IPv6 address"},
        {"[12345::]:80", "the host is not an IPv6 address"},
        {"[::g]:80", "the host is not an IPv6 address"},
        {"[ ::1]:80", "the host is not an IPv6 address"},
        {"[::1.2.3]:80", "the host is not an IPv6 address"},
        {"[::1/128]:80", "the host is not an IPv6 address"},
        {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:80", "the host is not an IPv6 address"},
        {"[%1]:80", "the host is not an IPv6 address"},
        {"[::1%1]:80", "a scope id fits a link-local address only"},
        {"[2001:db8::1%1]:80", "a scope id fits a link-local address only"},
        {"[fe80::1%]:80", "the scope id is empty"},
        {"[fe80::1%no such]:80", "the scope id is not a network interface of this machine"},
        {"[fe80::1%0]:80", "the scope id is not a network interface of this machine"},
        {"[fe80::1%01]:80", "the scope id is not a network interface of this machine"},
        {"[fe80::1%-1]:80", "the scope id is not a network interface of this machine"},
        {"[fe80::1%2147483648]:80", "the scope id is not a network interface of this machine"},
        {"[fe80::1%18446744073709551617]:80", "the scope id is not a network interface of this machine"},
        {"[fe80::1%aninterfacenamethatistoolong]:80", "the scope id is not a network interface of this machine"},
        {"unix:", "the path is missing"},
        {"unix:@", "the abstract name is empty"},
        {"unix", "the port is missing"},
        {"unix:/a\\x00b", "a path cannot contain NUL"},
        {"unix:\\x00b", "a path cannot contain NUL"},
        {"UNIX:/run/x", "the port is not a decimal number"},
    };
    for (const row& r : table) {
        const std::string expected =
            "endpoint \"" + std::string(r.text) + "\": " + std::string(r.reason) + ": invalid argument";
        if (r.text.find('\\') == std::string_view::npos) {
            CHECK(outcome(r.text) == expected);
        } else {
            CHECK(outcome(r.text).ends_with(std::string(r.reason) + ": invalid argument"));
        }
    }
}

TEST_CASE("octets that would end a C string early, or forge a line of a log, are refused and quoted safely") {
    using namespace std::string_view_literals;
    CHECK(outcome("127.0.0.1\0:80"sv) == "endpoint \"127.0.0.1\\x00:80\": the host is not an IP address: invalid argument");
    CHECK(outcome("[::1\0]:80"sv) == "endpoint \"[::1\\x00]:80\": the host is not an IPv6 address: invalid argument");
    CHECK(outcome("127.0.0.1:80\n"sv) ==
          "endpoint \"127.0.0.1:80\\x0a\": the port is not a decimal number: invalid argument");
    CHECK(outcome("127.0.0.1:8\0"sv) ==
          "endpoint \"127.0.0.1:8\\x00\": the port is not a decimal number: invalid argument");
    CHECK(outcome("unix:/a\nb"sv) ==
          "endpoint \"unix:/a\\x0ab\": a control octet must be written as \\xNN: invalid argument");
    CHECK(outcome("unix:/a\0b"sv) ==
          "endpoint \"unix:/a\\x00b\": a control octet must be written as \\xNN: invalid argument");
    CHECK(outcome("unix:/a\\b"sv) ==
          "endpoint \"unix:/a\\x5cb\": a backslash must be followed by x and two hexadecimal digits: invalid argument");
    for (const std::string_view text : {"unix:\\", "unix:\\x", "unix:\\x0", "unix:\\xg0", "unix:\\x0g", "unix:\\y00"}) {
        CHECK(outcome(text).ends_with("a backslash must be followed by x and two hexadecimal digits: invalid argument"));
    }
    CHECK(outcome("\"\x7f:1"sv) == "endpoint \"\\x22\\x7f:1\": the host is not an IP address: invalid argument");
    const std::string lo = loopback_interface();
    CHECK(outcome("[fe80::1%" + lo + std::string("\0]:80", 5)).find("not a network interface") != std::string::npos);
}

TEST_CASE("the quotation of a long text is cut") {
    const std::string message = outcome(std::string(100000, 'x'));
    CHECK(message == "endpoint \"" + std::string(120, 'x') + "...\": the port is missing: invalid argument");
}

TEST_CASE("Unix paths and names may have 107 octets and no more [unix(7)]") {
    const std::string path = "/" + std::string(106, 'p');
    CHECK(path_of(of("unix:" + path)) == path);
    CHECK(outcome("unix:" + path + "p").ends_with("the path is longer than 107 octets: invalid argument"));
    const std::string name(107, 'n');
    CHECK(octets(of("unix:@" + name)) == std::string(1, '\0') + name);
    CHECK(through_the_kernel(of("unix:@" + name)).to_string() == "unix:@" + name);
    CHECK(outcome("unix:@" + name + "n").ends_with("the abstract name is longer than 107 octets: invalid argument"));
}

TEST_CASE("a Unix endpoint has a path or an abstract name, and no port") {
    const endpoint path = of("unix:/run/app.sock");
    CHECK(path.family() == address_family::local);
    CHECK(path.path() == "/run/app.sock");
    CHECK_FALSE(path.is_abstract());
    CHECK_FALSE(path.is_ip());
    CHECK(path.port() == 0);
    CHECK(path.with_port(80) == path);
    sockaddr_storage address{};
    CHECK(path.to_sockaddr(address) == offsetof(sockaddr_un, sun_path) + 13 + 1); // with its NUL

    const endpoint name = of("unix:@app");
    CHECK(name.is_abstract());
    CHECK(name.path().empty());
    CHECK(octets(name) == std::string("\0app", 4));
    CHECK(name.to_sockaddr(address) == offsetof(sockaddr_un, sun_path) + 4); // all of it is the name
    CHECK(name != of("unix:app"));
    CHECK(path_of(of("unix:\\x40app")) == "@app");
}

TEST_CASE("no address is a value of its own") {
    const endpoint none;
    CHECK(none.family() == address_family::none);
    CHECK(none.to_string().empty());
    CHECK(none.address().empty());
    CHECK_FALSE(none.is_loopback());
    CHECK_FALSE(none.is_wildcard());
    sockaddr_storage address{};
    CHECK(none.to_sockaddr(address) == 0);
    CHECK(none == endpoint());
    CHECK(none != of(":0"));
}

TEST_CASE("loopback is 127.0.0.0/8 and ::1, also in mapped form") {
    for (const std::string_view text :
         {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "[::ffff:127.8.0.1]:1"}) {
        CAPTURE(text);
        CHECK(of(text).is_loopback());
    }
    for (const std::string_view text : {"128.0.0.1:1", "126.0.0.1:1", "0.0.0.0:1", ":1", "[::]:1", "[::2]:1", "[1::1]:1",
                                        "[::127.0.0.1]:1", "[::ffff:128.0.0.1]:1", "unix:/a", "unix:@a"}) {
        CAPTURE(text);
        CHECK_FALSE(of(text).is_loopback());
    }
    CHECK(endpoint::loopback(9).to_string() == "127.0.0.1:9");
}

TEST_CASE("a wildcard is an IP address of zeros only") {
    CHECK(of("0.0.0.0:1").is_wildcard());
    CHECK(of("[::]:1").is_wildcard());
    CHECK(of(":1").is_wildcard());
    CHECK_FALSE(of("0.0.0.1:1").is_wildcard());
    CHECK_FALSE(of("[::1]:1").is_wildcard());
    CHECK_FALSE(of("unix:/a").is_wildcard());
}

TEST_CASE("a mapped endpoint unmaps to IPv4, others stay [RFC 4291 2.5.5.2]") {
    CHECK(of("[::ffff:1.2.3.4]:80").unmapped() == of("1.2.3.4:80"));
    CHECK(of("[::ffff:1.2.3.4]:80") != of("1.2.3.4:80"));
    for (const std::string_view text : {"[::1.2.3.4]:80", "[::fffe:1.2.3.4]:80", "1.2.3.4:80", "unix:/a", ":80"}) {
        CHECK(of(text).unmapped() == of(text));
    }
}

TEST_CASE("an IP address without port is read the same way, and a name is told apart from it") {
    CHECK(endpoint::parse_ip("1.2.3.4", 80).value() == of("1.2.3.4:80"));
    CHECK(endpoint::parse_ip("::1", 80).value() == of("[::1]:80"));
    CHECK(endpoint::parse_ip("fe80::1%1", 80).value() == of("[fe80::1%1]:80"));
    for (const std::string_view text : {"", "localhost", "[::1]", "1.2.3.4:80", "1.2.3", "::1%1", "1.2.3.4%1", ":"}) {
        CAPTURE(text);
        const result<endpoint> r = endpoint::parse_ip(text, 80);
        REQUIRE_FALSE(r);
        CHECK(r.error().is(errc::invalid_argument));
    }
}

TEST_CASE("the order is total and agrees with equality and hash") {
    const std::string_view table[] = {"0.0.0.0:1", "0.0.0.0:2",   "1.2.3.4:1",     "[::]:1",  ":1",     "[::1]:1",
                                      "[::1]:2",   "[fe80::1]:1", "[fe80::1%9]:1", "unix:/a", "unix:@a"};
    std::unordered_set<endpoint> seen;
    std::unordered_set<std::size_t> hashes;
    std::vector<endpoint> all;
    for (const std::string_view text : table) {
        all.push_back(of(text));
        seen.insert(of(text));
        seen.insert(of(text));
        hashes.insert(of(text).hash());
    }
    CHECK(seen.size() == all.size());
    CHECK(hashes.size() == all.size());
    for (const endpoint& a : all) {
        for (const endpoint& b : all) {
            CHECK(((a <=> b) == 0) == (a == b));
            CHECK((a < b) == (b > a));
            CHECK((a == b) == (&a == &b));
        }
    }
    std::sort(all.begin(), all.end());
    for (std::size_t i = 1; i < all.size(); ++i) {
        CHECK(all[i - 1] < all[i]);
    }
    CHECK(all.front() == of("0.0.0.0:1"));
}

TEST_CASE("socket addresses of wrong size or family are refused") {
    sockaddr_storage address{};
    const auto message = [&](std::size_t size) {
        const result<endpoint> r = endpoint::from_sockaddr(address, static_cast<socklen_t>(size));
        return r ? "accepted" : r.error().message();
    };
    CHECK(message(0) == "socket address of an impossible size: invalid argument");
    CHECK(message(1) == "socket address of an impossible size: invalid argument");
    CHECK(message(sizeof(address) + 1) == "socket address of an impossible size: invalid argument");
    CHECK(message(16) == "socket address of an unknown family: invalid argument");
    address.ss_family = AF_PACKET;
    CHECK(message(20) == "socket address of an unknown family: invalid argument");
    address.ss_family = AF_INET;
    CHECK(message(sizeof(sockaddr_in) - 1) == "IPv4 socket address cut short: invalid argument");
    CHECK(message(sizeof(sockaddr_in)) == "accepted");
    address.ss_family = AF_INET6;
    CHECK(message(sizeof(sockaddr_in6) - 1) == "IPv6 socket address cut short: invalid argument");
    CHECK(message(sizeof(sockaddr_in6)) == "accepted");
}

TEST_CASE("Unix socket addresses are read at every length that the kernel reports [unix(7)]") {
    constexpr socklen_t offset = offsetof(sockaddr_un, sun_path);
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    const auto read = [&](std::size_t size) {
        sockaddr_storage address{};
        std::memcpy(&address, &un, sizeof(un));
        return endpoint::from_sockaddr(address, static_cast<socklen_t>(size)).value();
    };
    CHECK(read(offset).family() == address_family::local); // the unnamed peer of an accepted connection
    CHECK(octets(read(offset)).empty());
    CHECK(read(offset).to_string() == "unix:");
    sockaddr_storage again{};
    CHECK(read(offset).to_sockaddr(again) == offset);

    std::snprintf(un.sun_path, sizeof(un.sun_path), "/a/b");
    CHECK(path_of(read(offset + 4)) == "/a/b"); // without its NUL
    CHECK(path_of(read(offset + 5)) == "/a/b");
    CHECK(path_of(read(sizeof(un))) == "/a/b"); // with all of the padding
    CHECK(path_of(read(offset + 2)) == "/a");

    std::memset(un.sun_path, 'x', sizeof(un.sun_path));
    CHECK(path_of(read(sizeof(un))) == std::string(108, 'x'));
    CHECK(path_of(read(sizeof(un) + 1)) == std::string(108, 'x')); // counts the NUL that did not fit
    CHECK(read(sizeof(un)).to_sockaddr(again) == sizeof(un));

    std::memcpy(un.sun_path, "\0a\0b", 4);
    CHECK(read(offset + 4).to_string() == "unix:@a\\x00b");
    CHECK(read(offset + 1).to_string() == "unix:@");
}

TEST_CASE("an address that was bound comes back from the kernel as it was, with the port it chose") {
    const result<endpoint> ipv4 = bound(of("127.0.0.1:0"));
    REQUIRE(ipv4);
    CHECK(ipv4->port() != 0);
    CHECK(ipv4->with_port(0) == of("127.0.0.1:0"));
    if (const result<endpoint> ipv6 = bound(of("[::1]:0"))) {
        CHECK(ipv6->with_port(0) == of("[::1]:0"));
    }
    const std::string unique = "flux-endpoint-test-" + std::to_string(::getpid());
    CHECK(bound(of("unix:@" + unique)).value() == of("unix:@" + unique));
    const std::string path = "/tmp/" + unique;
    CHECK(bound(of("unix:" + path)).value() == of("unix:" + path));
    CHECK(::unlink(path.c_str()) == 0);
    const std::string longest = path + std::string(107 - path.size(), 'x');
    CHECK(bound(of("unix:" + longest)).value() == of("unix:" + longest));
    CHECK(::unlink(longest.c_str()) == 0);
}

TEST_CASE("whatever text is accepted, its canonical form reads as the same endpoint") {
    const std::string_view seeds[] = {"127.0.0.1:80", "[2001:db8::1]:443", "[fe80::1%1]:80", ":8080",
                                      "unix:/run/a\\x0ab", "unix:@name"};
    const std::string_view alphabet = "0123456789abcdef.:[]%\\x@/unix: \"\n";
    std::mt19937 random(20240229);
    int accepted = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text(seeds[random() % std::size(seeds)]);
        for (unsigned change = random() % 4; change > 0; --change) {
            const std::size_t at = random() % text.size();
            const char c = alphabet[random() % alphabet.size()];
            switch (random() % 3) {
            case 0: text[at] = c; break;
            case 1: text.insert(at, 1, c); break;
            default: text.erase(at, 1); break;
            }
            text += text.empty() ? "x" : "";
        }
        const result<endpoint> e = endpoint::parse(text);
        if (!e) {
            continue;
        }
        ++accepted;
        CAPTURE(text);
        const result<endpoint> again = endpoint::parse(e->to_string());
        REQUIRE(again);
        REQUIRE(*again == *e);
        REQUIRE(again->to_string() == e->to_string());
        if (!e->is_dual_stack()) {
            REQUIRE(through_the_kernel(*e) == *e);
        }
    }
    CHECK(accepted > 5000);
}

} // TEST_SUITE
