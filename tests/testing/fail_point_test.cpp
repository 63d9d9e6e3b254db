// SPDX-License-Identifier: MIT
#include <flux/testing/fail_point.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/testing/memory_stream.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::fail_plan;
using flux::testing::fault;
using flux::testing::for_each_fault;
using flux::testing::make_memory_pair;
using flux::testing::memory_stream;
using flux::testing::virtual_loop;
using faulty = flux::testing::faulty_stream<memory_stream>;

static_assert(buffered_stream<faulty>);
static_assert(buffered_stream<flux::testing::faulty_stream<faulty>>); // wrappers stack

namespace {

bool is_errno(const error& e, int number) { return e.code() == std::error_code(number, std::system_category()); }

// A stream that cannot reset by itself, as those of the kernel.
class plain_stream {
public:
    explicit plain_stream(memory_stream s) noexcept : s_(std::move(s)) {}
    auto receive() noexcept { return s_.receive(); }
    auto read_some(mutable_buffer out) noexcept { return s_.read_some(out); }
    auto write_all(const_buffer in) noexcept { return s_.write_all(in); }
    auto write_all(std::span<const const_buffer> list) noexcept { return s_.write_all(list); }
    result<void> shutdown_write() noexcept { return s_.shutdown_write(); }
    void close() noexcept { s_.close(); }
    void abort() noexcept { s_.abort(); }
    bool is_open() const noexcept { return s_.is_open(); }
    void watch_hangup(hangup_listener* l) noexcept { s_.watch_hangup(l); }

private:
    memory_stream s_;
};
static_assert(buffered_stream<plain_stream>);

task<> nothing() { co_return; }

template <class Stream>
task<std::string> drain(Stream& s) {
    std::string all;
    for (;;) {
        auto r = co_await attempt(s.receive());
        if (!r) {
            co_return fail(std::move(r).error());
        }
        if (r->empty()) {
            break;
        }
        all += as_text(r->octets());
    }
    co_return all;
}

task<> answer(faulty s) {
    auto question = co_await drain(s);
    const std::array<const_buffer, 2> list{as_octets("you said "), as_octets(question)};
    co_await s.write_all(list);
    s.shutdown_write().value();
}

task<std::string> ask(faulty& s) {
    co_await s.write_all(as_octets("hello"));
    s.shutdown_write().value();
    auto reply = co_await drain(s);
    co_return reply;
}

// Both sides may fail; whoever does closes its end, and so ends the other one.
task<> question_and_answer(fail_plan& plan) {
    auto [a, b] = make_memory_pair({.max_read = 3, .always_suspend = true});
    auto ctx = co_await this_context();
    task_scope scope(ctx, scope_policy::collect);
    scope.spawn(answer, faulty(std::move(b), plan));
    result<std::string> reply = fail(errc::eof);
    {
        faulty near(std::move(a), plan);
        reply = co_await attempt(ask(near));
    }
    auto end = co_await attempt(scope.join());
    if (!reply) {
        co_await fail(std::move(reply).error());
    }
    if (!end) {
        co_await fail(std::move(end).error());
    }
    if (!plan.fired() || plan.kind() == fault::none) {
        CHECK(*reply == "you said hello");
    }
}

} // namespace

TEST_SUITE("testing/fail_point") {

TEST_CASE("a plan chooses one operation by its number") {
    fail_plan plan(fault::error, 2);
    CHECK(plan.next() == fault::none);
    CHECK(plan.next() == fault::none);
    CHECK(!plan.fired());
    CHECK(plan.point().error().is(errc::injected));
    CHECK(plan.fired());
    CHECK(plan.point());
    CHECK(plan.operations() == 4);
    fail_plan none;
    CHECK(none.next() == fault::none);
    CHECK(!none.fired());
}

TEST_CASE("without a fault everything passes through, and each verb counts") {
    fail_plan plan;
    auto [a, b] = make_memory_pair();
    faulty near(std::move(a), plan);
    faulty far(std::move(b), plan);
    virtual_loop loop;
    auto body = [&]() -> task<> {
        std::array<std::byte, 8> buffer;
        const std::array<const_buffer, 2> list{as_octets("cd"), as_octets("ef")};
        co_await near.write_all(as_octets("ab"));
        co_await near.write_all(list);
        auto n = co_await far.read_some(buffer);
        CHECK(n == 6);
        CHECK(near.shutdown_write());
        auto end = co_await far.receive();
        CHECK(end.empty());
        CHECK(plan.operations() == 5);
        CHECK(near.peer_endpoint()->port() == 80);
        CHECK(far.local_endpoint()->port() == 80);
        far.close();
        CHECK(!far.is_open());
        near.abort();
        CHECK(!near.is_open());
    };
    CHECK(loop.run(body()));
}

TEST_CASE("error: the operation does nothing, and the stream goes on") {
    for (std::uint64_t at = 0; at < 4; ++at) {
        fail_plan plan(fault::error, at);
        auto [a, b] = make_memory_pair();
        memory_stream& far = b;
        faulty near(std::move(a), plan);
        virtual_loop loop;
        auto body = [&]() -> task<> {
            std::vector<bool> failed;
            auto w = co_await attempt(near.write_all(as_octets("x")));
            failed.push_back(!w);
            co_await far.write_all(as_octets("yz"));
            std::array<std::byte, 1> one;
            auto n = co_await attempt(near.read_some(one));
            failed.push_back(!n);
            auto r = co_await attempt(near.receive());
            failed.push_back(!r);
            auto s = near.shutdown_write();
            failed.push_back(!s);
            for (std::size_t i = 0; i < failed.size(); ++i) {
                CHECK(failed[i] == (i == at));
            }
            auto again = co_await attempt(near.write_all(as_octets("more")));
            CHECK(again.has_value() == (at == 3)); // else the shutdown worked
            near.close();
            auto seen = co_await attempt(drain(far));
            if (at == 0) {
                CHECK(*seen == "");
            } else if (at == 3) {
                CHECK(*seen == "xmore");
            }
        };
        CHECK(loop.run(body()));
    }
}

TEST_CASE("short transfer: a read yields one octet, and nothing is lost") {
    for (const bool lend : {true, false}) {
        for (std::uint64_t at = 0; at < 3; ++at) {
            fail_plan plan(fault::short_transfer, at);
            auto [a, b] = make_memory_pair();
            memory_stream& far = b;
            faulty near(std::move(a), plan);
            virtual_loop loop;
            auto body = [&]() -> task<> {
                std::vector<std::string> seen;
                for (int i = 0; i < 3; ++i) {
                    co_await far.write_all(as_octets("abcd"));
                    std::string piece;
                    while (piece.size() < 4) {
                        std::array<std::byte, 3> buffer;
                        if (lend) {
                            auto r = co_await near.receive();
                            piece += as_text(r.octets());
                            seen.emplace_back(as_text(r.octets()));
                        } else {
                            auto n = co_await near.read_some(buffer);
                            piece += as_text(std::span(buffer).first(n));
                            seen.emplace_back(as_text(std::span(buffer).first(n)));
                        }
                    }
                    CHECK(piece == "abcd");
                }
                const auto shortened = std::count(seen.begin(), seen.end(), "a");
                CHECK(shortened == ((lend || at % 2 == 0) ? 1 : 0)); // the second read_some finds one octet anyhow
            };
            CHECK(loop.run(body()));
        }
    }
}

TEST_CASE("short transfer: what a short receive left behind, read_some finds, and a stop does not take") {
    fail_plan plan(fault::short_transfer, 0);
    auto [a, b] = make_memory_pair();
    memory_stream& far = b;
    faulty near(std::move(a), plan);
    virtual_loop loop;
    auto body = [&]() -> task<> {
        co_await far.write_all(as_octets("abcd"));
        auto first = co_await near.receive();
        CHECK(as_text(first.octets()) == "a");
        first.reset();
        std::array<std::byte, 2> two;
        auto n = co_await near.read_some(two);
        CHECK(as_text(std::span(two).first(n)) == "bc");
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        scope.stop();
        scope.spawn(near.receive());
        auto stopped = co_await attempt(scope.join());
        auto rest = co_await near.receive();
        CHECK(as_text(rest.octets()) == "d");
        rest.reset();
        far.close();
        auto end = co_await near.receive();
        CHECK(end.empty());
    };
    CHECK(loop.run(body()));
}

TEST_CASE("short transfer: a write sends half and fails; after that the stream can only be closed") {
    for (const bool gather : {false, true}) {
        fail_plan plan(fault::short_transfer, 0);
        auto [a, b] = make_memory_pair();
        memory_stream& far = b;
        faulty near(std::move(a), plan);
        virtual_loop loop;
        auto body = [&]() -> task<> {
            const std::array<const_buffer, 2> list{as_octets("abcd"), as_octets("ef")};
            if (gather) {
                auto r = co_await attempt(near.write_all(list));
                CHECK(r.error().is(errc::injected));
            } else {
                auto r = co_await attempt(near.write_all(list[0]));
                CHECK(r.error().is(errc::injected));
            }
            auto again = co_await attempt(near.write_all(list));
            CHECK(again.error().is(errc::closed));
            CHECK(near.shutdown_write().error().is(errc::closed));
            near.close();
            auto seen = co_await drain(far);
            CHECK(seen == "ab");
        };
        CHECK(loop.run(body()));
    }
}

TEST_CASE("cancel: the context is stopped before the operation starts") {
    fail_plan plan(fault::cancel, 0);
    auto [a, b] = make_memory_pair();
    faulty near(std::move(a), plan);
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto w = co_await attempt(near.write_all(as_octets("x")));
        CHECK(w.error().is(errc::canceled));
        auto ctx = co_await this_context();
        CHECK(ctx.stopped());
    };
    CHECK(loop.run(body()));
    CHECK(b.available() == 0);
}

TEST_CASE("cancel in flight: an operation that waits is stopped, one that completes keeps its result") {
    fail_plan plan(fault::cancel_in_flight, 0);
    auto [a, b] = make_memory_pair();
    faulty near(std::move(a), plan);
    virtual_loop loop;
    auto waits = [&]() -> task<> {
        auto r = co_await attempt(near.receive());
        CHECK(r.error().is(errc::canceled));
    };
    CHECK(loop.run(waits()));

    fail_plan second(fault::cancel_in_flight, 0);
    faulty other(std::move(b), second);
    auto completes = [&]() -> task<> {
        auto r = co_await attempt(other.write_all(as_octets("x")));
        CHECK(r);
        auto next = co_await attempt(other.write_all(as_octets("y")));
        CHECK(next.error().is(errc::canceled));
    };
    CHECK(loop.run(completes()));
    CHECK(loop.timers().size() == 0);
}

TEST_CASE("reset: this end and the peer fail with ECONNRESET") {
    fail_plan plan(fault::reset, 1);
    auto [a, b] = make_memory_pair();
    memory_stream& far = b;
    faulty near(std::move(a), plan);
    virtual_loop loop;
    auto reader = [](memory_stream& s, bool& reset) -> task<> {
        auto r = co_await attempt(s.receive());
        reset = !r && is_errno(r.error(), ECONNRESET);
    };
    bool peer_reset = false;
    auto body = [&](task_scope& scope) -> task<> {
        co_await near.write_all(as_octets("x"));
        auto x = co_await far.receive();
        scope.spawn(reader, std::ref(far), std::ref(peer_reset));
        co_await sleep_for(1ms);
        auto w = co_await attempt(near.write_all(as_octets("y")));
        CHECK(is_errno(w.error(), ECONNRESET));
        auto r = co_await attempt(near.receive());
        CHECK(is_errno(r.error(), ECONNRESET));
        CHECK(is_errno(near.shutdown_write().error(), ECONNRESET));
    };
    CHECK(loop.run(with_scope(body)));
    CHECK(peer_reset);
}

TEST_CASE("reset over a stream that cannot do it: this end fails at once, the peer when it is closed") {
    fail_plan plan(fault::reset, 0);
    auto [a, b] = make_memory_pair();
    memory_stream& far = b;
    testing::faulty_stream<plain_stream> near(plain_stream(std::move(a)), plan);
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto w = co_await attempt(near.write_all(as_octets("y")));
        CHECK(is_errno(w.error(), ECONNRESET));
        near.close();
        auto r = co_await attempt(far.receive());
        CHECK(is_errno(r.error(), ECONNRESET));
    };
    CHECK(loop.run(body()));
}

TEST_CASE("for_each_fault runs a scenario with every fault at every operation") {
    const auto r = for_each_fault(question_and_answer);
    REQUIRE_MESSAGE(r.has_value(), (r ? "" : r.error().what()));
    CHECK(r->operations > 10);
    CHECK(r->runs > 5 * r->operations);
}

TEST_CASE("for_each_fault passes under shuffled queues too") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const auto r = for_each_fault(question_and_answer, {.shuffle_seed = seed});
        CHECK_MESSAGE(r.has_value(), (r ? "" : r.error().what()));
    }
}

TEST_CASE("for_each_fault reports a scenario that hangs after a fault") {
    auto scenario = [](fail_plan& plan) -> task<> {
        auto [a, b] = make_memory_pair();
        faulty near(std::move(a), plan);
        auto w = co_await attempt(near.write_all(as_octets("x"))); // ignores the error,
        auto r = co_await attempt(b.receive());                    // and waits for ever
    };
    const auto r = for_each_fault(scenario);
    REQUIRE(!r);
    CHECK(r.error().code() == std::errc::resource_deadlock_would_occur);
    CHECK(std::string(r.error().what()).starts_with("fault 'error' at operation 0: virtual_loop: "));
}

TEST_CASE("for_each_fault reports a scenario that leaks after a fault") {
    std::vector<task<>> kept;
    auto scenario = [](fail_plan& plan, std::vector<task<>>& forgotten) -> task<> {
        auto p = plan.point();
        auto q = plan.point();
        if (!q) {
            forgotten.push_back(nothing());
        }
        co_return;
    };
    const auto r = for_each_fault([&](fail_plan& plan) { return scenario(plan, kept); });
    REQUIRE(!r);
    CHECK(std::string(r.error().what()).starts_with("fault 'error' at operation 1: leaked: 1 coroutine frames"));
}

TEST_CASE("for_each_fault reports a scenario that fails without a fault") {
    auto scenario = [](fail_plan&) -> task<> { co_await fail(errc::protocol); };
    const auto r = for_each_fault(scenario);
    REQUIRE(!r);
    CHECK(r.error().is(errc::protocol));
    CHECK(std::string(r.error().what()).starts_with("fault 'none' at operation 0: "));
}

} // TEST_SUITE
