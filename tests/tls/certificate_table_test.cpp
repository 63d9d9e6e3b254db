// SPDX-License-Identifier: MIT
#include <flux/tls/certificate_table.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/tls/certificate_files.hpp>
#include <flux/tls/self_signed.hpp>
#include <support/counting_new.cpp> // in one source of the program: all of its tests can count then
#include <support/counting_new.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::ca;
using test_support::cert_lab;
using test_support::client_of;
using test_support::context_of;
using test_support::lab;
using test_support::named;
using test_support::settings_of;
using test_support::shake;

namespace {

const cert_lab::pair& keyed(const std::string& name, const std::string& san, const std::string& key) {
    cert_lab::spec s;
    s.san = san;
    s.key = key;
    return lab().issue(ca(), name, s);
}

/// The subject that a client of `host` is shown; "" after a failure, whose text goes to `why`.
std::string shown(const tls::server_config_ptr& config, const std::string& host, std::string* why = nullptr,
                  tls::version highest = tls::version::tls_1_3) {
    tls::client_settings s = test_support::trusting(ca());
    s.max_version = highest;
    testing::virtual_loop loop;
    auto e = test_support::make_tls_ends(client_of(s), config, host);
    const auto out = shake(loop, e);
    if (!out.ok()) {
        if (why != nullptr) {
            *why = out.near_text() + " | " + out.far_text();
        }
        return "";
    }
    return e.near.peer_certificate()->subject;
}

} // namespace

TEST_SUITE("tls/certificate_table") {

TEST_CASE("clients get the certificate of the name they ask for: exact, wildcard, default; whatever the key, in both versions") {
    auto config = std::make_shared<tls::server_config>();
    config->table().set_all(context_of(named("a", "DNS:a.test")));
    config->table().set_all(context_of(keyed("w", "DNS:*.wild.test", "rsa2048")));
    config->table().set("x.wild.test", context_of(keyed("x", "DNS:x.wild.test", "ed25519")));
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) {
        CHECK(shown(config, "a.test", nullptr, highest) == "CN=a");
        CHECK(shown(config, "A.TEST", nullptr, highest) == "CN=a");
        CHECK(shown(config, "y.wild.test", nullptr, highest) == "CN=w");
        CHECK(shown(config, "x.wild.test", nullptr, highest) == "CN=x");
        std::string why;
        CHECK(shown(config, "wild.test", &why, highest).empty());
        CHECK(why == "TLS: peer sent alert unrecognized_name (112): peer ended the connection | "
                     "TLS: \"wild.test\": no certificate for the requested name");
    }
    config->table().set_default(context_of(named("d", "DNS:wild.test,IP:127.0.0.1")));
    CHECK(shown(config, "wild.test") == "CN=d");
    CHECK(shown(config, "127.0.0.1") == "CN=d"); // an address is never asked for by name
    config->table().remove("a.test");
    CHECK(shown(config, "a.test").empty());
}

TEST_CASE("a virtual host that wants client certificates wants them, whichever host the client began with") {
    tls::server_settings strict = settings_of(named("b", "DNS:b.test"));
    strict.clients = tls::client_verification::required;
    strict.client_authorities = tls::trust::file(ca().cert);
    auto config = std::make_shared<tls::server_config>(context_of(named("a", "DNS:a.test")));
    config->table().set("b.test", context_of(strict));
    CHECK(shown(config, "a.test") == "CN=a");
    std::string why;
    CHECK(shown(config, "b.test", &why).empty());
    CHECK(why.find("certificate_required") != std::string::npos);
}

TEST_CASE("application protocols are those of the host that was asked for; none in common is an alert [RFC 7301 3.2]") {
    tls::server_settings other = settings_of(named("b", "DNS:b.test"));
    other.protocols = {"x-other", "x-more"};
    auto config = std::make_shared<tls::server_config>(context_of(named("a", "DNS:a.test")));
    config->table().set("b.test", context_of(other));
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) {
        CHECK(shown(config, "a.test", nullptr, highest) == "CN=a");
        std::string why;
        CHECK(shown(config, "b.test", &why, highest).empty());
        CHECK(why == "TLS: peer sent alert no_application_protocol (120): no common application protocol | "
                     "TLS: the client offers \"http/1.1\": no common application protocol");
        for (const auto& [host, asked] : {std::pair("a.test", "http/1.1"), std::pair("b.test", "x-other")}) {
            tls::client_settings s = test_support::trusting(ca());
            s.max_version = highest;
            s.protocols = {"http/1.1", "x-more", "x-other"};
            testing::virtual_loop loop;
            auto e = test_support::make_tls_ends(client_of(s), config, host);
            REQUIRE(shake(loop, e).ok());
            CHECK(e.near.protocol() == asked); // the server's preference
            CHECK(e.far.protocol() == asked);
        }
    }
}

TEST_CASE("a coroutine may choose, take its time, refuse with an alert of its choice, or leave it to the table") {
    auto config = std::make_shared<tls::server_config>(context_of(named("a", "DNS:a.test")));
    const auto b = context_of(named("b", "DNS:b.test"));
    config->on_client_hello([b](const tls::client_hello& hello) -> task<tls::hello_answer> {
        const std::string name = hello.server_name;
        co_await sleep_for(100ms);
        if (name == "b.test") {
            co_return tls::hello_answer(b);
        }
        if (name == "denied.test") {
            co_return tls::hello_answer(tls::alert::access_denied);
        }
        if (name == "slow.test") {
            co_await sleep_for(1h);
        }
        if (name == "broken.test") {
            throw 42;
        }
        co_return tls::hello_answer::by_table();
    });
    for (const auto highest : {tls::version::tls_1_3, tls::version::tls_1_2}) { // the library's own way to wait fails in 1.2
        CHECK(shown(config, "b.test", nullptr, highest) == "CN=b");
        CHECK(shown(config, "a.test", nullptr, highest) == "CN=a");
    }
    std::string why;
    CHECK(shown(config, "denied.test", &why).empty());
    CHECK(why == "TLS: peer sent alert access_denied (49): peer ended the connection | "
                 "TLS: on_client_hello refused \"denied.test\": refused by configuration");
    CHECK(shown(config, "slow.test", &why).empty());
    CHECK(why.find("internal_error") != std::string::npos);
    CHECK(why.find("on_client_hello: timed out") != std::string::npos);
    CHECK(shown(config, "broken.test", &why).empty());
    CHECK(why.find("on_client_hello threw an exception") != std::string::npos);
}

TEST_CASE("a pair of files that changes is served anew; half a pair, garbage or an expired one never is") {
    const auto& first = named("first", "DNS:a.test");
    const auto& second = named("second", "DNS:a.test");
    cert_lab::spec old;
    old.san = "DNS:a.test";
    old.until = "20250101000000Z";
    const auto& expired = lab().issue(ca(), "expired_pair", old);
    const std::string cert = lab().path("live.pem");
    const std::string key = lab().path("live.key");
    int stamp = 0;
    const auto put = [&](const std::string& path, const std::string& text) {
        test_support::spew(path, text);
        lab().run("touch -d '2026-01-01 00:00:" + std::to_string(++stamp) + "' " + path); // as if time had passed
    };
    put(cert, first.chain_pem());
    put(key, first.key_pem());
    auto config = std::make_shared<tls::server_config>();
    auto files = std::make_shared<tls::certificate_files>(milliseconds(0));
    auto added = files->add(config->table(), tls::server_settings(tls::identity::files(cert, key)));
    REQUIRE_MESSAGE(added, added.error().message());
    config->refresh_by(files);
    CHECK(shown(config, "a.test") == "CN=first");
    put(cert, second.chain_pem()); // the key is still the old one
    CHECK(shown(config, "a.test") == "CN=first");
    CHECK(files->status().front().failures == 1);
    CHECK(files->status().front().last_failure.find("does not belong to") != std::string::npos);
    put(key, second.key_pem().substr(0, 60));
    CHECK(shown(config, "a.test") == "CN=first");
    put(key, second.key_pem());
    CHECK(shown(config, "a.test") == "CN=second");
    CHECK(files->status().front().reloads == 1);
    CHECK(files->status().front().last_failure.empty());
    CHECK(files->status().front().expires > 2'000'000'000);
    put(cert, "");
    CHECK(shown(config, "a.test") == "CN=second");
    put(cert, expired.chain_pem());
    put(key, expired.key_pem());
    CHECK(shown(config, "a.test") == "CN=second");
    CHECK(files->status().front().last_failure == "the new certificate expired on 2025-01-01");
    put(cert, first.chain_pem());
    put(key, first.key_pem());
    CHECK(shown(config, "a.test") == "CN=first");
    const auto none = files->add(config->table(), tls::server_settings(tls::identity::files("/nowhere.pem", key)));
    REQUIRE(!none);
    CHECK(none.error().kind() == error_kind::usage);
}

TEST_CASE("a certificate made in memory is one that a client can trust") {
    auto own = tls::self_signed({"a.test", "127.0.0.1", "::1"});
    REQUIRE_MESSAGE(own, own.error().message());
    const auto config = test_support::server_of(tls::server_settings(*own));
    tls::client_settings s;
    s.authorities = tls::trust::pem(*own->chain().read());
    for (const char* host : {"a.test", "127.0.0.1", "::1"}) {
        const auto out = shake(client_of(s), config, host);
        CHECK_MESSAGE(out.ok(), out.near_text());
    }
    CHECK(!shake(client_of(s), config, "b.test").ok());
    CHECK(!tls::self_signed({}));
    CHECK(!tls::self_signed({std::string(200, 'x')}));
}

TEST_CASE("who may come in can be asked with the client's certificate: SPIFFE names, and a check of one's own") {
    const auto& own = named("a", "DNS:a.test");
    const auto& good = named("spiffe", "URI:spiffe://flux.test/api");
    const auto& other = named("spiffe2", "URI:spiffe://flux.test/db");
    const auto enter = [&](const cert_lab::pair& who, bool own_check) {
        tls::server_settings s = settings_of(own);
        s.clients = tls::client_verification::required;
        s.client_authorities = tls::trust::file(ca().cert);
        s.allowed_uris = {"spiffe://flux.test/api"};
        if (own_check) {
            s.on_peer = tls::make_peer_check([](const tls::peer_info& p) -> result<void> {
                return fail(error(errc::unavailable).doing("not today, " + p.leaf->subject));
            });
        }
        tls::client_settings c = test_support::trusting(ca());
        c.own = tls::identity::files(who.chain, who.key);
        return shake(client_of(c), test_support::server_of(s));
    };
    CHECK_MESSAGE(enter(good, false).ok(), enter(good, false).far_text());
    const auto refused = enter(other, false);
    REQUIRE(!refused.far);
    CHECK(refused.far.error().is(tls::errc::certificate_refused));
    CHECK_MESSAGE(refused.far_text().find("\"spiffe://flux.test/db\" is not on the list") != std::string::npos, refused.far_text());
    const auto checked = enter(good, true);
    REQUIRE(!checked.far);
    CHECK_MESSAGE(checked.far_text().find("not today, CN=spiffe") != std::string::npos, checked.far_text());
    CHECK(checked.near_text().find("bad_certificate") != std::string::npos);
}

TEST_CASE("a name is one in any case; what replaces a context takes nothing from the others") {
    const auto a = context_of(named("a", "DNS:a.test"));
    const auto both = context_of(named("both", "DNS:A.test,DNS:gone.test,DNS:b.test"));
    const auto b = context_of(named("b", "DNS:b.test"));
    const auto later = context_of(named("later", "DNS:a.TEST,DNS:b.test,DNS:new.test,DNS:d.test"));
    tls::certificate_table table;
    table.set_all(both);
    table.set("alias.test", both);
    table.set_all(b);
    table.set("d.test", a);
    table.set_default(a);
    table.replace(both, later);
    CHECK(table.find("a.test") == later);
    CHECK(table.find("alias.test") == later);
    CHECK(table.find("new.test") == later);
    CHECK(table.find("gone.test") == a);
    CHECK(table.find("b.test") == b);
    CHECK(table.find("d.test") == a);
    table.replace(a, b);
    CHECK(table.find("gone.test") == b); // the default
    table.remove("A.Test");
    CHECK(table.find("a.test") == b);
}

TEST_CASE("files that change leave names and default to the identities that have them") {
    const std::string cert = lab().path("turn.pem");
    const auto& first = named("turn1", "DNS:turn.test,DNS:common.test");
    const auto& second = named("turn2", "DNS:turn.test");
    lab().run("cp " + first.chain + " " + cert + "; cp " + first.key + " " + cert + ".key");
    const auto& other = named("common", "DNS:common.test");
    auto config = std::make_shared<tls::server_config>();
    auto files = std::make_shared<tls::certificate_files>(milliseconds(0));
    REQUIRE(files->add(config->table(), tls::server_settings(tls::identity::files(cert, cert + ".key"))));
    REQUIRE(files->add(config->table(), tls::server_settings(tls::identity::files(other.chain, other.key))));
    config->refresh_by(files);
    lab().run("cp " + second.chain + " " + cert + "; cp " + second.key + " " + cert + ".key; touch -d '2026-01-01' " + cert);
    CHECK(shown(config, "turn.test") == "CN=turn2");
    CHECK(files->status().front().names == std::vector<std::string>{"turn.test"});
    CHECK(shown(config, "common.test") == "CN=common");
    CHECK(shown(config, "any.test") == ""); // shown by the default, which is no certificate for it
    CHECK(config->find("any.test")->chain().front().subject == "CN=common");
}

TEST_CASE("contexts are replaced at once, and what one has no more goes to the heir that has it") {
    const auto a = context_of(named("a", "DNS:a.test"));
    const auto ax = context_of(named("ax", "DNS:a.test,DNS:x.test,DNS:y.test"));
    const auto b = context_of(named("b", "DNS:b.test"));
    const auto bx = context_of(named("bx", "DNS:b.test,DNS:X.test"));
    const auto cy = context_of(named("cy", "DNS:c.test,DNS:y.test"));
    for (const bool taker_first : {false, true}) {
        CAPTURE(taker_first);
        tls::certificate_table table;
        table.set_all(cy);
        table.set_all(b);
        table.set_all(ax); // y.test is its own now
        table.set_default(ax);
        table.replace(taker_first ? std::vector<tls::certificate_table::replacement>{{b, bx}, {ax, a}}
                                  : std::vector<tls::certificate_table::replacement>{{ax, a}, {b, bx}},
                      {bx, cy, a});
        CHECK(table.find("a.test") == a);
        CHECK(table.find("b.test") == bx);
        CHECK(table.find("x.test") == bx);
        CHECK(table.find("y.test") == cy);
        CHECK(table.find("other.test") == a);
    }
    tls::certificate_table table;
    table.set_all(ax);
    table.replace(ax, a);
    CHECK(table.find("x.test") == nullptr);
}

TEST_CASE("a name that moves from one certificate to another is served by it, whichever of the files changed first") {
    int stamp = 0;
    const auto put = [&](const std::string& path, const cert_lab::pair& p) {
        lab().run("cp " + p.chain + " " + path + "; cp " + p.key + " " + path + ".key; touch -d '2026-01-01 00:00:" +
                  std::to_string(++stamp) + "' " + path);
    };
    const std::string one = lab().path("one.pem");
    const std::string two = lab().path("two.pem");
    const auto& a = named("a", "DNS:a.test");
    const auto& a_again = named("a_again", "DNS:a.test");
    const auto& ax = named("a_x", "DNS:a.test,DNS:x.test");
    const auto& b = named("b", "DNS:b.test");
    const auto& bx = named("b_x", "DNS:b.test,DNS:x.test");
    const auto& bx_again = named("b_x_again", "DNS:b.test,DNS:x.test");
    enum class order { giver_first, taker_first, at_once, overlap };
    for (const order o : {order::giver_first, order::taker_first, order::at_once, order::overlap}) {
        CAPTURE(static_cast<int>(o));
        put(one, ax);
        put(two, o == order::overlap ? bx : b);
        auto config = std::make_shared<tls::server_config>();
        tls::certificate_files files;
        // What is added last has what both have.
        for (const std::string& file : o == order::overlap ? std::vector{two, one} : std::vector{one, two}) {
            REQUIRE(files.add(config->table(), tls::server_settings(tls::identity::files(file, file + ".key")), false));
        }
        const auto served = [&](const char* name) {
            const auto context = config->find(name);
            return context == nullptr ? std::string() : context->chain().front().subject;
        };
        CHECK(served("x.test") == "CN=a_x");
        const unsigned at_a_look = o == order::at_once ? 2 : 1;
        if (o == order::taker_first || o == order::at_once) {
            put(two, bx);
            if (o == order::taker_first) {
                CHECK(files.check(config->table()) == 1);
                CHECK(served("x.test") == "CN=a_x");
            }
        }
        put(one, a);
        CHECK(files.check(config->table()) == at_a_look);
        CHECK(served("a.test") == "CN=a");
        CHECK(served("x.test") == (o == order::giver_first ? "" : "CN=b_x"));
        if (o == order::giver_first) {
            put(two, bx);
            CHECK(files.check(config->table()) == 1);
            CHECK(served("x.test") == "CN=b_x");
        }
        put(two, bx_again);
        CHECK(files.check(config->table()) == 1);
        CHECK(served("x.test") == "CN=b_x_again");
        config->table().remove("x.test"); // and it stays out
        put(one, a_again);
        put(two, bx);
        CHECK(files.check(config->table()) == 2);
        CHECK(served("x.test") == "");
        CHECK(served("b.test") == "CN=b_x");
    }
}

TEST_CASE("wherever memory fails in a look at the files, the next look does what is left") {
    const std::string live = lab().path("scarce.pem");
    const auto& first = named("scarce1", "DNS:a.test,DNS:old.test");
    const auto& second = named("scarce2", "DNS:a.test,DNS:a-name-that-is-new.test");
    int stamp = 0;
    const auto put = [&](const cert_lab::pair& p) {
        lab().run("cp " + p.chain + " " + live + "; cp " + p.key + " " + live + ".key; touch -d '2026-01-01 00:00:00." +
                  std::to_string(10'000 + ++stamp) + "' " + live);
    };
    put(first);
    tls::certificate_table table;
    tls::certificate_files files;
    REQUIRE(files.add(table, tls::server_settings(tls::identity::files(live, live + ".key")), false));
    const auto stands = [&](const cert_lab::pair& p) {
        const auto context = table.find("a.test");
        const auto names = context->chain().front().dns_names;
        return context->chain().front().subject == "CN=" + p.name && files.status().front().names == names &&
               table.find(names[1]) == context && table.find("old.test") == (&p == &first ? context : nullptr);
    };
    put(second);
    const test_support::allocation_count count;
    REQUIRE(files.check(table) == 1);
    const std::uint64_t in_all = count.allocations();
    std::uint64_t failed = 0;
    for (std::uint64_t n = 1; n <= in_all; ++n) {
        CAPTURE(n);
        put(first);
        REQUIRE(files.check(table) == 1);
        put(second);
        try {
            const test_support::failing_allocation scarce(n);
            const unsigned replaced = files.check(table);
            CHECK(replaced == 1);
        } catch (const std::bad_alloc&) {
            ++failed;
            CHECK(stands(first));
            CHECK(files.status().front().failures == 0);
            CHECK(files.check(table) == 1);
        }
        CHECK(stands(second));
    }
    CHECK(failed == in_all);
}

TEST_CASE("a handshake that is stopped while the hook waits was stopped, and not refused") {
    auto config = std::make_shared<tls::server_config>(context_of(named("a", "DNS:a.test")));
    config->on_client_hello([](const tls::client_hello&) -> task<tls::hello_answer> {
        co_await sleep_for(1h);
        co_return tls::hello_answer::by_table();
    });
    testing::virtual_loop loop;
    auto e = test_support::make_tls_ends(client_of(ca()), config);
    auto both = [&]() -> task<> {
        auto server = [](test_support::tls_end& end) -> task<> {
            const auto made = co_await attempt(with_timeout(50ms, end.handshake()));
            REQUIRE(!made);
            CHECK_MESSAGE(made.error().kind() == error_kind::timeout, made.error().message());
            end.close();
        };
        auto client = [](test_support::tls_end& end) -> task<> {
            const auto made = co_await attempt(end.handshake());
            CHECK(!made);
        };
        co_await when_all(server(e.far), client(e.near));
    };
    const auto r = loop.run(both());
    REQUIRE_MESSAGE(r, r.error().message());
}

} // TEST_SUITE
