// SPDX-License-Identifier: MIT
// flux/core/dynamic_array.hpp - a growable array and an owning pointer that compile fast.
//
// What flux's own headers hold their parts in. std::vector and std::unique_ptr would do, but each type they are
// used with costs a user's translation unit some 25 ms (docs/decisions/0007); these cost a tenth.
// Deliberately not here: allocators, const iterators of their own, everything that flux does not use.
#pragma once

#include <flux/config.hpp>

#include <cstddef>
#include <new>
#include <utility>

namespace flux::inline FLUX_ABI::detail {

/// As std::vector, with pointers for iterators. T must not throw when moved.
template <class T>
class dynamic_array {
public:
    dynamic_array() noexcept = default;
    dynamic_array(dynamic_array&& other) noexcept { swap(other); }
    dynamic_array(const dynamic_array& other) { insert(end(), other.begin(), other.end()); }
    dynamic_array& operator=(dynamic_array other) noexcept {
        swap(other);
        return *this;
    }
    ~dynamic_array() {
        clear();
        ::operator delete(static_cast<void*>(data_));
    }
    void swap(dynamic_array& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] T* data() noexcept { return data_; }
    [[nodiscard]] const T* data() const noexcept { return data_; }
    [[nodiscard]] T* begin() noexcept { return data_; }
    [[nodiscard]] const T* begin() const noexcept { return data_; }
    [[nodiscard]] T* end() noexcept { return data_ + size_; }
    [[nodiscard]] const T* end() const noexcept { return data_ + size_; }
    [[nodiscard]] T& operator[](std::size_t i) noexcept { return data_[i]; }
    [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data_[i]; }
    [[nodiscard]] T& front() noexcept { return data_[0]; }
    [[nodiscard]] const T& front() const noexcept { return data_[0]; }
    [[nodiscard]] T& back() noexcept { return data_[size_ - 1]; }
    [[nodiscard]] const T& back() const noexcept { return data_[size_ - 1]; }

    void reserve(std::size_t n) {
        if (n > capacity_) {
            grow(n);
        }
    }
    template <class... Args>
    T& emplace_back(Args&&... args) {
        if (size_ == capacity_) {
            // made first: the arguments may refer to an element
            T value(std::forward<Args>(args)...);
            grow(capacity_ == 0 ? 4 : capacity_ * 2);
            ::new (static_cast<void*>(data_ + size_)) T(std::move(value));
        } else {
            ::new (static_cast<void*>(data_ + size_)) T(std::forward<Args>(args)...);
        }
        return data_[size_++]; // counted once it exists: a constructor may throw
    }
    void push_back(T value) { emplace_back(std::move(value)); }
    void pop_back() noexcept { data_[--size_].~T(); }
    void clear() noexcept {
        while (size_ != 0) {
            pop_back();
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
    T* insert(const T* at, T value) {
        std::size_t i = static_cast<std::size_t>(at - data_);
        emplace_back(std::move(value));
        for (std::size_t from = size_ - 1; from > i; --from) {
            std::swap(data_[from], data_[from - 1]);
        }
        return data_ + i;
    }
    template <class... Args>
    T* emplace(const T* at, Args&&... args) {
        return insert(at, T(std::forward<Args>(args)...));
    }
    /// Params  first, last  not of this array.
    void insert(const T* at, const T* first, const T* last) {
        std::size_t i = static_cast<std::size_t>(at - data_);
        for (; first != last; ++first, ++i) {
            insert(data_ + i, *first);
        }
    }
    /// Drops the first n.
    void erase_front(std::size_t n) noexcept {
        for (std::size_t i = n; i < size_; ++i) {
            data_[i - n] = std::move(data_[i]);
        }
        while (n-- > 0) {
            pop_back();
        }
    }
    /// Drops every element for which `drop(element)` holds.
    template <class Predicate>
    void erase_if(Predicate drop) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < size_; ++i) {
            if (!drop(std::as_const(data_[i]))) {
                if (kept != i) {
                    data_[kept] = std::move(data_[i]);
                }
                ++kept;
            }
        }
        while (size_ != kept) {
            pop_back();
        }
    }

private:
    void grow(std::size_t capacity) {
        auto* block = static_cast<T*>(::operator new(capacity * sizeof(T)));
        for (std::size_t i = 0; i < size_; ++i) {
            ::new (static_cast<void*>(block + i)) T(std::move(data_[i]));
            data_[i].~T();
        }
        ::operator delete(static_cast<void*>(data_));
        data_ = block;
        capacity_ = capacity;
    }

    T* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

/// As std::unique_ptr: owns one object made by new.
template <class T>
class owner {
public:
    owner() noexcept = default;
    explicit owner(T* object) noexcept : object_(object) {}
    owner(owner&& other) noexcept : object_(other.release()) {}
    template <class D>
    owner(owner<D>&& other) noexcept : object_(other.release()) {}
    owner& operator=(owner other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~owner() { delete object_; }

    [[nodiscard]] T* get() const noexcept { return object_; }
    [[nodiscard]] T& operator*() const noexcept { return *object_; }
    [[nodiscard]] T* operator->() const noexcept { return object_; }
    [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
    [[nodiscard]] T* release() noexcept { return std::exchange(object_, nullptr); }
    void reset() noexcept { delete release(); }

private:
    T* object_ = nullptr;
};

template <class T, class... Args>
[[nodiscard]] owner<T> make_owner(Args&&... args) {
    return owner<T>(new T(std::forward<Args>(args)...));
}

} // namespace flux::inline FLUX_ABI::detail
