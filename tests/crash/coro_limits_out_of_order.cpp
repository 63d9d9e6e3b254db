// expect: flux: misuse: limits of one coroutine must end in reverse order
// SPDX-License-Identifier: MIT
// The coroutine would go on under the context of a limit that is gone.
#include <flux/coro/with.hpp>
#include <support/manual_loop.hpp>

#include <memory>

namespace {

std::unique_ptr<flux::block_limit> open(flux::detail::promise_base& promise) {
    return std::make_unique<flux::block_limit>(promise, flux::no_deadline);
}

// Gives the coroutine its own promise, which `within` keeps to itself.
struct own_promise {
    using opens_context = void;
    struct awaiter_type {
        awaiter_type(own_promise&&, flux::detail::promise_base& p) noexcept : promise(&p) {}
        bool await_ready() const noexcept { return true; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        flux::detail::promise_base* await_resume() const noexcept { return promise; }
        flux::detail::promise_base* promise;
    };
};

flux::task<> mixes_up() {
    flux::detail::promise_base* promise = co_await own_promise();
    auto outer = open(*promise);
    auto inner = open(*promise);
    outer.reset();
}

} // namespace

int main() {
    test_support::manual_loop loop;
    flux::ignore_result(loop.run(mixes_up()), "never comes back");
}
