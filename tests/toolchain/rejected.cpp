// SPDX-License-Identifier: MIT
// rejected.cpp - correct code that a compiler may refuse to compile; -DFORM_<name> chooses the form.
#include "harness.hpp"

#include <initializer_list>
#include <vector>

task<int> number(int n);
task<probe> make_probe();
task<int> take_list(std::initializer_list<probe> list);
task<int> take_vector(std::vector<probe> v);

task<int> subject() {
#if defined(FORM_initializer_list_argument)
    co_return co_await take_list({probe("a"), probe("b")});
#elif defined(FORM_vector_from_list_argument)
    co_return co_await take_vector({probe("a"), probe("b")});
#elif defined(FORM_awaited_in_list)
    std::vector<int> v{1, co_await number(2)};
    co_return v[1];
#elif defined(FORM_range_for_over_list)
    int n = 0;
    for (int i : std::vector<int>{co_await number(1), 2}) {
        n += i;
    }
    co_return n;
#elif defined(FORM_statement_expression)
    int n = __extension__({
        probe p = co_await make_probe();
        if (p.tag.empty()) {
            co_return 0;
        }
        std::move(p).tag.size() > 3 ? 1 : 2;
    });
    co_return n;
#elif defined(FORM_list_without_await)
    std::vector<int> v{1, 2};
    co_await number(2);
    co_return v[1];
#else
#error "no such form"
#endif
}
