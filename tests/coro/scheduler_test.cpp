// SPDX-License-Identifier: MIT
#include <flux/coro/scheduler.hpp> // also proves the header is self-contained

#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>

using namespace flux;
using namespace std::chrono_literals;
using test_support::manual_loop;

namespace {

struct named : detail::ready_node {
    named(std::string& l, char n) : ready_node(&run_it), log(&l), name(n) {}
    static void run_it(ready_node& node) noexcept {
        auto& self = static_cast<named&>(node);
        *self.log += self.name;
        if (self.then != nullptr) {
            self.home->make_ready(*self.then);
        }
    }
    std::string* log;
    char name;
    scheduler* home = nullptr;
    ready_node* then = nullptr;
};

} // namespace

TEST_SUITE("coro/scheduler") {

TEST_CASE("a pass runs what was ready before it, in order, and nothing that became ready in it") {
    manual_loop loop;
    std::string log;
    named a(log, 'a');
    named b(log, 'b');
    named c(log, 'c');
    a.home = &loop;
    a.then = &c;
    CHECK_FALSE(loop.has_ready());
    loop.make_ready(a);
    loop.make_ready(b);
    CHECK(loop.has_ready());
    CHECK(log.empty()); // never inline
    CHECK(loop.run_ready() == 2);
    CHECK(log == "ab");
    CHECK(loop.run_ready() == 1);
    CHECK(log == "abc");
    CHECK(loop.run_ready() == 0);
}

TEST_CASE("a node may queue itself again") {
    manual_loop loop;
    std::string log;
    named a(log, 'a');
    a.home = &loop;
    a.then = &a;
    loop.make_ready(a);
    for (int i = 0; i < 3; ++i) {
        CHECK(loop.run_ready() == 1);
    }
    CHECK(log == "aaa");
    a.then = nullptr;
    loop.run_ready();
}

TEST_CASE("every node of a pass has the whole inline budget") {
    struct greedy : detail::ready_node {
        explicit greedy(scheduler& s) : ready_node(&take_all), home(&s) {}
        static void take_all(ready_node& node) noexcept {
            auto& self = static_cast<greedy&>(node);
            while (self.home->take_budget()) {
                ++self.taken;
            }
        }
        scheduler* home;
        int taken = 0;
    };
    manual_loop loop;
    greedy a(loop);
    greedy b(loop);
    loop.make_ready(a);
    loop.make_ready(b);
    loop.run_ready();
    CHECK(a.taken == scheduler::inline_budget - 1);
    CHECK(b.taken == scheduler::inline_budget - 1);
}

TEST_CASE("current() is the scheduler that the calling thread runs, innermost first") {
    CHECK(scheduler::current() == nullptr);
    {
        manual_loop outer;
        CHECK(scheduler::current() == &outer);
        {
            manual_loop inner;
            CHECK(scheduler::current() == &inner);
            CHECK(inner.on_own_thread());
            CHECK_FALSE(outer.on_own_thread());
        }
        CHECK(scheduler::current() == &outer);
        std::thread([&outer] {
            CHECK(scheduler::current() == nullptr);
            CHECK_FALSE(outer.on_own_thread());
        }).join();
    }
    CHECK(scheduler::current() == nullptr);
}

TEST_CASE("the end of a scheduler closes its mailbox, which lives on") {
    std::shared_ptr<detail::mailbox> box;
    {
        manual_loop loop;
        box = loop.mailbox();
        CHECK_FALSE(box->is_closed());
    }
    CHECK(box->is_closed());
}

TEST_CASE("timers fire at their time, in order, each once") {
    struct noting : timer {
        noting(std::string& l, char n) : timer(&fire), log(&l), name(n) {}
        static void fire(timer& t) noexcept { *static_cast<noting&>(t).log += static_cast<noting&>(t).name; }
        std::string* log;
        char name;
    };
    manual_loop loop;
    std::string log;
    noting a(log, 'a');
    noting b(log, 'b');
    noting c(log, 'c');
    const time_point start = loop.now();
    loop.arm(c, start + 3s);
    loop.arm(a, start + 1s);
    loop.arm(b, start + 2s);
    CHECK(loop.timers().next() == start + 1s);
    loop.advance(2s);
    CHECK(log == "ab");
    loop.disarm(c);
    loop.advance(2s);
    CHECK(log == "ab");
    CHECK(loop.now() == start + 4s);
}

} // TEST_SUITE
