// SPDX-License-Identifier: MIT
// Every wait of coro/ against a stop: before it starts, while it is in flight, and in the same pass as its
// completion in both orders. One table of waits, one set of rules.
#include <flux/coro/wait_queue.hpp> // also proves the header is self-contained

#include <flux/coro/cancel.hpp>
#include <flux/coro/channel.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/map.hpp>
#include <flux/coro/mutex.hpp>
#include <flux/coro/semaphore.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::frame_check;
using test_support::manual_loop;

namespace {

// ---- the waits ----
//
// op()         one wait
// complete()   what the waiter at the front waits for happens
// keep(value)  takes what a completed wait yielded
// stoppable    whether a stop ends the wait

struct on_event {
    static constexpr bool stoppable = true;
    explicit on_event(manual_loop&) {}
    auto op() { return event.wait(); }
    void complete() { event.set(); }
    async_event event;
};

struct on_mutex {
    static constexpr bool stoppable = true;
    explicit on_mutex(manual_loop&) {}
    auto op() { return mutex.lock(); }
    void complete() { held.reset(); }
    void keep(mutex_guard& guard) { held.emplace(std::move(guard)); }
    async_mutex mutex;
    std::optional<mutex_guard> held = mutex.try_lock();
};

struct on_semaphore {
    static constexpr bool stoppable = true;
    explicit on_semaphore(manual_loop&) {}
    auto op() { return semaphore.acquire(2); }
    void complete() { semaphore.release(2); }
    void keep(semaphore_permit& permit) { permit.forget(); }
    async_semaphore semaphore{1};
};

struct on_receive {
    static constexpr bool stoppable = true;
    explicit on_receive(manual_loop&) {}
    auto op() { return ch.receive(); }
    void complete() { sent += ch.try_send(std::make_unique<int>(sent + 1)) ? 1 : 0; }
    void keep(std::optional<std::unique_ptr<int>>& value) {
        REQUIRE(value.has_value());
        CHECK(**value == ++received); // none lost, none twice
    }
    channel<std::unique_ptr<int>> ch{4};
    int sent = 0;
    int received = 0;
};

struct on_send {
    static constexpr bool stoppable = true;
    explicit on_send(manual_loop&) {}
    auto op() { return ch.send(std::make_unique<int>(0)); }
    void complete() { last = ch.try_receive(); }
    channel<std::unique_ptr<int>> ch{1};
    std::optional<std::unique_ptr<int>> last;
    bool filled = ch.try_send(nullptr);
};

struct on_rendezvous_send {
    static constexpr bool stoppable = true;
    explicit on_rendezvous_send(manual_loop&) {}
    auto op() { return ch.send(1); }
    void complete() { last = ch.try_receive(); }
    channel<int> ch{0};
    std::optional<int> last;
};

struct on_sleep {
    static constexpr bool stoppable = true;
    explicit on_sleep(manual_loop& l) : loop(l) {}
    auto op() { return sleep_for(1s); }
    void complete() {
        loop.jump(1s);
        loop.fire_due();
    }
    manual_loop& loop;
};

struct on_join {
    static constexpr bool stoppable = false;
    explicit on_join(manual_loop& loop) : root(loop.root()) {}
    auto op() {
        scopes.push_back(std::make_unique<task_scope>(root));
        scopes.back()->spawn(event.wait());
        return scopes.back()->join();
    }
    void complete() { event.set(); }
    context root;
    async_event event;
    std::vector<std::unique_ptr<task_scope>> scopes;
};

struct on_stop_of_other {
    static constexpr bool stoppable = true;
    explicit on_stop_of_other(manual_loop& loop) : other(loop.root()) {}
    auto op() { return until_stopped(other.ctx()); }
    void complete() { other.stop(stop_reason::disconnected); }
    void keep(stop_reason reason) { CHECK(reason == stop_reason::disconnected); }
    task_scope other;
};

template <class Wait>
struct in_task : Wait {
    using Wait::Wait;
    auto op() { return body(*this); }
    static task<value_of<decltype(std::declval<Wait&>().op())>> body(in_task& self) {
        auto inner = self.Wait::op();
        co_return co_await std::move(inner);
    }
};

template <class Wait>
struct in_timeout : Wait {
    using Wait::Wait;
    auto op() { return with_timeout(1h, Wait::op()); }
};

template <class Wait>
struct in_value : Wait {
    struct key : context_key<std::string> {};
    using Wait::Wait;
    auto op() { return with_value<key>("value", Wait::op()); }
};

template <class Wait>
struct in_shield : Wait {
    static constexpr bool stoppable = false;
    using Wait::Wait;
    auto op() { return shield(Wait::op()); }
};

template <class Wait>
struct in_cancel : Wait {
    using Wait::Wait;
    auto op() { return with_cancel(source.token(), Wait::op()); }
    cancel_source source;
};

template <class Wait>
struct in_when_all : Wait {
    explicit in_when_all(manual_loop& loop) : Wait(loop) { ready.set(); }
    auto op() { return when_all(ready.wait(), Wait::op()); }
    template <class... Ts>
    void keep(std::tuple<Ts...>& values) {
        if constexpr (requires { Wait::keep(std::get<1>(values)); }) {
            Wait::keep(std::get<1>(values));
        }
    }
    async_event ready;
};

template <class Wait>
struct in_when_all_vector : Wait {
    using Wait::Wait;
    auto op() {
        std::vector<decltype(Wait::op())> ops;
        ops.push_back(Wait::op());
        return when_all(std::move(ops));
    }
    template <class T>
    void keep(std::vector<T>& values) {
        REQUIRE(values.size() == 1);
        if constexpr (requires { Wait::keep(values[0]); }) {
            Wait::keep(values[0]);
        }
    }
};

template <class Wait>
struct in_when_any : Wait {
    using Wait::Wait;
    auto op() { return when_any(never.wait(), Wait::op()); }
    template <class... Ts>
    void keep(any_result<Ts...>& first) {
        REQUIRE(first.index() == 1);
        if constexpr (requires { Wait::keep(first.template get<1>()); }) {
            Wait::keep(first.template get<1>());
        }
    }
    async_event never;
};

template <class Wait>
struct in_when_any_vector : Wait {
    using Wait::Wait;
    auto op() {
        std::vector<decltype(Wait::op())> ops;
        ops.push_back(Wait::op());
        return when_any(std::move(ops));
    }
    template <class T>
    void keep(first_result<T>& first) {
        CHECK(first.index() == 0);
        if constexpr (requires { Wait::keep(first.value()); }) {
            Wait::keep(first.value());
        }
    }
};

template <class Wait>
struct in_settle : Wait {
    using Wait::Wait;
    using value = value_of<decltype(std::declval<Wait&>().op())>;
    auto op() { return body(*this); }
    static task<value> body(in_settle& self) {
        std::vector<decltype(self.Wait::op())> ops;
        ops.push_back(self.Wait::op());
        auto outcomes = co_await settle(std::move(ops));
        REQUIRE(outcomes.size() == 1);
        if constexpr (std::is_void_v<value>) {
            if (!outcomes[0]) {
                co_await fail(outcomes[0].error());
            }
        } else {
            co_return std::move(outcomes[0]);
        }
    }
};

template <class Wait>
struct in_map : Wait {
    using Wait::Wait;
    auto op() { return map(one, 3, call); }
    template <class T>
    void keep(std::vector<T>& values) {
        REQUIRE(values.size() == 1);
        if constexpr (requires { Wait::keep(values[0]); }) {
            Wait::keep(values[0]);
        }
    }
    struct caller {
        auto operator()(int) const { return self->Wait::op(); }
        in_map* self;
    };
    std::array<int, 1> one{};
    caller call{this};
};

template <class Wait>
struct in_everything : Wait {
    using Wait::Wait;
    auto op() { return with_timeout(1h, with_cancel(cancel_token(), with_deadline(no_deadline, Wait::op()))); }
};

// ---- the test of one wait ----

struct kind_of_reason {
    stop_reason reason;
    errc code;
};
constexpr std::array<kind_of_reason, 4> reasons = {{{stop_reason::canceled, errc::canceled},
                                                    {stop_reason::timed_out, errc::timed_out},
                                                    {stop_reason::disconnected, errc::disconnected},
                                                    {stop_reason::shutdown, errc::shutdown}}};

template <class Wait>
class trial {
public:
    ~trial() {
        loop.drain();
        CHECK(mine.size() == 0);
        CHECK(others.size() == 0);
        wait.complete(); // also what nobody waits for any more
        loop.drain();
        CHECK(frames.alive() == 0);
        CHECK(loop.timers().size() == 0);
    }
    // The wait that is stopped.
    void start_mine() { mine.spawn(wait_and_log(*this, 'x')); }
    // One that is not.
    void start_other(char name) { others.spawn(wait_and_log(*this, name)); }
    // Lets what has been spawned get to its wait; nothing of it completes.
    void get_going() { loop.drain(); }

    frame_check frames;
    manual_loop loop;
    Wait wait{loop};
    task_scope mine{loop.root(), scope_policy::collect};
    task_scope others{loop.root(), scope_policy::collect};
    std::string log;   // names in the order in which the waits succeeded
    std::string fails; // names in the order in which they failed
    std::optional<error> why;

private:
    static task<> wait_and_log(trial& self, char name) {
        auto outcome = co_await attempt(self.wait.op());
        if (outcome) {
            if constexpr (requires { self.wait.keep(*outcome); }) {
                self.wait.keep(*outcome);
            }
            self.log += name;
        } else {
            self.fails += name;
            self.why.emplace(outcome.error());
        }
    }
};

} // namespace

#define FLUX_WAITS                                                                                                     \
    on_event, on_mutex, on_semaphore, on_receive, on_send, on_rendezvous_send, on_sleep, on_join, on_stop_of_other,    \
        in_task<on_event>, in_task<on_mutex>, in_timeout<on_event>, in_timeout<on_mutex>, in_timeout<on_sleep>,        \
        in_timeout<in_task<on_receive>>, in_value<on_mutex>, in_shield<on_event>, in_shield<on_mutex>,                 \
        in_shield<in_task<on_send>>, in_cancel<on_event>, in_cancel<on_mutex>, in_cancel<in_task<on_semaphore>>,       \
        in_when_all<on_event>, in_when_all<on_mutex>, in_when_all<on_receive>, in_when_all_vector<on_send>,            \
        in_when_all_vector<on_semaphore>, in_when_any<on_event>, in_when_any<on_mutex>, in_when_any<on_receive>,       \
        in_when_any_vector<on_send>, in_when_any_vector<on_semaphore>, in_settle<on_event>, in_settle<on_mutex>,       \
        in_settle<on_sleep>, in_map<on_event>, in_map<on_mutex>, in_map<on_receive>, in_everything<on_mutex>,          \
        in_everything<in_when_all<in_everything<on_receive>>>, in_when_any<in_when_all<in_task<on_mutex>>>

TEST_SUITE("coro/stop_matrix") {

TEST_CASE_TEMPLATE("a wait in a stopped context fails with its reason at once, and takes nothing", Wait, FLUX_WAITS) {
    for (const kind_of_reason& each : reasons) {
        trial<Wait> t;
        t.start_mine();
        t.mine.stop(each.reason);
        t.get_going();
        if (Wait::stoppable) {
            CHECK(t.fails == "x");
            CHECK(t.why->is(each.code));
        } else {
            CHECK(t.fails.empty());
        }
        t.start_other('a');
        t.get_going();
        t.wait.complete();
        t.loop.drain();
        t.wait.complete();
        t.loop.drain();
        CHECK(t.log == (Wait::stoppable ? "a" : "xa"));
    }
}

TEST_CASE_TEMPLATE("a stopped context makes a wait fail even where it could complete now", Wait, FLUX_WAITS) {
    for (const kind_of_reason& each : reasons) {
        trial<Wait> t;
        t.wait.complete();
        t.start_mine();
        t.mine.stop(each.reason);
        t.get_going();
        if (Wait::stoppable) {
            CHECK(t.fails == "x");
            CHECK(t.why->is(each.code));
            CHECK(t.log.empty());
        } else {
            CHECK(t.fails.empty());
        }
    }
}

TEST_CASE_TEMPLATE("a stop in flight ends the wait with its reason, and others keep their order", Wait, FLUX_WAITS) {
    for (const kind_of_reason& each : reasons) {
        trial<Wait> t;
        t.start_other('a');
        t.start_mine();
        t.start_other('b');
        t.start_other('c');
        t.get_going();
        REQUIRE(t.log.empty());
        t.mine.stop(each.reason);
        t.get_going();
        if (Wait::stoppable) {
            CHECK(t.fails == "x");
            CHECK(t.why->is(each.code));
            CHECK(t.mine.size() == 0);
        } else {
            CHECK(t.fails.empty());
            CHECK(t.mine.size() == 1);
        }
        for (int i = 0; i < 4; ++i) {
            t.wait.complete();
            t.loop.drain();
        }
        CHECK(t.log == (Wait::stoppable ? "abc" : "axbc"));
    }
}

TEST_CASE_TEMPLATE("a wait that completed before a stop in the same pass succeeds", Wait, FLUX_WAITS) {
    for (const kind_of_reason& each : reasons) {
        trial<Wait> t;
        t.start_mine();
        t.start_other('b');
        t.get_going();
        REQUIRE(t.log.empty());
        t.wait.complete();
        t.mine.stop(each.reason);
        t.loop.drain();
        CHECK(t.fails.empty());
        t.wait.complete();
        t.loop.drain();
        CHECK(t.log == "xb");
    }
}

TEST_CASE_TEMPLATE("a wait that was stopped before its completion in the same pass takes nothing", Wait, FLUX_WAITS) {
    for (const kind_of_reason& each : reasons) {
        trial<Wait> t;
        t.start_mine();
        t.start_other('b');
        t.get_going();
        REQUIRE(t.log.empty());
        t.mine.stop(each.reason);
        t.wait.complete();
        t.loop.drain();
        if (Wait::stoppable) {
            CHECK(t.fails == "x");
            CHECK(t.why->is(each.code));
            CHECK(t.log == "b"); // one completion is enough for it
        } else {
            t.wait.complete();
            t.loop.drain();
            CHECK(t.log == "xb");
        }
    }
}

TEST_CASE_TEMPLATE("stopping all who wait ends them in the order in which they came", Wait, FLUX_WAITS) {
    trial<Wait> t;
    for (const char name : std::string("abcdef")) {
        t.start_other(name);
    }
    t.get_going();
    t.others.stop(stop_reason::shutdown);
    t.loop.drain();
    CHECK(t.fails == (Wait::stoppable ? "abcdef" : ""));
    for (int i = 0; i < 6; ++i) {
        t.wait.complete();
        t.loop.drain();
    }
}

} // TEST_SUITE
