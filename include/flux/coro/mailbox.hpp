// SPDX-License-Identifier: MIT
// flux/coro/mailbox.hpp - how other threads hand work to one scheduler: an MPSC stack and an "asleep" flag.
//
//   push: link the node; if the owner announced sleep, wake it (one system call, only then)
//   owner: announce sleep, look at the stack once more, sleep   (a push in between finds the flag set)
//
// The mailbox outlives its scheduler (shared ownership), so a late push from another thread is refused
// instead of touching freed memory. Deliberately not here: how to wake (the io layer derives).
#pragma once

#include <flux/config.hpp>

#include <atomic>
#include <cstddef>

namespace flux::inline FLUX_ABI::detail {

/// Work for another thread. `run` is called once, on the owner's thread, and disposes of the node.
/// `drop` is called instead if the mailbox is closed before the node ran.
struct mail {
    using action = void (*)(mail&) noexcept;
    explicit mail(action r, action d) noexcept : run(r), drop(d) {}
    mail* next = nullptr;
    action run;
    action drop;
};

class mailbox {
public:
    mailbox() noexcept = default;
    mailbox(const mailbox&) = delete;
    mailbox& operator=(const mailbox&) = delete;
    virtual ~mailbox() = default;

    /// Any thread. False: the owner is gone, the node was not taken.
    [[nodiscard]] bool push(mail& m) noexcept {
        mail* head = head_.load(std::memory_order_relaxed);
        do {
            if (head == closed()) {
                return false;
            }
            m.next = head;
            // seq_cst pairs with announce_sleep(): either we see its flag or it sees our node
        } while (!head_.compare_exchange_weak(head, &m, std::memory_order_seq_cst, std::memory_order_relaxed));
        if (asleep_.exchange(false, std::memory_order_seq_cst)) {
            wake();
        }
        return true;
    }

    /// Any thread: whether the owner has ended.
    [[nodiscard]] bool is_closed() const noexcept { return head_.load(std::memory_order_acquire) == closed(); }

    /// Owner: runs what was pushed so far, in order of arrival. Returns how many.
    std::size_t run_all() noexcept {
        if (head_.load(std::memory_order_relaxed) == nullptr) {
            return 0;
        }
        mail* in_order = reverse(head_.exchange(nullptr, std::memory_order_acquire));
        std::size_t count = 0;
        while (in_order != nullptr) {
            mail& m = *in_order;
            in_order = m.next;
            m.run(m);
            ++count;
        }
        return count;
    }

    /// Owner, before it sleeps. False: something arrived, do not sleep.
    [[nodiscard]] bool announce_sleep() noexcept {
        asleep_.store(true, std::memory_order_seq_cst);
        if (head_.load(std::memory_order_seq_cst) != nullptr) {
            asleep_.store(false, std::memory_order_relaxed);
            return false;
        }
        return true;
    }
    /// Owner, after it slept.
    void announce_awake() noexcept { asleep_.store(false, std::memory_order_relaxed); }

    /// Owner, when it ends: drops what is left; later pushes are refused.
    void close() noexcept {
        mail* left = reverse(head_.exchange(closed(), std::memory_order_acq_rel));
        while (left != nullptr) {
            mail& m = *left;
            left = m.next;
            m.drop(m);
        }
    }

protected:
    /// Any thread: makes the owner's wait return. Called at most once per announced sleep.
    virtual void wake() noexcept = 0;

private:
    static mail* closed() noexcept {
        static mail sentinel(nullptr, nullptr);
        return &sentinel;
    }
    static mail* reverse(mail* list) noexcept {
        mail* out = nullptr;
        while (list != nullptr && list != closed()) {
            mail* next = list->next;
            list->next = out;
            out = list;
            list = next;
        }
        return out;
    }

    std::atomic<mail*> head_{nullptr};
    std::atomic<bool> asleep_{false};
};

} // namespace flux::inline FLUX_ABI::detail
