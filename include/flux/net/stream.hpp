// SPDX-License-Identifier: MIT
// flux/net/stream.hpp - what a byte stream is: the concepts that TCP, Unix, TLS and memory streams model.
//
// Two ways to read: read_some copies into the caller's memory; receive hands over the octets in the buffer
// they arrived in (`received`), which is how protocol code parses without a copy. One reader and one writer
// may be in flight at a time. Deliberately not here: any stream (tcp_stream.hpp, testing/memory_stream.hpp).
#pragma once

#include <flux/core/vacate.hpp>
#include <flux/coro/operation.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace flux::inline FLUX_ABI {

using const_buffer = std::span<const std::byte>;
using mutable_buffer = std::span<std::byte>;

/// The octets of a string, borrowed.
[[nodiscard]] inline const_buffer as_octets(std::string_view text) noexcept { return std::as_bytes(std::span(text)); }
/// Octets as text, borrowed.
[[nodiscard]] inline std::string_view as_text(const_buffer octets) noexcept {
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

/// Octets that arrived, in the buffer they arrived in; the buffer goes back when this dies.
///
/// Empty means the end of the stream. Keep it only while you parse: buffers are shared by all connections of
/// a reactor. Threads: the reactor thread.
class received {
public:
    /// How the buffer is given back: called once with `owner` and `id`.
    using give_back = void (*)(void* owner, std::uint32_t id) noexcept;

    received() noexcept = default;
    received(const_buffer octets, give_back release, void* owner, std::uint32_t id) noexcept
        : octets_(octets), release_(release), owner_(owner), id_(id) {}
    received(received&& other) noexcept
        : octets_(detail::vacate(other.octets_)), release_(detail::vacate(other.release_)),
          owner_(other.owner_), id_(other.id_) {}
    received& operator=(received&& other) noexcept {
        if (this != &other) {
            reset();
            octets_ = detail::vacate(other.octets_);
            release_ = detail::vacate(other.release_);
            owner_ = other.owner_;
            id_ = other.id_;
        }
        return *this;
    }
    ~received() { reset(); }

    [[nodiscard]] const_buffer octets() const noexcept { return octets_; }
    [[nodiscard]] std::size_t size() const noexcept { return octets_.size(); }
    [[nodiscard]] bool empty() const noexcept { return octets_.empty(); }
    /// Drops the first n octets from the view. n <= size().
    void consume(std::size_t n) noexcept { octets_ = octets_.subspan(n); }
    /// Gives the buffer back now.
    void reset() noexcept {
        octets_ = {};
        if (release_ != nullptr) {
            detail::vacate(release_)(owner_, id_);
        }
    }

private:
    const_buffer octets_;
    give_back release_ = nullptr;
    void* owner_ = nullptr;
    std::uint32_t id_ = 0;
};

/// Who wants to know that the peer went away, although nobody reads.
///
/// on_hangup is called at most once per watch, on the reactor thread, from the loop; it must only queue or
/// stop a context. `reset` is true after a connection reset, false after an orderly end (FIN).
class hangup_listener {
public:
    using action = void (*)(hangup_listener&, bool reset) noexcept;
    explicit hangup_listener(action on_hangup) noexcept : on_hangup_(on_hangup) {}
    void notify(bool reset) noexcept { on_hangup_(*this, reset); }

private:
    action on_hangup_;
};

template <class Op, class T>
concept operation_yielding = operation<Op> && std::same_as<value_of<Op>, T>;

/// A connected, ordered stream of octets in both directions.
///
/// read_some(out)        1..out.size() octets, or 0 at the end of the stream (or if `out` is empty)
/// write_all(octets)     everything is handed to the kernel, or an error; after an error or a cancel in
///                       mid-write the stream can only be closed, and bytes_sent() of the error says how much went out
/// write_all(list)       the same for several buffers, in one system call where possible
/// shutdown_write()      sends FIN after what was written; reading goes on
/// close()               ends both directions; no operation may be in flight
/// Overlap  one reading and one writing operation; a second one fails with errc::overlap.
/// Cancel   through the context. A read that is stopped loses no octet: the next read gets them.
template <class S>
concept byte_stream = std::movable<S> && requires(S s, mutable_buffer out, const_buffer in, std::span<const const_buffer> list) {
    { s.read_some(out) } -> operation_yielding<std::size_t>;
    { s.write_all(in) } -> operation_yielding<void>;
    { s.write_all(list) } -> operation_yielding<void>;
    { s.shutdown_write() } noexcept -> std::same_as<result<void>>;
    { s.close() } noexcept;
    { s.is_open() } noexcept -> std::same_as<bool>;
};

/// A byte_stream that also hands over its receive buffers and reports hang-ups: what the HTTP server needs.
///
/// receive()             the next octets in their own buffer; empty at the end of the stream
/// watch_hangup(l)       l (or nullptr to end the watch) hears of a reset or end while no read is in flight
/// abort()               closes with a reset: the peer sees that the exchange did not end well
///
/// A stream may also have three more, by which a client's pool sees that an idle connection is no longer what it was:
/// watch_input(l)        as watch_hangup, and l hears of octets, too, with `reset` false
/// has_input()           whether a read would yield something without waiting: octets, the end or a failure
/// try_receive()         takes what has_input() speaks of, if it is octets; else empty
template <class S>
concept buffered_stream = byte_stream<S> && requires(S s, hangup_listener* l) {
    { s.receive() } -> operation_yielding<received>;
    { s.watch_hangup(l) } noexcept;
    { s.abort() } noexcept;
};

} // namespace flux::inline FLUX_ABI
