// expect: flux: misuse: this operation needs a reactor: it does real I/O
// SPDX-License-Identifier: MIT
#include <flux/io/poll.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <tuple>

int main() {
    flux::testing::virtual_loop loop;
    std::ignore = loop.run(flux::readable(0));
}
