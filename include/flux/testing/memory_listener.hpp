// SPDX-License-Identifier: MIT
// flux/testing/memory_listener.hpp - a listener without a kernel: connect() at one side, accept() at the other.
//
// Has the shape of tcp_listener, so that a server can be run over it. Deliberately not here: names, delays and
// refused connections by chance (sim_network.hpp).
#pragma once

#include <flux/testing/memory_stream.hpp>

#include <vector>

namespace flux::inline FLUX_ABI::testing {

struct memory_listener_options {
    std::size_t backlog = 128;    ///< connections that wait for accept(); more are refused
    memory_options streams = {};  ///< of the connections
};
static_assert(std::is_trivially_destructible_v<memory_listener_options>);

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

/// Shared by a listener and those who know where it listens.
class memory_listener_core {
public:
    memory_listener_core(const endpoint& where, const testing::memory_listener_options& options)
        : where_(where), options_(options) {}
    memory_listener_core(const memory_listener_core&) = delete;
    memory_listener_core& operator=(const memory_listener_core&) = delete;

    [[nodiscard]] const endpoint& where() const noexcept { return where_; }
    [[nodiscard]] const testing::memory_listener_options& options() const noexcept { return options_; }
    [[nodiscard]] bool is_open() const noexcept { return open_; }
    [[nodiscard]] bool takes_more() const noexcept { return open_ && queue_.size() - next_ < options_.backlog; }
    [[nodiscard]] std::size_t waiting() const noexcept { return queue_.size() - next_; }

    /// Errors   ECONNREFUSED if it is closed or its backlog is full.
    [[nodiscard]] result<testing::memory_stream> connect(const endpoint& from) {
        if (!takes_more()) {
            return refused();
        }
        auto [near, far] = testing::make_memory_pair(options_.streams, from, where_);
        offer(std::move(far));
        return std::move(near);
    }
    [[nodiscard]] static result<testing::memory_stream> refused() {
        return fail(error::from_errno(ECONNREFUSED).doing("connect").phase(error_phase::connect).retryable(true));
    }
    [[nodiscard]] endpoint next_client() noexcept { return endpoint::loopback(++last_port_); }

    /// Needs takes_more().
    void offer(testing::memory_stream connection) {
        queue_.push_back(std::move(connection));
        wake();
    }
    void inject_error(int number) noexcept {
        failure_ = number;
        wake();
    }

    [[nodiscard]] bool is_accepting() const noexcept { return accepting_; }
    [[nodiscard]] bool is_settled() const noexcept { return next_ != queue_.size() || failure_ != 0 || !open_; }
    void begin_accept(memory_waiter& w) noexcept {
        accepting_ = true;
        waiter_ = &w;
        if (is_settled()) {
            wake();
        }
    }
    void stop_waiting() noexcept { waiter_ = nullptr; }
    void end_accept() noexcept { accepting_ = false; }

    /// Needs is_settled().
    [[nodiscard]] result<testing::memory_stream> take() {
        if (!open_) {
            return fail(errc::closed);
        }
        if (failure_ != 0) {
            return fail(error::from_errno(std::exchange(failure_, 0)).doing("accept"));
        }
        testing::memory_stream first = std::move(queue_[next_++]);
        if (next_ == queue_.size()) {
            queue_.clear();
            next_ = 0;
        }
        return first;
    }
    // Those who connected and were not accepted see a reset, as the kernel does it.
    void close() noexcept {
        open_ = false;
        for (testing::memory_stream& connection : queue_) {
            connection.abort();
        }
        queue_.clear();
        next_ = 0;
        wake();
    }

private:
    void wake() noexcept {
        if (waiter_ != nullptr) {
            std::exchange(waiter_, nullptr)->wake();
        }
    }

    endpoint where_;
    testing::memory_listener_options options_;
    std::vector<testing::memory_stream> queue_; // [next_, size) wait
    std::size_t next_ = 0;
    memory_waiter* waiter_ = nullptr;
    int failure_ = 0;
    std::uint16_t last_port_ = 49'999;
    bool accepting_ = false;
    bool open_ = true;
};

class memory_accept_state;
class [[nodiscard]] memory_accept_op {
public:
    using value_type = testing::memory_stream;
    using state_type = memory_accept_state;
    explicit memory_accept_op(std::shared_ptr<memory_listener_core> core) noexcept : core_(std::move(core)) {}

private:
    friend class memory_accept_state;
    std::shared_ptr<memory_listener_core> core_;
};

class memory_accept_state : public suspension, private memory_waiter {
public:
    memory_accept_state(memory_accept_op op, context_node& ctx) noexcept
        : suspension(ctx, &on_stop), memory_waiter(&on_offer), core_(std::move(op.core_)) {}

    bool await_ready() noexcept {
        if (core_ == nullptr || !core_->is_open()) {
            return refuse(errc::closed);
        }
        if (ctx().stopped()) {
            return refuse(to_errc(ctx().reason()));
        }
        if (core_->is_accepting()) {
            return refuse(errc::overlap);
        }
        return core_->is_settled() && !core_->options().streams.always_suspend && home().take_budget();
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        suspend(waiter);
        waited_ = true;
        core_->begin_accept(*this);
    }
    [[nodiscard]] result<testing::memory_stream> take() {
        if (waited_) {
            core_->end_accept();
        }
        if (refused_ != errc{}) {
            return fail(refused_);
        }
        return core_->take();
    }

private:
    bool refuse(errc code) noexcept {
        refused_ = code;
        return true;
    }
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<memory_accept_state&>(hook);
        self.refuse(to_errc(self.ctx().reason()));
        self.core_->stop_waiting();
        self.finish();
    }
    static void on_offer(memory_waiter& w) noexcept { static_cast<memory_accept_state&>(w).finish(); }

    std::shared_ptr<memory_listener_core> core_;
    errc refused_{};
    bool waited_ = false;
};

struct memory_listener_access; // how the simulated network reaches the core

} // namespace flux::inline FLUX_ABI::detail

namespace flux::inline FLUX_ABI::testing {

/// Listens for connect() calls in the same process.
///
/// Threads  one. Lifetime  independent of loops; may be made before there is one.
class memory_listener {
public:
    using stream_type = memory_stream;

    /// A closed listener.
    memory_listener() noexcept = default;
    /// Params   where  what accepted streams give as their local endpoint, and connected ones as their peer.
    explicit memory_listener(const endpoint& where, memory_listener_options options = {})
        : core_(std::make_shared<detail::memory_listener_core>(where, options)) {}
    explicit memory_listener(memory_listener_options options) : memory_listener(endpoint::loopback(80), options) {}
    memory_listener(memory_listener&& other) noexcept = default;
    memory_listener& operator=(memory_listener&& other) noexcept {
        if (this != &other) {
            close();
            core_ = std::move(other.core_);
        }
        return *this;
    }
    ~memory_listener() { close(); }

    /// The next connection.
    /// Errors   errc::closed, also for an accept in flight when the listener is closed; errc::overlap for a
    ///          second one in flight; what inject_error() set; the context's reason.
    /// Cancel   at once; a connection that comes later is kept for the next accept().
    [[nodiscard]] detail::memory_accept_op accept() noexcept { return detail::memory_accept_op(core_); }

    /// Connects to this listener; the other end is what accept() yields. Need not wait for it.
    /// Params   from  the address of the new stream; without one: 127.0.0.1 and the next free port.
    /// Errors   ECONNREFUSED if the listener is closed or its backlog is full.
    [[nodiscard]] result<memory_stream> connect() {
        return core_ == nullptr ? detail::memory_listener_core::refused() : core_->connect(core_->next_client());
    }
    [[nodiscard]] result<memory_stream> connect(const endpoint& from) {
        return core_ == nullptr ? detail::memory_listener_core::refused() : core_->connect(from);
    }

    /// Stops listening. Who connected and was not accepted sees a reset.
    void close() noexcept {
        if (core_ != nullptr) {
            std::exchange(core_, nullptr)->close();
        }
    }
    [[nodiscard]] bool is_open() const noexcept { return core_ != nullptr; }
    /// Errors   errc::closed.
    [[nodiscard]] result<endpoint> local_endpoint() const {
        if (core_ == nullptr) {
            return fail(errc::closed);
        }
        return core_->where();
    }

    /// Lets the next accept() fail, for instance with EMFILE. The listener stays usable.
    void inject_error(int number) noexcept {
        if (core_ != nullptr) {
            core_->inject_error(number);
        }
    }
    /// Connections that wait for accept().
    [[nodiscard]] std::size_t waiting() const noexcept { return core_ == nullptr ? 0 : core_->waiting(); }

private:
    friend struct detail::memory_listener_access;
    explicit memory_listener(std::shared_ptr<detail::memory_listener_core> core) noexcept : core_(std::move(core)) {}
    std::shared_ptr<detail::memory_listener_core> core_;
};

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

struct memory_listener_access {
    [[nodiscard]] static testing::memory_listener make(std::shared_ptr<memory_listener_core> core) noexcept {
        return testing::memory_listener(std::move(core));
    }
    [[nodiscard]] static std::shared_ptr<memory_listener_core> core_of(const testing::memory_listener& l) noexcept {
        return l.core_;
    }
};

} // namespace flux::inline FLUX_ABI::detail
