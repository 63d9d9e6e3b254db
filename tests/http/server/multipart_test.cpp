// SPDX-License-Identifier: MIT
#include <flux/http/server/multipart.hpp> // also proves the header is self-contained

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <string>

#include <http/server/serve_octets.hpp>

namespace http = flux::http;

namespace {

using flux::task;
using http::request;

http::router make_app() {
    http::router app;
    app.post("/read", [](request& req) -> task<std::string> { // "name(file, type)=data;" per part
        http::multipart_limits lim;
        lim.max_parts = 3;
        http::multipart_reader parts(req, lim);
        std::string log;
        for (auto* part = co_await parts.next(); part != nullptr; part = co_await parts.next()) {
            log += part->name();
            if (part->is_file()) {
                log += "(" + part->safe_filename() + ", " + std::string(part->content_type()) + ")";
            }
            const std::string data = co_await part->body().text(20);
            log += "=" + data + ";";
        }
        auto* none = co_await parts.next();
        CHECK(none == nullptr);
        co_return log;
    });
    app.post("/names", [](request& req) -> task<std::string> { // reads no data
        http::multipart_reader parts(req);
        std::string log;
        for (auto* part = co_await parts.next(); part != nullptr; part = co_await parts.next()) {
            log += part->name() + ";";
        }
        co_return log;
    });
    app.post("/pieces", [](request& req) -> task<std::string> {
        http::multipart_reader parts(req);
        auto* part = co_await parts.next();
        std::size_t octets = 0;
        for (;;) {
            const auto piece = co_await part->body().next();
            if (piece.empty()) {
                break;
            }
            octets += piece.size();
        }
        const auto again = co_await part->body().next();
        CHECK(again.empty());
        co_return std::to_string(octets);
    });
    return app;
}

// Status and body of the answer.
std::string ask(std::string path, std::string body, std::string type = "multipart/form-data; boundary=b",
                flux::testing::memory_options streams = {}) {
    const http::router app = make_app();
    flux_test::client_script script;
    script.pieces.push_back("POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Type: " + type + "\r\nContent-Length: " +
                            std::to_string(body.size()) + "\r\n\r\n" + body);
    const std::string octets = flux_test::serve(app, script, {}, streams).octets;
    return octets.substr(9, 3) + " " + octets.substr(octets.find("\r\n\r\n") + 4);
}
std::string part(std::string disposition, std::string data, std::string more = "") {
    return "--b\r\nContent-Disposition: " + disposition + "\r\n" + more + "\r\n" + data + "\r\n";
}
const std::string two = part("form-data; name=\"a\"", "1") +
                        part("form-data; name=\"f\"; filename=\"../x.png\"", "\r\n--data", "Content-Type: image/png\r\n") + "--b--\r\n";

} // namespace

TEST_SUITE("http/server/multipart") {

    TEST_CASE("a form's fields and files come one after the other [RFC 7578 4]") {
        CHECK(ask("/read", two) == "200 a=1;f(x.png, image/png)=\r\n--data;");
        CHECK(ask("/read", "--b--") == "200 ");
        CHECK(ask("/read", part("form-data; name=\"\"; filename=\"\"", "") + "--b--") == "200 (, text/plain)=;");
        CHECK(ask("/read", two, "Multipart/Form-Data; charset=utf-8; boundary=\"b\"") == "200 a=1;f(x.png, image/png)=\r\n--data;");
    }

    TEST_CASE("the pieces in which it arrives do not matter") {
        for (const std::size_t most : {1U, 2U, 3U, 7U, 64U}) {
            flux::testing::memory_options streams;
            streams.max_read = most;
            CHECK(ask("/read", two, "multipart/form-data; boundary=b", streams) == "200 a=1;f(x.png, image/png)=\r\n--data;");
        }
    }

    TEST_CASE("what is not read of a part is skipped") {
        CHECK(ask("/names", two) == "200 a;f;");
        CHECK(ask("/pieces", part("form-data; name=a", std::string(100'000, 'x')) + "--b--") == "200 100000");
    }

    TEST_CASE("a request that is no such form is answered 415") {
        for (const char* type : {"", "text/plain", "multipart/mixed; boundary=b", "multipart/form-data", "multipart/form-data; boundary=",
                                 "multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=\"b \"",
                                 "multipart/form-data; boundary=b\r\nContent-Type: multipart/form-data; boundary=c"}) {
            CAPTURE(type);
            CHECK(ask("/read", two, type).starts_with("415"));
        }
    }

    TEST_CASE("a form that is broken or ends early is answered 400") {
        CHECK(ask("/read", two.substr(0, two.size() - 5)).starts_with("400"));
        CHECK(ask("/read", "").starts_with("400"));
        CHECK(ask("/read", "--b\r\n\r\nno name\r\n--b--").starts_with("400"));
        CHECK(ask("/read", part("form-data", "x") + "--b--").starts_with("400"));
        CHECK(ask("/read", part("attachment; name=a", "x") + "--b--").starts_with("400"));
        CHECK(ask("/read", part("form-data; name=a; name=b", "x") + "--b--").starts_with("400"));
        CHECK(ask("/read", part("form-data; name=a", "x", "Content-Disposition: form-data; name=b\r\n") + "--b--").starts_with("400"));
        CHECK(ask("/names", two.substr(0, two.size() - 5)).starts_with("400"));
    }

    TEST_CASE("a form that is too large is answered 413") {
        const std::string one = part("form-data; name=a", "x");
        CHECK(ask("/read", one + one + one + "--b--") == "200 a=x;a=x;a=x;");
        CHECK(ask("/read", one + one + one + one + "--b--").starts_with("413"));
        CHECK(ask("/read", part("form-data; name=a", std::string(21, 'x')) + "--b--").starts_with("413"));
        CHECK(ask("/read", part("form-data; name=a", "x", "X: " + std::string(9000, 'x') + "\r\n") + "--b--").starts_with("413"));
    }

} // TEST_SUITE
