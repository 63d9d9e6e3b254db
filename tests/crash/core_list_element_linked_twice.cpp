// expect: flux: misuse: list element linked twice
// SPDX-License-Identifier: MIT
// One pair of links cannot be part of two lists.
#include <flux/core/intrusive_list.hpp>

struct element : flux::list_hook<> {};

int main() {
    element e;
    flux::intrusive_list<element> list;
    flux::intrusive_list<element> other;
    list.push_back(e);
    other.push_back(e);
}
