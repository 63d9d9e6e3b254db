// SPDX-License-Identifier: MIT
// flux/testing/memory_stream.hpp - a buffered_stream without a kernel: two ends in one process.
//
// What is written at one end is read at the other, through a bounded ring per direction. It keeps the rules of a
// socket (half-close, reset, EPIPE, overlap, cancel without loss), and can be made awkward: short reads, short
// writes, suspension at every operation. Deliberately not here: the rings (memory_pipe.hpp), time
// (sim_network.hpp), faults (fail_point.hpp).
#pragma once

#include <flux/testing/memory_pipe.hpp>

namespace flux::inline FLUX_ABI::testing {
class memory_stream;
} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

// One end of a channel, as operations see it. The channel is null where the stream is closed.
struct memory_end {
    memory_end() noexcept = default;
    memory_end(memory_channel* c, unsigned e) noexcept : channel(c), end(e) {}
    memory_channel* channel = nullptr;
    unsigned end = 0;
};

class memory_read_state : public suspension, private memory_waiter {
public:
    memory_read_state(memory_end at, context_node& ctx) noexcept
        : suspension(ctx, &on_stop), memory_waiter(&on_settled), at_(at) {}

    bool await_ready() noexcept {
        if (at_.channel == nullptr) {
            return refuse(errc::closed);
        }
        if (ctx().stopped()) {
            return refuse(to_errc(ctx().reason()));
        }
        const memory_pipe& pipe = in();
        if (pipe.is_reading()) {
            return refuse(errc::overlap);
        }
        return pipe.is_settled() && !at_.channel->always_suspends() && home().take_budget();
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        suspend(waiter);
        waited_ = true;
        in().begin_read(*this);
    }

protected:
    enum class state : unsigned char { octets, end, failed };
    // What there is to take, now that the operation is over.
    [[nodiscard]] state look() noexcept {
        if (waited_) {
            at_.channel->end_read(at_.end, !refused_);
        }
        if (refused_) {
            return state::failed;
        }
        if (in().read_failure() != 0) {
            refused_ = std::error_code(in().read_failure(), std::system_category());
            return state::failed;
        }
        return in().can_take() ? state::octets : state::end;
    }
    [[nodiscard]] failure why() const noexcept { return fail(refused_); }
    [[nodiscard]] memory_pipe& in() const noexcept { return at_.channel->to(at_.end); }
    [[nodiscard]] memory_channel& channel() const noexcept { return *at_.channel; }

private:
    bool refuse(errc code) noexcept {
        refused_ = make_error_code(code);
        return true;
    }
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<memory_read_state&>(hook);
        self.refuse(to_errc(self.ctx().reason()));
        self.in().stop_waiting_to_read();
        self.finish();
    }
    static void on_settled(memory_waiter& w) noexcept { static_cast<memory_read_state&>(w).finish(); }

    memory_end at_;
    bool waited_ = false;
    std::error_code refused_;
};

class memory_receive_state;
class [[nodiscard]] memory_receive_op {
public:
    using value_type = received;
    using state_type = memory_receive_state;
    explicit memory_receive_op(memory_end at) noexcept : at_(at) {}

private:
    friend class memory_receive_state;
    memory_end at_;
};

class memory_receive_state : public memory_read_state {
public:
    memory_receive_state(memory_receive_op op, context_node& ctx) noexcept : memory_read_state(op.at_, ctx) {}
    [[nodiscard]] result<received> take() {
        switch (look()) {
        case state::octets: return in().lend(channel());
        case state::end: return received();
        case state::failed: break;
        }
        return why();
    }
};

class memory_read_some_state;
class [[nodiscard]] memory_read_some_op {
public:
    using value_type = std::size_t;
    using state_type = memory_read_some_state;
    memory_read_some_op(memory_end at, mutable_buffer out) noexcept : at_(at), out_(out) {}

private:
    friend class memory_read_some_state;
    memory_end at_;
    mutable_buffer out_;
};

class memory_read_some_state : public memory_read_state {
public:
    memory_read_some_state(memory_read_some_op op, context_node& ctx) noexcept
        : memory_read_state(op.at_, ctx), out_(op.out_) {}
    bool await_ready() noexcept { return out_.empty() || memory_read_state::await_ready(); }
    [[nodiscard]] result<std::size_t> take() noexcept {
        if (out_.empty()) {
            return std::size_t{0};
        }
        switch (look()) {
        case state::octets: return in().copy_out(out_);
        case state::end: return std::size_t{0};
        case state::failed: break;
        }
        return why();
    }

private:
    mutable_buffer out_;
};

class memory_write_state;
class [[nodiscard]] memory_write_op {
public:
    using value_type = void;
    using state_type = memory_write_state;
    memory_write_op(memory_end at, const_buffer octets) noexcept : at_(at), first_(octets) {}
    memory_write_op(memory_end at, std::span<const const_buffer> list) noexcept : at_(at), rest_(list) {}

private:
    friend class memory_write_state;
    memory_end at_;
    const_buffer first_;
    std::span<const const_buffer> rest_;
};

// Copies when it starts if everything fits; else in steps, each when there is space, or one per turn of the loop.
class memory_write_state : public suspension, private memory_waiter {
public:
    memory_write_state(memory_write_op op, context_node& ctx) noexcept
        : suspension(ctx, &on_stop), memory_waiter(&on_space), at_(op.at_), first_(op.first_), rest_(op.rest_) {}

    bool await_ready() noexcept {
        if (at_.channel == nullptr) {
            return refuse(make_error_code(errc::closed));
        }
        if (ctx().stopped()) {
            return refuse(make_error_code(to_errc(ctx().reason())));
        }
        const memory_pipe& pipe = out();
        if (pipe.is_writing()) {
            return refuse(make_error_code(errc::overlap));
        }
        if (pipe.is_broken()) {
            return refuse(make_error_code(errc::closed));
        }
        if (pipe.write_failure() != 0) {
            return refuse(std::error_code(pipe.write_failure(), std::system_category()));
        }
        const std::size_t total = left();
        if (total > pipe.space() || total > at_.channel->max_write() || at_.channel->always_suspends() ||
            !home().take_budget()) {
            return false;
        }
        copy(total);
        return true;
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        suspend(waiter);
        waited_ = true;
        out().begin_write();
        step();
    }
    [[nodiscard]] result<void> take() noexcept {
        if (waited_) {
            out().end_write(refused_ && moved_ != 0);
        }
        if (refused_) {
            error e(refused_);
            if (moved_ != 0) {
                e.bytes_sent(moved_);
            }
            return fail(std::move(e));
        }
        return {};
    }

private:
    struct next_turn : ready_node {
        explicit next_turn(memory_write_state& s) noexcept : ready_node(&run_it), state(&s) {}
        static void run_it(ready_node& node) noexcept {
            memory_write_state& self = *static_cast<next_turn&>(node).state;
            self.queued_ = false;
            self.step();
        }
        memory_write_state* state;
    };

    [[nodiscard]] memory_pipe& out() const noexcept { return at_.channel->from(at_.end); }
    bool refuse(std::error_code code) noexcept {
        refused_ = code;
        return true;
    }
    [[nodiscard]] std::size_t left() const noexcept {
        std::size_t total = first_.size();
        for (const const_buffer& piece : rest_) {
            total += piece.size();
        }
        return total;
    }
    // Moves at most `most` octets, as far as there is space. Returns how many.
    std::size_t copy(std::size_t most) noexcept {
        std::size_t done = 0;
        for (;;) {
            const std::size_t n = out().copy_in(first_.first(std::min(first_.size(), most - done)));
            done += n;
            first_ = first_.subspan(n);
            if (!first_.empty() || rest_.empty()) {
                break;
            }
            first_ = rest_.front();
            rest_ = rest_.subspan(1);
        }
        if (done != 0) {
            moved_ += done;
            at_.channel->sent(at_.end, done);
        }
        return done;
    }
    void step() noexcept {
        if (!refused_ && out().write_failure() != 0) {
            refuse(std::error_code(out().write_failure(), std::system_category()));
        }
        if (refused_) {
            finish();
            return;
        }
        const std::size_t most = at_.channel->max_write();
        const bool limited = copy(most) == most;
        if (first_.empty() && rest_.empty()) {
            finish();
        } else if (limited) {
            queued_ = true;
            home().make_ready(turn_);
        } else {
            out().wait_for_space(*this);
        }
    }
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<memory_write_state&>(hook);
        self.refuse(make_error_code(to_errc(self.ctx().reason())));
        if (!self.queued_) { // else the queued turn ends it
            self.out().stop_waiting_to_write();
            self.finish();
        }
    }
    static void on_space(memory_waiter& w) noexcept { static_cast<memory_write_state&>(w).step(); }

    memory_end at_;
    const_buffer first_;
    std::span<const const_buffer> rest_;
    next_turn turn_{*this};
    bool queued_ = false;
    bool waited_ = false;
    std::size_t moved_ = 0; // octets
    std::error_code refused_;
};

struct memory_access; // how connectors make streams out of ends

} // namespace flux::inline FLUX_ABI::detail

namespace flux::inline FLUX_ABI::testing {

/// One end of a pair that make_memory_pair() made.
///
/// Reads and writes keep the contract of buffered_stream. What a socket does beyond it:
///   peer aborted, or closed with octets unread     reads and writes fail with ECONNRESET, again and again
///   peer closed                                    reads: what is left, then the end; writes: EPIPE
///   write after shutdown_write()                   EPIPE
///   write after one that failed or was stopped     errc::closed, if a part of the octets had gone out
///   any operation after close()                    errc::closed
/// Moving a stream is allowed at any time, also while operations on it are in flight.
/// Threads  one. Lifetime  independent of loops; may be made before there is one.
/// Cost     no allocation per operation, unless `isolate` is set.
class memory_stream {
public:
    /// A closed stream.
    memory_stream() noexcept = default;
    memory_stream(memory_stream&& other) noexcept : at_(std::exchange(other.at_, {})) {}
    memory_stream& operator=(memory_stream&& other) noexcept {
        if (this != &other) {
            close();
            at_ = std::exchange(other.at_, {});
        }
        return *this;
    }
    ~memory_stream() { close(); }

    [[nodiscard]] detail::memory_receive_op receive() noexcept { return detail::memory_receive_op(at_); }
    [[nodiscard]] detail::memory_read_some_op read_some(mutable_buffer out) noexcept { return {at_, out}; }
    [[nodiscard]] detail::memory_write_op write_all(const_buffer octets) noexcept { return {at_, octets}; }
    /// Params: `list` and what it names must live until the operation is over.
    [[nodiscard]] detail::memory_write_op write_all(std::span<const const_buffer> list) noexcept { return {at_, list}; }

    /// What there is space for, without waiting. Returns  how many octets; 0 also while a write is in flight.
    [[nodiscard]] std::size_t try_write(const_buffer octets) noexcept {
        if (at_.channel == nullptr) {
            return 0;
        }
        detail::memory_pipe& pipe = at_.channel->from(at_.end);
        if (pipe.is_writing() || pipe.is_broken() || pipe.write_failure() != 0) {
            return 0;
        }
        const std::size_t n = pipe.copy_in(octets);
        if (n != 0) {
            at_.channel->sent(at_.end, n);
        }
        return n;
    }

    result<void> shutdown_write() noexcept {
        if (at_.channel == nullptr) {
            return fail(errc::closed);
        }
        return at_.channel->shutdown_write(at_.end);
    }
    void close() noexcept { let_go(false); }
    void abort() noexcept { let_go(true); }
    [[nodiscard]] bool is_open() const noexcept { return at_.channel != nullptr; }

    /// The notice comes from the loop that runs when this is called, even if the end had arrived before.
    void watch_hangup(hangup_listener* listener) noexcept {
        if (at_.channel != nullptr) {
            at_.channel->watch(at_.end, listener, false);
        }
    }
    /// As watch_hangup, and also told of octets.
    void watch_input(hangup_listener* listener) noexcept {
        if (at_.channel != nullptr) {
            at_.channel->watch(at_.end, listener, true);
        }
    }

    /// Whether a read would yield octets, the end or a failure without waiting.
    [[nodiscard]] bool has_input() const noexcept { return at_.channel != nullptr && at_.channel->to(at_.end).is_settled(); }
    /// Takes octets that are there, without waiting. Empty: there are none, or a read is in flight.
    [[nodiscard]] received try_receive() {
        if (at_.channel == nullptr) {
            return {};
        }
        detail::memory_pipe& pipe = at_.channel->to(at_.end);
        const bool any = !pipe.is_reading() && pipe.read_failure() == 0 && pipe.can_take();
        return any ? pipe.lend(*at_.channel) : received();
    }
    /// As if the network had reset the connection: both ends see ECONNRESET, operations in flight included.
    void inject_reset() noexcept {
        if (at_.channel != nullptr) {
            at_.channel->reset_arrives(at_.end);
            at_.channel->reset_arrives(1 - at_.end);
        }
    }
    /// Octets that a read would yield without waiting.
    [[nodiscard]] std::size_t available() const noexcept {
        return at_.channel == nullptr ? 0 : at_.channel->to(at_.end).unread();
    }
    /// The addresses that were given when the pair was made. Errors  errc::closed.
    [[nodiscard]] result<endpoint> local_endpoint() const { return endpoint_of(at_.end); }
    [[nodiscard]] result<endpoint> peer_endpoint() const { return endpoint_of(1 - at_.end); }

private:
    friend struct detail::memory_access;
    explicit memory_stream(detail::memory_end at) noexcept : at_(at) {}
    void let_go(bool abort) noexcept {
        if (at_.channel != nullptr) {
            const detail::memory_end at = std::exchange(at_, {});
            at.channel->close(at.end, abort);
        }
    }
    [[nodiscard]] result<endpoint> endpoint_of(unsigned end) const {
        if (at_.channel == nullptr) {
            return fail(errc::closed);
        }
        return at_.channel->endpoint_of(end);
    }

    detail::memory_end at_;
};

static_assert(buffered_stream<memory_stream>);

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

struct memory_access {
    [[nodiscard]] static testing::memory_stream make(memory_channel& channel, unsigned end) noexcept {
        return testing::memory_stream(memory_end(&channel, end));
    }
};

} // namespace flux::inline FLUX_ABI::detail

namespace flux::inline FLUX_ABI::testing {

/// Two streams; what one writes the other reads. The first one is the side that connected.
/// Params  `first`, `second` are what the streams give as their addresses.
[[nodiscard]] inline std::pair<memory_stream, memory_stream>
make_memory_pair(memory_options options = {}, const endpoint& first = endpoint::loopback(50'000),
                 const endpoint& second = endpoint::loopback(80)) {
    auto* channel = new detail::memory_channel(options, first, second);
    return {detail::memory_access::make(*channel, 0), detail::memory_access::make(*channel, 1)};
}

} // namespace flux::inline FLUX_ABI::testing
