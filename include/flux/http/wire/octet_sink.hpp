// SPDX-License-Identifier: MIT
// flux/http/wire/octet_sink.hpp - what the writers need of an output buffer: room, and a word on how much was used.
#pragma once

#include <flux/config.hpp>

#include <concepts>
#include <cstddef>
#include <string>

namespace flux::inline FLUX_ABI::http {

/// A growable buffer that is written to in place.
///
/// `prepare(n)` gives n writable octets behind what is committed (and may move the buffer); `commit(n)` keeps the
/// first n of them. A prepare() without commit() leaves the content as it was.
template <class T>
concept octet_sink = requires(T& out, std::size_t n) {
    { out.prepare(n) } -> std::same_as<char*>;
    out.commit(n);
};

/// Appends to a std::string. For tests and tools; it fills the room with zeros before use.
class string_sink {
public:
    /// Params  text  borrowed; must outlive the sink. Its size is right after each commit().
    explicit string_sink(std::string& text) noexcept : text_(&text), used_(text.size()) {}

    [[nodiscard]] char* prepare(std::size_t n) {
        text_->resize(used_ + n);
        return text_->data() + used_;
    }
    void commit(std::size_t n) noexcept {
        used_ += n;
        text_->resize(used_);
    }

private:
    std::string* text_;
    std::size_t used_;
};
static_assert(octet_sink<string_sink>);

} // namespace flux::inline FLUX_ABI::http
