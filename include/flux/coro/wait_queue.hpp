// SPDX-License-Identifier: MIT
// flux/coro/wait_queue.hpp - the FIFO of coroutines that wait for the same thing of their own thread.
//
//   waiting --grant()--> out of the queue and of the context --ready queue--> resumed, it has the thing
//           --stop-----> out of the queue, ready queue -------------------> resumed, it has the stop reason
//
// Whichever comes first decides: a waiter that was granted is out of reach of a stop, and one that was stopped
// out of reach of a grant. Shared by event, mutex, semaphore and channel; not public.
#pragma once

#include <flux/coro/operation.hpp>

namespace flux::inline FLUX_ABI::detail {

struct wait_tag;

/// One wait. A derived state is linked in the queue of its primitive from wait_in() until grant() or a stop.
class wait_node : public list_hook<wait_tag>, public budgeted {
public:
    using queue = intrusive_list<wait_node, wait_tag>;

    /// The primitive has given what was waited for.
    void grant() noexcept {
        list_hook<wait_tag>::unlink();
        granted_ = true;
        finish();
    }

protected:
    explicit wait_node(context_node& ctx, stop_hook::action on_stop = &leave) noexcept : budgeted(ctx, on_stop) {}

    /// For await_ready. `take` gets the thing now if it can; a stopped context does not even try.
    template <class Take>
    [[nodiscard]] bool ready(Take&& take) noexcept {
        if (!ctx().stopped()) {
            granted_ = take();
            if (!granted_) {
                return false;
            }
        }
        return may_run_inline();
    }
    /// For await_suspend.
    void wait_in(queue& waiters, std::coroutine_handle<> waiter) noexcept {
        if (!yield_if_out_of_budget(waiter)) {
            suspend(waiter);
            waiters.push_back(*this);
        }
    }
    /// For take(): false if the context was stopped first.
    [[nodiscard]] bool granted() const noexcept { return granted_; }
    /// For a stop hook.
    static void leave(stop_hook& hook) noexcept {
        auto& self = static_cast<wait_node&>(hook);
        self.list_hook<wait_tag>::unlink();
        self.finish();
    }

private:
    bool granted_ = false;
};

} // namespace flux::inline FLUX_ABI::detail
