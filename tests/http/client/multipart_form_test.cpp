// SPDX-License-Identifier: MIT
#include <flux/http/client/multipart_form.hpp> // also proves the header is self-contained
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>

namespace http = flux::http;
using http::multipart_form;

namespace {

class text_sink final : public http::body_sink {
public:
    [[nodiscard]] flux::task<> write(std::string_view octets) override { return append(this, octets); }
    [[nodiscard]] flux::task<> flush() override { return append(this, {}); }
    [[nodiscard]] flux::result<void> add_trailer(std::string_view, std::string_view) override { return {}; }

    std::string text;
    std::size_t room = 1'000'000;

private:
    static flux::task<> append(text_sink* self, std::string_view octets) {
        if (octets.size() > self->room) {
            co_await flux::fail(flux::errc::closed);
        }
        self->room -= octets.size();
        self->text += octets;
    }
};

flux::task<bool> run_producer(http::body_producer* producer, http::body_writer* out) {
    const auto done = co_await attempt((*producer)(*out));
    co_return done.has_value();
}
std::string produce(http::body_producer& producer, std::size_t room = 1'000'000) {
    flux::testing::virtual_loop loop;
    text_sink sink;
    sink.room = room;
    http::body_writer out(sink);
    const bool whole = loop.run(run_producer(&producer, &out)).value();
    return whole ? sink.text : "failed after " + sink.text;
}
std::string produce(multipart_form form) {
    const auto length = form.length();
    auto producer = std::move(form).producer();
    const std::string text = produce(producer);
    CHECK((!length || *length == text.size()));
    return text;
}

flux::task<> write_hello(http::body_writer* out) {
    auto done = co_await attempt(out->write("hel"));
    if (done) {
        done = co_await attempt(out->write("lo"));
    }
    if (!done) {
        co_await flux::fail(std::move(done).error());
    }
}

} // namespace

TEST_SUITE("http/client/multipart_form") {
    TEST_CASE("fields and files become parts between delimiters [RFC 7578, RFC 2046 5.1.1]") {
        multipart_form form("XX");
        form.add("a", "1").file("f", "x.txt", "octets\r\n--XY", "text/plain").add("empty", "");
        CHECK(form.content_type() == "multipart/form-data; boundary=XX");
        CHECK(produce(std::move(form)) == "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
                                          "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n"
                                          "Content-Type: text/plain\r\n\r\noctets\r\n--XY\r\n"
                                          "--XX\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n"
                                          "--XX--\r\n");
    }
    TEST_CASE("a form without parts is its end") {
        CHECK(produce(multipart_form("b")) == "--b--\r\n");
    }
    TEST_CASE("names and file names cannot end the part's head [HTML 4.10.21.8]") {
        multipart_form form("b");
        form.file("a\"; x=\"\r\ny", std::string_view("f\"\r\n\r\nZ\0\x7f\xc3\xa9\\", 12), std::string());
        CHECK(produce(std::move(form)) ==
              "--b\r\nContent-Disposition: form-data; name=\"a%22; x=%22%0D%0Ay\"; "
              "filename=\"f%22%0D%0A%0D%0AZ%00%7F\xc3\xa9\\\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n"
              "--b--\r\n");
        CHECK_THROWS_AS(multipart_form("b").file("a", "b", std::string("c"), "text/plain\r\nX: y"), flux::error);
    }
    TEST_CASE("a produced file is streamed, with or without a known length, as often as it is asked") {
        multipart_form form("b");
        form.file(
            "f", "h", [](http::body_writer& out) { return write_hello(&out); }, 5);
        const auto length = form.length();
        REQUIRE(length);
        auto producer = std::move(form).producer();
        const std::string once = produce(producer);
        CHECK(once.find("\r\n\r\nhello\r\n--b--") != std::string::npos);
        CHECK(once.size() == *length);
        CHECK(produce(producer) == once);

        multipart_form unknown("b");
        unknown.add("a", "1").file("f", "h", [](http::body_writer& out) { return write_hello(&out); });
        CHECK_FALSE(unknown.length().has_value());
        CHECK(produce(std::move(unknown)).ends_with("hello\r\n--b--\r\n"));
    }
    TEST_CASE("a write that fails ends the body there") {
        multipart_form form("b");
        form.add("a", "1");
        auto producer = std::move(form).producer();
        CHECK(produce(producer, 10) == "failed after ");
        CHECK(produce(producer, 58).starts_with("failed after --b\r\n"));
        CHECK(produce(producer).ends_with("1\r\n--b--\r\n"));
    }
    TEST_CASE("boundaries are random, and checked where they are given [RFC 2046 5.1.1]") {
        std::set<std::string> seen;
        for (int i = 0; i < 100; ++i) {
            seen.insert(multipart_form().content_type());
        }
        CHECK(seen.size() == 100);
        CHECK(seen.begin()->size() == std::string_view("multipart/form-data; boundary=flux-").size() + 32);
        for (const std::string& bad :
             {std::string(), std::string("a b"), std::string("a\r\n"), std::string("\""), std::string(71, 'x')}) {
            CHECK_THROWS_AS(multipart_form{bad}, flux::error);
        }
        CHECK(multipart_form(std::string(70, 'x')).length() == 76);
    }
}
