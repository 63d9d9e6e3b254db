// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/access_log.hpp> // also proves the header is self-contained

#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include <http/server/parsed_request.hpp>
#include <http/server/serve_octets.hpp>

namespace http = flux::http;

namespace {

using flux::task;
using http::request;
using http::response;

struct world {
    http::router app;
    std::vector<std::string> lines;
    double took_ms = 0;

    world() {
        app.use(http::request_id(1));
        app.use(http::access_log([this](std::string_view line) {
            lines.emplace_back(line);
            throw std::runtime_error("a sink that fails changes nothing");
        }));
        app.get("/users/{id}", [](request&, int id) { return "user " + std::to_string(id); });
        app.get("/streamed", [](request&, http::responder& out) -> task<> {
            co_await out.write("12345");
            co_await flux::sleep_for(flux::milliseconds(1500));
            co_await out.write("678");
        });
        app.get("/produced", [](request&) {
            return response().stream([](http::body_writer& to) -> task<> {
                co_await flux::sleep_for(flux::milliseconds(250));
                co_await to.write("123456");
            });
        });
        app.get("/limit", [](request&) -> task<response> { co_return flux::fail(flux::errc::limit); });
        app.get("/throws", [](request&) -> response { throw std::runtime_error("mine\n"); });
        app.get("/cut", [](request&, http::responder& out) -> task<> {
            co_await out.write("12");
            co_await flux::fail(flux::errc::protocol);
        });
        app.post("/echo", [](request& req) -> task<std::string> { co_return co_await req.text(); });
    }
    // The line of one request, without its time and its remote address.
    std::string line(std::string head, std::string rest = "\r\n") {
        const std::size_t before = lines.size();
        const auto s = flux_test::serve(app, head + " HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n" + rest);
        REQUIRE(lines.size() == before + 1);
        const std::string& all = lines.back();
        CHECK(all.starts_with("{\"time\":\"20"));
        CHECK(all.substr(32, 13) == "Z\",\"remote\":\"");
        std::string seen = all.substr(all.find("\"method\""));
        const std::size_t ms = seen.find("\"ms\":") + 5;
        const std::size_t stop = seen.find_first_not_of("0123456789.", ms);
        CHECK(seen[stop - 4] == '.');
        took_ms = std::stod(seen.substr(ms, stop - ms)); // real time is a part of it
        seen.replace(ms, stop - ms, "T");
        return seen;
    }
};

} // namespace

TEST_SUITE("http/server/layers/access_log") {

    TEST_CASE("a line has what was asked, who answered, and what came of it") {
        world w;
        CHECK(w.line("GET /users/7?x=%20", "User-Agent: curl/7.88.1\r\n\r\n") ==
              R"("method":"GET","target":"/users/7?x=%20","route":"/users/{id}","status":200,"received":0,"sent":6,"ms":T,"id":"i","agent":"curl/7.88.1"})");
        CHECK(w.line("POST /echo", "Content-Length: 3\r\n\r\nabc") ==
              R"("method":"POST","target":"/echo","route":"/echo","status":200,"received":3,"sent":3,"ms":T,"id":"i"})");
        CHECK(w.line("HEAD /users/7") ==
              R"("method":"HEAD","target":"/users/7","route":"/users/{id}","status":200,"received":0,"sent":0,"ms":T,"id":"i"})");
    }

    TEST_CASE("what has no route is logged as well") {
        world w;
        CHECK(w.line("GET /nobody") ==
              R"("method":"GET","target":"/nobody","route":"","status":404,"received":0,"sent":14,"ms":T,"id":"i"})");
        CHECK(w.line("DELETE /streamed").starts_with(R"("method":"DELETE","target":"/streamed","route":"","status":405,)"));
        CHECK(w.line("FLY /streamed").starts_with(R"("method":"FLY",)"));
    }

    TEST_CASE("a streamed answer has its true length and time") {
        world w;
        CHECK(w.line("GET /streamed") ==
              R"("method":"GET","target":"/streamed","route":"/streamed","status":200,"received":0,"sent":8,"ms":T,"id":"i"})");
        CHECK(w.took_ms >= 1500);
        CHECK(w.line("GET /produced") ==
              R"("method":"GET","target":"/produced","route":"/produced","status":200,"received":0,"sent":6,"ms":T,"id":"i"})");
        CHECK(w.took_ms >= 250);
    }

    TEST_CASE("a handler that does not let the loop turn is seen to take its time") {
        world w;
        w.app.get("/busy", [](request&) {
            const auto until = flux::clock::now() + flux::milliseconds(3);
            while (flux::clock::now() < until) {
            }
            return "x";
        });
        CHECK(w.line("GET /busy").starts_with(R"("method":"GET","target":"/busy",)"));
        CHECK(w.took_ms >= 3);
    }

    TEST_CASE("a failure is logged with the status that was sent, and with its cause") {
        world w;
        CHECK(w.line("GET /limit") ==
              R"("method":"GET","target":"/limit","route":"/limit","status":413,"received":0,"sent":22,"ms":T,"id":"i","error":"limit exceeded"})");
        CHECK(w.line("GET /throws").ends_with(R"("status":500,"received":0,"sent":26,"ms":T,"id":"i","error":"mine\u000a"})"));
        CHECK(w.line("GET /cut").ends_with(
            R"("status":200,"received":0,"sent":2,"ms":T,"id":"i","error":"protocol error","cut_off":"protocol error"})"));
    }

    TEST_CASE("nothing that a peer sends can forge a line or confuse a terminal") {
        world w;
        CHECK(w.line("GET /users/7", "User-Agent: a\"b\\c\xc3\xa9\x80\td\r\n\r\n")
                  .ends_with(R"("agent":"a\u0022b\u005cc\u00c3\u00a9\u0080\u0009d"})"));
        for (const std::string& line : w.lines) {
            for (const char c : line) {
                CHECK((c >= 0x20 && c < 0x7f));
            }
        }
    }

    TEST_CASE("the time is that of RFC 3339 in UTC") {
        using namespace std::chrono;
        CHECK(http::detail::log_time(system_clock::time_point(seconds(0))) == "1970-01-01T00:00:00.000Z");
        CHECK(http::detail::log_time(system_clock::time_point(milliseconds(1'795'533'384'123))) == "2026-11-24T15:16:24.123Z");
        CHECK(http::detail::log_time(system_clock::time_point(milliseconds(951'868'799'999))) == "2000-02-29T23:59:59.999Z");
    }

} // TEST_SUITE
