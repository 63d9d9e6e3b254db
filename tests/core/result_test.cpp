// SPDX-License-Identifier: MIT
#include <flux/core/result.hpp> // also proves the header is self-contained

#include <support/counted.hpp>

#include <doctest/doctest.h>

#include <any>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using flux::errc;
using flux::error;
using flux::fail;
using flux::result;
using test_support::counted;
using test_support::life_check;
using test_support::throwing_counted;

namespace {

struct immovable {
    explicit immovable(int n) noexcept : number(n) {}
    immovable(immovable&&) = delete;
    int number;
};

struct no_assign {
    explicit no_assign(int n) noexcept : number(n) {}
    no_assign(const no_assign&) = default;
    no_assign& operator=(const no_assign&) = delete;
    const int number;
};

struct overloads_address {
    int number = 4;
    void operator&() const = delete;
};

result<int> parse_digit(char c) {
    if (c < '0' || c > '9') {
        return fail(error(errc::invalid_argument).doing("digit"));
    }
    return c - '0';
}

using move_only = std::unique_ptr<int>;

} // namespace

static_assert(sizeof(result<int>) <= 5 * sizeof(void*));
static_assert(std::is_nothrow_move_constructible_v<result<move_only>>);
static_assert(std::is_nothrow_move_assignable_v<result<move_only>>);
static_assert(!std::is_copy_constructible_v<result<move_only>> && !std::is_copy_assignable_v<result<move_only>>);
static_assert(std::is_copy_constructible_v<result<std::string>> && std::is_copy_assignable_v<result<std::string>>);
static_assert(!std::is_nothrow_move_constructible_v<result<throwing_counted>>);
static_assert(!std::is_move_constructible_v<result<immovable>> && !std::is_move_assignable_v<result<immovable>>);
static_assert(std::is_nothrow_move_assignable_v<result<no_assign>>);
static_assert(std::is_nothrow_move_constructible_v<result<void>> && std::is_copy_constructible_v<result<void>>);
static_assert(std::is_convertible_v<const char*, result<std::string>>);
static_assert(!std::is_convertible_v<int, result<std::unique_ptr<int>>>);
static_assert(std::is_constructible_v<result<move_only>, int*> && !std::is_convertible_v<int*, result<move_only>>);
static_assert(!std::is_constructible_v<result<bool>, result<int>>, "would take has_value() for the value");
static_assert(!std::is_constructible_v<result<std::any>, result<int>>);
static_assert(std::is_constructible_v<result<result<int>>, result<int>>);

TEST_SUITE("core/result") {

TEST_CASE("a value is kept and given back") {
    result<std::string> r = "text";
    CHECK(r.has_value());
    CHECK(static_cast<bool>(r));
    CHECK(*r == "text");
    CHECK(r->size() == 4);
    CHECK(r.value() == "text");
    const result<std::string>& view = r;
    CHECK(*view == "text");
    CHECK(view->size() == 4);
    CHECK(view.value() == "text");
    const std::string taken = *std::move(r);
    CHECK(taken == "text");
    CHECK(result<std::string>("x").value() == "x");
    CHECK(result<int>().value() == 0);
}

TEST_CASE("an error is kept, and value() throws it with its chain") {
    result<int> r = fail(error(errc::eof).doing("read"));
    CHECK_FALSE(r.has_value());
    CHECK(r.error().is(errc::eof));
    CHECK(std::as_const(r).error().is(errc::eof));
    CHECK_THROWS_WITH_AS(r.value(), "read: unexpected end of stream", error);
    CHECK_THROWS_WITH_AS(std::as_const(r).value(), "read: unexpected end of stream", error);
    CHECK(r.error().message() == "read: unexpected end of stream"); // lvalues keep it
    CHECK_THROWS_WITH_AS(std::move(r).value(), "read: unexpected end of stream", error);
    const error taken = result<int>(fail(errc::closed)).error();
    CHECK(taken.is(errc::closed));
}

TEST_CASE("move-only values go in and out") {
    result<move_only> r = std::make_unique<int>(7);
    result<move_only> s = std::move(r);
    CHECK(r.has_value()); // NOLINT(bugprone-use-after-move): it keeps its state, with an empty pointer
    CHECK(*r == nullptr);
    const move_only p = std::move(s).value();
    CHECK(*p == 7);
    result<move_only> raw(new int(8));
    CHECK(**raw == 8);
    raw = std::make_unique<int>(9);
    CHECK(**raw == 9);
    raw = fail(errc::closed);
    CHECK(raw.error().is(errc::closed));
}

TEST_CASE("values that cannot be moved, assigned or have an unusual address are held all the same") {
    result<immovable> fixed(3);
    CHECK(fixed->number == 3);
    CHECK(fixed.emplace(4).number == 4);
    result<no_assign> a(1);
    const result<no_assign> b(2);
    a = b;
    CHECK(a->number == 2);
    a = result<no_assign>(3);
    CHECK(a->number == 3);
    a = fail(errc::eof);
    a = b;
    CHECK(a->number == 2);
    result<overloads_address> odd;
    result<overloads_address> odd_copy = odd;
    odd = odd_copy;
    CHECK(odd->number == 4);
}

TEST_CASE("every combination of states can be assigned, by copy and by move, and nothing leaks") {
    const life_check<counted> life;
    {
        const result<counted> value(counted(1));
        const result<counted> failed = fail(errc::eof);
        for (const bool to_value : {true, false}) {
            for (const bool from_value : {true, false}) {
                for (const bool by_move : {true, false}) {
                    CAPTURE(to_value);
                    CAPTURE(from_value);
                    CAPTURE(by_move);
                    result<counted> to = to_value ? value : failed;
                    result<counted> from = from_value ? result<counted>(counted(2)) : fail(errc::closed);
                    if (by_move) {
                        to = std::move(from);
                    } else {
                        to = from;
                    }
                    REQUIRE(to.has_value() == from_value);
                    if (from_value) {
                        CHECK(to->value() == 2);
                    } else {
                        CHECK(to.error().is(errc::closed));
                    }
                    CHECK(from.has_value() == from_value);
                }
            }
        }
    }
    CHECK(life.balanced());
}

TEST_CASE("assignment to itself changes nothing") {
    result<std::string> r = "a string that does not fit into the object itself";
    result<std::string>& self = r;
    r = self;
    CHECK(r->size() == 49);
    r = std::move(self);
    CHECK(r->size() == 49);
    result<std::string> failed = fail(error(errc::eof).doing("read"));
    result<std::string>& failed_self = failed;
    failed = failed_self;
    failed = std::move(failed_self);
    CHECK(failed.error().message() == "read: unexpected end of stream");
}

TEST_CASE("a value whose construction throws leaves an assigned result in its former state") {
    const life_check<throwing_counted> life;
    {
        result<throwing_counted> to = fail(error(errc::eof).doing("read"));
        result<throwing_counted> from(throwing_counted(2));
        throwing_counted::log.throw_in = 1;
        CHECK_THROWS_AS(to = std::move(from), std::runtime_error);
        REQUIRE_FALSE(to.has_value());
        CHECK(to.error().message() == "read: unexpected end of stream");
        throwing_counted::log.throw_in = 1; // the copy
        CHECK_THROWS_AS(to = from, std::runtime_error);
        throwing_counted::log.throw_in = 2; // the move of the copy
        CHECK_THROWS_AS(to = from, std::runtime_error);
        REQUIRE_FALSE(to.has_value());
        CHECK(to.error().message() == "read: unexpected end of stream");
        to = from;
        CHECK(to->value() == 2);
        throwing_counted::log.throw_in = 1;
        CHECK_THROWS_AS(to = from, std::runtime_error);
        CHECK(to->value() == 2);
        throwing_counted::log.throw_in = 1;
        const auto copy_of = [](const result<throwing_counted>& r) { result<throwing_counted> copy = r; };
        CHECK_THROWS_AS(copy_of(from), std::runtime_error);
        throwing_counted::log.throw_in = 1;
        const auto make = [](int n) { result<throwing_counted> made(n); };
        CHECK_THROWS_AS(make(7), std::runtime_error);
        throwing_counted::log.throw_in = 0;
    }
    CHECK(life.balanced());
}

TEST_CASE("emplace replaces a value or an error, and a throwing constructor changes nothing") {
    const life_check<counted> life;
    {
        result<counted> r = fail(errc::eof);
        CHECK(r.emplace(5).value() == 5);
        CHECK(r.emplace(6).value() == 6);
        counted::log.throw_in = 1;
        CHECK_THROWS_AS(r.emplace(7), std::runtime_error);
        CHECK(r->value() == 6);
        result<counted> failed = fail(errc::eof);
        counted::log.throw_in = 1;
        CHECK_THROWS_AS(failed.emplace(7), std::runtime_error);
        CHECK(failed.error().is(errc::eof));
        counted::log.throw_in = 0;
        result<int> number = fail(errc::eof);
        number.emplace(9);
        CHECK(number == 9);
        result<void> nothing = fail(errc::eof);
        nothing.emplace();
        CHECK(nothing.has_value());
    }
    CHECK(life.balanced());
}

TEST_CASE("building a result from a value moves it once and copies it never") {
    const life_check<counted> life;
    {
        const auto make = [](int n) -> result<counted> { return counted(n); };
        const result<counted> r = make(3);
        CHECK(r->value() == 3);
        CHECK(counted::log.copied == 0);
        CHECK(counted::log.moved == 1);
    }
    CHECK(life.balanced());
}

TEST_CASE("value_or takes the fallback only where there is no value") {
    const result<std::string> good = "a";
    const result<std::string> bad = fail(errc::eof);
    CHECK(good.value_or("b") == "a");
    CHECK(bad.value_or("b") == "b");
    CHECK(bad.value_or({}).empty());
    CHECK(result<std::string>("c").value_or("b") == "c");
    result<move_only> gone = fail(errc::eof);
    CHECK(std::move(gone).value_or(nullptr) == nullptr);
}

TEST_CASE("and_then chains results and stops at the first error") {
    const auto twice = [](int n) -> result<std::string> { return std::string(static_cast<std::size_t>(n), 'x'); };
    CHECK(parse_digit('3').and_then(twice) == "xxx");
    CHECK(parse_digit('x').and_then(twice).error().message() == "digit: invalid argument");
    result<int> four = 4;
    const result<int> five = 5;
    CHECK(four.and_then([](int& n) -> result<int> { return ++n; }) == 5);
    CHECK(*four == 5);
    CHECK(five.and_then([](const int& n) -> result<int> { return n + 1; }) == 6);
    CHECK(five.and_then([](int) { return result<void>(); }).has_value());
    result<move_only> owner = std::make_unique<int>(1);
    const auto take = [](move_only p) -> result<int> { return *p; };
    CHECK(std::move(owner).and_then(take) == 1);
    result<int> failed = fail(error(errc::eof).doing("read"));
    CHECK(failed.and_then(twice).error().message() == "read: unexpected end of stream");
    CHECK(failed.error().message() == "read: unexpected end of stream"); // copied, not taken
}

TEST_CASE("transform maps the value and keeps the error") {
    result<int> four = 4;
    const result<int> failed = fail(errc::eof);
    CHECK(four.transform([](int n) { return n * 2; }) == 8);
    CHECK(std::as_const(four).transform([](int n) { return std::to_string(n); }) == "4");
    CHECK(failed.transform([](int n) { return n * 2; }).error().is(errc::eof));
    int seen = 0;
    const result<void> done = result<int>(3).transform([&](int n) { seen = n; });
    CHECK(done.has_value());
    CHECK(seen == 3);
    CHECK(result<int>(fail(errc::eof)).transform([&](int) { seen = 9; }).error().is(errc::eof));
    CHECK(seen == 3);
    const auto identity = [](int& n) -> int& { return n; };
    static_assert(std::is_same_v<decltype(four.transform(identity)), result<int>>);
    CHECK(four.transform(identity) == 4);
    const result<result<int>> nested = four.transform([](int n) -> result<int> { return n; });
    CHECK(**nested == 4);
    result<move_only> owner = std::make_unique<int>(6);
    CHECK(std::move(owner).transform([](move_only p) { return *p; }) == 6);
}

TEST_CASE("or_else replaces an error and keeps a value") {
    const result<int> failed = fail(errc::eof);
    result<int> good = 1;
    const auto seven = [](const error& e) -> result<int> { return e.is(errc::eof) ? 7 : 8; };
    CHECK(failed.or_else(seven) == 7);
    CHECK(good.or_else(seven) == 1);
    CHECK(result<int>(2).or_else(seven) == 2);
    CHECK(failed.or_else([](const error& e) { return fail(error(e).doing("outer")); }).error().message() ==
          "outer: unexpected end of stream");
    result<move_only> owner = fail(errc::eof);
    const auto make = [](error) -> result<move_only> { return std::make_unique<int>(5); };
    const result<move_only> made = std::move(owner).or_else(make);
    CHECK(**made == 5);
}

TEST_CASE("transform_error adds context on the way out") {
    const auto outer = [](error e) { return std::move(e).doing("outer"); };
    const result<int> failed = fail(errc::eof);
    result<int> lvalue = fail(errc::closed);
    CHECK(failed.transform_error(outer).error().message() == "outer: unexpected end of stream");
    CHECK(lvalue.transform_error(outer).error().message() == "outer: already closed");
    CHECK(lvalue.error().message() == "already closed");
    CHECK(std::move(lvalue).transform_error(outer).error().message() == "outer: already closed");
    CHECK(result<int>(3).transform_error(outer) == 3);
}

TEST_CASE("a result equals a value if it holds that value") {
    const result<int> three = 3;
    const result<int> failed = fail(errc::eof);
    CHECK(three == 3);
    CHECK(3 == three);
    CHECK(three != 4);
    CHECK(failed != 0);
    CHECK(result<std::string>("a") == "a");
}

TEST_CASE("result<void> is success or an error") {
    result<void> good;
    CHECK(good.has_value());
    CHECK_NOTHROW(good.value());
    *good;
    result<void> bad = fail(error(errc::eof).doing("flush"));
    CHECK_FALSE(bad);
    CHECK_THROWS_WITH_AS(bad.value(), "flush: unexpected end of stream", error);
    const result<void> copy = bad;
    CHECK(copy.error().message() == "flush: unexpected end of stream");
    good = bad;
    CHECK_FALSE(good);
    good = result<void>();
    CHECK(good);
    good = std::move(bad);
    CHECK(good.error().message() == "flush: unexpected end of stream");
    CHECK_THROWS_WITH_AS(std::move(good).value(), "flush: unexpected end of stream", error);
}

TEST_CASE("result<void> chains like any other") {
    const result<void> good;
    const result<void> bad = fail(errc::eof);
    const auto five = [] { return result<int>(5); };
    CHECK(good.and_then(five) == 5);
    CHECK(bad.and_then(five).error().is(errc::eof));
    CHECK(result<void>().and_then([] { return result<void>(); }).has_value());
    CHECK(good.transform([] { return 6; }) == 6);
    CHECK(result<void>(fail(errc::closed)).transform([] { return 6; }).error().is(errc::closed));
    int calls = 0;
    CHECK(result<void>().transform([&] { ++calls; }).has_value());
    CHECK(calls == 1);
    CHECK(bad.or_else([](const error&) { return result<void>(); }).has_value());
    CHECK(result<void>(fail(errc::eof)).or_else([](error e) { return fail(std::move(e)); }).error().is(errc::eof));
    CHECK(good.or_else([](const error&) { return fail(errc::closed); }).has_value());
    const auto outer = [](error e) { return std::move(e).doing("outer"); };
    CHECK(bad.transform_error(outer).error().message() == "outer: unexpected end of stream");
    CHECK(result<void>(fail(errc::closed)).transform_error(outer).error().message() == "outer: already closed");
    CHECK(good.transform_error(outer).has_value());
}

TEST_CASE("a result is dropped on purpose with a reason") {
    flux::ignore_result(parse_digit('x'), "only the call matters here");
}

} // TEST_SUITE
