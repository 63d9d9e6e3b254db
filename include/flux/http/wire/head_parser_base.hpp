// SPDX-License-Identifier: MIT
// flux/http/wire/head_parser_base.hpp - what request_parser and response_parser share: limits, storage, outcome.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/wire/field_section.hpp>
#include <flux/http/wire/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

namespace detail {

template <class Word>
[[nodiscard]] inline bool starts_with_word(const char* p, const char (&text)[sizeof(Word) + 1]) noexcept {
    Word have;
    Word want;
    std::memcpy(&have, p, sizeof(Word));
    std::memcpy(&want, text, sizeof(Word));
    return have == want;
}

// The pieces of state that do not depend on the direction, and how a parser stops: paused or failed.
class head_parser {
public:
    head_parser(const head_parser&) = delete;
    head_parser& operator=(const head_parser&) = delete;

    /// Octets of the head, when done: what follows in the buffer is the body or the next message.
    [[nodiscard]] std::size_t consumed() const noexcept { return at_; }
    /// When failed: what was wrong and where. Otherwise no error.
    [[nodiscard]] message_error error() const noexcept { return {error_, error_ == errc::none ? 0U : at_}; }
    /// Whether nothing but whole empty lines has come yet: an end of the stream now is a clean one.
    [[nodiscard]] bool untouched() const noexcept { return at_ == start_ && outcome_ == parse_state::need_more; }

protected:
    head_parser(const limits& lim, field_storage& storage) noexcept
        : limits_(&lim), storage_(&storage), section_(lim, field_section::kind::head) {}
    ~head_parser() = default;

    void restart() noexcept {
        storage_->clear();
        at_ = start_ = 0;
        outcome_ = parse_state::need_more;
        error_ = errc::none;
        set_bound(0);
    }

    // The start line that begins at `start` must end before bound_.
    void set_bound(std::uint32_t start) noexcept {
        start_ = start;
        const std::uint32_t room = limits_->head_octets > start ? limits_->head_octets - start : 0;
        bound_ = start + std::min(room, limits_->start_line_octets);
    }
    [[nodiscard]] parse_state pause(const char* base, const char* p) noexcept {
        at_ = static_cast<std::uint32_t>(p - base);
        if (at_ < bound_) {
            return parse_state::need_more;
        }
        return fail(at_ == limits_->head_octets ? errc::head_too_large : errc::start_line_too_large, at_);
    }
    [[nodiscard]] parse_state fail(errc code, const char* base, const char* p) noexcept {
        return fail(code, static_cast<std::uint32_t>(p - base));
    }
    [[nodiscard, gnu::cold]] parse_state fail(errc code, std::uint32_t offset) noexcept {
        at_ = offset;
        error_ = code;
        return outcome_ = parse_state::failed;
    }
    void begin_fields(const char* base, const char* p) noexcept {
        section_.begin(static_cast<std::uint32_t>(p - base));
    }
    [[nodiscard]] parse_state parse_fields(std::string_view octets) {
        const parse_state s = section_.parse(octets.data(), octets.size(), *storage_);
        at_ = section_.position();
        if (s == parse_state::failed) {
            return fail(section_.error(), at_);
        }
        return outcome_ = s;
    }
    [[nodiscard]] fields_view view(const char* base) const noexcept {
        return {base, storage_->data(), storage_->size(), section_.present(), section_.repeated()};
    }

    const limits* limits_;
    field_storage* storage_;  // never null; not owned
    std::uint32_t at_ = 0;    // octets judged; the place of the error when failed
    std::uint32_t start_ = 0; // where the start line begins
    std::uint32_t bound_ = 0; // where the start line must have ended
    parse_state outcome_ = parse_state::need_more;
    errc error_ = errc::none;
    field_section section_;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
