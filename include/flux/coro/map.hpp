// SPDX-License-Identifier: MIT
// flux/coro/map.hpp - map: one call for each element of a range, a bounded number at a time.
//
// At most `limit` workers take the elements in order. Deliberately not here: operations that differ (when.hpp).
#pragma once

#include <flux/coro/branches.hpp>

#include <cstddef>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI {

namespace detail {

/// An argument that is borrowed if it was an lvalue, and kept if it was not.
template <class T>
class held {
public:
    static constexpr bool owned = true;
    explicit held(T&& value) : value_(std::move(value)) {}
    [[nodiscard]] T& get() noexcept { return value_; }

private:
    T value_;
};
template <class T>
class held<T&> {
public:
    static constexpr bool owned = false;
    explicit held(T& value) noexcept : value_(&value) {}
    [[nodiscard]] T& get() noexcept { return *value_; }

private:
    T* value_;
};

template <class Range>
using range_iterator = decltype(std::begin(std::declval<std::remove_reference_t<Range>&>()));

// The elements of a range that map() owns are handed on as rvalues.
template <class Range, class Iterator = range_iterator<Range>>
using range_element = std::conditional_t<std::is_lvalue_reference_v<Range>, std::iter_reference_t<Iterator>,
                                         std::iter_rvalue_reference_t<Iterator>>;

// g++ 12 destroys what a closure temporary in an awaited expression captured twice (PR 100611).
template <class F>
inline constexpr bool closure_may_be_temporary =
#if defined(__GNUC__) && __GNUC__ == 12 && !defined(__clang__)
    std::is_lvalue_reference_v<F> || std::is_trivially_destructible_v<F>;
#else
    true;
#endif

template <class Range, class F>
class map_state;

template <class Range, class F>
class [[nodiscard]] map_op {
public:
    using operation_type = std::remove_cvref_t<std::invoke_result_t<F&, range_element<Range>>>;
    using value_type = values_or_void<value_of<operation_type>>;
    using state_type = map_state<Range, F>;
    map_op(Range&& range, std::size_t limit, F&& f)
        : range_(std::forward<Range>(range)), f_(std::forward<F>(f)), limit_(limit) {}

private:
    friend class map_state<Range, F>;
    held<Range> range_;
    held<F> f_;
    std::size_t limit_;
};

template <class Range, class F>
class map_state {
    using op_type = map_op<Range, F>;
    using element_value = value_of<typename op_type::operation_type>;
    using values = typename op_type::value_type;

public:
    map_state(op_type&& op, context_node& ctx)
        : group_(ctx, scope_policy::first_error_cancels), range_(std::move(op.range_)), f_(std::move(op.f_)),
          at_(std::begin(range_.get())),
          slots_(static_cast<std::size_t>(std::distance(at_, std::end(range_.get())))), valid_(op.limit_ != 0) {
        const std::size_t count = op.limit_ < slots_.size() ? op.limit_ : slots_.size();
        workers_.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            workers_.push_back(work(*this));
        }
    }

    bool await_ready() noexcept { return group_.ready(workers_.size()); }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        if (group_.starts()) {
            for (child& worker : workers_) {
                group_.start(std::move(worker));
            }
        }
        group_.wait(waiter);
    }
    [[nodiscard]] result<values> take() {
        auto end = group_.end();
        if (!end) {
            return failure(std::move(end).error());
        }
        if (!valid_) {
            return fail(errc::invalid_argument);
        }
        if constexpr (std::is_void_v<values>) {
            return {};
        } else {
            values out;
            out.reserve(slots_.size());
            for (auto& slot : slots_) {
                out.push_back(*std::move(slot));
            }
            return out;
        }
    }

private:
    // Takes one element after the other, until there is none or the group was stopped.
    static child work(map_state& self) {
        while (self.next_ != self.slots_.size()) {
            if (self.group_.inner().stopped()) {
                co_return fail(self.group_.inner().stop_error());
            }
            const std::size_t index = self.next_++;
            auto outcome = co_await attempt(self.call_next());
            if (!outcome) {
                co_return without_value(std::move(outcome));
            }
            keep_value(self.slots_[index], outcome);
        }
        co_return result<void>();
    }
    [[nodiscard]] typename op_type::operation_type call_next() {
        const auto element = at_++;
        return f_.get()(static_cast<range_element<Range>>(*element));
    }

    branch_group group_;
    held<Range> range_;
    held<F> f_;
    range_iterator<Range> at_;
    std::size_t next_ = 0; // the index of at_
    std::vector<std::optional<value_or_monostate<element_value>>> slots_;
    std::vector<child> workers_;
    bool valid_;
};

} // namespace detail

/// Calls `f(element)`, which returns a task or another operation, for each element, at most `limit` at a time:
/// `auto pages = co_await map(urls, 8, fetch);`.
///
/// Params   range  forward iterators are enough. An lvalue is borrowed and must outlive the wait; the elements
///                 of an rvalue are kept until the end and handed on as rvalues.
///          limit  at least 1, else errc::invalid_argument.
///          f      an lvalue is borrowed and must outlive the wait. Called in the order of the elements.
/// Returns  a std::vector of the values in the order of the elements; nothing if they are void.
/// Errors   as when_all; after a failure no further element is begun.
/// Cancel   as when_all; no further element is begun.
/// Threads  the reactor thread.
/// Cost     one frame for each of at most `limit` workers, besides the tasks.
template <class Range, class F>
    requires operation<std::invoke_result_t<std::remove_reference_t<F>&, detail::range_element<Range>>>
[[nodiscard]] auto map(Range&& range, std::size_t limit, F&& f) {
    static_assert(detail::closure_may_be_temporary<F>,
                  "g++ 12 would destroy the captures of this lambda twice: name the lambda first, then pass it");
    return detail::map_op<Range, F>(std::forward<Range>(range), limit, std::forward<F>(f));
}

} // namespace flux::inline FLUX_ABI
