// SPDX-License-Identifier: MIT
// flux/http/message/scan.hpp - finds the end of a run of allowed octets, sixteen at a time.
//
// Every function reads only octets of [readable, end): nothing past the end, not even inside the same page, so
// the input may lie flush against an unmapped page. The scalar forms are the specification; the SSE2 forms are
// tested against them for every octet and every length.
#pragma once

#include <flux/http/message/octets.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace flux::inline FLUX_ABI::http::detail {

/// The first octet of [p, end) that is not in class `k`, or `end`.
[[nodiscard]] inline const char* scan_class(const char* p, const char* end, octet_class k) noexcept {
    while (p != end && is(*p, k)) {
        ++p;
    }
    return p;
}

#if defined(__SSE2__)

// Each Block maps 16 octets to a mask with a bit for every octet that ends the run.

struct field_value_block { // ends at controls but HTAB, and at DEL
    static constexpr octet_class allowed = octet_class::field_value;
    [[nodiscard]] static unsigned ends(__m128i x) noexcept {
        const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
        const __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
        const __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
        return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del)));
    }
};

struct target_block { // ends at SP, controls, DEL, octets from 0x80 on, and at " # < >
    static constexpr octet_class allowed = octet_class::target;
    [[nodiscard]] static unsigned ends(__m128i x) noexcept {
        const __m128i low = _mm_cmpgt_epi8(_mm_set1_epi8(0x21), x); // signed: takes in 0x80 to 0xff
        const __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
        const __m128i quote = _mm_cmpeq_epi8(_mm_and_si128(x, _mm_set1_epi8('\xfe')), _mm_set1_epi8('"')); // " #
        const __m128i angle = _mm_cmpeq_epi8(_mm_and_si128(x, _mm_set1_epi8('\xfd')), _mm_set1_epi8('<')); // < >
        return static_cast<unsigned>(
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, del), _mm_or_si128(quote, angle))));
    }
};

struct plain_name_block { // ends at all but letters, digits and "-": a part of the tokens, but of nearly all names
    static constexpr octet_class allowed = octet_class::token;
    [[nodiscard]] static unsigned ends(__m128i x) noexcept {
        const __m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        const __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
        const __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
        const __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
        const __m128i dash = _mm_cmpeq_epi8(x, _mm_set1_epi8('-'));
        return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(is_letter, is_digit), dash))) ^
               0xffffU;
    }
};

[[nodiscard]] inline __m128i load_block(const char* p) noexcept {
    return _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(p)));
}

template <class Block>
[[nodiscard]] inline const char* scan_blocks(const char* p, const char* end, const char* readable) noexcept {
    while (end - p >= 16) {
        const unsigned ends = Block::ends(load_block(p));
        if (ends != 0) {
            return p + std::countr_zero(ends);
        }
        p += 16;
    }
    if (end - readable < 16) {
        return scan_class(p, end, Block::allowed);
    }
    // The last block is loaded so that it finishes at `end`; the octets before p are shifted out.
    const auto rest = static_cast<unsigned>(end - p);
    const unsigned ends = Block::ends(load_block(end - 16)) >> (16 - rest);
    return ends != 0 ? p + std::countr_zero(ends) : end;
}

#endif

/// The first octet of [p, end) that may not stand in a field value, or `end`.
/// Params  readable  start of the buffer that holds [p, end); readable <= p.
[[nodiscard]] inline const char* scan_field_value(const char* p, const char* end,
                                                  [[maybe_unused]] const char* readable) noexcept {
#if defined(__SSE2__)
    return scan_blocks<field_value_block>(p, end, readable);
#else
    return scan_class(p, end, octet_class::field_value);
#endif
}

/// The first octet of [p, end) that may not stand in a request target, or `end`.
///
/// Allowed are the octets of RFC 3986 and, beyond them, those that user agents send unencoded in queries:
/// \ ^ ` { | }. Percent triplets are not checked here; decoding a path does that.
/// Params  readable  start of the buffer that holds [p, end); readable <= p.
[[nodiscard]] inline const char* scan_target(const char* p, const char* end,
                                             [[maybe_unused]] const char* readable) noexcept {
#if defined(__SSE2__)
    return scan_blocks<target_block>(p, end, readable);
#else
    return scan_class(p, end, octet_class::target);
#endif
}

/// The first octet of [p, end) that is not a tchar, or `end`.
/// Params  readable  start of the buffer that holds [p, end); readable <= p.
[[nodiscard, gnu::noinline]] inline const char* scan_token(const char* p, const char* end,
                                                           [[maybe_unused]] const char* readable) noexcept {
#if defined(__SSE2__)
    p = scan_blocks<plain_name_block>(p, end, readable);
#endif
    return scan_class(p, end, octet_class::token);
}

/// The first `wanted` of [p, end), or `end`. For runs that are mostly shorter than 16 octets.
/// Params  readable_end  end of the buffer that holds [p, end); end <= readable_end.
[[nodiscard]] inline const char* find_octet(const char* p, const char* end, [[maybe_unused]] const char* readable_end,
                                            char wanted) noexcept {
    const auto size = static_cast<std::size_t>(end - p);
#if defined(__SSE2__)
    if (size <= 16 && readable_end - p >= 16) {
        const auto hits =
            static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(load_block(p), _mm_set1_epi8(wanted))));
        return p + std::countr_zero(hits | (1U << size));
    }
#endif
    const void* const at = size == 0 ? nullptr : std::memchr(p, wanted, size);
    return at == nullptr ? end : static_cast<const char*>(at);
}

/// How many octets of [p, end) come before the first ":", if that is one of the first 16 octets; else 16.
///
/// A hint: it may say 16 where the buffer is too short to look at 16 octets at once.
/// Params  readable  start of the buffer that holds [p, end); readable <= p.
[[nodiscard]] inline std::size_t near_colon([[maybe_unused]] const char* p, [[maybe_unused]] const char* end,
                                            [[maybe_unused]] const char* readable) noexcept {
#if defined(__SSE2__)
    const __m128i colon = _mm_set1_epi8(':');
    if (end - p >= 16) {
        const auto hits = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(load_block(p), colon)));
        return static_cast<std::size_t>(std::countr_zero(hits | 0x10000U));
    }
    if (end - readable >= 16) {
        const auto hits = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(load_block(end - 16), colon)));
        return static_cast<std::size_t>(std::countr_zero((hits >> (16 - (end - p))) | 0x10000U));
    }
#endif
    return 16;
}

/// Whether [p, p + size) is a host of letters, digits, "-" and ".", perhaps with a port of up to four digits.
///
/// A hint: yes is certain, no only means that it has to be judged in full (split_host_port).
/// Params  readable_end  end of the buffer that holds the host.
[[nodiscard]] inline bool is_plain_host([[maybe_unused]] const char* p, [[maybe_unused]] std::size_t size,
                                        [[maybe_unused]] const char* readable_end) noexcept {
#if defined(__SSE2__)
    if (size - 1 >= 16 || readable_end - p < 16) {
        return false;
    }
    const __m128i x = load_block(p);
    const auto dots = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('.'))));
    const unsigned inside = (1U << size) - 1;
    const unsigned others = plain_name_block::ends(x) & ~dots & inside;
    if (others == 0) {
        return true;
    }
    const auto colon = static_cast<unsigned>(std::countr_zero(others));
    const __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
    const auto digits =
        static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit)));
    return colon != 0 && p[colon] == ':' && size - colon <= 5 && ((~digits & inside) >> (colon + 1)) == 0;
#else
    return false;
#endif
}

} // namespace flux::inline FLUX_ABI::http::detail
