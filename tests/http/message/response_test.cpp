// SPDX-License-Identifier: MIT
#include <flux/http/message/response.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <tuple>

namespace {

namespace http = flux::http;

// What could end a field line, or the head.
constexpr std::string_view splitting[] = {
    "a\r\nX: y", "a\nX: y", "a\rX: y", "a\r\n\r\n<html>", std::string_view("a\0b", 3), "a\x01", "a\x7f",
};
constexpr std::string_view bad_names[] = {"", "a b", "a:", "a\r\nb", "a\n", "\xc3\xa9", "a(b)"};

bool is_refused(const auto& f) {
    try {
        f();
    } catch (const flux::error& e) {
        return e.is(flux::errc::invalid_argument);
    }
    return false;
}

} // namespace

TEST_SUITE("http/message/response") {
    TEST_CASE("text, html, json and bytes say their types and lengths") {
        const http::response t = http::text("hi");
        CHECK(t.code() == http::status::ok);
        CHECK(t.octets() == "hi");
        CHECK(t.length() == 2U);
        CHECK(t.fields().get("Content-Type") == "text/plain; charset=utf-8");
        CHECK(http::html("<p>").fields().get("Content-Type") == "text/html; charset=utf-8");
        CHECK(http::json("{}").fields().get("Content-Type") == "application/json");
        CHECK(http::bytes("x").fields().get("Content-Type") == "application/octet-stream");
        CHECK(http::bytes("x", "image/png").fields().get("Content-Type") == "image/png");
        CHECK(http::response(http::status::no_content).octets().empty());
    }

    TEST_CASE("a redirect is a status and a Location") {
        const http::response r = http::redirect("/there?a=1#b", http::status::see_other);
        CHECK(r.code() == http::status::see_other);
        CHECK(r.fields().get("Location") == "/there?a=1#b");
        CHECK(http::redirect("/").code() == http::status::found);
    }

    TEST_CASE("what could split the message is refused where it is set, by every function that sets [RFC 9110 5.5, 17.13]") {
        for (const std::string_view bad : splitting) {
            CAPTURE(bad);
            CHECK(is_refused([&] { std::ignore = http::redirect(bad); }));
            CHECK(is_refused([&] { std::ignore = http::bytes("x", bad); }));
            CHECK(is_refused([&] { std::ignore = http::text("x").header("X", bad); }));
            CHECK(is_refused([&] { std::ignore = http::text("x").add_header("X", bad); }));
            CHECK(is_refused([&] { std::ignore = http::text("x").header(http::field::content_type, bad); }));
            http::response r;
            CHECK(is_refused([&] { r.header("X", bad); }));
            CHECK(is_refused([&] { r.add_header("X", bad); }));
            CHECK(is_refused([&] { r.fields().set("X", bad); }));
            CHECK(is_refused([&] { r.fields().add("X", bad); }));
            CHECK(!r.fields().try_add("X", bad));
            CHECK(!r.fields().try_set("X", bad));
            CHECK(r.fields().empty());
        }
        for (const std::string_view bad : bad_names) {
            CAPTURE(bad);
            http::response r;
            CHECK(is_refused([&] { r.header(bad, "v"); }));
            CHECK(is_refused([&] { r.add_header(bad, "v"); }));
            CHECK(r.fields().empty());
        }
    }

    TEST_CASE("a body replaces the one before, and a streamed one says its length only if it is given") {
        http::response r = http::text("first");
        r.body("second");
        CHECK(r.octets() == "second");
        r.static_body("third");
        CHECK(r.octets() == "third");
        r.stream([](http::body_writer& out) { return out.flush(); });
        CHECK(r.is_streamed());
        CHECK(!r.length());
        CHECK(r.octets().empty());
        r.stream([](http::body_writer& out) { return out.flush(); }, 7);
        CHECK(r.length() == 7U);
        r.body("last");
        CHECK(!r.is_streamed());
        CHECK(r.length() == 4U);
    }
}
