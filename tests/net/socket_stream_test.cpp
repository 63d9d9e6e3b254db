// SPDX-License-Identifier: MIT
#include <flux/net/socket_stream.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

namespace {

/// The far end of a stream: plain system calls that never wait.
class peer {
public:
    explicit peer(int fd) : fd_(fd) {}
    void say(std::string_view text) {
        REQUIRE(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
                static_cast<::ssize_t>(text.size()));
    }
    /// As much as the kernel takes; how much that was.
    std::size_t say_some(std::string_view text) {
        const ::ssize_t n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return n < 0 ? 0 : static_cast<std::size_t>(n);
    }
    /// What is there, at most n octets.
    std::string hear(std::size_t n = 100'000) {
        std::string text(n, '\0');
        const ::ssize_t got = ::recv(fd_.get(), text.data(), n, MSG_DONTWAIT);
        error_ = got < 0 ? errno : 0;
        ended_ = got == 0;
        text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
        return text;
    }
    [[nodiscard]] int error() const { return error_; }
    [[nodiscard]] bool ended() const { return ended_; }
    void finish() { ::shutdown(fd_.get(), SHUT_WR); }
    void close() { fd_.reset(); }
    void reset() {
        const ::linger now{1, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        fd_.reset();
    }
    [[nodiscard]] int fd() const { return fd_.get(); }

private:
    unique_fd fd_;
    int error_ = 0;
    bool ended_ = false;
};

template <class Stream>
struct pair_of {
    Stream ours;
    peer theirs;
};

pair_of<unix_stream> unix_pair(reactor& r) {
    int both[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
    return {unix_stream(r, unique_fd(both[0])), peer(both[1])};
}

pair_of<tcp_stream> tcp_pair(reactor& r) {
    ::sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = reinterpret_cast<::sockaddr*>(&where);
    ::socklen_t size = sizeof where;
    const unique_fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener.get(), address, size) == 0);
    REQUIRE(::listen(listener.get(), 8) == 0);
    REQUIRE(::getsockname(listener.get(), address, &size) == 0);
    peer client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.fd(), address, size) == 0);
    unique_fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(accepted.is_open());
    return {tcp_stream(r, std::move(accepted)), std::move(client)};
}

/// Octets that are different everywhere, so that lost, doubled and swapped ones show.
std::string pattern(std::size_t n, std::uint32_t seed = 1) {
    std::string text(n, '\0');
    std::uint32_t state = seed * 2'654'435'761U + 1;
    for (char& c : text) {
        state = state * 1'664'525U + 1'013'904'223U;
        c = static_cast<char>(state >> 24);
    }
    return text;
}

/// Lets the loop look at the kernel a few times.
task<> turns(int n = 4) {
    for (int i = 0; i < n; ++i) {
        co_await sleep_for(0s);
    }
}

template <class Stream>
task<std::string> read_to_end(Stream& s, std::size_t piece = 70'000) {
    std::string all;
    std::vector<std::byte> room(piece);
    for (;;) {
        const std::size_t n = co_await s.read_some(room);
        if (n == 0) {
            co_return all;
        }
        all.append(reinterpret_cast<const char*>(room.data()), n);
    }
}

task<> read_into(socket_stream& s, std::optional<result<std::size_t>>& out) {
    std::byte room[16];
    out.emplace(co_await attempt(s.read_some(room)));
}

class noting_listener : public hangup_listener {
public:
    noting_listener() : hangup_listener(&note) {}
    int calls = 0;
    bool reset = false;

private:
    static void note(hangup_listener& l, bool reset) noexcept {
        auto& self = static_cast<noting_listener&>(l);
        ++self.calls;
        self.reset = reset;
    }
};

/// Until the listener was told; the watchdog ends what never happens.
task<> until_told(noting_listener& listener) {
    while (listener.calls == 0) {
        co_await sleep_for(1ms);
    }
}

/// Lets the peer talk, without a reader, until the kernel takes no more. How much went in.
task<std::size_t> fill(peer& far, std::string_view text) {
    std::size_t sent = 0;
    for (int idle = 0; idle < 5 && sent < text.size();) {
        const std::size_t n = far.say_some(text.substr(sent));
        idle = n == 0 ? idle + 1 : 0;
        sent += n;
        co_await sleep_for(2ms);
    }
    co_return sent;
}

} // namespace

TEST_SUITE("net/socket_stream") {

TEST_CASE("read_some yields what arrived, then 0 at the end as often as it is asked") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            s.theirs.say("hello");
            std::byte room[16];
            const std::size_t n = co_await s.ours.read_some(room);
            CHECK(as_text(const_buffer(room, n)) == "hello");
            s.theirs.say("bye");
            s.theirs.close();
            std::string rest = co_await read_to_end(s.ours);
            CHECK(rest == "bye");
            for (int i = 0; i < 3; ++i) {
                const std::size_t end = co_await s.ours.read_some(room);
                CHECK(end == 0);
                auto octets = co_await s.ours.receive();
                CHECK(octets.empty());
            }
        };
        run(r, body());
    });
}

TEST_CASE("a small buffer gets the octets piece by piece") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            const std::string sent = pattern(50'000);
            s.theirs.say(sent);
            s.theirs.finish();
            const std::string got = co_await read_to_end(s.ours, 7);
            CHECK(got == sent);
        };
        run(r, body());
    });
}

TEST_CASE("reading into an empty buffer yields 0 at once") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            const std::size_t n = co_await s.ours.read_some(mutable_buffer());
            CHECK(n == 0);
        };
        run(r, body());
    });
}

TEST_CASE("receive hands over the shared buffer itself, and takes it back") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            s.theirs.say("one");
            auto first = co_await s.ours.receive();
            CHECK(as_text(first.octets()) == "one");
            CHECK(r.driver().buffers().taken() == 1);
            s.theirs.say("two");
            auto second = co_await s.ours.receive();
            CHECK(r.driver().buffers().taken() == 2);
            CHECK(as_text(first.octets()) == "one");
            first.reset();
            CHECK(r.driver().buffers().taken() == 1);
            CHECK(as_text(second.octets()) == "two");
        };
        run(r, body());
    });
}

TEST_CASE("whoever keeps many buffers gets copies instead") {
    on_each_driver([](reactor_options options) {
        options.buffer_count = 4;
        options.buffer_size = 64;
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            std::vector<received> kept;
            std::string all;
            for (int i = 0; i < 20; ++i) {
                const std::string text = pattern(10, static_cast<std::uint32_t>(i));
                s.theirs.say(text);
                all += text;
                kept.push_back(co_await s.ours.receive());
                CHECK(r.driver().buffers().taken() < 4);
            }
            std::string got;
            for (const received& one : kept) {
                got += as_text(one.octets());
            }
            CHECK(got == all);
        };
        run(r, body());
    });
}

TEST_CASE("write_all delivers more than the socket holds, octet for octet") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            auto a = unix_pair(r);
            unix_stream reading(r, unique_fd(::dup(a.theirs.fd())));
            const std::string sent = pattern(5'000'000);
            auto write = [&]() -> task<> {
                co_await a.ours.write_all(as_octets(sent));
                const auto done = a.ours.shutdown_write();
                CHECK(done.has_value());
            };
            scope.spawn(write);
            const std::string got = co_await read_to_end(reading);
            CHECK(got == sent);
            co_await scope.join();
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a list of buffers arrives in order, whatever its length and the sizes of its pieces") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            auto a = unix_pair(r);
            unix_stream reading(r, unique_fd(::dup(a.theirs.fd())));
            const std::string sent = pattern(4'000'000);
            std::vector<const_buffer> pieces;
            const const_buffer octets = as_octets(sent);
            std::size_t at = 0;
            for (std::size_t i = 0; at < sent.size(); ++i) {
                // empty ones in between, small ones, and some that do not fit the socket
                const std::size_t n = std::min(i % 7 == 0 ? 0 : i % 13 == 0 ? 700'000 : i * 37, sent.size() - at);
                pieces.push_back(octets.subspan(at, n));
                at += n;
            }
            pieces.push_back(const_buffer());
            CHECK(pieces.size() > 20);
            auto write = [&]() -> task<> {
                co_await a.ours.write_all(std::span<const const_buffer>());
                co_await a.ours.write_all(std::span<const const_buffer>(pieces).last(1));
                co_await a.ours.write_all(std::span<const const_buffer>(pieces));
                const auto done = a.ours.shutdown_write();
                CHECK(done.has_value());
            };
            scope.spawn(write);
            const std::string got = co_await read_to_end(reading);
            CHECK(got == sent);
            co_await scope.join();
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("both directions of a TCP connection carry data at the same time") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            auto a = tcp_pair(r);
            tcp_stream b(r, unique_fd(::dup(a.theirs.fd())));
            a.theirs.close();
            const std::string up = pattern(3'000'000, 1);
            const std::string down = pattern(3'000'000, 2);
            auto write = [](tcp_stream& s, const std::string& text) -> task<> {
                co_await s.write_all(as_octets(text));
                const auto done = s.shutdown_write();
                CHECK(done.has_value());
            };
            auto read = [](tcp_stream& s, const std::string& expected) -> task<> {
                const std::string got = co_await read_to_end(s);
                CHECK(got == expected);
            };
            scope.spawn(write, std::ref(a.ours), std::cref(up));
            scope.spawn(write, std::ref(b), std::cref(down));
            scope.spawn(read, std::ref(a.ours), std::cref(down));
            scope.spawn(read, std::ref(b), std::cref(up));
            co_await scope.join();
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a second read fails with overlap, and the first one goes on") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            auto s = unix_pair(r);
            std::optional<result<std::size_t>> first;
            scope.spawn(&read_into, std::ref(s.ours), std::ref(first));
            co_await turns();
            std::byte room[4];
            const auto second = co_await attempt(s.ours.read_some(room));
            CHECK(second.error().is(errc::overlap));
            const auto third = co_await attempt(s.ours.receive());
            CHECK(third.error().is(errc::overlap));
            CHECK(!first);
            s.theirs.say("x");
            co_await scope.join();
            REQUIRE(first);
            CHECK(first->value() == 1);
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a read that was woken but has not run yet is still the one read") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            auto s = unix_pair(r);
            std::optional<result<std::size_t>> first;
            scope.spawn(&read_into, std::ref(s.ours), std::ref(first));
            co_await turns();
            // Mail runs between the completion and the coroutine that it made ready: a turn in which there is both.
            std::byte room[4];
            s.theirs.say("x");
            bool overlapped = false;
            r.post([&] {
                detail::read_some_state second(s.ours.read_some(room), scope.ctx().node());
                overlapped = second.await_ready() && !second.take();
            });
            co_await scope.join();
            CHECK(overlapped);
            REQUIRE(first);
            REQUIRE(first->has_value());
            CHECK(first->value() == 1);
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a second write fails with overlap, and the first one goes on") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            auto s = unix_pair(r);
            const std::string sent = pattern(1'000'000);
            scope.spawn([](unix_stream& out, const std::string& text) { return out.write_all(as_octets(text)); },
                        std::ref(s.ours), std::cref(sent));
            co_await turns();
            const auto second = co_await attempt(s.ours.write_all(as_octets("no")));
            CHECK(second.error().is(errc::overlap));
            const const_buffer list[] = {as_octets("no")};
            const auto third = co_await attempt(s.ours.write_all(std::span<const const_buffer>(list)));
            CHECK(third.error().is(errc::overlap));
            std::string got;
            while (got.size() < sent.size()) {
                got += s.theirs.hear();
                co_await sleep_for(0s);
            }
            CHECK(got == sent);
            co_await scope.join();
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("operations on a closed or moved-from stream fail with closed") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            unix_stream moved = std::move(s.ours);
            s.theirs.say("x");
            std::byte room[4];
            const std::size_t n = co_await moved.read_some(room);
            CHECK(n == 1);
            moved.close();
            moved.close();
            unix_stream never;
            for (unix_stream* stream : {&s.ours, &moved, &never}) {
                CHECK(!stream->is_open());
                CHECK(stream->native_handle() == -1);
                const auto read = co_await attempt(stream->read_some(room));
                CHECK(read.error().is(errc::closed));
                const auto octets = co_await attempt(stream->receive());
                CHECK(octets.error().is(errc::closed));
                const auto wrote = co_await attempt(stream->write_all(as_octets("x")));
                CHECK(wrote.error().is(errc::closed));
                const const_buffer list[] = {as_octets("x")};
                const auto gathered = co_await attempt(stream->write_all(std::span<const const_buffer>(list)));
                CHECK(gathered.error().is(errc::closed));
                const auto shut = stream->shutdown_write();
                CHECK(shut.error().is(errc::closed));
            }
        };
        run(r, body());
    });
}

TEST_CASE("shutdown_write sends the end, and reading goes on") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = tcp_pair(r);
            co_await s.ours.write_all(as_octets("question"));
            CHECK(s.ours.shutdown_write().has_value());
            co_await sleep_for(1ms);
            CHECK(s.theirs.hear() == "question");
            while (!s.theirs.ended()) {
                CHECK(s.theirs.hear().empty());
                co_await sleep_for(1ms);
            }
            s.theirs.say("answer");
            s.theirs.close();
            const std::string got = co_await read_to_end(s.ours);
            CHECK(got == "answer");
        };
        run(r, body());
    });
}

TEST_CASE("writing to a peer that has gone fails and raises no signal") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            s.theirs.close();
            const auto wrote = co_await attempt(s.ours.write_all(as_octets("x")));
            CHECK(wrote.error().code() == std::errc::broken_pipe);
            const std::string big(1'000'000, 'x');
            const const_buffer list[] = {as_octets(big), as_octets(big)};
            const auto gathered = co_await attempt(s.ours.write_all(std::span<const const_buffer>(list)));
            CHECK(gathered.error().code() == std::errc::broken_pipe);
        };
        run(r, body());
    });
}

TEST_CASE("a peer that goes away while a large write waits ends it with an error") {
    on_each_driver([](const reactor_options& options) {
        for (const bool gathered : {false, true}) {
            CAPTURE(gathered);
            reactor r(options);
            auto body = [&](task_scope& scope) -> task<> {
                auto s = tcp_pair(r);
                const std::string big(20'000'000, 'x');
                const const_buffer list[] = {as_octets(big)};
                std::optional<error> failed;
                auto write = [&]() -> task<> {
                    if (gathered) {
                        auto end = co_await attempt(s.ours.write_all(std::span<const const_buffer>(list)));
                        failed = end.error();
                    } else {
                        auto end = co_await attempt(s.ours.write_all(as_octets(big)));
                        failed = end.error();
                    }
                };
                scope.spawn(write);
                co_await turns(10);
                CHECK(!failed);
                s.theirs.reset();
                co_await scope.join();
                REQUIRE(failed);
                CHECK(failed->code() == std::errc::connection_reset);
                CHECK(failed->bytes_sent() > 0);
                CHECK(failed->bytes_sent() < big.size());
            };
            run(r, with_scope(body));
        }
    });
}

TEST_CASE("a reset is an error of the read") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = tcp_pair(r);
            s.theirs.reset();
            std::byte room[4];
            for (int i = 0; i < 2; ++i) {
                const auto n = co_await attempt(s.ours.read_some(room));
                REQUIRE(!n);
                CHECK(n.error().code() == std::errc::connection_reset);
            }
        };
        run(r, body());
    });
}

TEST_CASE("abort resets the connection, close after all was read does not") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = tcp_pair(r);
            auto t = tcp_pair(r);
            s.ours.abort();
            t.ours.close();
            for (peer* far : {&s.theirs, &t.theirs}) {
                for (;;) {
                    std::ignore = far->hear();
                    if (far->ended() || far->error() != EAGAIN) {
                        break;
                    }
                    co_await sleep_for(1ms);
                }
            }
            CHECK(s.theirs.error() == ECONNRESET);
            CHECK(t.theirs.ended());
        };
        run(r, body());
    });
}

TEST_CASE("a stream can be moved between operations, and assigning to one closes it") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            s.theirs.say("abc");
            std::byte one[1];
            std::size_t n = co_await s.ours.read_some(one);
            CHECK(n == 1);
            auto other = unix_pair(r);
            other.ours = std::move(s.ours);
            n = co_await other.ours.read_some(one);
            CHECK(as_text(one) == "b");
            co_await turns();
            std::ignore = other.theirs.hear();
            CHECK(other.theirs.ended());
            auto& self = other.ours;
            other.ours = std::move(self);
            n = co_await other.ours.read_some(one);
            CHECK(as_text(one) == "c");
        };
        run(r, body());
    });
}

TEST_CASE("a stream that outlives run() is dead, and may even outlive its reactor") {
    on_each_driver([](const reactor_options& options) {
        std::optional<unix_stream> kept;
        std::optional<peer> far;
        {
            reactor r(options);
            auto body = [&]() -> task<> {
                auto s = unix_pair(r);
                far.emplace(std::move(s.theirs));
                far->say("some octets");
                std::byte one[1];
                const std::size_t n = co_await s.ours.read_some(one); // receiving is armed, the queue not empty
                CHECK(n == 1);
                kept.emplace(std::move(s.ours));
            };
            run(r, body());
            std::ignore = far->hear();
            CHECK((far->ended() || far->error() == ECONNRESET)); // closed at the end of run()
            auto later = [&]() -> task<> {
                std::byte room[4];
                const auto read = co_await attempt(kept->read_some(room));
                CHECK(read.error().is(errc::closed));
                const auto octets = co_await attempt(kept->receive());
                CHECK(octets.error().is(errc::closed));
                const auto wrote = co_await attempt(kept->write_all(as_octets("x")));
                CHECK(wrote.error().is(errc::closed));
                const const_buffer list[] = {as_octets("x")};
                const auto gathered = co_await attempt(kept->write_all(std::span<const const_buffer>(list)));
                CHECK(gathered.error().is(errc::closed));
                CHECK(!kept->is_open());
                CHECK(kept->shutdown_write().error().is(errc::closed));
                noting_listener listener;
                kept->watch_hangup(&listener);
            };
            run(r, later());
        }
        kept.reset();
    });
}

TEST_CASE("receiving stops when 64 KiB wait for a reader, and goes on when they are read") {
    on_each_driver([](const reactor_options& options) {
        for (const bool tcp : {false, true}) {
            CAPTURE(tcp);
            reactor r(options);
            auto scenario = [&](auto& s) -> task<> {
                const std::string sent = pattern(20'000'000);
                noting_listener nobody;
                s.ours.watch_hangup(&nobody); // arms the receive
                std::size_t in = co_await fill(s.theirs, sent);
                // 64 KiB, what one pass of the kernel adds to them, and the buffers of both sockets
                CHECK(in < 12'000'000);
                std::string got;
                std::vector<std::byte> room(30'000);
                while (got.size() < sent.size()) {
                    in += in < sent.size() ? s.theirs.say_some(std::string_view(sent).substr(in)) : 0;
                    if (in == sent.size()) {
                        s.theirs.finish();
                    }
                    const std::size_t n = co_await s.ours.read_some(room);
                    got.append(reinterpret_cast<const char*>(room.data()), n);
                    if (got.size() % 11 == 0) {
                        co_await sleep_for(0s); // pauses happen at different fill levels
                    }
                }
                CHECK(got == sent);
            };
            auto body = [&]() -> task<> {
                if (tcp) {
                    auto s = tcp_pair(r);
                    co_await scenario(s);
                } else {
                    auto s = unix_pair(r);
                    co_await scenario(s);
                }
            };
            run(r, body());
        }
    });
}

TEST_CASE("the end of the connection is seen while nobody reads") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        for (const std::size_t unread : {std::size_t(0), std::size_t(1000), std::size_t(20'000'000)}) {
            CAPTURE(unread); // the last one: receiving is paused
            auto body = [&]() -> task<> {
                auto s = tcp_pair(r);
                const std::string sent = pattern(unread);
                noting_listener listener;
                s.ours.watch_hangup(&listener);
                const std::size_t in = co_await fill(s.theirs, sent);
                CHECK(listener.calls == 0);
                if (unread > 1'000'000) {
                    // all of it must reach our side, or the end could not: let the kernel's buffers run empty
                    std::size_t got = 0;
                    std::vector<std::byte> room(65'536);
                    int outq = 1;
                    while (outq > 0) {
                        if (in - got > room.size()) { // so much waits here for sure; an acknowledgement may be delayed
                            got += co_await s.ours.read_some(room);
                        }
                        co_await sleep_for(0s);
                        REQUIRE(::ioctl(s.theirs.fd(), SIOCOUTQ, &outq) == 0);
                    }
                    CHECK(got < in);
                }
                s.theirs.close();
                co_await until_told(listener);
                CHECK(listener.calls == 1);
                CHECK(!listener.reset);
                if (unread == 1000) {
                    const std::string got = co_await read_to_end(s.ours);
                    CHECK(got == sent);
                }
                co_await turns();
                CHECK(listener.calls == 1);
            };
            run(r, body());
        }
    });
}

TEST_CASE("a reset of the connection is seen while nobody reads") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        for (const std::size_t unread : {std::size_t(0), std::size_t(1000), std::size_t(20'000'000)}) {
            CAPTURE(unread);
            auto body = [&]() -> task<> {
                auto s = tcp_pair(r);
                const std::string sent = pattern(unread);
                noting_listener listener;
                s.ours.watch_hangup(&listener);
                std::ignore = co_await fill(s.theirs, sent);
                CHECK(listener.calls == 0);
                s.theirs.reset();
                co_await until_told(listener);
                CHECK(listener.calls == 1);
                CHECK(listener.reset);
            };
            run(r, body());
        }
    });
}

TEST_CASE("an orderly close of a Unix socket is an end and not a reset, paused or not") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        for (const std::size_t unread : {std::size_t(0), std::size_t(1000), std::size_t(5'000'000)}) {
            CAPTURE(unread);
            auto body = [&]() -> task<> {
                auto s = unix_pair(r);
                const std::string sent = pattern(unread);
                noting_listener listener;
                s.ours.watch_hangup(&listener);
                const std::size_t in = co_await fill(s.theirs, sent);
                CHECK(listener.calls == 0);
                s.theirs.close();
                co_await until_told(listener);
                CHECK(!listener.reset);
                const std::string got = co_await read_to_end(s.ours);
                CHECK(got == std::string_view(sent).substr(0, in));
                CHECK(listener.calls == 1);
            };
            run(r, body());
        }
    });
}

TEST_CASE("octets that have come are taken without waiting; an end, a failure and a read in flight are left alone") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            for (const bool reset : {false, true}) {
                auto [s, there] = tcp_pair(r);
                CHECK(s.try_receive().empty());
                there.say("one");
                const auto first = co_await s.receive(); // from here on receiving goes on by itself
                CHECK(as_text(first.octets()) == "one");
                CHECK(s.try_receive().empty());
                there.say("two");
                while (!s.has_input()) {
                    co_await turns(1);
                }
                const auto second = s.try_receive();
                CHECK(as_text(second.octets()) == "two");
                CHECK(!s.has_input());

                std::optional<result<std::size_t>> read;
                auto ctx = co_await this_context();
                task_scope scope(ctx);
                scope.spawn(&read_into, std::ref(s), std::ref(read));
                co_await turns();
                REQUIRE(!read);
                there.say("three");
                bool looked = false;
                r.post([&, from = &s] { // mail comes before the coroutine that the octets have woken
                    looked = from->has_input();
                    CHECK(from->try_receive().empty());
                });
                co_await scope.join();
                CHECK(looked);
                CHECK(read->value() == 5);

                if (reset) {
                    there.reset();
                } else {
                    there.close();
                }
                while (!s.has_input()) {
                    co_await turns(1);
                }
                CHECK(s.try_receive().empty());
                const auto end = co_await attempt(s.receive());
                CHECK(end.has_value() == !reset);
                s.close();
                CHECK(s.try_receive().empty());
            }
        };
        run(r, body());
    });
}

TEST_CASE("a hang-up that came before the watch is told in the call, and nobody is told after nullptr") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            noting_listener first;
            noting_listener second;
            s.ours.watch_hangup(&first);
            co_await turns();
            s.ours.watch_hangup(nullptr);
            s.theirs.close();
            std::byte room[4];
            const std::size_t n = co_await s.ours.read_some(room);
            CHECK(n == 0);
            CHECK(first.calls == 0);
            s.ours.watch_hangup(&second);
            CHECK(second.calls == 1);
            s.ours.watch_hangup(nullptr);
        };
        run(r, body());
    });
}

TEST_CASE("a watch beside a waiting read tells the reader first and the listener when it is asked again") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            auto s = unix_pair(r);
            noting_listener listener;
            s.ours.watch_hangup(&listener);
            std::optional<result<std::size_t>> read;
            scope.spawn(&read_into, std::ref(s.ours), std::ref(read));
            co_await turns();
            s.theirs.close();
            co_await scope.join();
            REQUIRE(read);
            CHECK(read->value() == 0);
            CHECK(listener.calls == 0);
            s.ours.watch_hangup(&listener);
            CHECK(listener.calls == 1);
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("many connections share few small buffers, and every octet arrives") {
    on_each_driver([](reactor_options options) {
        options.buffer_count = 4;
        options.buffer_size = 64;
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            auto echo = [](unix_stream s, int style) -> task<> {
                for (;;) {
                    if (style % 2 == 0) {
                        auto octets = co_await s.receive();
                        if (octets.empty()) {
                            break;
                        }
                        if (style % 3 == 0) {
                            co_await sleep_for(0s); // holds the buffer for a while
                        }
                        co_await s.write_all(octets.octets());
                    } else {
                        std::byte room[100];
                        const std::size_t n = co_await s.read_some(room);
                        if (n == 0) {
                            break;
                        }
                        co_await s.write_all(const_buffer(room, n));
                    }
                }
                const auto done = s.shutdown_write();
                CHECK(done.has_value());
            };
            struct line {
                peer far;
                std::string sent;
                std::size_t said = 0;
                std::string got;
            };
            std::vector<std::unique_ptr<line>> lines;
            for (int i = 0; i < 60; ++i) {
                auto s = unix_pair(r);
                lines.push_back(std::make_unique<line>(
                    line{std::move(s.theirs), pattern(5000, static_cast<std::uint32_t>(i)), 0, {}}));
                scope.spawn(echo, std::move(s.ours), i);
            }
            std::size_t open = lines.size();
            while (open > 0) {
                open = 0;
                for (auto& l : lines) {
                    if (l->said < l->sent.size()) {
                        l->said += l->far.say_some(std::string_view(l->sent).substr(l->said, 333));
                        if (l->said == l->sent.size()) {
                            l->far.finish();
                        }
                    }
                    l->got += l->far.hear(2000);
                    open += l->far.ended() ? 0U : 1U;
                }
                co_await sleep_for(0s);
            }
            for (const auto& l : lines) {
                CHECK(l->got == l->sent);
            }
            co_await scope.join();
        };
        run(r, with_scope(body));
        CHECK(r.stats().starved > 0);
    });
}

TEST_CASE("an idle connection that got a free buffer offered does not keep it from the others") {
    on_each_driver([](reactor_options options) {
        options.buffer_count = 4;
        options.buffer_size = 64;
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            // Two buffers are held by a consumer, two by octets that nobody reads.
            auto holder = unix_pair(r);
            auto unread = unix_pair(r);
            holder.theirs.say("1");
            auto first = co_await holder.ours.receive();
            holder.theirs.say("2");
            auto second = co_await holder.ours.receive();
            noting_listener nobody;
            unread.ours.watch_hangup(&nobody);
            unread.theirs.say("3");
            co_await sleep_for(1ms);
            unread.theirs.say("4");
            co_await sleep_for(1ms);
            CHECK(r.driver().buffers().taken() == 4);

            // Several connections begin to read without a free buffer; only the last one gets something to read.
            std::vector<pair_of<unix_stream>> idle;
            idle.reserve(10);
            std::vector<std::optional<result<std::size_t>>> reads(10);
            task_scope last(scope.ctx());
            for (std::size_t i = 0; i < 10; ++i) {
                idle.push_back(unix_pair(r));
                (i < 9 ? scope : last).spawn(&read_into, std::ref(idle[i].ours), std::ref(reads[i]));
            }
            co_await sleep_for(1ms);
            second.reset();
            idle[9].theirs.say("x");
            co_await last.join(); // nothing else wakes the loop
            CHECK(reads[9]->value() == 1);
            for (auto& s : idle) {
                s.theirs.close();
            }
            co_await scope.join();
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("closing a stream that waits for a free buffer leaves nothing behind") {
    on_each_driver([](reactor_options options) {
        options.buffer_count = 2;
        options.buffer_size = 8;
        reactor r(options);
        auto body = [&]() -> task<> {
            auto holder = unix_pair(r);
            holder.theirs.say("0123456789abcdef");
            auto first = co_await holder.ours.receive();
            auto waiting = unix_pair(r);
            noting_listener nobody;
            waiting.ours.watch_hangup(&nobody);
            waiting.theirs.say("x");
            co_await turns();
            waiting.ours.close();
            co_await turns();
            first.reset();
            co_await turns();
        };
        run(r, body());
    });
}

TEST_CASE("a loop of writes that complete at once lets others run in between") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = unix_pair(r);
            co_await turns();
            const std::uint64_t before = r.turns();
            const const_buffer list[] = {as_octets("b")};
            for (int i = 0; i < 130; ++i) {
                co_await s.ours.write_all(as_octets("a"));
                co_await s.ours.write_all(std::span<const const_buffer>(list));
            }
            CHECK(r.turns() - before >= 260 / scheduler::inline_budget);
            CHECK(s.theirs.hear().size() == 260);
        };
        run(r, body());
    });
}

TEST_CASE("a stream knows its addresses and its options") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            auto s = tcp_pair(r);
            const auto local = s.ours.local_endpoint();
            const auto remote = s.ours.peer_endpoint();
            REQUIRE(local.has_value());
            REQUIRE(remote.has_value());
            CHECK(local->is_loopback());
            CHECK(remote->port() != local->port());
            auto u = unix_pair(r);
            const auto who = u.ours.peer_credentials();
            REQUIRE(who.has_value());
            CHECK(who->pid == ::getpid());
            CHECK(who->uid == ::getuid());
            u.ours.close();
            CHECK(!u.ours.peer_credentials().has_value());
            CHECK(!u.ours.local_endpoint().has_value());
            co_return;
        };
        run(r, body());
    });
}

} // TEST_SUITE
