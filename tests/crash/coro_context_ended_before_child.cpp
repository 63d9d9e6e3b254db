// expect: flux: misuse: context ended before a context below it
// SPDX-License-Identifier: MIT
// The child would look for values and deadlines in a parent that is gone.
#include <support/manual_loop.hpp>

#include <optional>

int main() {
    test_support::manual_loop loop;
    std::optional<flux::detail::context_node> parent(std::in_place, loop);
    const flux::detail::context_node child(*parent);
    parent.reset();
}
