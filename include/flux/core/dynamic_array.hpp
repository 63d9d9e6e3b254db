// SPDX-License-Identifier: MIT
// flux/core/dynamic_array.hpp - a growable array and an owning pointer that compile fast.
//
// What flux's own headers hold their parts in. std::vector and std::unique_ptr would do, but each type they are
// used with costs a user's translation unit some 25 ms (docs/decisions/0007); these cost a tenth.
// Deliberately not here: allocators, const iterators of their own, everything that flux does not use.
#pragma once

#include <flux/config.hpp>

#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

namespace flux::inline FLUX_ABI::detail {

// What does not depend on the elements, so that it exists once.
class array_base {
public:
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

protected:
    array_base() noexcept = default;
    ~array_base() { ::operator delete(data_); }
    array_base(array_base&& other) noexcept { swap_members(other); }
    array_base(const array_base&) = delete;
    array_base& operator=(const array_base&) = delete;
    void swap_members(array_base& other) noexcept {
        void* const data = data_;
        const std::size_t size = size_;
        const std::size_t capacity = capacity_;
        data_ = other.data_;
        size_ = other.size_;
        capacity_ = other.capacity_;
        other.data_ = data;
        other.size_ = size;
        other.capacity_ = capacity;
    }
    [[nodiscard]] std::size_t next_capacity() const noexcept { return capacity_ == 0 ? 4 : capacity_ * 2; }
    // For elements that are octets to the compiler.
    [[gnu::cold]] void grow_octets(std::size_t capacity, std::size_t element) {
        void* const block = ::operator new(capacity * element);
        if (size_ != 0) {
            std::memcpy(block, data_, size_ * element);
        }
        replace_block(block, capacity);
    }
    void replace_block(void* block, std::size_t capacity) noexcept {
        ::operator delete(data_);
        data_ = block;
        capacity_ = capacity;
    }

    void* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

/// As std::vector, with pointers for iterators. T must not throw when moved.
// Without std::move, std::forward, std::swap and calls of its own members where they can be helped: without
// optimisation each is one more function per type. What a trivial type needs less of is left out for it.
template <class T>
class dynamic_array : public array_base {
public:
    dynamic_array() noexcept = default;
    dynamic_array(dynamic_array&& other) noexcept = default;
    dynamic_array(const dynamic_array& other) : array_base() {
        reserve(other.size_);
        for (; size_ != other.size_; ++size_) {
            ::new (static_cast<void*>(static_cast<T*>(data_) + size_)) T(static_cast<const T*>(other.data_)[size_]);
        }
    }
    dynamic_array& operator=(dynamic_array other) noexcept {
        swap_members(other);
        return *this;
    }
    ~dynamic_array() {
        if constexpr (!__is_trivially_copyable(T)) {
            clear();
        }
    }
    void swap(dynamic_array& other) noexcept { swap_members(other); }

    [[nodiscard]] T* data() noexcept { return static_cast<T*>(data_); }
    [[nodiscard]] const T* data() const noexcept { return static_cast<const T*>(data_); }
    [[nodiscard]] T* begin() noexcept { return static_cast<T*>(data_); }
    [[nodiscard]] const T* begin() const noexcept { return static_cast<const T*>(data_); }
    [[nodiscard]] T* end() noexcept { return static_cast<T*>(data_) + size_; }
    [[nodiscard]] const T* end() const noexcept { return static_cast<const T*>(data_) + size_; }
    [[nodiscard]] T& operator[](std::size_t i) noexcept { return static_cast<T*>(data_)[i]; }
    [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return static_cast<const T*>(data_)[i]; }
    [[nodiscard]] T& front() noexcept { return *static_cast<T*>(data_); }
    [[nodiscard]] const T& front() const noexcept { return *static_cast<const T*>(data_); }
    [[nodiscard]] T& back() noexcept { return static_cast<T*>(data_)[size_ - 1]; }
    [[nodiscard]] const T& back() const noexcept { return static_cast<const T*>(data_)[size_ - 1]; }

    void reserve(std::size_t n) {
        if (n > capacity_) {
            grow(n);
        }
    }
    template <class... Args>
    T& emplace_back(Args&&... args) {
        if (size_ == capacity_) {
            // made first: the arguments may refer to an element
            T value(static_cast<Args&&>(args)...);
            grow(next_capacity());
            ::new (static_cast<void*>(static_cast<T*>(data_) + size_)) T(static_cast<T&&>(value));
        } else {
            ::new (static_cast<void*>(static_cast<T*>(data_) + size_)) T(static_cast<Args&&>(args)...);
        }
        return static_cast<T*>(data_)[size_++]; // counted once it exists: a constructor may throw
    }
    void push_back(T value) {
        if (size_ == capacity_) {
            grow(next_capacity());
        }
        ::new (static_cast<void*>(static_cast<T*>(data_) + size_)) T(static_cast<T&&>(value));
        ++size_;
    }
    void pop_back() noexcept { static_cast<T*>(data_)[--size_].~T(); }
    void clear() noexcept {
        if constexpr (__is_trivially_copyable(T)) {
            size_ = 0;
        } else {
            while (size_ != 0) {
                static_cast<T*>(data_)[--size_].~T();
            }
        }
    }
    void resize(std::size_t n) {
        reserve(n);
        while (size_ > n) {
            pop_back();
        }
        while (size_ < n) {
            emplace_back();
        }
    }
    /// Inserts before `at`; returns where.
    [[gnu::cold]] T* insert(const T* at, T value) {
        const auto i = static_cast<std::size_t>(at - static_cast<T*>(data_));
        if (i == size_) {
            push_back(static_cast<T&&>(value));
            return static_cast<T*>(data_) + i;
        }
        push_back(static_cast<T&&>(back())); // what it leaves behind is written over
        T* const all = static_cast<T*>(data_);
        for (std::size_t from = size_ - 2; from > i; --from) {
            all[from] = static_cast<T&&>(all[from - 1]);
        }
        all[i] = static_cast<T&&>(value);
        return all + i;
    }
    template <class... Args>
    T* emplace(const T* at, Args&&... args) {
        return insert(at, T(static_cast<Args&&>(args)...));
    }
    /// Params  first, last  not of this array.
    [[gnu::cold]] void insert(const T* at, const T* first, const T* last) {
        auto i = static_cast<std::size_t>(at - begin());
        for (; first != last; ++first, ++i) {
            insert(begin() + i, *first);
        }
    }
    /// Drops the first n.
    void erase_front(std::size_t n) noexcept {
        T* const all = static_cast<T*>(data_);
        for (std::size_t i = n; i < size_; ++i) {
            all[i - n] = static_cast<T&&>(all[i]);
        }
        while (n-- > 0) {
            pop_back();
        }
    }
    /// Drops every element for which `drop(element)` holds.
    template <class Predicate>
    void erase_if(Predicate drop) {
        T* const all = static_cast<T*>(data_);
        std::size_t kept = 0;
        for (std::size_t i = 0; i < size_; ++i) {
            if (!drop(static_cast<const T&>(all[i]))) {
                if (kept != i) {
                    all[kept] = static_cast<T&&>(all[i]);
                }
                ++kept;
            }
        }
        while (size_ != kept) {
            pop_back();
        }
    }

private:
    [[gnu::cold]] void grow(std::size_t capacity) {
        if constexpr (__is_trivially_copyable(T)) {
            grow_octets(capacity, sizeof(T));
        } else {
            auto* block = static_cast<T*>(::operator new(capacity * sizeof(T)));
            T* const all = static_cast<T*>(data_);
            for (std::size_t i = 0; i < size_; ++i) {
                ::new (static_cast<void*>(block + i)) T(static_cast<T&&>(all[i]));
                all[i].~T();
            }
            replace_block(block, capacity);
        }
    }
};

/// As std::unique_ptr: owns one object made by new.
template <class T>
class owner {
public:
    owner() noexcept = default;
    explicit owner(T* object) noexcept : object_(object) {}
    owner(owner&& other) noexcept : object_(other.object_) { other.object_ = nullptr; }
    template <class D>
    owner(owner<D>&& other) noexcept : object_(other.release()) {}
    owner& operator=(owner other) noexcept {
        T* const mine = object_;
        object_ = other.object_;
        other.object_ = mine;
        return *this;
    }
    ~owner() { delete object_; }

    [[nodiscard]] T* get() const noexcept { return object_; }
    [[nodiscard]] T& operator*() const noexcept { return *object_; }
    [[nodiscard]] T* operator->() const noexcept { return object_; }
    [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
    [[nodiscard]] T* release() noexcept {
        T* const object = object_;
        object_ = nullptr;
        return object;
    }
    void reset() noexcept { delete release(); }

private:
    T* object_ = nullptr;
};

template <class T, class... Args>
[[nodiscard]] owner<T> make_owner(Args&&... args) {
    return owner<T>(new T(static_cast<Args&&>(args)...));
}

} // namespace flux::inline FLUX_ABI::detail
