// SPDX-License-Identifier: MIT
#include <flux/http/message/body.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>

#include <support/manual_loop.hpp>

namespace http = flux::http;
using test_support::manual_loop;

namespace {

// Announces a length, and has what it has.
class announced final : public http::body_source {
public:
    announced(std::optional<std::uint64_t> length, std::string_view octets, std::size_t pieces) noexcept
        : length_(length), octets_(octets), pieces_(pieces) {}
    flux::task<std::string_view> next() override {
        if (pieces_ == 0) {
            co_return std::string_view();
        }
        --pieces_;
        co_return octets_;
    }
    http::fields_view trailers() const noexcept override { return {}; }
    std::optional<std::uint64_t> length() const noexcept override { return length_; }

private:
    std::optional<std::uint64_t> length_;
    std::string_view octets_;
    std::size_t pieces_;
};

} // namespace

TEST_SUITE_BEGIN("http/message/body");

TEST_CASE("no memory is taken because somebody announces a length") {
    manual_loop loop;
    announced much(64U << 20, "abc", 1);
    const auto text = loop.run(http::body_reader(much).text(64U << 20));
    REQUIRE(text);
    CHECK(*text == "abc");
    CHECK(text->capacity() <= (1U << 20) + 64);
    announced little(9, "abc", 3); // what is little is taken at once
    const auto whole = loop.run(http::body_reader(little).text());
    REQUIRE(whole);
    CHECK(*whole == "abcabcabc");
}

TEST_CASE("a limit is one of octets, announced or not, and exact") {
    for (const auto length : {std::optional<std::uint64_t>(6), std::optional<std::uint64_t>()}) {
        manual_loop loop;
        announced fits(length, "abc", 2);
        const auto text = loop.run(http::body_reader(fits).text(6));
        REQUIRE(text);
        CHECK(*text == "abcabc");
        announced over(length, "abc", 2);
        const auto refused = loop.run(http::body_reader(over).text(5));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().is(flux::errc::limit));
    }
}

TEST_CASE("without a body there is nothing to read, and its length is known") {
    manual_loop loop;
    http::body_reader none;
    CHECK_FALSE(none.has_body());
    CHECK(none.length() == 0U);
    const auto text = loop.run(none.text(0));
    REQUIRE(text);
    CHECK(text->empty());
    const auto piece = loop.run(none.next());
    REQUIRE(piece);
    CHECK(piece->empty());
}

TEST_SUITE_END();
