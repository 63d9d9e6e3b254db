// expect: flux: misuse: the first element of an empty list was used
// SPDX-License-Identifier: MIT
// There is no element; the list's own links are not one.
#include <flux/core/intrusive_list.hpp>

struct element : flux::list_hook<> {};

int main() {
    flux::intrusive_list<element> list;
    list.pop_front();
}
