// SPDX-License-Identifier: MIT
// flux/io/receiver.hpp - the receiving half of one socket: a multishot receive and the octets nobody took yet.
//
//   kernel -> shared buffer -> queue -> waiting reader | next reader
//
// The receive is armed at the first read and stays armed, on behalf of the socket and not of a reader: a
// reader that is stopped leaves, and what arrives later is queued, so no octet is lost. It is paused when
// `queue_limit` octets wait (what the kernel takes meanwhile is queued, too: uring_driver.hpp limits that); a poll
// for hang-up takes its place then, so that a disconnect is seen even if nobody reads. ENOBUFS ends a multishot
// without loss: it is armed again when a buffer comes back.
// Deliberately not here: the descriptor (socket_core.hpp), writing.
#pragma once

#include <flux/io/reactor.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <poll.h>

namespace flux::inline FLUX_ABI::detail {

class receiver : private io_op, private buffer_pool::starved {
public:
    /// Told, from the driver's completions, that octets, the end or a hang-up were seen, or that all ops ended.
    class owner {
    public:
        virtual void receive_ready() noexcept = 0;
        virtual void receive_idle() noexcept = 0;

    protected:
        ~owner() = default;
    };

    receiver(reactor& home, int fd, owner& to) noexcept
        : io_op(io_kind::receive, fd, &on_completion), starved(&on_buffer), home_(&home), owner_(&to) {
        events = POLLRDHUP | POLLHUP | POLLERR;
    }
    ~receiver() { drop_queue(); }

    /// Makes sure that octets will arrive. Idempotent.
    void arm() noexcept {
        wanted_ = true;
        if (!io_op::in_flight() && !starved::is_linked() && !ended_ && !closing_ && !is_full()) {
            become(io_kind::receive);
            home_->driver().start(*this);
        }
    }

    [[nodiscard]] bool has_octets() const noexcept { return first_ != nullptr; }
    /// The stream ended (result 0) or failed (an errno); valid when there are no octets left.
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    [[nodiscard]] int failure() const noexcept { return failure_; }

    /// The first chunk, which stays queued.
    [[nodiscard]] chunk& front() noexcept { return *first_; }
    /// Takes the first chunk; the caller frees it with pool().free().
    [[nodiscard]] chunk& pop() noexcept {
        chunk& c = *first_;
        first_ = c.next;
        if (first_ == nullptr) {
            last_ = &first_;
        }
        queued_ -= c.size;
        if (unsolicited_ > 0) {
            --unsolicited_;
            pool().unsolicited_ends();
        }
        if (wanted_ && !io_op::in_flight() && !is_full()) {
            arm();
        } else if (is_watching() && !is_full()) { // while it is full the watch goes on
            home_->driver().cancel(*this); // its completion arms the receive again
        }
        return c;
    }
    /// Drops n octets of the first chunk, and the chunk when it is used up.
    void consume(std::size_t n) noexcept {
        chunk& c = *first_;
        if (n == c.size) {
            pool().free(pop());
            return;
        }
        c.data += n;
        c.size -= static_cast<std::uint32_t>(n);
        queued_ -= n;
    }

    /// A reader waits: what arrives is not unsolicited.
    void set_waiting(bool waiting) noexcept { waiting_ = waiting; }
    [[nodiscard]] bool waiting() const noexcept { return waiting_; }

    /// Ends all ops; owner.receive_idle() follows, at once or after their completions.
    void close() noexcept {
        closing_ = true;
        starved::unlink();
        home_->driver().cancel(*this);
        drop_queue();
        report_if_idle();
    }
    [[nodiscard]] bool is_idle() const noexcept { return !io_op::in_flight(); }
    [[nodiscard]] buffer_pool& pool() const noexcept { return home_->driver().buffers(); }

private:
    static constexpr std::size_t queue_limit = 65'536; // octets that wait for a reader before we stop receiving

    [[nodiscard]] bool is_full() const noexcept { return queued_ >= queue_limit; }

    [[nodiscard]] bool is_watching() const noexcept { return io_op::in_flight() && kind() == io_kind::poll; }

    static void on_completion(io_op& op, const completion& c) noexcept {
        auto& self = static_cast<receiver&>(op);
        if (op.kind() == io_kind::poll) {
            self.on_watched(c.result);
            return;
        }
        if (c.result > 0) {
            self.arrived(self.pool().filled(c.buffer, static_cast<std::size_t>(c.result)));
        }
        if (c.more) {
            return;
        }
        if (self.closing_) {
            self.report_if_idle();
            return;
        }
        self.ended_receiving(c.result);
    }

    void arrived(chunk& filled) noexcept {
        if (closing_) {
            pool().free(filled);
            return;
        }
        chunk* c = &filled;
        if (!waiting_) {
            if (pool().unsolicited_are_scarce()) {
                c = &pool().to_heap(filled);
            }
            ++unsolicited_;
            pool().unsolicited_begins();
        }
        c->next = nullptr;
        *last_ = c;
        last_ = &c->next;
        queued_ += c->size;
        if (is_full()) {
            home_->driver().cancel(*this);
        }
        owner_->receive_ready();
    }

    void ended_receiving(int result) noexcept {
        if (result == 0 || is_failure(result)) {
            ended_ = true;
            failure_ = -result;
            owner_->receive_ready();
        } else if (is_full()) {
            become(io_kind::poll); // nothing is received now, but a hang-up must still be seen
            home_->driver().start(*this);
        } else if (result == -ENOBUFS) {
            pool().wait_for_buffer(*this);
        } else if (wanted_) {
            arm(); // the kernel ended the multishot for reasons of its own
        }
    }
    void on_watched(int result) noexcept {
        if (closing_) {
            report_if_idle();
            return;
        }
        if (result > 0) {
            // POLLHUP alone: both directions ended, or a Unix peer closed. Only an error is a reset.
            hung_up_ = (result & POLLERR) != 0 ? hangup::reset : hangup::end;
            owner_->receive_ready();
        }
        if (wanted_ && !is_full()) {
            arm();
        }
    }
    // Not those that only end a multishot: they say nothing about the stream.
    [[nodiscard]] static bool is_failure(int result) noexcept {
        return result < 0 && result != -ENOBUFS && result != -ECANCELED && result != -EINTR && result != -EAGAIN;
    }
    static void on_buffer(starved& s) noexcept { static_cast<receiver&>(s).arm(); }

    void report_if_idle() noexcept {
        if (is_idle()) {
            owner_->receive_idle();
        }
    }
    void drop_queue() noexcept {
        while (first_ != nullptr) {
            pool().free(pop_quietly());
        }
    }
    [[nodiscard]] chunk& pop_quietly() noexcept {
        wanted_ = false;
        return pop();
    }

public:
    enum class hangup : std::uint8_t { none, end, reset };
    /// What the watch saw while receiving was paused.
    [[nodiscard]] hangup hung_up() const noexcept { return hung_up_; }

private:
    reactor* home_;
    owner* owner_;
    chunk* first_ = nullptr;
    chunk** last_ = &first_;
    std::size_t queued_ = 0;
    std::uint32_t unsolicited_ = 0; // chunks in the queue that came while nobody read
    int failure_ = 0;
    bool wanted_ = false;
    bool waiting_ = false;
    bool ended_ = false;
    bool closing_ = false;
    hangup hung_up_ = hangup::none;
};

} // namespace flux::inline FLUX_ABI::detail
