// expect: flux: misuse: byte_buffer: more committed than prepared
// SPDX-License-Identifier: MIT
// Octets behind the block would become readable.
#include <flux/core/buffer.hpp>

int main() {
    flux::byte_buffer b;
    static_cast<void>(b.prepare(10));
    b.commit(b.capacity() + 1);
}
