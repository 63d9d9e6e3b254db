// SPDX-License-Identifier: MIT
// flux/http/message/field_name.hpp - the well-known field names as an enum, found without allocation.
//
// The names that framing, routing, security and the usual handlers ask for. 63 of them, so that a set of names
// is one 64-bit word. Every other name is `field::other` and is compared as text.
#pragma once

#include <flux/http/message/octets.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

enum class field : std::uint8_t {
    other,
    accept, accept_encoding, accept_language, accept_ranges, access_control_allow_origin, age, allow, alt_svc,
    authorization, cache_control, connection, content_disposition, content_encoding, content_language,
    content_length, content_location, content_range, content_type, cookie, date, etag, expect, expires, forwarded,
    from, host, if_match, if_modified_since, if_none_match, if_range, if_unmodified_since, keep_alive,
    last_event_id, last_modified, link, location, max_forwards, origin, proxy_authenticate, proxy_authorization,
    proxy_connection, range, referer, retry_after, sec_websocket_accept, sec_websocket_extensions,
    sec_websocket_key, sec_websocket_protocol, sec_websocket_version, server, set_cookie,
    strict_transport_security, te, traceparent, tracestate, trailer, transfer_encoding, upgrade, user_agent, vary,
    via, www_authenticate, x_forwarded_for,
};

/// A set of well-known names. `other` is never a member.
class field_set {
public:
    constexpr field_set() noexcept = default;
    template <class... F>
    constexpr explicit field_set(field first, F... rest) noexcept : bits_(bit(first) | (0ULL | ... | bit(rest))) {}

    [[nodiscard]] constexpr bool contains(field f) const noexcept { return (bits_ & bit(f)) != 0; }
    [[nodiscard]] constexpr bool intersects(field_set other) const noexcept { return (bits_ & other.bits_) != 0; }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
    constexpr void insert(field f) noexcept { bits_ |= bit(f); }
    constexpr void insert(field_set other) noexcept { bits_ |= other.bits_; }
    [[nodiscard]] friend constexpr field_set operator&(field_set a, field_set b) noexcept {
        a.bits_ &= b.bits_;
        return a;
    }
    [[nodiscard]] friend constexpr bool operator==(field_set, field_set) noexcept = default;

private:
    static constexpr std::uint64_t bit(field f) noexcept { return (1ULL << static_cast<unsigned>(f)) & ~1ULL; }
    std::uint64_t bits_ = 0;
};

namespace detail {

// In the order of the enumerators.
inline constexpr std::string_view field_names[] = {
    "",
    "Accept", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Allow",
    "Alt-Svc", "Authorization", "Cache-Control", "Connection", "Content-Disposition", "Content-Encoding",
    "Content-Language", "Content-Length", "Content-Location", "Content-Range", "Content-Type", "Cookie", "Date",
    "ETag", "Expect", "Expires", "Forwarded", "From", "Host", "If-Match", "If-Modified-Since", "If-None-Match",
    "If-Range", "If-Unmodified-Since", "Keep-Alive", "Last-Event-ID", "Last-Modified", "Link", "Location",
    "Max-Forwards", "Origin", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Range", "Referer",
    "Retry-After", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol", "Sec-WebSocket-Version", "Server", "Set-Cookie", "Strict-Transport-Security", "TE",
    "traceparent", "tracestate", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Vary", "Via",
    "WWW-Authenticate", "X-Forwarded-For",
};
inline constexpr std::size_t field_count = sizeof(field_names) / sizeof(field_names[0]);
static_assert(field_count == 64 && static_cast<std::size_t>(field::x_forwarded_for) == 63);

// A name in lower case, and the bit 0x20 wherever it has a letter: (octet | fold) == text holds for exactly the
// spellings of the name, so a match also proves that the compared octets are a valid name.
struct folded_name {
    std::array<char, 32> text{};
    std::array<char, 32> fold{};
    std::uint8_t size = 0;
};

[[nodiscard]] constexpr std::uint32_t load_little(const char* p) noexcept { // one load where octets lie that way
    const auto at = [p](unsigned i) { return std::uint32_t{static_cast<unsigned char>(p[i])} << (8 * i); };
    return at(0) | at(1) | at(2) | at(3);
}

// For names of 4 octets and more. The multiplier was found by search, so that the names fall into different slots;
// making the table checks it.
[[nodiscard]] constexpr std::size_t field_slot(const char* name, std::size_t n) noexcept {
    constexpr std::uint32_t letters = 0x20202020;
    const std::uint32_t first = load_little(name) | letters;
    const std::uint32_t last = load_little(name + n - 4) | letters;
    return ((first + 2 * last + static_cast<std::uint32_t>(n)) * 0xfd1c0bf5U) >> 24;
}
// For TE, Via, Age.
[[nodiscard]] constexpr std::size_t short_field_slot(const char* name) noexcept {
    return static_cast<unsigned char>(name[0]) & 7U;
}

struct field_table {
    std::array<folded_name, field_count> names{};
    std::array<std::uint8_t, 256> slots{};
    std::array<std::uint8_t, 8> short_slots{};
};

consteval field_table make_field_table() {
    field_table t;
    for (std::size_t i = 1; i < field_count; ++i) {
        const std::string_view name = field_names[i];
        if (name.size() < 2 || name.size() > t.names[i].text.size()) {
            throw "field name does not fit its table entry";
        }
        for (std::size_t k = 0; k < name.size(); ++k) {
            t.names[i].text[k] = lower(name[k]);
            t.names[i].fold[k] = is(name[k], octet_class::alpha) ? '\x20' : '\0';
        }
        t.names[i].size = static_cast<std::uint8_t>(name.size());
        std::uint8_t& slot = name.size() < 4 ? t.short_slots[short_field_slot(name.data())]
                                             : t.slots[field_slot(name.data(), name.size())];
        if (slot != 0) {
            throw "two field names fall into one slot: search another multiplier";
        }
        slot = static_cast<std::uint8_t>(i);
    }
    return t;
}

inline constexpr field_table field_lookup = make_field_table();

template <class Word>
[[nodiscard]] inline bool folds_to(const char* octets, const folded_name& name, std::size_t at) noexcept {
    Word have;
    Word fold;
    Word want;
    std::memcpy(&have, octets + at, sizeof(Word));
    std::memcpy(&fold, name.fold.data() + at, sizeof(Word));
    std::memcpy(&want, name.text.data() + at, sizeof(Word));
    return (have | fold) == want;
}

[[nodiscard]] inline field to_short_field(std::string_view name) noexcept {
    const std::size_t n = name.size();
    if (n < 2) {
        return field::other;
    }
    const std::uint8_t id = field_lookup.short_slots[short_field_slot(name.data())];
    const folded_name& known = field_lookup.names[id];
    const bool same = known.size == n && folds_to<std::uint16_t>(name.data(), known, 0) &&
                      folds_to<std::uint16_t>(name.data(), known, n - 2);
    return same ? static_cast<field>(id) : field::other;
}

} // namespace detail

/// The usual spelling of a well-known name; empty for `other`.
[[nodiscard]] constexpr std::string_view to_string(field f) noexcept {
    return detail::field_names[static_cast<std::size_t>(f)];
}

/// The well-known name that `name` spells in any case, else `other`.
/// Cost  one table look-up and one comparison by words.
[[nodiscard, gnu::always_inline]] inline field to_field(std::string_view name) noexcept {
    const std::size_t n = name.size();
    if (n < 4) {
        return detail::to_short_field(name);
    }
    const std::uint8_t id = detail::field_lookup.slots[detail::field_slot(name.data(), n)];
    const detail::folded_name& known = detail::field_lookup.names[id];
    if (known.size != n) {
        return field::other;
    }
    bool same = false; // words that overlap at the end cover every length without a loop over octets
    if (n < 8) {
        same = detail::folds_to<std::uint32_t>(name.data(), known, 0) &&
               detail::folds_to<std::uint32_t>(name.data(), known, n - 4);
    } else {
        same = detail::folds_to<std::uint64_t>(name.data(), known, 0) &&
               detail::folds_to<std::uint64_t>(name.data(), known, n - 8);
        for (std::size_t at = 8; same && at + 8 < n; at += 8) {
            same = detail::folds_to<std::uint64_t>(name.data(), known, at);
        }
    }
    return same ? static_cast<field>(id) : field::other;
}

} // namespace flux::inline FLUX_ABI::http
