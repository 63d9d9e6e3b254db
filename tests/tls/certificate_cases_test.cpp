// SPDX-License-Identifier: MIT
// Chains that the openssl command makes, each offered to a peer that must take it or say what is wrong.
#include <flux/tls/verify.hpp> // also proves the header is self-contained

#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

using namespace flux;
using test_support::cert_lab;
using test_support::client_of;
using test_support::server_of;
using test_support::shake;
using test_support::trusting;

namespace {

cert_lab& lab() { return cert_lab::shared(); }
const cert_lab::pair& ca() { return lab().root("ca"); }

cert_lab::spec leaf(const std::string& san) {
    cert_lab::spec s;
    s.san = san;
    return s;
}
cert_lab::spec authority(const std::string& extra = "", const std::string& basic = "critical,CA:TRUE") {
    cert_lab::spec s = cert_lab::authority_spec();
    s.extra = extra;
    s.basic = basic;
    return s;
}

/// A server shows `shown`, a client that trusts `root` asks for `host`.
void expect(const cert_lab::pair& shown, const std::string& host, std::optional<tls::errc> code, const std::string& words = "",
            const cert_lab::pair& root = ca()) {
    CAPTURE(shown.name);
    CAPTURE(host);
    // Twice with one context: what the library remembers of the first connection must not change the second verdict.
    const auto client = client_of(root);
    for (int round = 0; round < 2; ++round) {
        CAPTURE(round);
        const auto out = shake(client, server_of(shown), host);
        if (!code) {
            CHECK_MESSAGE(out.ok(), out.near_text() << " | " << out.far_text());
            continue;
        }
        REQUIRE(!out.near);
        CHECK_MESSAGE(out.near.error().is(*code), out.near_text());
        CHECK_MESSAGE(out.near_text().find(words) != std::string::npos, out.near_text());
        CHECK(out.near.error().kind() == error_kind::tls);
        REQUIRE(!out.far);
    }
}
void good(const cert_lab::pair& shown, const std::string& host, const cert_lab::pair& root = ca()) {
    expect(shown, host, std::nullopt, "", root);
}

/// A client shows `shown` to a server that trusts `root`.
void expect_client(const cert_lab::pair* shown, std::optional<tls::errc> code, const std::string& words = "",
                   const cert_lab::pair& root = ca(), tls::client_verification how = tls::client_verification::required,
                   tls::version highest = tls::version::tls_1_3) {
    CAPTURE((shown == nullptr ? std::string("none") : shown->name));
    const cert_lab::pair& own = lab().issue(ca(), "plain", leaf("DNS:a.test"));
    tls::server_settings s(tls::identity::files(own.chain, own.key));
    s.clients = how;
    s.client_authorities = tls::trust::file(root.cert);
    s.max_version = highest;
    tls::client_settings c = trusting(ca());
    if (shown != nullptr) {
        c.own = tls::identity::files(shown->chain, shown->key);
    }
    const auto out = shake(client_of(c), server_of(s), "a.test");
    if (!code) {
        CHECK_MESSAGE(out.ok(), out.near_text() << " | " << out.far_text());
        return;
    }
    REQUIRE(!out.far);
    CHECK_MESSAGE(out.far.error().is(*code), out.far_text());
    CHECK_MESSAGE(out.far_text().find(words) != std::string::npos, out.far_text());
    REQUIRE(!out.near);
    CHECK_MESSAGE(out.near_text().find("peer sent alert") != std::string::npos, out.near_text());
}

} // namespace

TEST_SUITE("tls/certificate_cases") {

TEST_CASE("names count in subjectAltName only, whole and without regard to case [RFC 9525 6.3]") {
    good(lab().issue(ca(), "plain", leaf("DNS:a.test")), "a.test");
    good(lab().issue(ca(), "plain", leaf("DNS:a.test")), "A.Test");
    good(lab().issue(ca(), "plain", leaf("DNS:a.test")), "a.test.");
    good(lab().issue(ca(), "upper", leaf("DNS:A.TEST")), "a.test");
    good(lab().issue(ca(), "several", leaf("DNS:x.test,DNS:a.test")), "a.test");
    expect(lab().issue(ca(), "other", leaf("DNS:b.test")), "a.test", tls::errc::name_mismatch,
           R"(certificate is for "b.test", not "a.test")");
    expect(lab().issue(ca(), "plain", leaf("DNS:a.test")), "b.a.test", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "plain", leaf("DNS:a.test")), "test", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "plain", leaf("DNS:a.test")), "xa.test", tls::errc::name_mismatch);
}

TEST_CASE("a common name is no name [RFC 9525 2]") {
    cert_lab::spec s = leaf("");
    s.subject = "/CN=a.test";
    expect(lab().issue(ca(), "cn_only", s), "a.test", tls::errc::name_mismatch, "common names do not count");
    cert_lab::spec mail = leaf("email:root@a.test");
    mail.subject = "/CN=a.test";
    expect(lab().issue(ca(), "cn_mail", mail), "a.test", tls::errc::name_mismatch);
    cert_lab::spec contradicts = leaf("DNS:b.test");
    contradicts.subject = "/CN=a.test";
    expect(lab().issue(ca(), "cn_other", contradicts), "a.test", tls::errc::name_mismatch);
}

TEST_CASE("a wildcard stands for one whole label on the left [RFC 9525 6.3]") {
    const auto& wild = lab().issue(ca(), "wild", leaf("DNS:*.b.test"));
    good(wild, "x.b.test");
    expect(wild, "b.test", tls::errc::name_mismatch);
    expect(wild, "x.y.b.test", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "bare", leaf("DNS:*")), "a.test", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "bare", leaf("DNS:*")), "localhost", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "top", leaf("DNS:*.test")), "a.test", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "part", leaf("DNS:a*.b.test")), "ab.b.test", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "inner", leaf("DNS:x.*.test")), "x.y.test", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "double", leaf("DNS:*.*.b.test")), "x.y.b.test", tls::errc::name_mismatch);
}

TEST_CASE("an address counts in an iPAddress entry only [RFC 9525 6.4]") {
    const auto& four = lab().issue(ca(), "ip4", leaf("IP:127.0.0.1"));
    const auto& six = lab().issue(ca(), "ip6", leaf("IP:::1"));
    good(four, "127.0.0.1");
    good(six, "::1");
    good(six, "[::1]");
    good(six, "0:0:0:0:0:0:0:1");
    expect(four, "127.0.0.2", tls::errc::name_mismatch, R"(certificate is for "127.0.0.1", not "127.0.0.2")");
    expect(four, "::1", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "ip_as_dns", leaf("DNS:127.0.0.1")), "127.0.0.1", tls::errc::name_mismatch);
    expect(lab().issue(ca(), "plain", leaf("DNS:a.test")), "127.0.0.1", tls::errc::name_mismatch);
    cert_lab::spec cn = leaf("");
    cn.subject = "/CN=127.0.0.1";
    expect(lab().issue(ca(), "ip_as_cn", cn), "127.0.0.1", tls::errc::name_mismatch);
}

TEST_CASE("dates are kept, of every certificate of the path [RFC 5280 4.1.2.5]") {
    cert_lab::spec s = leaf("DNS:a.test");
    s.until = "20250101000000Z";
    expect(lab().issue(ca(), "expired", s), "a.test", tls::errc::certificate_expired, "expired on 2025-01-01");
    s = leaf("DNS:a.test");
    s.from = "20400101000000Z";
    expect(lab().issue(ca(), "early", s), "a.test", tls::errc::certificate_not_yet_valid, "is valid from 2040-01-01");
    cert_lab::spec old = authority();
    old.until = "20250101000000Z";
    const auto& expired_ca = lab().issue(ca(), "expired_ca", old);
    expect(lab().issue(expired_ca, "below_expired", leaf("DNS:a.test")), "a.test", tls::errc::certificate_expired,
           R"("CN=expired_ca")");
    cert_lab::spec late = leaf("DNS:a.test");
    late.until = "20600101000000Z"; // GeneralizedTime
    good(lab().issue(ca(), "far_future", late), "a.test");
}

TEST_CASE("a chain ends at an authority that is trusted") {
    const auto& stranger = lab().root("stranger");
    expect(lab().issue(stranger, "foreign", leaf("DNS:a.test")), "a.test", tls::errc::unknown_authority, R"(issued by "CN=stranger")");
    const auto& lonely = lab().root("lonely", leaf("DNS:a.test"));
    expect(lonely, "a.test", tls::errc::self_signed);
    good(lonely, "a.test", lonely); // trusted as it is
    // The same name, another key.
    cert_lab::spec twin = authority();
    twin.subject = "/CN=ca";
    const auto& false_ca = lab().root("false_ca", twin);
    expect(lab().issue(false_ca, "forged", leaf("DNS:a.test")), "a.test", tls::errc::unknown_authority);
}

TEST_CASE("intermediates are taken from the peer, in any order, and must be there") {
    const auto& mid = lab().issue(ca(), "mid", authority());
    const auto& low = lab().issue(mid, "low", authority());
    const auto& a = lab().issue(mid, "a_mid", leaf("DNS:a.test"));
    const auto& deep = lab().issue(low, "a_low", leaf("DNS:a.test"));
    good(a, "a.test");
    good(deep, "a.test");
    cert_lab::pair with_root = a;
    with_root.chain = lab().path("with_root");
    test_support::spew(with_root.chain, a.chain_pem() + ca().cert_pem());
    good(with_root, "a.test");
    cert_lab::pair gap = a;
    gap.chain = a.cert;
    expect(gap, "a.test", tls::errc::unknown_authority);
    // A client that has seen the intermediate on another connection still wants it from this server.
    const auto client = client_of(ca());
    CHECK(shake(client, server_of(a)).ok());
    const auto out = shake(client, server_of(gap));
    REQUIRE(!out.near);
    CHECK_MESSAGE(out.near.error().is(tls::errc::unknown_authority), out.near_text());
    cert_lab::pair half = deep;
    half.chain = lab().path("half");
    test_support::spew(half.chain, deep.cert_pem() + mid.cert_pem());
    expect(half, "a.test", tls::errc::unknown_authority);
}

TEST_CASE("only authorities sign certificates [RFC 5280 4.2.1.9, 4.2.1.3]") {
    const auto& no_ca = lab().issue(ca(), "no_ca", leaf("DNS:b.test"));
    const auto& under = lab().issue(no_ca, "under_leaf", leaf("DNS:a.test"));
    const auto out = shake(client_of(ca()), server_of(under));
    CHECK(!out.near);
    cert_lab::spec s = authority("", "");
    expect(lab().issue(lab().issue(ca(), "no_basic", s), "under_no_basic", leaf("DNS:a.test")), "a.test", tls::errc::not_an_authority,
           R"("CN=no_basic" signed "CN=under_no_basic")");
    cert_lab::spec usage = authority();
    usage.usage = "critical,digitalSignature";
    const auto odd = shake(client_of(ca()), server_of(lab().issue(lab().issue(ca(), "no_sign", usage), "under_no_sign", leaf("DNS:a.test"))));
    CHECK(!odd.near);
}

TEST_CASE("the length of the path is kept [RFC 5280 4.2.1.9]") {
    const auto& zero = lab().issue(ca(), "zero", authority("", "critical,CA:TRUE,pathlen:0"));
    good(lab().issue(zero, "under_zero", leaf("DNS:a.test")), "a.test");
    const auto& below = lab().issue(zero, "below_zero", authority());
    expect(lab().issue(below, "two_under_zero", leaf("DNS:a.test")), "a.test", tls::errc::path_too_long);
    const auto& one = lab().issue(ca(), "one", authority("", "critical,CA:TRUE,pathlen:1"));
    good(lab().issue(lab().issue(one, "below_one", authority()), "two_under_one", leaf("DNS:a.test")), "a.test");
}

TEST_CASE("constraints on names are kept, for addresses too [RFC 5280 4.2.1.10]") {
    const auto& only_b = lab().issue(ca(), "only_b", authority("nameConstraints=critical,permitted;DNS:b.test\n"));
    good(lab().issue(only_b, "in_b", leaf("DNS:x.b.test")), "x.b.test");
    good(lab().issue(only_b, "is_b", leaf("DNS:b.test")), "b.test");
    expect(lab().issue(only_b, "not_in_b", leaf("DNS:a.test")), "a.test", tls::errc::name_not_permitted);
    expect(lab().issue(only_b, "beside_b", leaf("DNS:xb.test")), "xb.test", tls::errc::name_not_permitted);
    expect(lab().issue(only_b, "both", leaf("DNS:b.test,DNS:a.test")), "b.test", tls::errc::name_not_permitted);
    const auto& not_a = lab().issue(ca(), "not_a", authority("nameConstraints=critical,excluded;DNS:a.test\n"));
    good(lab().issue(not_a, "b_of_not_a", leaf("DNS:b.test")), "b.test");
    expect(lab().issue(not_a, "a_of_not_a", leaf("DNS:a.test")), "a.test", tls::errc::name_not_permitted);
    expect(lab().issue(not_a, "below_a", leaf("DNS:x.a.test")), "x.a.test", tls::errc::name_not_permitted);
    const auto& net = lab().issue(ca(), "net", authority("nameConstraints=critical,permitted;IP:10.0.0.0/255.0.0.0\n"));
    good(lab().issue(net, "in_net", leaf("IP:10.1.2.3")), "10.1.2.3");
    expect(lab().issue(net, "out_of_net", leaf("IP:127.0.0.1")), "127.0.0.1", tls::errc::name_not_permitted,
           R"("CN=net" may not vouch for "127.0.0.1")");
    // Two authorities below the constraint.
    const auto& mid = lab().issue(net, "mid_of_net", authority());
    expect(lab().issue(mid, "deep_out_of_net", leaf("IP:127.0.0.1")), "127.0.0.1", tls::errc::name_not_permitted);
    const auto& mid_b = lab().issue(only_b, "mid_of_b", authority());
    expect(lab().issue(mid_b, "deep_not_in_b", leaf("DNS:a.test")), "a.test", tls::errc::name_not_permitted);
    // Under a false name, below the constraint.
    cert_lab::spec disguised = authority();
    disguised.subject = "/CN=ca";
    const auto& mask = lab().issue(net, "mask", disguised);
    const auto out = shake(client_of(ca()), server_of(lab().issue(mask, "behind_mask", leaf("IP:127.0.0.1"))), "127.0.0.1");
    CHECK(!out.near);
}

TEST_CASE("a certificate is for what it says [RFC 5280 4.2.1.12, 4.2.1.3]") {
    cert_lab::spec s = leaf("DNS:a.test");
    s.extended = "clientAuth";
    expect(lab().issue(ca(), "for_clients", s), "a.test", tls::errc::wrong_usage);
    s.extended = "codeSigning";
    expect(lab().issue(ca(), "for_code", s), "a.test", tls::errc::wrong_usage);
    s.extended = "serverAuth";
    good(lab().issue(ca(), "for_servers", s), "a.test");
    s.extended = "";
    good(lab().issue(ca(), "for_all", s), "a.test");
    s.extended = "anyExtendedKeyUsage";
    good(lab().issue(ca(), "for_any", s), "a.test");
    s = leaf("DNS:a.test");
    s.usage = "critical,keyAgreement";
    expect(lab().issue(ca(), "no_signature", s), "a.test", tls::errc::wrong_usage);
    cert_lab::spec narrow = authority();
    narrow.extended = "clientAuth";
    expect(lab().issue(lab().issue(ca(), "client_ca", narrow), "under_client_ca", leaf("DNS:a.test")), "a.test", tls::errc::wrong_usage);
    s = leaf("DNS:a.test");
    s.extra = "1.2.3.4.5=critical,ASN1:NULL\n";
    const auto out = shake(client_of(ca()), server_of(lab().issue(ca(), "unknown_critical", s)));
    CHECK(!out.near);
}

TEST_CASE("weak hashes are refused wherever they are relied on") {
    cert_lab::spec s = leaf("DNS:a.test");
    s.hash = "sha1";
    expect(lab().issue(ca(), "sha1", s), "a.test", tls::errc::weak_signature);
    cert_lab::spec mid = authority();
    mid.hash = "sha1";
    expect(lab().issue(lab().issue(ca(), "sha1_ca", mid), "under_sha1", leaf("DNS:a.test")), "a.test", tls::errc::weak_signature);
    const auto& old_root = lab().root("sha1_root", mid); // nobody relies on a root's own signature
    good(lab().issue(old_root, "under_sha1_root", leaf("DNS:a.test")), "a.test", old_root);
}

TEST_CASE("weak keys are refused, the own ones too") {
    cert_lab::spec s = leaf("DNS:a.test");
    s.key = "rsa1024";
    const auto& weak = lab().issue(ca(), "rsa1024", s);
    const auto own = tls::server_context::make(tls::server_settings(tls::identity::files(weak.chain, weak.key)));
    REQUIRE(!own);
    CHECK(own.error().is(tls::errc::weak_key));
    cert_lab::spec mid = authority();
    mid.key = "rsa1024";
    expect(lab().issue(lab().issue(ca(), "rsa1024_ca", mid), "under_rsa1024", leaf("DNS:a.test")), "a.test", tls::errc::weak_key);
    s.key = "rsa2048";
    good(lab().issue(ca(), "rsa2048", s), "a.test");
    s.key = "p384";
    good(lab().issue(ca(), "p384", s), "a.test");
    s.key = "ed25519";
    good(lab().issue(ca(), "ed25519", s), "a.test");
}

TEST_CASE("what a revocation list names is refused, and so is what no list covers") {
    const auto& a = lab().issue(ca(), "plain", leaf("DNS:a.test"));
    const auto& bad = lab().issue(ca(), "revoked", leaf("DNS:a.test"));
    tls::client_settings s = trusting(ca());
    s.revocation_lists.push_back(tls::source::file(lab().revocation_list(ca(), "ca", lab().revoked_line(bad))));
    const auto client = client_of(s);
    auto out = shake(client, server_of(a));
    CHECK_MESSAGE(out.ok(), out.near_text());
    out = shake(client, server_of(bad));
    REQUIRE(!out.near);
    CHECK_MESSAGE(out.near.error().is(tls::errc::certificate_revoked), out.near_text());
    const auto& mid = lab().issue(ca(), "mid", authority());
    out = shake(client, server_of(lab().issue(mid, "a_mid", leaf("DNS:a.test"))));
    REQUIRE(!out.near);
    CHECK_MESSAGE(out.near.error().is(tls::errc::revocation_unknown), out.near_text());
}

TEST_CASE("a server that verifies its clients says what is wrong with theirs") {
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) {
        using how = tls::client_verification;
        const auto& user = lab().issue(ca(), "user", leaf("DNS:user.test"));
        expect_client(&user, std::nullopt, "", ca(), how::required, highest);
        expect_client(&user, std::nullopt, "", ca(), how::optional, highest);
        expect_client(nullptr, std::nullopt, "", ca(), how::optional, highest);
        expect_client(nullptr, tls::errc::certificate_required, "", ca(), how::required, highest);
        const auto& stranger = lab().root("stranger");
        const auto& foreign = lab().issue(stranger, "foreign_user", leaf("DNS:user.test"));
        expect_client(&foreign, tls::errc::unknown_authority, "stranger", ca(), how::required, highest);
        expect_client(&foreign, tls::errc::unknown_authority, "stranger", ca(), how::optional, highest);
        cert_lab::spec s = leaf("DNS:user.test");
        s.until = "20250101000000Z";
        expect_client(&lab().issue(ca(), "expired_user", s), tls::errc::certificate_expired, "2025-01-01", ca(), how::required, highest);
        s = leaf("DNS:user.test");
        s.extended = "serverAuth";
        expect_client(&lab().issue(ca(), "server_as_user", s), tls::errc::wrong_usage, "", ca(), how::required, highest);
        s = leaf("DNS:user.test");
        s.hash = "sha1";
        expect_client(&lab().issue(ca(), "sha1_user", s), tls::errc::weak_signature, "", ca(), how::required, highest);
        const auto& mid = lab().issue(ca(), "mid", authority());
        const auto& below = lab().issue(mid, "mid_user", leaf("DNS:user.test"));
        expect_client(&below, std::nullopt, "", ca(), how::required, highest);
        cert_lab::pair gap = lab().issue(lab().issue(ca(), "mid_gap", authority()), "gap_user", leaf("DNS:user.test"));
        gap.chain = gap.cert;
        expect_client(&gap, tls::errc::unknown_authority, "mid_gap", ca(), how::required, highest);
        s = leaf("DNS:user.test");
        s.from = "20400101000000Z";
        expect_client(&lab().issue(ca(), "early_user", s), tls::errc::certificate_not_yet_valid, "2040-01-01", ca(), how::required, highest);
        expect_client(&lab().root("lonely_user", leaf("DNS:user.test")), tls::errc::self_signed, "", ca(), how::required, highest);
        const auto& zero = lab().issue(ca(), "zero", authority("", "critical,CA:TRUE,pathlen:0"));
        expect_client(&lab().issue(lab().issue(zero, "below_zero", authority()), "two_under_zero_user", leaf("DNS:user.test")),
                      tls::errc::path_too_long, "", ca(), how::required, highest);
        const auto& only_b = lab().issue(ca(), "only_b", authority("nameConstraints=critical,permitted;DNS:b.test\n"));
        expect_client(&lab().issue(only_b, "user_not_in_b", leaf("DNS:user.test")), tls::errc::name_not_permitted, "", ca(), how::required, highest);
        const auto& net = lab().issue(ca(), "net", authority("nameConstraints=critical,permitted;IP:10.0.0.0/255.0.0.0\n"));
        expect_client(&lab().issue(net, "user_out_of_net", leaf("IP:127.0.0.1")), tls::errc::name_not_permitted, "127.0.0.1", ca(), how::required, highest);
        const auto& no_basic = lab().issue(ca(), "no_basic", authority("", ""));
        expect_client(&lab().issue(no_basic, "user_no_basic", leaf("DNS:user.test")), tls::errc::not_an_authority, "no_basic", ca(), how::required, highest);
        s = leaf("DNS:user.test");
        s.usage = "critical,keyAgreement";
        expect_client(&lab().issue(ca(), "user_no_signature", s), tls::errc::wrong_usage, "", ca(), how::required, highest);
    }
}

} // TEST_SUITE
