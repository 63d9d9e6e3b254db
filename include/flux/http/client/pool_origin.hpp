// SPDX-License-Identifier: MIT
// flux/http/client/pool_origin.hpp - what a pool's accounting is about: a connection, an origin, who waits, a dial.
//
// Plain records and the state of a wait. Deliberately not here: every decision (pool_core.hpp).
#pragma once

#include <flux/coro/wait_queue.hpp>
#include <flux/io/reactor.hpp>
#include <flux/net/connect_trace.hpp>
#include <flux/net/destination.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// What the pools of a client did and hold, in one reactor.
struct pool_stats {
    std::uint32_t dialling = 0;
    std::uint32_t active = 0;
    std::uint32_t idle = 0;
    std::uint32_t waiting = 0;
    std::uint64_t dials = 0;         ///< connections that were begun
    std::uint64_t dial_failures = 0; ///< of them, those that came to nothing
    std::uint64_t reuses = 0;        ///< exchanges over a connection that had carried one before
    std::uint64_t lost = 0;          ///< idle connections that the server ended or wrote to
    std::uint64_t expired = 0;       ///< idle connections closed after their idle timeout
    std::uint64_t evicted = 0;       ///< idle connections closed to make room
};

namespace detail {

using flux::detail::context_node;
using flux::detail::wait_node;

class pool_core;
struct pool_origin;
struct by_origin_tag;
struct by_age_tag;
struct starving_tag;
struct dial_tag;

/// What the pool knows about one connection.
class pool_member : public list_hook<by_origin_tag>,
                    public list_hook<by_age_tag>,
                    private hangup_listener,
                    private timer,
                    private flux::detail::ready_node {
public:
    pool_member() noexcept : hangup_listener(&on_input), timer(&on_timer), ready_node(&on_end) {}
    pool_member(const pool_member&) = delete;
    pool_member& operator=(const pool_member&) = delete;

    /// Whether it has carried an exchange before the present one.
    [[nodiscard]] bool is_reused() const noexcept { return uses_ > 1; }
    /// The server's `Keep-Alive: timeout=`.
    void set_idle_limit(milliseconds d) noexcept { idle_limit_ = d; }

protected:
    ~pool_member() = default;

private:
    friend class pool_core;
    enum class state : std::uint8_t { active, idle, ending };

    static void on_input(hangup_listener& l, bool reset) noexcept;
    static void on_timer(timer& t) noexcept;
    static void on_end(ready_node& n) noexcept;

    pool_core* pool_ = nullptr;
    pool_origin* origin_ = nullptr;
    time_point expires_ = no_deadline;
    milliseconds idle_limit_{0};
    std::uint64_t uses_ = 0;
    state state_ = state::active;
};

/// One dial in flight, on its own frame.
class dial_record : public list_hook<dial_tag> {
public:
    explicit dial_record(context_node& node) noexcept : node_(&node) {}
    void give_up() noexcept {
        given_up_ = true;
        list_hook<dial_tag>::unlink();
        node_->stop(stop_reason::canceled);
    }
    [[nodiscard]] bool given_up() const noexcept { return given_up_; }

private:
    context_node* node_;
    bool given_up_ = false;
};

/// The place that connections go to.
struct pool_origin : public list_hook<starving_tag> {
    pool_origin(std::string_view host, std::uint16_t port, bool secure) : where(std::string(host), port, secure) {}

    [[nodiscard]] std::uint32_t connections() const noexcept { return dialling + active + idle + ending; }
    [[nodiscard]] bool is_unused() const noexcept { return connections() + waiting == 0; }

    destination where;
    pool_origin* next = nullptr; // of the same bucket
    intrusive_list<pool_member, by_origin_tag> idle_members; // the one used last first
    intrusive_list<pool_member, by_origin_tag> active_members;
    intrusive_list<dial_record, dial_tag> dials; // those that have started
    wait_node::queue waiters;
    std::uint32_t dialling = 0;
    std::uint32_t active = 0;
    std::uint32_t idle = 0;
    std::uint32_t ending = 0; // to be closed in this turn of the loop
    std::uint32_t waiting = 0;
    std::uint32_t unwanted = 0;   // dials that are given up, but have not ended
    std::uint32_t not_to_start = 0; // of them, those whose frame has not run yet
};

class acquire_state;

/// `co_await attempt(pool.acquire(host, port, secure))` yields a connection that belongs to the caller until release().
class [[nodiscard]] acquire_op {
public:
    using value_type = pool_member*;
    using state_type = acquire_state;
    acquire_op(pool_core& pool, std::string_view host, std::uint16_t port, bool secure, connect_trace* trace) noexcept
        : pool_(&pool), host_(host), port_(port), secure_(secure), trace_(trace) {}

private:
    friend class acquire_state;
    pool_core* pool_;
    std::string_view host_;
    std::uint16_t port_;
    bool secure_;
    connect_trace* trace_;
};

class acquire_state : public wait_node {
public:
    acquire_state(acquire_op op, context_node& ctx) noexcept : wait_node(ctx, &on_stop), op_(op) {}

    bool await_ready();
    void await_suspend(std::coroutine_handle<> waiter) noexcept;
    [[nodiscard]] result<pool_member*> take() {
        if (!granted()) {
            return fail(ctx().stop_error());
        }
        if (member_ == nullptr) {
            return fail(std::move(failed_));
        }
        return member_;
    }

    [[nodiscard]] connect_trace* trace() const noexcept { return op_.trace_; }

private:
    friend class pool_core;
    static void on_stop(stop_hook& hook) noexcept;

    acquire_op op_;
    pool_origin* origin_ = nullptr;
    pool_member* member_ = nullptr;
    std::uint64_t number_ = 0; // waits are counted from 1
    error failed_{std::error_code()};
};

/// Passes on what happens to a dial to the first of those who wait for it, as long as somebody does.
class dial_trace final : public connect_trace {
public:
    explicit dial_trace(pool_origin& o) noexcept : origin_(&o) {}
    void resolve_started(std::string_view host) noexcept override {
        if (connect_trace* to = first()) {
            to->resolve_started(host);
        }
    }
    void resolve_ended(std::string_view host, const error* why) noexcept override {
        if (connect_trace* to = first()) {
            to->resolve_ended(host, why);
        }
    }
    void attempt_started(const endpoint& peer) noexcept override {
        if (connect_trace* to = first()) {
            to->attempt_started(peer);
        }
    }
    void attempt_ended(const endpoint& peer, const error* why) noexcept override {
        if (connect_trace* to = first()) {
            to->attempt_ended(peer, why);
        }
    }
    void handshake_started(std::string_view host) noexcept override {
        if (connect_trace* to = first()) {
            to->handshake_started(host);
        }
    }
    void handshake_ended(std::string_view host, const error* why) noexcept override {
        if (connect_trace* to = first()) {
            to->handshake_ended(host, why);
        }
    }

private:
    [[nodiscard]] connect_trace* first() const noexcept {
        return origin_->waiting == 0 ? nullptr : static_cast<acquire_state&>(origin_->waiters.front()).trace();
    }
    pool_origin* origin_;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
