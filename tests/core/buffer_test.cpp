// SPDX-License-Identifier: MIT
#include <flux/core/buffer.hpp> // also proves the header is self-contained

#include <support/counting_new.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

using flux::byte_buffer;
using test_support::allocation_count;
using test_support::allocations_are_counted;
using test_support::failing_allocation;

static_assert(std::is_nothrow_move_constructible_v<byte_buffer> && std::is_nothrow_move_assignable_v<byte_buffer>);
static_assert(!std::is_copy_constructible_v<byte_buffer> && !std::is_copy_assignable_v<byte_buffer>);

namespace {

void append_by_hand(byte_buffer& to, std::string_view octets) {
    const std::span<std::byte> room = to.room(octets.size());
    std::memcpy(room.data(), octets.data(), octets.size());
    to.commit(octets.size());
}

} // namespace

TEST_SUITE("core/buffer") {

TEST_CASE("a new buffer is empty and owns no memory") {
    const allocation_count count;
    byte_buffer b;
    CHECK(b.empty());
    CHECK(b.size() == 0);
    CHECK(b.capacity() == 0);
    CHECK(b.view().empty());
    b.consume(0);
    b.commit(0);
    b.append("");
    b.clear();
    b.release();
    b.shrink_above(0);
    CHECK(b.capacity() == 0);
    CHECK(count.allocations() == 0);
}

TEST_CASE("octets come out as they went in, by either way of putting them in") {
    byte_buffer b;
    b.append("GET ");
    append_by_hand(b, "/ HTTP");
    b.push_back('/');
    char* room = b.prepare(100);
    std::memcpy(room, "1.1 and more", 12);
    b.commit(3); // only these
    CHECK(b.view() == "GET / HTTP/1.1");
    CHECK(b.size() == 14);
    CHECK_FALSE(b.empty());
    b.consume(4);
    CHECK(b.view() == "/ HTTP/1.1");
    b.append(std::string_view("\0x", 2));
    CHECK(b.view() == std::string_view("/ HTTP/1.1\0x", 12));
    b.consume(12);
    CHECK(b.empty());
    CHECK(b.view().empty());
}

TEST_CASE("prepare gives room for exactly what was asked, at the end of what is readable") {
    byte_buffer b;
    b.append("abc");
    CHECK(b.room(5000).size() == 5000);
    CHECK(b.view() == "abc");
    CHECK(b.capacity() >= 5003);
    CHECK(reinterpret_cast<const char*>(b.room(10).data()) == b.view().data() + 3);
    CHECK(b.prepare(10) == b.view().data() + 3);
    CHECK(b.room(0).empty());
    b.append("d"); // what was prepared and not committed is gone
    CHECK(b.view() == "abcd");
}

TEST_CASE("a part of the buffer may be appended to it, also when that makes it grow or move") {
    byte_buffer growing;
    std::string model = "0123456789";
    growing.append(model);
    for (int i = 0; i < 12; ++i) {
        growing.append(growing.view().substr(growing.size() / 3));
        model += model.substr(model.size() / 3);
        REQUIRE(growing.view() == model);
    }
    byte_buffer moving;
    moving.append(std::string(1020, 'x') + "abcd");
    CHECK(moving.capacity() == 1024);
    moving.consume(1020);
    moving.append(moving.view().substr(1));
    CHECK(moving.view() == "abcdbcd");
    CHECK(moving.capacity() == 1024);
    byte_buffer fitting;
    fitting.append("abc");
    fitting.append(fitting.view());
    CHECK(fitting.view() == "abcabc");
}

TEST_CASE("a consumed buffer starts at the front again, and is never larger than it has to be") {
    byte_buffer b;
    b.append("abc");
    const char* front = b.view().data();
    b.consume(3);
    b.append("d");
    CHECK(b.view().data() == front);
    b.consume(1);
    for (int i = 0; i < 1000; ++i) {
        b.append(std::string(1000, 'x'));
        b.consume(400);
        b.consume(600);
    }
    CHECK(b.capacity() == 1024);
    const allocation_count count;
    const std::string octets(300, 'y');
    b.append(octets);
    for (int i = 0; i < 10'000; ++i) {
        b.append(octets); // never empty, so it has to move within its block
        b.consume(300);
        REQUIRE(b.view() == octets);
    }
    CHECK(b.capacity() <= 1536);
    CHECK(count.allocations() <= 1);
}

TEST_CASE("clear keeps the memory, release and shrink_above give it back") {
    byte_buffer b;
    b.append(std::string(5000, 'x'));
    const std::size_t before = b.capacity();
    b.shrink_above(0); // something is readable
    CHECK(b.size() == 5000);
    b.clear();
    CHECK(b.empty());
    CHECK(b.capacity() == before);
    b.shrink_above(before);
    CHECK(b.capacity() == before);
    b.shrink_above(before - 1);
    CHECK(b.capacity() == 0);
    b.append("again");
    CHECK(b.view() == "again");
    b.release();
    CHECK(b.empty());
    CHECK(b.capacity() == 0);
    b.append("and again");
    CHECK(b.view() == "and again");
}

TEST_CASE("a move hands over the octets and leaves an empty buffer that can be used") {
    byte_buffer a;
    a.append("xabc");
    a.consume(1);
    const char* where = a.view().data();
    byte_buffer b = std::move(a);
    CHECK(b.view() == "abc");
    CHECK(b.view().data() == where);
    CHECK(a.empty()); // NOLINT(bugprone-use-after-move): that is the rule
    CHECK(a.capacity() == 0);
    a.append("new");
    CHECK(a.view() == "new");
    b = std::move(a);
    CHECK(b.view() == "new");
    CHECK(a.capacity() == 0); // NOLINT(bugprone-use-after-move): that is the rule
    byte_buffer& self = b;
    b = std::move(self);
    CHECK(b.view() == "new");
}

TEST_CASE("a size that cannot be is std::bad_alloc, and changes nothing") {
    byte_buffer b;
    b.append("kept");
    for (const std::size_t n : {std::numeric_limits<std::size_t>::max(), std::numeric_limits<std::size_t>::max() / 2,
                                std::numeric_limits<std::size_t>::max() - 4}) {
        CHECK_THROWS_AS(static_cast<void>(b.prepare(n)), std::bad_alloc);
        CHECK_THROWS_AS(static_cast<void>(b.room(n)), std::bad_alloc);
    }
    CHECK(b.view() == "kept");
}

TEST_CASE("an allocation that fails changes nothing") {
    if (!allocations_are_counted()) {
        return;
    }
    byte_buffer b;
    b.append("kept");
    b.consume(1);
    const std::size_t before = b.capacity();
    const std::string much(5000, 'x');
    {
        const failing_allocation failure(1);
        CHECK_THROWS_AS(b.append(much), std::bad_alloc);
    }
    CHECK(b.view() == "ept");
    CHECK(b.capacity() == before);
    b.append(much);
    CHECK(b.size() == 5003);
}

TEST_CASE("random use agrees with a std::string, stays small, and copies each octet a bounded number of times") {
    std::mt19937 random(5);
    for (const std::size_t largest : {10U, 300U, 5000U}) {
        byte_buffer b;
        std::string model;
        std::size_t most_used = 0;
        std::uint64_t came = 0;
        std::uint64_t copied = 0;
        char next = 0;
        for (int round = 0; round < 20'000; ++round) {
            const std::size_t n = random() % (largest + 1);
            if (random() % 2 == 0 && model.size() < 4 * largest) {
                std::string octets(n, '\0');
                std::generate(octets.begin(), octets.end(), [&] { return next++; });
                const char* before = b.view().data();
                const std::size_t used = b.size();
                random() % 2 == 0 ? b.append(octets) : append_by_hand(b, octets);
                copied += used > 0 && b.view().data() != before ? used : 0;
                came += n;
                model += octets;
            } else {
                const std::size_t gone = std::min(n, model.size());
                b.consume(gone);
                model.erase(0, gone);
            }
            most_used = std::max(most_used, model.size());
            REQUIRE(b.view() == model);
            REQUIRE(b.empty() == model.empty());
        }
        CAPTURE(largest);
        CHECK(b.capacity() <= std::max<std::size_t>(1024, 3 * most_used + largest + largest / 2));
        CHECK(copied <= 2 * came);
        CHECK((largest == 10 || copied > 0)); // small ones fit the first block for ever
    }
}

TEST_CASE("growing octet by octet allocates a logarithmic number of times") {
    const allocation_count count;
    byte_buffer b;
    std::size_t blocks = 0;
    std::size_t last = 0;
    for (int i = 0; i < 1'000'000; ++i) {
        b.push_back(static_cast<char>(i));
        blocks += b.capacity() != last ? 1U : 0U;
        last = b.capacity();
    }
    CHECK(b.size() == 1'000'000);
    CHECK(blocks <= 18);
    CHECK(b.capacity() <= 3'000'000);
    if (allocations_are_counted()) {
        CHECK(count.allocations() == blocks);
    }
}

TEST_CASE("small commits behind large rooms do not copy over and over") {
    byte_buffer b;
    std::uint64_t copied = 0;
    for (int i = 0; i < 20'000; ++i) {
        const char* before = b.view().data();
        const std::size_t used = b.size();
        static_cast<void>(b.prepare(4096));
        copied += used > 0 && b.view().data() != before ? used : 0;
        b.commit(40);
    }
    CHECK(b.size() == 800'000);
    CHECK(copied <= 2 * b.size());
}

} // TEST_SUITE
