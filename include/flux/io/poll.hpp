// SPDX-License-Identifier: MIT
// flux/io/poll.hpp - waiting for a descriptor of the user's to become ready, and reading or writing it.
#pragma once

#include <flux/io/io_state.hpp>

#include <cstddef>
#include <span>

#include <poll.h>

namespace flux::inline FLUX_ABI {

namespace detail {

class poll_state;
class transfer_state;

class [[nodiscard]] poll_op {
public:
    using value_type = unsigned;
    using state_type = poll_state;
    poll_op(int fd, unsigned events) noexcept : fd_(fd), events_(events) {}

private:
    friend class poll_state;
    int fd_;
    unsigned events_;
};

class poll_state : public io_state {
public:
    poll_state(poll_op op, context_node& ctx) noexcept : io_state(ctx, io_kind::poll, op.fd_) { events = op.events_; }
    [[nodiscard]] result<unsigned> take() const noexcept {
        const auto r = outcome();
        if (!r) {
            return fail(r.error());
        }
        return static_cast<unsigned>(*r);
    }
};

class [[nodiscard]] transfer_op {
public:
    using value_type = std::size_t;
    using state_type = transfer_state;
    transfer_op(io_kind kind, int fd, void* data, std::size_t size) noexcept
        : data_(data), size_(size), fd_(fd), kind_(kind) {}

private:
    friend class transfer_state;
    void* data_;
    std::size_t size_;
    int fd_;
    io_kind kind_;
};

class transfer_state : public io_state {
public:
    transfer_state(transfer_op op, context_node& ctx) noexcept : io_state(ctx, op.kind_, op.fd_) {
        data = op.data_;
        size = op.size_;
    }
    [[nodiscard]] result<std::size_t> take() const noexcept {
        const auto r = outcome();
        if (!r) {
            return fail(r.error());
        }
        return static_cast<std::size_t>(*r);
    }
};

} // namespace detail

/// Waits until poll(2) `events` (POLLIN, POLLOUT, POLLRDHUP ...) are ready on `fd`; yields the ready ones,
/// POLLERR and POLLHUP included.
/// Params  fd  borrowed; must stay open until the operation ends.
[[nodiscard]] inline detail::poll_op poll_fd(int fd, unsigned events) noexcept { return {fd, events}; }
[[nodiscard]] inline detail::poll_op readable(int fd) noexcept { return {fd, POLLIN}; }
[[nodiscard]] inline detail::poll_op writable(int fd) noexcept { return {fd, POLLOUT}; }

/// Reads at most out.size() octets from a pipe, terminal, eventfd or file at its own position; 0 at the end.
/// Params  fd  borrowed, in blocking mode.  out  stays valid until the operation ends.
[[nodiscard]] inline detail::transfer_op read_fd(int fd, std::span<std::byte> out) noexcept {
    return {detail::io_kind::read, fd, out.data(), out.size()};
}
/// Writes at most in.size() octets; yields how many were taken.
[[nodiscard]] inline detail::transfer_op write_fd(int fd, std::span<const std::byte> in) noexcept {
    return {detail::io_kind::write, fd, const_cast<std::byte*>(in.data()), in.size()};
}

} // namespace flux::inline FLUX_ABI
