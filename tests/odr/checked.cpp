// SPDX-License-Identifier: MIT
// FLUX_CHECKED changes generated code, so it is part of the symbols' names: this unit is compiled with it, the one
// that links to it without, and the two live side by side.
#include <flux.hpp>

#if !FLUX_CHECKED
#error "meant to be compiled with FLUX_CHECKED=1"
#endif

const void* checked_symbol();

const void* checked_symbol() { return &flux::no_deadline; }
