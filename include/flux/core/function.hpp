// SPDX-License-Identifier: MIT
// flux/core/function.hpp - unique_function: a callable of any type behind one signature, move-only.
//
// libstdc++ 12 has no std::move_only_function at C++20. Callables up to three words live in place.
#pragma once

#include <flux/config.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

template <class Signature>
class unique_function;

/// Owns a callable. Calling an empty one aborts.
/// Cost  allocates once if the callable is larger than three words or may throw when moved.
template <class R, class... Args>
class unique_function<R(Args...)> {
    static constexpr std::size_t inline_size = 3 * sizeof(void*);

public:
    unique_function() noexcept = default;
    unique_function(std::nullptr_t) noexcept {}
    template <class F>
        requires(!std::same_as<std::remove_cvref_t<F>, unique_function> &&
                 std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
    unique_function(F&& f) {
        using D = std::decay_t<F>;
        if constexpr (fits<D>) {
            ::new (static_cast<void*>(storage_)) D(std::forward<F>(f));
        } else {
            ::new (static_cast<void*>(storage_)) D*(new D(std::forward<F>(f)));
        }
        ops_ = &table<D>;
    }
    unique_function(unique_function&& other) noexcept : ops_(std::exchange(other.ops_, nullptr)) {
        if (ops_ != nullptr) {
            ops_->relocate(other.storage_, storage_);
        }
    }
    unique_function& operator=(unique_function&& other) noexcept {
        if (this != &other) {
            reset();
            ops_ = std::exchange(other.ops_, nullptr);
            if (ops_ != nullptr) {
                ops_->relocate(other.storage_, storage_);
            }
        }
        return *this;
    }
    ~unique_function() { reset(); }

    [[nodiscard]] explicit operator bool() const noexcept { return ops_ != nullptr; }
    R operator()(Args... args) {
        FLUX_ASSERT(ops_ != nullptr, "an empty unique_function was called");
        return ops_->call(storage_, std::forward<Args>(args)...);
    }

private:
    struct operations {
        R (*call)(void*, Args&&...);
        void (*relocate)(void*, void*) noexcept;
        void (*destroy)(void*) noexcept;
    };
    template <class D>
    static constexpr bool fits = sizeof(D) <= inline_size && alignof(D) <= alignof(void*) &&
                                 std::is_nothrow_move_constructible_v<D>;
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
                std::destroy_at(&object<D>(from));
            } else {
                ::new (to) D*(&object<D>(from));
            }
        },
        [](void* at) noexcept {
            if constexpr (fits<D>) {
                std::destroy_at(&object<D>(at));
            } else {
                delete &object<D>(at);
            }
        }};

    void reset() noexcept {
        if (ops_ != nullptr) {
            std::exchange(ops_, nullptr)->destroy(storage_);
        }
    }

    const operations* ops_ = nullptr;
    alignas(void*) std::byte storage_[inline_size];
};

} // namespace flux::inline FLUX_ABI
