// expect: flux: misuse: task_scope destroyed before its children ended: join it
// SPDX-License-Identifier: MIT
// An exception passes by the join; with_scope would have joined.
#include <flux/coro/event.hpp>
#include <support/manual_loop.hpp>

#include <stdexcept>

namespace {

flux::task<> throws(flux::async_event& event) {
    auto ctx = co_await flux::this_context();
    flux::task_scope scope(ctx);
    scope.spawn(event.wait());
    throw std::runtime_error("before the join");
}

} // namespace

int main() {
    test_support::manual_loop loop;
    flux::async_event event;
    flux::ignore_result(loop.run(throws(event)), "never comes back");
}
