// SPDX-License-Identifier: MIT
// flux/net/socket_core.hpp - what a connected stream socket is inside: descriptor, receiver, who waits.
//
// Lives on the heap because the kernel knows its address; the stream object that owns it can move. close()
// lets go of it: it ends its operations, closes the descriptor after the last completion (close(2) earlier
// would neither end them nor send FIN), and then deletes itself. Deliberately not here: the operations'
// states (socket_ops.hpp), names and options of sockets.
#pragma once

#include <flux/core/vacate.hpp>
#include <flux/coro/frame_pool.hpp>
#include <flux/io/receiver.hpp>
#include <flux/io/unique_fd.hpp>
#include <flux/net/stream.hpp>

#include <cerrno>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>

namespace flux::inline FLUX_ABI::detail {

class socket_core final : private receiver::owner, private reactor_resident {
public:
    /// A reader that waits for octets: told once, then it is not the reader any more.
    class reader {
    public:
        using action = void (*)(reader&) noexcept;
        explicit reader(action r) noexcept : readable(r) {}
        action readable;
    };

    socket_core(reactor& home, unique_fd fd) noexcept
        : home_(&home), fd_(std::move(fd)), rx_(home, fd_.get(), *this) {
        home.add_resident(*this);
    }

    static void* operator new(std::size_t size) { return frame_pool::allocate_here(size); }
    static void operator delete(void* memory, std::size_t size) noexcept { frame_pool::release_here(memory, size); }

    [[nodiscard]] reactor& home() const noexcept { return *home_; }
    /// Negative when the reactor ended before the stream: nothing can be done with it any more.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] receiver& rx() noexcept { return rx_; }

    /// A reader that suspends is the one reader until it has taken its octets, not only until it is woken.
    [[nodiscard]] bool is_reading() const noexcept { return reading_; }
    void begin_read() noexcept { reading_ = true; }
    void end_read() noexcept { reading_ = false; }
    void wait_readable(reader& r) noexcept {
        reader_ = &r;
        rx_.set_waiting(true);
        rx_.arm();
    }
    void stop_waiting() noexcept {
        reader_ = nullptr;
        rx_.set_waiting(false);
    }

    /// One write at a time: two would interleave their octets.
    [[nodiscard]] bool begin_write() noexcept { return !detail::vacate_for(writing_, true); }
    void end_write() noexcept { writing_ = false; }
    void note_written(std::size_t octets) noexcept { written_ += octets; }
    [[nodiscard]] std::uint64_t written() const noexcept { return written_; }
    /// Where only written() tells how far a write has come: it is counted while the write goes on.
    void send_in_parts() noexcept { sends_in_parts_ = true; }
    [[nodiscard]] bool sends_in_parts() const noexcept { return sends_in_parts_; }

    /// For calls that cannot be told not to wait. Both drivers stand it. Returns an errno, 0 on success.
    [[nodiscard]] int make_nonblocking() noexcept {
        if (!nonblocking_) {
            const int flags = ::fcntl(fd_.get(), F_GETFL);
            if (flags < 0 || ::fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
                return errno;
            }
            nonblocking_ = true;
        }
        return 0;
    }

    void watch_hangup(hangup_listener* listener, bool of_octets = false) noexcept {
        listener_ = listener;
        tells_of_octets_ = of_octets;
        if (listener != nullptr) {
            rx_.arm();
            tell_listener();
        }
    }

    [[nodiscard]] bool has_input() const noexcept {
        return rx_.has_octets() || rx_.ended() || rx_.hung_up() != receiver::hangup::none;
    }

    /// The first chunk as octets that give their buffer back.
    [[nodiscard]] received take_octets() {
        chunk* c = &rx_.pop();
        buffer_pool& pool = rx_.pool();
        if (pool.leases_are_scarce()) {
            c = &pool.to_heap(*c);
        }
        const const_buffer octets(c->data, c->size);
        if (c->id == buffer_pool::heap_chunk) {
            return received(octets, &give_back_heap, c, 0);
        }
        pool.lease_begins();
        return received(octets, &give_back_shared, &pool, c->id);
    }

    /// Called by the stream that lets go of it.
    void close() noexcept {
        FLUX_ASSERT(!reading_ && !writing_, "a stream was closed while an operation on it was in flight");
        listener_ = nullptr;
        owned_ = false;
        if (fd_.get() < 0) {
            delete this; // the reactor ended first
            return;
        }
        rx_.close();
    }

private:
    friend struct std::default_delete<socket_core>;
    ~socket_core() = default;

    void receive_ready() noexcept override {
        if (reader_ == nullptr) {
            tell_listener();
        } else if (rx_.has_octets() || rx_.ended()) { // else a hang-up; the receive will say what it was
            rx_.set_waiting(false);
            reader& waiting = *detail::vacate(reader_);
            waiting.readable(waiting);
        }
    }
    void receive_idle() noexcept override {
        reactor_resident::unlink();
        home_->driver().forget(fd_.get());
        fd_.reset();
        if (!owned_) {
            delete this;
        }
    }
    void reactor_ends() noexcept override { rx_.close(); }

    void tell_listener() noexcept {
        if (listener_ == nullptr) {
            return;
        }
        const bool reset = (rx_.ended() && rx_.failure() != 0) || rx_.hung_up() == receiver::hangup::reset;
        const bool octets = tells_of_octets_ && rx_.has_octets();
        if (reset || octets || rx_.ended() || rx_.hung_up() == receiver::hangup::end) {
            detail::vacate(listener_)->notify(reset);
        }
    }

    static void give_back_shared(void* pool, std::uint32_t id) noexcept {
        auto& p = *static_cast<buffer_pool*>(pool);
        p.lease_ends();
        p.free_shared(id);
    }
    static void give_back_heap(void* c, std::uint32_t) noexcept { ::operator delete(c); }

    reactor* home_;
    unique_fd fd_;
    receiver rx_;
    reader* reader_ = nullptr;
    hangup_listener* listener_ = nullptr;
    std::uint64_t written_ = 0; // octets that the kernel took
    bool reading_ = false;
    bool writing_ = false;
    bool owned_ = true;
    bool nonblocking_ = false; // known to be
    bool sends_in_parts_ = false;
    bool tells_of_octets_ = false; // the listener wants to hear of them, too
};

} // namespace flux::inline FLUX_ABI::detail
