// SPDX-License-Identifier: MIT
// flux/core/intrusive_list.hpp - a doubly linked list whose links live in the elements. No allocation.
//
// Used where elements remove themselves in O(1): waiters, stop hooks, child contexts. The list owns nothing;
// an element must be unlinked before it dies.
#pragma once

#include <flux/config.hpp>

namespace flux::inline FLUX_ABI {

/// Base of list elements. `Tag` tells two hooks of one object apart. Immovable: its neighbours point at it.
template <class Tag = void>
class list_hook {
public:
    list_hook() noexcept = default;
    list_hook(const list_hook&) = delete;
    list_hook& operator=(const list_hook&) = delete;
    ~list_hook() { FLUX_ASSERT(!is_linked(), "list element destroyed while linked"); }

    [[nodiscard]] bool is_linked() const noexcept { return next_ != nullptr; }
    /// No effect on an element that is in no list.
    void unlink() noexcept {
        if (next_ != nullptr) {
            prev_->next_ = next_;
            next_->prev_ = prev_;
            next_ = prev_ = nullptr;
        }
    }

private:
    template <class, class>
    friend class intrusive_list;
    list_hook* next_ = nullptr;
    list_hook* prev_ = nullptr;
};

/// FIFO list of T, where T derives from list_hook<Tag>. Must be empty when it dies.
///
/// Threads  one.  Cost  every operation O(1) but for_each; the list is two pointers.
template <class T, class Tag = void>
class intrusive_list {
    using hook = list_hook<Tag>;

public:
    intrusive_list() noexcept { head_.next_ = head_.prev_ = &head_; }
    intrusive_list(const intrusive_list&) = delete;
    intrusive_list& operator=(const intrusive_list&) = delete;
    ~intrusive_list() {
        FLUX_ASSERT(empty(), "list destroyed while it has elements");
        head_.next_ = head_.prev_ = nullptr;
    }

    [[nodiscard]] bool empty() const noexcept { return head_.next_ == &head_; }
    [[nodiscard]] T& front() noexcept {
        FLUX_ASSERT(!empty(), "the first element of an empty list was used");
        return static_cast<T&>(*head_.next_);
    }
    [[nodiscard]] T& back() noexcept {
        FLUX_ASSERT(!empty(), "the last element of an empty list was used");
        return static_cast<T&>(*head_.prev_);
    }

    void push_back(T& element) noexcept { link(element, *head_.prev_); }
    void push_front(T& element) noexcept { link(element, head_); }
    T& pop_front() noexcept {
        T& element = front();
        static_cast<hook&>(element).unlink();
        return element;
    }
    T& pop_back() noexcept {
        T& element = back();
        static_cast<hook&>(element).unlink();
        return element;
    }

    /// Calls f(T&) for each element from front to back; f may unlink and destroy the element it was given,
    /// and no other. Of elements that f adds, those behind the current last one may be left out.
    template <class F>
    void for_each(F&& f) {
        for (hook* at = head_.next_; at != &head_;) {
            hook* next = at->next_;
            f(static_cast<T&>(*at));
            FLUX_CHECK(next->next_ != nullptr, "for_each: the next element was unlinked");
            at = next;
        }
    }

private:
    static void link(T& element, hook& after) noexcept {
        hook& h = element;
        FLUX_ASSERT(!h.is_linked(), "list element linked twice");
        h.prev_ = &after;
        h.next_ = after.next_;
        after.next_->prev_ = &h;
        after.next_ = &h;
    }

    hook head_; // next_ is the front, prev_ the back; never seen as a T
};

} // namespace flux::inline FLUX_ABI
