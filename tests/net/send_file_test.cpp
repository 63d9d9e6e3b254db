// SPDX-License-Identifier: MIT
#include <flux/net/send_file.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/socket_stream.hpp>
#include <support/driver_matrix.hpp>
#include <support/file_of.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/uio.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::file_of;
using test_support::on_each_driver;
using test_support::pattern;
using test_support::run;

namespace {

struct pair_of {
    socket_stream ours;
    unique_fd theirs;
    std::string hear(std::size_t n = 1U << 20) const {
        std::string text(n, '\0');
        const ::ssize_t got = ::recv(theirs.get(), text.data(), n, MSG_DONTWAIT);
        text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
        return text;
    }
};

pair_of make_pair(reactor& r, bool tcp) {
    int both[2];
    if (!tcp) {
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
    } else {
        ::sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* address = reinterpret_cast<::sockaddr*>(&where);
        ::socklen_t size = sizeof where;
        const unique_fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::bind(listener.get(), address, size) == 0);
        REQUIRE(::listen(listener.get(), 8) == 0);
        REQUIRE(::getsockname(listener.get(), address, &size) == 0);
        both[1] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(::connect(both[1], address, size) == 0);
        both[0] = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
        REQUIRE(both[0] >= 0);
    }
    return {socket_stream(r, unique_fd(both[0])), unique_fd(both[1])};
}

template <class Body>
void on_each_socket(Body body) {
    on_each_driver([&](const reactor_options& options) {
        for (const bool tcp : {false, true}) {
            CAPTURE(tcp);
            reactor r(options);
            run(r, body(make_pair(r, tcp)));
        }
    });
}

task<> send_whole(socket_stream* s, int file, std::size_t size) {
    for (std::size_t at = 0; at < size;) {
        at += co_await s->send_file({}, file, at, size - at);
    }
    co_await s->write_all(as_octets("end"));
}

task<> hear_all(const pair_of* pair, std::string* all, std::size_t size) {
    while (all->size() < size) {
        *all += pair->hear(50'000);
        co_await sleep_for(0s);
    }
}

} // namespace

TEST_SUITE("net/send_file") {
    TEST_CASE("a part of a file arrives behind the octets before it") {
        on_each_socket([](pair_of pair) -> task<> {
            const unique_fd file = file_of("0123456789");
            const std::size_t n = co_await pair.ours.send_file(as_octets("head "), file.get(), 2, 5);
            CHECK(n == 5);
            CHECK(pair.hear() == "head 23456");
            CHECK(::lseek(file.get(), 0, SEEK_CUR) == 10); // its own position has nothing to do with it
        });
    }

    TEST_CASE("at the end of the file there is less, and behind it nothing") {
        on_each_socket([](pair_of pair) -> task<> {
            const unique_fd file = file_of("0123456789");
            const std::size_t some = co_await pair.ours.send_file({}, file.get(), 8, 100);
            CHECK(some == 2);
            const std::size_t none = co_await pair.ours.send_file({}, file.get(), 10, 100);
            CHECK(none == 0);
            const std::size_t beyond = co_await pair.ours.send_file({}, file.get(), 1000, 1);
            CHECK(beyond == 0);
            CHECK(pair.hear() == "89");
        });
    }

    TEST_CASE("a size of zero sends what is before, without waiting for more") {
        on_each_socket([](pair_of pair) -> task<> {
            const unique_fd file = file_of("0123456789");
            const std::size_t n = co_await pair.ours.send_file(as_octets("only"), file.get(), 0, 0);
            CHECK(n == 0);
            CHECK(pair.hear() == "only");
        });
    }

    TEST_CASE("a file that is larger than the buffers of the socket arrives whole, as fast as it is read") {
        on_each_socket([](pair_of pair) -> task<> {
            const std::string text = pattern(9'000'000);
            const unique_fd file = file_of(text);
            auto ctx = co_await this_context();
            task_scope scope(ctx, scope_policy::first_error_cancels);
            scope.spawn(send_whole, &pair.ours, file.get(), text.size());
            std::string all;
            co_await hear_all(&pair, &all, text.size() + 3);
            co_await scope.join();
            CHECK((all == text + "end"));
        });
    }

    TEST_CASE("after a file, writes of any size still wait for the peer") {
        on_each_socket([](pair_of pair) -> task<> {
            const unique_fd file = file_of("x");
            const std::size_t n = co_await pair.ours.send_file({}, file.get(), 0, 1);
            CHECK(n == 1);
            const std::string text = pattern(9'000'000);
            auto ctx = co_await this_context();
            task_scope scope(ctx, scope_policy::first_error_cancels);
            scope.spawn([](socket_stream* s, const std::string* t) -> task<> { co_await s->write_all(as_octets(*t)); },
                        &pair.ours, &text);
            std::string all;
            co_await hear_all(&pair, &all, text.size() + 1);
            co_await scope.join();
            CHECK((all == "x" + text));
        });
    }

    TEST_CASE("a stop ends the wait for a peer that does not read") {
        on_each_socket([](pair_of pair) -> task<> {
            const std::string text = pattern(1'000'000);
            const unique_fd file = file_of(text);
            result<std::size_t> last(std::size_t{1});
            while (last) {
                last = co_await attempt(with_timeout(20ms, pair.ours.send_file({}, file.get(), 0, text.size())));
            }
            CHECK(last.error().is(errc::timed_out));
            const auto more = co_await attempt(with_timeout(20ms, pair.ours.send_file({}, file.get(), 0, 1)));
            CHECK(!more); // and it can be asked again
        });
    }

    TEST_CASE("a stop before the beginning sends nothing") {
        on_each_socket([](pair_of pair) -> task<> {
            const unique_fd file = file_of("0123456789");
            const auto r = co_await attempt(with_deadline(time_point(), pair.ours.send_file({}, file.get(), 0, 5)));
            REQUIRE(!r);
            CHECK(r.error().is(errc::timed_out));
            CHECK(pair.hear().empty());
        });
    }

    TEST_CASE("one write at a time, and a closed stream takes none") {
        on_each_socket([](pair_of pair) -> task<> {
            const std::string text = pattern(9'000'000);
            const unique_fd file = file_of(text);
            auto ctx = co_await this_context();
            task_scope scope(ctx, scope_policy::collect);
            scope.spawn(send_whole, &pair.ours, file.get(), text.size());
            co_await sleep_for(0s);
            co_await sleep_for(0s);
            const auto second = co_await attempt(pair.ours.send_file({}, file.get(), 0, 1));
            REQUIRE(!second);
            CHECK(second.error().is(errc::overlap));
            scope.stop();
            const auto joined = co_await attempt(scope.join());
            ignore_result(joined, "it was stopped");
            pair.ours.close();
            const auto late = co_await attempt(pair.ours.send_file({}, file.get(), 0, 1));
            REQUIRE(!late);
            CHECK(late.error().is(errc::closed));
        });
    }

    TEST_CASE("a peer that is gone is an error, not a signal") {
        struct ::sigaction fatal {};
        struct ::sigaction before {};
        fatal.sa_handler = SIG_DFL;
        ::sigaction(SIGPIPE, &fatal, &before);
        on_each_socket([](pair_of pair) -> task<> {
            const std::string text = pattern(1'000'000);
            const unique_fd file = file_of(text);
            pair.theirs.reset();
            result<std::size_t> last(std::size_t{1});
            while (last) {
                last = co_await attempt(pair.ours.send_file({}, file.get(), 0, text.size()));
            }
            const std::error_code why = last.error().code();
            CHECK((why == std::errc::broken_pipe || why == std::errc::connection_reset));
            const auto again = co_await attempt(pair.ours.send_file({}, file.get(), 0, text.size()));
            CHECK(!again);
        });
        ::sigset_t pending;
        ::sigpending(&pending);
        CHECK(::sigismember(&pending, SIGPIPE) == 0);
        ::sigaction(SIGPIPE, &before, nullptr);
    }

    TEST_CASE("what cannot be sent from is an error") {
        on_each_socket([](pair_of pair) -> task<> {
            const auto r = co_await attempt(pair.ours.send_file({}, -1, 0, 5));
            REQUIRE(!r);
            CHECK((r.error().code() == std::errc::bad_file_descriptor));
        });
    }

    TEST_CASE("a file that was just written is in memory") {
        const unique_fd file = file_of(pattern(300'000));
        CHECK(detail::in_memory(file.get(), 0, 300'000));
        CHECK(detail::in_memory(file.get(), 299'999, 1));
        CHECK(detail::in_memory(file.get(), 0, 0));
        CHECK(!detail::in_memory(-1, 0, 1));
    }

    TEST_CASE("child: asks what is in memory without cachestat" * test_support::child_case()) {
        test_support::forbid_system_call(451, ENOSYS);
        const unique_fd file = file_of(pattern(300'000));
        bool right = detail::in_memory(file.get(), 0, 300'000) && !detail::in_memory(-1, 0, 1);
        std::string name = "/tmp/flux-cold-XXXXXX";
        const unique_fd cold(::mkstemp(name.data()));
        ::unlink(name.c_str());
        const std::string text = pattern(300'000);
        right = right && ::write(cold.get(), text.data(), text.size()) == 300'000 && detail::in_memory(cold.get(), 0, 300'000);
        ::fsync(cold.get());
        ::posix_fadvise(cold.get(), 0, 0, POSIX_FADV_DONTNEED);
        char octet = 0;
        ::iovec one{};
        one.iov_base = &octet;
        one.iov_len = 1;
        const bool is_cold = ::preadv2(cold.get(), &one, 1, 0, RWF_NOWAIT) < 0 && errno == EAGAIN; // not on every file system
        right = right && (!is_cold || !detail::in_memory(cold.get(), 0, 300'000));
        test_support::say(right ? "right" : "wrong");
        ::_exit(0);
    }

    TEST_CASE("what is in memory is known on kernels without cachestat, too") {
        test_support::child_program child("child: asks what is in memory without cachestat");
        child.until_said("right");
        CHECK(child.wait() == 0);
    }
}
