// SPDX-License-Identifier: MIT
#include <flux/core/function.hpp> // also proves the header is self-contained

#include <support/counted.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using flux::unique_function;
using test_support::counted;
using test_support::life_check;
using test_support::throwing_counted;

namespace {

int twice(int n) { return 2 * n; }

struct holder {
    int number = 3;
    int get() { return number; }
};

// A callable with one counted member and padding of `Extra` octets.
template <class Counted, std::size_t Extra>
struct callable {
    explicit callable(int n) : value(n) {}
    int operator()() { return value.value(); }
    Counted value;
    std::array<char, Extra> padding{};
};

template <std::size_t Alignment>
struct alignas(Alignment) aligned {
    std::uintptr_t operator()() const { return reinterpret_cast<std::uintptr_t>(this) % Alignment; }
};

struct overloads_address {
    void operator&() const = delete;
    int operator()() { return 5; }
    std::array<char, 64> big{};
};

struct own_new {
    static inline int made = 0;
    static void* operator new(std::size_t n) {
        ++made;
        return ::operator new(n);
    }
    static void operator delete(void* at) {
        --made;
        ::operator delete(at);
    }
    int operator()() { return 1; }
    std::array<char, 64> big{};
};

} // namespace

static_assert(sizeof(unique_function<void()>) == 4 * sizeof(void*));
static_assert(std::is_nothrow_move_constructible_v<unique_function<void()>>);
static_assert(std::is_nothrow_move_assignable_v<unique_function<void()>>);
static_assert(!std::is_copy_constructible_v<unique_function<void()>>);
static_assert(!std::is_constructible_v<unique_function<int()>, int>);
static_assert(!std::is_constructible_v<unique_function<int()>, std::string (*)()>, "result does not convert");
static_assert(!std::is_constructible_v<unique_function<int(int)>, int (*)(std::string)>, "argument does not convert");
static_assert(!std::is_constructible_v<unique_function<int(holder&)>, int (holder::*)()>, "wrap it in a lambda");
static_assert(std::is_nothrow_constructible_v<unique_function<int(int)>, int (&)(int)>);
static_assert(std::is_nothrow_constructible_v<unique_function<int()>, callable<counted, 1>> ==
              std::is_nothrow_move_constructible_v<callable<counted, 1>>);
static_assert(!std::is_nothrow_constructible_v<unique_function<int()>, callable<counted, 100>>, "allocates");

TEST_SUITE("core/function") {

TEST_CASE("an empty function knows that it is empty") {
    const unique_function<void()> a;
    const unique_function<void()> b = nullptr;
    int (*no_function)(int) = nullptr;
    const unique_function<int(int)> c = no_function;
    CHECK_FALSE(static_cast<bool>(a));
    CHECK_FALSE(static_cast<bool>(b));
    CHECK_FALSE(static_cast<bool>(c));
    unique_function<void()> from_empty = unique_function<void()>();
    CHECK_FALSE(static_cast<bool>(from_empty));
    from_empty = unique_function<void()>();
    CHECK_FALSE(static_cast<bool>(from_empty));
}

TEST_CASE("functions, pointers to functions, lambdas and objects are called") {
    unique_function<int(int)> f = twice;
    CHECK(f(4) == 8);
    f = &twice;
    CHECK(f(5) == 10);
    f = [offset = 100](int n) { return n + offset; };
    CHECK(f(1) == 101);
    unique_function<int()> counter = [n = 0]() mutable { return ++n; };
    CHECK(counter() == 1);
    CHECK(counter() == 2);
}

TEST_CASE("arguments and results keep their kind: references, move-only values, conversions, void") {
    unique_function<int&(int&)> same = [](int& n) -> int& { return n; };
    int number = 1;
    CHECK(&same(number) == &number);
    unique_function<std::unique_ptr<int>(std::unique_ptr<int>)> pass = [](std::unique_ptr<int> p) { return p; };
    CHECK(*pass(std::make_unique<int>(6)) == 6);
    unique_function<std::string(const char*)> text = [](std::string s) { return s + "!"; };
    CHECK(text("a") == "a!");
    unique_function<void(int)> dropped = [&](int n) { return number = n; }; // the result is not wanted
    dropped(9);
    CHECK(number == 9);
    unique_function<int(std::string&&)> take = [](std::string&& s) {
        const std::string mine = std::move(s);
        return static_cast<int>(mine.size());
    };
    std::string word = "word";
    CHECK(take(std::move(word)) == 4);
}

TEST_CASE("a callable is constructed once, moved without copies and destroyed once, in place and on the heap") {
    const auto scenario = []<class Callable>(std::type_identity<Callable>) {
        unique_function<int()> f = Callable(7);
        CHECK(f() == 7);
        unique_function<int()> g = std::move(f);
        CHECK_FALSE(static_cast<bool>(f)); // NOLINT(bugprone-use-after-move): that is the rule
        CHECK(g() == 7);
        f = std::move(g);
        CHECK(f() == 7);
        CHECK_FALSE(static_cast<bool>(g)); // NOLINT(bugprone-use-after-move): that is the rule
        g = Callable(8);
        f = std::move(g);
        CHECK(f() == 8);
        f = nullptr;
        CHECK_FALSE(static_cast<bool>(f));
        const Callable original(9);
        f = original;
        CHECK(f() == 9);
    };
    const life_check<counted> life;
    scenario(std::type_identity<callable<counted, 1>>());
    CHECK(life.balanced());
    CHECK(counted::log.copied == 1);
    const life_check<counted> heap_life;
    scenario(std::type_identity<callable<counted, 100>>());
    CHECK(heap_life.balanced());
    CHECK(counted::log.copied == 1);
    CHECK(counted::log.moved == 2); // into the heap; moving the function does not move the callable
    const life_check<throwing_counted> throwing_life;
    scenario(std::type_identity<callable<throwing_counted, 1>>());
    CHECK(throwing_life.balanced());
    CHECK(throwing_counted::log.moved == 2); // its move may throw, so it lives on the heap
}

TEST_CASE("assignment to itself changes nothing") {
    const life_check<counted> life;
    {
        unique_function<int()> f = callable<counted, 1>(3);
        unique_function<int()>& self = f;
        f = std::move(self);
        CHECK(f() == 3);
    }
    CHECK(life.balanced());
}

TEST_CASE("a function may be assigned from one that its own callable owns") {
    struct node {
        unique_function<int()> next;
    };
    auto owned = std::make_shared<node>();
    owned->next = [] { return 42; };
    node* inner = owned.get();
    unique_function<int()> f = [owned = std::move(owned)] { return 1; };
    f = std::move(inner->next); // destroys the callable, and the node with it
    CHECK(f() == 42);
}

TEST_CASE("a callable whose construction throws leaves nothing behind") {
    const life_check<throwing_counted> life;
    {
        const callable<throwing_counted, 1> original(1);
        const auto copy = [&] { unique_function<int()> f = original; };
        throwing_counted::log.throw_in = 1;
        CHECK_THROWS_AS(copy(), std::runtime_error);
        unique_function<int()> kept = [] { return 5; };
        const auto assign = [&] { kept = original; };
        throwing_counted::log.throw_in = 1;
        CHECK_THROWS_AS(assign(), std::runtime_error);
        CHECK(kept() == 5);
    }
    CHECK(life.balanced());
}

TEST_CASE("an exception of the callable reaches the caller, and the function stays usable") {
    unique_function<int(bool)> f = [](bool fail) {
        if (fail) {
            throw std::runtime_error("call");
        }
        return 1;
    };
    CHECK_THROWS_WITH_AS(f(true), "call", std::runtime_error);
    CHECK(f(false) == 1);
}

TEST_CASE("alignment, an overloaded operator& and an own operator new are respected") {
    // Small enough to live in place, but two pointers' alignment: one of the neighbours would be wrong for it.
    static_assert(sizeof(aligned<16>) == 16);
    struct alignas(16) {
        std::uintptr_t before = 0;
        unique_function<std::uintptr_t()> f;
        std::uintptr_t between = 0;
        unique_function<std::uintptr_t()> g = aligned<16>();
    } two;
    CHECK(two.g() == 0);
    two.f = std::move(two.g);
    CHECK(two.f() == 0);
    unique_function<std::uintptr_t()> far = aligned<64>();
    CHECK(far() == 0);
    unique_function<std::uintptr_t()> moved = std::move(far);
    CHECK(moved() == 0);
    unique_function<int()> odd = overloads_address();
    unique_function<int()> odd_moved = std::move(odd);
    CHECK(odd_moved() == 5);
    {
        unique_function<int()> own = own_new();
        CHECK(own_new::made == 1);
        CHECK(own() == 1);
    }
    CHECK(own_new::made == 0);
}

TEST_CASE("a function can hold another function, of another signature too") {
    unique_function<int(int)> inner = twice;
    unique_function<long(int)> outer = std::move(inner);
    CHECK(outer(21) == 42);
}

} // TEST_SUITE
