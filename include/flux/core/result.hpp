// SPDX-License-Identifier: MIT
// flux/core/result.hpp - a value or a flux::error, with the interface of std::expected.
//
// g++ 12 has no std::expected at -std=c++20; this is the subset that flux uses, with the error type fixed.
// Deliberately not here: references (use a pointer), swap, the in_place and unexpect constructors.
#pragma once

#include <flux/core/error.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

template <class T>
class result;
template <>
class result<void>;

// Every type of result that a program names costs it time to compile. So this file asks the compiler itself
// (__is_constructible) rather than the traits and concepts of std, each of which is several classes per type, and has
// no calls of std::move, std::construct_at and their like, each a function per type without optimisation.

namespace detail {

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<result<T>> = true;

// A result<U> is no value for a result<T>, or result<bool> would take its own has_value() for one.
template <class U, class T>
concept value_for = !std::same_as<U, failure> && (!is_result<U> || std::same_as<U, T>);

// As std::convertible_to, without the classes behind it.
template <class U, class T>
concept becomes = requires(void (&take)(T), U&& value) { take(static_cast<U&&>(value)); };

} // namespace detail

/// Either a T or the error that prevented it.
///
/// `if (!r) return fail(r.error());` then `*r`. value() throws the error where there is no value; `*r`
/// without a value and error() with one are misuse, which FLUX_CHECKED builds abort on.
/// and_then, or_else, transform and transform_error hand on an lvalue's value and error as lvalues and
/// an rvalue's moved; a function given to transform may return a reference, of which a copy is kept.
///
/// Threads  as T.  Cost  no allocation; the size of the larger of T and error, and a flag.
template <class T>
class [[nodiscard]] result {
    static_assert(std::is_object_v<T> && !std::is_array_v<T> && std::same_as<T, std::remove_cv_t<T>>,
                  "result<T>: T must be an unqualified object type; use a pointer instead of a reference");
    static_assert(!std::same_as<T, failure>, "result<failure> cannot tell its two states apart");
    static constexpr bool moves_safely = __is_nothrow_constructible(T, T);
    static constexpr bool assigns = __is_assignable(T&, T);

public:
    using value_type = T;
    using error_type = flux::error;

    result() noexcept(__is_nothrow_constructible(T)) requires (__is_constructible(T))
        : has_value_(true) {
        ::new (static_cast<void*>(__builtin_addressof(value_))) T();
    }
    template <class U = T>
        requires(!std::same_as<std::remove_cvref_t<U>, result> && detail::value_for<std::remove_cvref_t<U>, T> &&
                 __is_constructible(T, U))
    explicit(!detail::becomes<U, T>) result(U&& value) noexcept(__is_nothrow_constructible(T, U))
        : has_value_(true) {
        ::new (static_cast<void*>(__builtin_addressof(value_))) T(static_cast<U&&>(value));
    }
    result(failure f) noexcept : has_value_(false) {
        ::new (static_cast<void*>(__builtin_addressof(value_))) flux::error(static_cast<failure&&>(f).error());
    }
    result(const result& other) noexcept(__is_nothrow_constructible(T, const T&))
        requires(__is_constructible(T, const T&))
        : has_value_(other.has_value_) {
        if (has_value_) {
            ::new (static_cast<void*>(__builtin_addressof(value_))) T(other.value_);
        } else {
            ::new (static_cast<void*>(__builtin_addressof(value_))) flux::error(other.error_);
        }
    }
    /// The source keeps its state: a value that was moved from, or an error with its code.
    result(result&& other) noexcept(moves_safely) requires(__is_constructible(T, T))
        : has_value_(other.has_value_) {
        if (has_value_) {
            ::new (static_cast<void*>(__builtin_addressof(value_))) T(static_cast<T&&>(other.value_));
        } else {
            ::new (static_cast<void*>(__builtin_addressof(value_))) flux::error(static_cast<flux::error&&>(other.error_));
        }
    }
    /// If copying throws, *this is unchanged.
    result& operator=(const result& other) requires(__is_constructible(T, const T&) && (assigns || moves_safely)) {
        if (this != &other) {
            *this = result(other);
        }
        return *this;
    }
    /// If T's construction throws, *this keeps its error; if T's assignment throws, what that left.
    result& operator=(result&& other) noexcept(moves_safely && (__is_nothrow_assignable(T&, T) || !assigns))
        requires(__is_constructible(T, T) && (assigns || moves_safely)) {
        if (this == &other) {
            return *this;
        }
        if (!other.has_value_) {
            if (has_value_) {
                value_.~T();
                ::new (static_cast<void*>(__builtin_addressof(value_))) flux::error(static_cast<flux::error&&>(other.error_));
                has_value_ = false;
            } else {
                error_ = static_cast<flux::error&&>(other.error_);
            }
        } else if (!has_value_) {
            replace_error(static_cast<T&&>(other.value_));
        } else if constexpr (assigns) {
            value_ = static_cast<T&&>(other.value_);
        } else {
            value_.~T();
            ::new (static_cast<void*>(__builtin_addressof(value_))) T(static_cast<T&&>(other.value_));
        }
        return *this;
    }
// g++ 12 at -O2 takes a result that lives in a coroutine frame for one at address zero on a path that does not exist.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnull-dereference"
    ~result() {
        if (has_value_) {
            value_.~T();
        } else {
            error_.~error();
        }
    }
#pragma GCC diagnostic pop

    /// Makes a value from `args`, in place of the value or error before.
    /// Errors  what T's constructor throws; *this is unchanged then.
    template <class... Args>
        requires(__is_constructible(T, Args...) &&
                 (__is_nothrow_constructible(T, Args...) || moves_safely))
    T& emplace(Args&&... args) noexcept(__is_nothrow_constructible(T, Args...)) {
        if constexpr (__is_nothrow_constructible(T, Args...)) {
            destroy();
            ::new (static_cast<void*>(__builtin_addressof(value_))) T(static_cast<Args&&>(args)...);
        } else {
            T fresh(static_cast<Args&&>(args)...);
            destroy();
            ::new (static_cast<void*>(__builtin_addressof(value_))) T(static_cast<T&&>(fresh));
        }
        has_value_ = true;
        return value_;
    }

    [[nodiscard]] bool has_value() const noexcept { return has_value_; }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value_; }

    [[nodiscard]] T& operator*() & noexcept {
        FLUX_CHECK(has_value_, "the value of a failed result was used");
        return value_;
    }
    [[nodiscard]] const T& operator*() const& noexcept {
        FLUX_CHECK(has_value_, "the value of a failed result was used");
        return value_;
    }
    [[nodiscard]] T&& operator*() && noexcept {
        FLUX_CHECK(has_value_, "the value of a failed result was used");
        return static_cast<T&&>(value_);
    }
    [[nodiscard]] T* operator->() noexcept {
        FLUX_CHECK(has_value_, "the value of a failed result was used");
        return __builtin_addressof(value_);
    }
    [[nodiscard]] const T* operator->() const noexcept {
        FLUX_CHECK(has_value_, "the value of a failed result was used");
        return __builtin_addressof(value_);
    }

    T& value() & {
        if (!has_value_) {
            detail::throw_error(error_);
        }
        return value_;
    }
    const T& value() const& {
        if (!has_value_) {
            detail::throw_error(error_);
        }
        return value_;
    }
    T&& value() && {
        if (!has_value_) {
            detail::throw_error(static_cast<flux::error&&>(error_));
        }
        return static_cast<T&&>(value_);
    }

    [[nodiscard]] flux::error& error() & noexcept {
        FLUX_CHECK(!has_value_, "the error of a successful result was used");
        return error_;
    }
    [[nodiscard]] const flux::error& error() const& noexcept {
        FLUX_CHECK(!has_value_, "the error of a successful result was used");
        return error_;
    }
    [[nodiscard]] flux::error&& error() && noexcept {
        FLUX_CHECK(!has_value_, "the error of a successful result was used");
        return static_cast<flux::error&&>(error_);
    }

    template <class U = T>
    [[nodiscard]] T value_or(U&& fallback) const& {
        return has_value_ ? value_ : static_cast<T>(std::forward<U>(fallback));
    }
    template <class U = T>
    [[nodiscard]] T value_or(U&& fallback) && {
        return has_value_ ? std::move(value_) : static_cast<T>(std::forward<U>(fallback));
    }

    /// f(value), which must return a result; or this error in a result of that type.
    template <class F>
    [[nodiscard]] auto and_then(F&& f) & { return bind(*this, std::forward<F>(f)); }
    template <class F>
    [[nodiscard]] auto and_then(F&& f) const& { return bind(*this, std::forward<F>(f)); }
    template <class F>
    [[nodiscard]] auto and_then(F&& f) && { return bind(std::move(*this), std::forward<F>(f)); }

    /// A result with f(value), or this error.
    template <class F>
    [[nodiscard]] auto transform(F&& f) & { return map(*this, std::forward<F>(f)); }
    template <class F>
    [[nodiscard]] auto transform(F&& f) const& { return map(*this, std::forward<F>(f)); }
    template <class F>
    [[nodiscard]] auto transform(F&& f) && { return map(std::move(*this), std::forward<F>(f)); }

    /// This value, or f(error): a result<T>, a T or a failure.
    template <class F>
    [[nodiscard]] result or_else(F&& f) & { return recover(*this, std::forward<F>(f)); }
    template <class F>
    [[nodiscard]] result or_else(F&& f) const& { return recover(*this, std::forward<F>(f)); }
    template <class F>
    [[nodiscard]] result or_else(F&& f) && { return recover(std::move(*this), std::forward<F>(f)); }

    /// This value, or the error that f makes of this error.
    template <class F>
    [[nodiscard]] result transform_error(F&& f) & { return map_error(*this, std::forward<F>(f)); }
    template <class F>
    [[nodiscard]] result transform_error(F&& f) const& { return map_error(*this, std::forward<F>(f)); }
    template <class F>
    [[nodiscard]] result transform_error(F&& f) && { return map_error(std::move(*this), std::forward<F>(f)); }

    /// Whether there is a value and it equals `value`.
    [[nodiscard]] friend bool operator==(const result& r, const T& value) requires std::equality_comparable<T>
    {
        return r.has_value_ && r.value_ == value;
    }

private:
// g++ 12 at -O2 takes a result that lives in a coroutine frame for one at address zero on a path that does not exist.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnull-dereference"
    void destroy() noexcept {
        if (has_value_) {
            value_.~T();
        } else {
            error_.~error();
        }
    }
#pragma GCC diagnostic pop
    // The union must hold one of the two at any time, also when T's constructor throws in the middle.
    void replace_error(T&& value) noexcept(moves_safely) {
        if constexpr (moves_safely) {
            error_.~error();
            ::new (static_cast<void*>(__builtin_addressof(value_))) T(static_cast<T&&>(value));
        } else {
            struct rollback {
                ~rollback() {
                    if (armed) {
                        ::new (static_cast<void*>(__builtin_addressof(self.value_))) flux::error(static_cast<flux::error&&>(before));
                    }
                }
                result& self;
                flux::error before;
                bool armed = true;
            } guard{*this, std::move(error_)};
            error_.~error();
            ::new (static_cast<void*>(__builtin_addressof(value_))) T(static_cast<T&&>(value));
            guard.armed = false;
        }
        has_value_ = true;
    }

    template <class Self, class F>
    static auto bind(Self&& self, F&& f) {
        using R = std::remove_cvref_t<decltype(std::forward<F>(f)(*std::forward<Self>(self)))>;
        static_assert(detail::is_result<R>, "and_then: the function must return a result");
        if (!self.has_value_) {
            return R(failure(std::forward<Self>(self).error()));
        }
        return R(std::forward<F>(f)(*std::forward<Self>(self)));
    }
    template <class Self, class F>
    static auto map(Self&& self, F&& f) {
        using U = std::remove_cvref_t<decltype(std::forward<F>(f)(*std::forward<Self>(self)))>;
        if (!self.has_value_) {
            return result<U>(failure(std::forward<Self>(self).error()));
        }
        if constexpr (std::is_void_v<U>) {
            std::forward<F>(f)(*std::forward<Self>(self));
            return result<U>();
        } else {
            return result<U>(std::forward<F>(f)(*std::forward<Self>(self)));
        }
    }
    template <class Self, class F>
    static result recover(Self&& self, F&& f) {
        if (self.has_value_) {
            return std::forward<Self>(self);
        }
        return std::forward<F>(f)(std::forward<Self>(self).error());
    }
    template <class Self, class F>
    static result map_error(Self&& self, F&& f) {
        if (self.has_value_) {
            return std::forward<Self>(self);
        }
        return failure(std::forward<F>(f)(std::forward<Self>(self).error()));
    }

    union {
        T value_;
        flux::error error_;
    };
    bool has_value_;
};

namespace detail {
struct nothing {};
} // namespace detail

/// Success without a value, or an error. The functions as in result<T>, whose f takes no argument here.
template <>
class [[nodiscard]] result<void> {
public:
    using value_type = void;
    using error_type = flux::error;

    result() noexcept = default;
    result(failure f) noexcept : state_(static_cast<failure&&>(f)) {}

    void emplace() noexcept { state_.emplace(); }

    [[nodiscard]] bool has_value() const noexcept { return state_.has_value(); }
    [[nodiscard]] explicit operator bool() const noexcept { return state_.has_value(); }
    void operator*() const noexcept { static_cast<void>(*state_); }
    void value() const& { static_cast<void>(state_.value()); }
    void value() && { static_cast<void>(std::move(state_).value()); }

    [[nodiscard]] flux::error& error() & noexcept { return state_.error(); }
    [[nodiscard]] const flux::error& error() const& noexcept { return state_.error(); }
    [[nodiscard]] flux::error&& error() && noexcept { return static_cast<result<detail::nothing>&&>(state_).error(); }

    template <class F>
    [[nodiscard]] auto and_then(F&& f) const& {
        return state_.and_then([&](const detail::nothing&) { return std::forward<F>(f)(); });
    }
    template <class F>
    [[nodiscard]] auto and_then(F&& f) && {
        return std::move(state_).and_then([&](const detail::nothing&) { return std::forward<F>(f)(); });
    }
    template <class F>
    [[nodiscard]] auto transform(F&& f) const& {
        return state_.transform([&](const detail::nothing&) -> decltype(auto) { return std::forward<F>(f)(); });
    }
    template <class F>
    [[nodiscard]] auto transform(F&& f) && {
        return std::move(state_).transform(
            [&](const detail::nothing&) -> decltype(auto) { return std::forward<F>(f)(); });
    }
    template <class F>
    [[nodiscard]] result or_else(F&& f) const& {
        return has_value() ? result() : result(std::forward<F>(f)(error()));
    }
    template <class F>
    [[nodiscard]] result or_else(F&& f) && {
        return has_value() ? result() : result(std::forward<F>(f)(std::move(*this).error()));
    }
    template <class F>
    [[nodiscard]] result transform_error(F&& f) const& {
        return has_value() ? result() : result(failure(std::forward<F>(f)(error())));
    }
    template <class F>
    [[nodiscard]] result transform_error(F&& f) && {
        return has_value() ? result() : result(failure(std::forward<F>(f)(std::move(*this).error())));
    }

private:
    result<detail::nothing> state_;
};

/// Drops a result on purpose. Params: `why` is for the reader; it is not used.
template <class T>
constexpr void ignore_result(T&&, [[maybe_unused]] const char* why) noexcept {}

} // namespace flux::inline FLUX_ABI
