// expect: flux: misuse: unique_fd was reset to the descriptor that it owns
// SPDX-License-Identifier: MIT
// It would be closed, and owned all the same.
#include <flux/io/unique_fd.hpp>

#include <unistd.h>

int main() {
    flux::unique_fd owner(::dup(2));
    owner.reset(owner.get());
}
