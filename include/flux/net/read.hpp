// SPDX-License-Identifier: MIT
// flux/net/read.hpp - reading a given number of octets, up to a delimiter, or everything up to a limit.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/coro/task.hpp>
#include <flux/net/stream.hpp>

#include <cstring>
#include <string>

namespace flux::inline FLUX_ABI {

namespace detail {

template <class Stream>
task<> read_exact_impl(Stream& in, mutable_buffer out) {
    while (!out.empty()) {
        const auto n = co_await attempt(in.read_some(out));
        if (!n) {
            co_await fail(n.error());
        }
        if (*n == 0) {
            co_await fail(errc::eof);
        }
        out = out.subspan(*n);
    }
}

template <class Stream>
task<std::size_t> read_until_impl(Stream& in, std::string& buffer, std::string delimiter, std::size_t limit) {
    std::size_t searched = 0;
    for (;;) {
        const std::size_t at = buffer.find(delimiter, searched);
        if (at != std::string::npos) {
            co_return at + delimiter.size();
        }
        searched = buffer.size() < delimiter.size() ? 0 : buffer.size() - delimiter.size() + 1;
        if (buffer.size() >= limit) {
            co_return fail(errc::limit);
        }
        const std::size_t before = buffer.size();
        const std::size_t room = std::min<std::size_t>(limit - before, 4096);
        buffer.resize(before + room);
        const auto n = co_await attempt(in.read_some(std::as_writable_bytes(std::span(buffer).subspan(before))));
        buffer.resize(before + (n ? *n : 0));
        if (!n) {
            co_return fail(n.error());
        }
        if (*n == 0) {
            co_return fail(errc::eof);
        }
    }
}

template <class Stream>
task<std::string> read_all_impl(Stream& in, std::size_t limit) {
    std::string all;
    for (;;) {
        if (all.size() > limit) {
            co_return fail(errc::limit);
        }
        const std::size_t before = all.size();
        all.resize(before + std::min<std::size_t>(limit + 1 - before, std::max<std::size_t>(4096, before)));
        const auto n = co_await attempt(in.read_some(std::as_writable_bytes(std::span(all).subspan(before))));
        all.resize(before + (n ? *n : 0));
        if (!n) {
            co_return fail(n.error());
        }
        if (*n == 0) {
            co_return all;
        }
    }
}

} // namespace detail

/// Fills `out` completely.
/// Params   in, out  borrowed until the task ends.
/// Errors   errc::eof if the stream ends before; how much arrived is lost then. Those of read_some.
template <byte_stream Stream>
[[nodiscard]] task<> read_exact(Stream& in, mutable_buffer out) {
    return detail::read_exact_impl(in, out);
}

/// Appends to `buffer` until it contains `delimiter`; yields the length up to and including it. Octets after
/// it stay in `buffer`: erase what you used and call again with the rest.
/// Params   in, buffer  borrowed until the task ends.  limit  octets that `buffer` may hold.
/// Errors   errc::eof before a delimiter, errc::limit; `buffer` keeps what arrived. Those of read_some.
template <byte_stream Stream>
[[nodiscard]] task<std::size_t> read_until(Stream& in, std::string& buffer, std::string delimiter,
                                           std::size_t limit = 65'536) {
    FLUX_ASSERT(!delimiter.empty(), "read_until needs a delimiter");
    return detail::read_until_impl(in, buffer, std::move(delimiter), limit);
}

/// Everything up to the end of the stream.
/// Params   limit  octets; more is errc::limit.
template <byte_stream Stream>
[[nodiscard]] task<std::string> read_all(Stream& in, std::size_t limit = 10'485'760) {
    return detail::read_all_impl(in, limit);
}

} // namespace flux::inline FLUX_ABI
