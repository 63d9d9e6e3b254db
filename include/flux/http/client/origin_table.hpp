// SPDX-License-Identifier: MIT
// flux/http/client/origin_table.hpp - where a pool finds the records of its origins.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/client/pool_origin.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

/// The origins that a pool has to do with, by host, port and whether it is secure.
class origin_table {
public:
    origin_table() noexcept = default;
    origin_table(const origin_table&) = delete;
    origin_table& operator=(const origin_table&) = delete;
    ~origin_table() {
        for (pool_origin* o : buckets_) {
            while (o != nullptr) {
                delete std::exchange(o, o->next);
            }
        }
    }

    /// Makes it if it is not there. Throws std::bad_alloc.
    [[nodiscard]] pool_origin& find_or_make(std::string_view host, std::uint16_t port, bool secure) {
        if (!buckets_.empty()) {
            for (pool_origin* o = bucket(host, port, secure); o != nullptr; o = o->next) {
                if (o->where.port == port && o->where.secure == secure && o->where.host == host) {
                    return *o;
                }
            }
        }
        if (count_ == buckets_.size()) {
            grow();
        }
        auto* fresh = new pool_origin(host, port, secure);
        pool_origin*& head = bucket_of(*fresh);
        fresh->next = std::exchange(head, fresh);
        ++count_;
        return *fresh;
    }
    void erase(pool_origin& o) noexcept {
        pool_origin** at = &bucket_of(o);
        while (*at != &o) {
            at = &(*at)->next;
        }
        *at = o.next;
        --count_;
        delete &o;
    }
    template <class F>
    void for_each(F f) {
        for (pool_origin* o : buckets_) {
            for (; o != nullptr; o = o->next) {
                f(*o);
            }
        }
    }

private:
    [[nodiscard]] static std::size_t hash(std::string_view host, std::uint16_t port, bool secure) noexcept {
        std::uint64_t h = 14'695'981'039'346'656'037U + port * 2U + (secure ? 1U : 0U); // FNV-1a
        for (const char c : host) {
            h = (h ^ static_cast<unsigned char>(c)) * 1'099'511'628'211U;
        }
        return h ^ (h >> 32);
    }
    [[nodiscard]] pool_origin*& bucket(std::string_view host, std::uint16_t port, bool secure) noexcept {
        return buckets_[hash(host, port, secure) & (buckets_.size() - 1)];
    }
    [[nodiscard]] pool_origin*& bucket_of(const pool_origin& o) noexcept { return bucket(o.where.host, o.where.port, o.where.secure); }
    void grow() {
        flux::detail::dynamic_array<pool_origin*> old;
        old.resize(buckets_.empty() ? 16 : buckets_.size() * 2);
        old.swap(buckets_);
        for (pool_origin* o : old) {
            while (o != nullptr) {
                pool_origin* const moved = std::exchange(o, o->next);
                pool_origin*& head = bucket_of(*moved);
                moved->next = std::exchange(head, moved);
            }
        }
    }

    flux::detail::dynamic_array<pool_origin*> buckets_; // a power of two
    std::size_t count_ = 0;
};

} // namespace flux::inline FLUX_ABI::http::detail
