// SPDX-License-Identifier: MIT
// flux/http/message/body_codec.hpp - how a program's own types become bodies, and come from bodies.
//
//   bool from_body(std::string_view body, order& out);               beside `order`: req.read<order>()
//   std::string to_body(const order& value);                         beside `order`: handlers may return one
//   std::string_view body_content_type(std::type_identity<order>);   beside `order`, if it is not JSON
//
// Any library does the work; flux has none of its own. All three are found by argument-dependent lookup, in the
// namespace of the type. Deliberately not here: reading the octets and judging them (server/read_body.hpp).
#pragma once

#include <flux/http/message/content_type.hpp>

#include <concepts>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace flux::inline FLUX_ABI::http {

/// A type that can be read from a body: `bool from_body(std::string_view, T&)`, or one that returns result<void> or
/// void. It refuses a body by false, a failure, or an exception.
template <class T>
concept readable_body = std::default_initializable<T> && requires(std::string_view body, T& out) { from_body(body, out); };

/// A type that can be written as a body: `std::string to_body(const T&)`.
template <class T>
concept writable_body = requires(const T& value) {
    { to_body(value) } -> std::convertible_to<std::string>;
};

/// The media type of T's bodies: what body_content_type() says, else "application/json".
template <class T>
[[nodiscard]] constexpr std::string_view content_type_of() {
    if constexpr (requires { body_content_type(std::type_identity<T>()); }) {
        return body_content_type(std::type_identity<T>());
    } else {
        return "application/json";
    }
}

/// Whether the value of a Content-Type is a media type that T is read from; for JSON also any `+json`.
template <class T>
[[nodiscard]] bool accepts_content_type(std::string_view value) {
    constexpr std::string_view wanted = content_type_of<T>();
    const auto given = content_type::parse(value);
    return given && (given->is(wanted) || (wanted == "application/json" && given->is_json()));
}

namespace detail {

/// Calls from_body(). Whatever it does not like is the mistake of the sender, but for a lack of memory.
/// Returns  nothing, or why the body was refused.
template <class T>
[[nodiscard]] std::optional<std::string> decode_body(std::string_view text, T& value) {
    using answer = decltype(from_body(text, value));
    try {
        if constexpr (std::is_void_v<answer>) {
            from_body(text, value);
        } else if constexpr (std::is_same_v<answer, bool>) {
            if (!from_body(text, value)) {
                return "read the body";
            }
        } else if (auto read = from_body(text, value); !read) {
            return read.error().message();
        }
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& e) {
        return e.what();
    }
    return std::nullopt;
}

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
