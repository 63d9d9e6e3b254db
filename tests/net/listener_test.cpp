// SPDX-License-Identifier: MIT
#include <flux/net/listener.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/connect.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

namespace {

tcp_listener listen_on_loopback(reactor& r, listen_options options = listen_options()) {
    return tcp_listener::listen(r, endpoint::loopback(0), options).value();
}

/// A connected client, by plain system calls.
unique_fd connect_to(const endpoint& where) {
    ::sockaddr_storage address{};
    const ::socklen_t size = where.to_sockaddr(address);
    unique_fd fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), reinterpret_cast<const ::sockaddr*>(&address), size) != 0) {
        fd.reset();
    }
    return fd;
}

/// Whether the other side has closed or reset; waits for it.
bool is_over(const unique_fd& fd) {
    char octet = 0;
    return ::recv(fd.get(), &octet, 1, 0) <= 0;
}

task<> turns(int n = 4) {
    for (int i = 0; i < n; ++i) {
        co_await sleep_for(0s);
    }
}

task<> accept_into(tcp_listener& from, std::optional<result<tcp_stream>>& out) {
    out.emplace(co_await attempt(from.accept()));
}

int option_of(int fd, int level, int name) {
    int value = -1;
    ::socklen_t size = sizeof value;
    REQUIRE(::getsockopt(fd, level, name, &value, &size) == 0);
    return value;
}

/// A directory that goes with its files.
class scratch_directory {
public:
    scratch_directory() { REQUIRE(::mkdtemp(name_) != nullptr); }
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;
    ~scratch_directory() {
        for (const char* name : {"/socket", "/file"}) {
            ::unlink((std::string(name_) + name).c_str());
        }
        ::rmdir(name_);
    }
    [[nodiscard]] std::string path(const char* name) const { return std::string(name_) + name; }

private:
    char name_[32] = "/tmp/flux_listener_XXXXXX";
};

} // namespace

TEST_SUITE("net/listener") {

TEST_CASE("accept yields the connections in the order in which they came") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener listener = listen_on_loopback(r);
            const endpoint where = listener.local_endpoint().value();
            std::vector<unique_fd> clients;
            for (int i = 0; i < 10; ++i) {
                clients.push_back(connect_to(where));
                const char digit = static_cast<char>('0' + i);
                REQUIRE(::send(clients.back().get(), &digit, 1, 0) == 1);
            }
            for (int i = 0; i < 10; ++i) {
                tcp_stream s = co_await listener.accept();
                std::byte octet[1];
                const std::size_t n = co_await s.read_some(octet);
                CHECK(n == 1);
                CHECK(as_text(octet)[0] == '0' + i);
                CHECK(option_of(s.native_handle(), IPPROTO_TCP, TCP_NODELAY) == 1);
                CHECK((::fcntl(s.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
            }
        };
        run(r, body());
    });
}

TEST_CASE("a waiting accept is woken, and one that waits beside it is refused") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            tcp_listener listener = listen_on_loopback(r);
            std::optional<result<tcp_stream>> first;
            scope.spawn(&accept_into, std::ref(listener), std::ref(first));
            co_await turns();
            const auto second = co_await attempt(listener.accept());
            CHECK(second.error().is(errc::overlap));
            CHECK(!first);
            const unique_fd client = connect_to(listener.local_endpoint().value());
            co_await scope.join();
            REQUIRE(first);
            CHECK(first->has_value());
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("connections that nobody takes wait, a few here and the rest in the kernel") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener listener = listen_on_loopback(r);
            const endpoint where = listener.local_endpoint().value();
            std::vector<unique_fd> clients;
            clients.push_back(connect_to(where));
            tcp_stream first = co_await listener.accept(); // accepting is armed now
            const std::size_t before = test_support::open_descriptors().size();
            for (int i = 0; i < 300; ++i) {
                clients.push_back(connect_to(where));
                co_await turns(1);
            }
            co_await turns();
            const std::size_t taken_in = test_support::open_descriptors().size() - before - 300;
            CHECK(taken_in >= 64);
            CHECK(taken_in < 100);
            for (int i = 0; i < 300; ++i) {
                tcp_stream s = co_await listener.accept();
                CHECK(s.is_open());
            }
        };
        run(r, body());
    });
}

TEST_CASE("a queue that is never empty does not grow") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener listener = listen_on_loopback(r);
            const endpoint where = listener.local_endpoint().value();
            std::vector<unique_fd> waiting;
            for (int i = 0; i < 500; ++i) {
                waiting.push_back(connect_to(where));
                const tcp_stream s = co_await listener.accept();
                if (i == 0) {
                    waiting.push_back(connect_to(where)); // from now on one more is always there
                    co_await sleep_for(1ms);
                }
            }
        };
        run(r, body());
    });
}

TEST_CASE("close ends a waiting accept with closed, and closes what was not taken") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            tcp_listener listener = listen_on_loopback(r);
            const endpoint where = listener.local_endpoint().value();
            std::optional<result<tcp_stream>> waiting;
            scope.spawn(&accept_into, std::ref(listener), std::ref(waiting));
            co_await turns();
            listener.close();
            co_await scope.join();
            REQUIRE(waiting);
            CHECK(waiting->error().is(errc::closed));
            const auto after = co_await attempt(listener.accept());
            CHECK(after.error().is(errc::closed));
            CHECK(!connect_to(where).is_open());

            tcp_listener other = listen_on_loopback(r);
            const unique_fd taken = connect_to(other.local_endpoint().value());
            {
                const tcp_stream s = co_await other.accept();
                const unique_fd left = connect_to(other.local_endpoint().value());
                co_await sleep_for(1ms); // it is in the queue of the listener
                other.close();
                co_await turns();
                CHECK(is_over(left));
            }
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a listener may be closed while the accept that it woke has not run yet") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        for (const bool out_of_descriptors : {false, true}) {
            CAPTURE(out_of_descriptors);
            auto body = [&](task_scope& scope) -> task<> {
                tcp_listener listener = listen_on_loopback(r);
                std::optional<result<tcp_stream>> woken;
                scope.spawn(&accept_into, std::ref(listener), std::ref(woken));
                co_await turns();
                // Mail runs between the completion and the coroutine that it made ready.
                ::rlimit limit{};
                const unique_fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                ::sockaddr_storage address{};
                const ::socklen_t size = listener.local_endpoint().value().to_sockaddr(address);
                ::getrlimit(RLIMIT_NOFILE, &limit);
                if (out_of_descriptors) {
                    ::rlimit none = limit;
                    none.rlim_cur = 0;
                    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
                }
                REQUIRE(::connect(client.get(), reinterpret_cast<const ::sockaddr*>(&address), size) == 0);
                r.post([&] { listener.close(); });
                co_await scope.join();
                ::setrlimit(RLIMIT_NOFILE, &limit);
                REQUIRE(woken);
                CHECK(woken->error().is(errc::closed));
                co_await turns();
            };
            run(r, with_scope(body));
        }
    });
}

TEST_CASE("a listener that outlives run() is closed, and may even outlive its reactor") {
    on_each_driver([](const reactor_options& options) {
        std::unique_ptr<tcp_listener> kept;
        {
            reactor r(options);
            auto body = [&]() -> task<> {
                kept = std::make_unique<tcp_listener>(listen_on_loopback(r));
                const unique_fd client = connect_to(kept->local_endpoint().value());
                const tcp_stream s = co_await kept->accept();
            };
            run(r, body());
            auto later = [&]() -> task<> {
                const auto s = co_await attempt(kept->accept());
                CHECK(s.error().is(errc::closed));
                CHECK(!kept->is_open());
            };
            run(r, later());
        }
        kept.reset();
    });
}

TEST_CASE("a listener made before run() works in it") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        tcp_listener listener = listen_on_loopback(r);
        const unique_fd client = connect_to(listener.local_endpoint().value());
        auto body = [&]() -> task<> {
            const tcp_stream s = co_await listener.accept();
            CHECK(s.is_open());
        };
        run(r, body());
    });
}

TEST_CASE("a listener can be moved, and assigning to one closes it") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener a = listen_on_loopback(r);
            const endpoint first = a.local_endpoint().value();
            tcp_listener b = std::move(a);
            CHECK(!a.is_open());
            const unique_fd client = connect_to(first);
            const tcp_stream s = co_await b.accept();
            b = listen_on_loopback(r);
            co_await turns();
            CHECK(!connect_to(first).is_open());
            CHECK(connect_to(b.local_endpoint().value()).is_open());
        };
        run(r, body());
    });
}

TEST_CASE("out of descriptors is an error of one accept; the listener stays usable") {
    on_each_driver([](const reactor_options& options) {
        // In a process of its own: the limit is everybody's. Nothing is checked while there are no descriptors:
        // even UBSan wants one to look at an object.
        const ::pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            ::alarm(test_support::watchdog::limit / 2);
            ::rlimit limit{};
            ::getrlimit(RLIMIT_NOFILE, &limit);
            limit.rlim_cur = 100;
            ::setrlimit(RLIMIT_NOFILE, &limit);
            int status = 1;
            {
                reactor r(options);
                auto body = [&]() -> task<> {
                    tcp_listener listener = listen_on_loopback(r);
                    const endpoint where = listener.local_endpoint().value();
                    const unique_fd first = connect_to(where);
                    tcp_stream early = co_await listener.accept(); // accepting is armed
                    std::vector<unique_fd> clients(6);
                    for (unique_fd& client : clients) {
                        client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                    }
                    std::vector<unique_fd> all_others;
                    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
                        all_others.emplace_back(fd);
                    }
                    ::sockaddr_storage address{};
                    const ::socklen_t size = where.to_sockaddr(address);
                    for (const unique_fd& client : clients) {
                        if (::connect(client.get(), reinterpret_cast<const ::sockaddr*>(&address), size) != 0) {
                            co_return;
                        }
                    }
                    std::vector<tcp_stream> got;
                    for (int failures = 0; failures < 3;) {
                        auto s = co_await attempt(listener.accept());
                        if (s) {
                            got.push_back(*std::move(s)); // the kernel had a descriptor in reserve
                        } else if (s.error().code().value() == EMFILE) {
                            ++failures;
                        } else {
                            co_return;
                        }
                    }
                    all_others.clear();
                    while (got.size() < clients.size()) {
                        got.push_back(co_await listener.accept());
                    }
                    status = 0;
                };
                r.run(body());
            }
            ::_exit(status);
        }
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    });
}

TEST_CASE("a port that is in use is refused with the address in the error") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        const tcp_listener first = listen_on_loopback(r);
        const endpoint where = first.local_endpoint().value();
        const auto second = tcp_listener::listen(r, where);
        REQUIRE(!second);
        CHECK(second.error().code() == std::errc::address_in_use);
        CHECK(second.error().message().find(where.to_string()) != std::string::npos);
        const auto nowhere = tcp_listener::listen(r, endpoint());
        CHECK(nowhere.error().is(errc::invalid_argument));
        auto nothing = []() -> task<> { co_return; };
        run(r, nothing()); // ends `first`
    });
}

TEST_CASE("with reuse_port several listeners share a port, and every connection goes to one of them") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&](task_scope& scope) -> task<> {
            listen_options shared;
            shared.reuse_port = true;
            tcp_listener a = listen_on_loopback(r, shared);
            const endpoint where = a.local_endpoint().value();
            tcp_listener b = tcp_listener::listen(r, where, shared).value();
            int count = 0;
            auto take = [&](tcp_listener& from) -> task<> {
                for (;;) {
                    const auto s = co_await attempt(from.accept());
                    if (!s) {
                        co_return;
                    }
                    ++count;
                }
            };
            scope.spawn(take, std::ref(a));
            scope.spawn(take, std::ref(b));
            std::vector<unique_fd> clients;
            for (int i = 0; i < 40; ++i) {
                clients.push_back(connect_to(where));
                CHECK(clients.back().is_open());
            }
            while (count < 40) {
                co_await sleep_for(1ms);
            }
            scope.stop();
            const auto joined = co_await attempt(scope.join());
            CHECK(joined.has_value());
            CHECK(count == 40);
        };
        run(r, with_scope(body));
    });
}

TEST_CASE("a port alone means both versions of IP, [::] only IPv6") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener both = tcp_listener::listen(r, endpoint::any(0)).value();
            const std::uint16_t port = both.local_endpoint().value().port();
            const unique_fd v4 = connect_to(endpoint::loopback(port));
            CHECK(v4.is_open());
            tcp_stream s = co_await both.accept();
            const endpoint from = s.peer_endpoint().value().unmapped();
            CHECK(from.family() == address_family::ipv4);
            const endpoint local6 = endpoint::parse("[::1]:0").value();
            if (tcp_listener::listen(r, local6)) { // this machine has IPv6
                const unique_fd v6 = connect_to(local6.with_port(port));
                CHECK(v6.is_open());
                tcp_stream t = co_await both.accept();
                CHECK(t.peer_endpoint().value().family() == address_family::ipv6);

                tcp_listener six = tcp_listener::listen(r, endpoint::parse("[::]:0").value()).value();
                const std::uint16_t other = six.local_endpoint().value().port();
                CHECK(connect_to(local6.with_port(other)).is_open());
                CHECK(!connect_to(endpoint::loopback(other)).is_open());
            }
        };
        run(r, body());
    });
}

TEST_CASE("a socket file that nobody listens on is replaced, one in use and other files are not") {
    on_each_driver([](const reactor_options& options) {
        const scratch_directory directory;
        reactor r(options);
        auto body = [&]() -> task<> {
            const endpoint where = endpoint::parse("unix:" + directory.path("/socket")).value();
            {
                unix_listener crashed = unix_listener::listen(r, where).value();
                crashed.close(); // leaves its file, as a program that was killed does
                co_await turns();
            }
            unix_listener listener = unix_listener::listen(r, where).value();
            unix_stream client = co_await unix_connect(where);
            unix_stream s = co_await listener.accept();
            co_await client.write_all(as_octets("hi"));
            std::byte room[4];
            const std::size_t n = co_await s.read_some(room);
            CHECK(n == 2);
            CHECK(s.peer_credentials().value().pid == ::getpid());

            const auto second = unix_listener::listen(r, where);
            REQUIRE(!second);
            CHECK(second.error().code() == std::errc::address_in_use);

            const std::string file = directory.path("/file");
            const unique_fd made(::open(file.c_str(), O_CREAT | O_CLOEXEC | O_WRONLY, 0600));
            REQUIRE(made.is_open());
            const auto over_file = unix_listener::listen(r, endpoint::parse("unix:" + file).value());
            CHECK(!over_file);
            struct ::stat info {};
            CHECK(::stat(file.c_str(), &info) == 0);
            CHECK(S_ISREG(info.st_mode));
        };
        run(r, body());
    });
}

TEST_CASE("abstract Unix sockets need no file") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            const std::string name = "unix:@flux_listener_test_" + std::to_string(::getpid());
            const endpoint where = endpoint::parse(name).value();
            unix_listener listener = unix_listener::listen(r, where).value();
            CHECK(listener.local_endpoint().value() == where);
            unix_stream client = co_await unix_connect(where);
            const unix_stream s = co_await listener.accept();
            CHECK(s.is_open());
        };
        run(r, body());
    });
}

TEST_CASE("a descriptor that listens already can be taken over") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto fd = tcp_listener::open(endpoint::loopback(0), listen_options());
        REQUIRE(fd.has_value());
        auto body = [&]() -> task<> {
            tcp_listener listener(r, *std::move(fd));
            const unique_fd client = connect_to(listener.local_endpoint().value());
            const tcp_stream s = co_await listener.accept();
            CHECK(s.is_open());
        };
        run(r, body());
    });
}

TEST_CASE("taking connections that are there already lets others run in between") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener listener = listen_on_loopback(r);
            const endpoint where = listener.local_endpoint().value();
            std::vector<unique_fd> clients;
            clients.reserve(300);
            for (int i = 0; i < 300; ++i) {
                clients.push_back(connect_to(where));
            }
            const std::uint64_t before = r.turns();
            for (int i = 0; i < 300; ++i) {
                const tcp_stream s = co_await listener.accept();
            }
            CHECK(r.turns() - before >= 300 / scheduler::inline_budget);
        };
        run(r, body());
    });
}

TEST_CASE("a listener that accepts no more yields what was accepted, then fails") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto scenario = [](reactor* home) -> task<> {
            auto listener = tcp_listener::listen(*home, endpoint::loopback(0)).value();
            const endpoint where = listener.local_endpoint().value();
            auto first = co_await tcp_connect(where);
            auto taken = co_await listener.accept(); // from here on accepting goes on by itself
            auto second = co_await tcp_connect(where);
            auto third = co_await tcp_connect(where);
            co_await turns(8);
            listener.stop_accepting();
            std::size_t more = 0;
            for (;;) {
                auto stream = co_await attempt(listener.accept());
                if (!stream) {
                    CHECK(stream.error().is(errc::closed));
                    break;
                }
                ++more;
            }
            CHECK(more == 2);
            auto again = co_await attempt(listener.accept());
            CHECK((!again && again.error().is(errc::closed)));
            CHECK(listener.is_open());
        };
        run(r, scenario(&r));
    });
}

TEST_CASE("a listener that accepts no more still yields what waits in the kernel, which nobody has looked at") {
    on_each_driver([](const reactor_options& options) {
        for (const bool armed : {false, true}) {
            CAPTURE(armed);
            reactor r(options);
            auto body = [&]() -> task<> {
                tcp_listener listener = listen_on_loopback(r);
                const endpoint where = listener.local_endpoint().value();
                if (armed) {
                    const unique_fd first = connect_to(where);
                    auto taken = co_await listener.accept(); // from here on accepting goes on by itself
                }
                const unique_fd second = connect_to(where);
                const unique_fd third = connect_to(where);
                listener.stop_accepting();
                int more = 0;
                auto stream = co_await attempt(listener.accept());
                for (; stream; ++more) {
                    stream = co_await attempt(listener.accept());
                }
                CHECK(stream.error().is(errc::closed));
                CHECK(more == 2);
                const unique_fd late = connect_to(where);
                listener.stop_accepting(); // once more changes nothing
                stream = co_await attempt(listener.accept());
                CHECK((!stream && stream.error().is(errc::closed)));
            };
            run(r, body());
        }
    });
}

TEST_CASE("an accept that waits when its listener accepts no more fails with closed") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener listener = listen_on_loopback(r);
            auto stop = [&]() -> task<> {
                co_await turns(3);
                listener.stop_accepting();
            };
            auto ctx = co_await this_context();
            task_scope scope(ctx);
            scope.spawn(stop());
            auto stream = co_await attempt(listener.accept());
            CHECK((!stream && stream.error().is(errc::closed)));
            co_await scope.join();
        };
        run(r, body());
    });
}

TEST_CASE("a stopped context accepts nothing, not even what has come; the next accept gets it") {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            tcp_listener listener = listen_on_loopback(r);
            const endpoint where = listener.local_endpoint().value();
            const unique_fd first = connect_to(where);
            auto taken = co_await listener.accept();
            const unique_fd second = connect_to(where);
            co_await turns(5); // it is in the queue of the listener
            auto ctx = co_await this_context();
            task_scope scope(ctx, scope_policy::collect);
            scope.stop(stop_reason::shutdown);
            auto under_stop = [&]() -> task<> {
                auto stream = co_await attempt(listener.accept());
                CHECK((!stream && stream.error().is(errc::shutdown)));
            };
            scope.spawn(under_stop());
            auto joined = co_await attempt(scope.join());
            ignore_result(joined, "it was stopped");
            auto stream = co_await attempt(listener.accept());
            CHECK(stream);
        };
        run(r, body());
    });
}

} // TEST_SUITE
