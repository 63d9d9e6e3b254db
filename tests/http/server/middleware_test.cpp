// SPDX-License-Identifier: MIT
#include <flux/coro/with.hpp>
#include <flux/http/server/middleware.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <http/server/layered.hpp>
#include <http/server/memory_sink.hpp>
#include <http/server/parsed_request.hpp>
#include <support/counting_new.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

namespace {

using flux::task;
using http::any_handler;
using http::next;
using http::request;
using http::response;
using test_support::code_of;
using test_support::layered;
using test_support::manual_loop;
using test_support::memory_sink;
using test_support::parsed_request;

// Writes its name around what is inside.
auto named(std::string& log, char name) {
    return [&log, name](request& req, next& inner) -> task<response> {
        log += name;
        auto answer = co_await inner(req);
        log += static_cast<char>(name - 'a' + 'A');
        co_return answer;
    };
}

} // namespace

TEST_SUITE("http/server/middleware") {

    TEST_CASE("layers run from the outermost to the innermost and back") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        std::string log;
        const layered h(
            [&log] {
                log += '!';
                return http::status::accepted;
            },
            named(log, 'a'), named(log, 'b'), named(log, 'c'));
        REQUIRE(h->kind() == http::handler_kind::async);
        auto r = loop.run(h->call(req));
        CHECK(code_of(r) == 202);
        CHECK(log == "abc!CBA");
    }

    TEST_CASE("without layers a handler stays what it is") {
        const any_handler plain([] { return "x"; });
        http::detail::layered_handler h;
        h.set(plain, {});
        CHECK(&h.get() == &plain);
    }

    TEST_CASE("a layer may take next by reference, as constant or by value, and pass the task on") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const layered h([] { return "x"; }, [](request& r, next n) -> task<response> { co_return co_await n(r); },
                        [](request& r, const next& n) { return n(r); },
                        [](request& r, auto& n) -> task<response> { return n(r); });
        auto r = loop.run(h->call(req));
        REQUIRE(r.has_value());
        CHECK(r->octets() == "x");
    }

    TEST_CASE("a layer may answer itself, change the answer, or call again") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        int calls = 0;
        const auto count = [&calls] {
            ++calls;
            return http::status::ok;
        };
        const layered closed(count, [](request&, next&) -> task<response> { co_return http::status::forbidden; });
        auto r = loop.run(closed->call(req));
        CHECK(code_of(r) == 403);
        CHECK(calls == 0);

        const layered changed(count, [](request& q, next& inner) -> task<response> {
            auto answer = co_await inner(q);
            co_return std::move(answer).code(http::status::created).header("x-by", "layer");
        });
        r = loop.run(changed->call(req));
        CHECK(code_of(r) == 201);
        CHECK(r->fields().get("X-By") == "layer");

        calls = 0;
        const layered twice(count, [](request& q, next& inner) -> task<response> {
            auto first = co_await inner(q);
            co_return co_await inner(q);
        });
        r = loop.run(twice->call(req));
        CHECK(code_of(r) == 200);
        CHECK(calls == 2);
    }

    TEST_CASE("errors and exceptions of what is inside pass through, or are caught by a layer") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const auto failing = [](request&) -> task<response> { co_return flux::fail(flux::errc::closed); };
        const auto throwing = [](request&) -> response { throw std::runtime_error("mine"); };
        std::string log;
        const layered through(failing, named(log, 'a'));
        auto r = loop.run(through->call(req));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().is(flux::errc::closed));
        CHECK(log == "a");

        const layered foreign(throwing, named(log, 'b'));
        CHECK_THROWS_WITH_AS(static_cast<void>(loop.run(foreign->call(req))), "mine", std::runtime_error);

        const auto recover = [](request& q, next& inner) -> task<response> {
            try {
                co_return co_await inner(q);
            } catch (const std::exception&) {
            }
            co_return http::status::internal_server_error;
        };
        const layered caught(throwing, recover, named(log, 'c'));
        r = loop.run(caught->call(req));
        CHECK(code_of(r) == 500);
        const layered caught_error(failing, recover);
        r = loop.run(caught_error->call(req));
        CHECK(code_of(r) == 500);
    }

    TEST_CASE("a layer costs its frame, and the handler one") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const auto pass = [](request& q, next& inner) -> task<response> { co_return co_await inner(q); };
        const layered one([] { return "x"; }, pass);
        const layered three([] { return "x"; }, pass, pass, pass);
        const auto frames_of = [&](const layered& h) {
            const test_support::frame_check frames;
            auto r = loop.run(h->call(req));
            CHECK(r.has_value());
            return frames.made();
        };
        const auto with_one = frames_of(one);
        CHECK(frames_of(three) == with_one + 2);
        if (test_support::allocations_are_counted() && FLUX_SANITIZED == 0) {
            auto warm = loop.run(three->call(req));
            warm = response();
            const test_support::allocation_count count;
            auto r = loop.run(three->call(req));
            CHECK(count.allocations() == 0);
        }
    }

    TEST_CASE("a streaming handler runs inside of its layers, under their contexts") {
        struct key : flux::context_key<int> {};
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        std::string log;
        const layered h(
            [&log](request&, http::responder& out) -> task<> {
                auto ctx = co_await flux::this_context();
                const int* value = ctx.get<key>();
                log += value != nullptr ? std::to_string(*value) : "none";
                co_await out.write("body");
            },
            named(log, 'a'),
            [](request& q, next& inner) -> task<response> {
                CHECK(q.streams_to() != nullptr);
                q.streams_to()->header("x-early", "1");
                auto answer = co_await flux::with_value<key>(7, inner(q));
                answer.header("x-late", "1");
                CHECK(q.was_streamed());
                co_return answer;
            });
        REQUIRE(h->kind() == http::handler_kind::streaming);
        memory_sink sink;
        http::responder out(sink);
        CHECK(loop.run(h->call_streaming(req, out)).has_value());
        CHECK(log == "a7A");
        CHECK(sink.text() == "200\nx-early: 1\n\nbody");
        CHECK(req->streams_to() == nullptr);
    }

    TEST_CASE("a streaming handler that writes nothing has answered all the same") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        std::string log;
        const layered h(
            [](request&, http::responder& out) -> task<> {
                out.code(http::status::no_content);
                co_return;
            },
            named(log, 'a'));
        memory_sink sink;
        http::responder out(sink);
        CHECK(loop.run(h->call_streaming(req, out)).has_value());
        CHECK(sink.text() == "204\n\n");
    }

    TEST_CASE("a layer around a streaming handler may answer in its place, as long as no head was sent") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const auto stream = [](request&, http::responder& out) -> task<> { co_await out.write("streamed"); };
        const layered closed(stream, [](request&, next&) -> task<response> {
            co_return http::text("no")
                .code(http::status::unauthorized)
                .add_header("set-cookie", "a")
                .add_header("set-cookie", "b");
        });
        {
            memory_sink sink;
            http::responder out(sink);
            CHECK(loop.run(closed->call_streaming(req, out)).has_value());
            CHECK(sink.text() ==
                  "401\nContent-Type: text/plain; charset=utf-8\nset-cookie: a\nset-cookie: b\nlength 2\n\nno");
        }
        const layered produced(stream, [](request&, next&) -> task<response> {
            co_return response().stream([](http::body_writer& w) -> task<> {
                co_await w.write("pro");
                co_await w.write("duced");
                CHECK(w.add_trailer("t", "v").has_value());
            });
        });
        {
            memory_sink sink;
            http::responder out(sink);
            CHECK(loop.run(produced->call_streaming(req, out)).has_value());
            CHECK(sink.text() == "200\n\nproduced\nt= v");
        }
        const auto recover = [](request& q, next& inner) -> task<response> {
            auto answer = co_await flux::attempt(inner(q));
            if (!answer) {
                co_return http::status::bad_gateway;
            }
            co_return std::move(answer);
        };
        const layered early([](request&, http::responder&) -> task<> { co_await flux::fail(flux::errc::closed); },
                            recover);
        {
            memory_sink sink;
            http::responder out(sink);
            CHECK(loop.run(early->call_streaming(req, out)).has_value());
            CHECK(sink.text() == "502\nlength 0\n\n");
        }
        const layered late(
            [](request&, http::responder& out) -> task<> {
                co_await out.write("half");
                co_await flux::fail(flux::errc::closed);
            },
            recover);
        {
            memory_sink sink;
            http::responder out(sink);
            const auto end = loop.run(late->call_streaming(req, out));
            REQUIRE_FALSE(end.has_value());
            CHECK(end.error().message() == "answer of a layer after the head was sent: invalid argument");
            CHECK(sink.text() == "200\n\nhalf");
        }
        CHECK(req->streams_to() == nullptr);
    }

} // TEST_SUITE
