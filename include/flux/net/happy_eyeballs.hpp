// SPDX-License-Identifier: MIT
// flux/net/happy_eyeballs.hpp - which address of a host to try next, when, and which connection wins.
//
//   feed -> address_queue -> attempt, 250 ms, attempt, 250 ms, ... (at once after a failure) -> the first that connects
//                                                                   the others are stopped, awaited and closed
//
// Deliberately not here: resolvers, the connector around it (tcp_connector.hpp), source address selection beyond what
// the order of families does: an address without a route fails at once, and the next one is tried at once.
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/connect_trace.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/resolve_errc.hpp>
#include <flux/net/resolver.hpp>

#include <optional>
#include <string>

namespace flux::inline FLUX_ABI {

/// Which family is tried first. RFC 6724 prefers IPv6.
enum class address_preference : std::uint8_t { ipv6_first, ipv4_first };

/// Source  RFC 8305 8.
struct tcp_connect_options {
    address_families families = address_families::both;
    address_preference prefer = address_preference::ipv6_first;
    milliseconds resolution_delay{50}; ///< how long the other family waits for the preferred one's addresses
    milliseconds attempt_delay{250};   ///< between the starts of two attempts; after a failure the next starts at once
    /// For the look-up of a name, all name servers and retries together; 0: no limit of its own. Addresses that came by
    /// then are tried.
    milliseconds resolve_timeout{8'000};
    seconds failure_memory{60};        ///< an address that failed is tried last for so long; 0: it is forgotten at once
};
static_assert(__is_trivially_copyable(tcp_connect_options));

namespace detail {

/// Addresses that did not work lately: at most 256, the newest ones.
template <class Clock>
class address_memory {
public:
    static constexpr std::size_t most = 256;

    void failed(const endpoint& address, typename Clock::time_point until) {
        succeeded(address);
        if (entries_.size() == most) {
            entries_.erase_front(1);
        }
        entries_.emplace_back(address, until);
    }
    void succeeded(const endpoint& address) {
        entries_.erase_if([&](const entry& e) { return e.address == address; });
    }
    [[nodiscard]] bool is_bad(const endpoint& address, typename Clock::time_point now) const noexcept {
        for (const entry& e : entries_) {
            if (e.address == address) {
                return e.until > now;
            }
        }
        return false;
    }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    struct entry {
        entry(const endpoint& a, typename Clock::time_point u) noexcept : address(a), until(u) {}
        endpoint address;
        typename Clock::time_point until;
    };
    dynamic_array<entry> entries_;
};

/// Addresses that wait for their attempt: families take turns, and what failed lately comes last.
/// Source  RFC 8305 4.
template <class Endpoint>
class address_queue {
public:
    explicit address_queue(address_preference prefer) noexcept : v6_next_(prefer == address_preference::ipv6_first) {}

    void add(const Endpoint& address, bool bad) { list(address.family() == address_family::ipv6, bad).push_back(address); }
    [[nodiscard]] bool empty() const noexcept {
        return lists_[0].empty() && lists_[1].empty() && lists_[2].empty() && lists_[3].empty();
    }
    /// Whether there is one of that family that did not fail lately.
    [[nodiscard]] bool has_good(bool v6) const noexcept { return !lists_[v6 ? 1 : 0].empty(); }

    /// Not empty.
    [[nodiscard]] Endpoint take() {
        for (const bool bad : {false, true}) {
            for (const bool v6 : {v6_next_, !v6_next_}) {
                auto& from = list(v6, bad);
                if (!from.empty()) {
                    const Endpoint next = from.front();
                    from.erase_front(1);
                    v6_next_ = !v6;
                    return next;
                }
            }
        }
        return Endpoint();
    }

private:
    [[nodiscard]] dynamic_array<Endpoint>& list(bool v6, bool bad) noexcept { return lists_[(v6 ? 1 : 0) + (bad ? 2 : 0)]; }
    dynamic_array<Endpoint> lists_[4]; // IPv4, IPv6, bad IPv4, bad IPv6
    bool v6_next_;
};

/// One connection to one host by name.
template <class Shared>
class dial_race {
public:
    using stream_type = typename Shared::stream_type;

    dial_race(Shared& shared, destination to, context ctx)
        : shared_(shared), to_(std::move(to)), feed_(shared.options.families), queue_(shared.options.prefer),
          trace_(trace_of(ctx)) {}

    /// The body of the scope in which the attempts run.
    [[nodiscard]] task<> run(task_scope& scope) {
        auto ctx = co_await this_context();
        scope.spawn(&dial_race::look_up, std::ref(*this));
        while (!winner_) { // each turn starts one of finitely many attempts, ends, or waits
            const time_point now = ctx.home().now();
            take_addresses(now);
            if (may_start(now)) {
                start(scope, now);
                continue;
            }
            if (queue_.empty() && in_flight_.empty() && looked_up_) {
                break;
            }
            feed_.changed().reset();
            auto woken = co_await attempt(with_deadline(wake_at(), feed_.changed().wait()));
            if (!woken && ctx.stopped()) {
                scope.stop();
                co_await fail(std::move(woken).error());
            }
        }
        scope.stop(); // the losers, and a look-up that goes on
    }

    /// After the scope was joined.
    [[nodiscard]] result<stream_type> end(result<void> ran) {
        if (winner_) {
            return *std::move(winner_);
        }
        if (!ran) {
            error e = std::move(ran).error();
            if (attempts_ == 0) {
                return fail(resolve_error(std::move(e), to_.host));
            }
            return fail(explained(std::move(e)));
        }
        if (attempts_ == 0) {
            return fail(why_no_address_.code() ? std::move(why_no_address_)
                                               : resolve_error(error(resolve_errc::no_address), to_.host));
        }
        return fail(explained(std::move(last_failure_)));
    }

private:
    static task<> look_up(dial_race& self) {
        if (self.trace_ != nullptr) {
            self.trace_->resolve_started(self.to_.host);
        }
        const milliseconds limit = self.shared_.options.resolve_timeout;
        auto end = co_await attempt(with_timeout(limit.count() > 0 ? duration(limit) : duration::max(),
                                                 self.shared_.names.lookup(self.to_.host, self.feed_)));
        if (!end) {
            const bool told = end.error().phase() == error_phase::resolve;
            self.why_no_address_ = told ? end.error() : resolve_error(end.error(), self.to_.host);
        }
        if (self.trace_ != nullptr) {
            self.trace_->resolve_ended(self.to_.host, end ? nullptr : &self.why_no_address_);
        }
        self.looked_up_ = true;
        self.feed_.changed().set();
    }
    static task<> dial(dial_race& self, endpoint to) {
        auto ctx = co_await this_context();
        if (self.trace_ != nullptr) {
            self.trace_->attempt_started(to);
        }
        auto stream = co_await attempt(self.shared_.dialer.dial(to));
        if (self.trace_ != nullptr) {
            self.trace_->attempt_ended(to, stream ? nullptr : &stream.error());
        }
        self.ended(to, std::move(stream), ctx.stopped(), ctx.home().now());
    }

    void take_addresses(time_point now) {
        const auto& all = feed_.addresses();
        if (taken_ == 0 && !all.empty()) {
            other_family_at_ = deadline_after(now, shared_.options.resolution_delay);
        }
        for (; taken_ < all.size(); ++taken_) {
            const endpoint address = all[taken_].with_port(to_.port);
            queue_.add(address, shared_.memory.is_bad(address, now));
        }
    }
    [[nodiscard]] bool prefers_v6() const noexcept { return shared_.options.prefer == address_preference::ipv6_first; }
    /// RFC 8305 3: the other family alone waits a moment for the preferred one; so do addresses that failed lately.
    [[nodiscard]] bool waits_for_better(time_point now) const noexcept {
        const bool v6 = prefers_v6();
        if (attempts_ != 0 || now >= other_family_at_ || queue_.has_good(v6)) {
            return false;
        }
        const bool preferred_known = feed_.is_answered(v6 ? address_family::ipv6 : address_family::ipv4);
        const bool other_known = feed_.is_answered(v6 ? address_family::ipv4 : address_family::ipv6);
        return !preferred_known || !(queue_.has_good(!v6) || other_known);
    }
    [[nodiscard]] bool may_start(time_point now) const noexcept {
        if (queue_.empty() || waits_for_better(now)) {
            return false;
        }
        return in_flight_.empty() || failed_since_ || now >= next_at_;
    }
    [[nodiscard]] time_point wake_at() const noexcept {
        if (queue_.empty()) {
            return no_deadline;
        }
        return attempts_ == 0 ? other_family_at_ : next_at_;
    }
    void start(task_scope& scope, time_point now) {
        const endpoint next = queue_.take();
        scope.spawn(&dial_race::dial, std::ref(*this), next);
        in_flight_.push_back(next);
        ++attempts_;
        failed_since_ = false;
        next_at_ = deadline_after(now, shared_.options.attempt_delay);
    }
    void ended(const endpoint& to, result<stream_type>&& stream, bool stopped, time_point now) {
        const time_point until = deadline_after(now, shared_.options.failure_memory);
        if (stream && !winner_) {
            // Those that began earlier and are not done are slower than the delay: not the first choice next time.
            for (const endpoint& earlier : in_flight_) {
                if (earlier == to) {
                    break;
                }
                shared_.memory.failed(earlier, until);
            }
            shared_.memory.succeeded(to);
            winner_.emplace(*std::move(stream));
        } else if (!stream && !stopped) {
            shared_.memory.failed(to, until);
            if (last_failure_.code() && others_.size() < 500) {
                others_.append(others_.empty() ? "" : ", ").append(last_address_.to_string()).append(": ");
                others_.append(last_failure_.code().message());
            }
            last_failure_ = std::move(stream).error();
            last_address_ = to;
            failed_since_ = true;
        }
        in_flight_.erase_if([&](const endpoint& e) { return e == to; });
        feed_.changed().set();
    }
    [[nodiscard]] error explained(error e) const {
        e.doing("connect " + to_.to_string() + (others_.empty() ? "" : " (" + others_ + ")"));
        e.phase(error_phase::connect).retryable(true);
        return e;
    }

    Shared& shared_;
    destination to_;
    address_feed feed_;
    address_queue<endpoint> queue_;
    connect_trace* trace_; // or null
    std::optional<stream_type> winner_;
    dynamic_array<endpoint> in_flight_; // in the order of their starts
    std::size_t taken_ = 0;             // of the feed
    unsigned attempts_ = 0;
    bool failed_since_ = false;         // the last start
    bool looked_up_ = false;
    time_point other_family_at_ = no_deadline;
    time_point next_at_{};
    error why_no_address_{std::error_code()};
    error last_failure_{std::error_code()};
    endpoint last_address_;
    std::string others_; // what became of the addresses before the last one
};

} // namespace detail
} // namespace flux::inline FLUX_ABI
