// SPDX-License-Identifier: MIT
// flux/testing/memory_pipe.hpp - the inside of a pair of memory streams: two bounded rings and who waits on them.
//
//   end 0 --> pipe 0 --> end 1        written >= visible >= taken >= freed, all counted in octets since the
//   end 1 --> pipe 1 --> end 0        ring was last empty; written - freed never exceeds the capacity
//
// Octets become visible when they are written, or when a memory_wire says that they have arrived. A reader takes
// them by copy or by loan; space is freed in the order of taking. Deliberately not here: the operations
// (memory_stream.hpp), simulated networks (sim_network.hpp).
#pragma once

#include <flux/net/endpoint.hpp>
#include <flux/net/stream.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>

namespace flux::inline FLUX_ABI::testing {

/// How a pair of memory streams behaves. Both directions alike.
struct memory_options {
    std::size_t capacity = 64 * 1024; ///< octets that wait for the reader before a writer has to; at least 1
    std::size_t max_read = 0;         ///< a read or receive yields at most so many octets; 0: no limit
    std::size_t max_write = 0;        ///< a write moves at most so many octets per turn of the loop; 0: no limit
    bool always_suspend = false;      ///< every operation goes through the ready queue, also one that could complete
    bool isolate = FLUX_SANITIZED;    ///< what receive() yields lies in a heap block of exactly its size, so that a
                                      ///< sanitizer sees reads beyond it and after it went back
    bool reset_discards = true;       ///< a reset loses what the reader has not read yet, as RFC 9112 9.6 warns;
                                      ///< false: it reads that first, as on Linux
};
static_assert(std::is_trivially_destructible_v<memory_options>);

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

/// Something that waits for a pipe: told once, then it does not wait any more.
class memory_waiter {
public:
    using action = void (*)(memory_waiter&) noexcept;
    explicit memory_waiter(action on_wake) noexcept : wake_(on_wake) {}
    void wake() noexcept { wake_(*this); }

private:
    action wake_;
};

/// Carries what one end sends to the other, with a delay. A pair without one has it arrive at once.
class memory_wire {
public:
    virtual ~memory_wire() = default;
    virtual void sent(unsigned from, std::size_t octets) noexcept = 0;
    virtual void ended(unsigned from) noexcept = 0;
    virtual void reset(unsigned from) noexcept = 0;
};

class memory_channel;

/// One direction.
class memory_pipe {
public:
    explicit memory_pipe(const testing::memory_options& options)
        : capacity_(std::max<std::size_t>(options.capacity, 1)),
          max_read_(options.max_read == 0 ? ~std::size_t{0} : options.max_read), next_read_(max_read_),
          mask_(std::bit_ceil(capacity_) - 1),
          ring_(new std::byte[mask_ + 1]), isolate_(options.isolate), reset_discards_(options.reset_discards) {}

    // ---- the reading end ----

    [[nodiscard]] bool is_reading() const noexcept { return reading_; }
    [[nodiscard]] std::size_t unread() const noexcept { return visible_ - taken_; }
    /// Octets can be taken now: some are there, and there is a slot to keep track of the loan.
    [[nodiscard]] bool can_take() const noexcept { return visible_ != taken_ && loans_end_ - loans_begin_ < max_loans; }
    /// A read would not wait.
    [[nodiscard]] bool is_settled() const noexcept {
        return can_take() || ((ended_ || failure_ != 0) && (unread() == 0 || (failure_ != 0 && reset_discards_)));
    }
    /// What a read fails with now; 0 if it yields octets or the end.
    [[nodiscard]] int read_failure() const noexcept {
        return failure_ != 0 && (reset_discards_ || unread() == 0) ? failure_ : 0;
    }
    void begin_read(memory_waiter& reader) noexcept {
        reading_ = true;
        if (is_settled()) {
            reader.wake();
        } else {
            reader_ = &reader;
        }
    }
    void stop_waiting_to_read() noexcept { reader_ = nullptr; }
    void end_read() noexcept { reading_ = false; }

    /// The next octets, as they lie in the ring. Needs can_take().
    [[nodiscard]] inline received lend(memory_channel& channel);

    /// Needs can_take(). Returns how many octets were copied.
    [[nodiscard]] std::size_t copy_out(mutable_buffer out) noexcept {
        const std::size_t n = std::min({out.size(), unread(), std::exchange(next_read_, max_read_)});
        const std::size_t at = taken_ & mask_;
        const std::size_t first = std::min(n, mask_ + 1 - at);
        std::memcpy(out.data(), ring_.get() + at, first);
        if (n > first) {
            std::memcpy(out.data() + first, ring_.get(), n - first);
        }
        taken_ += n;
        if (loans_begin_ == loans_end_) {
            freed_ += n;
        } else { // what lies before it is still lent
            loans_[loans_end_++ % max_loans] = loan(n, true);
        }
        wake_writer();
        return n;
    }

    // ---- the writing end ----

    [[nodiscard]] bool is_writing() const noexcept { return writing_; }
    [[nodiscard]] std::size_t space() const noexcept { return capacity_ - (written_ - freed_); }
    /// What a write fails with now, or 0.
    [[nodiscard]] int write_failure() const noexcept { return shut_ ? EPIPE : write_failure_; }
    void begin_write() noexcept { writing_ = true; }
    void wait_for_space(memory_waiter& writer) noexcept { writer_ = &writer; }
    void stop_waiting_to_write() noexcept { writer_ = nullptr; }
    /// Params: `broken` is true if a part of the octets went out, so that no other write may follow.
    void end_write(bool broken) noexcept {
        writing_ = false;
        broken_ = broken_ || broken;
    }
    [[nodiscard]] bool is_broken() const noexcept { return broken_; }
    [[nodiscard]] bool is_shut() const noexcept { return shut_; }
    void shut() noexcept { shut_ = true; }

    /// Copies what fits. The octets still have to be sent: memory_channel::sent().
    [[nodiscard]] std::size_t copy_in(const_buffer in) noexcept {
        if (freed_ == written_) { // so that small messages never straddle the end of the ring
            freed_ = taken_ = visible_ = written_ = 0;
        }
        const std::size_t n = std::min(in.size(), space());
        if (n == 0) {
            return 0;
        }
        const std::size_t at = written_ & mask_;
        const std::size_t first = std::min(n, mask_ + 1 - at);
        std::memcpy(ring_.get() + at, in.data(), first);
        if (n > first) {
            std::memcpy(ring_.get(), in.data() + first, n - first);
        }
        written_ += n;
        return n;
    }

    // ---- arrivals ----

    void arrived(std::size_t n) noexcept {
        visible_ += n;
        wake_reader();
    }
    void end_arrived() noexcept {
        ended_ = true;
        wake_reader();
    }
    /// The reader sees a reset.
    void fail_reader(int number) noexcept {
        failure_ = number;
        wake_reader();
    }
    /// The writer sees that nobody will read.
    void fail_writer(int number) noexcept {
        if (write_failure_ == 0) {
            write_failure_ = number;
        }
        wake_writer();
    }
    [[nodiscard]] bool has_ended() const noexcept { return ended_ || failure_ != 0; }
    [[nodiscard]] bool was_reset() const noexcept { return failure_ != 0; }
    void leave_reader() noexcept { reader_left_ = true; }
    [[nodiscard]] bool reader_left() const noexcept { return reader_left_; }

    /// Octets on their way: written, but not visible yet. The first `n` of them, in one or two pieces.
    [[nodiscard]] std::pair<const_buffer, const_buffer> on_their_way(std::size_t n) const noexcept {
        const std::size_t at = visible_ & mask_;
        const std::size_t first = std::min(n, mask_ + 1 - at);
        return {const_buffer(ring_.get() + at, first), const_buffer(ring_.get(), n - first)};
    }
    /// The next read yields at most `n` octets; n > 0.
    void limit_next_read(std::size_t n) noexcept { next_read_ = std::min(n, max_read_); }

private:
    static constexpr std::uint32_t max_loans = 16; // a protocol holds one or two; then the reader waits

    struct loan {
        loan() noexcept = default;
        loan(std::size_t n, bool back) noexcept : size(n), returned(back) {}
        std::size_t size = 0;
        std::byte* block = nullptr; // of an isolated loan
        memory_channel* channel = nullptr;
        bool returned = false;
    };

    static inline void give_back(void* owner, std::uint32_t id) noexcept;

    void wake_reader() noexcept {
        if (reader_ != nullptr && is_settled()) {
            std::exchange(reader_, nullptr)->wake();
        }
    }
    void wake_writer() noexcept {
        if (writer_ != nullptr) {
            std::exchange(writer_, nullptr)->wake();
        }
    }

    std::size_t capacity_;
    std::size_t max_read_;
    std::size_t next_read_;
    std::size_t mask_; // the ring's size, a power of two, minus one
    std::unique_ptr<std::byte[]> ring_;
    std::size_t written_ = 0;
    std::size_t visible_ = 0;
    std::size_t taken_ = 0;
    std::size_t freed_ = 0;
    memory_waiter* reader_ = nullptr;
    memory_waiter* writer_ = nullptr;
    std::uint32_t loans_begin_ = 0;
    std::uint32_t loans_end_ = 0;
    int failure_ = 0;
    int write_failure_ = 0;
    bool reading_ = false; // from the start of a read that waits until it is resumed
    bool writing_ = false;
    bool ended_ = false;
    bool shut_ = false;
    bool broken_ = false;
    bool reader_left_ = false;
    bool isolate_;
    bool reset_discards_;
    loan loans_[max_loans];
};

/// Both directions of a pair. Lives as long as one of its ends is open, one of its octets is lent out, or a
/// notice is queued.
class memory_channel {
public:
    memory_channel(const testing::memory_options& options, const endpoint& end_0, const endpoint& end_1)
        : pipes_{memory_pipe(options), memory_pipe(options)}, endpoints_{end_0, end_1},
          max_write_(options.max_write == 0 ? ~std::size_t{0} : options.max_write), suspend_(options.always_suspend) {}
    memory_channel(const memory_channel&) = delete;
    memory_channel& operator=(const memory_channel&) = delete;

    void hold() noexcept { ++owners_; }
    void release() noexcept {
        if (--owners_ == 0) {
            delete this;
        }
    }

    [[nodiscard]] memory_pipe& to(unsigned end) noexcept { return pipes_[1 - end]; }
    [[nodiscard]] memory_pipe& from(unsigned end) noexcept { return pipes_[end]; }
    [[nodiscard]] bool always_suspends() const noexcept { return suspend_; }
    [[nodiscard]] std::size_t max_write() const noexcept { return max_write_; }

    void set_wire(std::unique_ptr<memory_wire> wire) noexcept { wire_ = std::move(wire); }
    [[nodiscard]] const endpoint& endpoint_of(unsigned end) const noexcept { return endpoints_[end]; }

    /// `n` octets were put into from(end).
    void sent(unsigned end, std::size_t n) noexcept {
        if (wire_ != nullptr) {
            wire_->sent(end, n);
        } else {
            octets_arrive(1 - end, n);
        }
    }
    /// `n` octets have reached `end`.
    void octets_arrive(unsigned end, std::size_t n) noexcept {
        to(end).arrived(n);
        notice(end);
    }

    /// A read of `end` is over; `saw` is false if it was stopped before it could see what arrived.
    void end_read(unsigned end, bool saw) noexcept {
        to(end).end_read();
        if (!saw) {
            notice(end);
        }
    }

    [[nodiscard]] result<void> shutdown_write(unsigned end) noexcept {
        memory_pipe& out = from(end);
        if (out.is_writing()) {
            return fail(errc::overlap);
        }
        if (out.is_broken()) {
            return fail(errc::closed);
        }
        if (to(end).was_reset()) {
            return fail(error::from_errno(ENOTCONN));
        }
        send_end(end);
        return {};
    }

    /// One end lets go of the channel: an orderly end if it has read everything, else a reset.
    void close(unsigned end, bool abort) noexcept {
        FLUX_ASSERT(!to(end).is_reading() && !from(end).is_writing(),
                    "a stream was closed while an operation on it was in flight");
        watches_[end].listener = nullptr;
        to(end).leave_reader();
        if (!from(end).reader_left()) {
            if (abort || (to(end).unread() != 0 && !to(end).was_reset())) {
                send_reset(end);
            } else {
                send_end(end);
                if (wire_ == nullptr) {
                    to(end).fail_writer(EPIPE);
                }
            }
        }
        release();
    }

    /// What one end sent has reached the other, `end`.
    void end_arrives(unsigned end) noexcept {
        to(end).end_arrived();
        notice(end);
    }
    void reset_arrives(unsigned end, int number = ECONNRESET) noexcept {
        if (to(end).reader_left()) {
            return;
        }
        to(end).fail_reader(number);
        from(end).fail_writer(number);
        notice(end);
    }

    void watch(unsigned end, hangup_listener* listener, bool of_octets) noexcept {
        watches_[end].listener = listener;
        watches_[end].of_octets = of_octets;
        if (listener != nullptr) {
            watches_[end].home = scheduler::current();
            FLUX_ASSERT(watches_[end].home != nullptr, "watch_hangup() needs a running loop");
            notice(end);
        }
    }

private:
    ~memory_channel() = default;

    struct watch_node : ready_node {
        explicit watch_node(memory_channel& c, unsigned e) noexcept : ready_node(&run_it), channel(&c), end(e) {}
        static void run_it(ready_node& node) noexcept {
            auto& self = static_cast<watch_node&>(node);
            self.queued = false;
            // a read that began meanwhile sees it by itself
            if (self.is_due()) {
                std::exchange(self.listener, nullptr)->notify(self.channel->to(self.end).was_reset());
            }
            self.channel->release();
        }
        memory_channel* channel;
        unsigned end;
        [[nodiscard]] bool is_due() const noexcept {
            memory_pipe& in = channel->to(end);
            return listener != nullptr && !in.is_reading() && (in.has_ended() || (of_octets && in.unread() != 0));
        }
        hangup_listener* listener = nullptr;
        scheduler* home = nullptr;
        bool of_octets = false;
        bool queued = false;
    };

    // Queues the notice of a hang-up, if there is one and somebody wants to hear of it.
    void notice(unsigned end) noexcept {
        watch_node& w = watches_[end];
        if (!w.queued && w.is_due()) {
            w.queued = true;
            hold();
            w.home->make_ready(w);
        }
    }
    void send_end(unsigned end) noexcept {
        if (from(end).is_shut()) {
            return;
        }
        from(end).shut();
        if (wire_ != nullptr) {
            wire_->ended(end);
        } else {
            end_arrives(1 - end);
        }
    }
    void send_reset(unsigned end) noexcept {
        if (wire_ != nullptr) {
            wire_->reset(end);
        } else {
            reset_arrives(1 - end);
        }
    }

    memory_pipe pipes_[2]; // pipes_[e] is what end e writes
    std::unique_ptr<memory_wire> wire_;
    endpoint endpoints_[2];
    watch_node watches_[2]{watch_node(*this, 0), watch_node(*this, 1)};
    std::size_t max_write_;
    unsigned owners_ = 2;
    bool suspend_;
};

inline received memory_pipe::lend(memory_channel& channel) {
    const std::size_t at = taken_ & mask_;
    const std::size_t n = std::min({unread(), std::exchange(next_read_, max_read_), mask_ + 1 - at});
    const std::byte* octets = ring_.get() + at;
    loan slot(n, false);
    if (isolate_) {
        slot.block = new std::byte[n];
        std::memcpy(slot.block, octets, n);
        octets = slot.block;
    }
    slot.channel = &channel;
    channel.hold();
    taken_ += n;
    const std::uint32_t id = loans_end_++;
    loans_[id % max_loans] = slot;
    return received(const_buffer(octets, n), &give_back, this, id);
}

inline void memory_pipe::give_back(void* owner, std::uint32_t id) noexcept {
    auto& self = *static_cast<memory_pipe*>(owner);
    loan& slot = self.loans_[id % max_loans];
    memory_channel& channel = *slot.channel;
    delete[] slot.block;
    slot.returned = true;
    while (self.loans_begin_ != self.loans_end_ && self.loans_[self.loans_begin_ % max_loans].returned) {
        self.freed_ += self.loans_[self.loans_begin_ % max_loans].size;
        ++self.loans_begin_;
    }
    self.wake_reader();
    self.wake_writer();
    channel.release();
}

} // namespace flux::inline FLUX_ABI::detail
