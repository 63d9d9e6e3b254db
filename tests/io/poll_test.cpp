// SPDX-License-Identifier: MIT
#include <flux/io/poll.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>

#include <sys/eventfd.h>
#include <sys/socket.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

namespace {

struct pipe_pair {
    pipe_pair() {
        int both[2];
        REQUIRE(::pipe2(both, O_CLOEXEC) == 0);
        out.reset(both[0]);
        in.reset(both[1]);
    }
    unique_fd out;
    unique_fd in;
};

std::span<const std::byte> octets(std::string_view text) { return std::as_bytes(std::span(text)); }

} // namespace

TEST_SUITE("io/poll") {

TEST_CASE("readable and writable end when the descriptor is") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            const pipe_pair pipe;
            const unsigned room = co_await writable(pipe.in.get());
            CHECK(room == POLLOUT);
            std::optional<unsigned> seen;
            auto wait = [&]() -> task<> { seen = co_await readable(pipe.out.get()); };
            scope.spawn(wait);
            co_await sleep_for(1ms);
            CHECK(!seen);
            REQUIRE(::write(pipe.in.get(), "x", 1) == 1);
            co_await scope.join();
            CHECK(seen == static_cast<unsigned>(POLLIN));
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a hang-up and an error end every wait, asked for or not") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            pipe_pair pipe;
            pipe.in.reset();
            const unsigned hang_up = co_await readable(pipe.out.get());
            CHECK((hang_up & POLLHUP) != 0);
            pipe_pair other;
            other.out.reset();
            const unsigned broken = co_await writable(other.in.get());
            CHECK((broken & POLLERR) != 0);
            int both[2];
            REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
            const unique_fd ours(both[0]);
            unique_fd theirs(both[1]);
            ::shutdown(theirs.get(), SHUT_WR);
            const unsigned half = co_await poll_fd(ours.get(), POLLRDHUP);
            CHECK((half & POLLRDHUP) != 0);
        };
        run(r, body());
    });
}

TEST_CASE("read_fd and write_fd carry data through a pipe larger than it") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            pipe_pair pipe;
            std::string sent(500'000, '\0');
            for (std::size_t i = 0; i < sent.size(); ++i) {
                sent[i] = static_cast<char>(i * 7 + i / 1000);
            }
            auto write = [&]() -> task<> {
                for (std::string_view left = sent; !left.empty();) {
                    left.remove_prefix(co_await write_fd(pipe.in.get(), octets(left)));
                }
                pipe.in.reset();
            };
            scope.spawn(write);
            std::string got;
            std::byte room[3000];
            for (;;) {
                const std::size_t n = co_await read_fd(pipe.out.get(), room);
                if (n == 0) {
                    break;
                }
                got.append(reinterpret_cast<const char*>(room), n);
            }
            CHECK((got == sent));
            co_await scope.join();
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a file is read at its own position") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            char name[] = "/tmp/flux_poll_test_XXXXXX";
            const unique_fd file(::mkstemp(name));
            ::unlink(name);
            std::size_t n = co_await write_fd(file.get(), octets("one two"));
            CHECK(n == 7);
            REQUIRE(::lseek(file.get(), 4, SEEK_SET) == 4);
            std::byte room[8];
            n = co_await read_fd(file.get(), room);
            CHECK(n == 3);
            CHECK(std::string_view(reinterpret_cast<const char*>(room), n) == "two");
            n = co_await read_fd(file.get(), room);
            CHECK(n == 0);
            const unsigned ready = co_await readable(file.get());
            CHECK(ready == POLLIN);
        };
        run(r, body());
    });
}

TEST_CASE("the kernel's errors are the operation's") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            std::byte room[4];
            const auto none = co_await attempt(read_fd(-1, room));
            CHECK(none.error().code() == std::errc::bad_file_descriptor);
            const auto poll = co_await attempt(readable(-1));
            CHECK(poll.error().code() == std::errc::bad_file_descriptor);
            const pipe_pair pipe;
            const auto wrong = co_await attempt(read_fd(pipe.in.get(), room));
            CHECK(wrong.error().code() == std::errc::bad_file_descriptor);
        };
        run(r, body());
    });
}

TEST_CASE("several waits on one descriptor all end") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            const unique_fd event(::eventfd(0, EFD_CLOEXEC));
            int woken = 0;
            auto wait = [&](unsigned events) -> task<> {
                const unsigned seen = co_await poll_fd(event.get(), events);
                woken += (seen & events) != 0 ? 1 : 0;
            };
            for (int i = 0; i < 10; ++i) {
                scope.spawn(wait, static_cast<unsigned>(i % 3 == 0 ? POLLOUT : POLLIN));
            }
            while (woken < 4) {
                co_await sleep_for(1ms);
            }
            CHECK(woken == 4);
            REQUIRE(::eventfd_write(event.get(), 1) == 0);
            co_await scope.join();
            CHECK(woken == 10);
        };
        run(r, with_scope(body));
    });
}

} // TEST_SUITE
