// SPDX-License-Identifier: MIT
#include <flux/net/inherited.hpp> // also proves the header is self-contained

#include <flux/net/listener.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace flux;

namespace {

// Runs `check` in a child that has `handed` as descriptor 3 and the environment of one that inherits it.
template <class F>
int in_child(int handed, const char* count, bool own_pid, F check) {
    const ::pid_t child = ::fork();
    if (child == 0) {
        ::dup2(handed, 3);
        ::fcntl(3, F_SETFD, 0);
        ::setenv("LISTEN_FDS", count, 1);
        ::setenv("LISTEN_PID", std::to_string(own_pid ? ::getpid() : 1).c_str(), 1);
        ::_exit(check() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} // namespace

TEST_SUITE_BEGIN("net/inherited");

TEST_CASE("a socket that was handed on is found by where it listens, once") {
    const auto listening = tcp_listener::open(endpoint::loopback(0), listen_options());
    REQUIRE(listening);
    const endpoint where = detail::name_of(listening->get(), &::getsockname).value();
    const int fd = listening->get();
    CHECK(in_child(fd, "1", true, [&] {
              unique_fd first = inherited_listener(where);
              const bool again = static_cast<bool>(inherited_listener(where));
              const bool marked = (::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0;
              const bool is_it = first.get() == 3;
              return is_it && !again && marked;
          }) == 0);
    CHECK(in_child(fd, "1", true, [&] { return inherited_listener(endpoint::loopback(0)).get() == 3; }) == 0);
    CHECK(in_child(fd, "1", true, [&] { return !inherited_listener(endpoint::loopback(1)); }) == 0);
    CHECK(in_child(fd, "1", true, [&] { return !inherited_listener(endpoint::parse("unix:/x").value()); }) == 0);
}

TEST_CASE("an environment that is not meant for this process hands on nothing") {
    const auto listening = tcp_listener::open(endpoint::loopback(0), listen_options());
    REQUIRE(listening);
    const endpoint where = detail::name_of(listening->get(), &::getsockname).value();
    const int fd = listening->get();
    CHECK(in_child(fd, "1", false, [&] { return !inherited_listener(where); }) == 0);
    for (const char* const count : {"0", "-1", "", "x", "1x", "99999999999"}) {
        CHECK(in_child(fd, count, true, [&] { return !inherited_listener(where); }) == 0);
    }
    CHECK_FALSE(inherited_listener(where));
}

TEST_CASE("a descriptor that does not listen is left alone") {
    const unique_fd plain(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(in_child(plain.get(), "3", true, [&] {
              const bool none = !inherited_listener(endpoint::any(0));
              return none && (::fcntl(3, F_GETFD) & FD_CLOEXEC) == 0;
          }) == 0);
}

TEST_SUITE_END();
