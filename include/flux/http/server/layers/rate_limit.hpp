// SPDX-License-Identifier: MIT
// flux/http/server/layers/rate_limit.hpp - a layer that lets each client send so many requests per second.
//
// A bucket of tokens per key: it holds `burst` of them, `per_second` come back. A bucket is kept as the one point in
// time at which it will be full again, so a full one is no memory at all. Buckets live in a table of fixed size,
// shared by all workers. Deliberately not here: limits across machines.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/time.hpp>
#include <flux/coro/task.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>

#include <arpa/inet.h>
#include <sys/random.h>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// The part of a peer's address that stands for one client: an IPv4 address, or the network of an IPv6 address (its
/// first 64 bits: a client has all addresses of one). Any other text stands for itself.
/// Params  remote  as request::remote() gives it: "127.0.0.1:4711", "[2001:db8::1]:4711"
[[nodiscard]] inline std::string client_network(std::string_view remote) {
    if (remote.starts_with('[')) {
        const std::string host(remote.substr(1, std::min(remote.find_first_of("]%"), remote.size()) - 1));
        unsigned char octets[16];
        if (::inet_pton(AF_INET6, host.c_str(), octets) == 1) {
            return {reinterpret_cast<const char*>(octets), 8};
        }
        return host;
    }
    const std::size_t colon = remote.rfind(':');
    return std::string(remote.starts_with("unix") ? remote : remote.substr(0, colon));
}

namespace detail {

// SipHash-1-3: short, and without the key nobody can choose texts that meet in one place.
class keyed_hash {
public:
    keyed_hash() noexcept {
        if (::getrandom(key_, sizeof(key_), 0) != static_cast<ssize_t>(sizeof(key_))) { // refused by a sandbox
            key_[0] = static_cast<std::uint64_t>(clock::now().time_since_epoch().count());
            key_[1] = reinterpret_cast<std::uintptr_t>(this);
        }
    }
    [[nodiscard]] std::uint64_t operator()(std::string_view text) const noexcept {
        std::uint64_t v[4] = {key_[0] ^ 0x736f6d6570736575U, key_[1] ^ 0x646f72616e646f6dU,
                              key_[0] ^ 0x6c7967656e657261U, key_[1] ^ 0x7465646279746573U};
        const std::uint64_t size = text.size();
        for (; text.size() >= 8; text.remove_prefix(8)) {
            mix(v, load(text.data(), 8));
        }
        mix(v, load(text.data(), text.size()) | size << 56);
        v[2] ^= 0xff;
        for (int i = 0; i < 3; ++i) {
            round(v);
        }
        return v[0] ^ v[1] ^ v[2] ^ v[3];
    }

private:
    [[nodiscard]] static std::uint64_t load(const char* p, std::size_t n) noexcept {
        std::uint64_t word = 0;
        for (std::size_t i = 0; i < n; ++i) {
            word |= std::uint64_t{static_cast<unsigned char>(p[i])} << (8 * i);
        }
        return word;
    }
    static void mix(std::uint64_t (&v)[4], std::uint64_t word) noexcept {
        v[3] ^= word;
        round(v);
        v[0] ^= word;
    }
    static void round(std::uint64_t (&v)[4]) noexcept {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = std::rotl(v[1], 13) ^ v[0];
        v[3] = std::rotl(v[3], 16) ^ v[2];
        v[0] = std::rotl(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = std::rotl(v[1], 17) ^ v[2];
        v[3] = std::rotl(v[3], 21) ^ v[0];
        v[2] = std::rotl(v[2], 32);
    }
    std::uint64_t key_[2] = {};
};

/// Buckets by key, in memory that does not grow.
///
/// Sets of eight; where all eight are in use and another key comes, the one that is nearest to being full is
/// forgotten: its client gains a few tokens, nobody loses any.
/// Threads  any.
class bucket_table {
public:
    explicit bucket_table(std::size_t max_keys)
        : mask_(std::bit_ceil(std::max<std::size_t>(max_keys, ways * 8) / ways) - 1) {
        buckets_.resize((mask_ + 1) * ways);
    }

    /// Takes a token of a bucket that gets one every `interval` and holds `burst`.
    /// Returns  zero, or how long until there is one.
    [[nodiscard]] duration take(std::string_view key, time_point now, duration interval, std::uint32_t burst) {
        const std::uint64_t hash = hash_(key) | 1; // 0 is an unused bucket
        const std::size_t set = hash >> 8 & mask_;
        const std::lock_guard lock(mutexes_[set % locks]);
        bucket* const first = buckets_.begin() + set * ways;
        bucket* mine = first;
        for (bucket* b = first; b != first + ways; ++b) {
            if (b->hash == hash) {
                mine = b;
                break;
            }
            mine = b->full_at < mine->full_at ? b : mine;
        }
        if (mine->hash != hash) {
            *mine = bucket{hash, time_point()};
        }
        const time_point base = std::max(mine->full_at, now);
        const duration missing = base - now; // what it would take to fill it
        const duration room = interval * (burst - 1);
        if (missing > room) {
            return missing - room;
        }
        mine->full_at = base + interval;
        return duration(0);
    }

private:
    static constexpr std::size_t ways = 8;
    static constexpr std::size_t locks = 16;
    struct bucket {
        std::uint64_t hash = 0;
        time_point full_at{};
    };
    keyed_hash hash_;
    std::size_t mask_;
    flux::detail::dynamic_array<bucket> buckets_;
    std::mutex mutexes_[locks];
};

struct key_of_remote {
    [[nodiscard]] std::string operator()(const request& req) const { return client_network(req.remote()); }
};

} // namespace detail

/// Lets `per_second` requests of each client pass, and `burst` at once; answers the others 429 with Retry-After.
///
///     app.use(http::rate_limit(10, 20));                                          // per address of the peer
///     app.use(http::rate_limit(100, 100, [](const http::request& req) { return std::string(req.header("X-Key")); }));
///
/// Behind a proxy every peer is the proxy: give a key of your own, or let the server trust its proxy.
/// Params   per_second  more than 0; fractions are fine: 0.1 is one in ten seconds
///          burst       at least 1
///          key         what makes a client; called by all workers. An empty key is not limited.
///          max_keys    clients that are told apart; 16 octets each, taken when the layer is made. Default 65536.
/// Threads  calls: any; all workers share the buckets.
template <class Key = detail::key_of_remote>
    requires std::convertible_to<std::invoke_result_t<const Key&, const request&>, std::string>
class rate_limit {
public:
    explicit rate_limit(double per_second, std::uint32_t burst, Key key = Key(), std::size_t max_keys = 65'536)
        : key_(std::move(key)), burst_(std::max(burst, 1U)), interval_(interval_of(per_second, burst_)),
          buckets_(new detail::bucket_table(max_keys)) {}

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        const auto ctx = co_await this_context();
        const std::string key = key_(req);
        if (!key.empty()) {
            const duration wait = buckets_->take(key, ctx.home().now(), interval_, burst_);
            if (wait > duration(0)) {
                const auto whole = std::chrono::ceil<seconds>(wait);
                co_return detail::plain_answer(status::too_many_requests)
                    .header(field::retry_after, std::to_string(whole.count()));
            }
        }
        co_return co_await attempt(inner(req));
    }

private:
    [[nodiscard]] static duration interval_of(double per_second, std::uint32_t burst) {
        const double longest = 3.2e9 / burst; // seconds: a century for all of a burst, so that no sum overflows
        const double between = per_second > 0 ? std::min(1 / per_second, longest) : longest;
        return std::max(duration(1), std::chrono::duration_cast<duration>(std::chrono::duration<double>(between)));
    }
    Key key_;
    std::uint32_t burst_;
    duration interval_;
    flux::detail::owner<detail::bucket_table> buckets_;
};
rate_limit(double, std::uint32_t) -> rate_limit<>;

} // namespace flux::inline FLUX_ABI::http
