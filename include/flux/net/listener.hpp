// SPDX-License-Identifier: MIT
// flux/net/listener.hpp - a listening socket: one multishot accept, and the connections nobody took yet.
//
// As with receiving, the accept belongs to the listener: a waiter that is stopped leaves, and a connection
// that comes later is queued for the next one. When `queue_limit` connections wait, accepting pauses and the
// kernel's backlog takes over. Deliberately not here: what to do about errors such as EMFILE (the server
// backs off), limits on connections.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/vacate.hpp>
#include <flux/io/reactor.hpp>
#include <flux/net/socket_stream.hpp>

#include <cstddef>
#include <tuple>

namespace flux::inline FLUX_ABI {

/// How a listening socket is made.
struct listen_options {
    int backlog = 4096;         ///< connections the kernel holds; capped by net.core.somaxconn
    bool reuse_port = false;    ///< SO_REUSEPORT: several listeners, one per worker, share the port
    bool reuse_address = true;  ///< SO_REUSEADDR: listen again although old connections linger
};
static_assert(std::is_trivially_destructible_v<listen_options>);

namespace detail {

class listener_core final : private io_op, private reactor_resident {
public:
    class acceptor {
    public:
        using action = void (*)(acceptor&) noexcept;
        explicit acceptor(action r) noexcept : acceptable(r) {}
        action acceptable;
    };

    listener_core(reactor& home, unique_fd fd) noexcept
        : io_op(io_kind::accept, fd.get(), &on_accept), home_(&home), fd_(std::move(fd)) {
        home.add_resident(*this);
    }

    [[nodiscard]] reactor& home() const noexcept { return *home_; }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] bool has_outcome() const noexcept { return next_ != queue_.size() || failed_ != 0 || is_exhausted(); }
    /// No connection comes any more, and all that came were taken.
    [[nodiscard]] bool is_exhausted() const noexcept {
        return stopping_ && !io_op::in_flight() && next_ == queue_.size();
    }
    [[nodiscard]] bool is_closing() const noexcept { return closing_; }

    /// An accept that suspends is the one accept until it has its outcome, not only until it is woken; the core
    /// lives as long. end_accept() may delete it.
    [[nodiscard]] bool is_accepting() const noexcept { return accepting_; }
    void begin_accept() noexcept { accepting_ = true; }
    void end_accept() noexcept {
        accepting_ = false;
        if (closing_) {
            close_if_idle();
        }
    }
    void wait_acceptable(acceptor& a) noexcept {
        waiter_ = &a;
        arm();
    }
    void stop_waiting() noexcept { waiter_ = nullptr; }

    /// A descriptor, or -errno; has_outcome() must hold.
    [[nodiscard]] int take() noexcept {
        if (next_ != queue_.size()) {
            const int fd = queue_[next_++];
            if (next_ == queue_.size()) {
                queue_.clear();
                next_ = 0;
            }
            return fd;
        }
        return -detail::vacate(failed_);
    }

    void stop_accepting() noexcept {
        if (detail::vacate_for(stopping_, true)) {
            return;
        }
        if (io_op::in_flight()) {
            home_->driver().cancel(*this);
        } else {
            look_once_more();
        }
    }
    void close() noexcept {
        owned_ = false;
        closing_ = true;
        if (fd_.get() < 0) {
            delete this; // the reactor ended first
            return;
        }
        wake_waiter();
        home_->driver().cancel(*this);
        close_if_idle();
    }

private:
    // Accepted but not taken, beside what one look at the kernel brings; then the kernel queues.
    static constexpr std::size_t queue_limit = 64;

    ~listener_core() = default;

    void arm() noexcept {
        if (!io_op::in_flight() && !closing_ && !stopping_) {
            home_->driver().start(*this);
        }
    }
    void wake_waiter() noexcept {
        if (waiter_ != nullptr) {
            acceptor& a = *detail::vacate(waiter_);
            a.acceptable(a);
        }
    }
    static void on_accept(io_op& op, const completion& c) noexcept {
        auto& self = static_cast<listener_core&>(op);
        if (c.result >= 0) {
            self.arrived(c.result);
        } else if (!self.closing_ && c.result != -ECANCELED && c.result != -EINTR && c.result != -EAGAIN &&
                   c.result != -ECONNABORTED) {
            self.failed_ = -c.result;
            self.wake_waiter();
        }
        if (c.more) {
            return;
        }
        if (self.closing_) {
            self.close_if_idle();
        } else if (self.stopping_) {
            if (self.looked_) {
                self.wake_waiter();
            } else {
                self.look_once_more();
            }
        } else if (self.waiter_ != nullptr) {
            self.arm();
        }
    }
    // Takes what the kernel has queued, and waits for no more. Of several descriptors of one socket only one is told of
    // a connection: if that was this one, just when it stopped, the others would not see it before the next one comes.
    void look_once_more() noexcept {
        looked_ = true;
        last_look = true;
        home_->driver().start(*this);
        home_->driver().cancel(*this);
    }
    void arrived(int fd) noexcept {
        unique_fd accepted(fd);
        if (closing_) {
            return;
        }
        if (next_ >= queue_limit) { // a queue that is never empty is cut here
            queue_.erase_front(next_);
            next_ = 0;
        }
        queue_.push_back(accepted.get());
        std::ignore = accepted.release();
        if (queue_.size() - next_ >= queue_limit && !looked_) {
            home_->driver().cancel(*this);
        }
        wake_waiter();
    }
    void close_if_idle() noexcept {
        if (io_op::in_flight() || accepting_) {
            return;
        }
        while (next_ != queue_.size()) {
            ::close(queue_[next_++]);
        }
        reactor_resident::unlink();
        home_->driver().forget(fd_.get());
        fd_.reset();
        if (!owned_) {
            delete this;
        }
    }
    void reactor_ends() noexcept override {
        closing_ = true;
        home_->driver().cancel(*this);
        close_if_idle();
    }

    reactor* home_;
    unique_fd fd_;
    dynamic_array<int> queue_; // [next_, size) wait to be taken
    std::size_t next_ = 0;
    acceptor* waiter_ = nullptr;
    int failed_ = 0;
    bool owned_ = true;
    bool closing_ = false;
    bool stopping_ = false;
    bool looked_ = false; // for the last time
    bool accepting_ = false;
};

template <class Stream>
class accept_state;

template <class Stream>
class [[nodiscard]] accept_op {
public:
    using value_type = Stream;
    using state_type = accept_state<Stream>;
    explicit accept_op(listener_core* core) noexcept : core_(core) {}

private:
    friend class accept_state<Stream>;
    listener_core* core_;
};

template <class Stream>
class accept_state : public budgeted, private listener_core::acceptor {
public:
    accept_state(accept_op<Stream> op, context_node& ctx) noexcept
        : budgeted(ctx, &on_stop), acceptor(&on_acceptable),
          core_(op.core_ != nullptr && op.core_->fd() >= 0 ? op.core_ : nullptr) {}

    bool await_ready() noexcept {
        if (core_ == nullptr) {
            refused_ = errc::closed;
            return true;
        }
        FLUX_ASSERT(core_->home().on_own_thread(), "an operation was started on a thread that does not own its reactor");
        if (ctx().stopped()) {
            refused_ = to_errc(ctx().reason());
            return true;
        }
        if (core_->is_accepting()) {
            refused_ = errc::overlap;
            return true;
        }
        return core_->has_outcome() && may_run_inline();
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        core_->begin_accept();
        suspended_ = true;
        if (yield_if_out_of_budget(waiter)) {
            return;
        }
        suspension::suspend(waiter);
        core_->wait_acceptable(*this);
    }
    [[nodiscard]] result<Stream> take() {
        const end_guard end(suspended_ ? core_ : nullptr);
        if (refused_ != errc{}) {
            return fail(refused_);
        }
        if (core_->is_closing() || core_->is_exhausted()) {
            return fail(errc::closed);
        }
        const int fd = core_->take();
        if (fd >= 0) {
            return Stream(core_->home(), unique_fd(fd));
        }
        return fail(error::from_errno(-fd).doing("accept"));
    }

private:
    class end_guard {
    public:
        explicit end_guard(listener_core* core) noexcept : core_(core) {}
        end_guard(const end_guard&) = delete;
        end_guard& operator=(const end_guard&) = delete;
        ~end_guard() {
            if (core_ != nullptr) {
                core_->end_accept();
            }
        }

    private:
        listener_core* core_;
    };
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<accept_state&>(hook);
        self.core_->stop_waiting();
        self.refused_ = to_errc(self.ctx().reason());
        self.finish();
    }
    static void on_acceptable(acceptor& a) noexcept { static_cast<accept_state&>(a).finish(); }

    listener_core* core_;
    errc refused_{};
    bool suspended_ = false;
};

} // namespace detail

/// A listening socket that yields connections of type Stream.
template <class Stream>
class basic_listener {
public:
    using stream_type = Stream;

    basic_listener() noexcept = default;
    /// Takes a descriptor that listens already (inherited from systemd or an older process).
    basic_listener(reactor& home, unique_fd fd) : core_(new detail::listener_core(home, std::move(fd))) {}
    basic_listener(basic_listener&& other) noexcept : core_(detail::vacate(other.core_)) {}
    basic_listener& operator=(basic_listener&& other) noexcept {
        if (this != &other) {
            close();
            core_ = detail::vacate(other.core_);
        }
        return *this;
    }
    ~basic_listener() { close(); }

    /// Opens, binds and listens. A stale socket file of a Unix path is removed; one in use is not.
    /// Errors   EADDRINUSE, EACCES ..., naming the call and the endpoint; errc::invalid_argument for an empty
    ///          endpoint.
    [[nodiscard]] static result<basic_listener> listen(reactor& home, const endpoint& where,
                                                       listen_options options = listen_options()) {
        auto fd = open(where, options);
        if (!fd) {
            return fail(std::move(fd).error());
        }
        return basic_listener(home, *std::move(fd));
    }

    /// The next connection.
    /// Errors   EMFILE, ENFILE, ENOMEM ... (the listener stays usable; back off), errc::closed, errc::overlap,
    ///          the context's reason.
    /// Cancel   at once, also if connections wait: they, and those that arrive later, are kept for the next accept().
    [[nodiscard]] detail::accept_op<Stream> accept() noexcept { return detail::accept_op<Stream>(core_); }

    /// Accepts no more: accept() yields the connections that have come up to now, those included that wait in the
    /// kernel, then fails with errc::closed, as one that waits does. Later ones are for another descriptor of the same
    /// socket, or refused at close().
    void stop_accepting() noexcept {
        if (is_open()) {
            core_->stop_accepting();
        }
    }

    /// Stops listening: an accept() that waits fails with errc::closed, and connections that were accepted but
    /// not taken are closed.
    void close() noexcept {
        if (core_ != nullptr) {
            detail::vacate(core_)->close();
        }
    }
    /// False after close(), for a moved-from listener, and when run() of its reactor has ended.
    [[nodiscard]] bool is_open() const noexcept { return core_ != nullptr && core_->fd() >= 0; }
    [[nodiscard]] int native_handle() const noexcept { return core_ == nullptr ? -1 : core_->fd(); }
    /// Where it listens, with the port that the kernel chose for port 0.
    [[nodiscard]] result<endpoint> local_endpoint() const { return detail::name_of(native_handle(), &::getsockname); }

    /// As listen(), but only the descriptor: to be bound before the reactor that will use it exists.
    [[nodiscard]] static result<unique_fd> open(const endpoint& where, const listen_options& options) {
        auto fd = open_one(where, options);
        if (!fd && where.is_dual_stack()) {
            fd = open_one(endpoint::ipv4({0, 0, 0, 0}, where.port()), options); // a machine without IPv6
        }
        return fd;
    }

private:
    [[nodiscard, gnu::cold]] static result<unique_fd> open_one(const endpoint& where, const listen_options& options) {
        auto socket = detail::open_socket(where, SOCK_STREAM);
        if (!socket) {
            return socket;
        }
        const int fd = socket->get();
        if (where.is_ip()) {
            if (auto r = detail::set_option(fd, SOL_SOCKET, SO_REUSEADDR, options.reuse_address ? 1 : 0, "SO_REUSEADDR"); !r) {
                return fail(std::move(r).error());
            }
            if (options.reuse_port) {
                if (auto r = detail::set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"); !r) {
                    return fail(std::move(r).error());
                }
            }
        }
        if (where.family() == address_family::ipv6) {
            if (auto r = detail::set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, where.is_dual_stack() ? 0 : 1, "IPV6_V6ONLY"); !r) {
                return fail(std::move(r).error());
            }
        }
        if (auto r = Stream::prepare(fd, where); !r) {
            return fail(std::move(r).error());
        }
        detail::remove_stale_socket_file(where);
        if (auto r = detail::bind_socket(fd, where); !r) {
            return fail(std::move(r).error());
        }
        if (::listen(fd, options.backlog) != 0) {
            return fail(error::from_errno(errno).doing("listen " + where.to_string()));
        }
        return socket;
    }

    detail::listener_core* core_ = nullptr;
};

using tcp_listener = basic_listener<tcp_stream>;
using unix_listener = basic_listener<unix_stream>;

} // namespace flux::inline FLUX_ABI
