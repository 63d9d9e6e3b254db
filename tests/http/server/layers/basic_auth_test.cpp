// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/basic_auth.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <flux/coro/sleep.hpp>

#include <string>
#include <string_view>

#include <http/server/layered.hpp>
#include <http/server/parsed_request.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::basic_auth<http::known_users>>);

namespace {

using flux::task;
using test_support::layered;
using test_support::parsed_request;

task<std::string> who(http::request&) {
    const auto ctx = co_await flux::this_context();
    co_return std::string(*ctx.get<http::auth_user_key>());
}

template <class Layer>
std::string ask(Layer layer, std::string fields) {
    test_support::manual_loop loop;
    parsed_request req("GET / HTTP/1.1", "Host: h\r\n" + fields);
    const layered h(who, std::move(layer));
    auto r = loop.run(h->call(req));
    REQUIRE(r.has_value());
    const auto challenge = r->fields().get("WWW-Authenticate");
    CHECK((to_number(r->code()) == 401) == challenge.has_value());
    return challenge ? std::string(*challenge) : std::string(r->octets());
}
std::string with(std::string_view credentials, std::string scheme = "Basic ") {
    return "Authorization: " + scheme + flux::base64_encode(credentials) + "\r\n";
}
auto staff() {
    return http::basic_auth("staff", http::known_users().add("ann", "secret").add("bob", "a:b").add("", ""));
}
const std::string no = "Basic realm=\"staff\", charset=\"UTF-8\"";

} // namespace

TEST_SUITE("http/server/layers/basic_auth") {

    TEST_CASE("who knows the password is let in, and the handler knows who it is [RFC 7617 2]") {
        CHECK(ask(staff(), with("ann:secret")) == "ann");
        CHECK(ask(staff(), with("bob:a:b")) == "bob");
        CHECK(ask(staff(), with(":")) == "");
        CHECK(ask(staff(), with("ann:secret", "bAsIc   ")) == "ann");
    }

    TEST_CASE("everybody else is asked for it") {
        CHECK(ask(staff(), "") == no);
        for (const char* bad : {"ann:secre", "ann:secrets", "ann:", "ann:a:b", "bob:secret", "Ann:secret", "ann", "", ":x"}) {
            CAPTURE(bad);
            CHECK(ask(staff(), with(bad)) == no);
        }
    }

    TEST_CASE("credentials that are not one Basic token are none") {
        for (const char* bad : {"Authorization:\r\n", "Authorization: Basic\r\n", "Authorization: Basic \r\n",
                                "Authorization: Basic YW5uOnNlY3JldA\r\n", "Authorization: Basic !\r\n",
                                "Authorization: Bearer YW5uOnNlY3JldA==\r\n", "Authorization: BasicYW5uOnNlY3JldA==\r\n",
                                "Authorization: Basic YW5uOnNlY3JldA==, Basic x\r\n",
                                "Authorization: Basic YW5uOnNlY3JldA==\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n"}) {
            CAPTURE(bad);
            CHECK(ask(staff(), bad) == no);
        }
        CHECK(ask(staff(), with(std::string_view("ann\0:secret", 11))) == no);
        CHECK(ask(http::basic_auth("staff", [](std::string_view, std::string_view) { return true; }), with("a\nb:c")) == no);
    }

    TEST_CASE("a check may wait") {
        const auto later = [](std::string user, std::string password) -> task<bool> {
            co_await flux::sleep_for(flux::seconds(1));
            co_return user == "ann" && password == "x";
        };
        CHECK(ask(http::basic_auth("staff", later), with("ann:x")) == "ann");
        CHECK(ask(http::basic_auth("staff", later), with("ann:y")) == no);
    }

    TEST_CASE("a realm is quoted, or refused") {
        CHECK(ask(http::basic_auth("a \"b\" \\c", http::known_users()), "") ==
              "Basic realm=\"a \\\"b\\\" \\\\c\", charset=\"UTF-8\"");
        CHECK_THROWS_AS(http::basic_auth("a\r\nb", http::known_users()), flux::error);
    }

} // TEST_SUITE
