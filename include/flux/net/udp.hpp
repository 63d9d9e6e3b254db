// SPDX-License-Identifier: MIT
// flux/net/udp.hpp - datagrams.
#pragma once

#include <flux/io/io_state.hpp>
#include <flux/net/socket.hpp>
#include <flux/net/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

#include <sys/uio.h>

namespace flux::inline FLUX_ABI {

/// One datagram that arrived.
class datagram {
public:
    datagram(std::size_t n, const endpoint& from, bool cut) noexcept : size(n), peer(from), truncated(cut) {}
    std::size_t size;  ///< octets in the buffer; 0 is a valid datagram
    endpoint peer;     ///< who sent it
    bool truncated;    ///< it was longer than the buffer; the rest is lost
};

namespace detail {

class receive_from_state;
class send_to_state;

class [[nodiscard]] receive_from_op {
public:
    using value_type = datagram;
    using state_type = receive_from_state;
    receive_from_op(int fd, mutable_buffer out) noexcept : fd_(fd), out_(out) {}

private:
    friend class receive_from_state;
    int fd_;
    mutable_buffer out_;
};

class message_state : public io_state {
protected:
    message_state(context_node& ctx, io_kind kind, int fd, void* memory, std::size_t length) noexcept
        : io_state(ctx, kind, fd) {
        piece_.iov_base = memory;
        piece_.iov_len = length;
        header_.msg_iov = &piece_;
        header_.msg_iovlen = 1;
        io_op::data = &header_;
    }
    ::msghdr header_{};
    ::sockaddr_storage address_{};

private:
    ::iovec piece_{};
};

class receive_from_state : public message_state {
public:
    receive_from_state(receive_from_op op, context_node& ctx) noexcept
        : message_state(ctx, io_kind::recv_message, op.fd_, op.out_.data(), op.out_.size()) {
        header_.msg_name = &address_;
        header_.msg_namelen = sizeof address_;
    }
    [[nodiscard]] result<datagram> take() const {
        const auto n = outcome();
        if (!n) {
            return fail(n.error());
        }
        auto from = endpoint::from_sockaddr(address_, header_.msg_namelen);
        return datagram(static_cast<std::size_t>(*n), from ? *from : endpoint(), (header_.msg_flags & MSG_TRUNC) != 0);
    }
};

class [[nodiscard]] send_to_op {
public:
    using value_type = void;
    using state_type = send_to_state;
    send_to_op(int fd, const_buffer in, const endpoint& to) noexcept : fd_(fd), in_(in), to_(to) {}

private:
    friend class send_to_state;
    int fd_;
    const_buffer in_;
    endpoint to_;
};

class send_to_state : public message_state {
public:
    send_to_state(send_to_op op, context_node& ctx) noexcept
        : message_state(ctx, io_kind::send_message, op.fd_, const_cast<std::byte*>(op.in_.data()), op.in_.size()) {
        header_.msg_namelen = op.to_.to_sockaddr(address_);
        header_.msg_name = header_.msg_namelen == 0 ? nullptr : &address_;
    }
    [[nodiscard]] result<void> take() const {
        const auto n = outcome();
        if (!n) {
            return fail(n.error());
        }
        return {};
    }
};

} // namespace detail

/// A UDP socket. Any number of operations may be in flight; datagrams are whole or not at all.
/// Threads  the thread of its reactor.
class udp_socket {
public:
    udp_socket() noexcept = default;
    udp_socket(udp_socket&& other) noexcept : home_(other.home_), fd_(std::move(other.fd_)) {}
    udp_socket& operator=(udp_socket&& other) noexcept {
        if (this != &other) {
            close();
            home_ = other.home_;
            fd_ = std::move(other.fd_);
        }
        return *this;
    }
    ~udp_socket() { close(); }

    /// A socket bound to `where`; port 0 lets the kernel choose.
    [[nodiscard]] static result<udp_socket> bind(reactor& home, const endpoint& where) {
        auto fd = detail::open_socket(where, SOCK_DGRAM);
        if (!fd) {
            return fail(std::move(fd).error());
        }
        if (auto r = detail::bind_socket(fd->get(), where); !r) {
            return fail(std::move(r).error());
        }
        return udp_socket(home, *std::move(fd));
    }
    /// A socket that talks to one peer only: others' datagrams are dropped by the kernel, and errors such as
    /// ECONNREFUSED are reported. Does not send anything.
    [[nodiscard]] static result<udp_socket> connect(reactor& home, const endpoint& peer) {
        auto fd = detail::open_socket(peer, SOCK_DGRAM);
        if (!fd) {
            return fail(std::move(fd).error());
        }
        ::sockaddr_storage address{};
        const ::socklen_t size = peer.to_sockaddr(address);
        if (::connect(fd->get(), reinterpret_cast<const ::sockaddr*>(&address), size) != 0) {
            return fail(error::from_errno(errno).doing("connect " + peer.to_string()));
        }
        return udp_socket(home, *std::move(fd));
    }

    /// The next datagram. Params: out  borrowed until the operation ends.
    /// Errors  errors of the kernel; the context's reason. Cancel  no datagram is lost.
    [[nodiscard]] detail::receive_from_op receive_from(mutable_buffer out) noexcept { return {fd_.get(), out}; }
    /// Sends one datagram; EMSGSIZE if it is too long.
    [[nodiscard]] detail::send_to_op send_to(const_buffer in, const endpoint& to) noexcept { return {fd_.get(), in, to}; }
    /// Sends to the connected peer.
    [[nodiscard]] detail::send_to_op send(const_buffer in) noexcept { return {fd_.get(), in, endpoint()}; }

    /// Closes. No operation may be in flight.
    void close() noexcept {
        if (fd_) {
            home_->driver().forget(fd_.get());
            fd_.reset();
        }
    }
    [[nodiscard]] bool is_open() const noexcept { return fd_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return fd_.get(); }
    [[nodiscard]] result<endpoint> local_endpoint() const { return detail::name_of(fd_.get(), &::getsockname); }

private:
    udp_socket(reactor& home, unique_fd fd) noexcept : home_(&home), fd_(std::move(fd)) {}

    reactor* home_ = nullptr;
    unique_fd fd_;
};

} // namespace flux::inline FLUX_ABI
