// expect: flux: misuse: list element destroyed while linked
// SPDX-License-Identifier: MIT
// The neighbours would point at memory that is gone.
#include <flux/core/intrusive_list.hpp>

#include <optional>

struct element : flux::list_hook<> {};

int main() {
    flux::intrusive_list<element> list;
    std::optional<element> e(std::in_place);
    list.push_back(*e);
    e.reset();
}
