// SPDX-License-Identifier: MIT
// flux/io/epoll_driver.hpp - the driver for machines where io_uring is blocked: level-triggered epoll and
// non-blocking system calls behind the same operations.
//
// Ops wait in a list per descriptor; the registered events are the union of what they need, so a connection
// that only receives is registered once. A descriptor without ops is not registered at all: EPOLLHUP cannot
// be masked and would spin. Deliberately not here: speculative receives.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/time.hpp>
#include <flux/io/driver.hpp>
#include <flux/io/unique_fd.hpp>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::detail {

static_assert(EAGAIN == EWOULDBLOCK);

class epoll_driver final : public driver, private buffer_pool::sink {
public:
    epoll_driver(std::uint32_t buffer_count, std::uint32_t buffer_size)
        : epoll_(::epoll_create1(EPOLL_CLOEXEC)), pool_(buffer_count, buffer_size, *this) {
        free_.reserve(buffer_count);
        for (std::uint32_t id = buffer_count; id > 0; --id) {
            free_.push_back(id - 1);
        }
    }

    [[nodiscard]] bool is_open() const noexcept { return epoll_.get() >= 0; }

    void start(io_op& op) noexcept override {
        op.mark_started();
        ++in_flight_;
        if (op.fd() < 0) {
            complete_later(op, -EBADF);
            return;
        }
        if (op.kind() == io_kind::connect || op.kind() == io_kind::accept) {
            set_nonblocking(op.fd()); // the ring wants blocking descriptors, so only these two are changed
        }
        if (op.kind() == io_kind::connect) {
            const int r = ::connect(op.fd(), static_cast<const ::sockaddr*>(op.data), static_cast<::socklen_t>(op.size));
            if (r == 0 || errno != EINPROGRESS) {
                complete_later(op, r == 0 ? 0 : -errno);
                return;
            }
        } else if (tries_first(op.kind())) {
            const int r = perform(op, false);
            if (r != -EAGAIN) {
                complete_later(op, r);
                return;
            }
        }
        entry& e = at(op.fd());
        op.next = e.ops;
        e.ops = &op;
        const int failed = update(op.fd());
        if (failed != 0) {
            unlink(op);
            complete_later(op, failed == EPERM ? perform_on_file(op) : -failed);
        }
    }

    void cancel(io_op& op) noexcept override {
        if (!op.in_flight() || op.pending) {
            return;
        }
        unlink(op);
        std::ignore = update(op.fd());
        // a send that went out in part says how much, as the ring does
        complete_later(op, op.kind() == io_kind::send && op.pending_result > 0 ? op.pending_result : -ECANCELED);
    }

    std::size_t wait(time_point now, time_point deadline) noexcept override {
        ++stats_.waits;
        const std::uint64_t before = stats_.completions;
        const bool starving = pool_.retry_starved();
        ::epoll_event events[batch];
        const int n = poll_kernel(events, starving || pending_ != nullptr ? now : deadline, now);
        deliver_pending();
        for (int i = 0; i < n; ++i) {
            dispatch(events[i].data.fd, events[i].events);
        }
        deliver_pending();
        return stats_.completions - before;
    }

    void forget(int fd) noexcept override {
        const auto index = static_cast<std::size_t>(fd);
        if (index < table_.size()) {
            FLUX_ASSERT(table_[index].ops == nullptr, "a descriptor was closed while operations on it were in flight");
            std::ignore = update(fd);
        }
    }

    [[nodiscard]] bool batches_sends() const noexcept override { return false; }
    [[nodiscard]] buffer_pool& buffers() noexcept override { return pool_; }
    [[nodiscard]] const char* name() const noexcept override { return "epoll"; }

private:
    static constexpr int batch = 256;      // events per epoll_wait: bounds the stack and one turn's work
    static constexpr int accept_burst = 64; // accepted per event: other descriptors get their turn
    static constexpr int accept_last_burst = 4096; // what a backlog holds

    struct entry {
        io_op* ops = nullptr;
        std::uint32_t registered = 0;
    };

    void buffer_free(std::uint32_t id) noexcept override { free_.push_back(id); }
    [[nodiscard]] bool has_buffer() const noexcept { return !free_.empty(); }

    [[nodiscard]] entry& at(int fd) noexcept {
        const auto index = static_cast<std::size_t>(fd);
        if (index >= table_.size()) {
            table_.resize(index + 1 + index / 2);
        }
        return table_[index];
    }

    [[nodiscard]] static bool tries_first(io_kind kind) noexcept {
        return kind == io_kind::send || kind == io_kind::send_message || kind == io_kind::recv_message ||
               kind == io_kind::read || kind == io_kind::write;
    }
    [[nodiscard]] static std::uint32_t events_of(const io_op& op) noexcept {
        switch (op.kind()) {
        case io_kind::accept:
        case io_kind::receive:
        case io_kind::recv_message:
        case io_kind::read: return EPOLLIN;
        case io_kind::send:
        case io_kind::send_message:
        case io_kind::connect:
        case io_kind::write: return EPOLLOUT;
        case io_kind::poll: return op.events; // EPOLLIN and friends have the values of POLLIN
        }
        return 0;
    }

    // One attempt. -EAGAIN: not yet.
    [[nodiscard]] int perform(io_op& op, bool is_ready) noexcept {
        for (;;) {
            ::ssize_t n = -1;
            switch (op.kind()) {
            case io_kind::send: n = send_some(op); break;
            case io_kind::send_message: n = ::sendmsg(op.fd(), op.message(), MSG_NOSIGNAL | MSG_DONTWAIT); break;
            case io_kind::recv_message: n = ::recvmsg(op.fd(), op.message(), MSG_DONTWAIT | MSG_CMSG_CLOEXEC); break;
            case io_kind::read:
            case io_kind::write: n = transfer_now(op, is_ready); break;
            case io_kind::connect: return connect_result(op.fd());
            default: return -EINVAL;
            }
            if (n >= 0) {
                return static_cast<int>(n);
            }
            if (errno != EINTR) {
                return -errno;
            }
        }
    }

    // A regular file cannot be polled: it is always ready, and its reads and writes wait for the disk.
    [[nodiscard]] int perform_on_file(io_op& op) noexcept {
        if (op.kind() == io_kind::poll) {
            return static_cast<int>(op.events & (EPOLLIN | EPOLLOUT));
        }
        if (op.kind() != io_kind::read && op.kind() != io_kind::write) {
            return perform(op, true);
        }
        const ::ssize_t n = transfer(op, op.size, 0);
        return n < 0 ? -errno : static_cast<int>(n);
    }
    // Readiness is no promise: another reader may have been faster, and room in a pipe may be one page. So the
    // call itself must not wait; files that cannot be told so get what a page holds, once they are ready.
    [[nodiscard]] static ::ssize_t transfer_now(const io_op& op, bool is_ready) noexcept {
        const ::ssize_t n = transfer(op, op.size, RWF_NOWAIT);
        if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) {
            return n;
        }
        if (!is_ready) {
            errno = EAGAIN;
            return -1;
        }
        return transfer(op, op.kind() == io_kind::write ? std::min<std::size_t>(op.size, PIPE_BUF) : op.size, 0);
    }
    [[nodiscard]] static ::ssize_t transfer(const io_op& op, std::size_t size, int flags) noexcept {
        ::iovec piece{};
        piece.iov_base = op.data;
        piece.iov_len = std::min<std::size_t>(size, 1U << 30); // the result is an int
        return op.kind() == io_kind::read ? ::preadv2(op.fd(), &piece, 1, -1, flags)
                                          : ::pwritev2(op.fd(), &piece, 1, -1, flags);
    }

    // All of it, like MSG_WAITALL on a ring: progress is kept in the op until everything went out.
    [[nodiscard]] static ::ssize_t send_some(io_op& op) noexcept {
        const auto sent = static_cast<std::size_t>(op.pending_result);
        const ::ssize_t n = ::send(op.fd(), static_cast<const std::byte*>(op.data) + sent, op.size - sent,
                                   MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) { // what went out counts first, as on a ring: the next attempt says why it does not go on
            return sent == 0 || errno == EAGAIN || errno == EINTR ? n : op.pending_result;
        }
        if (op.in_parts) {
            return n;
        }
        op.pending_result += static_cast<int>(n);
        if (static_cast<std::size_t>(op.pending_result) < op.size) {
            errno = EAGAIN;
            return -1;
        }
        return op.pending_result;
    }

    [[nodiscard]] static int connect_result(int fd) noexcept {
        int failed = 0;
        ::socklen_t size = sizeof failed;
        if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0) {
            return -errno;
        }
        return -failed;
    }

    void unlink(io_op& op) noexcept {
        for (io_op** link = &at(op.fd()).ops; *link != nullptr; link = &(*link)->next) {
            if (*link == &op) {
                *link = op.next;
                op.next = nullptr;
                return;
            }
        }
    }
    static void set_nonblocking(int fd) noexcept {
        const int flags = ::fcntl(fd, F_GETFL);
        if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
            ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        }
    }

    // Brings the registration in line with the ops. Returns an errno, 0 on success.
    [[nodiscard]] int update(int fd) noexcept {
        entry& e = at(fd);
        std::uint32_t wanted = 0;
        for (const io_op* op = e.ops; op != nullptr; op = op->next) {
            wanted |= events_of(*op);
        }
        if (wanted == e.registered) {
            return 0;
        }
        const int action = e.registered == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
        ::epoll_event event{};
        event.events = wanted;
        event.data.fd = fd;
        ++stats_.enters;
        if (::epoll_ctl(epoll_.get(), action, fd, &event) != 0) {
            return errno;
        }
        e.registered = wanted;
        return 0;
    }

    [[nodiscard]] int poll_kernel(::epoll_event* events, time_point deadline, time_point now) noexcept {
        ++stats_.enters;
        ::timespec limit{};
        const ::timespec* limit_ptr = &limit;
        if (deadline == no_deadline) {
            limit_ptr = nullptr;
        } else if (deadline > now) {
            const auto left = std::chrono::duration_cast<nanoseconds>(deadline - now).count();
            limit.tv_sec = left / 1'000'000'000;
            limit.tv_nsec = left % 1'000'000'000;
        }
        if (has_pwait2_) {
            const int n = ::epoll_pwait2(epoll_.get(), events, batch, limit_ptr, nullptr);
            if (n >= 0 || errno == EINTR) {
                return n;
            }
            has_pwait2_ = false; // ENOSYS before 5.11; EPERM from sandboxes that do not know it
        }
        const auto ms = limit_ptr == nullptr ? -1 : limit.tv_sec > 100'000 ? 100'000'000 : limit.tv_sec * 1000 + (limit.tv_nsec + 999'999) / 1'000'000;
        return ::epoll_wait(epoll_.get(), events, batch, static_cast<int>(ms));
    }

    void dispatch(int fd, std::uint32_t ready) noexcept {
        ++dispatch_;
        while (io_op* op = next_ready(at(fd).ops, ready)) {
            op->visited = dispatch_;
            attend(*op, ready);
        }
        std::ignore = update(fd);
    }
    // From the start each time: what a completion starts or cancels changes the list.
    [[nodiscard]] io_op* next_ready(io_op* op, std::uint32_t ready) const noexcept {
        const std::uint32_t always = EPOLLERR | EPOLLHUP;
        while (op != nullptr && (op->visited == dispatch_ || (ready & (events_of(*op) | always)) == 0)) {
            op = op->next;
        }
        return op;
    }

    void attend(io_op& op, std::uint32_t ready) noexcept {
        switch (op.kind()) {
        case io_kind::accept: accept_burst_of(op); return;
        case io_kind::receive: receive(op); return;
        case io_kind::poll: finish(op, static_cast<int>(ready & (op.events | EPOLLERR | EPOLLHUP))); return;
        default: break;
        }
        if (const int r = perform(op, true); r != -EAGAIN) {
            finish(op, r);
        }
    }

    void finish(io_op& op, int result) noexcept {
        unlink(op);
        complete_later(op, result);
    }

    void receive(io_op& op) noexcept {
        if (!has_buffer()) {
            ++stats_.starved;
            finish(op, -ENOBUFS);
            return;
        }
        const std::uint32_t id = free_.back();
        ::ssize_t n = 0;
        do {
            n = ::recv(op.fd(), pool_.address(id), pool_.buffer_size(), MSG_DONTWAIT);
        } while (n < 0 && errno == EINTR);
        if (n > 0) {
            free_.pop_back();
            ++stats_.completions;
            op.complete(static_cast<int>(n), true, id);
        } else if (n == 0 || (errno != EAGAIN)) {
            finish(op, n == 0 ? 0 : -errno);
        }
    }

    void accept_burst_of(io_op& op) noexcept {
        for (int i = 0; i < accept_burst && !op.pending; ++i) {
            const int fd = ::accept4(op.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) {
                ++stats_.completions;
                op.complete(fd, true);
                continue;
            }
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            if (errno != EAGAIN) {
                finish(op, -errno);
            }
            return;
        }
    }

    // A ring looks once when an accept is started, also if it is cancelled at once.
    void accept_what_waits(io_op& op) noexcept {
        for (int i = 0; i < accept_last_burst; ++i) {
            const int fd = ::accept4(op.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) {
                ++stats_.completions;
                op.complete(fd, true);
            } else if (errno != EINTR && errno != ECONNABORTED) {
                return;
            }
        }
    }

    void complete_later(io_op& op, int result) noexcept {
        op.pending_result = result;
        op.pending = true;
        op.next = nullptr;
        *pending_tail_ = &op;
        pending_tail_ = &op.next;
    }
    void deliver_pending() noexcept {
        // What completions start may complete at once; those wait for the next turn.
        io_op* op = pending_;
        pending_ = nullptr;
        pending_tail_ = &pending_;
        while (op != nullptr) {
            io_op* next = op->next;
            op->next = nullptr;
            if (op->kind() == io_kind::accept && op->last_look) {
                accept_what_waits(*op);
            }
            const int result = op->pending_result;
            op->pending_result = 0;
            op->pending = false;
            --in_flight_;
            ++stats_.completions;
            op->complete(result);
            op = next;
        }
    }

    unique_fd epoll_;
    dynamic_array<entry> table_;
    dynamic_array<std::uint32_t> free_;
    buffer_pool pool_;
    io_op* pending_ = nullptr;
    io_op** pending_tail_ = &pending_;
    std::uint32_t dispatch_ = 0;
    bool has_pwait2_ = true;
};

} // namespace flux::inline FLUX_ABI::detail
