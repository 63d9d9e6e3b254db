// expect: flux: misuse: task_scope destroyed before its children ended: join it
// SPDX-License-Identifier: MIT
// The children would run on under a context that is gone.
#include <flux/coro/event.hpp>
#include <support/manual_loop.hpp>

namespace {

flux::task<> forgets(flux::async_event& event) {
    auto ctx = co_await flux::this_context();
    flux::task_scope scope(ctx);
    scope.spawn(event.wait());
}

} // namespace

int main() {
    test_support::manual_loop loop;
    flux::async_event event;
    flux::ignore_result(loop.run(forgets(event)), "never comes back");
}
