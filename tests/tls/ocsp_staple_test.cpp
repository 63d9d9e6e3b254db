// SPDX-License-Identifier: MIT
#include <flux/tls/ocsp_staple.hpp> // also proves the header is self-contained

#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using test_support::cert_lab;
using test_support::lab;
using test_support::shake;

extern "C" { // of AddressSanitizer, where it is
[[gnu::weak]] void __lsan_disable();
[[gnu::weak]] void __lsan_enable();
}

namespace {

/// What is allocated while it lives is no leak.
class leak_blindness {
public:
    explicit leak_blindness(bool wanted) : on_(wanted && &__lsan_disable != nullptr) {
        if (on_) {
            __lsan_disable();
        }
    }
    leak_blindness(const leak_blindness&) = delete;
    leak_blindness& operator=(const leak_blindness&) = delete;
    ~leak_blindness() {
        if (on_) {
            __lsan_enable();
        }
    }

private:
    bool on_;
};

// Signs responses, too.
const cert_lab::pair& ca() {
    cert_lab::spec s = cert_lab::authority_spec();
    s.usage = "critical,keyCertSign,cRLSign,digitalSignature";
    return lab().root("ocsp_ca", s);
}
const cert_lab::pair& named(const std::string& name) {
    cert_lab::spec s;
    s.san = "DNS:a.test";
    return lab().issue(ca(), name, s);
}
tls::server_settings stapled(const std::string& response, const std::string& name = "stapled") {
    const auto& own = named(name);
    tls::server_settings s(tls::identity(tls::source::memory(own.cert_pem() + ca().cert_pem()), tls::source::file(own.key)));
    s.ocsp_response = tls::source::file(response);
    return s;
}
std::string refusal(const tls::server_settings& s) {
    const auto made = tls::server_context::make(s);
    return made ? "" : made.error().message();
}
bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_SUITE("tls/ocsp_staple") {

TEST_CASE("a response is sent to clients that ask for one, and to them only, in both versions") {
    const std::string path = lab().ocsp_response(ca(), named("stapled"), 'V');
    const std::string response = test_support::slurp(path);
    for (const bool old : {true, false}) {
        auto s = stapled(path);
        s.ocsp_in_tls_1_3 = !old;
        const auto context = tls::server_context::make(s);
        REQUIRE_MESSAGE(context, context.error().message());
        CHECK((*context)->staple_expires() > std::time(nullptr) + 29 * 86'400);
        std::size_t with = 0;
        std::size_t without = 0;
        for (const bool asks : {true, false, true}) {
            auto asking = test_support::trusting(ca());
            asking.max_version = old ? tls::version::tls_1_2 : tls::version::tls_1_3;
            const auto client_context = test_support::client_of(asking);
            auto client = *client_context->connect("a.test");
            auto server = *(*context)->connect("", !old);
            if (asks) {
                REQUIRE(tls::detail::staple_box::ask_for(*client->native()));
            }
            REQUIRE(client->handshake() == tls::engine::progress::want_more);
            server->feed(client->output().view());
            {
                const leak_blindness the_library_leaks(!old && asks);
                REQUIRE(server->handshake() == tls::engine::progress::want_more);
            }
            const std::string flight(server->output().view());
            (asks ? with : without) = flight.size();
            if (old) {
                CHECK((flight.find(response) != std::string::npos) == asks);
            }
        }
        CHECK(with >= without + response.size());
        CHECK(with <= without + response.size() + 32);
    }
}

TEST_CASE("in TLS 1.3 nothing is stapled unless it was asked for: the library loses memory for each client that wants it") {
    const std::string path = lab().ocsp_response(ca(), named("stapled"), 'V');
    const auto context = tls::server_context::make(stapled(path));
    REQUIRE_MESSAGE(context, context.error().message());
    const auto client_context = test_support::client_of(ca());
    auto client = *client_context->connect("a.test");
    auto server = *(*context)->connect("", true);
    REQUIRE(tls::detail::staple_box::ask_for(*client->native()));
    REQUIRE(client->handshake() == tls::engine::progress::want_more);
    server->feed(client->output().view());
    REQUIRE(server->handshake() == tls::engine::progress::want_more);
    CHECK(server->output().size() < test_support::slurp(path).size() + 1500);
    auto s = stapled(path);
    s.min_version = tls::version::tls_1_3;
    CHECK(has(refusal(s), "ocsp_response with TLS 1.3 alone needs ocsp_in_tls_1_3"));
    s.ocsp_response = tls::source();
    s.ocsp_in_tls_1_3 = true;
    CHECK(has(refusal(s), "ocsp_in_tls_1_3 needs an ocsp_response"));
}

TEST_CASE("a response that cannot be sent is an error of the context, with its reason") {
    const auto& own = named("stapled");
    const auto& other = named("stapled2");
    CHECK(has(refusal(stapled(lab().ocsp_response(ca(), other, 'V'))), "is about certificate"));
    CHECK(has(refusal(stapled(lab().ocsp_response(ca(), own, 'R'))), "the certificate is revoked"));
    CHECK(has(refusal(stapled("/nowhere.der")), "No such file"));
    CHECK(has(refusal(stapled(own.cert)), "no OCSP response (DER)"));
    auto s = stapled(lab().ocsp_response(ca(), own, 'V'));
    s.own = tls::identity::files(own.chain, own.key);
    CHECK(has(refusal(s), "ocsp_response needs the issuer's certificate in the chain"));
    // Signed by somebody else.
    cert_lab::spec twin = cert_lab::authority_spec();
    twin.usage = "critical,keyCertSign,cRLSign,digitalSignature";
    twin.subject = "/CN=ocsp_ca";
    const std::string forged = lab().ocsp_response(lab().root("ocsp_twin", twin), own, 'V');
    CHECK_MESSAGE(!refusal(stapled(forged)).empty(), refusal(stapled(forged)));
    std::string damaged = test_support::slurp(lab().ocsp_response(ca(), own, 'V'));
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
    s = stapled("");
    s.ocsp_response = tls::source::memory(damaged);
    CHECK(!refusal(s).empty());
    s.ocsp_response = tls::source::memory(damaged.substr(0, 40));
    CHECK(!refusal(s).empty());
}

TEST_CASE("a response is read whole or not at all [RFC 6960 4.2.1]") {
    const std::string good = test_support::slurp(lab().ocsp_response(ca(), named("stapled"), 'V'));
    const auto own = *tls::parse_certificate(tls::read_certificates(named("stapled").cert_pem(), "own")->front());
    const auto status = tls::read_ocsp_response(good);
    REQUIRE_MESSAGE(status, status.error().message());
    CHECK(status->what == tls::ocsp_status::answer::good);
    CHECK(status->serial == own.serial);
    CHECK(status->next_update - status->this_update == 30 * 86'400);
    for (std::size_t cut = 0; cut < good.size(); ++cut) {
        CHECK(!tls::read_ocsp_response(std::string_view(good).substr(0, cut)));
    }
    tls::detail::staple_box box;
    CHECK(box.take(good, "r", own, status->this_update));
    const auto late = box.take(good, "r", own, status->next_update);
    REQUIRE(!late);
    CHECK(has(late.error().message(), "r: expired on "));
    const auto early = box.take(good, "r", own, status->this_update - 301);
    REQUIRE(!early);
    CHECK(has(early.error().message(), "r: is valid from "));
    const auto refused = tls::read_ocsp_response(std::string("\x30\x03\x0a\x01\x06", 5));
    REQUIRE(!refused);
    CHECK(has(refused.error().message(), "the responder refused to answer"));
}

TEST_CASE("the authority that vouches for a response vouches for no client") {
    auto s = stapled(lab().ocsp_response(ca(), named("stapled"), 'V'));
    const auto& clients_ca = lab().root("clients_ca");
    cert_lab::spec user;
    user.san = "DNS:user.test";
    s.clients = tls::client_verification::required;
    s.client_authorities = tls::trust::file(clients_ca.cert);
    const auto server = test_support::server_of(s);
    const auto enter = [&](const cert_lab::pair& who) {
        tls::client_settings c = test_support::trusting(ca());
        c.own = tls::identity::files(who.chain, who.key);
        return shake(test_support::client_of(c), server);
    };
    const auto good = enter(lab().issue(clients_ca, "their_user", user));
    CHECK_MESSAGE(good.ok(), good.far_text());
    const auto wrong = enter(lab().issue(ca(), "our_user", user));
    REQUIRE(!wrong.far);
    CHECK_MESSAGE(wrong.far.error().is(tls::errc::unknown_authority), wrong.far_text());
}

} // TEST_SUITE
