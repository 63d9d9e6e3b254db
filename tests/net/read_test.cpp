// SPDX-License-Identifier: MIT
#include <flux/net/read.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/socket_stream.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

namespace {

struct both_ends {
    explicit both_ends(reactor& r) {
        int fds[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        ours = unix_stream(r, unique_fd(fds[0]));
        theirs = unix_stream(r, unique_fd(fds[1]));
    }
    unix_stream ours;
    unix_stream theirs;
};

/// Says `text` in pieces of `size` octets with pauses in between, then closes.
task<> say(unix_stream& to, std::string text, std::size_t size) {
    for (std::string_view left = text; !left.empty();) {
        const std::string_view piece = left.substr(0, size);
        co_await to.write_all(as_octets(piece));
        left.remove_prefix(piece.size());
        co_await sleep_for(0s);
    }
    to.close();
}

constexpr std::size_t sizes[] = {1, 2, 3, 7, 1000};

} // namespace

TEST_SUITE("net/read") {

TEST_CASE("read_exact fills the buffer from any pieces, and leaves the rest") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        for (const std::size_t size : sizes) {
            CAPTURE(size);
            auto body = [&](task_scope& scope) -> task<> {
                both_ends s(r);
                scope.spawn(&say, std::ref(s.theirs), std::string("0123456789"), size);
                std::byte room[7];
                co_await read_exact(s.ours, room);
                CHECK(as_text(room) == "0123456");
                co_await read_exact(s.ours, mutable_buffer());
                co_await read_exact(s.ours, mutable_buffer(room).first(3));
                CHECK(as_text(const_buffer(room).first(3)) == "789");
                const auto more = co_await attempt(read_exact(s.ours, mutable_buffer(room).first(1)));
                CHECK(more.error().is(errc::eof));
            };
            run(r, with_scope(body));
        }
    });
}

TEST_CASE("a stream that ends too early is eof, and a stop its reason") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            both_ends s(r);
            co_await s.theirs.write_all(as_octets("abc"));
            std::byte room[5];
            const auto late = co_await attempt(with_timeout(2ms, read_exact(s.ours, room)));
            CHECK(late.error().is(errc::timed_out));
            s.theirs.close();
            const auto early = co_await attempt(read_exact(s.ours, room));
            CHECK(early.error().is(errc::eof));
        };
        run(r, body());
    });
}

TEST_CASE("read_until finds a delimiter that arrives in pieces, and keeps what comes after it") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        for (const std::size_t size : sizes) {
            CAPTURE(size);
            auto body = [&](task_scope& scope) -> task<> {
                both_ends s(r);
                scope.spawn(&say, std::ref(s.theirs), std::string("first\r\n\r\r\nthird\r\nrest"), size);
                std::string buffer;
                std::vector<std::string> lines;
                for (int i = 0; i < 3; ++i) {
                    const std::size_t n = co_await read_until(s.ours, buffer, "\r\n");
                    lines.push_back(buffer.substr(0, n));
                    buffer.erase(0, n);
                }
                CHECK(lines == std::vector<std::string>{"first\r\n", "\r\r\n", "third\r\n"});
                const auto none = co_await attempt(read_until(s.ours, buffer, "\r\n"));
                CHECK(none.error().is(errc::eof));
                CHECK(buffer == "rest");
            };
            run(r, with_scope(body));
        }
    });
}

TEST_CASE("a delimiter that is in the buffer already needs no read") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            both_ends s(r);
            std::string buffer = "one;two;";
            std::size_t n = co_await read_until(s.ours, buffer, ";");
            CHECK(n == 4);
            buffer.erase(0, n);
            n = co_await read_until(s.ours, buffer, ";");
            CHECK(n == 4);
        };
        run(r, body());
    });
}

TEST_CASE("read_until does not take more than its limit") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        for (const std::size_t size : sizes) {
            CAPTURE(size);
            auto body = [&](task_scope& scope) -> task<> {
                both_ends s(r);
                scope.spawn(&say, std::ref(s.theirs), std::string("0123456789"), size);
                std::string buffer;
                const auto too_long = co_await attempt(read_until(s.ours, buffer, "\n", 8));
                CHECK(too_long.error().is(errc::limit));
                CHECK(buffer == "01234567");
                co_await scope.join();
            };
            run(r, with_scope(body));
        }
        auto fits = [&]() -> task<> {
            both_ends s(r);
            co_await s.theirs.write_all(as_octets("1234567\n"));
            std::string buffer;
            const std::size_t n = co_await read_until(s.ours, buffer, "\n", 8);
            CHECK(n == 8);
        };
        run(r, fits());
    });
}

TEST_CASE("read_all takes everything up to its limit") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        for (const std::size_t length : {std::size_t(0), std::size_t(1), std::size_t(4096), std::size_t(100'000)}) {
            CAPTURE(length);
            auto whole = [&]() -> task<> {
                std::string text(length, '\0');
                for (std::size_t i = 0; i < length; ++i) {
                    text[i] = static_cast<char>(i * 13 + i / 256);
                }
                both_ends s(r);
                both_ends t(r);
                auto body = [&](task_scope& scope) -> task<> {
                    scope.spawn(&say, std::ref(s.theirs), text, std::size_t(5000));
                    const std::string all = co_await read_all(s.ours, length);
                    CHECK((all == text));
                    scope.spawn(&say, std::ref(t.theirs), text + "x", std::size_t(5000));
                    const auto too_much = co_await attempt(read_all(t.ours, length));
                    CHECK(too_much.error().is(errc::limit));
                    t.ours.close(); // ends the writer, too
                };
                std::ignore = co_await attempt(with_scope(body));
            };
            run(r, whole());
        }
    });
}

} // TEST_SUITE
