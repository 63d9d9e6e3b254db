// expect: flux: misuse: the value of a failed result was used
// SPDX-License-Identifier: MIT
// Checked builds only: in others looking first is the duty of the caller alone.
#undef FLUX_CHECKED
#define FLUX_CHECKED 1
#include <flux/core/result.hpp>

int main() {
    flux::result<int> r = flux::fail(flux::errc::eof);
    return *r;
}
