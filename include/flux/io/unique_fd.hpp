// SPDX-License-Identifier: MIT
// flux/io/unique_fd.hpp - owns one file descriptor.
//
// Deliberately not here: closing through a driver (operations in flight come first: socket.hpp), and the
// error of close(2): after a write it comes too late to help, fsync(2) is what reports it in time.
#pragma once

#include <flux/config.hpp>
#include <flux/core/vacate.hpp>

#include <unistd.h>

#include <cerrno>

namespace flux::inline FLUX_ABI {

/// Closes its descriptor when it dies. Any negative number means "none".
///
/// Threads  as int.
class unique_fd {
public:
    unique_fd() noexcept = default;
    /// Takes ownership of `fd`. A result of a system call may be given as it is.
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        reset(other.release()); // right for itself too: what was released comes back
        return *this;
    }
    ~unique_fd() { close(fd_); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

    /// Gives the descriptor to the caller, who closes it.
    [[nodiscard]] int release() noexcept { return detail::vacate_for(fd_, -1); }

    /// Closes what it owns, then takes ownership of `fd`.
    void reset(int fd = -1) noexcept {
        FLUX_ASSERT(fd < 0 || fd != fd_, "unique_fd was reset to the descriptor that it owns");
        close(detail::vacate_for(fd_, fd));
    }

private:
    // Called once, whatever it returns: on Linux the number is free even after EINTR, and a second call could
    // close what another thread has just opened. errno is kept, so that an error path reports its own.
    static void close(int fd) noexcept {
        if (fd >= 0) {
            const int before = errno;
            const bool closed_by_another = ::close(fd) != 0 && errno == EBADF;
            FLUX_ASSERT(!closed_by_another, "a descriptor was closed behind the back of its owner");
            errno = before;
        }
    }

    int fd_ = -1;
};

} // namespace flux::inline FLUX_ABI
