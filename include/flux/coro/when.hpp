// SPDX-License-Identifier: MIT
// flux/coro/when.hpp - several operations at once, joined before the verb returns: when_all, when_any, settle.
//
// Every verb is an operation itself; in a context that is stopped already it starts nothing. Deliberately not
// here: the same call for many elements (map.hpp), concurrency whose size is not known at the start (scope.hpp),
// how branches are run (branches.hpp).
#pragma once

#include <flux/coro/branches.hpp>

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace flux::inline FLUX_ABI {

/// What the first of several different operations yielded. std::monostate stands for void.
template <class... Ts>
class [[nodiscard]] any_result {
public:
    using variant = std::variant<Ts...>;
    explicit any_result(variant&& value) : value_(std::move(value)) {}

    /// Which operation it was, counted from 0 in the order of the arguments.
    [[nodiscard]] std::size_t index() const noexcept { return value_.index(); }
    [[nodiscard]] variant& value() & noexcept { return value_; }
    [[nodiscard]] const variant& value() const& noexcept { return value_; }
    [[nodiscard]] variant&& value() && noexcept { return std::move(value_); }
    /// The value of operation I; throws std::bad_variant_access if it was another one.
    template <std::size_t I>
    [[nodiscard]] auto& get() & {
        return std::get<I>(value_);
    }
    template <std::size_t I>
    [[nodiscard]] auto&& get() && {
        return std::get<I>(std::move(value_));
    }

private:
    variant value_;
};

/// What the first of several operations of one type yielded. std::monostate stands for void.
template <class T>
class [[nodiscard]] first_result {
public:
    first_result(std::size_t index, T&& value) : index_(index), value_(std::move(value)) {}

    /// Which operation it was: its place in the vector.
    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    [[nodiscard]] T& value() & noexcept { return value_; }
    [[nodiscard]] const T& value() const& noexcept { return value_; }
    [[nodiscard]] T&& value() && noexcept { return std::move(value_); }

private:
    std::size_t index_;
    T value_;
};

namespace detail {

template <class... Ops>
using all_values = std::conditional_t<(std::is_void_v<value_of<Ops>> && ...), void,
                                      std::tuple<value_or_monostate<value_of<Ops>>...>>;
template <class... Ops>
class when_all_state : public tuple_verb<branch_group, all_branch, Ops...> {
public:
    using op_type = verb_op<all_values<Ops...>, when_all_state, std::tuple<Ops...>>;
    when_all_state(op_type&& op, context_node& ctx)
        : tuple_verb<branch_group, all_branch, Ops...>(std::move(op.ops_), ctx, scope_policy::first_error_cancels) {}

    [[nodiscard]] result<all_values<Ops...>> take() {
        auto end = this->group_.end();
        if (!end) {
            return failure(std::move(end).error());
        }
        if constexpr (std::is_void_v<all_values<Ops...>>) {
            return {};
        } else {
            return std::apply([](auto&... branch) { return all_values<Ops...>(branch.value()...); }, this->branches_);
        }
    }
};

template <class Op>
class when_each_state : public vector_verb<branch_group, all_branch<Op>> {
public:
    using values = values_or_void<value_of<Op>>;
    using op_type = verb_op<values, when_each_state, std::vector<Op>>;
    when_each_state(op_type&& op, context_node& ctx)
        : vector_verb<branch_group, all_branch<Op>>(std::move(op.ops_), ctx, scope_policy::first_error_cancels) {}

    [[nodiscard]] result<values> take() {
        auto end = this->group_.end();
        if (!end) {
            return failure(std::move(end).error());
        }
        if constexpr (std::is_void_v<values>) {
            return {};
        } else {
            values out;
            out.reserve(this->branches_.size());
            for (auto& branch : this->branches_) {
                out.push_back(branch.value());
            }
            return out;
        }
    }
};

template <class Op>
class settle_state : public vector_verb<branch_group, settle_branch<Op>> {
public:
    using values = std::vector<result<value_of<Op>>>;
    using op_type = verb_op<values, settle_state, std::vector<Op>>;
    settle_state(op_type&& op, context_node& ctx)
        : vector_verb<branch_group, settle_branch<Op>>(std::move(op.ops_), ctx, scope_policy::collect) {}

    [[nodiscard]] result<values> take() {
        // Only a foreign exception comes out of this: errors are in their slots.
        ignore_result(this->group_.end(), "a refused settle yields the reason for each operation");
        values out;
        out.reserve(this->branches_.size());
        for (auto& branch : this->branches_) {
            if (this->group_.refused()) {
                out.push_back(fail(this->group_.stop_error()));
            } else {
                out.push_back(branch.outcome());
            }
        }
        return out;
    }
};

template <class... Ops>
class when_any_state : public tuple_verb<race, any_branch, Ops...> {
public:
    using values = any_result<value_or_monostate<value_of<Ops>>...>;
    using op_type = verb_op<values, when_any_state, std::tuple<Ops...>>;
    when_any_state(op_type&& op, context_node& ctx)
        : tuple_verb<race, any_branch, Ops...>(std::move(op.ops_), ctx, scope_policy::collect) {}

    [[nodiscard]] result<values> take() {
        if (this->group_.winner() == race::nobody) {
            return failure(this->group_.end().error());
        }
        return pick(std::index_sequence_for<Ops...>());
    }

private:
    template <std::size_t... I>
    values pick(std::index_sequence<I...>) {
        std::optional<typename values::variant> winner;
        (pick_if<I>(winner), ...);
        return values(*std::move(winner));
    }
    template <std::size_t I>
    void pick_if(std::optional<typename values::variant>& winner) {
        if (this->group_.winner() == I) {
            winner.emplace(std::in_place_index<I>, std::get<I>(this->branches_).value());
        }
    }
};

template <class Op>
class first_of_state : public vector_verb<race, any_branch<Op>> {
public:
    using values = first_result<value_or_monostate<value_of<Op>>>;
    using op_type = verb_op<values, first_of_state, std::vector<Op>>;
    first_of_state(op_type&& op, context_node& ctx)
        : vector_verb<race, any_branch<Op>>(std::move(op.ops_), ctx, scope_policy::collect) {}

    [[nodiscard]] result<values> take() {
        const std::size_t winner = this->group_.winner();
        if (winner != race::nobody) {
            return values(winner, this->branches_[winner].value());
        }
        auto end = this->group_.end();
        if (end) { // there was nobody to win
            return fail(errc::invalid_argument);
        }
        return failure(std::move(end).error());
    }
};

} // namespace detail

/// Runs all operations at once: `auto both = co_await when_all(a(), b());`.
///
/// Returns  a std::tuple of the values in the order of the arguments, std::monostate for void; nothing if all
///          are void.
/// Errors   that of the first operation that fails; the others are stopped with errc::canceled, and what some of them
///          had yielded is dropped. It may also be an exception that is not a flux::error. Everything has ended when it
///          is thrown.
/// Cancel   all of them are stopped and awaited; if all complete all the same, the values win. A context that is
///          stopped already starts nothing.
/// Threads  the reactor thread.
/// Cost     one frame for each operation.
template <operation... Ops>
    requires(sizeof...(Ops) != 0 && (!std::is_lvalue_reference_v<Ops> && ...))
[[nodiscard]] auto when_all(Ops&&... ops) {
    using state = detail::when_all_state<std::remove_cvref_t<Ops>...>;
    return typename state::op_type(std::tuple<std::remove_cvref_t<Ops>...>(std::forward<Ops>(ops)...));
}
/// As when_all above, for any number of operations of one type; yields a std::vector, or nothing for void.
template <operation Op>
[[nodiscard]] auto when_all(std::vector<Op> ops) {
    return typename detail::when_each_state<Op>::op_type(std::move(ops));
}

/// Runs all operations at once and yields the first success: `auto first = co_await when_any(a(), b());`.
///
/// The others are stopped with errc::canceled, and awaited. One of them that completes all the same is dropped
/// with its value: do not race operations whose values must not be lost.
/// Returns  any_result: which it was, and its value.
/// Errors   that of the first that failed, if all did; it may be an exception that is not a flux::error.
/// Cancel   all of them are stopped and awaited; a success that comes all the same wins. A context that is
///          stopped already starts nothing.
/// Threads  the reactor thread.
/// Cost     one frame for each operation.
template <operation... Ops>
    requires(sizeof...(Ops) != 0 && (!std::is_lvalue_reference_v<Ops> && ...))
[[nodiscard]] auto when_any(Ops&&... ops) {
    using state = detail::when_any_state<std::remove_cvref_t<Ops>...>;
    return typename state::op_type(std::tuple<std::remove_cvref_t<Ops>...>(std::forward<Ops>(ops)...));
}
/// As when_any above, for any number of operations of one type; yields a first_result. Without any operation:
/// errc::invalid_argument.
template <operation Op>
[[nodiscard]] auto when_any(std::vector<Op> ops) {
    return typename detail::first_of_state<Op>::op_type(std::move(ops));
}

/// Runs all operations at once to their ends: `auto outcomes = co_await settle(std::move(jobs));`.
///
/// Returns  a std::vector of result<T> in the order of the operations; the failure of one does not touch others.
/// Errors   none of its own; an exception that is not a flux::error is thrown when all have ended.
/// Cancel   all of them are stopped and awaited, and their results say so. A context that is stopped already
///          starts nothing, and each result is its reason.
/// Threads  the reactor thread.
/// Cost     one frame for each operation.
template <operation Op>
[[nodiscard]] auto settle(std::vector<Op> ops) {
    return typename detail::settle_state<Op>::op_type(std::move(ops));
}

} // namespace flux::inline FLUX_ABI
