// SPDX-License-Identifier: MIT
// flux/coro/branches.hpp - what when_all, when_any, settle and map are made of; not public.
//
//   operation --child frame--> its slot in the awaiting frame      all children under one task_scope
//
// A state makes its frames before anything is started, so that a lack of memory starts nothing.
#pragma once

#include <flux/coro/scope.hpp>

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace flux::inline FLUX_ABI::detail {

template <class T>
using value_or_monostate = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
using values_or_void = std::conditional_t<std::is_void_v<T>, void, std::vector<value_or_monostate<T>>>;

template <class T>
void keep_value(std::optional<value_or_monostate<T>>& slot, result<T>& outcome) {
    if constexpr (std::is_void_v<T>) {
        slot.emplace();
    } else {
        slot.emplace(*std::move(outcome));
    }
}

/// The scope of the branches of one verb, and the wait for their end.
class branch_group {
public:
    branch_group(context_node& ctx, scope_policy policy) noexcept
        : scope_(context(ctx), policy), join_(join_op(scope_), ctx), ctx_(&ctx) {}

    /// For await_ready: true if there is nothing to wait for.
    [[nodiscard]] bool ready(std::size_t branches) noexcept {
        refused_ = ctx_->stopped();
        idle_ = refused_ || branches == 0;
        return idle_ && join_.await_ready();
    }
    /// For await_suspend. False: nothing is to be started.
    [[nodiscard]] bool starts() const noexcept { return !idle_; }
    void start(child&& frame) noexcept { scope_.adopt(std::move(frame)); }
    void wait(std::coroutine_handle<> waiter) noexcept { join_.await_suspend(waiter); }

    void stop() noexcept { scope_.stop(); }
    /// The context of the branches.
    [[nodiscard]] const context_node& inner() const noexcept { return scope_.node_; }
    /// Whether the context was stopped before anything was started.
    [[nodiscard]] bool refused() const noexcept { return refused_; }
    [[nodiscard]] error stop_error() const noexcept { return ctx_->stop_error(); }
    /// The first failure of a branch; rethrows a foreign exception.
    [[nodiscard]] result<void> end() {
        if (refused_) {
            return fail(stop_error());
        }
        return join_.take();
    }

private:
    task_scope scope_;
    join_state join_;
    context_node* ctx_;
    bool refused_ = false;
    bool idle_ = false;
};

/// A group of which the first success ends the others.
class race : public branch_group {
public:
    using branch_group::branch_group;
    static constexpr std::size_t nobody = ~std::size_t{0};

    [[nodiscard]] std::size_t winner() const noexcept { return winner_; }
    void won_by(std::size_t index) noexcept {
        winner_ = index;
        stop();
    }

private:
    std::size_t winner_ = nobody;
};

/// What a branch is made from, as one argument: std::tuple has one for each element.
template <class Op, class Group>
class branch_seed {
public:
    branch_seed(Op&& op, Group& group, std::size_t index) noexcept : op_(&op), group_(&group), index_(index) {}
    [[nodiscard]] Op&& op() const noexcept { return std::move(*op_); }
    [[nodiscard]] Group& group() const noexcept { return *group_; }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }

private:
    Op* op_;
    Group* group_;
    std::size_t index_;
};

// A branch is one operation, its frame, and the place for its value. The frame knows where its branch is, so a
// branch does not move once it was made.

/// A branch of when_all: fails where its operation does.
template <class Op>
class all_branch {
public:
    using value_type = value_or_monostate<value_of<Op>>;
    explicit all_branch(branch_seed<Op, branch_group>&& seed) : frame_(run(seed.op(), *this)) {}

    [[nodiscard]] child&& frame() noexcept { return std::move(frame_); }
    [[nodiscard]] value_type&& value() noexcept { return *std::move(slot_); }

private:
    static child run(Op op, all_branch& self) {
        auto outcome = co_await attempt(std::move(op));
        if (outcome) {
            keep_value(self.slot_, outcome);
        }
        co_return without_value(std::move(outcome));
    }

    std::optional<value_type> slot_;
    child frame_;
};

/// A branch of settle: keeps the error, too.
template <class Op>
class settle_branch {
public:
    explicit settle_branch(branch_seed<Op, branch_group>&& seed) : frame_(run(seed.op(), *this)) {}

    [[nodiscard]] child&& frame() noexcept { return std::move(frame_); }
    [[nodiscard]] result<value_of<Op>>&& outcome() noexcept { return *std::move(slot_); }

private:
    static child run(Op op, settle_branch& self) {
        auto outcome = co_await attempt(std::move(op));
        self.slot_.emplace(std::move(outcome));
        co_return result<void>();
    }

    std::optional<result<value_of<Op>>> slot_;
    child frame_;
};

/// A branch of when_any: keeps its value if it is the first that has one.
template <class Op>
class any_branch {
public:
    using value_type = value_or_monostate<value_of<Op>>;
    explicit any_branch(branch_seed<Op, race>&& seed)
        : frame_(run(seed.op(), *this, seed.group(), seed.index())) {}

    [[nodiscard]] child&& frame() noexcept { return std::move(frame_); }
    [[nodiscard]] value_type&& value() noexcept { return *std::move(slot_); }

private:
    static child run(Op op, any_branch& self, race& group, std::size_t index) {
        auto outcome = co_await attempt(std::move(op));
        if (outcome && group.winner() == race::nobody) {
            keep_value(self.slot_, outcome);
            group.won_by(index);
        }
        co_return without_value(std::move(outcome));
    }

    std::optional<value_type> slot_;
    child frame_;
};

/// Base of the states of verbs over different operations.
template <class Group, template <class> class Branch, class... Ops>
class tuple_verb {
public:
    bool await_ready() noexcept { return group_.ready(sizeof...(Ops)); }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        if (group_.starts()) {
            std::apply([this](auto&... branch) { (group_.start(branch.frame()), ...); }, branches_);
        }
        group_.wait(waiter);
    }

protected:
    tuple_verb(std::tuple<Ops...>&& ops, context_node& ctx, scope_policy policy)
        : tuple_verb(std::move(ops), ctx, policy, std::index_sequence_for<Ops...>()) {}

    Group group_;
    std::tuple<Branch<Ops>...> branches_;

private:
    template <std::size_t... I>
    tuple_verb(std::tuple<Ops...>&& ops, context_node& ctx, scope_policy policy, std::index_sequence<I...>)
        : group_(ctx, policy), branches_(branch_seed<Ops, Group>(std::get<I>(std::move(ops)), group_, I)...) {}
};

/// Base of the states of verbs over a vector.
template <class Group, class Branch>
class vector_verb {
public:
    bool await_ready() noexcept { return group_.ready(branches_.size()); }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        if (group_.starts()) {
            for (Branch& branch : branches_) {
                group_.start(branch.frame());
            }
        }
        group_.wait(waiter);
    }

protected:
    template <class Op>
    vector_verb(std::vector<Op>&& ops, context_node& ctx, scope_policy policy) : group_(ctx, policy) {
        branches_.reserve(ops.size()); // so that no branch moves
        for (Op& op : ops) {
            branches_.emplace_back(branch_seed<Op, Group>(std::move(op), group_, branches_.size()));
        }
    }

    Group group_;
    std::vector<Branch> branches_;
};

/// The description of a verb: its operations, until they become branches of the state.
template <class Value, class State, class Ops>
class [[nodiscard]] verb_op {
public:
    using value_type = Value;
    using state_type = State;
    explicit verb_op(Ops&& ops) : ops_(std::move(ops)) {}

private:
    friend State;
    Ops ops_;
};

} // namespace flux::inline FLUX_ABI::detail
