// SPDX-License-Identifier: MIT
#include <flux/coro/context.hpp> // also proves the header is self-contained

#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace std::chrono_literals;
using detail::context_node;
using detail::stop_hook;
using test_support::manual_loop;

namespace {

struct noting : stop_hook {
    noting(std::string& l, char n) : stop_hook(&told), log(&l), name(n) {}
    static void told(stop_hook& hook) noexcept { *static_cast<noting&>(hook).log += static_cast<noting&>(hook).name; }
    std::string* log;
    char name;
};

struct request_id : context_key<std::string> {};
struct user : context_key<std::string> {};
struct attempt_number : context_key<int> {};

} // namespace

TEST_SUITE("coro/context") {

TEST_CASE("each reason has its own error, and none is taken for another") {
    CHECK(to_errc(stop_reason::canceled) == errc::canceled);
    CHECK(to_errc(stop_reason::timed_out) == errc::timed_out);
    CHECK(to_errc(stop_reason::disconnected) == errc::disconnected);
    CHECK(to_errc(stop_reason::shutdown) == errc::shutdown);
}

TEST_CASE("a stop travels to everything below, and not up") {
    manual_loop loop;
    context_node root(loop);
    context_node middle(root);
    context_node leaf(middle);
    context_node sibling(root);
    middle.stop(stop_reason::disconnected);
    CHECK_FALSE(root.stopped());
    CHECK_FALSE(sibling.stopped());
    CHECK(middle.reason() == stop_reason::disconnected);
    CHECK(leaf.reason() == stop_reason::disconnected);
    CHECK(leaf.stop_error().is(errc::disconnected));
}

TEST_CASE("the first reason wins") {
    manual_loop loop;
    context_node root(loop);
    context_node leaf(root);
    leaf.stop(stop_reason::timed_out);
    root.stop(stop_reason::shutdown);
    root.stop(stop_reason::canceled);
    CHECK(leaf.reason() == stop_reason::timed_out);
    CHECK(root.reason() == stop_reason::shutdown);
}

TEST_CASE("a context opened below a stopped one is stopped") {
    manual_loop loop;
    context_node root(loop);
    root.stop(stop_reason::shutdown);
    context_node late(root);
    CHECK(late.reason() == stop_reason::shutdown);
}

TEST_CASE("every hook is told once, in order, those of children after those of the parent") {
    manual_loop loop;
    std::string log;
    context_node root(loop);
    context_node child(root);
    noting a(log, 'a');
    noting b(log, 'b');
    noting c(log, 'c');
    noting gone(log, 'x');
    root.add(a);
    child.add(c);
    root.add(gone);
    root.add(b);
    gone.unlink();
    root.stop(stop_reason::canceled);
    root.stop(stop_reason::canceled);
    CHECK(log == "abc");
    CHECK_FALSE(a.is_linked());
}

TEST_CASE("a shielded context inherits values, but neither stop nor deadline") {
    manual_loop loop;
    const std::string id = "42";
    context_node root(loop);
    root.set_value(&detail::value_tag<request_id>, &id);
    root.limit(loop.now() + 1s);
    context_node shielded(root, context_node::link::shielded);
    context_node below(shielded);
    CHECK(context(below).deadline() == no_deadline);
    CHECK(context(below).remaining() == duration::max());
    REQUIRE(context(below).get<request_id>() != nullptr);
    CHECK(*context(below).get<request_id>() == "42");
    root.stop(stop_reason::canceled);
    CHECK_FALSE(shielded.stopped());
    CHECK_FALSE(below.stopped());
}

TEST_CASE("a shielded context has limits of its own") {
    manual_loop loop;
    context_node root(loop);
    context_node shielded(root, context_node::link::shielded);
    shielded.limit(loop.now() + 1s);
    root.stop(stop_reason::shutdown);
    loop.advance(1s);
    CHECK(shielded.reason() == stop_reason::timed_out);
}

TEST_CASE("the deadline is the earliest of all enclosing ones") {
    manual_loop loop;
    const time_point start = loop.now();
    context_node a(loop);
    context_node b(a);
    context_node c(b);
    CHECK(c.deadline() == no_deadline);
    b.limit(start + 2s);
    CHECK(a.deadline() == no_deadline);
    CHECK(c.deadline() == start + 2s);
    c.limit(start + 5s);
    CHECK(c.deadline() == start + 2s);
    a.limit(start + 1s);
    CHECK(c.deadline() == start + 1s);
    loop.advance(400ms);
    CHECK(context(c).remaining() == 600ms);
    loop.advance(600ms);
    CHECK(c.reason() == stop_reason::timed_out);
    CHECK(context(c).remaining() == 0s);
}

TEST_CASE("a limit stops its context at its time, not before") {
    manual_loop loop;
    context_node node(loop);
    node.limit(loop.now() + 1s);
    loop.advance(999ms);
    CHECK_FALSE(node.stopped());
    loop.advance(1ms);
    CHECK(node.reason() == stop_reason::timed_out);
}

TEST_CASE("a limit that has passed stops at once") {
    manual_loop loop;
    context_node node(loop);
    node.limit(loop.now());
    CHECK(node.reason() == stop_reason::timed_out);
    CHECK(loop.timers().size() == 0);
}

TEST_CASE("moving a limit ahead again and again leaves one timer, which looks again when it fires") {
    manual_loop loop;
    context_node node(loop);
    for (int i = 0; i < 100; ++i) {
        node.limit(loop.now() + 1s);
        CHECK(loop.timers().size() == 1);
        loop.advance(10ms);
    }
    CHECK_FALSE(node.stopped());
    loop.advance(989ms);
    CHECK_FALSE(node.stopped());
    loop.advance(1ms);
    CHECK(node.stopped());
}

TEST_CASE("a limit moved back takes effect earlier") {
    manual_loop loop;
    context_node node(loop);
    node.limit(loop.now() + 10s);
    node.limit(loop.now() + 1s);
    loop.advance(1s);
    CHECK(node.reason() == stop_reason::timed_out);
}

TEST_CASE("a limit that was taken away does not stop") {
    manual_loop loop;
    context_node node(loop);
    node.limit(loop.now() + 1s);
    node.limit(no_deadline);
    loop.advance(2s);
    CHECK_FALSE(node.stopped());
    CHECK(loop.timers().size() == 0);
    node.limit(loop.now() + 1s);
    loop.advance(1s);
    CHECK(node.stopped());
}

TEST_CASE("a stopped context needs no timer") {
    manual_loop loop;
    context_node node(loop);
    node.limit(loop.now() + 1s);
    node.stop(stop_reason::canceled);
    CHECK(loop.timers().size() == 0);
    node.limit(loop.now() + 2s);
    CHECK(loop.timers().size() == 0);
    CHECK(node.reason() == stop_reason::canceled);
}

TEST_CASE("values are found by type of key, innermost first") {
    manual_loop loop;
    const std::string outer = "outer";
    const std::string inner = "inner";
    const int seven = 7;
    context_node a(loop);
    a.set_value(&detail::value_tag<request_id>, &outer);
    context_node b(a);
    b.set_value(&detail::value_tag<attempt_number>, &seven);
    context_node c(b);
    c.set_value(&detail::value_tag<request_id>, &inner);
    CHECK(*context(b).get<request_id>() == "outer");
    CHECK(*context(c).get<request_id>() == "inner");
    CHECK(*context(c).get<attempt_number>() == 7);
    CHECK(context(c).get<user>() == nullptr); // the same type, another key
}

TEST_CASE("context::stop stops what is below the context it refers to") {
    manual_loop loop;
    context_node root(loop);
    context_node leaf(root);
    const context ctx(root);
    CHECK_FALSE(ctx.stopped());
    ctx.stop();
    CHECK(ctx.reason() == stop_reason::canceled);
    CHECK(context(leaf).stopped());
    CHECK(&ctx.home() == &loop);
}

} // TEST_SUITE
