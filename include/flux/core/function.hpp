// SPDX-License-Identifier: MIT
// flux/core/function.hpp - unique_function: a callable of any type behind one signature, move-only.
//
// libstdc++ 12 has no std::move_only_function at C++20. Callables up to three words live in place. Deliberately
// not here: const and noexcept signatures, pointers to members (wrap them in a lambda).
#pragma once

#include <flux/config.hpp>
#include <flux/core/vacate.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

template <class Signature>
class unique_function;

/// Owns a callable. Calling an empty one aborts; a null function pointer makes an empty one.
///
/// Errors   what the callable's construction throws; std::bad_alloc.
/// Threads  as the callable.
/// Cost     four words; allocates once if the callable is larger than three words, needs more alignment than a
///          pointer, or may throw when moved. A call is one indirect call.
template <class R, class... Args>
class unique_function<R(Args...)> {
    static constexpr std::size_t inline_size = 3 * sizeof(void*);
    template <class F, class D = std::decay_t<F>>
    static constexpr bool accepts = !std::is_member_pointer_v<D> && std::is_constructible_v<D, F> &&
                                    std::is_invocable_r_v<R, D&, Args...>;

public:
    unique_function() noexcept {} // not "= default": that would write zeros to storage_
    unique_function(std::nullptr_t) noexcept {}
    template <class F>
        requires(!std::same_as<std::remove_cvref_t<F>, unique_function> && accepts<F>)
    unique_function(F&& f) noexcept(fits<std::decay_t<F>> && std::is_nothrow_constructible_v<std::decay_t<F>, F>) {
        using D = std::decay_t<F>;
        if constexpr (std::is_pointer_v<D>) {
            const D pointer = f;
            if (pointer == nullptr) {
                return;
            }
        }
        if constexpr (fits<D>) {
            ::new (static_cast<void*>(storage_)) D(std::forward<F>(f));
        } else {
            ::new (static_cast<void*>(storage_)) D*(new D(std::forward<F>(f)));
        }
        ops_ = &table<D>;
    }
    /// Leaves `other` empty.
    unique_function(unique_function&& other) noexcept { take(other); }
    unique_function& operator=(unique_function&& other) noexcept {
        unique_function taken(std::move(other)); // `other` may die with the callable that *this owns
        reset();
        take(taken);
        return *this;
    }
    ~unique_function() { reset(); }

    [[nodiscard]] explicit operator bool() const noexcept { return ops_ != nullptr; }
    R operator()(Args... args) {
        FLUX_ASSERT(ops_ != nullptr, "an empty unique_function was called");
        return ops_->call(storage_, std::forward<Args>(args)...);
    }

private:
    // The callable lives in storage_ itself, or storage_ holds a pointer to it.
    template <class D>
    static constexpr bool fits = sizeof(D) <= inline_size && alignof(D) <= alignof(void*) &&
                                 std::is_nothrow_move_constructible_v<D>;
    struct operations {
        R (*call)(void*, Args&&...);
        void (*relocate)(void*, void*) noexcept;
        void (*destroy)(void*) noexcept;
    };
    template <class D>
    static D& object(void* at) noexcept {
        if constexpr (fits<D>) {
            return *std::launder(static_cast<D*>(at));
        } else {
            return **std::launder(static_cast<D**>(at));
        }
    }
    template <class D>
    static constexpr operations table = {
        [](void* at, Args&&... args) -> R { return static_cast<R>(object<D>(at)(std::forward<Args>(args)...)); },
        [](void* from, void* to) noexcept {
            if constexpr (fits<D>) {
                ::new (to) D(std::move(object<D>(from)));
                std::destroy_at(std::addressof(object<D>(from)));
            } else {
                ::new (to) D*(std::addressof(object<D>(from)));
            }
        },
        [](void* at) noexcept {
            if constexpr (fits<D>) {
                std::destroy_at(std::addressof(object<D>(at)));
            } else {
                delete std::addressof(object<D>(at));
            }
        }};

    // *this must be empty.
    void take(unique_function& other) noexcept {
        if (other.ops_ != nullptr) {
            other.ops_->relocate(other.storage_, storage_);
            ops_ = detail::vacate(other.ops_);
        }
    }
    void reset() noexcept {
        if (ops_ != nullptr) {
            detail::vacate(ops_)->destroy(storage_);
        }
    }

    const operations* ops_ = nullptr;
    alignas(void*) std::byte storage_[inline_size];
};

} // namespace flux::inline FLUX_ABI
