// SPDX-License-Identifier: MIT
// flux/resilience/retry_budget.hpp - how many retries all requests of a client together may have.
//
//   request -> earns a part of a retry        retry -> spends a whole one, or is not made
//
// A server that is down answers no request better for being asked four times. Deliberately not here: when a retry would
// help, and how long to wait for it (retry.hpp).
#pragma once

#include <flux/config.hpp>
#include <flux/core/algorithm.hpp>

#include <atomic>
#include <cstdint>

namespace flux::inline FLUX_ABI::http {

/// A bucket of retries, full at first. It has no clock: it fills by requests, and what it allows follows from their order.
/// Threads  any.
class retry_budget {
public:
    /// Params  percent  of a retry that each request earns; 0: there is no limit.
    ///         reserve  retries that fit in, and are there at first
    retry_budget(std::uint32_t percent, std::uint32_t reserve) noexcept
        : percent_(percent), most_(std::uint64_t{reserve} * a_retry), left_(most_) {}
    retry_budget(retry_budget&& other) noexcept
        : percent_(other.percent_), most_(other.most_), left_(other.left_.load(std::memory_order_relaxed)) {}
    retry_budget& operator=(retry_budget&&) = delete;
    ~retry_budget() = default;

    void earn() noexcept {
        std::uint64_t now = left_.load(std::memory_order_relaxed);
        while (percent_ != 0 && now != most_ &&
               !left_.compare_exchange_weak(now, std::min(now + percent_, most_), std::memory_order_relaxed)) {
        }
    }
    /// Whether there was one.
    [[nodiscard]] bool spend() noexcept {
        std::uint64_t now = left_.load(std::memory_order_relaxed);
        while (percent_ != 0) {
            if (now < a_retry) {
                return false;
            }
            if (left_.compare_exchange_weak(now, now - a_retry, std::memory_order_relaxed)) {
                return true;
            }
        }
        return true;
    }

private:
    static constexpr std::uint64_t a_retry = 100;

    std::uint32_t percent_;
    std::uint64_t most_;
    std::atomic<std::uint64_t> left_;
};

} // namespace flux::inline FLUX_ABI::http
