// SPDX-License-Identifier: MIT
#include <flux/net/raw_stream.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <span>
#include <string>
#include <string_view>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::make_memory_pair;
using flux::testing::memory_options;
using flux::testing::memory_stream;
using flux::testing::virtual_loop;

namespace {

using connection = detail::raw_connection_over<memory_stream>;

const_buffer octets(std::string_view text) { return as_octets(text); }

// Frees itself when it is closed, as what a client's response gives.
class owned_connection final : public detail::raw_connection_of<memory_stream> {
public:
    owned_connection(memory_stream s, int* closed, int* aborted)
        : raw_connection_of<memory_stream>(own_, ""), own_(std::move(s)), closed_(closed), aborted_(aborted) {}
    void close() noexcept override {
        ++*closed_;
        own_.close();
        delete this;
    }
    void abort() noexcept override {
        ++*aborted_;
        own_.abort();
        delete this;
    }

private:
    ~owned_connection() = default;
    memory_stream own_;
    int* closed_;
    int* aborted_;
};

} // namespace

TEST_SUITE("net/raw_stream") {

TEST_CASE("octets that came early are read first, then the connection's own; writes pass by them") {
    for (const bool suspends : {false, true}) {
        memory_options options;
        options.always_suspend = suspends;
        virtual_loop loop;
        auto done = loop.run([](memory_options how) -> task<> {
            auto [near, far] = make_memory_pair(how);
            connection at(near, "early");
            raw_stream s(at);
            CHECK(s.is_open());
            co_await s.write_all(octets("first"));
            const const_buffer list[] = {octets(" and"), octets(" second")};
            co_await s.write_all(std::span<const const_buffer>(list));
            std::byte room[3];
            std::size_t n = co_await s.read_some(mutable_buffer());
            CHECK(n == 0);
            n = co_await s.read_some(room);
            CHECK(as_text(const_buffer(room, n)) == "ear");
            const auto rest = co_await s.receive();
            CHECK(as_text(rest.octets()) == "ly");
            co_await far.write_all(octets("late"));
            n = co_await s.read_some(room);
            CHECK(as_text(const_buffer(room, n)) == "lat");
            const auto last = co_await s.receive();
            CHECK(as_text(last.octets()) == "e");
            CHECK(s.shutdown_write());
            const std::string heard = co_await read_all(far);
            CHECK(heard == "first and second");
            far.close();
            const auto end = co_await s.receive();
            CHECK(end.empty());
        }(options));
        CHECK(done);
    }
}

TEST_CASE("a stop takes nothing of what came early, and ends a read that waits") {
    virtual_loop loop;
    auto done = loop.run([]() -> task<> {
        auto [near, far] = make_memory_pair();
        connection at(near, "early");
        raw_stream s(at);
        auto stopped = [](raw_stream* from) -> task<> {
            auto r = co_await attempt(from->receive());
            CHECK((!r && r.error().is(errc::shutdown)));
            std::byte room[8];
            auto n = co_await attempt(from->read_some(room));
            CHECK((!n && n.error().is(errc::shutdown)));
        };
        auto ctx = co_await this_context();
        task_scope scope(ctx, scope_policy::collect);
        scope.stop(stop_reason::shutdown);
        scope.spawn(stopped, &s);
        ignore_result(co_await attempt(scope.join()), "it was stopped");
        const auto early = co_await s.receive();
        CHECK(as_text(early.octets()) == "early");
        auto waits = s.receive();
        const auto late = co_await attempt(with_timeout(1s, std::move(waits)));
        CHECK((!late && late.error().is(errc::timed_out)));
        co_await far.write_all(octets("kept"));
        const auto kept = co_await s.receive();
        CHECK(as_text(kept.octets()) == "kept");
    }());
    CHECK(done);
}

TEST_CASE("a lent one is closed only by name, and every operation on a closed one says so") {
    virtual_loop loop;
    auto done = loop.run([]() -> task<> {
        auto [near, far] = make_memory_pair();
        connection at(near, "early");
        {
            const raw_stream lent(at);
        }
        CHECK(near.is_open());
        raw_stream s(at);
        CHECK(s.underlying<memory_stream>() == &near);
        CHECK(s.underlying<raw_stream>() == nullptr);
        raw_stream moved = std::move(s);
        CHECK(!s.is_open()); // NOLINT(bugprone-use-after-move)
        CHECK(moved.is_open());
        moved.close();
        CHECK(!near.is_open());
        std::byte room[8];
        const auto read = co_await attempt(moved.read_some(room));
        const auto received = co_await attempt(moved.receive());
        const auto written = co_await attempt(moved.write_all(octets("x")));
        const const_buffer list[] = {octets("x")};
        const auto gathered = co_await attempt(moved.write_all(std::span<const const_buffer>(list)));
        CHECK((!read && read.error().is(errc::closed)));
        CHECK((!received && received.error().is(errc::closed)));
        CHECK((!written && written.error().is(errc::closed)));
        CHECK((!gathered && gathered.error().is(errc::closed)));
        CHECK(moved.shutdown_write().error().is(errc::closed));
        CHECK(moved.underlying<memory_stream>() == nullptr);
        moved.watch_hangup(nullptr);
        moved.close();
        moved.abort();
    }());
    CHECK(done);
}

TEST_CASE("an owned one is ended exactly once, whoever has it last") {
    int closed = 0;
    int aborted = 0;
    virtual_loop loop;
    auto done = loop.run([](int* closings, int* resets) -> task<> {
        auto [near, far] = make_memory_pair();
        auto [other, other_far] = make_memory_pair();
        auto [third, third_far] = make_memory_pair();
        {
            raw_stream s = raw_stream::owning(*new owned_connection(std::move(near), closings, resets));
            raw_stream t = raw_stream::owning(*new owned_connection(std::move(other), closings, resets));
            s = std::move(t); // ends what s had
            CHECK(*closings == 1);
            raw_stream u = std::move(s);
            CHECK(u.is_open());
        }
        CHECK(*closings == 2);
        raw_stream v = raw_stream::owning(*new owned_connection(std::move(third), closings, resets));
        v.abort();
        CHECK(*resets == 1);
        const auto end = co_await attempt(third_far.receive());
        CHECK((!end && end.error().is(std::errc::connection_reset)));
    }(&closed, &aborted));
    CHECK(done);
    CHECK(closed == 2);
    CHECK(aborted == 1);
}

}
