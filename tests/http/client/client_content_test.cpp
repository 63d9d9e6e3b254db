// SPDX-License-Identifier: MIT
// Forms and a program's own types as bodies of requests and responses.
#include <flux/http/client/client.hpp>

#include "http/client/memory_connector.hpp"

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <type_traits>

using namespace flux;
using namespace flux_test;

namespace goods {

struct order {
    int number = 0;
};
std::string to_body(const order& o) {
    return "{\"number\":" + std::to_string(o.number) + "}";
}
bool from_body(std::string_view text, order& out) {
    if (!text.starts_with("{\"number\":") || !text.ends_with("}")) {
        return false;
    }
    out.number = std::atoi(std::string(text.substr(10)).c_str());
    return true;
}

struct note {
    std::string text;
};
std::string to_body(const note& n) {
    return n.text;
}
void from_body(std::string_view text, note& out) {
    if (text == "throw") {
        throw std::runtime_error("no note");
    }
    out.text = text;
}
constexpr std::string_view body_content_type(std::type_identity<note>) {
    return "text/plain";
}

} // namespace goods

namespace {

// Notes head and body of each request; answers with the type and the body that the path names: /type/subtype/body.
task<> echoes(peer& p) {
    for (;;) {
        std::string head = co_await p.head();
        if (head.empty()) {
            co_return;
        }
        std::string body;
        if (const std::size_t at = head.find("\r\nContent-Length: "); at != std::string::npos) {
            body = co_await p.body(std::stoul(head.substr(at + 18)));
        }
        const std::string path = head.substr(head.find('/') + 1, head.find(" HTTP") - head.find('/') - 1);
        const std::size_t second = path.find('/', path.find('/') + 1);
        const std::string type = path.substr(0, second);
        const std::string text = http::percent_decode(second == std::string::npos ? "" : path.substr(second + 1));
        std::string answer = "HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nContent-Length: " +
                             std::to_string(text.size()) + "\r\n\r\n" + text;
        p.net->heads.push_back(head + body);
        co_await p.say(std::move(answer));
    }
}
void runs(memory_net& net, task<> (*test)(memory_client&, memory_net&)) {
    auto done = with_peer(net, echoes, {}, test);
    if (!done) {
        FAIL_CHECK(done.error().message());
    }
}
bool holds(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

} // namespace

TEST_SUITE("http/client/client_content") {
    TEST_CASE("a form is a body with its type") {
        memory_net net;
        runs(net, [](memory_client& api, memory_net&) -> task<> {
            auto r = co_await api.post("http://a.test/").form(http::query_builder().add("a b", "1&2").add("c", ""));
            CHECK(r.ok());
        });
        REQUIRE(net.heads.size() == 1);
        CHECK(holds(net.heads[0], "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
        CHECK(net.heads[0].ends_with("\r\n\r\na+b=1%262&c="));
    }
    TEST_CASE("a form with files is streamed, with its length where that is known") {
        memory_net net;
        runs(net, [](memory_client& api, memory_net&) -> task<> {
            http::multipart_form form("XX");
            form.add("a", "1").file("f", "n.txt", std::string("octets"), "text/plain");
            auto r = co_await api.post("http://a.test/").form(std::move(form));
            CHECK(r.ok());
        });
        REQUIRE(net.heads.size() == 1);
        CHECK(holds(net.heads[0], "\r\nContent-Type: multipart/form-data; boundary=XX\r\n"));
        CHECK(holds(net.heads[0], "\r\nContent-Length: "));
        CHECK(net.heads[0].ends_with("octets\r\n--XX--\r\n"));
    }
    TEST_CASE("an object is written by its to_body, and says its type") {
        memory_net net;
        runs(net, [](memory_client& api, memory_net&) -> task<> {
            const goods::order seven{7};
            const goods::note hi{"hi"};
            auto r = co_await api.post("http://a.test/").body(seven);
            auto s = co_await api.post("http://a.test/").body(hi);
            CHECK((r.ok() && s.ok()));
        });
        REQUIRE(net.heads.size() == 2);
        CHECK(holds(net.heads[0], "\r\nContent-Type: application/json\r\n"));
        CHECK(net.heads[0].ends_with("\r\n\r\n{\"number\":7}"));
        CHECK(holds(net.heads[1], "\r\nContent-Type: text/plain\r\n"));
        CHECK(net.heads[1].ends_with("\r\n\r\nhi"));
    }
    TEST_CASE("an object is read by its from_body, if the type is right") {
        memory_net net;
        runs(net, [](memory_client& api, memory_net& n) -> task<> {
            auto a = co_await api.get("http://a.test/application/json/%7B%22number%22:42%7D");
            const auto order = co_await a.read<goods::order>();
            CHECK(order.number == 42);
            auto b = co_await api.get("http://a.test/application/vnd.x+json;charset=utf-8/%7B%22number%22:43%7D");
            const auto other = co_await b.read<goods::order>();
            CHECK(other.number == 43);
            auto c = co_await api.get("http://a.test/text/plain/hello");
            const auto note = co_await c.read<goods::note>();
            CHECK(note.text == "hello");
            CHECK(n.connects == 1);
        });
    }
    TEST_CASE("what is refused is of kind protocol, with the reason") {
        memory_net net;
        runs(net, [](memory_client& api, memory_net& n) -> task<> {
            const auto is_protocol = [](const error& e, http::errc code) {
                CHECK(e.code() == make_error_code(code));
                CHECK(e.kind() == error_kind::protocol);
            };
            auto a = co_await api.get("http://a.test/text/html/%7B%22number%22:42%7D");
            const auto html = co_await attempt(a.read<goods::order>());
            REQUIRE_FALSE(html);
            is_protocol(html.error(), http::errc::unsupported_content);
            auto b = co_await api.get("http://a.test/application/json/nonsense");
            const auto nonsense = co_await attempt(b.read<goods::order>());
            REQUIRE_FALSE(nonsense);
            is_protocol(nonsense.error(), http::errc::malformed_content);
            auto c = co_await api.get("http://a.test/text/plain/throw");
            const auto thrown = co_await attempt(c.read<goods::note>());
            REQUIRE_FALSE(thrown);
            is_protocol(thrown.error(), http::errc::malformed_content);
            CHECK(thrown.error().message().find("no note") != std::string::npos);
            auto d = co_await api.get("http://a.test/text/plain/hello");
            const auto longer = co_await attempt(d.read<goods::note>(4));
            REQUIRE_FALSE(longer);
            CHECK(longer.error().kind() == error_kind::limit);
            CHECK(n.connects == 1);
        });
    }
}
