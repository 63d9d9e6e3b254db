// SPDX-License-Identifier: MIT
// Name constraints on what the library does not look at in the same way: URIs without a host, names that are long.
#include <flux/tls/verify.hpp> // also proves the header is self-contained

#include <flux/tls/pem.hpp>
#include <support/tls_certs.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using test_support::cert_lab;

namespace {

tls::certificate parsed(const cert_lab::pair& p) {
    const auto ders = tls::read_certificates(p.cert_pem(), p.name);
    REQUIRE(ders);
    auto made = tls::parse_certificate(ders->front());
    REQUIRE(made);
    return *std::move(made);
}
tls::certificate authority(const std::string& name, const std::string& constraints) {
    cert_lab::spec s = cert_lab::authority_spec();
    s.extra = "nameConstraints=critical," + constraints + "\n";
    return parsed(cert_lab::shared().root(name, s));
}
tls::certificate named(const std::string& name, const std::string& san) {
    cert_lab::spec s;
    s.san = san;
    return parsed(cert_lab::shared().issue(cert_lab::shared().root("ca"), name, s));
}

} // namespace

TEST_SUITE("tls/constraints") {

TEST_CASE("a name is kept whole, however long: what is excluded is at its end") {
    const tls::certificate above = authority("no_mail", "excluded;email:excluded.test,excluded;DNS:excluded.test");
    const std::string local(200, 'x');
    const tls::certificate mail = named("long_mail", "email:" + local + "@excluded.test");
    CHECK(mail.mails.front() == local + "@excluded.test");
    CHECK(tls::detail::constraint_check(above).violation(mail) == local + "@excluded.test");
    std::string host;
    while (host.size() < 2'200) {
        host += "label.";
    }
    host += "excluded.test";
    CHECK(tls::detail::constraint_check(above).violation(named("long_name", "DNS:" + host)) == host);
    CHECK(!tls::detail::constraint_check(above).violation(named("other_mail", "email:" + local + "@other.test")));
}

TEST_CASE("where URIs are constrained, in whichever way, one without a host's name is refused [RFC 5280 4.2.1.10]") {
    const tls::certificate without = authority("no_uri", "excluded;URI:.excluded.test");
    const tls::certificate only = authority("one_uri", "permitted;URI:host.test");
    const tls::certificate address = authority("address_uri", "permitted;URI:10.0.0.1");
    const tls::certificate free = authority("dns_only", "permitted;DNS:host.test");
    const auto refuses = [](const tls::certificate& above, const std::string& uri) {
        const tls::certificate c = named("uri" + std::to_string(std::hash<std::string>()(uri)), "URI:" + uri);
        return tls::detail::constraint_check(above).violation(c).has_value();
    };
    for (const char* uri : {"urn:name", "spiffe:///path", "http://10.0.0.1/", "http://[2001:db8::1]/"}) {
        CAPTURE(uri);
        CHECK(refuses(without, uri));
        CHECK(refuses(only, uri));
        CHECK(refuses(address, uri));
        CHECK(!refuses(free, uri));
    }
    CHECK(!refuses(without, "spiffe://host.test/path"));
    CHECK(!refuses(only, "spiffe://host.test/path"));
    CHECK(refuses(without, "spiffe://a.excluded.test/path"));
    CHECK(refuses(only, "spiffe://a.host.test/path"));
}

TEST_CASE("a subtree without a name has every host: of URIs, those that name one, and of mailboxes all") {
    const auto with = [](bool permitted, tls::name_subtree::kind kind) {
        tls::certificate c;
        (permitted ? c.permitted : c.excluded).emplace_back(kind, "");
        return c;
    };
    const auto refuses = [](const tls::certificate& above, const tls::certificate& c) {
        return tls::detail::constraint_check(above).violation(c).has_value();
    };
    using kind = tls::name_subtree::kind;
    tls::certificate uri;
    for (const char* text : {"https://a.test/", "spiffe://a.test/path"}) {
        CAPTURE(text);
        uri.uris = {text};
        CHECK(!refuses(with(true, kind::uri), uri));
        CHECK(refuses(with(false, kind::uri), uri));
    }
    for (const char* text : {"urn:name", "spiffe:///path", "https://10.0.0.1/", "https://[2001:db8::1]/"}) {
        CAPTURE(text);
        uri.uris = {text};
        CHECK(refuses(with(true, kind::uri), uri));
        CHECK(refuses(with(false, kind::uri), uri));
    }
    tls::certificate mail;
    mail.mails = {"who@a.test"};
    CHECK(!refuses(with(true, kind::mail), mail));
    CHECK(refuses(with(false, kind::mail), mail));
}

} // TEST_SUITE
