// SPDX-License-Identifier: MIT
// flux/http/server/read_body.hpp - req.read<T>(): the body of a request as an object of the program.
//
// Deliberately not here: what the hooks are (message/body_codec.hpp), forms of several parts (multipart.hpp).
#pragma once

#include <flux/coro/task.hpp>
#include <flux/http/message/body_codec.hpp>
#include <flux/http/message/request.hpp>
#include <flux/http/wire/errc.hpp>

#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

[[nodiscard, gnu::cold]] inline error malformed_content(std::string why) {
    return error(errc::malformed_content).doing(std::move(why));
}

template <class T>
task<T> read_object(request& req, std::size_t limit) {
    if (!accepts_content_type<T>(req.header(field::content_type)) ||
        req.fields().repeated().contains(field::content_type)) {
        co_return fail(errc::unsupported_content);
    }
    const auto text = co_await attempt(req.text(limit));
    if (!text) {
        co_return fail(text.error());
    }
    T value{};
    if (auto refused = decode_body(*text, value)) {
        co_return fail(malformed_content(*std::move(refused)));
    }
    co_return std::move(value);
}

} // namespace detail

template <class T>
task<T> request::read(std::size_t limit) {
    static_assert(readable_body<T>, "req.read<T>() needs `bool from_body(std::string_view, T&)` in the namespace of T, "
                                    "and a T that can be made without arguments.");
    return detail::read_object<T>(*this, limit);
}

} // namespace flux::inline FLUX_ABI::http
