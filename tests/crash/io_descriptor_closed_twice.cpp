// expect: flux: misuse: a descriptor was closed behind the back of its owner
// SPDX-License-Identifier: MIT
// A moment later the number could have been somebody else's descriptor.
#include <flux/io/unique_fd.hpp>

#include <unistd.h>

int main() {
    const flux::unique_fd owner(::dup(2));
    ::close(owner.get());
}
