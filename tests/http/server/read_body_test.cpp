// SPDX-License-Identifier: MIT
#include <flux/http/server/read_body.hpp> // also proves the header is self-contained

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <flux/http/message/form.hpp>

#include <stdexcept>
#include <string>

#include <http/server/serve_octets.hpp>

namespace http = flux::http;

namespace shop {

struct order {
    std::string text;
};
bool from_body(std::string_view body, order& out) {
    if (body.starts_with("throw")) {
        throw std::invalid_argument("no order");
    }
    out.text = body;
    return body.starts_with('{');
}
std::string to_body(const order& o) {
    return "<" + o.text + ">";
}
struct checked {
    std::size_t size = 0;
};
flux::result<void> from_body(std::string_view body, checked& out) {
    if (body == "bad") {
        return flux::fail(flux::errc::protocol);
    }
    out.size = body.size();
    return {};
}
constexpr std::string_view body_content_type(std::type_identity<checked>) {
    return "text/plain";
}

} // namespace shop

namespace {

using flux::task;
using http::request;

std::string ask(std::string path, std::string fields, std::string body) {
    http::router app;
    app.post("/order", [](request& req) -> task<shop::order> {
        auto o = co_await req.read<shop::order>(20);
        o.text += "!";
        co_return o;
    });
    app.post("/checked", [](request& req) -> task<std::string> {
        const auto c = co_await req.read<shop::checked>();
        co_return std::to_string(c.size);
    });
    app.post("/form", [](request& req) -> task<std::string> {
        const auto f = co_await req.read<http::form>();
        co_return std::string(f.get("a").value_or("none"));
    });
    app.get("/now", [] { return shop::order{"now"}; });
    const std::string octets = (path == "/now" ? "GET " : "POST ") + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: " +
                               std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body;
    return flux_test::serve(app, octets).octets;
}
std::string code_of(const std::string& answer) {
    return answer.substr(9, 3);
}
const std::string json = "Content-Type: application/json\r\n";

} // namespace

TEST_SUITE("http/server/read_body") {

    TEST_CASE("a body becomes an object, and an object a body, by the hooks of the program") {
        const std::string answer = ask("/order", json, "{1}");
        CHECK(code_of(answer) == "200");
        CHECK(answer.find("Content-Type: application/json\r\n") != std::string::npos);
        CHECK(answer.ends_with("<{1}!>"));
        CHECK(ask("/now", "", "").ends_with("<now>"));
        CHECK(ask("/checked", "Content-Type: text/plain\r\n", "abc").ends_with("3"));
        CHECK(ask("/form", "Content-Type: application/x-www-form-urlencoded\r\n", "b=1&a=x%20y").ends_with("x y"));
    }

    TEST_CASE("what the hook does not like is answered 400, however it says so") {
        CHECK(code_of(ask("/order", json, "[1]")) == "400");
        CHECK(code_of(ask("/order", json, "throw")) == "400");
        CHECK(code_of(ask("/order", json, "")) == "400");
        CHECK(code_of(ask("/checked", "Content-Type: text/plain\r\n", "bad")) == "400");
        std::string many;
        for (int i = 0; i < 1001; ++i) {
            many += "a&";
        }
        CHECK(code_of(ask("/form", "Content-Type: application/x-www-form-urlencoded\r\n", many)) == "400");
    }

    TEST_CASE("another media type is answered 415, and a body over the limit 413") {
        CHECK(code_of(ask("/order", "", "{1}")) == "415");
        CHECK(code_of(ask("/order", "Content-Type: text/json-ish\r\n", "{1}")) == "415");
        CHECK(code_of(ask("/order", json + json, "{1}")) == "415");
        CHECK(code_of(ask("/form", json, "a=1")) == "415");
        CHECK(code_of(ask("/order", json, "{" + std::string(19, ' '))) == "200");
        CHECK(code_of(ask("/order", json, "{" + std::string(20, ' '))) == "413");
    }

    TEST_CASE("a body that is broken by its framing keeps that status") {
        http::router app;
        app.post("/", [](request& req) -> task<shop::order> { co_return co_await req.read<shop::order>(); });
        CHECK(code_of(flux_test::serve(app, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + json + "\r\nx\r\n").octets) ==
              "400");
    }

} // TEST_SUITE
