// SPDX-License-Identifier: MIT
// Chains that the openssl command makes, each offered to a peer that must take it or say what is wrong.
#include <flux/tls/verify.hpp> // also proves the header is self-contained

#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

using namespace flux;
using test_support::ca;
using test_support::cert_lab;
using test_support::client_of;
using test_support::lab;
using test_support::server_of;
using test_support::shake;
using test_support::trusting;

namespace {

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

/// All of an error's text, where `words` say what is wrong with this one certificate.
std::string text_of(tls::errc code, const std::string& words) { return tls::make_error(code, words).message(); }

/// A server shows `shown`, a client that trusts `root` asks for `host`.
void expect(const cert_lab::pair& shown, const std::string& host, std::optional<tls::errc> code, const std::string& words,
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
        CHECK(out.near_text() == text_of(*code, words));
        CHECK(out.near.error().kind() == error_kind::tls);
        REQUIRE(!out.far);
    }
}
void good(const cert_lab::pair& shown, const std::string& host, const cert_lab::pair& root = ca()) {
    expect(shown, host, std::nullopt, "", root);
}
/// It is for `names`, and for nobody else.
void not_for(const cert_lab::pair& shown, const std::string& host, const std::string& names) {
    expect(shown, host, tls::errc::name_mismatch, "certificate is for " + names + ", not \"" + host + '"');
}

/// A client shows `shown` to a server.
void expect_client(const cert_lab::pair* shown, std::optional<tls::errc> code, const std::string& words,
                   tls::version highest, tls::client_verification how = tls::client_verification::required,
                   const std::string& revocation_list = "") {
    CAPTURE((shown == nullptr ? std::string("none") : shown->name));
    tls::server_settings s = test_support::settings_of(lab().issue(ca(), "plain", leaf("DNS:a.test")));
    s.clients = how;
    s.client_authorities = tls::trust::file(ca().cert);
    s.max_version = highest;
    if (!revocation_list.empty()) {
        s.revocation_lists.push_back(tls::source::file(revocation_list));
    }
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
    CHECK(out.far_text() == text_of(*code, words));
    REQUIRE(!out.near);
    const bool names_alert = *code == tls::errc::certificate_required && highest == tls::version::tls_1_3;
    CHECK_MESSAGE(out.near_text().starts_with(names_alert ? "TLS: peer sent alert certificate_required (116): it wants a client certificate: "
                                                          : "TLS: peer sent alert "),
                  out.near_text());
}

} // namespace

TEST_SUITE("tls/certificate_cases") {

TEST_CASE("names count in subjectAltName only, whole and without regard to case [RFC 9525 6.3]") {
    const auto& plain = lab().issue(ca(), "plain", leaf("DNS:a.test"));
    good(plain, "a.test");
    good(plain, "A.Test");
    good(plain, "a.test.");
    good(lab().issue(ca(), "upper", leaf("DNS:A.TEST")), "a.test");
    good(lab().issue(ca(), "several", leaf("DNS:x.test,DNS:a.test")), "a.test");
    not_for(lab().issue(ca(), "other", leaf("DNS:b.test")), "a.test", R"("b.test")");
    not_for(plain, "b.a.test", R"("a.test")");
    not_for(plain, "test", R"("a.test")");
    not_for(plain, "xa.test", R"("a.test")");
    not_for(lab().issue(ca(), "many", leaf("DNS:1.test,IP:127.0.0.1,URI:x:y,DNS:2.test,DNS:3.test")), "a.test",
            R"("1.test", "2.test", "3.test" and 2 more)");
}

TEST_CASE("a common name is no name [RFC 9525 2]") {
    const std::string none = "no name (common names do not count)";
    cert_lab::spec s = leaf("");
    s.subject = "/CN=a.test";
    not_for(lab().issue(ca(), "cn_only", s), "a.test", none);
    s.san = "email:root@a.test";
    not_for(lab().issue(ca(), "cn_mail", s), "a.test", none);
    s.san = "DNS:b.test";
    not_for(lab().issue(ca(), "cn_other", s), "a.test", R"("b.test")");
}

TEST_CASE("a wildcard stands for one whole label on the left [RFC 9525 6.3]") {
    const auto& wild = lab().issue(ca(), "wild", leaf("DNS:*.b.test"));
    good(wild, "x.b.test");
    not_for(wild, "b.test", R"("*.b.test")");
    not_for(wild, "x.y.b.test", R"("*.b.test")");
    not_for(lab().issue(ca(), "bare", leaf("DNS:*")), "a.test", R"("*")");
    not_for(lab().issue(ca(), "bare", leaf("DNS:*")), "localhost", R"("*")");
    not_for(lab().issue(ca(), "top", leaf("DNS:*.test")), "a.test", R"("*.test")");
    not_for(lab().issue(ca(), "part", leaf("DNS:a*.b.test")), "ab.b.test", R"("a*.b.test")");
    not_for(lab().issue(ca(), "inner", leaf("DNS:x.*.test")), "x.y.test", R"("x.*.test")");
    not_for(lab().issue(ca(), "double", leaf("DNS:*.*.b.test")), "x.y.b.test", R"("*.*.b.test")");
}

TEST_CASE("an address counts in an iPAddress entry only [RFC 9525 6.4]") {
    const auto& four = lab().issue(ca(), "ip4", leaf("IP:127.0.0.1"));
    const auto& six = lab().issue(ca(), "ip6", leaf("IP:::1"));
    good(four, "127.0.0.1");
    good(six, "::1");
    good(six, "[::1]");
    good(six, "0:0:0:0:0:0:0:1");
    not_for(four, "127.0.0.2", R"("127.0.0.1")");
    not_for(four, "::1", R"("127.0.0.1")");
    not_for(lab().issue(ca(), "ip_as_dns", leaf("DNS:127.0.0.1")), "127.0.0.1", R"(DNS name "127.0.0.1")");
    not_for(lab().issue(ca(), "plain", leaf("DNS:a.test")), "127.0.0.1", R"("a.test")");
    cert_lab::spec cn = leaf("");
    cn.subject = "/CN=127.0.0.1";
    not_for(lab().issue(ca(), "ip_as_cn", cn), "127.0.0.1", "no name (common names do not count)");
}

TEST_CASE("dates are kept, of every certificate of the path [RFC 5280 4.1.2.5]") {
    cert_lab::spec s = leaf("DNS:a.test");
    s.until = "20250101000000Z";
    expect(lab().issue(ca(), "expired", s), "a.test", tls::errc::certificate_expired, R"(certificate "CN=expired" expired on 2025-01-01)");
    s = leaf("DNS:a.test");
    s.from = "20400101000000Z";
    expect(lab().issue(ca(), "early", s), "a.test", tls::errc::certificate_not_yet_valid, R"(certificate "CN=early" is valid from 2040-01-01)");
    cert_lab::spec old = authority();
    old.until = "20250101000000Z";
    const auto& expired_ca = lab().issue(ca(), "expired_ca", old);
    expect(lab().issue(expired_ca, "below_expired", leaf("DNS:a.test")), "a.test", tls::errc::certificate_expired,
           R"(certificate "CN=expired_ca" expired on 2025-01-01)");
    cert_lab::spec late = leaf("DNS:a.test");
    late.until = "20600101000000Z"; // GeneralizedTime
    good(lab().issue(ca(), "far_future", late), "a.test");
}

TEST_CASE("a chain ends at an authority that is trusted") {
    const auto& stranger = lab().root("stranger");
    expect(lab().issue(stranger, "foreign", leaf("DNS:a.test")), "a.test", tls::errc::unknown_authority,
           R"(certificate "CN=foreign" was issued by "CN=stranger")");
    const auto& lonely = lab().root("lonely", leaf("DNS:a.test"));
    expect(lonely, "a.test", tls::errc::self_signed, R"(certificate "CN=lonely")");
    good(lonely, "a.test", lonely); // trusted as it is
    // The same name, another key.
    cert_lab::spec twin = authority();
    twin.subject = "/CN=ca";
    const auto& false_ca = lab().root("false_ca", twin);
    expect(lab().issue(false_ca, "forged", leaf("DNS:a.test")), "a.test", tls::errc::unknown_authority,
           R"(certificate "CN=forged" was issued by "CN=ca", which is not the trusted one of that name)");
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
    expect(gap, "a.test", tls::errc::unknown_authority, R"(certificate "CN=a_mid" was issued by "CN=mid")");
    // A client that has seen the intermediate on another connection still wants it from this server.
    const auto client = client_of(ca());
    CHECK(shake(client, server_of(a)).ok());
    CHECK(shake(client, server_of(gap)).near_text() ==
          text_of(tls::errc::unknown_authority, R"("CN=a_mid" was issued by "CN=mid", and the chain to a trusted authority has a gap)"));
    cert_lab::pair half = deep;
    half.chain = lab().path("half");
    test_support::spew(half.chain, deep.cert_pem() + mid.cert_pem());
    expect(half, "a.test", tls::errc::unknown_authority, R"(certificate "CN=a_low" was issued by "CN=low")");
}

TEST_CASE("only authorities sign certificates [RFC 5280 4.2.1.9, 4.2.1.3]") {
    const auto refused = [](const std::string& name, const cert_lab::spec& of_signer) {
        const auto& signer = lab().issue(ca(), name, of_signer);
        expect(lab().issue(signer, "under_" + name, leaf("DNS:a.test")), "a.test", tls::errc::not_an_authority,
               "\"CN=" + name + "\" signed \"CN=under_" + name + '"');
    };
    refused("no_ca", leaf("DNS:b.test"));
    refused("no_basic", authority("", ""));
    cert_lab::spec usage = authority();
    usage.usage = "critical,digitalSignature";
    refused("no_sign", usage);
}

TEST_CASE("the length of the path is kept [RFC 5280 4.2.1.9]") {
    const auto& zero = lab().issue(ca(), "zero", authority("", "critical,CA:TRUE,pathlen:0"));
    good(lab().issue(zero, "under_zero", leaf("DNS:a.test")), "a.test");
    const auto& below = lab().issue(zero, "below_zero", authority());
    expect(lab().issue(below, "two_under_zero", leaf("DNS:a.test")), "a.test", tls::errc::path_too_long,
           R"("CN=zero" allows 0 authorities below it)");
    const auto& one = lab().issue(ca(), "one", authority("", "critical,CA:TRUE,pathlen:1"));
    good(lab().issue(lab().issue(one, "below_one", authority()), "two_under_one", leaf("DNS:a.test")), "a.test");
}

TEST_CASE("constraints on names are kept, for addresses too [RFC 5280 4.2.1.10]") {
    const auto refused = [](const cert_lab::pair& by, const std::string& name, const std::string& san, const std::string& host,
                            const std::string& words) {
        expect(lab().issue(by, name, leaf(san)), host, tls::errc::name_not_permitted, words);
    };
    const auto& only_b = lab().issue(ca(), "only_b", authority("nameConstraints=critical,permitted;DNS:b.test\n"));
    good(lab().issue(only_b, "in_b", leaf("DNS:x.b.test")), "x.b.test");
    good(lab().issue(only_b, "is_b", leaf("DNS:b.test")), "b.test");
    refused(only_b, "not_in_b", "DNS:a.test", "a.test", R"("CN=only_b" may not vouch for "a.test")");
    refused(only_b, "beside_b", "DNS:xb.test", "xb.test", R"("CN=only_b" may not vouch for "xb.test")");
    refused(only_b, "both", "DNS:b.test,DNS:a.test", "b.test", R"("CN=only_b" may not vouch for "a.test")");
    const auto& not_a = lab().issue(ca(), "not_a", authority("nameConstraints=critical,excluded;DNS:a.test\n"));
    good(lab().issue(not_a, "b_of_not_a", leaf("DNS:b.test")), "b.test");
    refused(not_a, "a_of_not_a", "DNS:a.test", "a.test", R"("CN=not_a" may not vouch for "a.test")");
    refused(not_a, "below_a", "DNS:x.a.test", "x.a.test", R"("CN=not_a" may not vouch for "x.a.test")");
    const auto& net = lab().issue(ca(), "net", authority("nameConstraints=critical,permitted;IP:10.0.0.0/255.0.0.0\n"));
    good(lab().issue(net, "in_net", leaf("IP:10.1.2.3")), "10.1.2.3");
    const std::string not_in_net = R"("CN=net" may not vouch for "127.0.0.1")";
    refused(net, "out_of_net", "IP:127.0.0.1", "127.0.0.1", not_in_net);
    // Two authorities below the constraint.
    refused(lab().issue(net, "mid_of_net", authority()), "deep_out_of_net", "IP:127.0.0.1", "127.0.0.1", not_in_net);
    refused(lab().issue(only_b, "mid_of_b", authority()), "deep_not_in_b", "DNS:a.test", "a.test",
            R"("CN=only_b" may not vouch for "a.test")");
    // Under a false name, below the constraint.
    cert_lab::spec disguised = authority();
    disguised.subject = "/CN=ca";
    refused(lab().issue(net, "mask", disguised), "behind_mask", "IP:127.0.0.1", "127.0.0.1", not_in_net);
}

TEST_CASE("a certificate is for what it says [RFC 5280 4.2.1.12, 4.2.1.3]") {
    cert_lab::spec s = leaf("DNS:a.test");
    s.extended = "clientAuth";
    expect(lab().issue(ca(), "for_clients", s), "a.test", tls::errc::wrong_usage, R"("CN=for_clients" is not for servers)");
    s.extended = "codeSigning";
    expect(lab().issue(ca(), "for_code", s), "a.test", tls::errc::wrong_usage, R"("CN=for_code" is not for servers)");
    for (const char* extended : {"serverAuth", "", "anyExtendedKeyUsage"}) {
        s.extended = extended;
        good(lab().issue(ca(), std::string("usage_") + extended, s), "a.test");
    }
    s = leaf("DNS:a.test");
    s.usage = "critical,keyAgreement";
    expect(lab().issue(ca(), "no_signature", s), "a.test", tls::errc::wrong_usage, R"("CN=no_signature" has a key that may not sign)");
    cert_lab::spec narrow = authority();
    narrow.extended = "clientAuth";
    expect(lab().issue(lab().issue(ca(), "client_ca", narrow), "under_client_ca", leaf("DNS:a.test")), "a.test",
           tls::errc::wrong_usage, R"("CN=client_ca" may not vouch for servers)");
    s = leaf("DNS:a.test");
    s.extra = "1.2.3.4.5=critical,ASN1:NULL\n";
    expect(lab().issue(ca(), "unknown_critical", s), "a.test", tls::errc::bad_certificate,
           "X.509 Critical extension ignored or invalid (-160)");
}

TEST_CASE("weak hashes are refused wherever they are relied on") {
    cert_lab::spec s = leaf("DNS:a.test");
    s.hash = "sha1";
    expect(lab().issue(ca(), "sha1", s), "a.test", tls::errc::weak_signature, R"("CN=sha1" is signed with MD5 or SHA-1)");
    cert_lab::spec mid = authority();
    mid.hash = "sha1";
    expect(lab().issue(lab().issue(ca(), "sha1_ca", mid), "under_sha1", leaf("DNS:a.test")), "a.test",
           tls::errc::weak_signature, R"("CN=sha1_ca" is signed with MD5 or SHA-1)");
    const auto& old_root = lab().root("sha1_root", mid); // nobody relies on a root's own signature
    good(lab().issue(old_root, "under_sha1_root", leaf("DNS:a.test")), "a.test", old_root);
}

TEST_CASE("weak keys are refused, the own ones too") {
    cert_lab::spec s = leaf("DNS:a.test");
    for (const auto& [key, words] : {std::pair("rsa1024", "RSA key of 1024 bits"), std::pair("p224", "elliptic key of 224 bits")}) {
        s.key = key;
        const auto& weak = lab().issue(ca(), key, s);
        const auto own = tls::server_context::make(test_support::settings_of(weak));
        REQUIRE(!own);
        CHECK(own.error().message() == text_of(tls::errc::weak_key, weak.chain + ": " + words));
    }
    cert_lab::spec mid = authority();
    mid.key = "rsa1024";
    expect(lab().issue(lab().issue(ca(), "rsa1024_ca", mid), "under_rsa1024", leaf("DNS:a.test")), "a.test",
           tls::errc::weak_key, R"("CN=rsa1024_ca" has a key of 1024 bits)");
    for (const char* key : {"rsa2048", "p384", "ed25519"}) {
        s.key = key;
        good(lab().issue(ca(), key, s), "a.test");
    }
}

TEST_CASE("what a revocation list names is refused, and so is what no list covers") {
    const auto& a = lab().issue(ca(), "plain", leaf("DNS:a.test"));
    const auto& bad = lab().issue(ca(), "revoked", leaf("DNS:a.test"));
    tls::client_settings s = trusting(ca());
    s.revocation_lists.push_back(tls::source::file(lab().revocation_list(ca(), "ca", lab().revoked_line(bad))));
    const auto client = client_of(s);
    CHECK(shake(client, server_of(a)).near_text() == "ok");
    CHECK(shake(client, server_of(bad)).near_text() == text_of(tls::errc::certificate_revoked, R"(certificate "CN=revoked")"));
    const auto& mid = lab().issue(ca(), "mid", authority());
    CHECK(shake(client, server_of(lab().issue(mid, "a_mid", leaf("DNS:a.test")))).near_text() ==
          text_of(tls::errc::revocation_unknown, R"(certificate "CN=a_mid")"));
}

TEST_CASE("a server that verifies its clients says what is wrong with theirs") {
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) {
        using how = tls::client_verification;
        CAPTURE(static_cast<int>(highest));
        const auto refused = [&](const cert_lab::pair& shown, tls::errc code, const std::string& words) {
            expect_client(&shown, code, words, highest);
        };
        const auto user = [](const std::string& name, const cert_lab::pair& by = ca(), cert_lab::spec s = leaf("DNS:user.test")) {
            return lab().issue(by, name, s);
        };
        const auto changed = [&](const std::string& name, std::string cert_lab::spec::*what, const std::string& to) {
            cert_lab::spec s = leaf("DNS:user.test");
            s.*what = to;
            return user(name, ca(), s);
        };
        using spec = cert_lab::spec;
        const auto good_user = user("user");
        expect_client(&good_user, std::nullopt, "", highest);
        expect_client(&good_user, std::nullopt, "", highest, how::optional);
        expect_client(nullptr, std::nullopt, "", highest, how::optional);
        expect_client(nullptr, tls::errc::certificate_required, "", highest);
        const auto edwards = changed("ed25519_user", &spec::key, "ed25519");
        expect_client(&edwards, std::nullopt, "", highest);
        const auto foreign = user("foreign_user", lab().root("stranger"));
        const std::string by_stranger = R"(certificate "CN=foreign_user" was issued by "CN=stranger")";
        refused(foreign, tls::errc::unknown_authority, by_stranger);
        expect_client(&foreign, tls::errc::unknown_authority, by_stranger, highest, how::optional);
        refused(lab().root("lonely_user", leaf("DNS:user.test")), tls::errc::self_signed, R"(certificate "CN=lonely_user")");
        refused(changed("expired_user", &spec::until, "20250101000000Z"), tls::errc::certificate_expired,
                R"(certificate "CN=expired_user" expired on 2025-01-01)");
        refused(changed("early_user", &spec::from, "20400101000000Z"), tls::errc::certificate_not_yet_valid,
                R"(certificate "CN=early_user" is valid from 2040-01-01)");
        refused(changed("server_as_user", &spec::extended, "serverAuth"), tls::errc::wrong_usage, R"("CN=server_as_user" is not for clients)");
        refused(changed("user_no_signature", &spec::usage, "critical,keyAgreement"), tls::errc::wrong_usage,
                R"("CN=user_no_signature" has a key that may not sign)");
        refused(changed("sha1_user", &spec::hash, "sha1"), tls::errc::weak_signature, R"("CN=sha1_user" is signed with MD5 or SHA-1)");
        cert_lab::spec weak = authority();
        weak.key = "rsa1024";
        refused(user("user_under_rsa1024", lab().issue(ca(), "rsa1024_ca", weak)), tls::errc::weak_key,
                R"("CN=rsa1024_ca" has a key of 1024 bits)");
        const auto& mid = lab().issue(ca(), "mid", authority());
        const auto below = user("mid_user", mid);
        expect_client(&below, std::nullopt, "", highest);
        cert_lab::pair gap = user("gap_user", lab().issue(ca(), "mid_gap", authority()));
        gap.chain = gap.cert;
        refused(gap, tls::errc::unknown_authority, R"(certificate "CN=gap_user" was issued by "CN=mid_gap")");
        const auto& zero = lab().issue(ca(), "zero", authority("", "critical,CA:TRUE,pathlen:0"));
        refused(user("two_under_zero_user", lab().issue(zero, "below_zero", authority())), tls::errc::path_too_long,
                R"("CN=zero" allows 0 authorities below it)");
        const auto& only_b = lab().issue(ca(), "only_b", authority("nameConstraints=critical,permitted;DNS:b.test\n"));
        refused(user("user_not_in_b", only_b), tls::errc::name_not_permitted, R"("CN=only_b" may not vouch for "user.test")");
        const auto& net = lab().issue(ca(), "net", authority("nameConstraints=critical,permitted;IP:10.0.0.0/255.0.0.0\n"));
        refused(user("user_out_of_net", net, leaf("IP:127.0.0.1")), tls::errc::name_not_permitted, R"("CN=net" may not vouch for "127.0.0.1")");
        refused(user("user_no_basic", lab().issue(ca(), "no_basic", authority("", ""))), tls::errc::not_an_authority,
                R"("CN=no_basic" signed "CN=user_no_basic")");
        // With a list of what "ca" has revoked.
        const auto revoked = user("revoked_user");
        const std::string list = lab().revocation_list(ca(), "users", lab().revoked_line(revoked));
        expect_client(&revoked, tls::errc::certificate_revoked, R"(certificate "CN=revoked_user")", highest, how::required, list);
        expect_client(&below, tls::errc::revocation_unknown, R"(certificate "CN=mid_user")", highest, how::required, list);
        expect_client(&good_user, std::nullopt, "", highest, how::required, list);
    }
}

} // TEST_SUITE
