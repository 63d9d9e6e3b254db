// SPDX-License-Identifier: MIT
// flux/coro/placed.hpp - an operation whose state lives in memory of the caller's choice.
//
// A coroutine frame holds the states of all its awaits side by side, all the time. Where a frame lives long
// and must be small (an idle connection), the state of a rarely awaited operation goes elsewhere.
#pragma once

#include <flux/coro/operation.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace flux::inline FLUX_ABI::detail {

/// Room for the state of one operation at a time, of any type that fits; must outlive the await.
template <std::size_t Size>
class placed_operation {
public:
    placed_operation() noexcept = default;
    placed_operation(const placed_operation&) = delete;
    placed_operation& operator=(const placed_operation&) = delete;

    template <class State>
    class awaiter {
    public:
        explicit awaiter(State& s) noexcept : state_(&s) {}
        bool await_ready() { return state_->await_ready(); }
        auto await_suspend(std::coroutine_handle<> waiter) noexcept { return state_->await_suspend(waiter); }
        auto await_resume() {
            const ending end(state_); // also if the operation throws
            return state_->take();
        }

    private:
        class ending {
        public:
            explicit ending(State* s) noexcept : state_(s) {}
            ending(const ending&) = delete;
            ending& operator=(const ending&) = delete;
            ~ending() { std::destroy_at(state_); }

        private:
            State* state_;
        };
        State* state_;
    };

    /// `auto r = co_await place.run(op, ctx);` is `co_await attempt(op)` under the context `ctx`.
    template <operation Op>
    [[nodiscard]] awaiter<state_of<Op>> run(Op op, context_node& ctx) {
        using state = state_of<Op>;
        static_assert(sizeof(state) <= Size && alignof(state) <= alignof(std::max_align_t),
                      "the state of this operation does not fit the place that was made for it");
        return awaiter<state>(*::new (static_cast<void*>(memory_)) state(std::move(op), ctx));
    }

private:
    alignas(std::max_align_t) std::byte memory_[Size];
};

} // namespace flux::inline FLUX_ABI::detail
