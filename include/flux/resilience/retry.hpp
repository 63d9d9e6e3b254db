// SPDX-License-Identifier: MIT
// flux/resilience/retry.hpp - a layer around a client that sends a request again after a failure that may pass.
//
//   request -> try -> response that stands -> caller
//               |  -> failure, or 429, 502, 503, 504 -> wait (jitter, Retry-After) -> next try
//
// Retries multiply the load of a server that is in trouble: few attempts, waits that grow, at random, and none that
// cannot end before the deadline. Deliberately not here: the repetitions that need no policy because nothing had been
// processed (http/client/resend.hpp), counting over all requests (retry_budget.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/time.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/http/client/client_layer.hpp>
#include <flux/http/message/date.hpp>
#include <flux/net/resolve_errc.hpp>
#include <flux/resilience/retry_budget.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <sys/random.h>

namespace flux::inline FLUX_ABI::http {

/// How often, and how long to wait in between.
struct retry_options {
    /// Tries, 4. The first one included; 1 means no retry.
    std::uint32_t attempts = 4;
    /// 50 ms. The longest wait after the first try; it doubles after each one. The wait is drawn from 0 to that.
    milliseconds base{50};
    /// 2 s. No wait is drawn from more than that.
    milliseconds cap{2'000};
    /// 30 s. Retry-After is obeyed up to that; a server that asks for more has the last word.
    milliseconds max_retry_after{30'000};
    /// Whether 429, 502, 503 and 504 are tried again, too, and not only failures.
    bool statuses = true;
    /// Percent, 0: no limit. Retries of all requests together, as a share of these: 20 is one for every five requests.
    std::uint32_t budget_percent = 0;
    /// Retries, 10. With a budget: those that are saved up at most, and there at first; 0: there is never one.
    std::uint32_t budget_reserve = 10;
};
static_assert(__is_trivially_copyable(retry_options));

/// Tries again: `api.use(http::retry())`.
///
/// A failure that provably had no effect (error::retryable()) is tried again whatever the method is. Other failures of the
/// network, time-outs of one try, and the statuses above only where the request is idempotent, by its method or because it
/// has an Idempotency-Key. There is no retry when the wait would not end before the deadline of the request or the
/// context, nor beyond the budget: the last outcome is the outcome then, and also after the last try. What fails while the
/// body of the response is read is the caller's.
/// Errors   of the last try, with `attempt 3 of 4` in the chain and in error::attempt().
/// Cancel   at once, waits included.
/// Threads  calls: any.
/// Source   RFC 9110 9.2.2, 10.2.3; RFC 6585 4.
class retry {
public:
    explicit retry(const retry_options& options = {}) : retry(options, random_number()) {}
    /// Waits that follow from the seed, for tests.
    retry(const retry_options& options, std::uint64_t seed) noexcept
        : options_(options), budget_(options.budget_percent, options.budget_reserve), drawn_(seed) {}
    retry(retry&& other) noexcept
        : options_(other.options_), budget_(std::move(other.budget_)), drawn_(other.drawn_.load(std::memory_order_relaxed)) {}
    retry& operator=(retry&&) = delete;
    ~retry() = default;

    template <std::same_as<client_next> Next> // a template, so that only those who use the layer compile the coroutine
    [[nodiscard]] task<client_response> operator()(client_request& req, Next& inner) {
        auto ctx = co_await this_context();
        std::uint32_t sent = 0;
        budget_.earn();
        for (std::uint32_t n = 1;; ++n) { // bounded by options_.attempts
            auto answer = co_await attempt(inner(req));
            sent += sent_by(answer);
            const milliseconds asked = wants_another(req, answer);
            const bool again = asked != stands && n < options_.attempts && !ctx.stopped();
            const duration wait = again ? duration(asked) + draw(n) : duration::zero();
            if (!again || wait >= ctx.remaining() || !budget_.spend()) {
                if (!answer) {
                    error e = std::move(answer).error();
                    if (n != 1) {
                        e.doing(said(n)).attempt(sent);
                    }
                    co_return fail(std::move(e));
                }
                answer->exchange().attempts = sent;
                co_return std::move(answer);
            }
            answer = fail(flux::errc::canceled); // what is left of the response goes before the wait
            const auto waited = co_await attempt(sleep_for(wait));
            if (!waited) {
                co_return fail(error(waited.error()).doing(req.exchange().what()).doing(said(n)));
            }
        }
    }

    [[nodiscard]] const retry_options& options() const noexcept { return options_; }

private:
    using outcome = result<client_response>;

    [[nodiscard]] static std::uint32_t sent_by(const outcome& answer) noexcept {
        return answer ? answer->attempts() : std::max(answer.error().attempt(), 1U);
    }
    [[nodiscard]] std::string said(std::uint32_t n) const {
        return "attempt " + std::to_string(n) + " of " + std::to_string(options_.attempts);
    }
    [[nodiscard]] static bool is_repeatable(const client_request& req) noexcept {
        return is_idempotent(req.method()) || req.fields().contains("Idempotency-Key");
    }
    static constexpr milliseconds stands{-1};

    // The least to wait before another try; `stands`: there is none.
    [[nodiscard]] milliseconds wants_another(const client_request& req, const outcome& answer) const {
        if (!answer) {
            const error& e = answer.error();
            const bool passes = e.kind() == error_kind::network || e.kind() == error_kind::timeout;
            const bool certain = e.code() == resolve_errc::no_such_name || e.code() == resolve_errc::no_address;
            const bool again = !certain && (e.retryable() || (passes && is_repeatable(req)));
            return again ? milliseconds(0) : stands;
        }
        switch (answer->code()) {
        case status::too_many_requests:
        case status::bad_gateway:
        case status::service_unavailable:
        case status::gateway_timeout: break;
        default: return stands;
        }
        if (!options_.statuses || !is_repeatable(req)) {
            return stands;
        }
        const milliseconds asked = retry_after(*answer);
        return asked <= options_.max_retry_after ? asked : stands;
    }
    // Seconds, or a date, which is compared with that of the response: clocks differ.
    [[nodiscard]] static milliseconds retry_after(const client_response& r) {
        const std::string_view value = r.header(field::retry_after);
        std::uint64_t seconds = 0;
        if (value.empty()) {
            return milliseconds(0);
        }
        if (parse_decimal(value, 1U << 30, seconds)) {
            return milliseconds(seconds * 1000);
        }
        const auto at = parse_date(value);
        const auto now = parse_date(r.header(field::date));
        if (!at) {
            return milliseconds(0);
        }
        const milliseconds wait(*at - (now ? *now : detail::wall_second()));
        return std::max(wait, milliseconds(0));
    }
    [[nodiscard]] static std::uint64_t random_number() noexcept {
        std::uint64_t number = 0;
        if (::getrandom(&number, sizeof(number), 0) != static_cast<ssize_t>(sizeof(number))) {
            number = static_cast<std::uint64_t>(clock::now().time_since_epoch().count()); // refused by a sandbox
        }
        return number;
    }
    // Full jitter: uniform in 0 to the bound, so that clients who failed together do not come back together.
    [[nodiscard]] duration draw(std::uint32_t n) noexcept {
        milliseconds most = std::min(options_.base, options_.cap);
        if (most.count() <= 0) {
            return duration::zero();
        }
        for (std::uint32_t i = 1; i < n && most < options_.cap; ++i) { // at most 64 times
            most = most < options_.cap / 2 ? most * 2 : options_.cap;
        }
        std::uint64_t z = drawn_.fetch_add(0x9e37'79b9'7f4a'7c15U, std::memory_order_relaxed);
        z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9U; // two rounds of xor-shift and multiply
        z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11ebU;
        z ^= z >> 31;
        return duration(static_cast<duration::rep>(z % (static_cast<std::uint64_t>(duration(most).count()) + 1)));
    }

    retry_options options_;
    retry_budget budget_;
    std::atomic<std::uint64_t> drawn_;
};

} // namespace flux::inline FLUX_ABI::http
