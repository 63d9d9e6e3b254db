// SPDX-License-Identifier: MIT
#include <flux/http/message/fields.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <utility>

#include "support/counting_new.hpp"

namespace http = flux::http;
using http::field;

TEST_SUITE("http/message/fields") {
    TEST_CASE("lines keep their order and spelling, ready for the wire") {
        http::fields f;
        CHECK(f.empty());
        CHECK(f.lines().empty());
        f.add(field::content_type, "text/plain").add("x-Custom", "1").add(field::etag, "");
        CHECK(f.lines() == "Content-Type: text/plain\r\nx-Custom: 1\r\nETag: \r\n");
        CHECK(f.size() == 3);
        CHECK(f[2].value.empty());
    }
    TEST_CASE("a value that could split a message is refused, and the list stays as it was [RFC 9110 5.5]") {
        http::fields f;
        f.add("A", "1");
        for (unsigned c = 0; c < 256; ++c) {
            const std::string value = std::string("x") + static_cast<char>(c) + "y";
            const bool allowed = c == '\t' || (c >= 0x20 && c != 0x7f);
            CHECK(f.try_add("B", value).has_value() == allowed);
            CHECK(f.try_set("A", value).has_value() == allowed);
        }
        const auto refused = f.try_add("B", "a\r\nInjected: yes");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().is(flux::errc::invalid_argument));
        CHECK(f.lines().find("Injected") == std::string::npos);
        CHECK_THROWS_AS(f.add("B", "a\nb"), flux::error);
        CHECK_THROWS_AS(f.set("A", std::string("a\0b", 3)), flux::error);
    }
    TEST_CASE("a name that is no token is refused [RFC 9110 5.1]") {
        http::fields f;
        for (unsigned c = 0; c < 256; ++c) {
            const std::string name = std::string("x") + static_cast<char>(c) + "y";
            CHECK(f.try_add(name, "1").has_value() == http::is(static_cast<char>(c), http::octet_class::token));
        }
        CHECK_FALSE(f.try_add("", "1"));
        CHECK_FALSE(f.try_add("Content\rLength", "1"));
        CHECK_FALSE(f.try_add("Host:", "1"));
        CHECK(f.try_add(std::string(70'000, 'a'), "1").error().is(flux::errc::limit));
    }
    TEST_CASE("whitespace around a value is dropped [RFC 9110 5.5]") {
        http::fields f;
        f.add("A", " \t b c\t ");
        CHECK(f.get("a") == "b c");
        CHECK(f.lines() == "A: b c\r\n");
    }
    TEST_CASE("set replaces all lines of the name by one at the place of the first") {
        http::fields f;
        f.add("A", "1").add("B", "2").add("a", "3").add("C", "4");
        f.set("A", "5");
        CHECK(f.lines() == "A: 5\r\nB: 2\r\nC: 4\r\n");
        f.set("D", "6");
        CHECK(f.lines() == "A: 5\r\nB: 2\r\nC: 4\r\nD: 6\r\n");
        CHECK_FALSE(f.view().repeated().contains(field::other));
    }
    TEST_CASE("a repeated well-known name is no longer repeated after set") {
        http::fields f;
        f.add(field::vary, "a").add("Vary", "b");
        CHECK(f.view().repeated().contains(field::vary));
        f.set(field::vary, "c");
        CHECK_FALSE(f.view().repeated().contains(field::vary));
        CHECK(f.present().contains(field::vary));
    }
    TEST_CASE("remove takes out every line of the name and says how many") {
        http::fields f;
        f.add("A", "1").add(field::date, "x").add("a", "2").add("B", "3");
        CHECK(f.remove("A") == 2);
        CHECK(f.remove("A") == 0);
        CHECK(f.remove(field::date) == 1);
        CHECK(f.lines() == "B: 3\r\n");
        CHECK_FALSE(f.contains(field::date));
        CHECK_FALSE(f.present().contains(field::date));
    }
    TEST_CASE("clear empties the list and it can be used again") {
        http::fields f;
        f.add("A", "1");
        f.clear();
        CHECK(f.empty());
        CHECK(f.lines().empty());
        CHECK(f.present().empty());
        f.add("B", "2");
        CHECK(f.lines() == "B: 2\r\n");
    }
    TEST_CASE("a list grows beyond its first block in lines and in octets") {
        http::fields f;
        std::string expected;
        for (int i = 0; i < 100; ++i) {
            const std::string name = "X-" + std::to_string(i);
            const std::string value(static_cast<std::size_t>(i * 7), 'v');
            f.add(name, value);
            expected += name + ": " + value + "\r\n";
        }
        CHECK(f.lines() == expected);
        CHECK(f.size() == 100);
        CHECK(f.get("x-99")->size() == 99 * 7);
        f.add("Big", std::string(100'000, 'b'));
        CHECK(f.get("big")->size() == 100'000);
        CHECK(f.get("x-1") == "vvvvvvv");
    }
    TEST_CASE("a line may be added from the list's own text, also when the list has to grow") {
        http::fields f;
        f.add("A", std::string(200, 'x'));
        for (int i = 0; i < 20; ++i) {
            f.add(f[0].name, f[0].value);
        }
        CHECK(f.size() == 21);
        CHECK(f[20].name == "A");
        CHECK(f[20].value == std::string(200, 'x'));
        f.set("A", f[3].value);
        CHECK(f.size() == 1);
        CHECK(f[0].value == std::string(200, 'x'));
    }
    TEST_CASE("lists of usual size are built without allocation once the thread is warm") {
        const auto build = [] {
            http::fields f;
            f.add(field::content_type, "text/plain").add("X-Request-ID", "0123456789abcdef").set(field::vary, "accept");
            http::fields moved = std::move(f);
            return moved.lines().size();
        };
        const std::size_t size = build();
        const test_support::allocation_count count;
        for (int i = 0; i < 100; ++i) {
            CHECK(build() == size);
        }
        if (FLUX_SANITIZED == 0) { // under a sanitizer every block is its own, to see its misuse
            CHECK(count.allocations() == 0);
        }
    }
    TEST_CASE("a thread gives back the memory it kept") {
        // LeakSanitizer is the judge: lists that die on another thread, and one that outlives its thread's cache.
        http::fields survivor;
        std::thread([&survivor] {
            http::fields a;
            a.add("A", "1");
            survivor = a;
            for (int i = 0; i < 100; ++i) {
                http::fields many;
                many.add("B", "2");
            }
        }).join();
        CHECK(survivor.lines() == "A: 1\r\n");
    }
    TEST_CASE("copies are independent, moved-from lists are empty") {
        http::fields a;
        a.add("A", "1");
        http::fields b = a;
        b.add("B", "2");
        CHECK(a.size() == 1);
        CHECK(b.lines() == "A: 1\r\nB: 2\r\n");
        http::fields c = std::move(b);
        CHECK(b.empty()); // NOLINT(bugprone-use-after-move): this state is promised
        CHECK(c.size() == 2);
        a = c;
        CHECK(a.lines() == c.lines());
        a = http::fields();
        CHECK(a.empty());
        a.add("C", "3");
        CHECK(a.size() == 1);
    }
    TEST_CASE("lists that begin with a literal line share it, and none changes it for the others") {
        static constexpr http::detail::literal_block type(http::field::content_type, "text/plain");
        const auto fresh = [] { return http::fields(type); };
        const http::fields untouched = fresh();
        CHECK(untouched.lines() == "Content-Type: text/plain\r\n");
        CHECK(untouched.get("content-type") == "text/plain");
        CHECK(untouched[0].name == "Content-Type");
        CHECK(untouched.present().contains(http::field::content_type));
        CHECK(untouched.size() == 1);

        http::fields added = fresh();
        added.add("A", "1");
        CHECK(added.lines() == "Content-Type: text/plain\r\nA: 1\r\n");
        http::fields replaced = fresh();
        replaced.set(http::field::content_type, "image/png");
        CHECK(replaced.lines() == "Content-Type: image/png\r\n");
        http::fields cleared = fresh();
        cleared.clear();
        CHECK(cleared.empty());
        CHECK(cleared.lines().empty());
        cleared.add("B", "2");
        CHECK(cleared.lines() == "B: 2\r\n");
        http::fields removed = fresh();
        CHECK(removed.remove("Content-Type") == 1);
        removed.add("C", "3");
        CHECK(removed.lines() == "C: 3\r\n");
        http::fields copy = untouched;
        copy.add("D", "4");
        CHECK(copy.lines() == "Content-Type: text/plain\r\nD: 4\r\n");
        http::fields moved = std::move(copy);
        moved = fresh();
        CHECK(moved.lines() == untouched.lines());
        CHECK(untouched.lines() == "Content-Type: text/plain\r\n");
    }
}
