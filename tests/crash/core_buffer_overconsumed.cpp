// expect: flux: misuse: byte_buffer: more consumed than there is
// SPDX-License-Identifier: MIT
// The size would wrap around.
#include <flux/core/buffer.hpp>

int main() {
    flux::byte_buffer b;
    b.append("abc");
    b.consume(4);
}
