// SPDX-License-Identifier: MIT
#include <flux/core/algorithm.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using flux::detail::sort_in_place;

TEST_SUITE("core/algorithm") {
    TEST_CASE("every order of up to seven numbers, some of them equal, is sorted") {
        long long wrong = 0;
        for (std::size_t size = 0; size <= 7; ++size) {
            for (const std::size_t distinct : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}}) {
                std::vector<int> sorted;
                for (std::size_t i = 0; i < size; ++i) {
                    sorted.push_back(static_cast<int>(i % distinct));
                }
                std::sort(sorted.begin(), sorted.end());
                std::vector<int> order = sorted;
                do {
                    std::vector<int> mine = order;
                    sort_in_place(mine.data(), mine.size());
                    wrong += mine == sorted ? 0 : 1;
                } while (std::next_permutation(order.begin(), order.end()));
            }
        }
        CHECK(wrong == 0);
    }
    TEST_CASE("strings and long inputs are sorted as std sorts them") {
        std::vector<std::string> names;
        std::uint32_t state = 1;
        for (int i = 0; i < 1000; ++i) {
            state = state * 1664525 + 1013904223;
            names.push_back("a name that is no short string " + std::to_string(state >> 24));
        }
        std::vector<std::string> same = names;
        std::sort(same.begin(), same.end());
        sort_in_place(names.data(), names.size());
        CHECK(names == same);
        sort_in_place(names.data(), names.size());
        CHECK(names == same);
    }
    TEST_CASE("input in order, in reverse and all alike takes n log n comparisons") {
        struct counted {
            int value;
            std::size_t* comparisons;
            bool operator<(const counted& other) const noexcept {
                ++*comparisons;
                return value < other.value;
            }
        };
        for (const int step : {1, -1, 0}) {
            std::size_t comparisons = 0;
            std::vector<counted> all;
            for (int i = 0; i < 4096; ++i) {
                all.push_back({i * step, &comparisons});
            }
            sort_in_place(all.data(), all.size());
            CHECK(comparisons <= 2 * 12 * 4096 + 2 * 4096);
        }
    }
}
