// SPDX-License-Identifier: MIT
// flux/net/socket.hpp - system calls on sockets that do not wait: open, bind, options, names.
//
// Deliberately not here: anything that suspends (socket_ops.hpp, connect.hpp, listener.hpp).
#pragma once

#include <flux/core/result.hpp>
#include <flux/io/unique_fd.hpp>
#include <flux/net/endpoint.hpp>

#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI {

namespace detail {

[[nodiscard]] inline failure last_error(const char* doing) { return fail(error::from_errno(errno).doing(doing)); }

/// A socket of the endpoint's family, in blocking mode (the ring wants it so) and close-on-exec.
[[nodiscard]] inline result<unique_fd> open_socket(const endpoint& where, int type) {
    int domain = AF_UNIX;
    if (where.family() == address_family::ipv4) {
        domain = AF_INET;
    } else if (where.family() == address_family::ipv6) {
        domain = AF_INET6;
    } else if (where.family() == address_family::none) {
        return fail(error(errc::invalid_argument).doing("socket: the endpoint is empty"));
    }
    unique_fd fd(::socket(domain, type | SOCK_CLOEXEC, 0));
    if (!fd) {
        return last_error("socket");
    }
    return fd;
}

[[nodiscard]] inline result<void> set_option(int fd, int level, int name, int value, const char* what) {
    if (::setsockopt(fd, level, name, &value, sizeof value) != 0) {
        return last_error(what);
    }
    return {};
}

[[nodiscard, gnu::cold]] inline result<void> bind_socket(int fd, const endpoint& where) {
    ::sockaddr_storage address{};
    const ::socklen_t size = where.to_sockaddr(address);
    if (::bind(fd, reinterpret_cast<const ::sockaddr*>(&address), size) != 0) {
        return fail(error::from_errno(errno).doing("bind " + where.to_string()));
    }
    return {};
}

[[nodiscard]] inline result<endpoint> name_of(int fd, int (*get)(int, ::sockaddr*, ::socklen_t*)) {
    ::sockaddr_storage address{};
    ::socklen_t size = sizeof address;
    if (get(fd, reinterpret_cast<::sockaddr*>(&address), &size) != 0) {
        return last_error("socket name");
    }
    return endpoint::from_sockaddr(address, size);
}

/// Removes a socket file that nobody listens on any more. A file that is no socket is left alone.
[[gnu::cold]] inline void remove_stale_socket_file(const endpoint& where) {
    if (where.family() != address_family::local || where.is_abstract()) {
        return;
    }
    ::sockaddr_storage address{};
    const ::socklen_t size = where.to_sockaddr(address);
    const std::string path(where.path());
    struct ::stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) {
        return;
    }
    const unique_fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (probe && ::connect(probe.get(), reinterpret_cast<const ::sockaddr*>(&address), size) != 0 &&
        errno == ECONNREFUSED) {
        ::unlink(path.c_str());
    }
}

} // namespace detail
} // namespace flux::inline FLUX_ABI
