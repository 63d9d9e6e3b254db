// SPDX-License-Identifier: MIT
// flux/net/raw_stream.hpp - a stream of any type, and octets that were read from it already.
//
//   who has it -> raw_stream -> octets that came early, then the connection's own stream, whatever its type
//
// A buffered_stream whose operations hold the state of the real one in place: no frame, no allocation. Deliberately
// not here: who gets one (http/server/hand_over.hpp, http/client/client_response.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/vacate.hpp>
#include <flux/net/stream.hpp>

#include <cstddef>
#include <coroutine>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

namespace detail {

// The address of stream_tag<S> identifies a type of stream across translation units.
template <class>
inline constexpr char stream_tag = 0;

/// How the state of one operation of an unknown stream is run. One table per type of state.
template <class T>
struct raw_operations {
    bool (*ready)(void*);
    std::coroutine_handle<> (*suspend)(void*, std::coroutine_handle<>) noexcept;
    result<T> (*take)(void*);
    void (*destroy)(void*) noexcept;
};

template <class State>
[[nodiscard]] std::coroutine_handle<> suspend_raw(void* at, std::coroutine_handle<> waiter) noexcept {
    using outcome = decltype(static_cast<State*>(at)->await_suspend(waiter));
    if constexpr (std::is_void_v<outcome>) {
        static_cast<State*>(at)->await_suspend(waiter);
        return std::noop_coroutine();
    } else if constexpr (std::is_same_v<outcome, bool>) {
        return static_cast<State*>(at)->await_suspend(waiter) ? std::noop_coroutine() : waiter;
    } else {
        return static_cast<State*>(at)->await_suspend(waiter);
    }
}

template <class State, class T>
inline constexpr raw_operations<T> raw_operations_of = {
    [](void* at) -> bool { return static_cast<State*>(at)->await_ready(); }, &suspend_raw<State>,
    [](void* at) -> result<T> { return static_cast<State*>(at)->take(); },
    [](void* at) noexcept { std::destroy_at(static_cast<State*>(at)); }};

/// Where an operation's state lives, in the frame of who awaits it.
struct raw_room {
    alignas(std::max_align_t) std::byte octets[512];
};

/// A stream and what was read from it already.
class raw_connection {
public:
    [[nodiscard]] virtual const raw_operations<received>* receive(raw_room& room, context_node& ctx) = 0;
    [[nodiscard]] virtual const raw_operations<std::size_t>* read(raw_room& room, context_node& ctx, mutable_buffer out) = 0;
    [[nodiscard]] virtual const raw_operations<void>* write(raw_room& room, context_node& ctx, const_buffer in) = 0;
    [[nodiscard]] virtual const raw_operations<void>* write(raw_room& room, context_node& ctx,
                                                            std::span<const const_buffer> list) = 0;
    [[nodiscard]] virtual result<void> shutdown_write() noexcept = 0;
    virtual void close() noexcept = 0;
    virtual void abort() noexcept = 0;
    [[nodiscard]] virtual bool is_open() noexcept = 0;
    virtual void watch_hangup(hangup_listener* listener) noexcept = 0;
    [[nodiscard]] virtual void* stream(const void* tag) noexcept = 0;

    /// Octets that came behind the head and are the other protocol's first.
    std::string early;
    std::size_t early_taken = 0;

    [[nodiscard]] const_buffer take_early(std::size_t most) noexcept {
        const std::size_t n = std::min(most, early.size() - early_taken);
        early_taken += n;
        return as_octets(std::string_view(early).substr(early_taken - n, n));
    }

protected:
    ~raw_connection() = default;
};

template <buffered_stream Stream>
class raw_connection_of : public raw_connection {
public:
    raw_connection_of(Stream& stream, std::string_view early_octets) : stream_(&stream) { early = early_octets; }

    [[nodiscard]] const raw_operations<received>* receive(raw_room& room, context_node& ctx) override {
        return begin<received>(room, ctx, stream_->receive());
    }
    [[nodiscard]] const raw_operations<std::size_t>* read(raw_room& room, context_node& ctx, mutable_buffer out) override {
        return begin<std::size_t>(room, ctx, stream_->read_some(out));
    }
    [[nodiscard]] const raw_operations<void>* write(raw_room& room, context_node& ctx, const_buffer in) override {
        return begin<void>(room, ctx, stream_->write_all(in));
    }
    [[nodiscard]] const raw_operations<void>* write(raw_room& room, context_node& ctx,
                                                    std::span<const const_buffer> list) override {
        return begin<void>(room, ctx, stream_->write_all(list));
    }
    [[nodiscard]] result<void> shutdown_write() noexcept override { return stream_->shutdown_write(); }
    void close() noexcept override { stream_->close(); }
    void abort() noexcept override { stream_->abort(); }
    [[nodiscard]] bool is_open() noexcept override { return stream_->is_open(); }
    void watch_hangup(hangup_listener* listener) noexcept override { stream_->watch_hangup(listener); }
    [[nodiscard]] void* stream(const void* tag) noexcept override {
        return tag == &stream_tag<Stream> ? stream_ : nullptr;
    }

protected:
    ~raw_connection_of() = default;

private:
    template <class T, class Op>
    [[nodiscard]] static const raw_operations<T>* begin(raw_room& room, context_node& ctx, Op op) {
        using state = state_of<Op>;
        static_assert(sizeof(state) <= sizeof(room.octets) && alignof(state) <= alignof(raw_room),
                      "the state of this stream's operation does not fit raw_room");
        ::new (static_cast<void*>(room.octets)) state(std::move(op), ctx);
        return &raw_operations_of<state, T>;
    }
    Stream* stream_; // outlives this
};

/// Lent: whoever has the stream ends it.
template <buffered_stream Stream>
class raw_connection_over final : public raw_connection_of<Stream> {
public:
    using raw_connection_of<Stream>::raw_connection_of;
};

template <class T>
class raw_state;

/// One operation of a raw_stream: which one, and its arguments.
template <class T>
class [[nodiscard]] raw_op {
public:
    using value_type = T;
    using state_type = raw_state<T>;
    explicit raw_op(raw_connection* at) noexcept : at_(at) {}
    raw_op(raw_connection* at, mutable_buffer out) noexcept : at_(at), out_(out) {}
    raw_op(raw_connection* at, const_buffer in) noexcept : at_(at), in_(in) {}
    raw_op(raw_connection* at, std::span<const const_buffer> buffers) noexcept
        : at_(at), list_(buffers), is_list_(true) {}

private:
    friend class raw_state<T>;
    raw_connection* at_; // null: closed
    mutable_buffer out_{};
    const_buffer in_{};
    std::span<const const_buffer> list_{};
    bool is_list_ = false;
};

template <class T>
class raw_state {
public:
    raw_state(raw_op<T> op, context_node& ctx) : op_(op), ctx_(&ctx) {
        if (op_.at_ == nullptr || has_early()) {
            return;
        }
        if constexpr (std::is_same_v<T, received>) {
            run_ = op_.at_->receive(room_, ctx);
        } else if constexpr (std::is_void_v<T>) {
            run_ = op_.is_list_ ? op_.at_->write(room_, ctx, op_.list_) : op_.at_->write(room_, ctx, op_.in_);
        } else {
            run_ = op_.at_->read(room_, ctx, op_.out_);
        }
    }
    raw_state(const raw_state&) = delete;
    raw_state& operator=(const raw_state&) = delete;
    ~raw_state() {
        if (run_ != nullptr) {
            run_->destroy(room_.octets);
        }
    }

    bool await_ready() { return run_ == nullptr || run_->ready(room_.octets); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
        return run_->suspend(room_.octets, waiter);
    }
    [[nodiscard]] result<T> take() {
        if (run_ != nullptr) {
            return run_->take(room_.octets);
        }
        if (op_.at_ == nullptr) {
            return fail(flux::errc::closed);
        }
        if constexpr (!std::is_void_v<T>) {
            if (ctx_->stopped()) {
                return fail(ctx_->stop_error());
            }
        }
        if constexpr (std::is_same_v<T, received>) {
            return received(op_.at_->take_early(std::string::npos), nullptr, nullptr, 0);
        } else if constexpr (!std::is_void_v<T>) {
            const const_buffer octets = op_.at_->take_early(op_.out_.size());
            if (!octets.empty()) {
                std::memcpy(op_.out_.data(), octets.data(), octets.size());
            }
            return octets.size();
        } else {
            return {};
        }
    }

private:
    [[nodiscard]] bool has_early() const noexcept {
        return !std::is_void_v<T> && op_.at_->early_taken < op_.at_->early.size();
    }
    raw_op<T> op_;
    context_node* ctx_;
    const raw_operations<T>* run_ = nullptr; // null: early octets, or closed
    raw_room room_;
};

} // namespace detail

/// The octets of a connection that HTTP has left: after 101 (Switching Protocols) or a 2xx answer to CONNECT.
///
/// A buffered_stream like every other: the first octets that it yields are those that came behind the head. A handle: it
/// moves, while no operation is in flight. No timeout or limit of HTTP applies any more, only those of the context.
/// Lifetime  lent by a server: valid until the taker's task ends; then the connection is closed. Owned, from a client's
///           response: until it is closed or destroyed; in a loop that is no reactor, before the loop.
/// Threads   the reactor thread.
class raw_stream {
public:
    /// A closed one.
    raw_stream() noexcept = default;
    /// Lent: what is destroyed does not close.
    explicit raw_stream(detail::raw_connection& at) noexcept : at_(&at) {}
    /// Owned: it is closed in any case, and frees itself then.
    [[nodiscard]] static raw_stream owning(detail::raw_connection& at) noexcept {
        raw_stream s(at);
        s.owns_ = true;
        return s;
    }
    raw_stream(raw_stream&& other) noexcept
        : at_(detail::vacate(other.at_)), owns_(detail::vacate(other.owns_)) {}
    raw_stream& operator=(raw_stream&& other) noexcept {
        if (this != &other) {
            let_go();
            at_ = detail::vacate(other.at_);
            owns_ = detail::vacate(other.owns_);
        }
        return *this;
    }
    ~raw_stream() { let_go(); }

    [[nodiscard]] detail::raw_op<std::size_t> read_some(mutable_buffer out) noexcept { return {at_, out}; }
    [[nodiscard]] detail::raw_op<received> receive() noexcept { return detail::raw_op<received>(at_); }
    [[nodiscard]] detail::raw_op<void> write_all(const_buffer in) noexcept { return {at_, in}; }
    [[nodiscard]] detail::raw_op<void> write_all(std::span<const const_buffer> list) noexcept { return {at_, list}; }
    [[nodiscard]] result<void> shutdown_write() noexcept {
        return at_ == nullptr ? result<void>(fail(flux::errc::closed)) : at_->shutdown_write();
    }
    void watch_hangup(hangup_listener* listener) noexcept {
        if (at_ != nullptr) {
            at_->watch_hangup(listener);
        }
    }
    void close() noexcept {
        owns_ = false;
        if (at_ != nullptr) {
            detail::vacate(at_)->close();
        }
    }
    void abort() noexcept {
        owns_ = false;
        if (at_ != nullptr) {
            detail::vacate(at_)->abort();
        }
    }
    [[nodiscard]] bool is_open() const noexcept { return at_ != nullptr && at_->is_open(); }
    /// The stream below if it is an S, for options of its socket; else null. Octets that came early are not in it.
    template <class S>
    [[nodiscard]] S* underlying() const noexcept {
        return at_ == nullptr ? nullptr : static_cast<S*>(at_->stream(&detail::stream_tag<S>));
    }

private:
    void let_go() noexcept {
        if (owns_) {
            close();
        }
    }
    detail::raw_connection* at_ = nullptr;
    bool owns_ = false;
};

static_assert(buffered_stream<raw_stream>);

} // namespace flux::inline FLUX_ABI
