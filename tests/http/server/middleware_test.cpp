// SPDX-License-Identifier: MIT
#include <flux/coro/sleep.hpp>
#include <flux/http/server/middleware.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
using test_support::manual_loop;
using test_support::memory_sink;
using test_support::parsed_request;

// A handler in layers, as a router makes it.
class layered {
public:
    template <class... M>
    explicit layered(any_handler h, M&&... m) : handler_(std::move(h)) {
        (layers_.push_back(http::detail::make_layer(std::forward<M>(m))), ...);
        flux::detail::dynamic_array<http::detail::layer*> borrowed;
        for (const auto& l : layers_) {
            borrowed.push_back(l.get());
        }
        calls_.set(handler_, borrowed);
    }
    const any_handler* operator->() const noexcept { return &calls_.get(); }
    const any_handler& operator*() const noexcept { return calls_.get(); }

private:
    any_handler handler_;
    flux::detail::dynamic_array<flux::detail::owner<http::detail::layer>> layers_;
    http::detail::layered_handler calls_;
};

// Writes its name around what is inside.
auto named(std::string& log, char name) {
    return [&log, name](request& req, next& inner) -> task<response> {
        log += name;
        auto answer = co_await inner(req);
        log += static_cast<char>(name - 'a' + 'A');
        co_return answer;
    };
}

unsigned code_of(flux::result<response>& r) {
    return r ? to_number(r->code()) : 0;
}

task<response> slow(request&) {
    co_await flux::sleep_for(flux::seconds(10));
    co_return http::text("slow");
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

    TEST_CASE("request_id makes an id that the handler and the answer have") {
        manual_loop loop;
        std::string seen;
        const layered h(
            [&seen](request&) -> task<std::string> {
                auto ctx = co_await flux::this_context();
                seen = *ctx.get<http::request_id_key>();
                co_return seen;
            },
            http::request_id(1));
        std::set<std::string> ids;
        for (int i = 0; i < 100; ++i) {
            parsed_request req("GET / HTTP/1.1");
            auto r = loop.run(h->call(req));
            REQUIRE(r.has_value());
            CHECK(r->fields().get("X-Request-Id") == seen);
            CHECK(seen.size() == 32);
            CHECK(seen.find_first_not_of("0123456789abcdef") == std::string::npos);
            CHECK(http::request_id::is_valid(seen));
            ids.insert(seen);
        }
        CHECK(ids.size() == 100);

        const layered same_seed([] { return "x"; }, http::request_id(1));
        const layered other_seed([] { return "x"; }, http::request_id(2));
        const layered random([] { return "x"; }, http::request_id());
        parsed_request req("GET / HTTP/1.1");
        auto a = loop.run(same_seed->call(req));
        auto b = loop.run(other_seed->call(req));
        auto c = loop.run(random->call(req));
        CHECK(ids.contains(std::string(*a->fields().get("X-Request-Id"))));
        CHECK_FALSE(ids.contains(std::string(*b->fields().get("X-Request-Id"))));
        CHECK_FALSE(ids.contains(std::string(*c->fields().get("X-Request-Id"))));
    }

    TEST_CASE("request_id takes the id of the request if nothing can misread it") {
        manual_loop loop;
        const layered h([] { return "x"; }, http::request_id(1));
        const auto echo = [&](std::string_view id) {
            parsed_request req("GET / HTTP/1.1", "Host: h\r\nx-request-ID: " + std::string(id) + "\r\n");
            auto r = loop.run(h->call(req));
            return std::string(*r->fields().get("X-Request-Id"));
        };
        const std::string longest(128, 'x');
        for (const std::string_view id :
             {"a", "Root=1-67891233-abcdef012345678912345678", "A/b+c==", "a.b_c~d:e", longest.c_str()}) {
            CHECK(echo(id) == id);
        }
        const std::string too_long(129, 'x');
        for (const std::string_view id :
             {"", "a b", "a,b", "a\"b", "<a>", "a\tb", "a;b", "caf\xc3\xa9", too_long.c_str()}) {
            CAPTURE(id);
            CHECK(echo(id) != id);
            CHECK(echo(id).size() == 32);
        }
    }

    TEST_CASE("request_id tells a streaming handler's head") {
        manual_loop loop;
        const layered h([](request&, http::responder& out) -> task<> { co_await out.write("b"); }, http::request_id());
        parsed_request req("GET / HTTP/1.1", "Host: h\r\nX-Request-Id: mine\r\n");
        memory_sink sink;
        http::responder out(sink);
        CHECK(loop.run(h->call_streaming(req, out)).has_value());
        CHECK(sink.text() == "200\nX-Request-Id: mine\n\nb");
    }

    TEST_CASE("timeout answers 503 when the time is over, and stops what is inside") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const test_support::frame_check frames;
        const layered h(slow, http::timeout(flux::seconds(2)));
        const auto before = loop.elapsed();
        auto r = loop.run(h->call(req));
        CHECK(code_of(r) == 503);
        CHECK(loop.elapsed() - before == flux::seconds(2));
        CHECK(frames.alive() == 0);

        const layered patient(slow, http::timeout(flux::seconds(11)));
        r = loop.run(patient->call(req));
        CHECK(code_of(r) == 200);
        const layered at_once([] { return "x"; }, http::timeout(flux::hours::max()));
        r = loop.run(at_once->call(req));
        CHECK(code_of(r) == 200);
    }

    TEST_CASE("timeout leaves other time-outs and other errors alone") {
        manual_loop loop;
        parsed_request req("GET / HTTP/1.1");
        const layered inside(
            [](request& q) -> task<response> { co_return co_await flux::with_timeout(flux::seconds(1), slow(q)); },
            http::timeout(flux::seconds(2)));
        auto r = loop.run(inside->call(req));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().is(flux::errc::timed_out));

        const layered h(slow, http::timeout(flux::seconds(2)));
        r = loop.run(flux::with_timeout(flux::seconds(1), h->call(req)));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().is(flux::errc::timed_out));

        const layered failing([](request&) -> task<response> { co_return flux::fail(flux::errc::closed); },
                              http::timeout(flux::seconds(2)));
        r = loop.run(failing->call(req));
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().is(flux::errc::closed));
    }

    TEST_CASE("timeout cannot answer once a streaming handler has sent the head") {
        manual_loop loop;
        const layered h(
            [](request&, http::responder& out) -> task<> {
                co_await out.write("half");
                co_await flux::sleep_for(flux::seconds(10));
            },
            http::timeout(flux::seconds(2)));
        parsed_request req("GET / HTTP/1.1");
        memory_sink sink;
        http::responder out(sink);
        const auto end = loop.run(h->call_streaming(req, out));
        REQUIRE_FALSE(end.has_value());
        CHECK(end.error().is(flux::errc::timed_out));

        const layered silent([](request&, http::responder&) -> task<> { co_await flux::sleep_for(flux::seconds(10)); },
                             http::timeout(flux::seconds(2)));
        memory_sink second;
        http::responder other(second);
        CHECK(loop.run(silent->call_streaming(req, other)).has_value());
        CHECK(second.text().starts_with("503\n"));
    }

} // TEST_SUITE
