// SPDX-License-Identifier: MIT
// flux/io/driver.hpp - the seam between a reactor and the kernel: three calls that io_uring and epoll answer.
//
// The virtual call costs about 2 ns against some microseconds of kernel time per request. Deliberately not
// here: timers (the reactor passes one deadline), wake-up (an op of the reactor), thread hand-over.
#pragma once

#include <flux/core/time.hpp>
#include <flux/io/buffer_pool.hpp>
#include <flux/io/op.hpp>

#include <cstdint>

namespace flux::inline FLUX_ABI {

/// Counters of a reactor's driver, since it was created.
struct driver_stats {
    std::uint64_t waits = 0;       ///< calls of wait(): loop turns that looked at the kernel
    std::uint64_t enters = 0;      ///< system calls made by the driver itself (io_uring_enter, epoll_*)
    std::uint64_t completions = 0; ///< operations completed, each multishot event counted
    std::uint64_t starved = 0;     ///< receives that ended because no shared buffer was free
};

namespace detail {

class driver {
public:
    driver() noexcept = default;
    driver(const driver&) = delete;
    driver& operator=(const driver&) = delete;
    virtual ~driver() = default;

    /// Hands an op to the kernel. It completes in a later wait(), exactly once per final completion.
    virtual void start(io_op& op) noexcept = 0;
    /// Asks the kernel to end an op soon. No effect on an idle one. The final completion still comes; its
    /// result may be a success.
    virtual void cancel(io_op& op) noexcept = 0;
    /// Submits what was started, waits until `deadline` for at least one completion (a deadline in the past
    /// only polls), delivers all completions there are. Returns how many.
    virtual std::size_t wait(time_point now, time_point deadline) noexcept = 0;
    /// Must be called before a descriptor on which ops were started is closed. No op may be in flight on it.
    virtual void forget(int fd) noexcept = 0;
    /// Whether a few ready connections are better answered by send(2) than through the ring.
    [[nodiscard]] virtual bool batches_sends() const noexcept = 0;
    [[nodiscard]] virtual buffer_pool& buffers() noexcept = 0;
    [[nodiscard]] virtual const char* name() const noexcept = 0;

    [[nodiscard]] const driver_stats& stats() const noexcept { return stats_; }
    /// Ops in flight; a reactor may end when only its own are left.
    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }

protected:
    driver_stats stats_;
    std::size_t in_flight_ = 0;
};

} // namespace detail
} // namespace flux::inline FLUX_ABI
