// SPDX-License-Identifier: MIT
#include <flux/coro/cancel.hpp> // also proves the header is self-contained

#include <flux/coro/event.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::frame_check;
using test_support::manual_loop;

namespace {

task<> wait_under(cancel_token token, async_event& event, std::string& log, char name) {
    auto r = co_await attempt(with_cancel(token, event.wait()));
    if (r) {
        log += name;
    } else {
        log += r.error().is(errc::canceled) ? "-" : r.error().is(errc::shutdown) ? "s" : "?";
    }
}

/// Where one thread waits for another without a clock.
class latch {
public:
    void open() {
        open_ = true;
        open_.notify_all();
    }
    void wait() { open_.wait(false); }

private:
    std::atomic<bool> open_{false};
};

} // namespace

static_assert(operation<decltype(with_cancel(cancel_token(), sleep_for(1s)))>);
static_assert(std::is_nothrow_default_constructible_v<cancel_token>);

TEST_SUITE("coro/cancel") {

TEST_CASE("a token says whether and why its source was canceled, the first time") {
    cancel_source source;
    const cancel_token token = source.token();
    CHECK_FALSE(token.canceled());
    CHECK_FALSE(source.canceled());
    CHECK(token.reason() == stop_reason::none);
    source.cancel(stop_reason::shutdown);
    source.cancel(stop_reason::timed_out);
    CHECK(token.canceled());
    CHECK(token.reason() == stop_reason::shutdown);
    CHECK(source.reason() == stop_reason::shutdown);
    const cancel_source copy = source;
    CHECK(copy.canceled());
}

TEST_CASE("a reason of none counts as canceled") {
    cancel_source source;
    source.cancel(stop_reason::none);
    CHECK(source.reason() == stop_reason::canceled);
}

TEST_CASE("a token without a source is never canceled, and wraps without effect") {
    manual_loop loop;
    const cancel_token token;
    CHECK_FALSE(token.canceled());
    CHECK(loop.run(with_cancel(token, sleep_for(1s))));
}

TEST_CASE("the end of a source cancels nothing, and its tokens go on") {
    manual_loop loop;
    cancel_token token;
    {
        cancel_source source;
        token = source.token();
    }
    CHECK_FALSE(token.canceled());
    CHECK(loop.run(with_cancel(token, sleep_for(1s))));
}

TEST_CASE("canceling on the thread of the loop stops at once everything under a token, and nothing else") {
    manual_loop loop;
    const frame_check frames;
    {
        cancel_source source;
        cancel_source other;
        async_event event;
        std::string log;
        loop.spawn(wait_under, source.token(), std::ref(event), std::ref(log), 'a');
        loop.spawn(wait_under, other.token(), std::ref(event), std::ref(log), 'b');
        loop.spawn(wait_under, source.token(), std::ref(event), std::ref(log), 'c');
        loop.drain();
        source.cancel();
        CHECK(log.empty());
        loop.turn(); // no mail is needed
        CHECK(log == "--");
        event.set();
        loop.drain();
        CHECK(log == "--b");
    }
    CHECK(frames.alive() == 0);
}

TEST_CASE("an operation under a token that is canceled already fails at once, with the reason") {
    manual_loop loop;
    cancel_source source;
    source.cancel(stop_reason::shutdown);
    async_event event(true);
    auto r = loop.run(with_cancel(source.token(), event.wait()));
    CHECK(r.error().is(errc::shutdown));
}

TEST_CASE("one that completed before is not touched") {
    manual_loop loop;
    cancel_source source;
    auto scenario = [&]() -> task<> {
        co_await with_cancel(source.token(), sleep_for(1s));
        source.cancel();
        co_await sleep_for(1s);
        auto ctx = co_await this_context();
        CHECK_FALSE(ctx.stopped());
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("a source may be canceled from inside what it stops") {
    manual_loop loop;
    cancel_source source;
    auto self = [&]() -> task<> {
        source.cancel();
        co_await sleep_for(1s);
    };
    auto r = loop.run(with_cancel(source.token(), self()));
    CHECK(r.error().is(errc::canceled));
}

TEST_CASE("tokens nest, with limits in between; the first that is due decides") {
    manual_loop loop;
    cancel_source outer;
    cancel_source inner;
    auto scenario = [&]() -> task<> {
        auto late = co_await attempt(
            with_cancel(outer.token(), with_timeout(1s, with_cancel(inner.token(), sleep_for(1h)))));
        CHECK(late.error().is(errc::timed_out));
        inner.cancel(stop_reason::disconnected);
        auto gone = co_await attempt(
            with_cancel(outer.token(), with_timeout(1s, with_cancel(inner.token(), sleep_for(1h)))));
        CHECK(gone.error().is(errc::disconnected));
        auto shielded = co_await attempt(with_cancel(inner.token(), shield(sleep_for(1s))));
        CHECK(shielded.has_value());
    };
    CHECK(loop.run(scenario()));
}

TEST_CASE("without a running loop on this thread a cancel arrives as mail") {
    cancel_source source;
    async_event event;
    std::string log;
    manual_loop loop;
    loop.spawn(wait_under, source.token(), std::ref(event), std::ref(log), 'a');
    loop.drain();
    std::thread([&source] { source.cancel(stop_reason::shutdown); }).join();
    CHECK(source.canceled()); // known everywhere at once
    CHECK(log.empty());
    loop.drain();
    CHECK(log == "s");
}

TEST_CASE("the operation may be gone by the time the mail comes") {
    cancel_source source;
    manual_loop loop;
    async_event event;
    std::string log;
    loop.spawn(wait_under, source.token(), std::ref(event), std::ref(log), 'a');
    loop.drain();
    event.set();
    loop.run_ready(); // it completes ...
    std::thread([&source] { source.cancel(); }).join();
    loop.run_ready(); // ... and its frame goes, before any mail is read
    CHECK(log == "a");
    CHECK(loop.live() == 0);
    loop.drain();
    CHECK(log == "a");
}

TEST_CASE("the source and every token may be gone by the time the mail comes") {
    manual_loop loop;
    async_event event;
    std::string log;
    {
        auto source = std::make_unique<cancel_source>();
        loop.spawn(wait_under, source->token(), std::ref(event), std::ref(log), 'a');
        loop.drain();
        event.set();
        loop.run_ready();
        std::thread([&source] { source->cancel(); }).join();
        loop.run_ready();
    }
    CHECK(log == "a");
    loop.drain();
}

TEST_CASE("the loop may be gone: mail on its way is dropped, later cancels find nobody") {
    cancel_source before;
    cancel_source after;
    {
        manual_loop loop;
        auto scenario = [&]() -> task<> {
            co_await with_cancel(before.token(), sleep_for(1s));
            co_await with_cancel(after.token(), sleep_for(1s));
        };
        CHECK(loop.run(scenario()));
        std::thread([&before] { before.cancel(); }).join(); // mail that nobody reads
    }
    after.cancel();
    CHECK(before.canceled());
    CHECK(after.canceled());
}

TEST_CASE("a source that outlives many loops keeps no record of those that ended") {
    cancel_source source;
    std::vector<std::weak_ptr<detail::mailbox>> boxes;
    for (int i = 0; i < 100; ++i) {
        manual_loop loop;
        boxes.push_back(loop.mailbox());
        CHECK(loop.run(with_cancel(source.token(), sleep_for(1ms))));
    }
    manual_loop loop;
    async_event event;
    std::string log;
    loop.spawn(wait_under, source.token(), std::ref(event), std::ref(log), 'a');
    loop.drain();
    for (const auto& box : boxes) {
        CHECK(box.expired());
    }
    source.cancel();
    loop.drain();
    CHECK(log == "-");
}

TEST_CASE("a cancel from another thread wakes a loop that sleeps") {
    for (int round = 0; round < 20; ++round) {
        cancel_source source;
        latch started;
        std::optional<error> why;
        std::thread worker([&] {
            manual_loop loop;
            auto scenario = [&]() -> task<> {
                started.open();
                co_await with_cancel(source.token(), sleep_until(no_deadline));
            };
            auto r = loop.serve(scenario());
            why.emplace(r.error());
        });
        started.wait();
        source.cancel(stop_reason::disconnected);
        worker.join();
        CHECK(why->is(errc::disconnected));
    }
}

TEST_CASE("one cancel ends operations on many threads, each in its own loop") {
    constexpr int threads = 4;
    cancel_source source;
    std::atomic<int> canceled{0};
    std::atomic<int> running{0};
    latch all_running;
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i) {
        workers.emplace_back([&] {
            manual_loop loop;
            auto one = [&]() -> task<> {
                auto r = co_await attempt(with_cancel(source.token(), sleep_until(no_deadline)));
                canceled += r ? 0 : 1;
            };
            auto scenario = [&]() -> task<> {
                auto ctx = co_await this_context();
                task_scope scope(ctx);
                for (int k = 0; k < 100; ++k) {
                    scope.spawn(one());
                }
                if (++running == threads) {
                    all_running.open();
                }
                co_await scope.join();
            };
            CHECK(loop.serve(scenario()).has_value());
        });
    }
    all_running.wait();
    source.cancel();
    for (std::thread& worker : workers) {
        worker.join();
    }
    CHECK(canceled == threads * 100);
}

TEST_CASE("cancels race with operations and loops that end") {
    // Nothing to assert but that every operation ends and no memory is touched that is gone: run it under TSan and
    // ASan. Each round has its own source; the worker's loop lives for some of them only.
    constexpr int rounds = 300;
    for (int round = 0; round < rounds; ++round) {
        cancel_source source;
        latch started;
        std::atomic<int> ended{0};
        std::thread worker([&] {
            manual_loop loop;
            auto scenario = [&]() -> task<> {
                started.open();
                for (int i = 0; i < round % 7; ++i) {
                    ignore_result(co_await attempt(with_cancel(source.token(), sleep_for(0s))), "a race");
                    ++ended;
                }
            };
            CHECK(loop.run(scenario()).has_value());
        });
        std::thread second([&] { source.cancel(stop_reason::shutdown); });
        started.wait();
        source.cancel();
        second.join();
        worker.join();
        CHECK(ended == round % 7);
        CHECK(source.canceled());
    }
}

TEST_CASE("tokens are copied, asked and dropped on any thread") {
    cancel_source source;
    std::vector<std::thread> threads;
    std::atomic<int> seen{0};
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&seen, token = source.token()]() mutable {
            for (;;) {
                cancel_token copy = token;
                if (copy.canceled()) {
                    CHECK(copy.reason() == stop_reason::timed_out);
                    break;
                }
                std::this_thread::yield();
            }
            ++seen;
            token = cancel_token();
        });
    }
    source.cancel(stop_reason::timed_out);
    for (std::thread& t : threads) {
        t.join();
    }
    CHECK(seen == 4);
}

TEST_CASE("until_stopped yields the reason of the own context, and never fails") {
    for (const auto reason :
         {stop_reason::canceled, stop_reason::timed_out, stop_reason::disconnected, stop_reason::shutdown}) {
        manual_loop loop;
        task_scope scope(loop.root());
        stop_reason seen = stop_reason::none;
        stop_reason again = stop_reason::none;
        auto waiter = [&]() -> task<> {
            seen = co_await until_stopped();
            again = co_await until_stopped();
        };
        scope.spawn(waiter());
        loop.drain();
        CHECK(seen == stop_reason::none);
        scope.stop(reason);
        loop.drain();
        CHECK(seen == reason);
        CHECK(again == reason);
        CHECK(scope.size() == 0);
    }
}

TEST_CASE("until_stopped of another context ends with it, also where that context is gone right after") {
    manual_loop loop;
    auto other = std::make_unique<detail::context_node>(loop);
    stop_reason seen = stop_reason::none;
    auto waiter = [&](context ctx) -> task<> { seen = co_await until_stopped(ctx); };
    loop.spawn(waiter, context(*other));
    loop.drain();
    other->stop(stop_reason::disconnected);
    other.reset();
    loop.drain();
    CHECK(seen == stop_reason::disconnected);
}

TEST_CASE("until_stopped of another context fails if the own one is stopped first") {
    manual_loop loop;
    detail::context_node other(loop);
    auto scenario = [&]() -> task<> {
        auto r = co_await attempt(with_timeout(1s, until_stopped(context(other))));
        CHECK(r.error().is(errc::timed_out));
        other.stop(stop_reason::shutdown);
        auto reason = co_await until_stopped(context(other));
        CHECK(reason == stop_reason::shutdown);
        auto mine = co_await this_context();
        auto same = co_await attempt(with_timeout(1s, until_stopped(mine)));
        CHECK(same.error().is(errc::timed_out));
    };
    CHECK(loop.run(scenario()));
}

} // TEST_SUITE
