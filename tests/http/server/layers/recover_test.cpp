// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/recover.hpp> // also proves the header is self-contained

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include <http/server/serve_octets.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::recover<>>);

namespace {

using flux::task;
using http::request;
using http::response;

std::string what(const std::exception_ptr& why) {
    try {
        std::rethrow_exception(why);
    } catch (const std::exception& e) {
        return e.what();
    }
}

struct world {
    http::router app;
    std::vector<std::string> told;
    std::vector<unsigned> seen; // statuses outside of recover; 0: a failure passed

    world() {
        app.use([this](request& req, http::next& inner) -> task<response> {
            try {
                auto answer = co_await flux::attempt(inner(req));
                seen.push_back(answer ? to_number(answer->code()) : 0);
                co_return std::move(answer);
            } catch (...) {
                seen.push_back(0);
                throw;
            }
        });
        app.use(http::recover([this](request& req, const std::exception_ptr& why) {
            told.push_back(std::string(req.target()) + " " + what(why));
            throw std::runtime_error("an observer changes nothing");
        }));
        app.get("/fine", [] { return "fine"; });
        app.get("/throws", [](request&) -> response { throw std::runtime_error("mine"); });
        app.get("/limit", [](request&) -> task<response> { co_return flux::fail(flux::errc::limit); });
        app.post("/body", [](request& req) -> task<std::string> { co_return co_await req.text(); });
        app.get("/early", [](request&, http::responder& out) -> task<> {
            out.header("Content-Encoding", "gzip").length(100).code(http::status::accepted);
            co_await flux::fail(flux::errc::protocol);
        });
        app.get("/late", [](request&, http::responder& out) -> task<> {
            co_await out.write("half");
            throw std::runtime_error("late");
        });
    }
    std::string ask(std::string octets) { return flux_test::serve(app, std::move(octets)).octets; }
};

} // namespace

TEST_SUITE("http/server/layers/recover") {

    TEST_CASE("what fails inside becomes the answer that the layers outside see, and is told with its cause") {
        world w;
        CHECK(w.ask("GET /fine HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 200 "));
        CHECK(w.ask("GET /throws HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 500 "));
        CHECK(w.ask("GET /limit HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 413 "));
        CHECK(w.ask("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n").starts_with("HTTP/1.1 400 "));
        CHECK(w.seen == std::vector<unsigned>{200, 500, 413, 400});
        REQUIRE(w.told.size() == 3);
        CHECK(w.told[0] == "/throws mine");
        CHECK(w.told[1] == "/limit limit exceeded");
        CHECK(w.told[2] == "/body a chunk size is not a hexadecimal number");
    }

    TEST_CASE("a streaming handler that fails before its head is answered without what it had set") {
        world w;
        const std::string answer = w.ask("GET /early HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(answer.starts_with("HTTP/1.1 502 "));
        CHECK(answer.find("gzip") == std::string::npos);
        CHECK(answer.ends_with("Content-Length: 16\r\n\r\n502 Bad Gateway\n"));
        CHECK(w.seen == std::vector<unsigned>{502});
    }

    TEST_CASE("once the head is out the failure passes, and the connection ends in the middle") {
        world w;
        const auto served = flux_test::serve(w.app, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(served.reset);
        CHECK(served.octets.find("500") == std::string::npos);
        CHECK(w.seen == std::vector<unsigned>{0});
        CHECK(w.told == std::vector<std::string>{"/late late"});
    }

    TEST_CASE("a handler that is stopped by the server's limit is answered 503 with Retry-After") {
        world w;
        w.app.get("/slow", [](request&) -> task<response> {
            co_await flux::sleep_for(flux::hours(1));
            co_return http::text("slow");
        });
        const std::string answer = w.ask("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(answer.starts_with("HTTP/1.1 503 "));
        CHECK(answer.find("Retry-After: 1\r\n") != std::string::npos);
        CHECK(w.seen == std::vector<unsigned>{503});
    }

} // TEST_SUITE
