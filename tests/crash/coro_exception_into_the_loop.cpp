// expect: terminate called after throwing an instance of 'std::runtime_error'
// SPDX-License-Identifier: MIT
// An exception that leaves a coroutine of somebody else's making ends the program instead of skipping the rest of
// a pass.
#include <support/manual_loop.hpp>

#include <coroutine>
#include <exception>
#include <stdexcept>

namespace {

struct careless {
    struct promise_type {
        careless get_return_object() { return careless(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() { throw; }
    };
    explicit careless(std::coroutine_handle<promise_type> h) noexcept : handle(h) {}
    std::coroutine_handle<promise_type> handle;
};

careless throws() {
    throw std::runtime_error("nobody catches this");
    co_return;
}

} // namespace

int main() {
    test_support::manual_loop loop;
    flux::detail::ready_resume node;
    node.handle = throws().handle;
    loop.make_ready(node);
    loop.drain();
}
