// SPDX-License-Identifier: MIT
// flux/io/op.hpp - one operation that the kernel has, in a form that both drivers understand.
//
//   idle --driver.start()--> in_flight --completion (last one)--> idle
//
// What the kernel holds: the address of the io_op and the memory it names, from start() until the final
// completion, also after a cancel request: cancelling changes when the completion comes, not whether.
// Destroying an op in flight is therefore fatal, in release builds too. Multishot kinds complete many times;
// the one without `more` is the last. Completions are delivered by driver.wait(), never inside start().
// Deliberately not here: coroutines (the states that embed an io_op), retries, policy.
#pragma once

#include <flux/config.hpp>

#include <cstddef>
#include <cstdint>

#include <sys/socket.h>

namespace flux::inline FLUX_ABI::detail {

enum class io_kind : std::uint8_t {
    accept,       ///< multishot; result is a descriptor, close-on-exec
    receive,      ///< multishot into shared buffers; result is a length, 0 at the end of the stream
    send,         ///< `data`, `size` octets, all of them (but see in_parts)
    send_message, ///< `data` is a msghdr; datagrams and gathered writes
    recv_message, ///< `data` is a msghdr
    connect,      ///< `data` is the sockaddr, `size` its length
    poll,         ///< once; `events` in, ready events out
    read,         ///< into `data`; pipes, eventfd, signalfd, files
    write,        ///< from `data`
};

class io_op {
public:
    /// `result` is what the system call would return, or -errno.
    struct completion {
        completion(int r, bool m, std::uint32_t b) noexcept : result(r), buffer(b), more(m) {}
        int result;
        std::uint32_t buffer; ///< receive with result > 0: which shared buffer holds the octets
        bool more;            ///< false: this was the last one, the op is idle again
    };
    using callback = void (*)(io_op&, const completion&) noexcept;

    io_op(io_kind kind, int fd, callback done) noexcept : kind_(kind), fd_(fd), done_(done) {}
    io_op(const io_op&) = delete;
    io_op& operator=(const io_op&) = delete;
    ~io_op() { FLUX_ASSERT(!in_flight_, "an operation was destroyed while the kernel owns its memory"); }

    [[nodiscard]] bool in_flight() const noexcept { return in_flight_; }
    [[nodiscard]] io_kind kind() const noexcept { return kind_; }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    void set_fd(int fd) noexcept { fd_ = fd; }

    // Set by whoever starts the op, read by the driver. Only the members of the op's kind are looked at.
    void* data = nullptr; ///< send_message, recv_message: the msghdr
    std::size_t size = 0;
    std::uint32_t events = 0; ///< poll(2) bits
    bool in_parts = false;    ///< send, send_message: ends when some octets went out, not only when all have
    bool last_look = false;   ///< accept: yields what waits already, also if it is cancelled at once

    [[nodiscard]] ::msghdr* message() const noexcept { return static_cast<::msghdr*>(data); }
    /// Turns an idle op into one of another kind on the same descriptor.
    void become(io_kind kind) noexcept {
        FLUX_ASSERT(!in_flight_, "an operation changed its kind while in flight");
        kind_ = kind;
    }

    // For drivers.
    void mark_started() noexcept {
        FLUX_ASSERT(!in_flight_, "an operation was started twice");
        in_flight_ = true;
    }
    void complete(int result, bool more = false, std::uint32_t buffer = 0) noexcept {
        in_flight_ = more;
        done_(*this, completion(result, more, buffer));
    }
    int pending_result = 0;       ///< epoll: octets sent so far, then the result to deliver
    io_op* next = nullptr;        ///< epoll: the ops of a descriptor, or those to be delivered
    std::uint32_t visited = 0;    ///< epoll: the dispatch that looked at it last
    bool pending = false;         ///< epoll: ended, to be delivered

private:
    bool in_flight_ = false;
    io_kind kind_;
    int fd_;
    callback done_;
};

} // namespace flux::inline FLUX_ABI::detail
