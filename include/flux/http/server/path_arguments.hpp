// SPDX-License-Identifier: MIT
// flux/http/server/path_arguments.hpp - the parameters of a path as typed arguments of a handler.
//
//   (request&, int id, std::string_view name)  ->  signature_of  ->  typed_parameters: read(), call()
//
// Deliberately not here: which callables are handlers (handler.hpp).
#pragma once

#include <flux/http/message/request.hpp>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

template <class T>
concept character =
    std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> || std::same_as<T, char16_t> ||
    std::same_as<T, char32_t>;

template <class T>
concept own_path_argument = std::default_initializable<T> && requires(std::string_view text, T& value) {
    { from_param(text, value) } -> std::convertible_to<bool>;
};

template <class T>
concept path_argument =
    std::same_as<T, std::string> || std::same_as<T, std::string_view> || std::same_as<T, bool> ||
    (std::integral<T> && !character<T>) || std::floating_point<T> || own_path_argument<T>;

// The whole text must be the value; a number must be finite and in range.
template <path_argument T>
[[nodiscard]] bool read_param(std::string_view text, T& value) {
    if constexpr (std::same_as<T, std::string_view>) {
        value = text;
        return true;
    } else if constexpr (std::same_as<T, std::string>) {
        value.assign(text);
        return true;
    } else if constexpr (std::same_as<T, bool>) {
        value = text == "true" || text == "1";
        return value || text == "false" || text == "0";
    } else if constexpr (std::is_arithmetic_v<T>) {
        const char* const end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, value);
        if (read.ec != std::errc() || read.ptr != end) {
            return false;
        }
        if constexpr (std::floating_point<T>) {
            return value >= std::numeric_limits<T>::lowest() && value <= std::numeric_limits<T>::max();
        }
        return true;
    } else {
        return static_cast<bool>(from_param(text, value));
    }
}

template <class... T>
struct type_list {
    static constexpr std::size_t size = sizeof...(T);
};

// Result and parameters of what has exactly one signature; undefined for overloaded and generic callables.
template <class F>
struct signature_of;
template <class R, class... A>
struct signature_of<R (*)(A...)> {
    using result = R;
    using parameters = type_list<A...>;
};
template <class R, class... A>
struct signature_of<R (*)(A...) noexcept> : signature_of<R (*)(A...)> {};
template <class C, class R, class... A>
struct signature_of<R (C::*)(A...)> : signature_of<R (*)(A...)> {};
template <class C, class R, class... A>
struct signature_of<R (C::*)(A...) const> : signature_of<R (*)(A...)> {};
template <class C, class R, class... A>
struct signature_of<R (C::*)(A...) noexcept> : signature_of<R (*)(A...)> {};
template <class C, class R, class... A>
struct signature_of<R (C::*)(A...) const noexcept> : signature_of<R (*)(A...)> {};
template <class F>
    requires requires { &F::operator(); }
struct signature_of<F> : signature_of<decltype(&F::operator())> {};

template <class F>
concept has_signature = requires { typename signature_of<F>::parameters; };

template <class List>
struct typed_parameters {
    static constexpr bool takes_request = false;
    static constexpr bool readable = false;
    static constexpr bool by_value = false;
    static constexpr std::size_t count = 0;
};
template <class Request, class... A>
    requires std::same_as<std::remove_cv_t<std::remove_reference_t<Request>>, request>
struct typed_parameters<type_list<Request, A...>> {
    using values = std::tuple<std::remove_cvref_t<A>...>;
    static constexpr bool takes_request = std::is_lvalue_reference_v<Request>;
    template <class Arg>
    static constexpr bool is_modifiable =
        std::is_lvalue_reference_v<Arg> && !std::is_const_v<std::remove_reference_t<Arg>>;
    static constexpr bool readable = ((path_argument<std::remove_cvref_t<A>> && !is_modifiable<A>) && ...);
    static constexpr bool by_value = (!std::is_reference_v<A> && ...);
    static constexpr std::size_t count = sizeof...(A);

    // A handler's arguments are the parameters of its own pattern: the last ones. Those before belong to the
    // prefixes that its router was mounted at.
    [[nodiscard]] static bool read(const request& req, values& into) {
        return req.param_count() >= count && read(req, into, std::index_sequence_for<A...>());
    }
    template <class F>
    static decltype(auto) call(F& f, request& req, values& from) {
        return call(f, req, from, std::index_sequence_for<A...>());
    }

private:
    template <std::size_t... I>
    [[nodiscard]] static bool read(const request& req, values& into, std::index_sequence<I...>) {
        const std::size_t first = req.param_count() - count;
        return (read_param(req.param(first + I), std::get<I>(into)) && ...);
    }
    template <class F, std::size_t... I>
    static decltype(auto) call(F& f, request& req, values& from, std::index_sequence<I...>) {
        return f(req, std::move(std::get<I>(from))...);
    }
};

} // namespace flux::inline FLUX_ABI::http::detail
