// expect: flux: misuse: the error of a successful result was used
// SPDX-License-Identifier: MIT
// Checked builds only, as for the value of a failure.
#undef FLUX_CHECKED
#define FLUX_CHECKED 1
#include <flux/core/result.hpp>

int main() {
    const flux::result<void> r;
    return r.error().code().value();
}
