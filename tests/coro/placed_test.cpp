// SPDX-License-Identifier: MIT
#include <flux/coro/placed.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/task.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <coroutine>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

using namespace flux;
using test_support::manual_loop;

namespace {

// Its state, and nothing else, keeps what it was given alive.
struct keeping {
    class state {
    public:
        state(keeping&& op, detail::context_node&) : kept_(std::move(op.kept)), yields_(op.yields) {}
        state(const state&) = delete;
        state& operator=(const state&) = delete;
        bool await_ready() const noexcept { return true; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        result<int> take() {
            if (yields_ == 0) {
                throw std::runtime_error("not an error of flux");
            }
            if (yields_ < 0) {
                return fail(errc::closed);
            }
            return yields_;
        }

    private:
        std::shared_ptr<int> kept_;
        int yields_;
    };
    using value_type = int;
    using state_type = state;
    keeping(std::shared_ptr<int> what, int n) : kept(std::move(what)), yields(n) {}
    std::shared_ptr<int> kept;
    int yields;
};

} // namespace

TEST_SUITE("coro/placed") {

TEST_CASE("an operation has left its place when the await ends: with a value, an error or a throw") {
    manual_loop loop;
    int ends = 0;
    auto scenario = [&]() -> task<> {
        auto ctx = co_await this_context();
        detail::placed_operation<64> place;
        const auto kept = std::make_shared<int>(0);
        auto value = co_await place.run(keeping(kept, 7), ctx.node());
        CHECK(value.value() == 7);
        ends += kept.use_count() == 1 ? 1 : 0;
        auto error = co_await place.run(keeping(kept, -1), ctx.node());
        CHECK((!error && error.error().is(errc::closed)));
        ends += kept.use_count() == 1 ? 1 : 0;
        try {
            auto none = co_await place.run(keeping(kept, 0), ctx.node());
        } catch (const std::runtime_error&) {
            ends += kept.use_count() == 1 ? 1 : 0;
        }
    };
    CHECK(loop.run(scenario()));
    CHECK(ends == 3);
}

TEST_CASE("an operation that waits in its place is completed and stopped as in a frame") {
    manual_loop loop;
    async_event go;
    std::string log;
    auto wait = [&]() -> task<> {
        auto ctx = co_await this_context();
        detail::placed_operation<128> place;
        for (int i = 0; i < 2; ++i) {
            auto r = co_await place.run(go.wait(), ctx.node());
            log += r ? 'v' : r.error().is(errc::shutdown) ? 's' : '?';
            go.reset();
        }
    };
    task_scope scope(loop.root(), scope_policy::collect);
    scope.spawn(wait());
    loop.drain();
    CHECK(log.empty());
    go.set();
    loop.drain();
    CHECK(log == "v");
    scope.stop(stop_reason::shutdown);
    loop.drain();
    CHECK(log == "vs");
}

} // TEST_SUITE
