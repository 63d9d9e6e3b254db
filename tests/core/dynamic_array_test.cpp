// SPDX-License-Identifier: MIT
#include <flux/core/dynamic_array.hpp> // also proves the header is self-contained

#include "support/counted.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using flux::detail::dynamic_array;
using flux::detail::make_owner;
using flux::detail::owner;

namespace {

std::vector<std::string> content(const dynamic_array<std::string>& a) { return {a.begin(), a.end()}; }

struct base {
    virtual ~base() = default;
    virtual int value() const { return 1; }
};
struct derived : base {
    explicit derived(int* deaths) noexcept : deaths_(deaths) {}
    ~derived() override { ++*deaths_; }
    int value() const override { return 2; }
    int* deaths_;
};

} // namespace

TEST_SUITE_BEGIN("core/dynamic_array");

TEST_CASE("elements stay in order through growth, insertion and removal") {
    dynamic_array<std::string> a;
    std::vector<std::string> model;
    for (int i = 0; i < 100; ++i) {
        const std::string text = "a rather long element " + std::to_string(i);
        const std::size_t at = static_cast<std::size_t>(i * 7) % (a.size() + 1);
        if (i % 3 == 0) {
            a.push_back(text);
            model.push_back(text);
        } else {
            CHECK(*a.insert(a.begin() + at, text) == text);
            model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), text);
        }
        CHECK(content(a) == model);
    }
    a.erase_if([](const std::string& t) { return t.back() == '3'; });
    std::erase_if(model, [](const std::string& t) { return t.back() == '3'; });
    CHECK(content(a) == model);
    a.erase_front(5);
    model.erase(model.begin(), model.begin() + 5);
    CHECK(content(a) == model);
    const dynamic_array<std::string> more(a);
    a.insert(a.begin() + 1, more.begin(), more.end());
    model.insert(model.begin() + 1, more.begin(), more.end());
    CHECK(content(a) == model);
}

TEST_CASE("an element of the array may be appended to it") {
    dynamic_array<std::string> a;
    a.push_back("an element that does not fit in place");
    for (int i = 0; i < 20; ++i) {
        a.push_back(a.front());
        a.emplace_back(a.back());
    }
    for (const std::string& text : a) {
        CHECK(text == "an element that does not fit in place");
    }
}

TEST_CASE("an element whose constructor throws is not there") {
    struct picky {
        explicit picky(int v) : value(v) {
            if (v < 0) {
                throw v;
            }
        }
        int value;
    };
    dynamic_array<picky> a;
    for (int i = 0; i < 10; ++i) {
        CHECK_THROWS_AS(a.emplace_back(-1), int);
        a.emplace_back(i);
        CHECK(a.size() == static_cast<std::size_t>(i) + 1);
        CHECK(a.back().value == i);
    }
}

TEST_CASE("copies are equal and independent, moves leave nothing behind") {
    dynamic_array<std::string> a;
    a.push_back("one");
    a.push_back("two");
    dynamic_array<std::string> b(a);
    b[0] = "changed";
    CHECK(a[0] == "one");
    dynamic_array<std::string> c(std::move(b));
    CHECK(b.empty());
    CHECK(c.size() == 2);
    a = std::move(c);
    CHECK(a[0] == "changed");
    a.resize(5);
    CHECK(a.back().empty());
    a.resize(1);
    CHECK(a.size() == 1);
    a.clear();
    CHECK(a.empty());
    CHECK(a.capacity() >= 5);
}

TEST_CASE("an owner deletes its object once, also through a base") {
    int deaths = 0;
    {
        owner<base> b = make_owner<derived>(&deaths);
        CHECK(b->value() == 2);
        owner<base> c(std::move(b));
        CHECK_FALSE(b);
        c = owner<base>();
        CHECK(deaths == 1);
    }
    CHECK(deaths == 1);
    dynamic_array<owner<base>> many;
    for (int i = 0; i < 10; ++i) {
        many.push_back(make_owner<derived>(&deaths));
    }
    many.erase_front(4);
    CHECK(deaths == 5);
    many.clear();
    CHECK(deaths == 11);
}

TEST_SUITE_END();
