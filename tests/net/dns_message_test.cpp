// SPDX-License-Identifier: MIT
#include <flux/net/dns_message.hpp> // also proves the header is self-contained

#include <support/dns_builder.hpp>
#include <support/octets.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using test_support::dns_builder;
using test_support::dns_name;
using test_support::dns_question;
using test_support::dns_u16;

namespace {

constexpr unsigned id = 0x1234;

dns::query ask(std::string_view name, dns::record_type type = dns::record_type::a) {
    return dns::query(dns::name::parse(name).value(), type, id);
}
std::span<const std::byte> octets(std::string_view text) { return std::as_bytes(std::span(text)); }

struct read {
    dns::verdict verdict;
    dns::answer answer;
};
read parse(std::string_view message, const dns::query& q) {
    read r{};
    r.verdict = dns::read_answer(octets(message), q, r.answer);
    return r;
}
read parse(const dns_builder& message, const dns::query& q) { return parse(message.text(), q); }
std::string refusal(std::string_view name) {
    auto n = dns::name::parse(name);
    return n ? "accepted" : n.error().message();
}

} // namespace

TEST_SUITE("net/dns_message") {

TEST_CASE("a host name becomes labels in lower case, and text again [RFC 1035 3.1]") {
    const dns::name n = dns::name::parse("WWW.Example.COM.").value();
    CHECK(n.to_string() == "www.example.com");
    CHECK(n == dns::name::parse("www.example.com").value());
    CHECK(std::string(n.wire().begin(), n.wire().end()) == dns_name("www.example.com"));
    CHECK(dns::name().to_string() == ".");
    CHECK(dns::name::parse("_srv.a-b.x1").has_value());
    CHECK(dns::name::parse("1.2.3.4.in-addr.arpa").has_value());
}

TEST_CASE("what is no host name is refused with the reason") {
    CHECK(refusal("") == "name \"\": it is empty: invalid argument");
    CHECK(refusal(".") == "name \".\": it is empty: invalid argument");
    CHECK(refusal("a..b") == "name \"a..b\": a label is empty: invalid argument");
    CHECK(refusal(".a") == "name \".a\": a label is empty: invalid argument");
    CHECK(refusal("a b") == "name \"a\\032b\": a host name has letters, digits and hyphens only (others as xn--...): invalid argument");
    CHECK(refusal(std::string("a\0b", 3)).find("letters") != std::string::npos);
    CHECK(refusal("\xc3\xa4.example").find("xn--") != std::string::npos);
    CHECK(refusal(std::string(64, 'a')).find("63 octets") != std::string::npos);
    CHECK(refusal(std::string(63, 'a')) == "accepted");
    std::string longest;
    for (int i = 0; i < 3; ++i) {
        longest += std::string(63, 'a') + ".";
    }
    CHECK(refusal(longest + std::string(61, 'b')) == "accepted"); // 253
    CHECK(refusal(longest + std::string(61, 'b') + ".") == "accepted");
    CHECK(refusal(longest + std::string(62, 'b')).find("253 octets") != std::string::npos);
    for (const char* number : {"1", "127.1", "1.2.3.4.5", "0x7f000001", "a.0X7f", "256.1.1.1", "0x"}) {
        CHECK(refusal(number).find("ends in a number") != std::string::npos);
    }
}

TEST_CASE("a zone holds itself and what is below it, by whole labels") {
    const dns::name host = dns::name::parse("a.b.example").value();
    CHECK(host.is_under(dns::name::parse("b.example").value()));
    CHECK(host.is_under(host));
    CHECK(host.is_under(dns::name()));
    CHECK(!host.is_under(dns::name::parse("x.a.b.example").value()));
    CHECK(!dns::name::parse("ab.example").value().is_under(dns::name::parse("b.example").value()));
}

TEST_CASE("a query has exact octets [RFC 1035 4.1, RFC 6891 6.1.2]") {
    const dns::query q = ask("A.example", dns::record_type::aaaa);
    CHECK(test_support::to_hex(std::string(reinterpret_cast<const char*>(q.octets().data()), q.octets().size())) ==
          "1234"
          "0100"
          "0001000000000001"
          "0161076578616d706c6500"
          "001c0001"
          "00002904d0000000000000");
    const dns::query plain(dns::name::parse("a").value(), dns::record_type::a, 7, false);
    CHECK(test_support::to_hex(std::string(reinterpret_cast<const char*>(plain.octets().data()), plain.octets().size())) ==
          "000701000001000000000000016100"
          "00010001");
    const dns_question seen(std::string_view(reinterpret_cast<const char*>(q.octets().data()), q.octets().size()));
    CHECK(seen.text == "a.example");
    CHECK(seen.type == 28);
    CHECK(seen.has_edns);
}

TEST_CASE("addresses of the name that was asked for, with the least TTL") {
    const auto q = ask("a.example");
    auto r = parse(dns_builder(id, "a.example", 1).v4("a.example", {192, 0, 2, 1}, 300).v4("A.EXAMPLE", {192, 0, 2, 2}, 20), q);
    CHECK(r.verdict == dns::verdict::ours);
    CHECK(r.answer.code == dns::response_code::no_error);
    REQUIRE(r.answer.addresses.size() == 2);
    CHECK(r.answer.addresses[0] == endpoint::ipv4({192, 0, 2, 1}, 0));
    CHECK(r.answer.addresses[1] == endpoint::ipv4({192, 0, 2, 2}, 0));
    CHECK(r.answer.ttl == 20);
    CHECK(r.answer.cacheable);

    const auto six = ask("a.example", dns::record_type::aaaa);
    r = parse(dns_builder(id, "a.example", 28).v6("a.example", 9), six);
    REQUIRE(r.answer.addresses.size() == 1);
    CHECK(r.answer.addresses[0].to_string() == "[::9]:0");
}

TEST_CASE("records of other names, types and classes are not looked at [RFC 5452 6]") {
    const auto q = ask("a.example");
    auto r = parse(dns_builder(id, "a.example", 1)
                       .v4("b.example", {6, 6, 6, 6})
                       .v6("a.example", 1)
                       .record(0, dns_name("a.example"), dns_builder::txt, 60, "x")
                       .record(0, dns_name("a.example"), dns_builder::a, 60, "\x06\x06\x06\x06", 3)
                       .record(2, dns_name("a.example"), dns_builder::a, 60, "\x06\x06\x06\x06"),
                   q);
    CHECK(r.verdict == dns::verdict::ours);
    CHECK(r.answer.addresses.empty());
    CHECK(!r.answer.cacheable);
}

TEST_CASE("aliases are followed in any order of records") {
    const auto q = ask("a.example");
    auto r = parse(dns_builder(id, "a.example", 1)
                       .v4("c.example", {192, 0, 2, 3}, 100)
                       .alias("b.example", "c.example", 50)
                       .alias("a.example", "B.example", 70)
                       .v4("a.example", {6, 6, 6, 6}),
                   q);
    CHECK(r.verdict == dns::verdict::ours);
    CHECK(r.answer.canonical.to_string() == "c.example");
    REQUIRE(r.answer.addresses.size() == 1);
    CHECK(r.answer.addresses[0] == endpoint::ipv4({192, 0, 2, 3}, 0));
    CHECK(r.answer.ttl == 50);
}

TEST_CASE("16 aliases are followed, 17 and loops are not") {
    const auto q = ask("n0.example");
    for (const int aliases : {16, 17}) {
        dns_builder m(id, "n0.example", 1);
        for (int i = 0; i < aliases; ++i) {
            m.alias("n" + std::to_string(i) + ".example", "n" + std::to_string(i + 1) + ".example");
        }
        m.v4("n" + std::to_string(aliases) + ".example", {192, 0, 2, 1});
        CHECK(parse(m, q).verdict == (aliases == 16 ? dns::verdict::ours : dns::verdict::malformed));
    }
    CHECK(parse(dns_builder(id, "n0.example", 1).alias("n0.example", "n0.example"), q).verdict == dns::verdict::malformed);
    CHECK(parse(dns_builder(id, "n0.example", 1).alias("n0.example", "x").alias("x", "n0.example"), q).verdict ==
          dns::verdict::malformed);
}

TEST_CASE("another id, question, opcode or a query is not the answer [RFC 5452 9.1]") {
    const auto q = ask("a.example");
    const auto good = [] { return dns_builder(id, "a.example", 1).v4("a.example", {192, 0, 2, 1}); };
    CHECK(parse(good(), q).verdict == dns::verdict::ours);
    auto m = good();
    m.id ^= 1;
    CHECK(parse(m, q).verdict == dns::verdict::foreign);
    m = good();
    m.flags &= ~0x8000U; // a query
    CHECK(parse(m, q).verdict == dns::verdict::foreign);
    m = good();
    m.flags |= 0x2800U; // an update
    CHECK(parse(m, q).verdict == dns::verdict::foreign);
    m = good();
    m.questions = 0;
    CHECK(parse(m, q).verdict == dns::verdict::foreign);
    m = good();
    m.questions = 2;
    CHECK(parse(m, q).verdict == dns::verdict::foreign);
    CHECK(parse(dns_builder(id, "b.example", 1).v4("b.example", {6, 6, 6, 6}), q).verdict == dns::verdict::foreign);
    CHECK(parse(dns_builder(id, "a.example", 28).v4("a.example", {6, 6, 6, 6}), q).verdict == dns::verdict::foreign);
    m = good();
    m.question.back() = 3; // class CHAOS
    CHECK(parse(m, q).verdict == dns::verdict::foreign);
    m = good();
    m.question = dns_name("A.EXAMPLE") + dns_u16(1) + dns_u16(1);
    CHECK(parse(m, q).verdict == dns::verdict::ours);
    CHECK(parse("", q).verdict == dns::verdict::foreign);
}

TEST_CASE("failures are told apart, also without the question") {
    const auto q = ask("a.example");
    for (const unsigned code : {1U, 2U, 3U, 4U, 5U}) {
        auto r = parse(dns_builder(id, "a.example", 1).code(code), q);
        CHECK(r.verdict == dns::verdict::ours);
        CHECK(static_cast<unsigned>(r.answer.code) == code);
        CHECK(!r.answer.cacheable);
    }
    dns_builder bare(id, "a.example", 1);
    bare.code(1).questions = 0;
    CHECK(parse(bare, q).answer.code == dns::response_code::form_error);
    auto r = parse(dns_builder(id, "a.example", 1).record(2, std::string(1, '\0'), dns_builder::opt, 0x01000000, "", 1232), q);
    CHECK(r.answer.code == dns::response_code::bad_version); // 16: the upper 8 bits are in OPT [RFC 6891 6.1.3]
}

TEST_CASE("a truncated answer is nothing but that") {
    const auto q = ask("a.example");
    auto r = parse(dns_builder(id, "a.example", 1).truncated().v4("a.example", {192, 0, 2, 1}), q);
    CHECK(r.verdict == dns::verdict::ours);
    CHECK(r.answer.truncated);
    CHECK(r.answer.addresses.empty());
}

TEST_CASE("negative answers live as long as their SOA says [RFC 2308 5]") {
    const auto q = ask("a.b.example");
    auto r = parse(dns_builder(id, "a.b.example", 1).code(3).authority("example", 900, 30), q);
    CHECK(r.answer.code == dns::response_code::no_such_name);
    CHECK(r.answer.cacheable);
    CHECK(r.answer.ttl == 30);
    r = parse(dns_builder(id, "a.b.example", 1).authority("b.example", 20, 30), q);
    CHECK(r.answer.code == dns::response_code::no_error);
    CHECK(r.answer.cacheable);
    CHECK(r.answer.ttl == 20);
    CHECK(!r.answer.lame);
    r = parse(dns_builder(id, "a.b.example", 1).authority("elsewhere", 20, 30), q);
    CHECK(!r.answer.cacheable);
    r = parse(dns_builder(id, "a.b.example", 1).alias("a.b.example", "c.elsewhere", 10).authority("elsewhere", 20, 30), q);
    CHECK(r.answer.cacheable);
    CHECK(r.answer.ttl == 10);
}

TEST_CASE("a server that knows nothing and asks nobody is lame") {
    const auto q = ask("a.example");
    dns_builder m(id, "a.example", 1);
    m.record(1, dns_name("example"), dns_builder::ns, 60, dns_name("ns.example"));
    m.flags = 0x8100;
    CHECK(parse(m, q).answer.lame);
    m.flags = 0x8180;
    CHECK(!parse(m, q).answer.lame);
}

TEST_CASE("a TTL with the highest bit is 0 [RFC 2181 8]") {
    const auto q = ask("a.example");
    CHECK(parse(dns_builder(id, "a.example", 1).v4("a.example", {1, 2, 3, 4}, 0x80000000), q).answer.ttl == 0);
    CHECK(parse(dns_builder(id, "a.example", 1).v4("a.example", {1, 2, 3, 4}, 0x7fffffff), q).answer.ttl == 0x7fffffff);
}

TEST_CASE("compressed names: backwards is fine, forwards, to itself and in circles is not [RFC 1035 4.1.4]") {
    const auto q = ask("a.example");
    const auto with_owner = [](std::string_view owner) {
        return dns_builder(id, "a.example", 1).record(0, owner, dns_builder::a, 60, "\x01\x02\x03\x04");
    };
    CHECK(parse(with_owner("\xc0\x0c"), q).answer.addresses.size() == 1);
    CHECK(parse(with_owner("\x01""a\xc0\x0e"), q).answer.addresses.size() == 1);
    const unsigned here = 12 + 11 + 4; // where the record begins
    const auto pointer = [](unsigned to) { return dns_u16(0xc000 | to); };
    CHECK(parse(with_owner(pointer(here)), q).verdict == dns::verdict::malformed);
    CHECK(parse(with_owner(pointer(here + 2)), q).verdict == dns::verdict::malformed);
    CHECK(parse(with_owner("\x01""a" + pointer(here)), q).verdict == dns::verdict::malformed);
    CHECK(parse(with_owner(pointer(0x3fff)), q).verdict == dns::verdict::malformed);
    CHECK(parse(with_owner("\x41""a"), q).verdict == dns::verdict::malformed); // neither length nor pointer
    CHECK(parse(with_owner("\x81""a"), q).verdict == dns::verdict::malformed);
    // a pointer into the header: octets that make no name, or another one
    CHECK(parse(with_owner(pointer(0)), q).answer.addresses.empty());
}

TEST_CASE("a chain of pointers cannot make a name of more than 255 octets") {
    const auto q = ask("a.example");
    // each record's owner is one label more and a pointer to the one before
    dns_builder m(id, "a.example", 1);
    std::size_t at = 12 + 11 + 4;
    std::size_t before = 12;
    for (int i = 0; i < 200; ++i) {
        m.record(0, "\x02xx" + dns_u16(0xc000 | static_cast<unsigned>(before)), dns_builder::a, 60, "\x01\x02\x03\x04");
        before = at;
        at += 3 + 2 + 10 + 4;
    }
    CHECK(parse(m, q).verdict == dns::verdict::malformed);
}

TEST_CASE("wrong sizes of data are malformed") {
    CHECK(parse(dns_builder(id, "a", 1).record(0, dns_name("a"), 1, 60, "\x01\x02\x03"), ask("a")).verdict == dns::verdict::malformed);
    CHECK(parse(dns_builder(id, "a", 1).record(0, dns_name("a"), 1, 60, "\x01\x02\x03\x04\x05"), ask("a")).verdict ==
          dns::verdict::malformed);
    const auto six = ask("a", dns::record_type::aaaa);
    CHECK(parse(dns_builder(id, "a", 28).record(0, dns_name("a"), 28, 60, "\x01\x02\x03\x04"), six).verdict ==
          dns::verdict::malformed);
    CHECK(parse(dns_builder(id, "a", 1).record(0, dns_name("a"), 5, 60, dns_name("b") + "x"), ask("a")).verdict ==
          dns::verdict::malformed);
    CHECK(parse(dns_builder(id, "a", 1).record(1, dns_name("a"), 6, 60, "abc"), ask("a")).verdict == dns::verdict::malformed);
}

TEST_CASE("more records than there are, and more than anybody needs") {
    const auto q = ask("a");
    dns_builder m(id, "a", 1);
    m.v4("a", {1, 2, 3, 4}).counts[0] = 2;
    CHECK(parse(m, q).verdict == dns::verdict::malformed);
    dns_builder many(id, "a", 1);
    for (int i = 0; i < 1000; ++i) {
        many.record(0, "\xc0\x0c", 1, 60, "\x01\x02\x03\x04");
    }
    auto r = parse(many, q);
    CHECK(r.verdict == dns::verdict::ours);
    CHECK(r.answer.addresses.size() == dns::max_addresses);
    many.record(0, "\xc0\x0c", 1, 60, "\x01\x02\x03\x04");
    CHECK(parse(many, q).verdict == dns::verdict::malformed);
}

TEST_CASE("cut anywhere, an answer is malformed or foreign, never read beyond its end") {
    const auto q = ask("a.example");
    const std::string whole = dns_builder(id, "a.example", 1)
                                  .alias("a.example", "b.example")
                                  .v4("b.example", {192, 0, 2, 1})
                                  .authority("example", 1, 1)
                                  .record(2, std::string(1, '\0'), dns_builder::opt, 0, "", 1232)
                                  .text();
    CHECK(parse(whole, q).answer.addresses.size() == 1);
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const std::string part(whole.data(), n); // a block of its own, so that a sanitizer sees its end
        CAPTURE(n);
        CHECK(parse(part, q).verdict != dns::verdict::ours);
    }
}

}
