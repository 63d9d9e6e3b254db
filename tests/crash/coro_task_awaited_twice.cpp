// expect: flux: misuse: task awaited twice
// SPDX-License-Identifier: MIT
// The first await has taken the frame: there is nothing left to run.
#include <support/manual_loop.hpp>

#include <utility>

namespace {

flux::task<> once() { co_return; }
flux::task<> twice() {
    auto t = once();
    co_await std::move(t);
    co_await std::move(t); // NOLINT(bugprone-use-after-move): that is the mistake
}

} // namespace

int main() {
    test_support::manual_loop loop;
    flux::ignore_result(loop.run(twice()), "never comes back");
}
