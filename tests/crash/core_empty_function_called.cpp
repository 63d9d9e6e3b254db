// expect: flux: misuse: an empty unique_function was called
// SPDX-License-Identifier: MIT
#include <flux/core/function.hpp>

#include <utility>

int main() {
    flux::unique_function<void()> f = [] {};
    flux::unique_function<void()> g = std::move(f);
    g();
    f(); // NOLINT(bugprone-use-after-move): that is the point
}
