// SPDX-License-Identifier: MIT
#include <flux/coro/sleep.hpp>
#include <flux/http/server/handler.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <http/server/memory_sink.hpp>
#include <http/server/parsed_request.hpp>
#include <support/counting_new.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

namespace shop {

struct article {
    int shelf = 0;
    char letter = ' ';
};
bool from_param(std::string_view text, article& a) {
    if (text.size() != 2 || text[0] < '0' || text[0] > '9') {
        return false;
    }
    a.shelf = text[0] - '0';
    a.letter = text[1];
    return true;
}

enum class color { red, green };
bool from_param(std::string_view text, color& c) {
    c = text == "red" ? color::red : color::green;
    return text == "red" || text == "green";
}

} // namespace shop

namespace {

using http::any_handler;
using http::handler_kind;
using test_support::manual_loop;
using test_support::parsed_request;

// A request whose route has the given parameters; names are p0, p1, ...
class request_with : public parsed_request {
public:
    explicit request_with(std::initializer_list<std::string_view> values) : parsed_request("GET /x HTTP/1.1") {
        static constexpr std::array<std::string_view, 4> names{"p0", "p1", "p2", "p3"};
        std::size_t i = 0;
        for (const std::string_view v : values) {
            REQUIRE((**this).add_param(names[i++], v));
        }
    }
};

std::string show(const http::response& r) {
    std::string text = std::to_string(to_number(r.code()));
    if (const auto type = r.fields().get(http::field::content_type)) {
        text += " [";
        text += *type;
        text += ']';
    }
    text += r.octets().empty() ? "" : " ";
    text += r.octets();
    return text;
}
std::string call(const any_handler& h, http::request& req) {
    if (h.kind() == handler_kind::sync) {
        return show(h.call_sync(req));
    }
    manual_loop loop;
    auto answer = loop.run(h.call(req));
    return answer ? show(*answer) : answer.error().message();
}
std::string call(const any_handler& h) {
    request_with req({});
    return call(h, req);
}
std::string call(const any_handler& h, std::initializer_list<std::string_view> values) {
    request_with req(values);
    return call(h, req);
}

http::response hello(http::request& req) {
    return http::text("hello " + std::string(req.param("p0")));
}
std::string_view noexcept_hello() noexcept {
    return "hi";
}
flux::task<http::response> later(http::request& req) {
    co_await flux::sleep_for(flux::seconds(1));
    co_return hello(req);
}
http::response two_arguments(http::request&, int a, std::string_view b) {
    return http::text(std::to_string(a) + "|" + std::string(b));
}

constexpr std::string_view plain = " [text/plain; charset=utf-8] ";

} // namespace

TEST_SUITE("http/server/handler") {

    TEST_CASE("without arguments: a response, a status, a string or a literal") {
        CHECK(call(any_handler([] { return http::response(http::status::created); })) == "201");
        CHECK(call(any_handler([] { return http::status::accepted; })) == "202");
        CHECK(call(any_handler([] { return std::string("owned"); })) == "200" + std::string(plain) + "owned");
        CHECK(call(any_handler([] { return std::string_view("view"); })) == "200" + std::string(plain) + "view");
        CHECK(call(any_handler([] { return "literal"; })) == "200" + std::string(plain) + "literal");
        CHECK(call(any_handler(noexcept_hello)) == "200" + std::string(plain) + "hi");
    }

    TEST_CASE("a literal is answered without a copy") {
        static const char text[] = "a text that lives as long as the program, and is too long to be stored in place";
        const any_handler h([] { return text; });
        request_with req({});
        const http::response r = h.call_sync(req);
        CHECK(static_cast<const void*>(r.octets().data()) == static_cast<const void*>(text));
    }

    TEST_CASE("a reference to a string is copied, for it may change before it is written") {
        std::string kept = "before";
        const any_handler h([&kept]() -> const std::string& { return kept; });
        request_with req({});
        const http::response r = h.call_sync(req);
        kept = "after";
        CHECK(r.octets() == "before");
    }

    TEST_CASE("with the request") {
        CHECK(call(any_handler(hello), {"you"}) == "200" + std::string(plain) + "hello you");
        CHECK(call(any_handler(&hello), {"you"}) == "200" + std::string(plain) + "hello you");
        CHECK(call(any_handler([](const http::request& r) { return std::string(r.target()); })) ==
              "200" + std::string(plain) + "/x");
        CHECK(call(any_handler([](auto& r) { return std::string(r.target()); })) == "200" + std::string(plain) + "/x");
    }

    TEST_CASE("as a coroutine, with any answer") {
        CHECK(any_handler(later).kind() == handler_kind::async);
        CHECK(call(any_handler(later), {"you"}) == "200" + std::string(plain) + "hello you");
        CHECK(call(any_handler([]() -> flux::task<http::status> { co_return http::status::no_content; })) == "204");
        CHECK(call(any_handler([]() -> flux::task<std::string> { co_return std::string("s"); })) ==
              "200" + std::string(plain) + "s");
        CHECK(call(any_handler([](http::request&) -> flux::task<const char*> { co_return "l"; })) ==
              "200" + std::string(plain) + "l");
        CHECK(call(any_handler([](http::request&) -> flux::task<std::string_view> {
                  co_return flux::fail(flux::errc::closed);
              })) == "already closed");
    }

    TEST_CASE("a coroutine that yields a response is awaited itself: one frame") {
        manual_loop loop;
        request_with req({"x"});
        const any_handler direct([](http::request&) -> flux::task<http::response> { co_return http::response(); });
        const any_handler adapted([](http::request&) -> flux::task<http::status> { co_return http::status::ok; });
        const test_support::frame_check frames;
        const auto a = loop.run(direct.call(req));
        const auto made = frames.made();
        const auto b = loop.run(adapted.call(req));
        CHECK(a.has_value());
        CHECK(b.has_value());
        CHECK(frames.made() - made == made + 1);
        CHECK(frames.alive() == 0);
    }

    TEST_CASE("path arguments are read from the parameters in their order") {
        const any_handler h(two_arguments);
        CHECK(h.kind() == handler_kind::sync);
        CHECK(h.path_arguments() == 2);
        CHECK(any_handler(hello).path_arguments() == 0);
        CHECK(call(h, {"7", "x y"}) == "200" + std::string(plain) + "7|x y");
        CHECK(call(any_handler([](http::request&, std::string a, bool b, double c) {
                       return a + (b ? "+" : "-") + std::to_string(c);
                   }),
                   {"s", "true", "1.5"}) == "200" + std::string(plain) + "s+1.500000");
        CHECK(call(any_handler([](http::request&, const std::string& a) { return a; }), {"ref"}) ==
              "200" + std::string(plain) + "ref");
        CHECK(call(any_handler([](http::request&, shop::article a, shop::color c) {
                       return std::to_string(a.shelf) + a.letter + (c == shop::color::red ? "r" : "g");
                   }),
                   {"4b", "green"}) == "200" + std::string(plain) + "4bg");
        CHECK(call(any_handler(
                       [](http::request&, int id) noexcept { return id == 1 ? http::status::ok : http::status::gone; }),
                   {"2"}) == "410");
        CHECK(call(any_handler([n = 0](http::request&, int id) mutable { return std::to_string(n += id); }), {"5"}) ==
              "200" + std::string(plain) + "5");
    }

    TEST_CASE("path arguments are the last parameters: the first ones belong to prefixes") {
        CHECK(call(any_handler(two_arguments), {"tenant", "7", "b"}) == "200" + std::string(plain) + "7|b");
    }

    TEST_CASE("path arguments of a coroutine live in its frame") {
        const any_handler h(
            [](http::request&, int id, std::string name, std::string_view view) -> flux::task<std::string> {
                co_await flux::sleep_for(flux::seconds(1));
                co_return std::to_string(id) + name + std::string(view);
            });
        CHECK(call(h, {"1", "a name that is too long to be stored in place", "v"}) ==
              "200" + std::string(plain) + "1a name that is too long to be stored in placev");
        CHECK(call(h, {"x", "a", "v"}) == "404");
    }

    TEST_CASE_TEMPLATE("an integer fills the whole text and is in range, or the answer is 404", T, std::int8_t,
                       std::uint8_t, short, int, unsigned, long, unsigned long long) {
        const any_handler h([](http::request&, T value) { return std::to_string(value); });
        using limits = std::numeric_limits<T>;
        for (const T v : {limits::min(), T(0), T(7), limits::max()}) {
            CHECK(call(h, {std::to_string(v)}) == "200" + std::string(plain) + std::to_string(v));
        }
        for (const std::string_view bad :
             {"", " 1", "1 ", "+1", "1x", "x", "0x1", "1.0", "--1", "18446744073709551616", "-9223372036854775809"}) {
            CAPTURE(bad);
            CHECK(call(h, {bad}) == "404");
            request_with req({bad});
            CHECK_FALSE(h.accepts(req));
        }
        if (!limits::is_signed) {
            CHECK(call(h, {"-1"}) == "404");
        }
        if (sizeof(T) == 1) {
            CHECK(call(h, {"256"}) == "404");
            CHECK(call(h, {"-129"}) == "404");
        }
    }

    TEST_CASE("floating-point numbers are finite; bool is true, false, 1 or 0") {
        const any_handler d([](http::request&, double value) { return value > 0 ? "more" : "less"; });
        CHECK(call(d, {"1e3"}) == "200" + std::string(plain) + "more");
        CHECK(call(d, {"-.5"}) == "200" + std::string(plain) + "less");
        for (const std::string_view bad : {"", "inf", "-inf", "nan", "1e999", "1,5", "1.5x", " 1"}) {
            CAPTURE(bad);
            CHECK(call(d, {bad}) == "404");
        }
        const any_handler b([](http::request&, bool value) { return value ? "yes" : "no"; });
        CHECK(call(b, {"true"}) == "200" + std::string(plain) + "yes");
        CHECK(call(b, {"1"}) == "200" + std::string(plain) + "yes");
        CHECK(call(b, {"false"}) == "200" + std::string(plain) + "no");
        CHECK(call(b, {"0"}) == "200" + std::string(plain) + "no");
        for (const std::string_view bad : {"", "True", "yes", "2", "00"}) {
            CAPTURE(bad);
            CHECK(call(b, {bad}) == "404");
        }
    }

    TEST_CASE("a path argument that cannot be read answers 404") {
        CHECK(call(any_handler([](http::request&, shop::color) { return "never"; }), {"blue"}) == "404");
        CHECK(call(any_handler(two_arguments), {"7"}) == "404");
        request_with good({"1", ""});
        CHECK(any_handler(two_arguments).accepts(good));
        CHECK(any_handler(hello).accepts(good));
    }

    TEST_CASE("a streaming handler writes to a responder") {
        const any_handler h([](http::request& req, http::responder& out) -> flux::task<> {
            out.code(http::status::accepted);
            co_await out.write(req.target());
        });
        REQUIRE(h.kind() == handler_kind::streaming);
        manual_loop loop;
        request_with req({});
        test_support::memory_sink sink;
        http::responder out(sink);
        CHECK(loop.run(h.call_streaming(req, out)).has_value());
        CHECK(sink.text() == "202\n\n/x");

        // For layers: through the request, and complete afterwards.
        const any_handler silent([](http::request&, http::responder&) -> flux::task<> { co_return; });
        test_support::memory_sink second;
        http::responder other(second);
        req->set_streams_to(&other);
        CHECK(loop.run(silent.call(req)).has_value());
        CHECK(second.text() == "200\n\n");
        CHECK(req->was_streamed());
    }

    TEST_CASE("what a handler throws passes through; call() carries it in its task") {
        const any_handler sync([](http::request&) -> http::response { throw std::runtime_error("mine"); });
        request_with req({});
        CHECK_THROWS_WITH_AS(static_cast<void>(sync.call_sync(req)), "mine", std::runtime_error);
        manual_loop loop;
        flux::task<http::response> t = sync.call(req);
        CHECK_THROWS_WITH_AS(static_cast<void>(loop.run(std::move(t))), "mine", std::runtime_error);
    }

    TEST_CASE("captures live as long as the handler, also for its coroutines") {
        auto shared = std::make_shared<int>(5);
        {
            any_handler h([shared](http::request&) -> flux::task<std::string> {
                co_await flux::sleep_for(flux::seconds(1));
                co_return std::to_string(*shared);
            });
            CHECK(shared.use_count() == 2);
            any_handler moved(std::move(h));
            CHECK_FALSE(static_cast<bool>(h)); // NOLINT(bugprone-use-after-move): it is documented to be empty
            CHECK(call(moved) == "200" + std::string(plain) + "5");
            any_handler other(hello);
            other = std::move(moved);
            CHECK(shared.use_count() == 2);
            CHECK(call(other) == "200" + std::string(plain) + "5");
            other = any_handler(noexcept_hello);
            CHECK(shared.use_count() == 1);
            CHECK(call(other) == "200" + std::string(plain) + "hi");
        }
        CHECK(shared.use_count() == 1);
    }

    TEST_CASE("a function object may be move-only, and may count its calls") {
        any_handler h([p = std::make_unique<int>(0)](http::request&) mutable { return std::to_string(++*p); });
        const any_handler& shared = h;
        CHECK(call(shared) == "200" + std::string(plain) + "1");
        CHECK(call(shared) == "200" + std::string(plain) + "2");
    }

    TEST_CASE("a null function pointer is refused") {
        using function = http::response (*)(http::request&);
        CHECK_THROWS_AS(any_handler(function{nullptr}), flux::error);
        CHECK_FALSE(static_cast<bool>(any_handler()));
    }

    TEST_CASE("a synchronous handler is called without an allocation and without a frame") {
        request_with req({"7", "b"});
        const any_handler literal([] { return "literal"; });
        const any_handler typed([](http::request&, int, std::string_view) { return http::status::ok; });
        const any_handler large([a = std::array<char, 64>()](http::request&) { return a[0] == 0 ? "zero" : "other"; });
        const any_handler* const all[] = {&literal, &typed, &large};
        for (const any_handler* h : all) {
            const http::response warm = h->call_sync(req);
        }
        const test_support::allocation_count count;
        const test_support::frame_check frames;
        for (const any_handler* h : all) {
            const http::response r = h->call_sync(req);
        }
        CHECK(frames.made() == 0);
        if (test_support::allocations_are_counted() && FLUX_SANITIZED == 0) {
            CHECK(count.allocations() == 0);
        }
    }

} // TEST_SUITE
