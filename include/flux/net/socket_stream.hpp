// SPDX-License-Identifier: MIT
// flux/net/socket_stream.hpp - the buffered_stream over a connected stream socket: tcp_stream and unix_stream.
//
// Owns the connection. Does not retry and knows no HTTP or TLS. Deliberately not here: names (resolve),
// how a connection comes to be (connect.hpp, listener.hpp), timeouts (the context).
#pragma once

#include <flux/core/vacate.hpp>
#include <flux/net/socket.hpp>
#include <flux/net/send_file.hpp>
#include <flux/net/socket_ops.hpp>

#include <cstdint>
#include <utility>

#include <linux/sockios.h>
#include <sys/ioctl.h>

namespace flux::inline FLUX_ABI {

namespace detail {

/// Params  written  octets that the kernel has taken of all writes that have ended
[[nodiscard, gnu::cold]] inline std::uint64_t octets_acknowledged(int fd, std::uint64_t written) noexcept {
    // The kernel's struct tcp_info up to tcpi_bytes_acked (Linux 4.1), which the C library's does not have.
    std::uint64_t info[16];
    ::socklen_t size = sizeof info;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0 && size == sizeof info) {
        return info[15];
    }
    int waiting = 0;
    if (::ioctl(fd, SIOCOUTQ, &waiting) != 0) {
        return 0;
    }
    const auto unread = static_cast<std::uint64_t>(waiting);
    return written > unread ? written - unread : 0;
}

} // namespace detail

/// A connected stream socket of one reactor.
///
/// Movable while no operation is in flight. Destruction closes: what was written is delivered by the kernel,
/// what was received and not read makes the kernel send a reset.
/// Threads  the thread of its reactor.  Cost  one block from the frame pool per connection.
class socket_stream {
public:
    /// Options that every new connection gets; accepted ones inherit them from the listener. Small writes are sent
    /// at once (TCP_NODELAY), as request and answer protocols want it.
    [[nodiscard]] static result<void> prepare(int fd, const endpoint& peer) {
        return peer.is_ip() ? detail::set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY") : result<void>();
    }

    /// A closed stream.
    socket_stream() noexcept = default;
    /// Takes a connected descriptor in blocking mode.
    socket_stream(reactor& home, unique_fd fd) : core_(new detail::socket_core(home, std::move(fd))) {}
    socket_stream(socket_stream&& other) noexcept : core_(detail::vacate(other.core_)) {}
    socket_stream& operator=(socket_stream&& other) noexcept {
        if (this != &other) {
            close();
            core_ = detail::vacate(other.core_);
        }
        return *this;
    }
    ~socket_stream() { close(); }

    /// Reads 1 to out.size() octets; 0 is the end of the stream.
    /// Params   out  borrowed until the operation ends.
    /// Errors   ECONNRESET and other errors of the kernel; errc::closed, errc::overlap; the context's reason.
    /// Cancel   at once; no octet is lost.
    /// Overlap  one read and one write may be in flight.
    /// Cost     a copy from the shared receive buffer; no system call if octets are queued.
    [[nodiscard]] detail::read_some_op read_some(mutable_buffer out) noexcept { return {core_, out}; }

    /// Reads what arrived, in its own buffer, without a copy. Empty is the end of the stream. Otherwise as
    /// read_some. Give the buffer back soon: all connections of the reactor share them.
    [[nodiscard]] detail::receive_op receive() noexcept { return detail::receive_op(core_); }

    /// Hands all octets to the kernel.
    /// Params   in    borrowed until the operation ends.
    /// Errors   EPIPE, ECONNRESET ...; errc::closed, errc::overlap; the context's reason. After an error or a
    ///          stop in mid-write it is unknown how much went out: close the stream.
    /// Cost     one system call, or a share of the turn's one.
    [[nodiscard]] detail::write_op write_all(const_buffer in) noexcept { return {core_, in}; }
    /// The same for several buffers, up to 8 per system call. The list itself is borrowed too.
    [[nodiscard]] detail::gather_op write_all(std::span<const const_buffer> list) noexcept { return {core_, list}; }

    /// Hands octets of a file to the kernel without a copy through user space, once there is room for any; `before`
    /// goes out ahead of them, whole, in the same segment if it fits.
    /// Params   before  borrowed until the operation ends; may be empty.
    ///          file    a regular file, borrowed; its own position does not matter and does not change. Octets that
    ///                  are not in memory are waited for: the reactor stands still meanwhile.
    ///          size    the most to send; 0 sends only `before`.
    /// Returns  how many octets of the file went out, 1 to `size`; 0 where the file ends.
    /// Errors   as write_all. After an error, or 0, it is unknown how much of `before` went out.
    /// Cancel   a stop that comes before any octet of the file fails; the stream cannot be used then.
    /// Cost     three system calls, two more for the first file of a stream.
    [[nodiscard]] detail::send_file_op send_file(const_buffer before, int file, std::uint64_t at, std::size_t size) noexcept {
        return {core_, before, file, at, size};
    }
    /// Hands over what the kernel takes now, without waiting: for a farewell before close().
    /// Returns  how many octets that was; 0 also while a write is in flight, and after an error.
    [[nodiscard]] std::size_t try_write(const_buffer octets) noexcept {
        if (!is_open() || octets.empty() || !core_->begin_write()) {
            return 0;
        }
        const ::ssize_t n = ::send(core_->fd(), octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        core_->end_write();
        return n < 0 ? 0 : static_cast<std::size_t>(n);
    }

    /// Sends FIN after what was written; the peer's octets can still be read.
    [[nodiscard]] result<void> shutdown_write() noexcept {
        if (!is_open()) {
            return fail(errc::closed);
        }
        if (::shutdown(core_->fd(), SHUT_WR) != 0) {
            return fail(error::from_errno(errno));
        }
        return {};
    }

    /// Closes. No operation may be in flight.
    void close() noexcept {
        if (core_ != nullptr) {
            detail::vacate(core_)->close();
        }
    }
    /// Closes with a reset: the peer learns that the exchange did not end well, and nothing lingers.
    void abort() noexcept {
        if (core_ != nullptr) {
            const ::linger now{1, 0};
            ::setsockopt(core_->fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
            close();
        }
    }
    /// False after close(), for a moved-from stream, and when run() of its reactor has ended.
    [[nodiscard]] bool is_open() const noexcept { return detail::usable(core_) != nullptr; }

    /// `listener` is told once when the peer resets or ends the connection while no read is in flight, also
    /// if octets wait to be read. nullptr ends the watch. May be told inside this call.
    void watch_hangup(hangup_listener* listener) noexcept {
        if (core_ != nullptr) {
            core_->watch_hangup(listener);
        }
    }
    /// As watch_hangup, and also told when octets arrive or are there already: for a connection on which nothing may
    /// come until something was asked. nullptr ends either watch.
    void watch_input(hangup_listener* listener) noexcept {
        if (core_ != nullptr) {
            core_->watch_hangup(listener, true);
        }
    }

    /// Whether octets, the end or a failure have come and wait to be read. Cost: no system call.
    [[nodiscard]] bool has_input() const noexcept { return core_ != nullptr && core_->has_input(); }

    /// Octets of what was written that the peer has acknowledged: how far a write that takes long has come, also while
    /// it lasts. TCP counts the opening of the connection as an octet where it was made, and its end. A Unix socket
    /// gives the kernel's own measure of what was read, which is exact only when nothing is left.
    /// Cost  one system call.
    [[nodiscard]] std::uint64_t octets_acknowledged() const noexcept {
        return is_open() ? detail::octets_acknowledged(core_->fd(), core_->written()) : 0;
    }

    /// Takes octets that have come already, as receive() does, without waiting. Empty: there are none, or only the end
    /// or a failure is left; also while a read is in flight.
    [[nodiscard]] received try_receive() {
        const bool any = is_open() && !core_->is_reading() && core_->rx().has_octets();
        return any ? core_->take_octets() : received();
    }

    /// The descriptor, for options; -1 when closed. Do not read, write or close it.
    [[nodiscard]] int native_handle() const noexcept { return core_ == nullptr ? -1 : core_->fd(); }
    [[nodiscard]] result<endpoint> local_endpoint() const { return detail::name_of(native_handle(), &::getsockname); }
    [[nodiscard]] result<endpoint> peer_endpoint() const { return detail::name_of(native_handle(), &::getpeername); }

protected:
    /// For octets_acknowledged() where the kernel does not count.
    void send_in_parts() noexcept { core_->send_in_parts(); }

private:
    detail::socket_core* core_ = nullptr;
};

/// A TCP connection.
class tcp_stream : public socket_stream {
public:
    using socket_stream::socket_stream;
};

/// A connection over a Unix stream socket.
class unix_stream : public socket_stream {
public:
    unix_stream() noexcept = default;
    unix_stream(reactor& home, unique_fd fd) : socket_stream(home, std::move(fd)) { send_in_parts(); }

    /// Who connected: process, user and group as the kernel saw them at connect time.
    [[nodiscard]] result<::ucred> peer_credentials() const {
        ::ucred who{};
        ::socklen_t size = sizeof who;
        if (::getsockopt(native_handle(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) {
            return detail::last_error("SO_PEERCRED");
        }
        return who;
    }
};

static_assert(buffered_stream<socket_stream> && buffered_stream<tcp_stream> && buffered_stream<unix_stream>);

} // namespace flux::inline FLUX_ABI
