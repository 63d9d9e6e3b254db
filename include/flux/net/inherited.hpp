// SPDX-License-Identifier: MIT
// flux/net/inherited.hpp - listening sockets that the process got from who started it.
//
//   LISTEN_PID = our process id, LISTEN_FDS = n  ->  descriptors 3 to 3 + n - 1 listen already
//
// The protocol of systemd, and of every program that starts its own successor: a socket that is handed on keeps its
// queue, so that no connection is refused while one process takes the place of another. Deliberately not here:
// starting that process.
#pragma once

#include <flux/net/socket.hpp>

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI {

namespace detail {

// A whole number of the environment; -1 if there is none.
[[nodiscard, gnu::cold]] inline int environment_number(const char* name) noexcept {
    const char* const text = ::getenv(name);
    if (text == nullptr) {
        return -1;
    }
    const std::string_view digits(text);
    int n = -1;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    return read.ec == std::errc() && read.ptr == digits.data() + digits.size() ? n : -1;
}

[[nodiscard]] inline bool is_same_place(const endpoint& name, const endpoint& where) {
    if (name == where || (where.is_ip() && where.port() == 0 && name.with_port(0) == where)) {
        return true;
    }
    return where.is_dual_stack() && name == endpoint::ipv4({0, 0, 0, 0}, where.port());
}

} // namespace detail

/// A stream socket that was handed to this process and listens on `where`; an empty descriptor if there is none, or
/// none is left: each is given out once.
///
/// Params   where  port 0 fits any port of that address; ":8080" fits 0.0.0.0, too.
/// Threads  not while another thread changes the environment.
/// A socket that was taken is marked close-on-exec, and that is also how this knows.
[[nodiscard, gnu::cold]] inline unique_fd inherited_listener(const endpoint& where) {
    constexpr int first = 3;
    const int count = detail::environment_number("LISTEN_FDS");
    if (count <= 0 || detail::environment_number("LISTEN_PID") != ::getpid()) {
        return unique_fd();
    }
    for (int fd = first; fd < first + count; ++fd) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC) != 0) {
            continue;
        }
        int value = 0;
        ::socklen_t size = sizeof value;
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) != 0 || value == 0) {
            continue;
        }
        size = sizeof value;
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) != 0 || value != SOCK_STREAM) {
            continue;
        }
        const auto name = detail::name_of(fd, &::getsockname);
        if (name && detail::is_same_place(*name, where) && ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == 0) {
            return unique_fd(fd);
        }
    }
    return unique_fd();
}

} // namespace flux::inline FLUX_ABI
