// SPDX-License-Identifier: MIT
// The unit that links to checked.cpp; see there.
#include <flux.hpp>

const void* checked_symbol();

int main() { return checked_symbol() != &flux::no_deadline ? 0 : 1; }
