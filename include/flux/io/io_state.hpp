// SPDX-License-Identifier: MIT
// flux/io/io_state.hpp - the awaiter of an operation that completes once in the kernel.
//
//   checked --await_suspend--> in flight --completion--> finish() --> resumed, take() reads result_
//                                  ^ a stop only asks the driver to cancel; the completion decides
//
// Base of connect, datagram, poll and file states. Where it lives: in the awaiting frame, with the memory
// that the op names; both stay until the op's own completion. Deliberately not here: streams and listeners,
// whose receive and accept are multishot and belong to the object, not to one awaiter.
#pragma once

#include <flux/coro/operation.hpp>
#include <flux/io/reactor.hpp>

#include <cerrno>

namespace flux::inline FLUX_ABI::detail {

class io_state : public suspension, public io_op {
public:
    bool await_ready() noexcept {
        FLUX_ASSERT(home().on_own_thread(), "an operation was started on a thread that does not own its reactor");
        return ctx().stopped();
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        started_ = true;
        suspension::suspend(waiter);
        reactor::of(home()).driver().start(*this);
    }

protected:
    io_state(context_node& ctx, io_kind kind, int fd) noexcept
        : suspension(ctx, &on_stop), io_op(kind, fd, &on_completion) {}

    /// The kernel's result, or why there is none: >= 0 wins over a stop. -ECANCELED becomes the reason, and so
    /// does -EINTR: the way in which a call ends that waits on a thread of the kernel and is cancelled there.
    [[nodiscard]] result<int> outcome() const noexcept {
        if (!started_) {
            return fail(ctx().stop_error());
        }
        if (result_ >= 0) {
            return result_;
        }
        if ((result_ == -ECANCELED || result_ == -EINTR) && ctx().stopped()) {
            return fail(ctx().stop_error());
        }
        return fail(error::from_errno(-result_));
    }

private:
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<io_state&>(hook);
        reactor::of(self.home()).driver().cancel(self);
    }
    static void on_completion(io_op& op, const completion& c) noexcept {
        auto& self = static_cast<io_state&>(op);
        self.result_ = c.result;
        self.finish();
    }

    int result_ = 0;
    bool started_ = false;
};

} // namespace flux::inline FLUX_ABI::detail
