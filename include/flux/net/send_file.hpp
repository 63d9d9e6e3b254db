// SPDX-License-Identifier: MIT
// flux/net/send_file.hpp - octets of a file to a socket, without a copy through user space: operation and state.
//
//   sendfile(2), non-blocking --EAGAIN--> poll for room --> sendfile(2) ...
//
// The same on both drivers: a ring has no sendfile, and its splice runs on a thread of the kernel (measured 1.3 to 2
// times as dear). Reading from a file that is not in memory blocks: in_memory() tells, and the caller has it read
// elsewhere first (http/server/send_file.hpp). Deliberately not here: the whole of a file, or of a loop.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/net/socket_ops.hpp>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::detail {

/// sendfile(2) without SIGPIPE: the call has no flag for that, and not every program ignores the signal.
[[nodiscard]] inline ::ssize_t send_file_quietly(int to, int from, ::off_t& at, std::size_t size) noexcept {
    struct ::sigaction now {};
    ::sigaction(SIGPIPE, nullptr, &now);
    if (now.sa_handler == SIG_IGN) {
        return ::sendfile(to, from, &at, size);
    }
    ::sigset_t pipe;
    ::sigset_t before;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
    const ::ssize_t n = ::sendfile(to, from, &at, size);
    const int failed = errno;
    if (::sigismember(&before, SIGPIPE) == 0) {
        const ::timespec at_once{};
        ::sigtimedwait(&pipe, nullptr, &at_once); // one that this call has raised, also after a part went out
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = failed;
    return n;
}

class send_file_state;
class [[nodiscard]] send_file_op {
public:
    using value_type = std::size_t;
    using state_type = send_file_state;
    send_file_op(socket_core* core, const_buffer before, int file, std::uint64_t at, std::size_t size) noexcept
        : core_(core), before_(before), file_(file), at_(at), size_(size) {}

private:
    friend class send_file_state;
    socket_core* core_;
    const_buffer before_;
    int file_;
    std::uint64_t at_;
    std::size_t size_;
};

class send_file_state : public budgeted, public io_op {
public:
    send_file_state(send_file_op op, context_node& ctx) noexcept
        : budgeted(ctx, &on_stop), io_op(io_kind::poll, usable(op.core_) == nullptr ? -1 : op.core_->fd(), &on_completion),
          core_(usable(op.core_)), before_(op.before_), file_(op.file_), at_(static_cast<::off_t>(op.at_)),
          size_(std::min<std::size_t>(op.size_, 1U << 30)) {
        events = POLLOUT;
    }

    bool await_ready() noexcept {
        if (core_ == nullptr) {
            return refuse(errc::closed);
        }
        FLUX_ASSERT(core_->home().on_own_thread(), "an operation was started on a thread that does not own its reactor");
        if (ctx().stopped()) {
            return refuse(to_errc(ctx().reason()));
        }
        if (!core_->begin_write()) {
            return refuse(errc::overlap);
        }
        if (const int failed = core_->make_nonblocking(); failed != 0) {
            end(std::error_code(failed, std::system_category()));
            return true;
        }
        return advance() && may_run_inline();
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        if (yield_if_out_of_budget(waiter)) {
            return;
        }
        suspension::suspend(waiter);
        core_->home().driver().start(*this);
    }
    [[nodiscard]] result<std::size_t> take() const noexcept {
        if (failed_) {
            return fail(failed_);
        }
        return sent_;
    }

private:
    // One attempt; true when the operation is over.
    [[nodiscard]] bool advance() noexcept {
        while (!before_.empty()) { // held back for what follows, so that both travel in one segment
            const int more = size_ == 0 ? 0 : MSG_MORE;
            const ::ssize_t n = ::send(fd(), before_.data(), before_.size(), MSG_NOSIGNAL | MSG_DONTWAIT | more);
            if (n < 0) {
                return settle(errno);
            }
            core_->note_written(static_cast<std::size_t>(n));
            before_ = before_.subspan(static_cast<std::size_t>(n));
        }
        if (size_ == 0) {
            end();
            return true;
        }
        const ::ssize_t n = send_file_quietly(fd(), file_, at_, size_);
        if (n < 0) {
            return settle(errno);
        }
        sent_ = static_cast<std::size_t>(n);
        core_->note_written(sent_);
        end();
        return true;
    }
    [[nodiscard]] bool settle(int failed) noexcept {
        if (failed == EAGAIN || failed == EINTR) {
            return false;
        }
        end(std::error_code(failed, std::system_category()));
        return true;
    }
    void end(std::error_code why = {}) noexcept {
        failed_ = why;
        core_->end_write();
    }
    [[nodiscard]] bool refuse(errc code) noexcept {
        failed_ = make_error_code(code);
        return true;
    }
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<send_file_state&>(hook);
        self.core_->home().driver().cancel(self);
    }
    static void on_completion(io_op& op, const completion& c) noexcept {
        auto& self = static_cast<send_file_state&>(op);
        if (self.ctx().stopped()) {
            self.end(make_error_code(to_errc(self.ctx().reason())));
        } else if (c.result < 0) {
            self.end(std::error_code(-c.result, std::system_category()));
        } else if (!self.advance()) {
            self.core_->home().driver().start(self);
            return;
        }
        self.finish();
    }

    socket_core* core_;
    const_buffer before_;
    int file_;
    ::off_t at_;
    std::size_t size_;
    std::size_t sent_ = 0;
    std::error_code failed_;
};

/// Whether octets of a file can be read without waiting for a disk: they are in the kernel's memory. An answer of
/// true can be outdated at once; false only costs a detour.
[[nodiscard]] inline bool in_memory(int file, std::uint64_t at, std::size_t size) noexcept {
    const std::uint64_t range[2] = {at, size}; // struct cachestat_range
    std::uint64_t pages[5] = {};               // struct cachestat: the first one counts those that are there
    constexpr long cachestat = 451;            // Linux 6.5
    constexpr std::uint64_t page = 4096;
    if (::syscall(cachestat, file, range, pages, 0) == 0) {
        return pages[0] >= (at + size + page - 1) / page - at / page;
    }
    char octet = 0;
    ::iovec one{};
    one.iov_base = &octet;
    one.iov_len = 1;
    for (const std::uint64_t where : {at, at + (size == 0 ? 0 : size - 1)}) { // its ends speak for it
        if (::preadv2(file, &one, 1, static_cast<::off_t>(where), RWF_NOWAIT) >= 0) {
            continue;
        }
        struct ::statfs kind {};
        constexpr decltype(kind.f_type) tmpfs = 0x01021994; // it cannot be asked, and has no disk
        if (errno != EOPNOTSUPP || ::fstatfs(file, &kind) != 0 || kind.f_type != tmpfs) {
            return false;
        }
    }
    return true;
}

} // namespace flux::inline FLUX_ABI::detail
