// SPDX-License-Identifier: MIT
// flux/coro/context.hpp - why and until when work is done: a tree of stop states, deadlines and typed values.
//
//   node.stop(reason) --> every stop_hook below it is told once, each queues the end of its operation
//
// A node lives in the frame or object that opened it and dies before its parent. A stop travels from parent
// to child, never up. Hooks must not run user code: they only queue. Deliberately not here: the verbs that
// open nodes (with.hpp), stopping from other threads (cancel.hpp).
#pragma once

#include <flux/core/error.hpp>
#include <flux/core/intrusive_list.hpp>
#include <flux/core/time.hpp>
#include <flux/coro/scheduler.hpp>

#include <cstdint>

namespace flux::inline FLUX_ABI {

/// Why a context was stopped. The reasons are different values and are never mixed up.
enum class stop_reason : std::uint8_t { none, canceled, timed_out, disconnected, shutdown };

[[nodiscard]] constexpr errc to_errc(stop_reason reason) noexcept {
    switch (reason) {
    case stop_reason::timed_out: return errc::timed_out;
    case stop_reason::disconnected: return errc::disconnected;
    case stop_reason::shutdown: return errc::shutdown;
    case stop_reason::none:
    case stop_reason::canceled: break;
    }
    return errc::canceled;
}

/// Base of typed context keys: `struct trace_id : flux::context_key<std::string> {};`
template <class T>
struct context_key {
    using value_type = T;
};

namespace detail {

/// What an operation in flight leaves with its context, to be told of a stop.
class stop_hook : public list_hook<> {
public:
    using action = void (*)(stop_hook&) noexcept;
    explicit stop_hook(action on_stop) noexcept : on_stop_(on_stop) {}

private:
    friend class context_node;
    action on_stop_;
};

struct child_tag;

// The address of tag<Key> identifies a key across translation units.
template <class Key>
inline constexpr char value_tag = 0;

class context_node final : public list_hook<child_tag>, private timer {
public:
    enum class link : bool { inherit_stop, shielded };

    /// The root of a tree.
    explicit context_node(scheduler& home) noexcept : timer(&on_timer), home_(&home) {}
    /// A child. A shielded one inherits values, but neither stop nor deadline.
    explicit context_node(context_node& parent, link how = link::inherit_stop) noexcept
        : timer(&on_timer), parent_(&parent), home_(parent.home_) {
        if (how == link::inherit_stop) {
            reason_ = parent.reason_;
            parent.children_.push_back(*this);
        }
    }
    ~context_node() {
        FLUX_ASSERT(hooks_.empty(), "context ended while operations under it were in flight");
        FLUX_ASSERT(children_.empty(), "context ended before a context below it");
        home_->disarm(*this);
        list_hook<child_tag>::unlink();
    }

    [[nodiscard]] scheduler& home() const noexcept { return *home_; }
    [[nodiscard]] bool stopped() const noexcept { return reason_ != stop_reason::none; }
    [[nodiscard]] stop_reason reason() const noexcept { return reason_; }
    [[nodiscard]] error stop_error() const noexcept { return error(to_errc(reason_)); }

    /// The earliest limit of this node and those above it, up to a shield.
    [[nodiscard]] time_point deadline() const noexcept {
        time_point earliest = own_deadline_;
        for (const context_node* node = this; node->inherits_stop(); node = node->parent_) {
            earliest = node->parent_->own_deadline_ < earliest ? node->parent_->own_deadline_ : earliest;
        }
        return earliest;
    }

    /// The first reason wins; stopping again has no effect.
    void stop(stop_reason reason) noexcept {
        if (stopped()) {
            return;
        }
        reason_ = reason;
        home_->disarm(*this);
        while (!hooks_.empty()) {
            stop_hook& hook = hooks_.pop_front();
            hook.on_stop_(hook);
        }
        children_.for_each([reason](context_node& child) { child.stop(reason); });
    }

    void add(stop_hook& hook) noexcept { hooks_.push_back(hook); }

    /// Sets the own limit. A timer that is armed for an earlier time is kept and looks again when it fires,
    /// so that moving a deadline forward for every request costs a store.
    /// Params  why  the reason that the stop will have.
    void limit(time_point at, stop_reason why = stop_reason::timed_out) {
        own_deadline_ = at;
        limit_reason_ = why;
        if (stopped() || at == no_deadline) {
            return; // a timer that is still armed finds nothing due, and lets go
        }
        if (at <= home_->now()) {
            stop(why);
        } else if (!timer::is_armed() || at < armed_for_) {
            armed_for_ = at;
            home_->arm(*this, at);
        }
    }

    void set_value(const void* tag, const void* value) noexcept {
        tag_ = tag;
        value_ = value;
    }
    [[nodiscard]] const void* find_value(const void* tag) const noexcept {
        for (const context_node* node = this; node != nullptr; node = node->parent_) {
            if (node->tag_ == tag) {
                return node->value_;
            }
        }
        return nullptr;
    }

private:
    [[nodiscard]] bool inherits_stop() const noexcept { return list_hook<child_tag>::is_linked(); }
    static void on_timer(timer& t) noexcept {
        auto& node = static_cast<context_node&>(t);
        if (node.own_deadline_ <= node.home_->now()) {
            node.stop(node.limit_reason_);
        } else if (node.own_deadline_ != no_deadline) {
            node.armed_for_ = node.own_deadline_;
            node.home_->arm(node, node.own_deadline_);
        }
    }

    context_node* parent_ = nullptr;
    scheduler* home_;
    const void* tag_ = nullptr;
    const void* value_ = nullptr;
    time_point own_deadline_ = no_deadline;
    time_point armed_for_ = no_deadline; // when the timer looks at own_deadline_
    intrusive_list<stop_hook> hooks_;
    intrusive_list<context_node, child_tag> children_;
    stop_reason reason_ = stop_reason::none;
    stop_reason limit_reason_ = stop_reason::timed_out;
};

} // namespace detail

/// A borrowed view of the context under which a coroutine runs; `auto ctx = co_await this_context();`.
///
/// Lifetime  valid while the block that opened the context is alive: as long as the coroutine that asked,
///           unless that is inside a `within` or scope of its own.
/// Threads   the reactor thread only; use cancel_source to stop from elsewhere.
class context {
public:
    explicit context(detail::context_node& node) noexcept : node_(&node) {}

    [[nodiscard]] bool stopped() const noexcept { return node_->stopped(); }
    [[nodiscard]] stop_reason reason() const noexcept { return node_->reason(); }
    /// The earliest of all enclosing limits; no_deadline if there is none.
    [[nodiscard]] time_point deadline() const noexcept { return node_->deadline(); }
    /// Time left until deadline(), never negative; duration::max() if there is none.
    [[nodiscard]] duration remaining() const noexcept {
        const time_point end = deadline();
        if (end == no_deadline) {
            return duration::max();
        }
        const time_point now = node_->home().now();
        return end > now ? end - now : duration::zero();
    }
    /// Stops this context and everything below it. The first reason wins.
    void stop(stop_reason reason = stop_reason::canceled) const noexcept { node_->stop(reason); }
    /// The innermost value set for Key, or nullptr.
    template <class Key>
    [[nodiscard]] const typename Key::value_type* get() const noexcept {
        return static_cast<const typename Key::value_type*>(node_->find_value(&detail::value_tag<Key>));
    }
    [[nodiscard]] scheduler& home() const noexcept { return node_->home(); }
    [[nodiscard]] detail::context_node& node() const noexcept { return *node_; }

private:
    detail::context_node* node_;
};

} // namespace flux::inline FLUX_ABI
