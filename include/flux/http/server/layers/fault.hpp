// SPDX-License-Identifier: MIT
// flux/http/server/layers/fault.hpp - a layer that makes a service behave badly on purpose, switched while it runs.
//
// For finding out what clients do with a server that is slow, fails, or breaks off. Off until it is told otherwise.
// Deliberately not here: faults of networks (testing/sim_network.hpp), of clients.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// What goes wrong, and how often. Set by any thread at any time; a request sees what holds when it comes.
///
/// Shares are from 0 (never) to 1 (always). The same seed and the same order of requests give the same faults.
class fault_plan {
public:
    explicit fault_plan(std::uint64_t seed = 1) noexcept : seed_(seed) {}
    fault_plan(const fault_plan&) = delete;
    fault_plan& operator=(const fault_plan&) = delete;

    /// Every request waits `least` to `most` before its handler.
    void delay(milliseconds least, milliseconds most) noexcept {
        delay_least_ = bounded(least);
        delay_most_ = bounded(most);
    }
    void delay(milliseconds always) noexcept { delay(always, always); }
    /// A share of the requests is answered `code` instead of by its handler.
    void fail(double share, status code = status::service_unavailable) noexcept {
        code_ = static_cast<std::uint16_t>(to_number(code));
        fail_share_ = per_million(share);
    }
    // What follows is done to answers that are whole before they are sent: not to those of handlers that stream, nor to
    // bodies that are produced meanwhile.

    /// A share of the answers breaks off after half of the body: the connection is reset.
    void cut(double share) noexcept { cut_share_ = per_million(share); }
    /// A share of the answers has one wrong octet in its body; the framing stays right.
    void corrupt(double share) noexcept { corrupt_share_ = per_million(share); }
    /// A share of the answers has its body sent in at most ten pieces, a tenth of `over` after one another.
    void drip(double share, milliseconds over) noexcept {
        drip_over_ = bounded(over);
        drip_share_ = per_million(share);
    }
    /// Everything is well again.
    void clear() noexcept {
        delay(milliseconds(0));
        fail(0);
        cut(0);
        corrupt(0);
        drip(0, milliseconds(0));
    }

private:
    friend class fault_layer;
    [[nodiscard]] static std::uint32_t bounded(milliseconds d) noexcept {
        return static_cast<std::uint32_t>(std::max<std::int64_t>(0, std::min<std::int64_t>(d.count(), 86'400'000)));
    }
    [[nodiscard]] static std::uint32_t per_million(double share) noexcept {
        return share > 0 ? static_cast<std::uint32_t>(std::min(share, 1.0) * 1'000'000) : 0;
    }
    // Below `bound`, which is at least 1.
    [[nodiscard]] std::uint32_t draw(std::uint32_t bound) noexcept {
        std::uint64_t x = (seed_ << 32) + drawn_.fetch_add(1, std::memory_order_relaxed);
        for (int i = 0; i < 2; ++i) {
            x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93U;
        }
        return static_cast<std::uint32_t>((x ^ (x >> 32)) % bound);
    }
    [[nodiscard]] bool happens(const std::atomic<std::uint32_t>& share) noexcept {
        const std::uint32_t of_a_million = share;
        return of_a_million != 0 && draw(1'000'000) < of_a_million;
    }

    const std::uint64_t seed_;
    std::atomic<std::uint64_t> drawn_{0};
    std::atomic<std::uint32_t> delay_least_{0}; // milliseconds
    std::atomic<std::uint32_t> delay_most_{0};
    std::atomic<std::uint32_t> fail_share_{0}; // of a million
    std::atomic<std::uint32_t> cut_share_{0};
    std::atomic<std::uint32_t> corrupt_share_{0};
    std::atomic<std::uint32_t> drip_share_{0};
    std::atomic<std::uint32_t> drip_over_{0}; // milliseconds
    std::atomic<std::uint16_t> code_{503};
};

/// Applies a fault_plan to every request.
///
///     http::fault_plan faults;
///     app.use(http::fault_layer(faults));
///     faults.delay(80ms, 120ms);    // from anywhere, at any time
class fault_layer {
public:
    /// Params  plan  borrowed; must outlive the server.
    explicit fault_layer(fault_plan& plan) noexcept : plan_(&plan) {}

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        fault_plan& plan = *plan_;
        const std::uint32_t least = plan.delay_least_;
        const std::uint32_t most = std::max<std::uint32_t>(least, plan.delay_most_);
        if (most != 0) {
            co_await sleep_for(milliseconds(least + plan.draw(most - least + 1)));
        }
        if (plan.happens(plan.fail_share_)) {
            co_return detail::plain_answer(static_cast<status>(plan.code_.load()));
        }
        auto answer = co_await attempt(inner(req));
        if (answer && !req.was_streamed() && !answer->is_special()) {
            spoil(*answer, plan);
        }
        co_return std::move(answer);
    }

private:
    template <class Response>
    static void spoil(Response& answer, fault_plan& plan) {
        const std::size_t whole = answer.octets().size();
        const bool cuts = plan.happens(plan.cut_share_);
        const bool corrupts = whole != 0 && plan.happens(plan.corrupt_share_);
        const bool drips = whole != 0 && plan.happens(plan.drip_share_);
        if (!cuts && !corrupts && !drips) {
            return;
        }
        std::string octets(answer.octets());
        if (cuts) {
            octets.resize(whole / 2);
        }
        if (corrupts && !octets.empty()) {
            char& one = octets[plan.draw(static_cast<std::uint32_t>(std::min<std::size_t>(octets.size(), UINT32_MAX)))];
            one = static_cast<char>(one ^ 1);
        }
        const duration pause = drips ? duration(milliseconds(plan.drip_over_)) / pieces : duration::zero();
        const std::size_t said = cuts ? whole + 1 : whole; // half of nothing has to be short, too
        answer.stream(spoiled_body<std::string>{std::move(octets), pause, cuts}, said);
    }
    template <class Text>
    struct spoiled_body {
        Text octets;
        duration pause;
        bool breaks_off;
        task<> operator()(body_writer& out) { return send(out, *this); }
        static task<> send(body_writer& out, const spoiled_body& self) {
            const std::string_view all = self.octets;
            const std::size_t piece = self.pause.count() == 0 ? all.size() : all.size() / pieces + 1;
            for (std::size_t at = 0; at < all.size(); at += piece) {
                if (at != 0) {
                    co_await sleep_for(self.pause);
                }
                co_await out.write(all.substr(at, piece));
                co_await out.flush();
            }
            if (self.breaks_off) {
                co_await out.flush(); // the head, where there is no body
                co_await flux::fail(flux::errc::injected);
            }
        }
    };
    static constexpr std::uint32_t pieces = 10; // of a body that drips
    fault_plan* plan_;
};

} // namespace flux::inline FLUX_ABI::http
