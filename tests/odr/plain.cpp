// SPDX-License-Identifier: MIT
// A translation unit that uses flux without any optional part.
#include "shared.hpp"

int plain_unit(const flux::result<int>& r, const flux::error& e) { return use_shared(r, e); }
