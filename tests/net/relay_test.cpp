// SPDX-License-Identifier: MIT
#include <flux/net/relay.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::make_memory_pair;
using flux::testing::memory_options;
using flux::testing::memory_stream;
using flux::testing::virtual_loop;

namespace {

task<> relaying(memory_stream* a, memory_stream* b, result<void>* end) {
    *end = co_await attempt(relay(*a, *b));
    a->close();
    b->close();
}

task<> say(memory_stream* to, std::string text) {
    co_await to->write_all(as_octets(text));
    std::ignore = to->shutdown_write();
}

} // namespace

TEST_SUITE("net/relay") {

TEST_CASE("all octets go both ways, and the end of one direction does not end the other") {
    for (const std::size_t pieces : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
        memory_options options;
        options.max_read = options.max_write = pieces;
        options.capacity = 4096;
        const std::string large(pieces == 1 ? 2'000 : 100'000, 'x');
        virtual_loop loop;
        auto done = loop.run([](memory_options how, const std::string* text) -> task<> {
            auto [left, near] = make_memory_pair(how);
            auto [far, right] = make_memory_pair(how);
            auto ctx = co_await this_context();
            task_scope scope(ctx);
            result<void> end = fail(errc::eof);
            scope.spawn(relaying, &near, &far, &end);
            scope.spawn(say, &left, *text);
            const auto there = co_await read_all(right);
            CHECK((there == *text));
            co_await sleep_for(1h);
            co_await right.write_all(as_octets(std::string_view("late")));
            std::ignore = right.shutdown_write();
            const auto back = co_await read_all(left);
            CHECK(back == "late");
            co_await scope.join();
            CHECK(end);
        }(options, &large));
        CHECK(done);
    }
}

TEST_CASE("a failure of one side and a stop end both directions") {
    for (const bool stopped : {false, true}) {
        virtual_loop loop;
        auto done = loop.run([](bool stop) -> task<> {
            auto [left, near] = make_memory_pair();
            auto [far, right] = make_memory_pair();
            result<void> end;
            if (stop) {
                auto both = relay(near, far);
                end = co_await attempt(with_timeout(5s, std::move(both)));
                REQUIRE(!end);
                CHECK(end.error().is(errc::timed_out));
                co_return;
            }
            auto ctx = co_await this_context();
            task_scope scope(ctx);
            scope.spawn(relaying, &near, &far, &end);
            co_await sleep_for(1s);
            right.abort();
            const auto rest = co_await read_all(left);
            CHECK(rest.empty());
            co_await scope.join();
            REQUIRE(!end);
            CHECK(end.error().is(std::errc::connection_reset));
        }(stopped));
        CHECK(done);
    }
}

TEST_CASE("who writes to a side that has gone ends both directions, although that side ended well") {
    virtual_loop loop;
    auto done = loop.run([]() -> task<> {
        auto [left, near] = make_memory_pair();
        auto [far, right] = make_memory_pair();
        auto ctx = co_await this_context();
        task_scope scope(ctx);
        result<void> end;
        scope.spawn(relaying, &near, &far, &end);
        right.close();
        co_await sleep_for(1s);
        CHECK(end); // one direction has ended, the other one is open
        co_await left.write_all(as_octets(std::string_view("too late")));
        co_await scope.join();
        REQUIRE(!end);
        CHECK(end.error().is(std::errc::broken_pipe));
    }());
    CHECK(done);
}

}
