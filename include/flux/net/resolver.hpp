// SPDX-License-Identifier: MIT
// flux/net/resolver.hpp - what a resolver is, and the feed into which it puts addresses as they arrive.
//
//   lookup(host, feed): answers -> feed.add() -> whoever waits for feed.changed() may connect already
//
// Deliberately not here: any resolver (dns_resolver.hpp, system_resolver.hpp), connecting (tcp_connector.hpp).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/task.hpp>
#include <flux/net/endpoint.hpp>
#include <flux/net/stream.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace flux::inline FLUX_ABI {

/// Which addresses are wanted.
enum class address_families : std::uint8_t { both, ipv4_only, ipv6_only };

/// The addresses of one host, while they are looked up.
///
/// Threads  one.  Lifetime  outlives the look-up.
class address_feed {
public:
    explicit address_feed(address_families wanted = address_families::both) noexcept
        : v4_wanted_(wanted != address_families::ipv6_only), v6_wanted_(wanted != address_families::ipv4_only) {}

    [[nodiscard]] bool wants(address_family f) const noexcept {
        return f == address_family::ipv4 ? v4_wanted_ : f == address_family::ipv6 && v6_wanted_;
    }
    /// Takes an IP address; one that is not wanted, or there already, is dropped.
    void add(const endpoint& address) {
        if (!wants(address.family())) {
            return;
        }
        for (const endpoint& e : addresses_) {
            if (e == address) {
                return;
            }
        }
        addresses_.push_back(address);
        changed_.set();
    }
    /// No more addresses of that family will come.
    void answered(address_family f) noexcept {
        (f == address_family::ipv4 ? v4_answered_ : v6_answered_) = true;
        changed_.set();
    }
    [[nodiscard]] bool is_answered(address_family f) const noexcept {
        return !wants(f) || (f == address_family::ipv4 ? v4_answered_ : v6_answered_);
    }

    /// In the order of arrival, with port 0.
    [[nodiscard]] const detail::dynamic_array<endpoint>& addresses() const noexcept { return addresses_; }
    /// Set by add() and answered(); the reader resets it.
    [[nodiscard]] async_event& changed() noexcept { return changed_; }

private:
    detail::dynamic_array<endpoint> addresses_;
    async_event changed_;
    bool v4_wanted_;
    bool v6_wanted_;
    bool v4_answered_ = false;
    bool v6_answered_ = false;
};

/// How names become addresses.
///
/// lookup(h, f)  copies the host `h` before it returns; `f` is borrowed. Ends when all addresses are in the feed, both
///               families answered. IP literals are their own addresses. Any number may be in flight.
/// Errors   the host has no wanted address: a resolve_errc, or errc::invalid_argument where `h` cannot be a name. The
///          chain begins with `resolve <host>`, the phase is resolve, and it is retryable.
/// Cancel   at once.
template <class R>
concept resolver = requires(R& r, const std::string& host, address_feed& to) {
    { r.lookup(host, to) } -> operation_yielding<void>;
};

namespace detail {

[[nodiscard, gnu::cold]] inline error resolve_error(error e, const std::string& host) {
    e.doing("resolve " + host).phase(error_phase::resolve).retryable(true);
    return e;
}

template <class Resolver>
task<std::vector<endpoint>> resolve_impl(Resolver& with, std::string host, std::uint16_t port) {
    address_feed feed;
    auto end = co_await attempt(with.lookup(host, feed));
    if (!end) {
        co_return fail(std::move(end).error());
    }
    std::vector<endpoint> all;
    for (const endpoint& e : feed.addresses()) {
        all.push_back(e.with_port(port));
    }
    co_return all;
}

} // namespace detail

/// All addresses of a host, in the order in which they came: `auto all = co_await resolve(names, "example.org", 80);`.
/// Params   with  borrowed until the task ends.
/// Errors   as the concept says. Cancel  at once.
template <resolver Resolver>
[[nodiscard]] task<std::vector<endpoint>> resolve(Resolver& with, std::string host, std::uint16_t port) {
    return detail::resolve_impl(with, std::move(host), port);
}

} // namespace flux::inline FLUX_ABI
