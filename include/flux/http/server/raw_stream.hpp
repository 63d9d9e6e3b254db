// SPDX-License-Identifier: MIT
// flux/http/server/raw_stream.hpp - the connection after HTTP: what the taker of an upgrade or a tunnel gets.
//
//   taker -> raw_stream -> octets that came with the request, then the connection's own stream, whatever its type
//
// A buffered_stream whose operations hold the state of the real one in place: no frame, no allocation. Deliberately
// not here: who may take a connection over (exchange_run.hpp).
#pragma once

#include <flux/http/message/request.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/net/stream.hpp>

#include <algorithm>
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

namespace flux::inline FLUX_ABI::http {

namespace detail {

using flux::detail::context_node;
using flux::detail::state_of;

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

    /// Octets that came behind the request's head and are the other protocol's first.
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
class raw_connection_over final : public raw_connection {
public:
    raw_connection_over(Stream& stream, std::string_view early_octets) : stream_(&stream) { early = early_octets; }

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
        return tag == &type_tag<Stream> ? stream_ : nullptr;
    }

private:
    template <class T, class Op>
    [[nodiscard]] static const raw_operations<T>* begin(raw_room& room, context_node& ctx, Op op) {
        using state = state_of<Op>;
        static_assert(sizeof(state) <= sizeof(room.octets) && alignof(state) <= alignof(raw_room),
                      "the state of this stream's operation does not fit raw_room");
        ::new (static_cast<void*>(room.octets)) state(std::move(op), ctx);
        return &raw_operations_of<state, T>;
    }
    Stream* stream_;
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
/// A buffered_stream like every other: the first octets that it yields are those that came behind the head. No
/// timeout of the server applies any more, and neither do its limits; the context is stopped with `shutdown` at the
/// end of a drain, and until_draining() tells of its beginning.
/// Lifetime  valid until the taker's task ends; then the connection is closed. A handle: it moves.
/// Threads   the reactor thread.
class raw_stream {
public:
    raw_stream() noexcept = default;
    explicit raw_stream(detail::raw_connection& at) noexcept : at_(&at) {}
    raw_stream(raw_stream&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    raw_stream& operator=(raw_stream&& other) noexcept {
        at_ = std::exchange(other.at_, nullptr);
        return *this;
    }
    ~raw_stream() = default;

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
        if (at_ != nullptr) {
            std::exchange(at_, nullptr)->close();
        }
    }
    void abort() noexcept {
        if (at_ != nullptr) {
            std::exchange(at_, nullptr)->abort();
        }
    }
    [[nodiscard]] bool is_open() const noexcept { return at_ != nullptr && at_->is_open(); }
    /// The stream below if it is an S, for options of its socket; else null. Octets that came early are not in it.
    template <class S>
    [[nodiscard]] S* underlying() const noexcept {
        return at_ == nullptr ? nullptr : static_cast<S*>(at_->stream(&detail::type_tag<S>));
    }

private:
    detail::raw_connection* at_ = nullptr;
};

static_assert(buffered_stream<raw_stream>);

/// Whether the client offers to speak `protocol` instead of HTTP from here on: Upgrade names it, with that version if
/// `protocol` has one, and Connection says that it is meant for this hop. Never in HTTP/1.0. Case does not matter.
/// Source  RFC 9110 7.8.
[[nodiscard]] inline bool asks_upgrade(const request& req, std::string_view protocol) noexcept {
    if (!connection_of(req.head()).upgrade) {
        return false;
    }
    const bool any_version = protocol.find('/') == std::string_view::npos;
    for (auto it = req.fields().get_all(field::upgrade).begin(); !(it == std::default_sentinel); ++it) {
        for (const std::string_view offer : list_elements(*it)) {
            if (iequals(any_version ? offer.substr(0, offer.find('/')) : offer, protocol)) {
                return true;
            }
        }
    }
    return false;
}

/// An answer that ends HTTP on the connection: 101 with `protocol`, then `take` gets the stream.
///
/// Answer it only to a request that asks for the upgrade (asks_upgrade()), over HTTP/1.1; else it becomes
/// 500. What is left of the request's body is dropped first. The request has ended when `take` is called: copy what
/// it needs.
/// Source  RFC 9110 7.8.
[[nodiscard]] inline response switch_protocol(std::string_view protocol, stream_taker take) {
    return response(status::switching_protocols).header(field::upgrade, protocol).hand_over(std::move(take));
}

/// The answer 200 to CONNECT, after which `take` gets the stream. To any other request it becomes 500.
/// Source  RFC 9110 9.3.6.
[[nodiscard]] inline response tunnel(stream_taker take) { return response(status::ok).hand_over(std::move(take)); }

} // namespace flux::inline FLUX_ABI::http
