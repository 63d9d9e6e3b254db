// expect: flux: misuse: task_scope joined twice at the same time
// SPDX-License-Identifier: MIT
// Only one of the two would be resumed.
#include <flux/coro/event.hpp>
#include <support/manual_loop.hpp>

namespace {

flux::task<> joins(flux::task_scope& scope) { co_await scope.join(); }

} // namespace

int main() {
    test_support::manual_loop loop;
    flux::async_event event;
    flux::task_scope scope(loop.root());
    scope.spawn(event.wait());
    loop.spawn(joins(scope));
    loop.spawn(joins(scope));
    loop.drain();
}
