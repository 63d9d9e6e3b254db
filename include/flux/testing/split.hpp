// SPDX-License-Identifier: MIT
// flux/testing/split.hpp - one text in many segmentations: what a parser must not notice.
//
// Every piece is a heap block of exactly its size, so that a sanitizer sees a parser that looks beyond its end.
#pragma once

#include <flux/coro/sleep.hpp>
#include <flux/coro/task.hpp>
#include <flux/net/stream.hpp>
#include <flux/testing/prng.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flux::inline FLUX_ABI::testing {

/// The pieces of one text, none of them empty.
class segments {
public:
    [[nodiscard]] static segments whole(std::string_view text) {
        segments s("whole");
        s.add(text);
        return s;
    }
    /// Params   0 < at < text.size() gives two pieces; else it is one.
    [[nodiscard]] static segments split_at(std::string_view text, std::size_t at) {
        segments s("split at " + std::to_string(at));
        s.add(text.substr(0, at));
        s.add(text.substr(std::min(at, text.size())));
        return s;
    }
    /// Params   size  of each piece but the last.
    [[nodiscard]] static segments each(std::string_view text, std::size_t size = 1) {
        size = std::max<std::size_t>(size, 1);
        segments s("pieces of " + std::to_string(size));
        for (std::size_t at = 0; at < text.size(); at += size) {
            s.add(text.substr(at, size));
        }
        return s;
    }
    /// Pieces of 1 to `most` octets; short ones are as likely as long ones.
    [[nodiscard]] static segments random(std::string_view text, std::uint64_t seed, std::size_t most = 64) {
        segments s("random by seed " + std::to_string(seed));
        prng r(seed);
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t size = r.between(1, std::max<std::size_t>(r.between(1, most), 1));
            s.add(text.substr(at, size));
            at += size;
        }
        return s;
    }

    [[nodiscard]] std::size_t size() const noexcept { return pieces_.size(); }
    [[nodiscard]] const_buffer operator[](std::size_t i) const noexcept { return pieces_[i].octets(); }
    /// How it was made, for the message of a failed test.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    class piece {
    public:
        explicit piece(std::string_view text) : block_(new std::byte[text.size()]), size_(text.size()) {
            std::memcpy(block_.get(), text.data(), text.size());
        }
        [[nodiscard]] const_buffer octets() const noexcept { return {block_.get(), size_}; }

    private:
        std::unique_ptr<std::byte[]> block_;
        std::size_t size_;
    };

    explicit segments(std::string name) : name_(std::move(name)) {}
    void add(std::string_view text) {
        if (!text.empty()) {
            pieces_.emplace_back(text);
        }
    }

    std::vector<piece> pieces_;
    std::string name_;
};

/// Calls `f(const segments&)` for the whole text, for every split into two, octet by octet, and for
/// `seeds` random segmentations.
template <class F>
void for_each_segmentation(std::string_view text, F&& f, std::uint64_t seeds = 16) {
    f(segments::whole(text));
    for (std::size_t at = 1; at < text.size(); ++at) {
        f(segments::split_at(text, at));
    }
    f(segments::each(text));
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        f(segments::random(text, seed));
    }
}

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

template <class Stream>
task<> feed_impl(Stream& to, const testing::segments& pieces, duration pause) {
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        auto written = co_await attempt(to.write_all(pieces[i]));
        if (!written) {
            co_await fail(std::move(written).error());
        }
        co_await sleep_for(pause);
    }
}

} // namespace flux::inline FLUX_ABI::detail

namespace flux::inline FLUX_ABI::testing {

/// Writes the pieces one by one. Between two of them time passes; on a virtual clock that means that everybody
/// else has done what they can, so the reader sees each piece by itself.
/// Params   to, pieces  borrowed until the task ends.
template <byte_stream Stream>
[[nodiscard]] task<> feed(Stream& to, const segments& pieces, duration pause = microseconds(1)) {
    return detail::feed_impl(to, pieces, pause);
}

} // namespace flux::inline FLUX_ABI::testing
