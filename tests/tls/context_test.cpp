// SPDX-License-Identifier: MIT
// Settings that cannot be honoured, and what the TLS library would do wrong if it were left to itself.
#include <flux/tls/context.hpp> // also proves the header is self-contained

#include <flux/tls/connector.hpp>
#include <flux/tls/self_signed.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using namespace flux;
using test_support::ca;
using test_support::context_of;
using test_support::lab;
using test_support::named;
using test_support::shake;

namespace {

tls::server_settings server() { return test_support::settings_of(named("a", "DNS:a.test")); }
std::string said(const tls::server_settings& s) {
    const auto made = tls::server_context::make(s);
    return made ? "fine" : made.error().message();
}
std::string said(const tls::client_settings& s) {
    const auto made = tls::client_context::make(s);
    return made ? "fine" : made.error().message();
}
template <class S>
void refuses(const S& s, const char* words) {
    const std::string text = said(s);
    CHECK_MESSAGE(text.find(words) != std::string::npos, text);
}

/// The records of a ClientHello cut into pieces of `n` octets, each in a record of its own.
std::string in_small_records(std::string_view flight, std::size_t n) {
    const std::string_view message = flight.substr(5);
    std::string all;
    for (std::size_t i = 0; i < message.size(); i += n) {
        const std::string_view piece = message.substr(i, n);
        all += std::string("\x16\x03\x01", 3);
        all += static_cast<char>(piece.size() >> 8);
        all += static_cast<char>(piece.size() & 0xff);
        all += piece;
    }
    return all;
}

} // namespace

TEST_SUITE("tls/context") {

TEST_CASE("a setting that cannot be honoured is an error that says which and why") {
    const auto server_case = [](const char* words, const std::function<void(tls::server_settings&)>& change) {
        auto s = server();
        change(s);
        refuses(s, words);
    };
    const auto client_case = [](const char* words, const std::function<void(tls::client_settings&)>& change) {
        auto s = test_support::trusting(ca());
        change(s);
        refuses(s, words);
    };
    CHECK(said(server()) == "fine");
    CHECK(said(test_support::trusting(ca())) == "fine");
    const auto verified = [](tls::server_settings& s) {
        s.clients = tls::client_verification::required;
        s.client_authorities = tls::trust::file(ca().cert);
    };
    server_case("the lowest version is above the highest", [](auto& s) {
        s.min_version = tls::version::tls_1_3;
        s.max_version = tls::version::tls_1_2;
    });
    server_case("min_rsa_bits must be 2048 to 16384", [](auto& s) { s.min_rsa_bits = 1024; });
    server_case("min_rsa_bits must be 2048 to 16384", [](auto& s) { s.min_rsa_bits = 32'768; });
    server_case("an application protocol has 1 to 255 octets and no comma", [](auto& s) { s.protocols = {"a,b"}; });
    server_case("an application protocol has 1 to 255 octets and no comma", [](auto& s) { s.protocols = {""}; });
    server_case("a server needs a certificate and its private key", [](auto& s) { s.own = tls::identity(); });
    server_case("client certificates need client_authorities", [](auto& s) { s.clients = tls::client_verification::optional; });
    server_case("need clients to be verified", [](auto& s) { s.allowed_uris = {"spiffe://a"}; });
    server_case("need clients to be verified", [](auto& s) { s.revocation_lists = {tls::source::file("/nowhere")}; });
    server_case("need clients to be verified", [](auto& s) {
        s.on_peer = tls::make_peer_check([](const tls::peer_info&) -> result<void> { return {}; });
    });
    server_case("that many tickets cannot be sent", [](auto& s) { s.tickets = 17; });
    server_case("/nowhere.pem: No such file", [](auto& s) { s.own = tls::identity::files("/nowhere.pem", "/nowhere.key"); });
    server_case("no certificate in it", [](auto& s) { s.own = tls::identity(tls::source::file(named("a", "").key), s.own.key()); });
    server_case("no private key in it", [](auto& s) { s.own = tls::identity(s.own.chain(), tls::source::file(named("a", "").cert)); });
    server_case("does not belong to", [](auto& s) { s.own = tls::identity(s.own.chain(), tls::source::file(named("b", "DNS:b.test").key)); });
    server_case("/nowhere.crl: No such file", [&](auto& s) {
        verified(s);
        s.revocation_lists = {tls::source::file("/nowhere.crl")};
    });
    server_case("revocation list: ", [&](auto& s) {
        verified(s);
        s.revocation_lists = {tls::source::memory("no list")};
    });
    lab().run("openssl ec -aes128 -passout pass:x -in " + named("a", "").key + " -out " + lab().path("locked.key"));
    server_case("the private key is encrypted", [](auto& s) {
        s.own = tls::identity(s.own.chain(), tls::source::file(lab().path("locked.key")));
    });
    client_case("no certificate authority is trusted", [](auto& s) { s.authorities = tls::trust(); });
    client_case("no certificate in it", [](auto& s) { s.authorities = tls::trust::pem("nothing"); });
    client_case("danger_no_verify leaves nothing for on_peer", [](auto& s) {
        s.danger_no_verify = true;
        s.revocation_lists = {tls::source::file("/nowhere")};
    });
    const auto nobody = tls::client_context::make(test_support::trusting(ca())).value()->connect("");
    REQUIRE(!nobody);
    CHECK(nobody.error().is(tls::errc::bad_setting));
}

TEST_CASE("identities come from PEM and from DER, from files and from memory") {
    const auto& a = named("a", "DNS:a.test");
    lab().run("openssl x509 -in " + a.cert + " -outform DER -out " + lab().path("a.der"));
    lab().run("openssl ec -in " + a.key + " -outform DER -out " + lab().path("a.key.der"));
    lab().run("openssl pkcs8 -topk8 -nocrypt -in " + a.key + " -out " + lab().path("a.pk8"));
    for (const char* chain : {"a.pem", "a.der"}) {
        for (const char* key : {"a.key", "a.key.der", "a.pk8"}) {
            for (const bool memory : {false, true}) {
                CAPTURE(chain);
                CAPTURE(key);
                const std::string c = lab().path(chain);
                const std::string k = lab().path(key);
                const auto from = memory ? tls::identity(tls::source::memory(test_support::slurp(c)), tls::source::memory(test_support::slurp(k)))
                                         : tls::identity::files(c, k);
                const auto out = shake(test_support::client_of(ca()), test_support::server_of(tls::server_settings(from)));
                CHECK_MESSAGE(out.ok(), out.near_text());
            }
        }
    }
}

TEST_CASE("a server takes no version and no suite that is weak, though the library would by itself: even plaintext with a checksum") {
    struct offer {
        WOLFSSL_METHOD* method;
        std::string suites;
        bool good;
    };
    const auto made = context_of(server());
    for (const offer& o : {offer{::wolfTLSv1_3_client_method(), "TLS13-AES128-GCM-SHA256", true},
                           offer{::wolfTLSv1_2_client_method(), "ECDHE-ECDSA-AES128-GCM-SHA256", true},
                           offer{::wolfTLSv1_3_client_method(), "TLS13-SHA256-SHA256", false},
                           offer{::wolfTLSv1_3_client_method(), "TLS13-AES128-CCM-SHA256", false},
                           offer{::wolfTLSv1_2_client_method(), "ECDHE-ECDSA-NULL-SHA", false},
                           offer{::wolfTLSv1_2_client_method(), "ECDHE-ECDSA-RC4-SHA", false},
                           offer{::wolfTLSv1_2_client_method(), "ECDHE-ECDSA-DES-CBC3-SHA", false},
                           offer{::wolfTLSv1_2_client_method(), "ECDHE-ECDSA-AES128-SHA256", false},
                           offer{::wolfTLSv1_2_client_method(), "ADH-AES128-SHA", false},
                           offer{::wolfTLSv1_1_client_method(), "ECDHE-ECDSA-AES128-SHA", false}}) {
        CAPTURE(o.suites);
        const tls::detail::context_ptr context(::wolfSSL_CTX_new(o.method));
        REQUIRE(context != nullptr);
        REQUIRE(::wolfSSL_CTX_set_cipher_list(context.get(), o.suites.c_str()) == WOLFSSL_SUCCESS);
        tls::engine_callbacks::install(*context, WOLFSSL_VERIFY_NONE);
        tls::engine_setup setup;
        setup.context = context.get();
        const auto client = tls::engine::make(setup).value();
        const auto served = made->connect("").value();
        CHECK(shake(*client, *served) == o.good);
        CHECK(served->is_complete() == o.good);
    }
}

TEST_CASE("no TLS 1.2 session identifier is good at another context, or at all: the library's cache is everybody's") {
    auto old = test_support::trusting(ca());
    old.max_version = tls::version::tls_1_2;
    const auto context = test_support::client_of(old);
    const auto one = context_of(server());
    const auto other = context_of(server());
    tls::detail::session_ptr session;
    for (const auto& to : {one, one, other}) {
        auto client = *context->connect("a.test");
        auto served = *to->connect("");
        if (session != nullptr) {
            client->resume(*session);
        }
        REQUIRE(shake(*client, *served));
        CHECK(!served->resumed());
        CHECK(!client->resumed());
        session.reset(::wolfSSL_get1_session(client->native()));
    }
}

#if defined(PERSIST_SESSION_CACHE)
TEST_CASE("no session of a server, secrets and all, gets into the cache that the library has for the whole process") {
    const auto cache = [] {
        std::string octets(static_cast<std::size_t>(::wolfSSL_get_session_cache_memsize()), '\0');
        REQUIRE(::wolfSSL_memsave_session_cache(octets.data(), static_cast<int>(octets.size())) == WOLFSSL_SUCCESS);
        return octets;
    };
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) {
        auto c = test_support::trusting(ca());
        c.max_version = highest;
        const auto clients = test_support::client_of(c);
        const auto context = context_of(server());
        auto client = *clients->connect("a.test");
        auto served = *context->connect("");
        const std::string before = cache();
        REQUIRE(shake(*client, *served));
        CHECK((cache() == before)); // not its 300 KB in the log
    }
}
#endif

TEST_CASE("a ClientHello in many records is served, in both versions") {
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) {
        for (const std::size_t size : {7UL, 50UL, 200UL}) {
            CAPTURE(size);
            auto c = test_support::trusting(ca());
            c.max_version = highest;
            const auto context = test_support::client_of(c);
            auto client = *context->connect("a.test");
            REQUIRE(client->handshake() == tls::engine::progress::want_more);
            const std::string small = in_small_records(client->output().view(), size);
            tls::client_hello_reader reader;
            REQUIRE(reader.read(small) == tls::hello_state::complete);
            CHECK(reader.take().server_name == "a.test");
            const auto made = context_of(server());
            auto served = *made->connect("");
            served->feed(small);
            CHECK(served->handshake() == tls::engine::progress::want_more);
            CHECK(served->output().size() > 500); // its whole flight
        }
    }
}

TEST_CASE("the authorities of the system are loaded once for all clients that say nothing") {
    const auto one = tls::default_client_context();
    if (one) { // a machine may have none
        CHECK(tls::default_client_context().value() == *one);
    } else {
        CHECK(one.error().is(tls::errc::bad_file));
    }
}

} // TEST_SUITE
