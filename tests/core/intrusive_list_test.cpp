// SPDX-License-Identifier: MIT
#include <flux/core/intrusive_list.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

namespace {

struct red;
struct blue;

// Hooks that are not the first base: the list has to convert pointers, not to reinterpret them.
struct padding {
    int unrelated = 7;
};
struct element : padding, flux::list_hook<>, flux::list_hook<red>, flux::list_hook<blue> {
    explicit element(int n = 0) : number(n) {}
    int number;
};

using plain_list = flux::intrusive_list<element>;
using red_list = flux::intrusive_list<element, red>;
using blue_list = flux::intrusive_list<element, blue>;

template <class List>
std::string numbers(List& list) {
    std::string text;
    list.for_each([&](element& e) { text += std::to_string(e.number) + ' '; });
    return text;
}

bool is_linked(const element& e) { return static_cast<const flux::list_hook<>&>(e).is_linked(); }
void unlink(element& e) { static_cast<flux::list_hook<>&>(e).unlink(); }

} // namespace

static_assert(!std::is_copy_constructible_v<flux::list_hook<>> && !std::is_move_constructible_v<flux::list_hook<>>);
static_assert(!std::is_copy_constructible_v<plain_list> && !std::is_move_constructible_v<plain_list>);
static_assert(sizeof(plain_list) == 2 * sizeof(void*));

TEST_SUITE("core/intrusive_list") {

TEST_CASE("a new list is empty, a new element is in no list") {
    plain_list list;
    element e;
    CHECK(list.empty());
    CHECK_FALSE(is_linked(e));
    unlink(e); // no effect
    CHECK_FALSE(is_linked(e));
    CHECK(numbers(list).empty());
}

TEST_CASE("elements keep the order in which they were pushed at either end") {
    element a(1);
    element b(2);
    element c(3);
    plain_list list;
    list.push_back(b);
    list.push_front(a);
    list.push_back(c);
    CHECK(numbers(list) == "1 2 3 ");
    CHECK(&list.front() == &a);
    CHECK(&list.back() == &c);
    CHECK(is_linked(b));
    CHECK(&list.pop_front() == &a);
    CHECK_FALSE(is_linked(a));
    CHECK(&list.pop_back() == &c);
    CHECK(&list.front() == &b);
    CHECK(&list.back() == &b);
    CHECK(&list.pop_back() == &b);
    CHECK(list.empty());
}

TEST_CASE("an element takes itself out of any place") {
    for (int which = 0; which < 3; ++which) {
        std::deque<element> elements;
        plain_list list;
        for (int i = 0; i < 3; ++i) {
            elements.emplace_back(i);
            list.push_back(elements.back());
        }
        element& gone = elements[static_cast<std::size_t>(which)];
        unlink(gone);
        CHECK_FALSE(is_linked(gone));
        const std::string left[] = {"1 2 ", "0 2 ", "0 1 "};
        CHECK(numbers(list) == left[which]);
        list.push_back(gone); // it can come back
        CHECK(&list.back() == &gone);
        while (!list.empty()) {
            list.pop_front();
        }
    }
}

TEST_CASE("an element is in one list per hook at the same time") {
    element a(1);
    element b(2);
    plain_list plain;
    red_list reds;
    blue_list blues;
    for (element* e : {&a, &b}) {
        plain.push_back(*e);
        reds.push_front(*e);
        blues.push_back(*e);
    }
    CHECK(numbers(plain) == "1 2 ");
    CHECK(numbers(reds) == "2 1 ");
    static_cast<flux::list_hook<blue>&>(a).unlink();
    CHECK(numbers(blues) == "2 ");
    CHECK(numbers(plain) == "1 2 ");
    CHECK(&reds.pop_front() == &b);
    CHECK(&reds.pop_front() == &a);
    CHECK(&blues.pop_front() == &b);
    CHECK(&plain.pop_back() == &b);
    CHECK(&plain.pop_back() == &a);
}

TEST_CASE("for_each allows that the element at hand is unlinked, moved to another list or destroyed") {
    std::vector<std::unique_ptr<element>> owners;
    plain_list list;
    plain_list odd;
    for (int i = 0; i < 6; ++i) {
        owners.push_back(std::make_unique<element>(i));
        list.push_back(*owners.back());
    }
    list.for_each([&](element& e) {
        const int n = e.number;
        if (n % 2 != 0) {
            unlink(e);
            odd.push_back(e);
        } else if (n == 2) {
            unlink(e);
            owners[2].reset();
        }
    });
    CHECK(numbers(list) == "0 4 ");
    CHECK(numbers(odd) == "1 3 5 ");
    list.for_each([](element& e) { unlink(e); });
    odd.for_each([](element& e) { unlink(e); });
    CHECK(list.empty());
    CHECK(odd.empty());
}

TEST_CASE("random pushes, pops and unlinks agree with a deque") {
    std::mt19937 random(7);
    std::deque<element> elements(50);
    for (std::size_t i = 0; i < elements.size(); ++i) {
        elements[i].number = static_cast<int>(i);
    }
    plain_list list;
    std::deque<element*> model;
    for (int round = 0; round < 20000; ++round) {
        element& e = elements[random() % elements.size()];
        const auto at = std::find(model.begin(), model.end(), &e);
        REQUIRE(is_linked(e) == (at != model.end()));
        switch (random() % 4) {
        case 0:
            if (at == model.end()) {
                list.push_back(e);
                model.push_back(&e);
            }
            break;
        case 1:
            if (at == model.end()) {
                list.push_front(e);
                model.push_front(&e);
            }
            break;
        case 2:
            unlink(e);
            if (at != model.end()) {
                model.erase(at);
            }
            break;
        default:
            if (!model.empty()) {
                const bool front = random() % 2 == 0;
                REQUIRE((front ? &list.pop_front() : &list.pop_back()) == (front ? model.front() : model.back()));
                front ? model.pop_front() : model.pop_back();
            }
        }
        REQUIRE(list.empty() == model.empty());
        if (!model.empty()) {
            REQUIRE(&list.front() == model.front());
            REQUIRE(&list.back() == model.back());
        }
    }
    std::size_t i = 0;
    list.for_each([&](element& e) { CHECK(&e == model[i++]); });
    CHECK(i == model.size());
    while (!list.empty()) {
        list.pop_front();
    }
}

} // TEST_SUITE
