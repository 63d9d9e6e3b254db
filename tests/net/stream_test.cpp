// SPDX-License-Identifier: MIT
#include <flux/net/stream.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace flux;

namespace {

/// Counts how often each buffer is given back.
struct lender {
    std::vector<std::uint32_t> returned;
    static void take_back(void* self, std::uint32_t id) noexcept { static_cast<lender*>(self)->returned.push_back(id); }
    received lend(std::string_view text, std::uint32_t id) { return {as_octets(text), &take_back, this, id}; }
};

} // namespace

TEST_SUITE("net/stream") {

TEST_CASE("text and octets are views of the same memory") {
    const std::string text("a\0b", 3);
    CHECK(as_octets(text).size() == 3);
    CHECK(as_text(as_octets(text)) == text);
    CHECK(as_text(as_octets(text)).data() == text.data());
    CHECK(as_octets("").empty());
}

TEST_CASE("received octets give their buffer back once, when they die or earlier") {
    lender from;
    {
        const received r = from.lend("abc", 1);
        CHECK(r.size() == 3);
        CHECK(!r.empty());
        CHECK(from.returned.empty());
    }
    CHECK(from.returned == std::vector<std::uint32_t>{1});
    received early = from.lend("abc", 2);
    early.reset();
    CHECK(early.empty());
    early.reset();
    CHECK(from.returned == std::vector<std::uint32_t>{1, 2});
}

TEST_CASE("a move takes the buffer along, and an assignment gives the old one back") {
    lender from;
    {
        received a = from.lend("abc", 1);
        received b = std::move(a);
        CHECK(a.empty());
        CHECK(as_text(b.octets()) == "abc");
        CHECK(from.returned.empty());
        received c = from.lend("def", 2);
        c = std::move(b);
        CHECK(from.returned == std::vector<std::uint32_t>{2});
        CHECK(as_text(c.octets()) == "abc");
        received& same = c;
        c = std::move(same);
        CHECK(as_text(c.octets()) == "abc");
        CHECK(from.returned.size() == 1);
    }
    CHECK(from.returned == std::vector<std::uint32_t>{2, 1});
}

TEST_CASE("consuming moves the view and not the buffer") {
    lender from;
    received r = from.lend("hello", 7);
    r.consume(2);
    CHECK(as_text(r.octets()) == "llo");
    r.consume(3);
    CHECK(r.empty());
    CHECK(from.returned.empty());
}

TEST_CASE("nothing received is empty and gives nothing back") {
    received none;
    CHECK(none.empty());
    none.reset();
    const received moved = std::move(none);
    CHECK(moved.size() == 0);
}

} // TEST_SUITE
