// SPDX-License-Identifier: MIT
#include <flux/net/octet_input.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using flux::detail::octet_input;

namespace {

flux::received octets(std::string_view text) { return {flux::as_octets(text), nullptr, nullptr, 0}; }

} // namespace

TEST_SUITE_BEGIN("net/octet_input");

TEST_CASE("octets stay where they arrived until more comes while some are left") {
    const std::string_view first = "abcdef";
    octet_input in;
    CHECK(in.empty());
    in.add(octets(first));
    CHECK(in.view().data() == first.data());
    in.consume(2);
    CHECK(in.view().data() == first.data() + 2);
    in.add(octets("ghi"));
    CHECK(in.view() == "cdefghi");
    CHECK(in.view().data() != first.data() + 2);
    in.consume(7);
    CHECK(in.empty());
    in.add(octets(first)); // nothing is carried over any more
    CHECK(in.view().data() == first.data());
}

TEST_CASE("what is carried over does not need its buffer any more") {
    std::string buffer = "abc";
    octet_input in;
    in.add(octets(buffer));
    in.consume(1);
    in.carry_over();
    buffer = "xyz";
    CHECK(in.view() == "bc");
    in.carry_over();
    CHECK(in.view() == "bc");
    in.add(octets("d"));
    CHECK(in.view() == "bcd");
    in.reset();
    CHECK(in.empty());
    CHECK(in.view().empty());
}

TEST_SUITE_END();
