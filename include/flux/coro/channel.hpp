// SPDX-License-Identifier: MIT
// flux/coro/channel.hpp - channel<T>: values from coroutine to coroutine of one thread, bounded, in order.
//
//   send --> waiting receiver, or free slot, or the end of the senders' queue
//   receive --> first slot (the first waiting sender fills it again), or first waiting sender (capacity 0)
//
// Receivers wait only while nothing is buffered, senders only while every slot is taken. Deliberately not here:
// unbounded queues, one value for many receivers, other threads.
#pragma once

#include <flux/coro/wait_queue.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

template <class T>
class channel;

namespace detail {

template <class T>
class channel_send_state;
template <class T>
class channel_receive_state;

template <class T>
class [[nodiscard]] channel_send_op {
public:
    using value_type = void;
    using state_type = channel_send_state<T>;
    channel_send_op(channel<T>& to, T&& value) noexcept : channel_(&to), value_(std::move(value)) {}

private:
    friend class channel_send_state<T>;
    channel<T>* channel_;
    T value_;
};

template <class T>
class [[nodiscard]] channel_receive_op {
public:
    using value_type = std::optional<T>;
    using state_type = channel_receive_state<T>;
    explicit channel_receive_op(channel<T>& from) noexcept : channel_(&from) {}

private:
    friend class channel_receive_state<T>;
    channel<T>* channel_;
};

/// A FIFO of a fixed number of slots.
template <class T>
class ring {
public:
    explicit ring(std::size_t capacity)
        : slots_(capacity == 0 ? nullptr : std::allocator<T>().allocate(capacity)), capacity_(capacity) {}
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring() {
        for (; size_ != 0; drop_first()) {
        }
        if (slots_ != nullptr) {
            std::allocator<T>().deallocate(slots_, capacity_);
        }
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] bool full() const noexcept { return size_ == capacity_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    void push(T&& value) noexcept {
        const std::size_t to_end = capacity_ - first_;
        std::construct_at(slots_ + (size_ < to_end ? first_ + size_ : size_ - to_end), std::move(value));
        ++size_;
    }
    [[nodiscard]] T& first() noexcept { return slots_[first_]; }
    void drop_first() noexcept {
        std::destroy_at(slots_ + first_);
        first_ = first_ + 1 == capacity_ ? 0 : first_ + 1;
        --size_;
    }

private:
    T* slots_;
    std::size_t capacity_;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

} // namespace detail

/// A queue of at most `capacity` values; capacity 0 means that sender and receiver meet.
///
/// Senders are served in the order in which they came, receivers too, and values arrive in the order in which
/// they were sent. A waiting sender's value goes straight to its slot or receiver: one move.
/// Lifetime  outlives every wait.
/// Threads   one thread, that of the reactor whose coroutines use it.
/// Cost      the slots are allocated by the constructor; nothing afterwards.
template <class T>
class channel {
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                  "a channel moves values while it wakes others, which must not throw: send a std::unique_ptr to it");

public:
    using value_type = T;

    explicit channel(std::size_t capacity) : slots_(capacity) {}
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;
    ~channel() {
        FLUX_ASSERT(senders_.empty() && receivers_.empty(), "channel destroyed while a coroutine waits for it");
    }

    /// Values that are buffered now; those of waiting senders do not count.
    [[nodiscard]] std::size_t size() const noexcept { return slots_.size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }
    [[nodiscard]] bool is_closed() const noexcept { return closed_; }

    /// Hands over one value: `co_await ch.send(v);`. Waits while every slot is taken.
    /// Errors   errc::closed if the channel is closed before the value was taken; the reason of the context if it
    ///          is stopped before that, also where a slot is free. After an error nothing was sent, and the value
    ///          is gone.
    /// Cancel   ends at once. A value that a slot or a receiver has taken counts as sent, even if a stop follows
    ///          in the same turn.
    [[nodiscard]] detail::channel_send_op<T> send(T value) noexcept {
        return detail::channel_send_op<T>(*this, std::move(value));
    }
    /// Takes the next value: `while (auto v = co_await ch.receive())`. Waits while there is none.
    /// Returns  empty once the channel is closed and everything sent before was received.
    /// Errors   the reason of the context if it is stopped, also where a value is there.
    /// Cancel   ends at once, and has taken nothing. Who was handed a value has it, even if a stop follows in the
    ///          same turn.
    [[nodiscard]] detail::channel_receive_op<T> receive() noexcept { return detail::channel_receive_op<T>(*this); }

    /// Sends if that is possible now. False: full or closed, and the value was not touched.
    [[nodiscard]] bool try_send(T&& value) noexcept { return !closed_ && place(value); }
    [[nodiscard]] bool try_send(const T& value)
        requires std::copy_constructible<T>
    {
        if (closed_ || (receivers_.empty() && slots_.full())) {
            return false;
        }
        T copy(value);
        return place(copy);
    }
    /// The next value if one is there now.
    [[nodiscard]] std::optional<T> try_receive() noexcept {
        std::optional<T> value;
        move_next_to(value);
        return value;
    }

    /// No value is sent from now on: waiting and later senders fail with errc::closed. What is buffered can still
    /// be received. Closing again has no effect.
    void close() noexcept {
        closed_ = true;
        while (!senders_.empty()) {
            first_sender().refuse();
        }
        while (!receivers_.empty()) {
            receivers_.front().grant();
        }
    }

private:
    friend class detail::channel_send_state<T>;
    friend class detail::channel_receive_state<T>;
    using send_state = detail::channel_send_state<T>;
    using receive_state = detail::channel_receive_state<T>;

    [[nodiscard]] send_state& first_sender() noexcept { return static_cast<send_state&>(senders_.front()); }
    [[nodiscard]] bool place(T& value) noexcept {
        if (!receivers_.empty()) {
            auto& receiver = static_cast<receive_state&>(receivers_.front());
            receiver.value_.emplace(std::move(value));
            receiver.grant();
            return true;
        }
        if (slots_.full()) {
            return false;
        }
        slots_.push(std::move(value));
        return true;
    }
    void move_next_to(std::optional<T>& out) noexcept {
        if (slots_.empty()) {
            if (!senders_.empty()) {
                out.emplace(std::move(first_sender().value_));
                senders_.front().grant();
            }
            return;
        }
        out.emplace(std::move(slots_.first()));
        slots_.drop_first();
        if (!senders_.empty()) {
            slots_.push(std::move(first_sender().value_));
            senders_.front().grant();
        }
    }

    detail::ring<T> slots_;
    detail::wait_node::queue senders_;
    detail::wait_node::queue receivers_;
    bool closed_ = false;
};

namespace detail {

template <class T>
class channel_send_state : public wait_node {
public:
    channel_send_state(channel_send_op<T> op, context_node& ctx) noexcept
        : wait_node(ctx), channel_(op.channel_), value_(std::move(op.value_)) {}

    bool await_ready() noexcept {
        return ready([this] {
            refused_ = channel_->closed_;
            return refused_ || channel_->place(value_);
        });
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { wait_in(channel_->senders_, waiter); }
    [[nodiscard]] result<void> take() noexcept {
        if (!granted()) {
            return fail(ctx().stop_error());
        }
        if (refused_) {
            return fail(errc::closed);
        }
        return {};
    }

private:
    friend class channel<T>;
    void refuse() noexcept {
        refused_ = true;
        grant();
    }

    channel<T>* channel_;
    T value_;
    bool refused_ = false;
};

template <class T>
class channel_receive_state : public wait_node {
public:
    channel_receive_state(channel_receive_op<T> op, context_node& ctx) noexcept
        : wait_node(ctx), channel_(op.channel_) {}

    bool await_ready() noexcept {
        return ready([this] {
            channel_->move_next_to(value_);
            return value_.has_value() || channel_->closed_;
        });
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { wait_in(channel_->receivers_, waiter); }
    [[nodiscard]] result<std::optional<T>> take() noexcept {
        if (!granted()) {
            return fail(ctx().stop_error());
        }
        return std::move(value_);
    }

private:
    friend class channel<T>;

    channel<T>* channel_;
    std::optional<T> value_; // empty after grant(): closed
};

} // namespace detail

} // namespace flux::inline FLUX_ABI
