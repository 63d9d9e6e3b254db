// SPDX-License-Identifier: MIT
#include <flux/net/dns_config.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <sys/time.h>

using namespace flux;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> found(const hosts_table& t, std::string_view host) {
    std::vector<std::string> all;
    t.find(host, [&](const endpoint& e) { all.push_back(e.to_string()); });
    return all;
}
using list = std::vector<std::string>;

class file {
public:
    file() {
        const int fd = ::mkstemp(path.data());
        REQUIRE(fd >= 0);
        ::close(fd);
    }
    file(const file&) = delete;
    file& operator=(const file&) = delete;
    ~file() { ::unlink(path.c_str()); }
    void write(std::string_view text, int second) const {
        const unique_fd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600));
        REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<::ssize_t>(text.size()));
        const ::timeval times[2] = {{second, 0}, {second, 0}};
        REQUIRE(::futimes(fd.get(), times) == 0);
    }
    std::string path = "/tmp/flux-dns-config-XXXXXX";
};

} // namespace

TEST_SUITE("net/dns_config") {

TEST_CASE("resolv.conf: servers, search list, options [resolv.conf(5)]") {
    const auto c = dns_config::parse("# made by hand\n"
                                     "nameserver 192.0.2.1\n"
                                     "nameserver\t2001:db8::1 # the other one\n"
                                     "nameserver fe80::1%lo\n"
                                     "nameserver not-an-address\r\n"
                                     "domain old.example\n"
                                     "search Corp.example. b.example ; c.example\n"
                                     "options ndots:3 timeout:2 rotate attempts:4 edns0\n"
                                     "options use-vc no-aaaa\n"
                                     "sortlist 130.155.160.0\n"
                                     "nameserver 192.0.2.2");
    REQUIRE(c.servers.size() == 4);
    CHECK(c.servers[0].to_string() == "192.0.2.1:53");
    CHECK(c.servers[1].to_string() == "[2001:db8::1]:53");
    CHECK(c.servers[2].to_string() == "[fe80::1%lo]:53");
    CHECK(c.servers[3].to_string() == "192.0.2.2:53");
    REQUIRE(c.search.size() == 2);
    CHECK(c.search[0] == "corp.example");
    CHECK(c.search[1] == "b.example");
    CHECK(c.ndots == 3);
    CHECK(c.timeout == 2s);
    CHECK(c.attempts == 4);
    CHECK(c.rotate);
    CHECK(c.tcp);
    CHECK(c.ipv4_only);
}

TEST_CASE("resolv.conf: an empty text has the defaults") {
    const auto c = dns_config::parse("");
    CHECK(c.servers.empty());
    CHECK(c.search.empty());
    CHECK(c.ndots == 1);
    CHECK(c.timeout == 5s);
    CHECK(c.attempts == 2);
    CHECK(!c.rotate);
    CHECK(!c.tcp);
    CHECK(!c.ipv4_only);
}

TEST_CASE("resolv.conf: numbers are brought into their range, and what is none is skipped") {
    const auto c = dns_config::parse("options ndots:99 timeout:0 attempts:99999999999999999999");
    CHECK(c.ndots == 15);
    CHECK(c.timeout == 1s);
    CHECK(c.attempts == 5);
    const auto d = dns_config::parse("options ndots:x timeout: attempts:2x rotating ndots:-1");
    CHECK(d.ndots == 1);
    CHECK(d.timeout == 5s);
    CHECK(d.attempts == 2);
    CHECK(!d.rotate);
    CHECK(dns_config::parse("options ndots:0").ndots == 0);
}

TEST_CASE("resolv.conf: `domain` takes one zone, `search .` none, and lists are bounded") {
    CHECK(dns_config::parse("domain a b").search.size() == 1);
    CHECK(dns_config::parse("search a\nsearch .").search.empty());
    CHECK(dns_config::parse("search a\nsearch").search.empty());
    std::string many = "search";
    for (int i = 0; i < 100; ++i) {
        many += " z" + std::to_string(i);
    }
    CHECK(dns_config::parse(many).search.size() == dns_config::max_search);
    std::string servers;
    for (int i = 0; i < 100; ++i) {
        servers += "nameserver 192.0.2.1\n";
    }
    CHECK(dns_config::parse(servers).servers.size() == dns_config::max_servers);
}

TEST_CASE("hosts: names and aliases, both families, in the order of the file [hosts(5)]") {
    const hosts_table t("127.0.0.1 localhost\n"
                        "# 192.0.2.9 commented\n"
                        "192.0.2.1\tA.example  a # 192.0.2.8 tail\r\n"
                        "2001:db8::1 a.Example.\n"
                        "nonsense a.example\n"
                        "192.0.2.2\n"
                        "192.0.2.3 b a.example");
    CHECK(found(t, "a.EXAMPLE") == list{"192.0.2.1:0", "[2001:db8::1]:0", "192.0.2.3:0"});
    CHECK(found(t, "a.example.") == found(t, "a.example"));
    CHECK(found(t, "a") == list{"192.0.2.1:0"});
    CHECK(found(t, "b") == list{"192.0.2.3:0"});
    CHECK(found(t, "tail").empty());
    CHECK(found(t, "commented").empty());
    CHECK(found(t, "192.0.2.2").empty());
    CHECK(found(t, "").empty());
    CHECK(found(hosts_table(), "a").empty());
}

TEST_CASE("hosts: every name of a long file is found") {
    std::string text;
    for (int i = 0; i < 20'000; ++i) {
        text += "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + " host" + std::to_string(i) + "\n";
    }
    const hosts_table t(text);
    CHECK(t.size() == 20'000);
    for (int i = 0; i < 20'000; i += 7) {
        const auto all = found(t, "host" + std::to_string(i));
        REQUIRE(all.size() == 1);
        CHECK(all[0] == "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":0");
    }
}

TEST_CASE("a file is read again after a change, and looked at once a second at most") {
    const file f;
    f.write("one", 1000);
    detail::watched_file<std::string> w(f.path, 100);
    std::string text;
    const time_point start = time_point() + 1h;
    CHECK(w.refresh(start, text));
    CHECK(text == "one");
    f.write("two", 2000);
    CHECK(!w.refresh(start + 999ms, text));
    CHECK(w.refresh(start + 1s, text));
    CHECK(text == "two");
    CHECK(!w.refresh(start + 2s, text)); // unchanged
    REQUIRE(::unlink(f.path.c_str()) == 0);
    CHECK(w.refresh(start + 3s, text));
    CHECK(text.empty());
    CHECK(!w.refresh(start + 4s, text));
    f.write(std::string(300, 'x'), 3000);
    CHECK(w.refresh(start + 5s, text));
    CHECK(text.size() == 100);
}

TEST_CASE("what is no file is as if it were not there") {
    std::string text = "before";
    detail::watched_file<std::string> none("", 100);
    CHECK(!none.refresh(time_point() + 1h, text));
    detail::watched_file<std::string> directory("/tmp", 100);
    CHECK(!directory.refresh(time_point() + 1h, text));
    CHECK(text == "before");
}

}
