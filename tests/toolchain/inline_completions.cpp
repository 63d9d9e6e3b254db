// SPDX-License-Identifier: MIT
// inline_completions.cpp - does the stack stay flat when a coroutine awaits tasks that never suspend? Takes the number
// of tasks. Survives where symmetric transfer is a jump; where it is a call, the stack is the limit.
#include "harness.hpp"

#include <cstdlib>

namespace {

task<int> leaf(int n) { co_return n; }

task<int> subject(int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) {
        sum += co_await leaf(1);
    }
    co_return sum;
}

} // namespace

int main(int argc, char** argv) {
    const int count = argc > 1 ? std::atoi(argv[1]) : 0;
    return run(subject(count)) == count ? 0 : 1;
}
