// SPDX-License-Identifier: MIT
// flux/tls/session_cache.hpp - TLS 1.3 sessions of a client that later connections can resume.
//
// Keyed by destination; one cache belongs to one configuration, so that a session never crosses to another. Each is
// used once [RFC 8446 C.4]. Deliberately not here: TLS 1.2 sessions (engine.hpp says why), persistence.
#pragma once

#include <flux/tls/engine.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::tls {

/// Sessions and who had proved to be at the other end of them.
///
/// Threads  one.  Cost  4 to 40 KiB per session.
class session_cache {
public:
    struct entry {
        std::string key;
        detail::session_ptr session;
        std::vector<certificate> chain; ///< what the server had shown
        std::string leaf_der;
    };

    explicit session_cache(std::size_t limit = 256) : limit_(limit) {}

    /// The newest session for `key`, which leaves the cache; its `session` is null if there is none.
    [[nodiscard]] entry take(std::string_view key) {
        for (std::size_t i = entries_.size(); i-- > 0;) {
            if (entries_[i].key == key) {
                entry found = std::move(entries_[i]);
                entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
                return found;
            }
        }
        return entry();
    }
    /// The oldest session goes if there are too many, or more than `per_key` for this key.
    void put(entry e) {
        if (e.session == nullptr || limit_ == 0) {
            return;
        }
        int same = 0;
        for (const entry& other : entries_) {
            same += other.key == e.key ? 1 : 0;
        }
        if (same >= per_key) {
            const entry dropped = take_oldest(e.key);
        } else if (entries_.size() >= limit_) {
            entries_.erase(entries_.begin());
        }
        entries_.push_back(std::move(e));
    }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    void clear() noexcept { entries_.clear(); }

    static constexpr int per_key = 8;

private:
    entry take_oldest(std::string_view key) {
        for (auto it = entries_.begin(); it != entries_.end(); ++it) {
            if (it->key == key) {
                entry found = std::move(*it);
                entries_.erase(it);
                return found;
            }
        }
        return entry();
    }

    std::vector<entry> entries_; // oldest first
    std::size_t limit_;
};

} // namespace flux::inline FLUX_ABI::tls
