// SPDX-License-Identifier: MIT
// The second translation unit: what flux defines, it must be able to define twice.
#include <flux.hpp>

#include <liburing.h>

bool other_unit_agrees(const flux::result<int>& mine);

bool other_unit_agrees(const flux::result<int>& mine) {
    io_uring_sqe entry{};
    io_uring_prep_nop(&entry);
    return mine.value_or(0) == 42 && entry.opcode == IORING_OP_NOP;
}
