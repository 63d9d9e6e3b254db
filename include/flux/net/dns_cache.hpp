// SPDX-License-Identifier: MIT
// flux/net/dns_cache.hpp - answers that are still good, and questions that are on their way: one name and type each.
//
// Bounded: the entry that was not used for the longest time goes first. Deliberately not here: asking.
#pragma once

#include <flux/core/time.hpp>
#include <flux/coro/event.hpp>
#include <flux/net/dns_message.hpp>

#include <cstdint>
#include <memory>
#include <string_view>

namespace flux::inline FLUX_ABI::detail {

/// The end of one question. Shared by all who asked; never changed.
class dns_outcome {
public:
    dynamic_array<endpoint> addresses;
    error why{std::error_code()};  // set if there are no addresses
    time_point good_until{};       // not in the cache if that has passed already
};
using dns_found = std::shared_ptr<const dns_outcome>;

class dns_key {
public:
    dns_key(const dns::name& n, dns::record_type t) noexcept : name(n), type(t) {}
    [[nodiscard]] friend bool operator==(const dns_key& a, const dns_key& b) noexcept {
        return a.type == b.type && a.name == b.name;
    }
    [[nodiscard]] std::size_t hash() const noexcept {
        const auto octets = name.wire();
        return std::hash<std::string_view>()({reinterpret_cast<const char*>(octets.data()), octets.size()});
    }
    dns::name name;
    dns::record_type type;
};

template <class Found>
class dns_cache {
public:
    explicit dns_cache(std::size_t most) noexcept : most_(most) {}

    /// Null: not there, or not good any more.
    [[nodiscard]] Found find(const dns_key& key, time_point now) {
        const std::size_t hash = key.hash();
        for (entry& e : entries_) {
            if (e.hash == hash && e.key == key) {
                if (e.found->good_until <= now) {
                    return nullptr; // it stays until it is replaced
                }
                e.used = ++clock_;
                return e.found;
            }
        }
        return nullptr;
    }
    void put(const dns_key& key, Found found, time_point now) {
        if (found->good_until <= now || most_ == 0) {
            return;
        }
        const std::size_t hash = key.hash();
        entry* oldest = nullptr;
        for (entry& e : entries_) {
            if (e.hash == hash && e.key == key) {
                e.found = std::move(found);
                e.used = ++clock_;
                return;
            }
            if (oldest == nullptr || rank(e, now) < rank(*oldest, now)) {
                oldest = &e;
            }
        }
        if (entries_.size() < most_) {
            entries_.emplace_back(key, hash, std::move(found), ++clock_);
        } else {
            *oldest = entry(key, hash, std::move(found), ++clock_);
        }
    }
    void clear() noexcept { entries_.clear(); }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    struct entry {
        entry(const dns_key& k, std::size_t h, Found f, std::uint64_t u) noexcept
            : key(k), hash(h), found(std::move(f)), used(u) {}
        dns_key key;
        std::size_t hash;
        Found found;
        std::uint64_t used;
    };
    // What has expired goes first.
    [[nodiscard]] static std::uint64_t rank(const entry& e, time_point now) noexcept {
        return e.found->good_until <= now ? 0 : e.used;
    }

    std::size_t most_;
    std::uint64_t clock_ = 0;
    dynamic_array<entry> entries_;
};

/// A question that somebody asks now, for all who want to know.
class dns_pending {
public:
    explicit dns_pending(const dns_key& k) noexcept : key(k) {}
    dns_key key;
    async_event done;
    dns_found found; // null once done: whoever asked was stopped
};

} // namespace flux::inline FLUX_ABI::detail
