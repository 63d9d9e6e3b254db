// SPDX-License-Identifier: MIT
// flux/net/socket_ops.hpp - reading from and writing to a stream socket: the operations and their states.
//
// A read takes what is queued, or waits for the receiver. A write is one send in flight per socket: send(2)
// at once when the turn has few completions (or on epoll), else through the ring, so that a turn's answers
// share one system call. Deliberately not here: a speculative recv(2), which costs more than it saves.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/net/socket_core.hpp>

#include <cerrno>
#include <cstring>
#include <span>

#include <sys/socket.h>
#include <sys/uio.h>

namespace flux::inline FLUX_ABI::detail {

/// The core that an operation can use, or nullptr.
[[nodiscard]] inline socket_core* usable(socket_core* core) noexcept {
    return core != nullptr && core->fd() >= 0 ? core : nullptr;
}

class read_state_base : public budgeted, private socket_core::reader {
public:
    read_state_base(socket_core* core, context_node& ctx) noexcept
        : budgeted(ctx, &on_stop), reader(&on_readable), core_(usable(core)) {}

    bool await_ready() noexcept {
        if (core_ == nullptr) {
            return true;
        }
        FLUX_ASSERT(core_->home().on_own_thread(), "an operation was started on a thread that does not own its reactor");
        stopped_ = ctx().stopped();
        overlap_ = core_->is_reading();
        if (stopped_ || overlap_) {
            return true;
        }
        const bool available = core_->rx().has_octets() || core_->rx().ended();
        return available && may_run_inline();
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        core_->begin_read();
        suspended_ = true;
        if (yield_if_out_of_budget(waiter)) {
            return;
        }
        suspension::suspend(waiter);
        core_->wait_readable(*this);
    }

protected:
    enum class state : unsigned char { octets, end, failed };
    /// For take(), once.
    [[nodiscard]] state look() noexcept {
        if (suspended_) {
            core_->end_read();
        }
        if (core_ == nullptr || stopped_ || overlap_) {
            return state::failed;
        }
        if (core_->rx().has_octets()) {
            return state::octets;
        }
        return core_->rx().ended() && core_->rx().failure() == 0 ? state::end : state::failed;
    }
    [[nodiscard]] failure why() const noexcept {
        if (core_ == nullptr) {
            return fail(errc::closed);
        }
        if (stopped_) {
            return fail(ctx().stop_error());
        }
        if (overlap_) {
            return fail(errc::overlap);
        }
        return core_->rx().ended() ? fail(error::from_errno(core_->rx().failure())) : fail(ctx().stop_error());
    }
    [[nodiscard]] socket_core& core() const noexcept { return *core_; }

private:
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<read_state_base&>(hook);
        self.core_->stop_waiting();
        self.finish();
    }
    static void on_readable(reader& r) noexcept { static_cast<read_state_base&>(r).finish(); }

    socket_core* core_;
    bool stopped_ = false; // before it began
    bool overlap_ = false;
    bool suspended_ = false;
};

class receive_state;
class [[nodiscard]] receive_op {
public:
    using value_type = received;
    using state_type = receive_state;
    explicit receive_op(socket_core* core) noexcept : core_(core) {}

private:
    friend class receive_state;
    socket_core* core_;
};

class receive_state : public read_state_base {
public:
    receive_state(receive_op op, context_node& ctx) noexcept : read_state_base(op.core_, ctx) {}
    [[nodiscard]] result<received> take() {
        switch (look()) {
        case state::octets: return core().take_octets();
        case state::end: return received();
        case state::failed: break;
        }
        return why();
    }
};

class read_some_state;
class [[nodiscard]] read_some_op {
public:
    using value_type = std::size_t;
    using state_type = read_some_state;
    read_some_op(socket_core* core, mutable_buffer out) noexcept : core_(core), out_(out) {}

private:
    friend class read_some_state;
    socket_core* core_;
    mutable_buffer out_;
};

class read_some_state : public read_state_base {
public:
    read_some_state(read_some_op op, context_node& ctx) noexcept : read_state_base(op.core_, ctx), out_(op.out_) {}
    bool await_ready() noexcept { return out_.empty() || read_state_base::await_ready(); }
    [[nodiscard]] result<std::size_t> take() {
        if (out_.empty()) {
            return std::size_t{0};
        }
        switch (look()) {
        case state::octets: return copy();
        case state::end: return std::size_t{0};
        case state::failed: break;
        }
        return why();
    }

private:
    [[nodiscard]] std::size_t copy() noexcept {
        receiver& rx = core().rx();
        std::size_t done = 0;
        while (done < out_.size() && rx.has_octets()) {
            const chunk& c = rx.front();
            const std::size_t n = std::min<std::size_t>(c.size, out_.size() - done);
            std::memcpy(out_.data() + done, c.data, n);
            done += n;
            rx.consume(n);
        }
        return done;
    }
    mutable_buffer out_;
};

/// Base of the two writing states: at most one send in flight, a stop cancels it, what went out is counted.
/// State::advance(n) sets up the next piece after n octets went out; false if nothing is left.
template <class State>
class write_state_base : public budgeted, public io_op {
public:
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        if (yield_if_out_of_budget(waiter)) {
            return;
        }
        suspension::suspend(waiter);
        core_->home().driver().start(*this);
    }

protected:
    write_state_base(socket_core* core, context_node& ctx, io_kind kind) noexcept
        : budgeted(ctx, &on_stop), io_op(kind, usable(core) == nullptr ? -1 : core->fd(), &on_completion),
          core_(usable(core)) {
        in_parts = core_ != nullptr && core_->sends_in_parts();
    }

    /// Whether the write may begin now; false: `failed_` says why, or it is done.
    [[nodiscard]] bool begin() noexcept {
        if (core_ == nullptr) {
            return refuse(errc::closed);
        }
        FLUX_ASSERT(core_->home().on_own_thread(), "an operation was started on a thread that does not own its reactor");
        if (ctx().stopped()) {
            return refuse(to_errc(ctx().reason()));
        }
        if (!core_->begin_write()) {
            return refuse(errc::overlap);
        }
        return true;
    }
    [[nodiscard]] bool sends_directly() const noexcept { return core_->home().prefers_direct_send(); }
    // For await_ready, after send(2): whether that was all, or an error, and the coroutine may go on at once.
    [[nodiscard]] bool ends_inline(::ssize_t sent) noexcept {
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            return false;
        }
        return account(sent < 0 ? -errno : static_cast<int>(sent)) && may_run_inline();
    }
    void end(std::error_code why = {}) noexcept {
        failed_ = why;
        core_->end_write();
    }
    [[nodiscard]] result<void> outcome() const noexcept {
        if (failed_) {
            return refusal();
        }
        return {};
    }
    // A result of send(2), or -errno: true when the write is over.
    [[nodiscard]] bool account(int sent) noexcept {
        if (sent < 0) {
            end(sent == -ECANCELED && ctx().stopped() ? make_error_code(to_errc(ctx().reason()))
                                                      : std::error_code(-sent, std::system_category()));
            return true;
        }
        core_->note_written(static_cast<std::size_t>(sent));
        sent_ += static_cast<std::size_t>(sent);
        if (!static_cast<State&>(*this).advance(static_cast<std::size_t>(sent))) {
            end();
            return true;
        }
        return false;
    }

private:
    // Whoever wants to send it again has to know whether the peer can have seen a part of it.
    [[nodiscard, gnu::cold]] failure refusal() const noexcept {
        error e(failed_);
        if (sent_ != 0) {
            e.bytes_sent(sent_);
        }
        return fail(std::move(e));
    }
    [[nodiscard]] bool refuse(errc code) noexcept {
        failed_ = make_error_code(code);
        return false;
    }
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<write_state_base&>(hook);
        self.core_->home().driver().cancel(self);
    }
    static void on_completion(io_op& op, const completion& c) noexcept {
        auto& self = static_cast<write_state_base&>(op);
        if (self.account(c.result)) {
            self.finish();
        } else if (self.ctx().stopped()) {
            // a cancelled send that went out in part: the stream cannot be used any more
            self.end(make_error_code(to_errc(self.ctx().reason())));
            self.finish();
        } else {
            self.core_->home().driver().start(self);
        }
    }

    socket_core* core_;
    std::uint64_t sent_ = 0;
    std::error_code failed_;
};

class write_state;
class [[nodiscard]] write_op {
public:
    using value_type = void;
    using state_type = write_state;
    write_op(socket_core* core, const_buffer octets) noexcept : core_(core), octets_(octets) {}

private:
    friend class write_state;
    socket_core* core_;
    const_buffer octets_;
};

class write_state : public write_state_base<write_state> {
public:
    write_state(write_op op, context_node& ctx) noexcept
        : write_state_base(op.core_, ctx, io_kind::send), octets_(op.octets_) {}

    bool await_ready() noexcept {
        if (!begin()) {
            return true;
        }
        if (octets_.empty()) {
            end();
            return true;
        }
        set_up();
        return sends_directly() && ends_inline(::send(fd(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    [[nodiscard]] result<void> take() const noexcept { return outcome(); }

private:
    friend class write_state_base;
    [[nodiscard]] bool advance(std::size_t n) noexcept {
        octets_ = octets_.subspan(n);
        set_up();
        return !octets_.empty();
    }
    void set_up() noexcept {
        data = const_cast<std::byte*>(octets_.data());
        size = std::min<std::size_t>(octets_.size(), 1U << 30);
    }
    const_buffer octets_;
};

class gather_state;
class [[nodiscard]] gather_op {
public:
    using value_type = void;
    using state_type = gather_state;
    gather_op(socket_core* core, std::span<const const_buffer> list) noexcept : core_(core), list_(list) {}

private:
    friend class gather_state;
    socket_core* core_;
    std::span<const const_buffer> list_;
};

class gather_state : public write_state_base<gather_state> {
public:
    gather_state(gather_op op, context_node& ctx) noexcept
        : write_state_base(op.core_, ctx, io_kind::send_message), list_(op.list_) {
        io_op::data = &header_;
        header_.msg_iov = pieces_;
    }

    bool await_ready() noexcept {
        if (!begin()) {
            return true;
        }
        if (!set_up()) {
            end();
            return true;
        }
        return sends_directly() && ends_inline(::sendmsg(fd(), &header_, MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    [[nodiscard]] result<void> take() const noexcept { return outcome(); }

private:
    static constexpr std::size_t max_pieces = 8;          // per system call; more go out in several
    static constexpr std::size_t max_octets = 1U << 30;   // per system call; the result is an int

    friend class write_state_base;
    [[nodiscard]] bool advance(std::size_t n) noexcept {
        while (!list_.empty() && n >= list_.front().size() - offset_) {
            n -= list_.front().size() - offset_;
            offset_ = 0;
            list_ = list_.subspan(1);
        }
        offset_ += n;
        return set_up();
    }
    // Describes the next pieces; false if nothing is left.
    [[nodiscard]] bool set_up() noexcept {
        std::size_t count = 0;
        std::size_t total = 0;
        std::size_t skip = offset_;
        for (const const_buffer& piece : list_) {
            if (count == max_pieces || total >= max_octets) {
                break;
            }
            if (piece.size() > skip) {
                pieces_[count].iov_base = const_cast<std::byte*>(piece.data() + skip);
                pieces_[count].iov_len = std::min(piece.size() - skip, max_octets - total);
                total += pieces_[count].iov_len;
                ++count;
            }
            skip = 0;
        }
        header_.msg_iovlen = count;
        return count != 0;
    }

    std::span<const const_buffer> list_;
    std::size_t offset_ = 0; // of the first list entry, already sent
    ::msghdr header_{};
    ::iovec pieces_[max_pieces]{};
};

} // namespace flux::inline FLUX_ABI::detail
